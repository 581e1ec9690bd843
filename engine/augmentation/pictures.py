"""How training pictures are varied."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.augmentation.mixing import Mixing, Pairing
from engine.augmentation.policies import Policy
from engine.augmentation.views import Views

ERASED = (0.02, 0.33)
"""Shares of a picture that are erased (Zhong et al. 2020)."""
OBLONG = math.log(10 / 3)
"""An erased rectangle is this many times as wide as high, or as high as wide, at most."""


@dataclass(frozen=True)
class PictureVariation:
    """How far training pictures are changed, each by itself; as it stands, not at all."""

    shift: int = 0
    """They are moved by up to this many pixels, zeros moving in."""
    flip: bool = False
    """Half of them are mirrored left to right."""
    views: Views = Views(smallest=1, jitter=0, grey=0)  # noqa: RUF009, it is frozen
    """Resized crops and other colours."""
    policy: Policy = Policy()  # noqa: RUF009
    erase: float = 0.0
    """The share of pictures in which a rectangle becomes black (Zhong et al. 2020)."""
    mixing: Mixing = Mixing()  # noqa: RUF009

    def drawn(
        self, count: int, side: tuple[int, ...], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """How far each picture of a batch moves, (B, 2) rows and columns, and which are
        mirrored."""
        most = [min(self.shift, length - 1) for length in side]
        moves = rng.integers([-m for m in most], [m + 1 for m in most], (count, 2))
        mirrored = rng.random(count) < (0.5 if self.flip else 0.0)
        return moves, mirrored

    def of(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Pictures (B, C, H, W) in 0…1 with all that isn't a move or a mirror."""
        if self.views:
            lots = rng.random((len(images), Views.LOTS), dtype=np.float32)
            images = self.views(images, torch.from_numpy(lots).to(images.device))
        if self.policy:
            images = self.policy.apply(images, rng)
        if self.erase:
            images = erased(images, self.erase, rng)
        return images

    @property
    def more(self) -> bool:
        """Whether there is anything that isn't a move or a mirror."""
        return bool(self.views or self.policy or self.erase)


def erased(images: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Such a share of the pictures with a black rectangle."""
    count, (height, width) = len(images), images.shape[2:]
    chosen = rng.random(count) < share
    area = rng.uniform(*ERASED, count) * height * width
    stretch = np.exp(rng.uniform(-OBLONG, OBLONG, count))
    tall = np.minimum(np.round(np.sqrt(area * stretch)), height) * chosen
    wide = np.minimum(np.round(np.sqrt(area / stretch)), width)
    top = np.floor(rng.random(count) * (height - tall + 1))
    left = np.floor(rng.random(count) * (width - wide + 1))
    edges = np.stack([top, top + tall, left, left + wide], 1)
    return images * ~inside(edges, images)


def inside(edges: npt.NDArray[np.float64], images: Tensor) -> Tensor:
    """(B, 1, H, W), true in each picture's rectangle: edges (B, 4) top, bottom, left, right."""
    # As float32 before they move: Apple's GPUs know no other floats.
    whole = torch.from_numpy(edges.astype(np.float32)).to(images.device)
    top, bottom, left, right = whole.unbind(1)
    ys = torch.arange(images.shape[2], device=images.device)
    xs = torch.arange(images.shape[3], device=images.device)
    rows = (ys >= top[:, None]) & (ys < bottom[:, None])
    columns = (xs >= left[:, None]) & (xs < right[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def mixed(
    images: Tensor, pairing: Pairing, rng: np.random.Generator
) -> tuple[Tensor, npt.NDArray[np.float32]]:
    """Pictures mixed with their partners, and the share (B,) that each really keeps of itself: a
    box that is cut off at an edge covers less than was drawn."""
    partners, shares, cut = pairing.to(images.device)
    others = images[partners]
    result = torch.lerp(others, images, torch.where(cut, 1.0, shares)[:, None, None, None])
    kept = pairing.shares.copy()
    if pairing.cut.any():
        height, width = images.shape[2:]
        half = np.sqrt(1 - pairing.shares.astype(np.float64)) / 2
        y, x = rng.integers(height, size=len(half)), rng.integers(width, size=len(half))
        tall, wide = np.floor(half * height), np.floor(half * width)
        edges = np.stack([
            np.maximum(y - tall, 0), np.minimum(y + tall, height),
            np.maximum(x - wide, 0), np.minimum(x + wide, width),
        ], 1) * pairing.cut[:, None]  # fmt: skip
        result = torch.where(inside(edges, images), others, result)
        covered = (edges[:, 1] - edges[:, 0]) * (edges[:, 3] - edges[:, 2]) / (height * width)
        kept = np.where(pairing.cut, 1 - covered, kept).astype(np.float32)
    return result, kept
