"""Pictures as the patches that they are cut to."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name


def missing(height: int, width: int, side: int) -> tuple[int, int, int, int]:
    """What to add left, right, above and below, as `F.pad` takes it, for whole patches: zeros at
    the right and the lower edge."""
    return (0, -width % side, 0, -height % side)


def cut(images: Tensor, side: int) -> Tensor:
    """The square patches (B, N, C · side²) of images (B, C, H, W), row by row; zeros where there is
    no picture."""
    height, width = images.shape[2:]
    whole = F.pad(images, missing(height, width, side))
    patches = whole.unfold(2, side, side).unfold(3, side, side)  # (B, C, rows, columns, side, side)
    return patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def paste(patches: Tensor, shape: Sequence[int], side: int) -> Tensor:
    """The images (B, C, H, W) of that shape (H, W, C) that `cut` made these patches of."""
    height, width, depth = shape
    rows, columns = -(-height // side), -(-width // side)
    parts = patches.reshape(-1, rows, columns, depth, side, side).permute(0, 3, 1, 4, 2, 5)
    return parts.reshape(-1, depth, rows * side, columns * side)[:, :, :height, :width]
