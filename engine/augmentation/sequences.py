"""How training sequences are varied; what is padding stays padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.augmentation.mixing import Mixing, Pairing

STRETCHES = 4
"""Parts of a sequence that get a pace of their own each."""


@dataclass(frozen=True)
class SequenceVariation:
    """How far training sequences are changed, each by itself; as it stands, not at all."""

    jitter: float = 0.0
    """Noise is added to each value, of so many standard deviations of its feature in the sequence
    (Um et al. 2017)."""
    scale: float = 0.0
    """Standard deviation of the factor about 1 by which each feature is multiplied (Um et al.
    2017)."""
    warp: float = 0.0
    """Parts become slower and others faster: standard deviation of the logarithm of a part's pace.
    The length stays (Um et al. 2017)."""
    slice: float = 1.0
    """A window of at least this share of the steps is taken (Le Guennec et al. 2016)."""
    mixing: Mixing = Mixing()  # noqa: RUF009, it is frozen

    def __bool__(self) -> bool:
        """Whether anything but mixing is done."""
        return bool(self.jitter or self.scale or self.warp or self.slice < 1)

    def of(
        self, values: Tensor, lengths: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Sequences (B, longest, D), zeros behind them, and their lengths (B,), varied."""
        device, count = values.device, len(values)

        def on_device(numbers: np.ndarray) -> Tensor:
            return torch.from_numpy(numbers.astype(np.float32)).to(device)

        if self.slice < 1 or self.warp:
            share = on_device(rng.uniform(self.slice, 1, count))
            kept = (lengths * share).ceil().long().clamp(min=1)
            first = (on_device(rng.random(count)) * (lengths - kept + 1)).long()
            steps = torch.arange(int(kept.max()), device=device).expand(count, -1)
            if self.warp:
                paces = on_device(rng.normal(0, self.warp, (count, STRETCHES))).exp()
                last = (kept - 1)[:, None]
                steps = warped(steps / last.clamp(min=1), paces) * last
            values, lengths = read_at(values, first[:, None] + steps, first + kept), kept
        real = (torch.arange(values.shape[1], device=device) < lengths[:, None])[..., None]
        if self.jitter:
            lots = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
            noise = torch.randn(values.shape, generator=lots, device=device)
            mean = (values * real).sum(1, keepdim=True) / lengths[:, None, None]
            square = ((values - mean).square() * real).sum(1, keepdim=True)
            noise = noise * (square / lengths[:, None, None]).sqrt() * self.jitter
            values = values + noise
        if self.scale:
            factors = rng.normal(1, self.scale, (count, 1, values.shape[2]))
            values = values * on_device(factors)
        return values * real, lengths


def warped(along: Tensor, paces: Tensor) -> Tensor:
    """Places (B, T) in 0…1 such that each part of the way has its pace (B, parts); 0 and 1 stay."""
    parts = paces.shape[1]
    ends = torch.nn.functional.pad((paces / paces.sum(1, keepdim=True)).cumsum(1), (1, 0))
    where = (along * parts).clamp(0, parts)
    part = where.long().clamp(max=parts - 1)
    before, after = ends.gather(1, part), ends.gather(1, part + 1)
    return (before + (after - before) * (where - part)).clamp(0, 1)


def read_at(values: Tensor, places: Tensor, lengths: Tensor) -> Tensor:
    """Values (B, T, D) between their steps: at places (B, longest), none beyond the last of an
    item's `lengths`."""
    last = (lengths - 1)[:, None]
    places = torch.minimum(places.clamp(min=0), last.to(places))
    before = places.long()
    after = torch.minimum(before + 1, last)
    each = torch.arange(len(values), device=values.device)[:, None]
    share = (places - before)[..., None]
    return values[each, before] * (1 - share) + values[each, after] * share


def blended(values: Tensor, lengths: Tensor, pairing: Pairing) -> Tensor:
    """Each sequence with its partner, which is made as long as it is: λ : 1 − λ."""
    partners, shares, _ = pairing.to(values.device)
    steps = torch.arange(values.shape[1], device=values.device)
    theirs = lengths[partners]
    along = steps / (lengths - 1).clamp(min=1)[:, None]
    others = read_at(values[partners], along * (theirs - 1)[:, None], theirs)
    real = (steps < lengths[:, None])[..., None]
    return torch.lerp(others, values, shares[:, None, None]) * real
