"""What networks for pictures are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import nn

from engine.catalog import BadInput
from engine.models import ACTIVATIONS


def large_enough(shape: Sequence[int], side: int, mend: str, *, field: str | None = None) -> None:
    """BadInput with that mend unless both sides of a picture (H, W, C) have so many pixels."""
    height, width, _ = shape
    if min(height, width) < side:
        raise BadInput(f"Pictures of {height}×{width} pixels are too small, each side needs {side} "
                       f"at least: {mend}", field=field)  # fmt: skip


def normed(
    depth: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution with half padding and batch normalization, which has the only bias."""
    return nn.Sequential(
        nn.Conv2d(depth, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    )


def strides(side: int) -> Iterator[int]:
    """2 as long as two pixels or more are left of a side so long, then 1.

    So the last map has more than one place: batch normalization can't do with a single number.
    """
    while True:
        stride = 2 if side > 2 else 1
        yield stride
        side = -(-side // stride)


def kaiming(model: nn.Module) -> None:
    """Convolutions as He et al. 2015: signals keep their size through rectifiers."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def halved(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """The sides of a picture and of what is left of it after each of so many halvings; half of an
    odd side is rounded up, so that at least one pixel is left."""
    sides = [(height, width)]
    for _ in range(times):
        height, width = -(-height // 2), -(-width // 2)
        sides.append((height, width))
    return sides


def halving(
    depth: int, channels: Sequence[int], *, activation: str, normed: bool = False
) -> Iterator[nn.Module]:
    """Convolutions of these channels that halve a picture (`halved`), each with its activation, all
    but the first with batch normalization before that where they are to be `normed`."""
    for number, wider in enumerate(channels):
        yield nn.Conv2d(depth, wider, 3, stride=2, padding=1)
        if normed and number:
            yield nn.BatchNorm2d(wider)
        yield ACTIVATIONS[activation]()
        depth = wider


def doubling(
    code: int, channels: Sequence[int], sides: Sequence[tuple[int, int]], *, activation: str,
    normed: bool = False,
) -> nn.Sequential:  # fmt: skip
    """The way back from codes (B, code): maps of the first channels and sides (`halved`, turned
    round), then transposed convolutions of the others, an activation between, and batch
    normalization before that where they are to be `normed`."""
    height, width = sides[0]
    layers: list[nn.Module] = [
        nn.Linear(code, channels[0] * height * width),
        nn.Unflatten(1, (channels[0], height, width)),
    ]
    for (before, after), (high, wide) in zip(pairwise(channels), sides[1:], strict=True):
        # A row or column more than twice the last place, where the side is even.
        more = (1 - high % 2, 1 - wide % 2)
        if normed:
            layers.append(nn.BatchNorm2d(before))
        layers += [
            ACTIVATIONS[activation](),
            nn.ConvTranspose2d(before, after, 3, 2, padding=1, output_padding=more),
        ]
    return nn.Sequential(*layers)
