"""Which items are trained on, which choose the best checkpoint, and which are kept for the end."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FEWEST = 3
"""Items that a class needs so that each split can have one."""


def stratified(
    labels: Rows, *, seed: int, validation: float = 0.1, test: float = 0.1
) -> dict[Split, Rows]:
    """Rows for each split, every class in the same proportion, the same for the same seed.

    A share above zero gives at least one item of each class that has `FEWEST` or more. Rows
    are in ascending order within a split.
    """
    parts: dict[Split, list[Rows]] = {split: [np.zeros(0, np.int64)] for split in SPLITS}
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.random.default_rng((seed, int(label))).permutation(len(rows))]
        held, tested = _share(len(rows), validation), _share(len(rows), test)
        tested = min(tested, max(0, len(rows) - held - 1))  # something is left to train on
        parts["test"].append(rows[:tested])
        parts["validation"].append(rows[tested : tested + held])
        parts["train"].append(rows[tested + held :])
    return {split: np.sort(np.concatenate(rows)) for split, rows in parts.items()}


def _share(count: int, share: float) -> int:
    least = 1 if share > 0 and count >= FEWEST else 0
    return max(least, round(count * share))
