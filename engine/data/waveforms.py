"""Recordings as samples, for models that read them as they are: at the models' rate, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.augmentation.mixing import Mixing, Pairing
from engine.catalog import BadInput
from engine.data.archive import require_space
from engine.data.arrays import Ragged, RaggedWriter
from engine.data.batches import Data
from engine.data.cached import cached
from engine.data.items import Waves, padded
from engine.data.recorded import Recorded, Samples, spell, spelled, tokenizer_of
from engine.data.spectra import BEHIND, QUIET, Listening, Mel, Variation, span, stretched
from engine.data.splits import Rows
from engine.data.tokens import Tokenizer, mapped
from engine.home import Home

FORMAT = 1
"""Of what is kept: another number makes all of it anew."""
KEPT = 8
"""Datasets' samples, and their transcripts' tokens, kept in the cache."""


@dataclass(frozen=True)
class Waveforms(Recorded):
    """Samples, end to end: int16, all at the rate that a model reads."""

    waves: Ragged
    sampled: int
    """Samples a second."""
    own: int
    """Of the recordings as they were brought in: above half of it nothing is heard in them."""
    tokenizer: Tokenizer | None = None
    tokens: Ragged | None = None
    transcripts: Ragged | None = None
    lowercase: bool = False
    variation: Variation = field(default_factory=Variation)
    """How training recordings are varied; what it says of spectra doesn't apply."""

    @property
    def main(self) -> Ragged:
        return self.waves

    @property
    def rate(self) -> int:
        return self.own

    @property
    def spacing(self) -> float:
        return 1 / self.sampled

    def alone(self, wave: Samples) -> Self:
        heard = resampled(wave, self.rate, self.sampled)
        return replace(self, waves=Ragged(heard, np.array([0, len(heard)])))

    def frames(self, inputs: Mapping[str, Tensor], place: int) -> Tensor:
        samples = inputs["values"][place, : inputs["lengths"][place]].detach().cpu()
        whole = (samples * 2**15).round().clamp(-(2**15), 2**15 - 1).numpy().astype(np.int16)
        (frames,) = Mel(self.sampled).spectra([whole])
        return torch.from_numpy(frames).float()

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        """``values`` (B, longest) in −1…1, zeros behind each recording, and its ``lengths``."""
        values, lengths = padded(self.waves, rows)
        values, lengths = values.to(device).float().div_(2**15), lengths.to(device)
        if augment is not None and self.variation != Variation():
            values, lengths = varied(values, lengths, self.variation, self.sampled, augment)
        return {"values": values, "lengths": lengths}

    @property
    def mixing(self) -> Mixing:
        return self.variation.mixing

    def mix(
        self, inputs: dict[str, Tensor], pairing: Pairing, augment: np.random.Generator
    ) -> tuple[dict[str, Tensor], npt.NDArray[np.float32]]:
        """λ is the share of the power, as in `engine.data.spectra.Spectrograms.mix`."""
        values, lengths = inputs["values"], inputs["lengths"]
        partners, shares, _ = pairing.to(values.device)
        real = torch.arange(values.shape[1], device=values.device) < lengths[:, None]
        both = values * shares.sqrt()[:, None] + values[partners] * (1 - shares).sqrt()[:, None]
        return {"values": both * real, "lengths": lengths}, pairing.shares

    def outline(self, rows: Rows) -> dict[str, Any]:
        return {"form": "samples", "sampled": self.sampled, "own": self.own, **self.spoken()}

    @classmethod
    def blank(cls, outline: Mapping[str, Any]) -> Self:
        empty = Ragged(np.zeros(0, np.int16), np.zeros(1, np.int64))
        return cls(empty, outline["sampled"], outline["own"], tokenizer_of(outline))


def varied(
    values: Tensor, lengths: Tensor, how: Variation, rate: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Samples (B, L) varied, with zeros behind, and their new lengths (B,): as `Variation` says,
    but for what needs a spectrum. What is made slower also sounds lower."""
    count, device = len(values), values.device

    def drawn(low: float, high: float) -> Tensor:
        numbers = rng.uniform(low, high, (count, 1)).astype(np.float32)
        return torch.from_numpy(numbers).to(device)

    def loud(decibels: Tensor) -> Tensor:
        return torch.pow(10.0, decibels / 20)

    if how.speed:
        factors = drawn(-how.speed, how.speed).exp()[:, 0]
        values, lengths = stretched(values[..., None], lengths, factors)
        values = values[..., 0]
    steps = torch.arange(values.shape[1], device=device)
    inside = steps < lengths[:, None]
    if how.shift:
        from_ = steps - (drawn(-how.shift, how.shift) * (rate / 1000)).round().long()
        there = (from_ >= 0) & (from_ < lengths[:, None])
        values = values.gather(1, from_.clamp(0, values.shape[1] - 1)) * there
    values = values * inside
    if how.background:
        heard = torch.from_numpy(rng.random((count, 1)) < how.background).to(device)
        partners = torch.from_numpy(rng.permutation(count)).to(device)
        values = values + heard * loud(-drawn(*BEHIND)) * values[partners]
    if how.gain:
        values = values * loud(drawn(-how.gain, how.gain))
    if how.noise:
        loudest = (values * inside).abs().amax(1, keepdim=True)
        lots = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
        hiss = torch.randn(values.shape, generator=lots, device=device)
        values = values + hiss * loudest * loud(QUIET + drawn(0, how.noise))
    for _ in range(how.time_masks):
        values = values.masked_fill(span(lengths, values.shape[1], rng), 0.0)
    return values * inside, lengths


# --- once for a dataset ---------------------------------------------------------------------


def sampled(
    data: Data, home: Home, rate: int, how: Listening, known: Tokenizer | None = None
) -> Data:
    """The dataset with its recordings as samples at that rate, and their transcripts as tokens.

    Recordings of that rate stay where they are; of others a copy is kept in the home's cache. Of
    `how` the spectra are left out.
    """
    items = data.items
    assert isinstance(items, Waves)
    if not len(data.splits["train"]):
        raise BadInput("The train split is empty: add items or change the shares", field="data")
    waves, tokenizer, tokens = items.waves, None, None
    if items.rate != rate:
        waves = cached(
            home.cache / "samples", [FORMAT, data.fingerprint, rate],
            make=partial(_resample, items, rate), read=lambda folder: mapped(folder, "waves"),
            most=KEPT,
        )  # fmt: skip
    if items.transcripts is not None:
        said, train = items.transcripts, data.splits["train"]
        tokenizer, tokens = cached(
            home.cache / "spoken",
            [FORMAT, data.learned_from, how.lowercase, *([known.to_json()] if known else [])],
            make=lambda folder: spell(said, train, folder, known, lowercase=how.lowercase),
            read=spelled, most=KEPT,
        )  # fmt: skip
    return data.of(Waveforms(
        waves, rate, items.rate, tokenizer, tokens, items.transcripts,
        tokenizer.lowercases if tokenizer else how.lowercase, how.variation,
    ))  # fmt: skip


def _resample(items: Waves, rate: int, into: Path) -> None:
    require_space(into.parent, int(items.nbytes * rate / items.rate))
    with RaggedWriter(into, "waves") as out:
        for row in range(len(items)):
            out.add(resampled(items.waves[row], items.rate, rate))


def resampled(wave: Samples, own: int, rate: int) -> Samples:
    """A recording at another rate."""
    if own == rate:
        return wave
    import soxr

    found = soxr.resample(wave.astype(np.float32), own, rate)
    return np.clip(np.rint(found), -(2**15), 2**15 - 1).astype(np.int16)  # type: ignore[no-any-return]
