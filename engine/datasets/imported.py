"""Datasets that a person brought in."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

from engine.catalog import Advanced, Help, Hidden, Range, Spectral
from engine.data.arrays import Stored
from engine.data.batches import Data
from engine.data.items import Images, Items, Pairs, Sequences, Texts, Waves
from engine.data.spectra import Listening
from engine.data.splits import SPLITS
from engine.data.upgrade import upgraded
from engine.datasets import (
    Dataset,
    Flip,
    FrequencyMasks,
    Gain,
    Pictures,
    Recordings,
    Series,
    Speed,
    TimeMasks,
    Tokenized,
    Tone,
    Warp,
    Writings,
)
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
    def items(self, stored: Stored) -> Items:
        """Its items, mapped."""


class ImportedImages(
    Pictures, Imported, label="Imported pictures", provides={"image", "label"}, hidden=True
):
    """Pictures, decoded once when they were brought in."""

    def __init__(self, *, flip: Flip = True, **more: Any) -> None:
        super().__init__(flip=flip, **more)

    def items(self, stored: Stored) -> Images:
        return Images(stored.images, self.variation)


class ImportedSequences(
    Series, Imported, label="Imported sequences", provides={"sequence", "label"}, hidden=True
):
    """Sequences of numbers, of any length, with or without labels."""

    def items(self, stored: Stored) -> Sequences:
        return Sequences(
            stored.ragged("values"), stored.series, stored.manifest.features, self.variation
        )


class ImportedText(
    Writings, Imported, label="Imported texts", provides={"text", "label"}, hidden=True,
):  # fmt: skip
    """Texts, with or without labels."""

    def items(self, stored: Stored) -> Texts:
        return Texts(stored.ragged("text"), running=stored.manifest.running)


class ImportedPairs(
    Tokenized, Imported, label="Imported pairs", provides={"pair", "target"}, hidden=True,
):  # fmt: skip
    """Texts and what each becomes: its translation or its summary."""

    def items(self, stored: Stored) -> Pairs:
        return Pairs(stored.ragged("source"), stored.ragged("target"))


class ImportedSound(
    Recordings, Imported, label="Imported recordings", hidden=True,
    provides={"audio", "label", "transcript"},
):  # fmt: skip
    """Recordings with a label or a transcript, resampled once when they were brought in."""

    def __init__(
        self,
        *,
        bands: Annotated[
            int, Range(16, 128), Spectral(),
            Help("Bands of the log-mel spectrum that a model hears", label="Mel bands"),
        ] = 40,
        step: Annotated[
            float, Range(4, 40), Spectral(),
            Help("From one frame of the spectrum to the next", label="Frame step", unit="ms"),
        ] = 10.0,
        window: Annotated[
            float, Range(8, 100), Advanced(), Spectral(),
            Help("The stretch of sound that a frame looks at", label="Frame window", unit="ms"),
        ] = 25.0,
        warp: Warp = 0.15,
        speed: Speed = 0.1,
        gain: Gain = 6.0,
        tone: Tone = 10.0,
        time_masks: TimeMasks = 1,
        frequency_masks: FrequencyMasks = 1,
        lowercase: Annotated[
            bool, Advanced(),
            Help("Read capital letters of transcripts as small ones: they sound alike"),
        ] = True,
        **which: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            warp=warp, speed=speed, gain=gain, tone=tone, time_masks=time_masks,
            frequency_masks=frequency_masks, **which,
        )  # fmt: skip
        self.listening = Listening(bands, step, window, lowercase, self.variation)

    def items(self, stored: Stored) -> Waves:
        assert stored.manifest.rate is not None
        said = stored.ragged("transcripts") if stored.manifest.transcribed else None
        return Waves(stored.ragged("waves"), stored.manifest.rate, said)
