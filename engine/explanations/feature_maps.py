"""What convolutions look for, and what they find."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from engine.catalog import Help, Hidden, Range
from engine.explanations import Explanation
from engine.explanations.subject import Subject
from engine.pictures import png

SHOWN = 64
"""Filters and maps that are shown of a layer."""
COLOURS = (1, 3)
"""Input channels with which a filter can be seen as a picture."""


class FeatureMaps(
    Explanation, label="Filters and feature maps", fits={"image", "audio"}, rank=60,
):  # fmt: skip
    """What each filter of a convolution looks for, and where in this item it finds it.

    Filters can only be seen where they look at the item itself: in the first layer. A filter's
    grey is zero; a map's white is where the filter answers the most.
    """

    def __init__(
        self,
        *,
        layer: Annotated[
            int | None, Range(1, 1000), Hidden(), Help("Counted from the input", empty="the first")
        ] = None,
    ) -> None:
        self.layer = layer

    @classmethod
    def suits(cls, subject: Subject) -> bool:
        return any(isinstance(one, nn.Conv2d) for one in subject.model.modules())

    def of(self, subject: Subject) -> dict[str, Any]:
        told: list[tuple[str, nn.Conv2d, Tensor]] = []
        names = {module: name for name, module in subject.model.named_modules()}

        def hook(module: nn.Module, _: Any, maps: Tensor) -> None:
            assert isinstance(module, nn.Conv2d)
            told.append((names[module], module, maps[0].float().cpu()))

        handles = [one.register_forward_hook(hook) for one in names if isinstance(one, nn.Conv2d)]
        try:
            with torch.inference_mode():
                subject.read()
        finally:
            for handle in handles:
                handle.remove()
        layer = min(self.layer or 1, len(told))
        _, convolution, maps = told[layer - 1]
        spectrum = "values" in subject.batch.inputs
        with torch.inference_mode():
            kernels = convolution.weight.detach().float().cpu()[:SHOWN]
        visible = convolution.in_channels in COLOURS and convolution.groups == 1
        visible = visible and min(kernels.shape[2:]) > 1
        return {"maps": {
            "layers": [f"{name} · {module.out_channels} × {' × '.join(map(str, one.shape[1:]))}"
                       for name, module, one in told],
            "layer": layer, "count": len(maps),
            "filters": [png(turned(scaled(one), spectrum)) for one in kernels] if visible else [],
            "maps": [png(turned(stretched(one), spectrum)[None]) for one in maps[:SHOWN]],
        }}  # fmt: skip


def scaled(kernel: Tensor) -> Tensor:
    """Weights around the middle grey, which is zero."""
    return kernel / kernel.abs().max().clamp(min=1e-12) / 2 + 0.5


def stretched(values: Tensor) -> Tensor:
    """The smallest black, the largest white."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp(min=1e-12)


def turned(values: Tensor, spectrum: bool) -> Tensor:
    """(…, T, bands) with time to the right and the high bands above."""
    return values.transpose(-1, -2).flip(-2) if spectrum else values
