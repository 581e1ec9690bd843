"""What convolutions look for, and what they find."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from engine.catalog import Help, Hidden, Range
from engine.compression.int8 import Conv2d
from engine.explanations import Explanation
from engine.explanations.subject import Subject
from engine.pictures import png

SHOWN = 64
"""Filters and maps that are shown of a layer."""
COLOURS = (1, 3)
"""Input channels with which a filter can be seen as a picture."""
FEATURES = 64
"""Features of a sequence with which a filter can: features down, steps across."""
OBLONG = 8
"""So many times as wide as high is a map of steps drawn."""


Convolution = nn.Conv1d | Conv2d


class FeatureMaps(
    Explanation, label="Filters and feature maps", rank=60,
    fits={"image", "audio", "sequence", "text"},
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
        return any(isinstance(one, Convolution) for one in subject.model.modules())

    def of(self, subject: Subject) -> dict[str, Any]:
        told: list[tuple[str, Convolution, Tensor]] = []
        names = {module: name for name, module in subject.model.named_modules()}

        def hook(module: nn.Module, _: Any, maps: Tensor) -> None:
            assert isinstance(module, Convolution)
            told.append((names[module], module, maps[0].float().cpu()))

        handles = [one.register_forward_hook(hook) for one in names if isinstance(one, Convolution)]
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
        if flat := isinstance(convolution, nn.Conv1d):
            # What a filter of words weighs are numbers of embeddings: nothing to be seen.
            visible = spectrum and layer == 1 and convolution.in_channels <= FEATURES
            kernels, maps = kernels[:, None], drawn_out(maps)
        else:
            visible = convolution.in_channels in COLOURS and min(kernels.shape[2:]) > 1
        visible = visible and convolution.groups == 1
        lies = spectrum and not flat
        return {"maps": {
            "layers": [f"{name} · {module.out_channels} × {' × '.join(map(str, one.shape[1:]))}"
                       for name, module, one in told],
            "layer": layer, "count": len(maps),
            "filters": [png(turned(scaled(one), lies)) for one in kernels] if visible else [],
            "maps": [png(turned(stretched(one), lies)[None]) for one in maps[:SHOWN]],
        }}  # fmt: skip


def drawn_out(maps: Tensor) -> Tensor:
    """Maps of steps (C, L) as strips (C, H, L)."""
    high = -(-maps.shape[1] // OBLONG)
    return maps[:, None].expand(-1, high, -1)


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
