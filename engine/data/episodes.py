"""Batches for learning to compare: a few items of each of a few classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.augmentation.distortions import Distortion
from engine.data.batches import Data, Feed
from engine.data.splits import Rows, Split


class Episodes(Feed):
    """Episodes of a split: each of `way` classes drawn anew, and of each `items` drawn anew.

    What is drawn depends only on (seed, epoch, number of the episode). There are `episodes` of them
    in an epoch. With `turns`, each class of an episode is turned by a multiple of 90° of its own,
    so that a class gives four (Vinyals et al. 2016); `distortion` changes each picture by itself.
    """

    def __init__(
        self, data: Data, split: Split, *, way: int, items: int, episodes: int,
        turns: bool = False, distortion: Distortion | None = None, **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(data, split, **how)
        assert self.labels is not None
        labels = self.labels[self.rows]
        members = (self.rows[labels == label] for label in np.unique(labels))
        # Of one item alone nothing can be told: with what would it be compared?
        self.members = [rows for rows in members if len(rows) > 1]
        self.way, self.each, self.episodes = min(way, len(self.members)), items, episodes
        self.turns, self.distortion = turns, distortion or Distortion()

    def __len__(self) -> int:
        return self.episodes

    def order(self, epoch: int) -> Sequence[Rows]:
        """The rows of each episode, class after class."""
        return [self._draw(np.random.default_rng((self.seed, epoch, number, 2)))
                for number in range(self.episodes)]  # fmt: skip

    def _draw(self, rng: np.random.Generator) -> Rows:
        chosen = rng.choice(len(self.members), self.way, replace=False).tolist()
        parts = [self.members[i] for i in chosen]
        return np.concatenate([
            rng.choice(rows, min(self.each, len(rows)), replace=False) for rows in parts
        ])  # fmt: skip

    def inputs(self, rows: Rows, epoch: int, number: int) -> dict[str, Tensor]:
        inputs = super().inputs(rows, epoch, number)
        if "images" not in inputs:
            return inputs
        images = inputs["images"]
        rng = np.random.default_rng((self.seed, epoch, number, 3))
        if self.turns:
            assert self.labels is not None
            _, classes = np.unique(self.labels[rows], return_inverse=True)
            # What isn't square can only be turned upside down.
            step = 1 if images.shape[2] == images.shape[3] else 2
            turns = torch.from_numpy(rng.integers(0, 4 // step, classes.max() + 1)[classes] * step)
            images = turned(images, turns.to(images.device))
        if self.distortion:
            images = self.distortion.apply(images, rng)
        return inputs | {"images": images}


def turned(images: Tensor, turns: Tensor) -> Tensor:
    """Images (B, C, H, W), each turned by its number (B,) of right angles."""
    result = images.clone()
    for quarter in (1, 2, 3):
        chosen = turns == quarter
        if chosen.any():
            result[chosen] = images[chosen].rot90(quarter, (2, 3))
    return result
