"""What tasks that ask for the values of every step of a sequence have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.data.batches import Batch, Data
from engine.data.items import Sequences
from engine.models import Standardize, Stepper
from engine.pictures import png
from engine.tasks import TAKES, Mean, Meter, Portable, inside
from engine.tasks.probing import Probed

SHOWN = 6
"""Sequences that are drawn after an epoch."""
FEW = 8
"""Features, below which they are drawn as lines; as many or more as pictures."""
AT_ONCE = 256


class EachStep(Probed):
    """The values of each step are told, of a sequence or of a sound's spectrum.

    Errors are measured in standard deviations of each feature in the training split, and count
    only where a sequence has a step. What the model gives is added to what it read last, so that
    nothing told is that again.
    """

    headline = "mse"
    larger_is_better = False
    untouched = "means and deviations of the features"

    def outputs(self, data: Data) -> int:
        """One for each feature."""
        return data.shape[-1]

    @abstractmethod
    def read(self, batch: Batch, scale: Standardize, *, fixed: bool) -> Tensor:
        """What the model sees (B, L, D), in the data's own units."""

    @abstractmethod
    def wanted(self, batch: Batch, scale: Standardize) -> tuple[Tensor, Tensor]:
        """What is to be told (B, L', D), L' ≤ L, in standard deviations, and where it counts
        (B, L')."""

    def step(self, model: Stepper, batch: Batch) -> dict[str, Tensor]:
        """The output is what was told, in standard deviations."""
        seen = self.read(batch, model.standardize, fixed=not getattr(model, "training", False))
        truth, counts = self.wanted(batch, model.standardize)
        told = model.steps(seen, batch.inputs["lengths"]).float() + model.standardize(seen)
        errors = (told[:, : truth.shape[1]] - truth).square().mean(2) * counts
        return {"loss": errors.sum() / counts.sum().clamp(min=1), "output": told}

    def weight(self, batch: Batch) -> Tensor:
        return self.counted(batch).sum()

    def counted(self, batch: Batch) -> Tensor:
        """Where a step is to be told: (B, L')."""
        return inside(batch.inputs["lengths"], batch.inputs["values"].shape[1])

    def features(self, model: Stepper, batch: Batch) -> Tensor:
        return model.embed(**batch.inputs)

    def portable(self, model: Stepper, data: Data) -> Portable:
        """What is told at each step (B, L, D), in the data's own units."""

        def of(values: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
            return (model.steps(values, lengths).float() * model.standardize.std + values,)

        facts = {"features": list(names_of(data))}
        return Portable(TAKES[data.items.kind], ("told",), of, "steps", facts)

    def raw(self, batch: Batch) -> Tensor:
        values, lengths = batch.inputs["values"], batch.inputs["lengths"]
        real, count = inside(lengths, values.shape[1])[..., None], lengths[:, None]
        mean = (values * real).sum(1) / count
        apart = ((values - mean[:, None]) * real).square().sum(1) / count
        return torch.cat([mean, apart.sqrt()], 1)

    def meter(self, model: Stepper, data: Data, *, final: bool = False) -> Meter:
        return self.probed(StepMeter(self), model, data, final=final)

    def measured(self, data: Data, named: str) -> dict[str, dict[str, float]]:
        """The error on the test split where nothing is added to what was read, and where always
        the mean is told."""
        scale = Standardize(data.shape[-1], dim=-1)
        scale.fit(*data.fed.statistics(data.splits["train"]))
        again, mean = Mean(), Mean()
        rows = data.splits["test"]
        for at in range(0, len(rows), AT_ONCE):
            some = rows[at : at + AT_ONCE]
            batch = Batch(data.fed.gather(some, torch.device("cpu"), None), rows=some)
            truth, counts = self.wanted(batch, scale)
            seen = scale(self.read(batch, scale, fixed=True))[:, : truth.shape[1]]
            many = counts.sum().clamp(min=1)
            again.add(((seen - truth).square().mean(2) * counts).sum() / many, counts.sum())
            mean.add((truth.square().mean(2) * counts).sum() / many, counts.sum())
        return {named: {"mse": float(again)}, "always the mean": {"mse": float(mean)}}

    def samples(
        self, model: Stepper, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        few = np.linspace(0, len(batch) - 1, min(SHOWN, len(batch))).astype(np.int64)
        which = torch.from_numpy(few)
        one = Batch(
            {name: those[which.to(those.device)] for name, those in batch.inputs.items()},
            rows=None if batch.rows is None else batch.rows[few],
        )
        scale = model.standardize
        seen = scale(self.read(one, scale, fixed=True)).cpu()
        truth, told = self.wanted(one, scale)[0].cpu(), self.step(model, one)["output"].cpu()
        drawn = {"read": seen, "truth": truth, "told": told[:, : truth.shape[1]]}
        lengths = self.counted(one).sum(1).tolist()
        if data.shape[-1] < FEW:
            yield "steps", "lines", {"plots": [
                {"title": f"Sequence {n + 1}, {names_of(data)[0]}", "lines": [
                    {"label": label, "x": list(range(length)),
                     "y": those[n, :length, 0].tolist()} for label, those in drawn.items()
                ]}
                for n, length in enumerate(lengths)
            ]}  # fmt: skip
        else:
            yield "steps", "images", {"shape": [], "rows": [
                {"label": label, "images": [
                    picture(those[n, : max(length, 1)]) for n, length in enumerate(lengths)
                ]}
                for label, those in drawn.items()
            ]}  # fmt: skip
        yield from super().samples(model, batch, data, scores)


def picture(values: Tensor) -> str:
    """Values (T, D) in standard deviations as a PNG, time to the right, the first feature below;
    two deviations below the mean are black, two above it white."""
    return png((values.T.flip(0)[None] + 2) / 4)


def names_of(data: Data) -> tuple[str, ...]:
    """What the features are called; by their numbers where the data don't say."""
    known = data.items.names if isinstance(data.items, Sequences) else ()
    return known or tuple(f"feature {n + 1}" for n in range(data.shape[-1]))


class StepMeter:
    """The mean squared error over all steps, which is the loss."""

    def __init__(self, task: EachStep) -> None:
        self.task, self.loss = task, Mean()

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        self.loss.add(step["loss"], self.task.weight(batch))

    def compute(self) -> dict[str, Any]:
        return {"loss": float(self.loss), "mse": float(self.loss)}
