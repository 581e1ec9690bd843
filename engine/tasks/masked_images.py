"""What was in the patches that are covered?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from engine.catalog import Advanced, Help, Range
from engine.chance import lots
from engine.data.batches import Batch, Data
from engine.data.items import Images
from engine.data.splits import evenly
from engine.layers.patches import cut, paste
from engine.models import Completer
from engine.pictures import png
from engine.tasks import Mean, Meter
from engine.tasks.probing import Probed

SHOWN = 10
FLAT = 1e-4
"""Added to a patch's variance: one of a single colour has none, and nothing is to be seen in less
than a hundredth."""
COVER = 0.5
"""How grey a covered patch is shown."""
COMPARED = 1000
"""Pictures that the baseline is measured on."""


class MaskedImages(
    Probed, label="Masked pictures", fits={"masked image"}, needs={"image"}, rank=62,
    judges="errors", suggests={"data.shift": 0},
):  # fmt: skip
    """Learns from pictures without labels to draw what lies under most of their patches (MAE).

    He et al. 2022: three quarters of the patches are covered, and the loss is the squared error
    over those alone. A run of classification with a vision Transformer that starts from this one
    takes over all that reads.
    """

    headline = "loss"
    larger_is_better = False

    def __init__(
        self,
        *,
        share: Annotated[
            float, Range(0.1, 0.95, step=0.05),
            Help("The share of a picture's patches that are covered; little can be learned from "
                 "what the neighbours give away", label="Covered share"),
        ] = 0.75,
        normalized: Annotated[
            bool, Advanced(),
            Help("Draws each patch less its own mean, over its own deviation: better features, but "
                 "what is shown borrows both from the original", label="Normalized patches"),
        ] = True,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.share, self.normalized = share, normalized

    def outputs(self, data: Data) -> int:
        """None: what is drawn has the size of the patches, which the model knows."""
        return 0

    def seen(self, batch: Batch, patches: int, *, fixed: bool) -> tuple[Tensor, Tensor]:
        """Which patches of each picture are seen (B, K), and which are covered (B, N - K): at
        least one of each."""
        order = lots(batch, patches, fixed=fixed).argsort(1)
        many = min(max(round((1 - self.share) * patches), 1), patches - 1)
        return order[:, :many], order[:, many:]

    def equip(self, model: Completer) -> None:
        self.side = model.patch

    def step(self, model: Completer, batch: Batch) -> dict[str, Tensor]:
        """The output is all patches (B, N, pixels) as they were drawn, in 0…1."""
        images = batch.inputs["images"]
        true = cut(images, self.side)
        seen, covered = self.seen(batch, true.shape[1], fixed=not getattr(model, "training", False))
        drawn = model.complete(images, seen).float()
        wanted, mean, deviation = self.wanted(true)
        errors = (drawn - wanted).square().mean(2).gather(1, covered)
        return {"loss": errors.mean(), "output": drawn * deviation + mean}

    def wanted(self, true: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is to be drawn of the true patches (B, N, pixels), and the mean and the deviation
        (B, N, 1) that lead back from it."""
        if not self.normalized:
            return true, true.new_zeros(1), true.new_ones(1)
        variance, mean = torch.var_mean(true, 2, correction=0, keepdim=True)
        deviation = (variance + FLAT).sqrt()
        return (true - mean) / deviation, mean, deviation

    def features(self, model: Completer, batch: Batch) -> Tensor:
        return model.embed(batch.inputs["images"])

    def meter(self, model: Completer, data: Data, *, final: bool = False) -> Meter:
        return self.probed(LossMeter(), model, data, final=final)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """One colour a patch, and those of the probe."""
        assert isinstance(data.items, Images)
        rows = evenly(data.splits["test"], COMPARED)
        true = cut(data.items.gather(rows, torch.device("cpu"), None)["images"], self.side)
        wanted, *_ = self.wanted(true)
        flat = wanted - (0 if self.normalized else true.mean(2, keepdim=True))
        return {"the mean of each patch": {"loss": float(flat.square().mean())},
                **super().baselines(data)}  # fmt: skip

    def samples(
        self, model: Completer, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        places = np.linspace(0, len(batch) - 1, min(SHOWN, len(batch))).astype(int)
        few = Batch({name: tensor[places] for name, tensor in batch.inputs.items()},
                    rows=None if batch.rows is None else batch.rows[places])  # fmt: skip
        covered, filled = self.filled(model, few)
        yield "masked pictures", "images", {
            "shape": list(data.shape),
            "rows": [
                {"label": "original", "images": [png(image) for image in few.inputs["images"]]},
                {"label": "masked", "images": [png(image) for image in covered]},
                {"label": "filled in", "images": [png(image) for image in filled]},
            ],
        }  # fmt: skip
        yield from super().samples(model, batch, data, scores)

    def filled(self, model: Completer, batch: Batch) -> tuple[Tensor, Tensor]:
        """Pictures (B, C, H, W) of which some patches are covered, always the same, with grey; and
        with what the model draws there."""
        images = batch.inputs["images"]
        true, drawn = cut(images, self.side), self.step(model, batch)["output"]
        _, covered = self.seen(batch, true.shape[1], fixed=True)
        hidden = torch.zeros_like(true[:, :, :1]).scatter(1, covered[:, :, None], 1.0).bool()
        shape = (*images.shape[2:], images.shape[1])
        return (
            paste(true.masked_fill(hidden, COVER), shape, self.side),
            paste(torch.where(hidden, drawn, true), shape, self.side),
        )

    def show(self, model: Completer, batch: Batch, data: Data) -> list[dict[str, Any]]:
        images = batch.inputs["images"]
        covered, filled = self.filled(model, batch)
        errors = (filled - images).square().flatten(1).mean(1)
        return [
            {"masked": png(one), "reconstruction": png(other), "error": float(error)}
            for one, other, error in zip(covered, filled, errors, strict=True)
        ]


class LossMeter:
    """The loss, every picture counting the same."""

    def __init__(self) -> None:
        self.loss = Mean()

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        self.loss.add(step["loss"], len(batch))

    def compute(self) -> dict[str, Any]:
        return {"loss": float(self.loss)}
