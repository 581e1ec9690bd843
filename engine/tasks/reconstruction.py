"""Give back what was put in, through a narrow code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help
from engine.data.batches import Batch, Data
from engine.data.items import Images
from engine.models import Coder
from engine.pictures import png
from engine.tasks import Meter
from engine.tasks.probing import Probed

Loss = Literal["binary cross-entropy", "half squared error"]
SHOWN = 10


class Reconstruction(
    Probed, label="Reconstruction", fits={"reconstruction"}, needs={"image"}, rank=60,
):  # fmt: skip
    """Learns without labels to squeeze pictures into a short code and to draw them again."""

    headline = "mse"
    larger_is_better = False
    augments = False
    points = "codes"

    def __init__(
        self,
        *,
        loss: Annotated[
            Loss, Help("Cross-entropy treats a pixel as a probability; half squared error is "
                       "½‖x − D(E(x))‖²")
        ] = "binary cross-entropy",
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.loss = LOSSES[loss]

    def step(self, model: Coder, batch: Batch) -> dict[str, Tensor]:
        images = batch.inputs["images"]
        logits = model.decode(model.encode(images)).float()
        return {"loss": self.loss(logits, images), "output": logits}

    def features(self, model: Coder, batch: Batch) -> Tensor:
        return model.encode(batch.inputs["images"])

    def meter(self, model: Coder, data: Data, *, final: bool = False) -> Meter:
        return self.probed(ErrorMeter(), model, data, final=final)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """The training mean, 8 and 32 principal components, and those of the probe."""
        assert isinstance(data.items, Images)
        # As many pictures as fit into 256 MB of float32: a share tells as much.
        most = min(20_000, 2**26 // math.prod(data.shape))
        train, test = (
            torch.from_numpy(data.items.pixels[data.splits[split][:most]]).flatten(1).float() / 255
            for split in ("train", "test")
        )
        mean = train.mean(0)
        found = {"the mean picture": {"mse": float((test - mean).square().mean())}}
        for components in (8, 32):
            if components < min(train.shape):
                axes = torch.pca_lowrank(train - mean, components, center=False, niter=4)[2]
                rebuilt = (test - mean) @ axes @ axes.T + mean
                name = f"{components} principal components"
                found[name] = {"mse": float((test - rebuilt).square().mean())}
        return found | super().baselines(data)

    def samples(
        self, model: Coder, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        images = batch.inputs["images"]
        codes = model.encode(images[:SHOWN])
        rebuilt = model.decode(codes).float().sigmoid()
        yield "reconstructions", "images", {
            "shape": list(data.shape),
            "rows": [
                {"label": "original", "images": [png(image) for image in images[:SHOWN]]},
                {"label": "reconstruction", "images": [png(image) for image in rebuilt]},
            ],
        }  # fmt: skip
        yield from super().samples(model, batch, data, scores)

    def show(self, model: Coder, batch: Batch, data: Data) -> list[dict[str, Any]]:
        images = batch.inputs["images"]
        output = model(images).float()
        errors = (output - images).square().flatten(1).mean(1)
        return [
            {"reconstruction": png(rebuilt), "error": float(error)}
            for rebuilt, error in zip(output, errors, strict=True)
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
