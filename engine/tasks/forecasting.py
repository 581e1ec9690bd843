"""What comes next in a series?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Advanced, Help, Range
from engine.data.batches import Batch, Data
from engine.data.horizons import Windows, windows
from engine.data.items import Sequences
from engine.data.splits import Rows
from engine.layers.recurrent import last
from engine.models import Forecaster
from engine.tasks import TAKES, Mean, Numbers, Portable, Task

Loss = Literal["squared error", "absolute error", "Huber"]
LOSSES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    "squared error": F.mse_loss, "absolute error": F.l1_loss, "Huber": F.huber_loss,
}  # fmt: skip
PLOTS = 6
"""Forecasts that are drawn after an epoch."""


class Forecasting(
    Task, label="Forecasting", fits={"forecast"}, needs={"sequence"}, rank=50,
    suggests={"method.epochs": 20}, thorough={"method.epochs": 100},
):  # fmt: skip
    """Learns from a series of numbers to tell how it goes on."""

    headline = "mae"
    larger_is_better = False

    def __init__(
        self,
        *,
        context: Annotated[
            int, Range(1, 10_000),
            Help("Steps that are read: at least one period, where the series has one",
                 unit="steps"),
        ] = 48,
        horizon: Annotated[
            int, Range(1, 1_000), Help("Steps forecast at once", unit="steps")
        ] = 12,
        loss: Annotated[
            Loss, Help("Squared error aims at the mean, absolute error at the median; Huber is "
                       "between them, for data with outliers")
        ] = "squared error",
        relative: Annotated[
            bool, Help("Reads how far each step lies from the last one: right where the level "
                       "drifts, as prices and sales do; off where the level itself tells what "
                       "comes")
        ] = True,
        every: Annotated[
            int, Range(1, 10_000), Advanced(),
            Help("A window begins at every so many steps: more than one makes the epochs of a "
                 "long series shorter", label="Window every", unit="steps"),
        ] = 1,
    ) -> None:  # fmt: skip
        self.context, self.horizon, self.every = context, horizon, every
        self.loss, self.relative = LOSSES[loss], relative

    def view(self, data: Data) -> Data:
        return windows(data, context=self.context, horizon=self.horizon, every=self.every)

    def outputs(self, data: Data) -> int:
        return self.horizon * data.shape[-1]

    def forecast(self, model: Forecaster, batch: Batch) -> Tensor:
        """(B, horizon, D): how far each step to come lies from the last one read, in the model's
        own units, the standard deviations of the training data."""
        values = batch.inputs["values"]
        if self.relative:
            # Around the mean, which the model takes off again: then the last is zero (Zeng 2023).
            values = values - last_read(batch) + model.standardize.mean
        output = model(values, batch.inputs["lengths"])
        return output.float().reshape(output.shape[0], self.horizon, -1)

    def step(self, model: Forecaster, batch: Batch) -> dict[str, Tensor]:
        told = self.forecast(model, batch)
        scale = model.standardize.std
        moves = (batch.wanted["future"] - last_read(batch)) / scale
        return {"loss": self.loss(told, moves), "output": told * scale + last_read(batch)}

    def meter(self, model: Forecaster, data: Data, *, final: bool = False) -> ForecastMeter:
        return ForecastMeter(names_of(data) if final else ())

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """The last value again, the mean of what was read, and a linear regression from it."""
        items = data.items
        assert isinstance(items, Windows)
        rows = some(data.splits["test"], items)
        past, future = items.past(rows), items.future(rows)
        read = items.read[rows]
        last = past[np.arange(len(rows)), read - 1][:, None]
        mean = (past.sum(1) / read[:, None])[:, None]
        found = {"the last value": errors(last, future), "the mean of the context":
                 errors(mean, future)}  # fmt: skip
        train = some(data.splits["train"], items)
        if linear := regression(items, train, rows):
            found["linear regression"] = linear
        return found

    def samples(
        self, model: Forecaster, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        features = min(data.shape[-1], 3)
        count = min(PLOTS // features, len(batch))
        # Spread over the split, so not all of one period are drawn.
        chosen = torch.linspace(0, len(batch) - 1, count).long()

        def those(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor[chosen.to(tensor.device)] for name, tensor in named.items()}

        few = Batch(those(batch.inputs), wanted=those(batch.wanted))
        told = self.step(model, few)["output"].cpu().tolist()
        future = few.wanted["future"].cpu().tolist()
        ahead, names = list(range(1, self.horizon + 1)), names_of(data)
        plots = []
        for n, (place, length) in enumerate(
            zip(chosen.tolist(), few.inputs["lengths"].tolist(), strict=True)
        ):
            shown = min(length, max(3 * self.horizon, 24))
            past = few.inputs["values"][n, length - shown : length].cpu().tolist()
            for k in range(features):
                column = f", {names[k]}" if data.shape[-1] > 1 else ""
                read = [step[k] for step in past]
                plots.append({"title": f"Validation window {place + 1}{column}", "lines": [
                    {"label": "read", "x": list(range(1 - shown, 1)), "y": read},
                    {"label": "truth", "x": [0, *ahead],
                     "y": [read[-1], *(step[k] for step in future[n])]},
                    {"label": "forecast", "x": [0, *ahead],
                     "y": [read[-1], *(step[k] for step in told[n])]},
                ]})  # fmt: skip
        yield "forecasts", "lines", {"plots": plots}

    def show(self, model: Forecaster, batch: Batch, data: Data) -> list[dict[str, Any]]:
        items, shown = data.items, []
        assert isinstance(items, Sequences | Windows)
        for values, length in zip(
            batch.inputs["values"], batch.inputs["lengths"].tolist(), strict=True
        ):
            context = values[max(length - self.context, 0) : length]
            lengths = torch.tensor([len(context)], device=values.device)
            one = Batch({"values": context[None], "lengths": lengths})
            told = self.forecast(model, one) * model.standardize.std + last_read(one)
            few = len(context) < self.context
            shown.append({
                "forecast": told[0].tolist(), "context": context.tolist(),
                "features": list(items.names),
                "note": f"It learned from {self.context} steps at a time, and got only "
                        f"{len(context)}" if few else "",
            })  # fmt: skip
        return shown

    def numbers(self, model: Forecaster, batch: Batch, data: Data) -> Numbers:
        """Each step to come of each feature, in the data's own units."""
        names, steps = names_of(data), range(1, self.horizon + 1)

        def of(inputs: Mapping[str, Tensor]) -> Tensor:
            values = inputs["values"][:, -self.context :]
            one = Batch({"values": values, "lengths": inputs["lengths"].clamp(max=self.context)})
            told = self.forecast(model, one) * model.standardize.std + last_read(one)
            return told.flatten(1)

        return Numbers(tuple(f"{name} +{step}" for step in steps for name in names), of)

    def portable(self, model: Forecaster, data: Data) -> Portable:
        """The steps to come (B, horizon, D), in the data's own units."""

        def of(values: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
            batch = Batch({"values": values, "lengths": lengths})
            return (self.forecast(model, batch) * model.standardize.std + last_read(batch),)

        facts = {"context": self.context, "features": list(names_of(data))}
        return Portable(TAKES[data.items.kind], ("forecast",), of, "forecast", facts)


def names_of(data: Data) -> tuple[str, ...]:
    """What the features are called; by their numbers where the data don't say."""
    items = data.items
    assert isinstance(items, Sequences | Windows)
    return items.names or tuple(f"feature {n + 1}" for n in range(data.shape[-1]))


def last_read(batch: Batch) -> Tensor:
    """The last real step of each (B, 1, D), in the data's own units."""
    return last(batch.inputs["values"], batch.inputs["lengths"])[:, None]


class ForecastMeter:
    """Loss, and errors in the data's own units at each step of the horizon.

    Of several features, the mean over them: one in large numbers outweighs one in small.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        """`names` are the features', where the errors of each step and feature are wanted."""
        self.names = names
        self.loss = Mean()
        self.absolute: Tensor | float = 0.0
        self.squared: Tensor | float = 0.0
        self.items = 0

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        error = step["output"] - batch.wanted["future"]
        self.absolute = self.absolute + error.abs().sum(0)
        self.squared = self.squared + error.square().sum(0)
        self.loss.add(step["loss"], len(batch))
        self.items += len(batch)

    def compute(self) -> dict[str, Any]:
        assert isinstance(self.absolute, Tensor)
        assert isinstance(self.squared, Tensor)
        # (horizon, features)
        absolute, squared = self.absolute.cpu() / self.items, self.squared.cpu() / self.items
        found: dict[str, Any] = {
            "loss": float(self.loss), "mae": float(absolute.mean()),
            "rmse": float(squared.mean().sqrt()),
        }  # fmt: skip

        def each(axis: int, of: str, names: Sequence[str | int]) -> list[dict[str, Any]]:
            by = zip(names, absolute.mean(axis).tolist(), squared.mean(axis).tolist(), strict=True)
            return [{of: name, "mae": a, "rmse": s**0.5} for name, a, s in by]

        if self.names:
            found["by_step"] = each(1, "step", range(1, len(absolute) + 1))
        if len(self.names) > 1:
            found["by_feature"] = each(0, "feature", self.names)
        return found


# --- what a forecast is compared with -------------------------------------------------------

MOST = 20_000
"""Windows that baselines are computed from."""
NUMBERS = 2**25
"""Numbers in those windows, at most: 128 MB."""
WIDEST = 2_000
"""Numbers read, up to which a regression is solved."""


def some(rows: Rows, items: Windows) -> Rows:
    """At most so many, spread evenly; fewer where each is long."""
    longest = int(items.read[rows].max()) + items.horizon
    most = max(1, min(MOST, NUMBERS // (longest * items.shape[-1])))
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def errors(told: Any, future: Any) -> dict[str, float]:
    """Both (N, horizon, D), or what goes with it."""
    error = told.astype(np.float64) - future
    return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean()))}


def regression(items: Windows, train: Rows, test: Rows) -> dict[str, float] | None:
    """Least squares from what is read to what comes next, both less the last value; None where
    the windows aren't equally long or there is too much to read."""
    if items.lengths(np.concatenate([train, test])) is not None:
        return None
    width = int(items.read[train[0]]) * items.shape[-1]
    if width > WIDEST:
        return None

    def moves(rows: Rows) -> tuple[Any, Any, Any]:
        past, future = items.past(rows).astype(np.float64), items.future(rows)
        last = past[:, -1:]
        return (past - last).reshape(len(rows), -1), (future - last).reshape(len(rows), -1), last

    past, future, _ = moves(train)
    scale = max(float(past.std()), 1e-12)
    past = np.concatenate([past / scale, np.ones((len(past), 1))], 1)
    # A touch of ridge: the last value less itself is zero, and smooth series are nearly dependent.
    gram = past.T @ past + 1e-6 * len(past) * np.eye(past.shape[1])
    weights = np.linalg.solve(gram, past.T @ future)
    past, future, last = moves(test)
    past = np.concatenate([past / scale, np.ones((len(past), 1))], 1)
    told = (past @ weights).reshape(len(test), items.horizon, -1)
    return errors(told + last, items.future(test))
