"""Give back what was put in, through a narrow code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help, Only, Range
from engine.corruption import Corruption, CorruptionName
from engine.data.batches import Batch, Data
from engine.data.splits import evenly
from engine.models import Coder
from engine.pictures import png
from engine.tasks import Meter, Portable
from engine.tasks.probing import Probed

Loss = Literal["binary cross-entropy", "half squared error"]
SHOWN = 10


class Reconstruction(
    Probed, label="Reconstruction", fits={"reconstruction"}, needs={"image"}, rank=60,
    judges="errors", suggests={"data.shift": 0},
):  # fmt: skip
    """Learns without labels to squeeze pictures into a short code and to draw them again.

    Where the pictures are corrupted first, it learns to mend them (denoising autoencoders, Vincent
    et al. 2010), for which it must know what pictures look like: a start for other tasks.
    """

    headline = "mse"
    larger_is_better = False
    augments = frozenset[str]()
    points = "codes"

    def __init__(
        self,
        *,
        loss: Annotated[
            Loss, Help("Cross-entropy treats a pixel as a probability; half squared error is "
                       "½‖x − D(E(x))‖²")
        ] = "binary cross-entropy",
        corruption: Annotated[
            CorruptionName,
            Help("What is done to a picture before the model sees it; it is to draw the clean one")
        ] = "none",
        strength: Annotated[
            float, Range(0.01, 1, step=0.01),
            Only("corruption", "Gaussian noise", "masking", "salt and pepper"),
            Help("The noise's standard deviation, where a pixel is 0…1, or the share of the "
                 "picture that is hit"),
        ] = 0.4,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.loss = LOSSES[loss]
        self.corruption = Corruption(corruption, strength)

    def outputs(self, data: Data) -> int:
        """None: the way back gives the pictures."""
        return 0

    def step(self, model: Coder, batch: Batch) -> dict[str, Tensor]:
        images = batch.inputs["images"]
        logits = model.decode(model.encode(self.seen(model, batch))).float()
        return {"loss": self.loss(logits, images), "output": logits}

    def seen(self, model: Coder, batch: Batch) -> Tensor:
        """The pictures as the model sees them: by chance while it trains, else always the same."""
        return self.corruption.of(batch, fixed=not getattr(model, "training", False))

    def features(self, model: Coder, batch: Batch) -> Tensor:
        return model.encode(batch.inputs["images"])

    def meter(self, model: Coder, data: Data, *, final: bool = False) -> Meter:
        return self.probed(ErrorMeter(), model, data, final=final)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """The training mean, and 8 and 32 principal components of what the model sees; what it
        sees itself, where that is corrupted; and those of the probe."""
        # As many pictures as fit into 256 MB of float32: a share tells as much.
        most = min(20_000, 2**26 // math.prod(data.shape))
        known, asked = (evenly(rows, most) for rows in (data.splits["train"], data.splits["test"]))
        learned, tested = (
            Batch(data.fed.gather(rows, torch.device("cpu"), None), rows=rows)
            for rows in (known, asked)
        )
        seen = self.corruption.of(tested, fixed=True).flatten(1)
        train, test = (batch.inputs["images"].flatten(1) for batch in (learned, tested))
        mean = train.mean(0)
        found = {"the mean picture": {"mse": float((test - mean).square().mean())}}
        if self.corruption:
            found["the corrupted picture"] = {"mse": float((test - seen).square().mean())}
        for components in (8, 32):
            if components < min(train.shape):
                axes = torch.pca_lowrank(train - mean, components, center=False, niter=4)[2]
                rebuilt = (seen - mean) @ axes @ axes.T + mean
                name = f"{components} principal components"
                found[name] = {"mse": float((test - rebuilt).square().mean())}
        return found | super().baselines(data)

    def samples(
        self, model: Coder, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        images = batch.inputs["images"]
        seen = self.seen(model, batch)[:SHOWN]
        rebuilt = model.decode(model.encode(seen)).float().sigmoid()
        rows = {"original": images[:SHOWN]}
        if self.corruption:
            rows["corrupted"] = seen
        yield "reconstructions", "images", {
            "shape": list(data.shape),
            "rows": [
                {"label": label, "images": [png(image) for image in those]}
                for label, those in {**rows, "reconstruction": rebuilt}.items()
            ],
        }  # fmt: skip
        yield from super().samples(model, batch, data, scores)

    def portable(self, model: Coder, data: Data) -> Portable:
        """The picture again, and its code."""

        def of(images: Tensor) -> tuple[Tensor, Tensor]:
            code = model.encode(images)
            return model.decode(code).sigmoid(), code

        return Portable(("images",), ("reconstruction", "code"), of, "picture")

    def show(
        self, model: Coder, batch: Batch, data: Data, *,
        corrupted: Annotated[
            bool, Help("Corrupts the picture as in training, where the run did so",
                       label="Corrupt it first")
        ] = False,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """``{"reconstruction": PNG, "error": its mean squared error}``, and ``corrupted``, the PNG
        of what the model saw where that isn't the picture itself."""
        images = batch.inputs["images"]
        seen = self.seen(model, batch) if corrupted else images
        output = model.decode(model.encode(seen)).float().sigmoid()
        errors = (output - images).square().flatten(1).mean(1)
        shown = corrupted and self.corruption
        return [
            {"reconstruction": png(rebuilt), "error": float(error)}
            | ({"corrupted": png(worse)} if shown else {})
            for rebuilt, error, worse in zip(output, errors, seen, strict=True)
        ]


def _half_squared_error(logits: Tensor, images: Tensor) -> Tensor:
    """½‖x − D(E(x))‖², summed over a picture's pixels, averaged over the batch."""
    return 0.5 * (logits.sigmoid() - images).square().flatten(1).sum(1).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    # The mean over pixels, from logits: log σ without rounding near 0 and 1.
    "binary cross-entropy": F.binary_cross_entropy_with_logits,
    "half squared error": _half_squared_error,
}


class ErrorMeter:
    """Loss and mean squared error a pixel."""

    def __init__(self) -> None:
        self.loss: Tensor | float = 0.0
        self.error: Tensor | float = 0.0
        self.items = 0

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        error = (
            (step["output"].sigmoid() - batch.inputs["images"]).square().flatten(1).mean(1).sum()
        )
        self.loss = self.loss + step["loss"].detach().float() * len(batch)
        self.error = self.error + error.float()
        self.items += len(batch)

    def compute(self) -> dict[str, Any]:
        mse = float(self.error) / self.items
        return {"loss": float(self.loss) / self.items, "mse": mse, "rmse": float(np.sqrt(mse))}
