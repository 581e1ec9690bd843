"""Recordings as a model hears them: log-mel spectra, computed once.

A frame is the loudness of so many bands that lie as the ear's do, evenly on the mel scale (Stevens,
Volkmann & Newman 1937; the formula is O'Shaughnessy's of 1987, as in HTK).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.augmentation.mixing import Mixing, Pairing
from engine.augmentation.sequences import read_at
from engine.catalog import BadInput
from engine.data.archive import require_space
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.cached import cached
from engine.data.items import Waves, moments, padded
from engine.data.recorded import Recorded, Samples, spell, spelled, tokenizer_of
from engine.data.splits import Rows
from engine.data.tokens import Tokenizer, mapped
from engine.home import Home

FLOOR = 1e-8
"""Power below which all is silence: −80 dB of the loudest sine; 16 bits hold little less."""
LOWEST = 20.0
"""Hz at which the lowest band begins: below is hum."""
POINTS = 6
"""Places on the frequency axis that are raised or lowered at random, with lines between."""
QUIET = -70.0
"""dB: hiss that nobody hears beside the loudest place of a recording."""
BEHIND = (5.0, 20.0)
"""dB by which a recording in the background is softer."""
PIECE = 1024
"""Frames computed at a time."""
BLOCK = 2**20
"""Samples of recordings that are brought together, at least one recording."""
STATISTICS = 5000
"""Recordings whose frames tell the bands' mean and deviation."""
FORMAT = 1
"""Of what is kept: another number makes all of it anew."""
KEPT = 8
"""Datasets' spectra kept in the cache."""

Frames = npt.NDArray[np.float16]


# --- from waves to spectra ------------------------------------------------------------------


@dataclass(frozen=True)
class Mel:
    """How samples become frames."""

    rate: int
    """Samples a second."""
    bands: int = 40
    step: float = 10.0
    """Milliseconds from one frame to the next."""
    window: float = 25.0
    """Milliseconds that a frame looks at, weighted by Hann's window."""

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return max(1, round(self.rate * self.step / 1000))

    @property
    def width(self) -> int:
        """Samples that a frame looks at, an even number."""
        return 2 * max(1, round(self.rate * self.window / 2000))

    def count(self, samples: int) -> int:
        """Frames of so many samples: one around every hop-th, silence before and behind."""
        return 1 + samples // self.hop

    @cached_property
    def bank(self) -> Tensor:
        """Triangles over the power spectrum: (frequencies, bands) float32."""
        top = self.rate / 2
        edges = np.linspace(mel(min(LOWEST, top / 4)), mel(top), self.bands + 2)
        hertz = 700 * (10 ** (edges / 2595) - 1)
        low, middle, high = hertz[:-2], hertz[1:-1], hertz[2:]
        # Zero-padded frames have finer frequencies, until even the narrowest band has its own.
        size = 2 ** math.ceil(math.log2(2 * self.width))
        while True:
            at = np.linspace(0, top, size // 2 + 1)[:, None]
            rise, fall = (at - low) / (middle - low), (high - at) / (high - middle)
            bank = np.maximum(0, np.minimum(rise, fall))
            if bank.any(0).all():
                return torch.from_numpy(bank.astype(np.float32))
            size *= 2

    @cached_property
    def hann(self) -> Tensor:
        window = torch.hann_window(self.width)
        return window / window.sum() * 2  # the loudest sine's peak has power 1

    def spectra(self, waves: Sequence[npt.NDArray[np.int16]]) -> list[Frames]:
        """The frames (T, bands) of each recording: natural logarithms of power, −18.4 or more; the
        loudest sine has about 0 in its band.

        A recording's frames don't depend on those it comes with.
        """
        half, counts, starts, total = self.width // 2, [], [], 0
        for wave in waves:  # all in one signal, each beginning at a frame, silence between
            counts.append(self.count(len(wave)))
            starts.append(total // self.hop)
            long = max(half + len(wave), (counts[-1] - 1) * self.hop + self.width)
            total += math.ceil(long / self.hop) * self.hop
        # A whole number of pieces: a product of another size may add in another order.
        frames = max(math.ceil(total / self.hop / PIECE), 1) * PIECE
        signal = torch.zeros((frames - 1) * self.hop + self.width + total % self.hop)
        for start, wave in zip(starts, waves, strict=True):
            at = start * self.hop + half
            signal[at : at + len(wave)] = torch.from_numpy(wave.astype(np.float32)) / 2**15
        size = 2 * (len(self.bank) - 1)
        cut = signal.unfold(0, self.width, self.hop)[:frames]
        out = torch.empty(frames, self.bands, dtype=torch.float16)
        for at in range(0, frames, PIECE):
            found = torch.fft.rfft(cut[at : at + PIECE] * self.hann, n=size)
            power = found.real.square() + found.imag.square()
            out[at : at + PIECE] = (power @ self.bank).clamp_(min=FLOOR).log_()
        array = out.numpy()
        return [array[at : at + n] for at, n in zip(starts, counts, strict=True)]


def mel(hertz: float) -> float:
    """A frequency on the mel scale."""
    return 2595 * math.log10(1 + hertz / 700)


# --- what a run is fed ----------------------------------------------------------------------


@dataclass(frozen=True)
class Variation:
    """How training recordings are varied, so that a model knows more voices than it heard.

    Each number is the most; what an item gets is drawn evenly up to it, both ways. All zero
    varies nothing.
    """

    warp: float = 0.0
    """The frequency axis stretched by this share: other vocal tracts (Jaitly & Hinton 2013)."""
    speed: float = 0.0
    """The time axis stretched by this share: other paces (Ko et al. 2015)."""
    gain: float = 0.0
    """Louder or softer, in dB."""
    tone: float = 0.0
    """Some frequencies raised or lowered against others, in dB: other microphones and rooms
    (Nam et al. 2022)."""
    noise: float = 0.0
    """Hiss, up to so many dB above what can't be heard beside a recording's loudest place."""
    time_masks: int = 0
    """Spans of time silenced, each up to a fifth of the recording (Park et al. 2019)."""
    frequency_masks: int = 0
    """Runs of bands silenced, each up to a fifth of them."""
    shift: float = 0.0
    """Earlier or later, in milliseconds: what leaves at one end is lost, and at the other it is as
    quiet as the recording gets."""
    background: float = 0.0
    """The share of recordings behind which another of the batch is heard, 5 to 20 dB softer."""
    mixing: Mixing = Mixing()  # noqa: RUF009, it is frozen

    def of(
        self, values: Tensor, lengths: Tensor, mel: Mel, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Frames (B, T, bands) varied, with zeros behind, and their new lengths (B,)."""
        count, device = len(values), values.device

        def drawn(most: float, *shape: int) -> Tensor:
            numbers = rng.uniform(-most, most, (count, *shape)).astype(np.float32)
            return torch.from_numpy(numbers).to(device)

        if self.warp:
            values = warped(values, drawn(self.warp).exp(), mel)
        if self.speed:
            values, lengths = stretched(values, lengths, drawn(self.speed).exp())
        if self.shift:
            values = delayed(values, lengths, drawn(self.shift / mel.step).round().long())
        if self.background:
            heard = torch.from_numpy(rng.random(count) < self.background).to(device)
            level = -BEHIND[0] - (drawn(0.5) + 0.5) * (BEHIND[1] - BEHIND[0])
            partners = torch.from_numpy(rng.permutation(count)).to(device)
            level = level.masked_fill(~heard, -1e4)
            values = added(values, lengths, partners, 0 * level, level)
        if self.gain or self.tone:
            curve = F.interpolate(
                drawn(self.tone, 1, POINTS), mel.bands, mode="linear", align_corners=True
            )
            values = values + (drawn(self.gain, 1, 1) + curve) * (math.log(10) / 10)
        inside = torch.arange(values.shape[1], device=device) < lengths[:, None]
        if self.noise:
            # Powers add. As loud in each band as white noise is: the higher, the wider they are.
            loudest = values.masked_fill(~inside[..., None], -1e4).amax((1, 2), keepdim=True)
            level = QUIET + (drawn(0.5, 1, 1) + 0.5) * self.noise
            hiss = mel.bank.sum(0).log().to(device) - mel.bank.sum(0).max().log()
            values = torch.logaddexp(values, loudest + level * (math.log(10) / 10) + hiss)
        silent = torch.zeros(values.shape, dtype=torch.bool, device=device)
        for _ in range(self.time_masks):
            silent |= span(lengths, values.shape[1], rng)[:, :, None]
        bands = torch.full_like(lengths, mel.bands)
        for _ in range(self.frequency_masks):
            silent |= span(bands, mel.bands, rng)[:, None, :]
        if self.time_masks or self.frequency_masks:
            # What is masked is as loud as the recording is on the whole: no edge tells of it.
            mean = (values * inside[..., None]).sum((1, 2)) / (lengths * mel.bands)
            values = torch.where(silent, mean[:, None, None], values)
        return values * inside[..., None], lengths


def warped(values: Tensor, factors: Tensor, mel: Mel) -> Tensor:
    """Each recording's frequencies multiplied by its factor (B,), the highest held."""
    top = 2595 * math.log10(1 + mel.rate / 2 / 700)
    low = 2595 * math.log10(1 + min(LOWEST, mel.rate / 8) / 700)
    width = (top - low) / (mel.bands + 1)
    centres = low + width * torch.arange(1, mel.bands + 1, device=values.device)
    hertz = 700 * (10 ** (centres / 2595) - 1) / factors[:, None]
    places = ((2595 * torch.log10(1 + hertz / 700) - low) / width - 1).clamp(0, mel.bands - 1)
    # A band is a mixture of the two beside the place that it is read from.
    bands = torch.arange(mel.bands, device=values.device)
    mixture = (1 - (places[:, None, :] - bands[None, :, None]).abs()).clamp(min=0)
    return values @ mixture


def stretched(values: Tensor, lengths: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Each recording as many times as long as its factor (B,) says."""
    longer = (lengths * factors).round().long().clamp(min=1)
    steps = torch.arange(int(longer.max()), device=values.device)
    places = steps * ((lengths - 1).clamp(min=1) / (longer - 1).clamp(min=1))[:, None]
    return read_at(values, places, lengths), longer


def delayed(values: Tensor, lengths: Tensor, frames: Tensor) -> Tensor:
    """Each recording so many frames (B,) later, or earlier below 0, with its length kept."""
    steps = torch.arange(values.shape[1], device=values.device)
    real = steps < lengths[:, None]
    quiet = values.masked_fill(~real[..., None], 1e4).amin(1, keepdim=True)
    from_ = steps - frames[:, None]
    there = (from_ >= 0) & (from_ < lengths[:, None])
    each = torch.arange(len(values), device=values.device)[:, None]
    moved = values[each, from_.clamp(0, values.shape[1] - 1)]
    return torch.where(there[..., None], moved, quiet)


def added(values: Tensor, lengths: Tensor, partners: Tensor, own: Tensor, theirs: Tensor) -> Tensor:
    """Each recording with its partner in it, both made louder by so many dB (B,): powers add. The
    partner lasts as long as it does; where the recording itself has ended, nothing is heard."""
    louder, other = (level[:, None, None] * (math.log(10) / 10) for level in (own, theirs))
    steps = torch.arange(values.shape[1], device=values.device)
    lasts = (steps < lengths[partners][:, None])[..., None]
    heard = (values[partners] + other).masked_fill(~lasts, -1e4)
    return torch.logaddexp(values + louder, heard)


def span(lengths: Tensor, longest: int, rng: np.random.Generator) -> Tensor:
    """(B, longest), true in one run of each item, of up to a fifth of its length."""
    long, begin = (
        torch.from_numpy(rng.random(len(lengths)).astype(np.float32)).to(lengths.device)
        for _ in range(2)
    )
    widths = (long * (lengths // 5 + 1)).long()
    starts = (begin * (lengths - widths + 1)).long()
    places = torch.arange(longest, device=lengths.device)
    return (places >= starts[:, None]) & (places < (starts + widths)[:, None])


def nothing(bands: int) -> Ragged:
    """No recording."""
    return Ragged(np.zeros((0, bands), np.float16), np.zeros(1, np.int64))


@dataclass(frozen=True)
class Spectrograms(Recorded):
    """Log-mel spectra, end to end: float16 frames of so many bands."""

    spectra: Ragged
    mel: Mel
    tokenizer: Tokenizer | None = None
    tokens: Ragged | None = None
    transcripts: Ragged | None = None
    lowercase: bool = False
    variation: Variation = field(default_factory=Variation)

    @property
    def main(self) -> Ragged:
        return self.spectra

    @property
    def rate(self) -> int:
        return self.mel.rate

    @property
    def spacing(self) -> float:
        return self.mel.hop / self.mel.rate

    def alone(self, wave: Samples) -> Self:
        (frames,) = self.mel.spectra([wave])
        return replace(self, spectra=Ragged(frames, np.array([0, len(frames)])))

    def frames(self, inputs: Mapping[str, Tensor], place: int) -> Tensor:
        return inputs["values"][place, : inputs["lengths"][place]]

    def statistics(self, rows: Rows) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each band over the frames."""
        return moments(self.spectra, rows[:: max(len(rows) // STATISTICS, 1)])

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        values, lengths = padded(self.spectra, rows)
        values, lengths = values.to(device).float(), lengths.to(device)
        if augment is not None and self.variation != Variation():
            values, lengths = self.variation.of(values, lengths, self.mel, augment)
        return {"values": values, "lengths": lengths}

    @property
    def mixing(self) -> Mixing:
        return self.variation.mixing

    def mix(
        self, inputs: dict[str, Tensor], pairing: Pairing, augment: np.random.Generator
    ) -> tuple[dict[str, Tensor], npt.NDArray[np.float32]]:
        """λ is the share of the power (Tokozume et al. 2018 mix so, and weigh by loudness too)."""
        values, lengths = inputs["values"], inputs["lengths"]
        partners, shares, _ = pairing.to(values.device)
        own, theirs = (10 * share.clamp(min=1e-9).log10() for share in (shares, 1 - shares))
        real = (torch.arange(values.shape[1], device=values.device) < lengths[:, None])[..., None]
        heard = added(values, lengths, partners, own, theirs) * real
        return {"values": heard, "lengths": lengths}, pairing.shares

    def outline(self, rows: Rows) -> dict[str, Any]:
        return {"mel": asdict(self.mel), **self.spoken()}

    @classmethod
    def blank(cls, outline: Mapping[str, Any]) -> Self:
        mel = Mel(**outline["mel"])
        return cls(nothing(mel.bands), mel, tokenizer_of(outline))


# --- once for a dataset ---------------------------------------------------------------------


@dataclass(frozen=True)
class Listening:
    """How a dataset's recordings become spectra, and their transcripts tokens."""

    bands: int = 40
    step: float = 10.0
    window: float = 25.0
    lowercase: bool = True
    variation: Variation = field(default_factory=Variation)

    def spectra(self, data: Data, home: Home, known: Tokenizer | None = None) -> Data:
        """The dataset with its recordings as spectra.

        The characters are those of a `known` tokenizer, or of the training split only. All is
        kept in the home's cache for the next run on the same version with the same settings.
        """
        items = data.items
        assert isinstance(items, Waves)
        if not len(data.splits["train"]):
            raise BadInput("The train split is empty: add items or change the shares", field="data")
        mel = Mel(items.rate, self.bands, self.step, self.window)
        spectra, tokenizer, tokens = cached(
            home.cache / "spectra",
            [FORMAT, data.learned_from, asdict(mel), self.lowercase,
             items.transcripts is not None, *([known.to_json()] if known else [])],
            make=lambda folder: self._make(items, data.splits["train"], mel, folder, known),
            read=lambda folder: opened(folder, spoken=items.transcripts is not None), most=KEPT,
        )  # fmt: skip
        return data.of(Spectrograms(
            spectra, mel, tokenizer, tokens, items.transcripts,
            tokenizer.lowercases if tokenizer else self.lowercase, self.variation,
        ))  # fmt: skip

    def _make(
        self, items: Waves, train: Rows, mel: Mel, folder: Path, known: Tokenizer | None
    ) -> None:
        lengths = np.array([mel.count(n) for n in items.waves.lengths.tolist()], np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        require_space(folder.parent, int(offsets[-1]) * mel.bands * 2)
        if items.transcripts is not None:
            spell(items.transcripts, train, folder, known, lowercase=self.lowercase)
        with (folder / "spectra.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {
                "descr": np.dtype(np.float16).str, "fortran_order": False,
                "shape": (int(offsets[-1]), mel.bands),
            })  # fmt: skip
            for rows in blocks(items.waves):
                for frames in mel.spectra([items.waves[row] for row in rows]):
                    file.write(frames.tobytes())
        np.save(folder / "spectra.offsets.npy", offsets)


def opened(folder: Path, *, spoken: bool) -> tuple[Ragged, Tokenizer | None, Ragged | None]:
    """The spectra and, where something is said, its tokenizer and tokens."""
    spectra = mapped(folder, "spectra")
    if not spoken:
        return spectra, None, None
    return spectra, *spelled(folder)


def blocks(waves: Ragged) -> Iterator[range]:
    """All recordings in their order, so many together as are few samples."""
    first, count = 0, 0
    for row, length in enumerate(waves.lengths.tolist()):
        if row > first and count + length > BLOCK:
            yield range(first, row)
            first, count = row, 0
        count += length
    if len(waves) > first:
        yield range(first, len(waves))
