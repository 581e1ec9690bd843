"""Pictures as networks with published weights were made for."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.models import Standardize


def colours(depth: int) -> int:
    """How many channels a network is fed, for pictures with so many: grey ones in three colours,
    which each have a mean and deviation of their own in what the weights know."""
    return 3 if depth == 1 else depth


def prepared(images: Tensor, standardize: Standardize, size: Sequence[int]) -> Tensor:
    """Images (B, C, H, W) in 0…1, standardized and scaled to that height and width."""
    pictures: Tensor = standardize(images)  # one channel becomes as many as there are means
    if pictures.shape[2:] != (*size,):
        pictures = F.interpolate(pictures, (*size,), mode="bilinear", antialias=True)
    return pictures
