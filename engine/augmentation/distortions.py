"""Small changes of whole batches of pictures, on the device where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

KNOTS = 5
"""Of the elastic field along a side."""
IMAGES = 4
"""Dimensions of a batch of pictures."""


@dataclass(frozen=True)
class Distortion:
    """How far pictures are changed, each by itself; all zero changes nothing."""

    turn: float = 0.0
    """Degrees, either way."""
    scale: float = 0.0
    """Larger or smaller by up to this share, each side by itself."""
    slant: float = 0.0
    """Of a row against the next, in shares of the distance between them."""
    shift: float = 0.0
    """Of the side, either way."""
    bend: float = 0.0
    """Standard deviation of a smooth random field that moves each place, in shares of the side
    (Simard et al. 2003)."""

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def apply(self, images: Tensor, rng: np.random.Generator, *, alike: bool = False) -> Tensor:
        """Images (B, C, H, W), changed, all in the same way where they are to be `alike`; beyond
        their edges they go on as they end there."""
        height, width = images.shape[2:]
        count = 1 if alike else len(images)
        turn, slant, *stretch, dx, dy = rng.uniform(-1, 1, (6, count))
        angle = np.deg2rad(self.turn) * turn
        cos, sin = np.cos(angle), np.sin(angle)
        wide, high = (1 + self.scale * s for s in stretch)
        slant = self.slant * slant
        # Rotation · slant · stretch, then what is moved: in grid_sample's units a side is 2 long.
        rows = [
            [cos * wide, (cos * slant - sin) * high, 2 * self.shift * dx],
            [sin * wide, (sin * slant + cos) * high, 2 * self.shift * dy],
        ]
        matrices = torch.from_numpy(np.array(rows).transpose(2, 0, 1)).to(images)
        places = F.affine_grid(matrices, [count, *images.shape[1:]], align_corners=False)
        if self.bend:
            knots = rng.normal(0, 2 * self.bend, (count, 2, KNOTS, KNOTS))
            field = F.interpolate(
                torch.from_numpy(knots).to(images), (height, width), mode="bicubic",
                align_corners=True,
            )  # fmt: skip
            places = places + field.permute(0, 2, 3, 1)
        places = places.expand(len(images), -1, -1, -1)
        return F.grid_sample(images, places, padding_mode="border", align_corners=False)


CHANGES = Distortion(turn=8, scale=0.1, slant=0.1, shift=0.04)
"""From one view of a picture to the next, at most."""


def averaged(embed: Callable[..., Tensor], views: int) -> Callable[..., Tensor]:
    """What gives features, made to give their mean over so many views of a picture: the first as it
    is, the others the same for every picture. Of what isn't a picture there is one view."""

    def looked(*inputs: Tensor, **named: Tensor) -> Tensor:
        found = [embed(*inputs, **named)]
        images = named.get("images", inputs[0] if inputs else None)
        if images is None or images.ndim != IMAGES:
            return found[0]
        for view in range(1, views):
            other = CHANGES.apply(images, np.random.default_rng(view), alike=True)
            found.append(embed(other))
        return torch.stack(found).mean(0)

    return looked
