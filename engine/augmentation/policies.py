"""RandAugment and TrivialAugment for whole batches: every picture draws operations of its own.

torchvision's transforms draw one operation for all that they are given. Here the pictures that
drew the same one are changed together, each by its own strength; the operations and how strong
they get are torchvision's (`torchvision.transforms.v2.RandAugment`, `TrivialAugmentWide`), but
for slants, which are about the middle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.augmentation.views import LUMINANCE

PolicyName = Literal["none", "RandAugment", "TrivialAugment"]

BINS = 30
"""The strongest; 0 is the weakest."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Strengths:
    """What each operation reaches at the strongest bin."""

    slant: float
    """Of a row against the next, in shares of the distance between them."""
    turn: float
    """Degrees."""
    enhance: float
    """Brightness, colour, contrast and sharpness are multiplied by 1 ± this."""
    bits: int
    """So many of a colour's eight are left out."""
    far: Callable[[int], float]
    """Pixels that a picture of such a side is moved."""


STRENGTHS: dict[str, Strengths] = {
    "RandAugment": Strengths(0.3, 30, 0.9, 4, lambda side: 150 / 331 * side),
    # Its 32 pixels are those of a picture of 32.
    "TrivialAugment": Strengths(0.99, 135, 0.99, 6, lambda side: min(32, side)),
}


# --- operations on pictures (B, C, H, W) in 0…1, each by its own strength (B,) ----------------


def brightened(images: Tensor, factors: Tensor) -> Tensor:
    return (images * _each(factors)).clamp(0, 1)


def coloured(images: Tensor, factors: Tensor) -> Tensor:
    return _between(grey(images), images, factors)


def contrasted(images: Tensor, factors: Tensor) -> Tensor:
    return _between(grey(images).mean((1, 2, 3), keepdim=True), images, factors)


def sharpened(images: Tensor, factors: Tensor) -> Tensor:
    if min(images.shape[2:]) <= 2:
        return images
    soft = images.clone()
    # The kernel's nine weights are 1, but 5 in the middle; what lies on the edge stays.
    soft[:, :, 1:-1, 1:-1] *= 4 / 13
    soft[:, :, 1:-1, 1:-1] += F.avg_pool2d(images, 3, 1) * (9 / 13)
    return _between(soft, images, factors)


def posterized(images: Tensor, bits: Tensor) -> Tensor:
    """Only so many bits of eight are kept, the highest."""
    steps = _each(2 ** (8 - bits.float()))
    return ((images * 255).round() / steps).floor() * steps / 255


def solarized(images: Tensor, thresholds: Tensor) -> Tensor:
    """What is as bright as its threshold is turned to its negative."""
    return torch.where(images >= _each(thresholds), 1 - images, images)


def stretched(images: Tensor, strengths: Tensor) -> Tensor:
    """The darkest of each channel becomes black, the brightest full."""
    from torchvision.transforms.v2 import functional as V  # noqa: N812  takes a second

    found: Tensor = V.autocontrast(images)
    return found


def equalized(images: Tensor, strengths: Tensor) -> Tensor:
    """Each channel's brightnesses become as frequent as one another."""
    from torchvision.transforms.v2 import functional as V  # noqa: N812  takes a second

    found: Tensor = V.equalize(images)
    return found


def grey(images: Tensor) -> Tensor:
    """Luminance (B, 1, H, W)."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    return torch.einsum("bchw,c->bhw", images, images.new_tensor(LUMINANCE))[:, None]


def moved(images: Tensor, matrices: Tensor) -> Tensor:
    """Each picture read where its matrix (2, 3) says, in pixels from the middle; black beyond."""
    height, width = images.shape[2:]
    scale = matrices.new_tensor([[1, height / width, 2 / width], [width / height, 1, 2 / height]])
    grid = F.affine_grid(matrices * scale, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _each(strengths: Tensor) -> Tensor:
    return strengths[:, None, None, None]


def _between(other: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    """0 is the other, 1 the picture itself; beyond, further away from the other."""
    return (other + (images - other) * _each(factors)).clamp(0, 1)


# --- policies ---------------------------------------------------------------------------------

GEOMETRY = ("slant x", "slant y", "move x", "move y", "turn")
COLOUR: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "brightness": (brightened, "enhance"), "colour": (coloured, "enhance"),
    "contrast": (contrasted, "enhance"), "sharpness": (sharpened, "enhance"),
    "posterize": (posterized, "bits"), "solarize": (solarized, "threshold"),
    "autocontrast": (stretched, "threshold"), "equalize": (equalized, "threshold"),
}  # fmt: skip
OPERATIONS = ("nothing", *GEOMETRY, *COLOUR)


@dataclass(frozen=True)
class Policy:
    """RandAugment (Cubuk et al. 2020): so many operations a picture, all of one magnitude.
    TrivialAugment (Müller & Hutter 2021): one, of any."""

    name: PolicyName = "none"
    operations: int = 2
    magnitude: int = 9

    def __bool__(self) -> bool:
        return self.name != "none"

    def apply(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Pictures (B, C, H, W) in 0…1, changed in place or anew."""
        count = len(images)
        single = self.name == "TrivialAugment"
        for _ in range(1 if single else self.operations):
            chosen = rng.integers(len(OPERATIONS), size=count)
            bins = rng.integers(BINS + 1, size=count) if single else \
                np.full(count, self.magnitude)  # fmt: skip
            signs = rng.choice([-1.0, 1.0], count)
            images = self.changed(images, chosen, bins / BINS, signs)
        return images

    def changed(
        self, images: Tensor, chosen: npt.NDArray[np.int64], shares: Numbers, signs: Numbers
    ) -> Tensor:
        """Each picture changed by its operation, of such a share of the strongest."""
        most = STRENGTHS[self.name]
        values = {
            "enhance": 1 + most.enhance * shares * signs,
            "bits": 8 - np.round(most.bits * shares), "threshold": 1 - shares,
        }  # fmt: skip
        for number, name in enumerate(OPERATIONS):
            places = np.flatnonzero(chosen == number)
            if name not in COLOUR or not len(places):
                continue
            change, strength = COLOUR[name]
            at = torch.from_numpy(places).to(images.device)
            by = torch.from_numpy(values[strength][places]).to(images)
            images[at] = change(images[at], by)
        places = np.flatnonzero((chosen > 0) & (chosen <= len(GEOMETRY)))
        if len(places):
            matrices = self.matrices(chosen[places], shares[places] * signs[places], images.shape)
            at = torch.from_numpy(places).to(images.device)
            images[at] = moved(images[at], torch.from_numpy(matrices).to(images))
        return images

    def matrices(
        self, chosen: npt.NDArray[np.int64], strengths: Numbers, shape: tuple[int, ...]
    ) -> Numbers:
        """Where a picture's places are read, (B, 2, 3) in pixels from the middle, for operations
        of geometry of such strengths in −1…1."""
        height, width = shape[-2:]
        most = STRENGTHS[self.name]

        def by(name: str) -> Numbers:
            return np.where(chosen == OPERATIONS.index(name), strengths, 0.0)

        angle = np.deg2rad(most.turn) * by("turn")
        cos, sin = np.cos(angle), np.sin(angle)
        rows = [
            [cos, most.slant * by("slant x") - sin, most.far(width) * by("move x")],
            [sin + most.slant * by("slant y"), cos, most.far(height) * by("move y")],
        ]
        return np.array(rows).transpose(2, 0, 1)
