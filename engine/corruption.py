"""Pictures made worse, for a model to learn from what they were."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.chance import lots, normal
from engine.data.batches import Batch

CorruptionName = Literal["none", "Gaussian noise", "masking", "salt and pepper"]
HOLES = 7
"""Holes side by side fill the shorter side of a picture."""


@dataclass(frozen=True)
class Corruption:
    """What is done to pictures before a model sees them: Vincent et al. 2010, section 3.3.

    `strength` is the standard deviation of noise, in the pictures' own scale of 0…1, or the share
    of a picture that is hidden, or turned black and white.
    """

    name: CorruptionName = "none"
    strength: float = 0.0

    def __bool__(self) -> bool:
        return self.name != "none"

    def of(self, batch: Batch, *, fixed: bool) -> Tensor:
        """The batch's pictures (B, C, H, W) made worse, still in 0…1; those that are `fixed` always
        in the same way (`engine.chance.lots`)."""
        images = batch.inputs["images"]
        if not self:
            return images

        def draw(kind: Kind, salt: int, *shape: int) -> Tensor:
            return kind(batch, math.prod(shape), fixed=fixed, salt=salt).view(-1, *shape)

        return HOW[self.name](images, self.strength, draw)


Kind = Callable[..., Tensor]
Draw = Callable[..., Tensor]
"""Chances (B, channels, height, width): of `lots` or `normal`, a salt, and these three sizes."""


def _noisy(images: Tensor, strength: float, draw: Draw) -> Tensor:
    return (images + strength * draw(normal, 0, *images.shape[1:])).clamp(0, 1)


def _masked(images: Tensor, strength: float, draw: Draw) -> Tensor:
    """Squares turned black: single pixels of small pictures, whose neighbours tell too little."""
    height, width = images.shape[2:]
    side = max(min(height, width) // HOLES, 1)
    hidden = draw(lots, 0, 1, -(-height // side), -(-width // side)) < strength
    hidden = hidden.repeat_interleave(side, 2).repeat_interleave(side, 3)
    return images.masked_fill(hidden[:, :, :height, :width], 0.0)


def _salted(images: Tensor, strength: float, draw: Draw) -> Tensor:
    """Single pixels turned black or white, as many of each."""
    height, width = images.shape[2:]
    hit, white = draw(lots, 0, 1, height, width) < strength, draw(lots, 1, 1, height, width) < 0.5
    return torch.where(hit, white.to(images.dtype), images)


HOW: dict[str, Callable[[Tensor, float, Draw], Tensor]] = {
    "Gaussian noise": _noisy, "masking": _masked, "salt and pepper": _salted,
}  # fmt: skip
