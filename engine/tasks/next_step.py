"""What comes at the next step?"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from engine.catalog import BadInput, Help, Range
from engine.data.batches import Batch, Data
from engine.models import Standardize, Stepper
from engine.tasks import inside
from engine.tasks.each_step import EachStep, names_of


class NextStep(
    EachStep, label="Next step", fits={"steps"}, rank=66, judges="errors",
    suggests={"data": "MnistRows", "method.epochs": 20},
):  # fmt: skip
    """Learns without labels to tell, at each step of a sequence or a sound, the values to come.

    Every place is told from those before it at once (teacher forcing); of spectra, some steps
    ahead, where neighbours are nearly the same (Chung et al. 2019). A start for telling sequences
    and sounds apart with the same model.
    """

    def __init__(
        self,
        *,
        ahead: Annotated[
            int, Range(1, 100),
            Help("Which of the coming steps is told: a later one where neighbours are alike, as in "
                 "sound", unit="steps"),
        ] = 1,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.ahead = ahead

    def view(self, data: Data) -> Data:
        for split, rows in data.splits.items():
            lengths = data.fed.lengths(rows)
            if lengths is None:
                inputs = data.fed.gather(rows[:1], torch.device("cpu"), None)
                lengths = inputs["lengths"].numpy()
            if len(rows) and lengths.max() <= self.ahead:
                raise BadInput(f"No sequence of the {split} split has more than {self.ahead} "
                               "steps: tell nearer ones", field="task.ahead")  # fmt: skip
        return data

    def read(self, batch: Batch, scale: Standardize, *, fixed: bool) -> Tensor:
        return batch.inputs["values"]

    def wanted(self, batch: Batch, scale: Standardize) -> tuple[Tensor, Tensor]:
        return scale(batch.inputs["values"][:, self.ahead :]), self.counted(batch)

    def counted(self, batch: Batch) -> Tensor:
        longest = batch.inputs["values"].shape[1]
        return inside(batch.inputs["lengths"] - self.ahead, max(longest - self.ahead, 0))

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        return self.measured(data, "the last value") | super().baselines(data)

    def show(
        self, model: Stepper, batch: Batch, data: Data, *,
        steps: Annotated[
            int, Range(1, 500), Help("So far it goes on, reading what it told itself")
        ] = 12,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """``{"forecast": (steps, D), "context": what was read, "features": names}``; BadInput where
        that is too short for a model that tells a later step."""
        shown, scale = [], model.standardize
        for values, length in zip(
            batch.inputs["values"], batch.inputs["lengths"].tolist(), strict=True
        ):
            known = read = values[:length]
            if length < self.ahead:
                raise BadInput(f"It tells the values {self.ahead} steps ahead: give so many at "
                               "least")  # fmt: skip
            while len(known) < length + steps:
                lengths = torch.tensor([len(known)], device=values.device)
                moved = model.steps(known[None], lengths).float() * scale.std
                # The last places tell as many steps that aren't known yet.
                known = torch.cat([known, (known[None] + moved)[0, -self.ahead :]])
            shown.append({
                "forecast": known[length : length + steps].tolist(), "context": read.tolist(),
                "features": list(names_of(data)), "note": "",
            })  # fmt: skip
        return shown
