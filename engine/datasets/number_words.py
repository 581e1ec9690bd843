"""Numbers and how they are said: a translation that is learned in a minute."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from engine.catalog import Help, Range
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.items import Pairs
from engine.data.splits import Rows
from engine.datasets import SplitAtRandom, Tokenized
from engine.home import Home

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
LARGEST = 999_999


class NumberWords(
    Tokenized, SplitAtRandom, label="Numbers in words", provides={"pair", "target"}, rank=35,
    # So few tokens that every digit stays one by itself.
    suggests={"data.vocabulary": 320, "data.tokenizer": "BPE"}, thorough={"data.vocabulary": 320},
):  # fmt: skip
    """Numbers below a million and how they are said: 1984 → one thousand nine hundred eighty-four.

    No number is in two splits: what is learned is how to say them, not a list.
    """

    source, licence = "Made by Anneal, with a seed", "CC0"

    def __init__(
        self,
        *,
        numbers: Annotated[
            int, Range(1_000, 200_000, log=True), Help("Different numbers in all", unit="numbers")
        ] = 10_000,
        **which: Any,
    ) -> None:
        super().__init__(**which)
        self.numbers = numbers

    def open(self, home: Home) -> Data:
        chosen = sample(self.numbers).tolist()
        pairs = Pairs(Ragged.of_texts(list(map(str, chosen))),
                      Ragged.of_texts(list(map(spelled, chosen))))  # fmt: skip
        return Data(
            items=pairs, labels=None, classes=(),
            splits=self.split(np.zeros(len(chosen), np.int64)),
            fingerprint=f"number-words-{self.numbers}", source=self.source, licence=self.licence,
        )  # fmt: skip


def sample(count: int) -> Rows:
    """So many different numbers, of every length about as many as there are, most of six digits."""
    rng = np.random.default_rng(1984)
    # Up to a number that is drawn itself: short ones come often enough to be learned.
    drawn = rng.integers(0, rng.integers(1, LARGEST + 2, 4 * count))
    found, first = np.unique(drawn, return_index=True)
    chosen: Rows = found[np.argsort(first)][:count]
    assert len(chosen) == count
    return chosen


def spelled(number: int) -> str:
    """A number below a million in English words, as in America: without “and”."""
    if number >= 1000:
        rest = number % 1000
        return f"{spelled(number // 1000)} thousand" + (f" {spelled(rest)}" if rest else "")
    if number >= 100:
        rest = number % 100
        return f"{_ONES[number // 100]} hundred" + (f" {spelled(rest)}" if rest else "")
    if number >= 20:
        return _TENS[number // 10 - 2] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    return _ONES[number]
