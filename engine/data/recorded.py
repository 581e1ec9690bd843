"""Recordings as a run is fed them, whichever form its model reads: spectra or samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.data.arrays import Ragged
from engine.data.items import Fed, Unequal, padded
from engine.data.options import Kind
from engine.data.splits import Rows
from engine.data.tokens import TextsOf, Tokenizer, encoded, mapped

CHARACTERS = 20_000
"""Different characters of transcripts, at most."""

Samples = npt.NDArray[np.int16]


class Recorded(Unequal, Fed):
    """Recordings, and what is said in them where that is known."""

    kind: ClassVar[Kind] = "sound"

    tokenizer: Tokenizer | None
    """Of the transcripts, where there are any."""
    tokens: Ragged | None
    """What is said in each recording, as tokens."""
    transcripts: Ragged | None
    """The same as it was written: what is heard is compared with text, not with tokens."""
    lowercase: bool
    """Capital letters of transcripts are read as small ones."""

    @property
    @abstractmethod
    def rate(self) -> int:
        """Samples a second of the recordings as they were brought in."""

    @property
    @abstractmethod
    def spacing(self) -> float:
        """Seconds from one step of what a model is fed to the next."""

    @abstractmethod
    def alone(self, wave: Samples) -> Self:
        """A new recording, of that `rate`, in the place of the others."""

    @abstractmethod
    def frames(self, inputs: Mapping[str, Tensor], place: int) -> Tensor:
        """The log-mel spectrum (T, bands) of an item of what `gather` gave, to be looked at."""

    def wanted(self, rows: Rows, device: torch.device) -> dict[str, Tensor]:
        if self.tokens is None:
            return {}
        tokens, _ = padded(self.tokens, rows)
        # Nothing said is no token at all, which `padded` would count as one.
        lengths = torch.from_numpy(self.tokens.offsets[rows + 1] - self.tokens.offsets[rows])
        return {"target_tokens": tokens.to(device).long(), "target_lengths": lengths.to(device)}

    def spoken(self) -> dict[str, Any]:
        """The part of an outline that is about what is said."""
        return {"tokenizer": None if self.tokenizer is None else self.tokenizer.to_json()}


def tokenizer_of(outline: Mapping[str, Any]) -> Tokenizer | None:
    """What transcripts are read with, by what `Recorded.spoken` said."""
    spoken = outline["tokenizer"]
    return None if spoken is None else Tokenizer.from_json(spoken)


def spell(
    transcripts: Ragged, train: Rows, into: Path, known: Tokenizer | None, *, lowercase: bool
) -> None:
    """Leave transcripts as tokens in a folder, with their tokenizer: a `known` one, or one of the
    training split's characters."""
    tokenizer = known or Tokenizer.learned(
        TextsOf([transcripts], train), "characters", vocabulary=CHARACTERS, lowercase=lowercase
    )
    (into / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    flat, offsets = encoded(tokenizer, transcripts, [], [])
    np.save(into / "tokens.npy", flat)
    np.save(into / "tokens.offsets.npy", offsets)


def spelled(folder: Path) -> tuple[Tokenizer, Ragged]:
    """What `spell` left."""
    tokenizer = Tokenizer.from_json((folder / "tokenizer.json").read_text("utf-8"))
    return tokenizer, mapped(folder, "tokens")
