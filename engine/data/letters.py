"""The characters of texts: which there are, in which scripts, and which a split lacks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from engine.data.arrays import Ragged
from engine.data.likeness import pieces
from engine.data.splits import SPLITS, Rows

POINTS = 0x110000
"""Unicode's code points."""

BLOCK = 2**21
"""Bytes that are decoded together: each takes up to 40 meanwhile."""

_TOGETHER = {
    "CJK": "Chinese or Japanese", "HIRAGANA": "Chinese or Japanese",
    "KATAKANA": "Chinese or Japanese", "BOPOMOFO": "Chinese or Japanese",
}  # fmt: skip
"""Scripts that one text mixes as a matter of course."""


def lengths(ragged: Ragged) -> Rows:
    """Characters of each item."""
    out = np.zeros(len(ragged), np.int64)
    for begin, _, _, sizes in _decoded(ragged):
        out[begin : begin + len(sizes)] = sizes
    return out


def census(ragged: Ragged, splits: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """How often each code point occurs: (splits, 0x110000). Items that are left out don't count."""
    out = np.zeros((len(SPLITS), POINTS), np.int64)
    for begin, points, row, sizes in _decoded(ragged):
        where = np.asarray(splits[begin : begin + len(sizes)])[row]
        for i in range(len(SPLITS)):
            chosen = points[where == i]
            if len(chosen):
                counts = np.bincount(chosen)
                out[i, : len(counts)] += counts
    return out


def having(ragged: Ragged, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which items have one of the code points that are wanted (0x110000,)."""
    out = np.zeros(len(ragged), bool)
    for begin, points, row, sizes in _decoded(ragged):
        out[begin : begin + len(sizes)] |= np.bincount(
            row[wanted[points]], minlength=len(sizes)
        ).astype(bool)
    return out


def scripts(ragged: Ragged, seen: Rows) -> tuple[list[str], Rows]:
    """The scripts of the code points seen, and which of them most letters of each item are in.

    −1 for an item without letters.
    """
    named = [script(chr(point)) for point in seen.tolist()]
    known = sorted(set(named) - {""})
    which = np.zeros(POINTS, np.uint16)
    which[seen] = [known.index(name) + 1 if name else 0 for name in named]
    out = np.full(len(ragged), -1, np.int64)
    for begin, points, row, sizes in _decoded(ragged) if known else ():
        kinds = len(known) + 1
        letters = np.bincount(row * kinds + which[points], minlength=len(sizes) * kinds)
        letters = letters.reshape(-1, kinds)[:, 1:]
        out[begin : begin + len(sizes)] = np.where(letters.any(1), letters.argmax(1), -1)
    return known, out


@lru_cache(maxsize=POINTS)
def script(character: str) -> str:
    """The script that a letter is written in, as its Unicode name begins; "" for what is none."""
    if not character.isalpha():
        return ""
    plain = unicodedata.normalize("NFKC", character)[:1]  # a full-width letter is a letter
    first = unicodedata.name(plain, "").split("-")[0].split(" ")[0]
    if first in ("MODIFIER", "FEMININE", "MASCULINE", "MICRO", "MATHEMATICAL", ""):
        return ""
    return _TOGETHER.get(first, first.capitalize())


def _decoded(ragged: Ragged) -> Iterator[tuple[int, Rows, Rows, Rows]]:
    """Blocks: the first item, all code points, the item in the block of each, each item's count."""
    for begin, end in pieces(ragged, BLOCK):
        offsets = np.asarray(ragged.offsets[begin : end + 1])
        raw = np.asarray(ragged.flat[offsets[0] : offsets[-1]])
        text = raw.tobytes().decode("utf-8", "replace")
        points = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32).astype(np.int64)
        # A character begins with each byte that isn't 10xxxxxx.
        starts = np.concatenate([[0], np.cumsum((raw & 0xC0) != 0x80)])
        sizes = np.diff(starts[offsets - offsets[0]])
        if sizes.sum() != len(points):  # not what an importer wrote: one by one
            each = [ragged.text(row).encode("utf-32-le", "replace") for row in range(begin, end)]
            points = np.frombuffer(b"".join(each), np.uint32).astype(np.int64)
            sizes = np.array([len(one) // 4 for one in each], np.int64)
        yield begin, points, np.repeat(np.arange(end - begin), sizes), sizes
