"""The tones of a telephone's keys, as they arrive over a bad line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from engine.catalog import Advanced, Help, Range, Spectral
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.items import Waves
from engine.data.spectra import Listening
from engine.data.splits import Rows
from engine.datasets import Recordings, SplitAtRandom
from engine.home import Home, replacing

KEYS = "0123456789*#"
_ROWS = {key: low for keys, low in (("123", 697), ("456", 770), ("789", 852), ("*0#", 941))
         for key in keys}  # fmt: skip
_COLUMNS = {key: high for keys, high in (("147*", 1209), ("2580", 1336), ("369#", 1477))
            for key in keys}  # fmt: skip
RATE = 8000
SOURCE = "Made by Anneal, with a seed: the two tones of each key of ITU-T Recommendation Q.23"


class Telephone(Recordings, SplitAtRandom):
    """Recordings of keys that are pressed on a telephone."""

    source, licence = SOURCE, "CC0"

    def __init__(
        self,
        *,
        bands: Annotated[
            int, Range(16, 128), Spectral(),
            Help("Bands of the log-mel spectrum that a model hears", label="Mel bands"),
        ] = 64,
        step: Annotated[
            float, Range(4, 40), Advanced(), Spectral(),
            Help("From one frame of the spectrum to the next", label="Frame step", unit="ms"),
        ] = 10.0,
        **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(**more)
        # By itself nothing is varied at random: a tone that is made higher is another key's.
        self.listening = Listening(bands, step, 25.0, variation=self.variation)


class TelephoneKeys(Telephone, label="Telephone keys", provides={"audio", "label"}, rank=45):
    """1,800 recordings of one of a telephone's twelve keys each, with hum and noise."""

    def open(self, home: Home) -> Data:
        labels = np.arange(1_800, dtype=np.int64) % len(KEYS)
        name = "telephone-keys-1"
        waves = recorded(home, name, [KEYS[label] for label in labels])
        return Data(
            items=Waves(waves, RATE), labels=labels, classes=tuple(KEYS),
            splits=self.split(labels), fingerprint=name, source=self.source, licence=self.licence,
        )  # fmt: skip


class TelephoneNumbers(
    Telephone, label="Dialled telephone numbers", provides={"audio", "transcript"}, rank=46
):
    """1,500 recordings of three to eight keys dialled, with hum and noise: which keys were they?"""

    def open(self, home: Home) -> Data:
        rng, name = np.random.default_rng(23), "telephone-numbers-1"
        dialled = ["".join(rng.choice(list(KEYS), rng.integers(3, 9))) for _ in range(1_500)]
        return Data(
            items=Waves(recorded(home, name, dialled), RATE, Ragged.of_texts(dialled)),
            labels=None, classes=(), splits=self.split(np.zeros(len(dialled), np.int64)),
            fingerprint=name, source=self.source, licence=self.licence,
        )  # fmt: skip


def recorded(home: Home, name: str, dialled: Sequence[str]) -> Ragged:
    """A recording of each, int16: made once, then mapped from the cache."""
    kept, places = home.cache / f"{name}.npy", home.cache / f"{name}.offsets.npy"
    if not (kept.exists() and places.exists()):
        rng = np.random.default_rng(1963)  # the year of the first telephone with keys
        waves = [recording(keys, rng) for keys in dialled]
        offsets: Rows = np.cumsum([0, *map(len, waves)], dtype=np.int64)
        for file, array in ((kept, np.concatenate(waves)), (places, offsets)):
            with replacing(file) as beside, beside.open("wb") as out:
                np.save(out, array)
    return Ragged(np.load(kept, mmap_mode="r"), np.load(places))


def recording(keys: str, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Keys pressed one after another, as an exchange must still know them: tones off by up to
    1.5 %, one of a pair up to 6 dB louder, 50 to 120 ms long, over hum and noise."""
    parts = [np.zeros(int(rng.uniform(0.04, 0.15) * RATE))]
    for key in keys:
        time = np.arange(int(rng.uniform(0.05, 0.12) * RATE)) / RATE
        twist = 10 ** (rng.uniform(-6, 6) / 40)
        tone = np.zeros(len(time))
        for hertz, level in ((_ROWS[key], twist), (_COLUMNS[key], 1 / twist)):
            heard = hertz * rng.uniform(0.985, 1.015)
            tone += level * np.sin(2 * np.pi * (heard * time + rng.random()))
        parts += [tone, np.zeros(int(rng.uniform(0.04, 0.1) * RATE))]
    signal = np.concatenate([*parts, np.zeros(int(rng.uniform(0, 0.1) * RATE))])
    time = np.arange(len(signal)) / RATE
    noise = rng.normal(0, 1, len(signal)) * 10 ** (-rng.uniform(5, 25) / 20)
    hum = rng.uniform(0, 0.5) * np.sin(2 * np.pi * (50 * time + rng.random()))
    loud = 10 ** (-rng.uniform(10, 30) / 20)
    return np.round(np.clip(loud * (signal + noise + hum), -1, 1) * 32767).astype(np.int16)
