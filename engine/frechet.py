"""How far drawn pictures are from real ones, without a trained network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.data.batches import Data
from engine.data.splits import Split, evenly
from engine.models import Generator

FEATURES = 64
AT_ONCE = 256
MOST = 2000
"""Pictures of a split that are compared, at most, and as many that a model draws: the distance
falls with their number, so figures can be compared only where it is the same."""


class RandomFeatures(nn.Module):
    """What two convolutions of chance see in pictures: (B, 64).

    Weights of chance still tell textures and shapes apart (Jarrett et al. 2009), and are the same
    for every run, so the figures of runs on the same data can be compared. They are no trained
    network's: such a distance is no Fréchet *Inception* distance, and is not on its scale.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(0)

        def drawn(*sides: int) -> Tensor:
            fan = torch.Size(sides[1:]).numel()
            weights = torch.randn(sides, generator=chance) * (2 / fan) ** 0.5
            # Of mean zero they see edges, and not only how bright a picture is.
            centred: Tensor = weights.flatten(1) - weights.flatten(1).mean(1, keepdim=True)
            return centred.view(sides)

        self.register_buffer("first", drawn(32, channels, 3, 3))
        self.register_buffer("second", drawn(64, 32, 3, 3))
        # What is seen in each sixteenth of a picture, so that it matters where something is.
        self.register_buffer("mixture", drawn(FEATURES, 64 * 16))

    def forward(self, images: Tensor) -> Tensor:
        first, second, mixture = self.buffers()
        states = F.avg_pool2d(F.conv2d(images.float(), first, padding=1).relu(), 2)
        states = F.conv2d(states, second, padding=1).relu()
        seen: Tensor = F.linear(F.adaptive_avg_pool2d(states, 4).flatten(1), mixture)
        return seen


def distance(first: Tensor, second: Tensor) -> float:
    """Of two normal distributions fitted to features (N, F): ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½).

    Fréchet 1957, as Heusel et al. 2017 use it. It is larger for fewer pictures: compare figures of
    as many.
    """
    # On a CPU: not every device has float64.
    first, second = first.detach().cpu().double(), second.detach().cpu().double()
    moved = (first.mean(0) - second.mean(0)).square().sum()
    one, other = (torch.cov(those.T, correction=0) for those in (first, second))
    # The product of two such matrices has the real, positive eigenvalues of a symmetric one.
    root = torch.linalg.eigvals(one @ other).real.clamp(min=0).sqrt().sum()
    return max(float(moved + one.trace() + other.trace() - 2 * root), 0.0)


class Frechet:
    """Collects at most 2,000 of a split's `items` pictures, spread evenly over it, and compares
    with them as many that a model draws."""

    def __init__(self, channels: int, items: int) -> None:
        self.see = RandomFeatures(channels)
        self.seen: list[Tensor] = []
        self.places, self.passed = evenly(np.arange(items), MOST), 0

    def add(self, images: Tensor) -> None:
        """The split's next pictures (B, C, H, W) in 0…1."""
        first, after = np.searchsorted(self.places, (self.passed, self.passed + len(images)))
        wanted = torch.from_numpy(self.places[first:after] - self.passed)
        self.passed += len(images)
        if len(wanted):
            self.seen.append(self.see.to(images.device)(images[wanted.to(images.device)]))

    def of(self, model: Generator) -> float:
        """The distance of what the model draws, from the same chance every time."""
        count, chance = sum(map(len, self.seen)), torch.Generator().manual_seed(0)
        drawn = [
            self.see(model.generate(min(AT_ONCE, count - at), chance))
            for at in range(0, count, AT_ONCE)
        ]
        return distance(torch.cat(drawn), torch.cat(self.seen))

    def between(self, images: Tensor) -> float:
        """The distance of these pictures."""
        return distance(self.see(images), torch.cat(self.seen))


AXES = 32


def baselines(data: Data) -> dict[str, dict[str, float]]:
    """How far real pictures of the training split are from those of the test, which no model is to
    fall below, and pictures of one normal distribution over 32 principal components.

    As many pictures as a model draws for its own figure, where the training split has so many.
    """

    def some(split: Split, most: int) -> Tensor:
        rows = evenly(data.splits[split], most)
        return data.fed.gather(rows, torch.device("cpu"), None)["images"]

    many = min(len(data.splits["test"]), MOST)
    frechet = Frechet(data.shape[-1], many)
    frechet.add(some("test", many))
    train = some("train", many)
    flat = train.flatten(1)
    mean, chance = flat.mean(0), torch.Generator().manual_seed(0)
    _, spread, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    few = min(AXES, len(spread))
    codes = torch.randn(len(train), few, generator=chance) * spread[:few] / len(train) ** 0.5
    drawn = (mean + codes @ axes[:few]).clamp(0, 1).view_as(train)
    return {
        "the training pictures themselves": {"frechet": frechet.between(train)},
        "one normal distribution of pictures": {"frechet": frechet.between(drawn)},
    }
