"""Datasets that a person brought in."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

from engine.catalog import Advanced, Help, Hidden, Range
from engine.data.arrays import Stored
from engine.data.batches import Data
from engine.data.items import Images, Items, Pairs, Sequences, Texts, Waves
from engine.data.spectra import Listening, Variation
from engine.data.splits import SPLITS
from engine.data.tokens import Tokenizer
from engine.data.upgrade import upgraded
from engine.datasets import Dataset, Flip, Pictures, Tokenized
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
    Imported, label="Imported sequences", provides={"sequence", "label"}, hidden=True
):
    """Sequences of numbers, of any length, with or without labels."""

    def items(self, stored: Stored) -> Sequences:
        return Sequences(stored.ragged("values"), stored.series, stored.manifest.features)


class ImportedText(
    Tokenized, Imported, label="Imported texts", provides={"text", "label"}, hidden=True,
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
    Imported, label="Imported recordings", provides={"audio", "label", "transcript"}, hidden=True
):
    """Recordings with a label or a transcript, resampled once when they were brought in."""

    def __init__(
        self,
        *,
        bands: Annotated[
            int, Range(16, 128),
            Help("Bands of the log-mel spectrum that a model hears", label="Mel bands"),
        ] = 40,
        step: Annotated[
            float, Range(4, 40),
            Help("From one frame of the spectrum to the next", label="Frame step", unit="ms"),
        ] = 10.0,
        window: Annotated[
            float, Range(8, 100), Advanced(),
            Help("The stretch of sound that a frame looks at", label="Frame window", unit="ms"),
        ] = 25.0,
        warp: Annotated[
            float, Range(0, 0.5, step=0.01),
            Help("Training voices are made higher or lower at random by up to this share: helps "
                 "with voices never heard", label="Random voice"),
        ] = 0.15,
        speed: Annotated[
            float, Range(0, 0.5, step=0.01),
            Help("Training recordings are made slower or faster at random by up to this share",
                 label="Random speed"),
        ] = 0.1,
        gain: Annotated[
            float, Range(0, 40), Advanced(),
            Help("Training recordings are made louder or softer at random by up to this much",
                 label="Random loudness", unit="dB"),
        ] = 6.0,
        tone: Annotated[
            float, Range(0, 40), Advanced(),
            Help("Some frequencies are raised or lowered against others at random by up to this "
                 "much: helps with other microphones", label="Random tone", unit="dB"),
        ] = 10.0,
        noise: Annotated[
            float, Range(0, 70), Advanced(),
            Help("Hiss is added to training recordings at random, from inaudible to so much above "
                 "that", label="Random hiss", unit="dB"),
        ] = 0.0,
        time_masks: Annotated[
            int, Range(0, 8), Advanced(),
            Help("So many stretches of time are hidden in each training recording"),
        ] = 1,
        frequency_masks: Annotated[
            int, Range(0, 8), Advanced(),
            Help("So many runs of bands are hidden in each training recording"),
        ] = 1,
        lowercase: Annotated[
            bool, Advanced(),
            Help("Read capital letters of transcripts as small ones: they sound alike"),
        ] = True,
        **which: Any,
    ) -> None:  # fmt: skip
        super().__init__(**which)
        variation = Variation(warp, speed, gain, tone, noise, time_masks, frequency_masks)
        self.listening = Listening(bands, step, window, lowercase, variation)

    def items(self, stored: Stored) -> Waves:
        assert stored.manifest.rate is not None
        said = stored.ragged("transcripts") if stored.manifest.transcribed else None
        return Waves(stored.ragged("waves"), stored.manifest.rate, said)

    def ready(self, data: Data, home: Home, tokenizer: Tokenizer | None = None) -> Data:
        return self.listening.spectra(data, home, tokenizer)
