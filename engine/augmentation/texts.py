"""How training texts are varied: words change places or become others, come twice, go, or are
covered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.augmentation.synonyms import Groups, Word

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class TextVariation:
    """Easy data augmentation (Wei & Zou 2019) on words that are tokens already, and blanks.

    Each number is a share of a text's words; all zero changes nothing. Synonyms are those that a
    person has listed; what is put in besides is a synonym of a word of the text, and where there is
    none that word itself.
    """

    swap: float = 0.0
    """So many pairs of words change places."""
    substitute: float = 0.0
    """So many words become a synonym, of those that have one."""
    insert: float = 0.0
    """A synonym of so many words, or the words themselves, come in addition, anywhere."""
    delete: float = 0.0
    """Each word is left out with this probability, but never all."""
    mask: float = 0.0
    """Each word is covered with this probability, by a blank for each of its tokens."""
    synonyms: Groups = ()

    def __bool__(self) -> bool:
        return any((self.swap, self.substitute, self.insert, self.delete, self.mask))

    def of(
        self, tokens: Numbers, lengths: Numbers, begins: npt.NDArray[np.bool_], blank: int,
        longest: int | None, rng: np.random.Generator,
        alike: Mapping[Word, tuple[Word, ...]],
    ) -> tuple[Numbers, Numbers]:  # fmt: skip
        """Texts (B, longest) with zeros behind, and their lengths (B,), varied; no text becomes
        longer than `longest`. `begins` says of each token of the vocabulary whether a word begins
        with it, and `alike` which words mean the same."""
        varied = [
            self.text(row[:length], begins, blank, rng, alike)[:longest]
            for row, length in zip(tokens, lengths.tolist(), strict=True)
        ]
        found = np.array([len(text) for text in varied], lengths.dtype)
        together = np.zeros((len(varied), int(found.max())), tokens.dtype)
        for row, text in zip(together, varied, strict=True):
            row[: len(text)] = text
        return together, found

    def text(
        self, tokens: Numbers, begins: npt.NDArray[np.bool_], blank: int, rng: np.random.Generator,
        alike: Mapping[Word, tuple[Word, ...]],
    ) -> Numbers:  # fmt: skip
        """One text's tokens (T,), varied."""
        starts = np.flatnonzero(begins[tokens])
        spaced = bool(begins[tokens[0]])
        if not spaced:
            starts = np.concatenate([[0], starts])
        count = len(starts)
        # A first word without the space that others begin with would stick to what it follows.
        fixed = 0 if spaced else 1
        sizes = np.diff(starts, append=len(tokens))
        kept = other = np.arange(count)
        if alike and (self.substitute or self.insert):
            # Synonyms stand behind the text, words as its own are.
            tokens, sizes, other = self._with_synonyms(tokens, starts, sizes, fixed, rng, alike)
            having = np.flatnonzero(other != kept)
            if self.substitute and len(having):
                kept = kept.copy()
                chosen = rng.permutation(having)[: _times(self.substitute, count)]
                kept[chosen] = other[chosen]
        if count - fixed >= 2:
            pairs = rng.integers(fixed, count, (_times(self.swap, count), 2))
            order = kept.tolist()
            for one, another in pairs.tolist():
                order[one], order[another] = order[another], order[one]
            kept = np.array(order)
            if more := _times(self.insert, count):
                words, places = rng.integers(fixed, [[count], [count + 1]], (2, more))
                kept = np.insert(kept, places, other[words])
        if self.delete:
            stays = rng.random(len(kept)) >= self.delete
            stays[rng.integers(len(kept))] |= not stays.any()
            kept = kept[stays]
        starts = np.cumsum(sizes) - sizes
        sizes = sizes[kept]
        begun = np.cumsum(sizes) - sizes
        varied: Numbers = tokens[np.arange(sizes.sum()) + np.repeat(starts[kept] - begun, sizes)]
        if self.mask:
            varied[np.repeat(rng.random(len(kept)) < self.mask, sizes)] = blank
        return varied

    @staticmethod
    def _with_synonyms(
        tokens: Numbers, starts: Numbers, sizes: Numbers, fixed: int, rng: np.random.Generator,
        alike: Mapping[Word, tuple[Word, ...]],
    ) -> tuple[Numbers, Numbers, Numbers]:  # fmt: skip
        """The tokens with a synonym of each word that has one behind them, the sizes of all words,
        and for each of the text which word may stand in its place: itself, or its synonym."""
        other = np.arange(len(starts))
        added: list[Word] = []
        whole = tokens.tolist()
        for place in range(fixed, len(starts)):
            begin = starts[place]
            if words := alike.get(tuple(whole[begin : begin + sizes[place]])):
                other[place] = len(starts) + len(added)
                added.append(words[rng.integers(len(words))])
        behind = np.array([token for word in added for token in word], tokens.dtype)
        return (
            np.concatenate([tokens, behind]),
            np.concatenate([sizes, np.array([len(word) for word in added], sizes.dtype)]),
            other,
        )


def _times(share: float, words: int) -> int:
    """α · l, but once at least where there is an α."""
    return max(1, round(share * words)) if share else 0
