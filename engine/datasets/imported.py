"""Datasets that a person brought in."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

from engine.catalog import Help, Hidden, Range
from engine.data.arrays import Stored
from engine.data.batches import Data, Images, ItemsOnHost, Pairs, Sequences, Texts, Waves
from engine.data.splits import SPLITS
from engine.data.upgrade import upgraded
from engine.datasets import Dataset, Flip, Shift
from engine.home import Home

Number = Annotated[int, Range(1, 2**31 - 1), Hidden(), Help("Which of the imported datasets")]
VersionNumber = Annotated[
    int, Range(1, 2**31 - 1), Hidden(), Help("Which version of it: old ones stay as they were")
]


class Imported(Dataset):
    """A dataset of the home folder, in one of its versions."""

    def __init__(self, *, id: Number, version: VersionNumber = 1) -> None:
        self.id, self.version = id, version

    def stored(self, home: Home) -> Stored:
        """Its folder, opened in that version."""
        return Stored(upgraded(home.dataset(self.id)), self.version)

    def open(self, home: Home) -> Data:
        return self.data(self.stored(home))

    def data(self, stored: Stored) -> Data:
        """What was opened, as a run takes it."""
        return Data(
            items=self.items(stored), labels=stored.labels, classes=stored.classes,
            splits={split: stored.rows(split) for split in SPLITS},
            fingerprint=stored.version.fingerprint, source=stored.manifest.source,
            licence=stored.manifest.licence,
        )  # fmt: skip

    @abstractmethod
    def items(self, stored: Stored) -> ItemsOnHost:
        """Its items, mapped."""


class ImportedImages(Imported, label="Imported pictures", provides={"image", "label"}, hidden=True):
    """Pictures, decoded once when they were brought in."""

    def __init__(self, *, shift: Shift = 2, flip: Flip = True, **which: Any) -> None:
        super().__init__(**which)
        self.shift, self.flip = shift, flip

    def items(self, stored: Stored) -> Images:
        return Images(stored.images, shift=self.shift, flip=self.flip)


class ImportedSequences(
    Imported, label="Imported sequences", provides={"sequence", "label"}, hidden=True
):
    """Labelled sequences of numbers, of any length."""

    def items(self, stored: Stored) -> Sequences:
        return Sequences(stored.ragged("values"))


class ImportedText(Imported, label="Imported texts", provides={"text", "label"}, hidden=True):
    """Texts, with or without labels."""

    def items(self, stored: Stored) -> Texts:
        return Texts(stored.ragged("text"))


class ImportedPairs(Imported, label="Imported pairs", provides={"pair", "target"}, hidden=True):
    """Texts and what each becomes: its translation or its summary."""

    def items(self, stored: Stored) -> Pairs:
        return Pairs(stored.ragged("source"), stored.ragged("target"))


class ImportedSound(
    Imported, label="Imported recordings", provides={"audio", "label", "transcript"}, hidden=True
):
    """Recordings with a label or a transcript, resampled once when they were brought in."""

    def items(self, stored: Stored) -> Waves:
        assert stored.manifest.rate is not None
        said = stored.ragged("transcripts") if stored.manifest.transcribed else None
        return Waves(stored.ragged("waves"), stored.manifest.rate, said)
