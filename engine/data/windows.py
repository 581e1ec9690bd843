"""A text as windows: what a language model reads at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.catalog import BadInput
from engine.data.batches import Data
from engine.data.items import Fed
from engine.data.options import Kind
from engine.data.splits import SPLITS, Rows, Split
from engine.data.tokens import EOS, PAD, UNK, Tokenizer, Tokens

TRIED = 64
"""Texts by which it is told whether a tokenizer gives a text back as it was."""


@dataclass(frozen=True)
class Windows(Fed):
    """The texts of each split end to end, cut to windows of `block` tokens and the one after.

    EOS stands before the first text and after each, but not between neighbouring pieces of one
    running text. The windows of a split tile it: each token but the first EOS is wanted in exactly
    one of them. The last may be shorter, with PAD behind it.
    """

    kind: ClassVar[Kind] = "text"

    flat: npt.NDArray[Any]
    """The tokens of all splits, one split after another."""
    begins: Rows
    """Where each split of `SPLITS` begins in `flat`, and the end."""
    bytes: tuple[int, ...]
    """UTF-8 bytes of each split; 0 where tokens don't say all that a text did."""
    block: int
    tokenizer: Tokenizer
    running: bool = False

    @classmethod
    def of(cls, data: Data, block: int) -> Data:
        """A dataset of `Tokens` as windows. BadInput where a split holds no token."""
        tokens = data.items
        assert isinstance(tokens, Tokens)
        joined = [_joined(tokens, data.splits[split]) for split in SPLITS]
        for split, stream in zip(SPLITS, joined, strict=True):
            if np.all(stream == EOS):
                raise BadInput(f"The {split} split holds no text: add some or change the shares",
                               field="data")  # fmt: skip
        begins = np.cumsum([0, *map(len, joined)])
        exact = _gives_back(tokens)
        sizes = tokens.bytes if tokens.bytes is not None and exact else None
        windows = cls(
            np.concatenate(joined), begins,
            # An unknown token stands for a word that isn't told, however long it was.
            tuple(0 if sizes is None or (stream == UNK).any() else int(sizes[data.splits[s]].sum())
                  for s, stream in zip(SPLITS, joined, strict=True)),
            block, tokens.tokenizer, tokens.running,
        )  # fmt: skip
        rows = {s: np.arange(a, b) for s, a, b in
                zip(SPLITS, windows.firsts[:-1], windows.firsts[1:], strict=True)}  # fmt: skip
        return data.of(windows, labels=None, classes=(), splits=rows, uncut=data)

    @cached_property
    def firsts(self) -> Rows:
        """The first window of each split, and how many there are in all."""
        # A window wants its tokens but the first: the stream has one less to want than it has.
        counts = -(-(np.diff(self.begins) - 1) // self.block)
        return np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return int(self.firsts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """(vocabulary,)"""
        return (len(self.tokenizer),)

    @property
    def nbytes(self) -> int:
        return int(self.flat.nbytes)

    def stream(self, split: Split) -> npt.NDArray[Any]:
        """The tokens of a split, end to end."""
        which = SPLITS.index(split)
        return self.flat[self.begins[which] : self.begins[which + 1]]

    def bytes_per_token(self, row: int) -> float:
        """UTF-8 bytes to a wanted token, in the split of this window; 0 where it can't be told."""
        which = int(np.searchsorted(self.firsts, row, "right")) - 1
        return self.bytes[which] / int(self.begins[which + 1] - self.begins[which] - 1)

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        """``tokens`` (B, block + 1), of which the first `lengths` (B,) have one after them.

        With `augment` a window begins up to a block later, but ends in its split: an epoch still
        sees each token about once, but no two epochs cut alike.
        """
        firsts = self.firsts
        which = np.searchsorted(firsts, rows, "right") - 1
        ends = self.begins[which + 1]
        starts = self.begins[which] + (rows - firsts[which]) * self.block
        if augment is not None:
            later = starts + augment.integers(0, self.block, len(rows))
            starts = np.maximum(np.minimum(later, ends - self.block - 1), self.begins[which])
        places = starts[:, None] + np.arange(self.block + 1)
        outside = places >= ends[:, None]
        tokens = self.flat[np.minimum(places, len(self.flat) - 1)].astype(np.int64)
        if outside.any():
            tokens[outside] = PAD
        lengths = np.minimum(ends - 1 - starts, self.block)
        return {
            "tokens": torch.from_numpy(tokens).to(device),
            "lengths": torch.from_numpy(lengths).to(device),
        }

    def outline(self, rows: Rows) -> dict[str, Any]:
        """As of `Tokens`, which read what a trained model is asked."""
        return {
            "tokenizer": self.tokenizer.to_json(), "longest": None, "running": self.running,
        }  # fmt: skip

    @classmethod
    def blank(cls, outline: Mapping[str, Any]) -> Self:
        raise NotImplementedError("a model is asked with Tokens")


def _joined(tokens: Tokens, rows: Rows) -> npt.NDArray[Any]:
    """The tokens of these texts end to end, in one array made at its final size."""
    ids = tokens.ids
    # A running text's pieces have no end of their own, whatever is the longest text.
    longest = None if tokens.running else tokens.longest
    starts, ends = ids.offsets[rows], ids.offsets[rows + 1]
    if longest is not None:
        ends = np.minimum(ends, starts + longest)
    closed = np.ones(len(rows), bool)
    if tokens.running and len(rows):
        closed[:-1] = np.diff(rows) != 1
    joined = np.full(1 + int((ends - starts).sum() + closed.sum()), EOS, ids.flat.dtype)
    at = 1
    for start, end, close in zip(starts.tolist(), ends.tolist(), closed.tolist(), strict=True):
        joined[at : at + end - start] = ids.flat[start:end]
        at += end - start + close
    return joined


def _gives_back(tokens: Tokens) -> bool:
    """Whether the tokens say all of the texts; those with unknown tokens aside."""
    if tokens.bytes is None or not len(tokens.ids):
        return False
    if tokens.longest is not None and not tokens.running:
        return False  # their ends may be missing
    told = False
    for row in np.linspace(0, len(tokens.ids) - 1, min(TRIED, len(tokens.ids))).astype(int):
        ids = tokens.ids[row]
        if not len(ids) or (ids == UNK).any():
            continue
        if len(tokens.tokenizer.decode(ids.tolist()).encode()) != tokens.bytes[row]:
            return False
        told = True
    return told
