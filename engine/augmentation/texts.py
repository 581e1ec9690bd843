"""How training texts are varied: words change places, come twice, go, or are covered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class TextVariation:
    """Easy data augmentation (Wei & Zou 2019) on words that are tokens already, and blanks.

    Each number is a share of a text's words; all zero changes nothing. The paper puts in synonyms;
    here no list of them is at hand, and a word of the text itself comes once more.
    """

    swap: float = 0.0
    """So many pairs of words change places."""
    insert: float = 0.0
    """So many words come a second time, anywhere."""
    delete: float = 0.0
    """Each word is left out with this probability, but never all."""
    mask: float = 0.0
    """Each word is covered with this probability, by a blank for each of its tokens."""

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def of(
        self, tokens: Numbers, lengths: Numbers, begins: npt.NDArray[np.bool_], blank: int,
        longest: int | None, rng: np.random.Generator,
    ) -> tuple[Numbers, Numbers]:  # fmt: skip
        """Texts (B, longest) with zeros behind, and their lengths (B,), varied; no text becomes
        longer than `longest`. `begins` says of each token of the vocabulary whether a word begins
        with it."""
        varied = [
            self.text(row[:length], begins, blank, rng)[:longest]
            for row, length in zip(tokens, lengths.tolist(), strict=True)
        ]
        found = np.array([len(text) for text in varied], lengths.dtype)
        together = np.zeros((len(varied), int(found.max())), tokens.dtype)
        for row, text in zip(together, varied, strict=True):
            row[: len(text)] = text
        return together, found

    def text(
        self, tokens: Numbers, begins: npt.NDArray[np.bool_], blank: int, rng: np.random.Generator
    ) -> Numbers:
        """One text's tokens (T,), varied."""
        starts = np.flatnonzero(begins[tokens])
        spaced = bool(begins[tokens[0]])
        if not spaced:
            starts = np.concatenate([[0], starts])
        count = len(starts)
        # A first word without the space that others begin with would stick to what it follows.
        fixed = 0 if spaced else 1
        kept = np.arange(count)
        if count - fixed >= 2:
            pairs = rng.integers(fixed, count, (_times(self.swap, count), 2))
            order = kept.tolist()
            for one, other in pairs.tolist():
                order[one], order[other] = order[other], order[one]
            kept = np.array(order)
            if more := _times(self.insert, count):
                words, places = rng.integers(fixed, [[count], [count + 1]], (2, more))
                kept = np.insert(kept, places, words)
        if self.delete:
            stays = rng.random(len(kept)) >= self.delete
            stays[rng.integers(len(kept))] |= not stays.any()
            kept = kept[stays]
        sizes = np.diff(starts, append=len(tokens))[kept]
        begun = np.cumsum(sizes) - sizes
        varied: Numbers = tokens[np.arange(sizes.sum()) + np.repeat(starts[kept] - begun, sizes)]
        if self.mask:
            varied[np.repeat(rng.random(len(kept)) < self.mask, sizes)] = blank
        return varied


def _times(share: float, words: int) -> int:
    """α · l, but once at least where there is an α."""
    return max(1, round(share * words)) if share else 0
