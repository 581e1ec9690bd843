"""Datasets that a person brought in."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from engine.catalog import Help, Hidden, Range
from engine.data.arrays import Stored
from engine.data.batches import Data, Images, Sequences
from engine.datasets import Dataset, Flip, Shift
from engine.home import Home

Number = Annotated[int, Range(1, 2**31 - 1), Hidden(), Help("Which of the imported datasets")]


def opened(stored: Stored, items: Images | Sequences) -> Data:
    """A stored dataset as a run takes it."""
    return Data(
        items=items, labels=stored.labels, classes=stored.classes,
        splits={split: np.arange(start, stop, dtype=np.int64)
                for split, (start, stop) in stored.manifest.splits.items()},
        fingerprint=stored.fingerprint, source=stored.manifest.source,
    )  # fmt: skip


class ImportedImages(Dataset, label="Imported pictures", provides={"image", "label"}, hidden=True):
    """Pictures in one folder a class, decoded once when they were brought in."""

    def __init__(self, *, id: Number, shift: Shift = 2, flip: Flip = True) -> None:
        self.id, self.shift, self.flip = id, shift, flip

    def open(self, home: Home) -> Data:
        stored = Stored(home.dataset(self.id))
        return opened(stored, Images(stored.inputs, shift=self.shift, flip=self.flip))


class ImportedSequences(
    Dataset, label="Imported sequences", provides={"sequence", "label"}, hidden=True
):
    """Labelled sequences of numbers, of any length."""

    def __init__(self, *, id: Number) -> None:
        self.id = id

    def open(self, home: Home) -> Data:
        stored = Stored(home.dataset(self.id))
        assert stored.offsets is not None
        return opened(stored, Sequences(stored.inputs, stored.offsets))
