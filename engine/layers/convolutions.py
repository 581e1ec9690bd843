"""What networks for pictures are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from engine.catalog import BadInput


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
