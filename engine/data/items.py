"""What a dataset's items are: pictures, sequences, texts, pairs, recordings.

Raw items are as they were brought in, for a page to show. A run is fed by `Fed` ones: pictures
and sequences as they are, texts as tokens (`engine.data.tokens`), recordings as log-mel spectra
(`engine.data.spectra`), or as samples for the models that read those (`engine.data.waveforms`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.augmentation.mixing import Mixing, Pairing
from engine.augmentation.pictures import PictureVariation, mixed
from engine.augmentation.sequences import SequenceVariation, blended
from engine.data.arrays import Ragged
from engine.data.options import Kind
from engine.data.splits import Rows


class Items(ABC):
    """The items of a dataset, in memory or mapped from files."""

    kind: ClassVar[Kind]
    series: Rows | None = None
    """Which series each is a piece of, in the order of time; None where they stand alone."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one item without its length; what a model is made for."""

    @property
    @abstractmethod
    def nbytes(self) -> int: ...


class Fed(Items):
    """Items that make batches."""

    comparable: ClassVar[bool] = True
    """Whether numbers mean the same in every dataset, as those of pixels do: then a model that
    starts from another's weights also takes over how its inputs are scaled."""

    def lengths(self, rows: Rows) -> Rows | None:
        """Steps of each item, by which batches are made; None when all are equally long."""
        return None

    def statistics(self, rows: Rows) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel or feature; tokens have none."""
        return [], []

    def to(self, device: torch.device) -> Fed:
        """The same items, wholly in the device's memory where that pays."""
        return self

    @abstractmethod
    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        """A model's arguments by name, for the items of these rows."""

    def wanted(self, rows: Rows, device: torch.device) -> dict[str, Tensor]:
        """What should come out, beside the class: ``target_tokens`` with ``target_lengths``."""
        return {}

    @property
    def mixing(self) -> Mixing:
        """How training items are mixed with each other."""
        return Mixing()

    def mix(
        self, inputs: dict[str, Tensor], pairing: Pairing, augment: np.random.Generator
    ) -> tuple[dict[str, Tensor], npt.NDArray[np.float32]]:
        """What `gather` gave, mixed, and the share (B,) that each item keeps of itself; asked for
        only where `mixing` says how."""
        raise NotImplementedError(f"{type(self).__name__} can't be mixed")

    @abstractmethod
    def outline(self, rows: Rows) -> dict[str, Any]:
        """What a trained model must know of them to take new inputs, as JSON values; `rows` are
        those it learns from."""

    @classmethod
    @abstractmethod
    def blank(cls, outline: Mapping[str, Any]) -> Self:
        """No item, of that outline."""


@dataclass(frozen=True)
class Images(Fed):
    """Pictures as decoded: `pixels` is uint8 (N, H, W, C), in memory or mapped from a file."""

    kind: ClassVar[Kind] = "images"

    pixels: npt.NDArray[np.uint8]
    variation: PictureVariation = PictureVariation()  # noqa: RUF009, it is frozen
    """How training pictures are varied."""
    border: float | None = None
    """Mean brightness along the edges of those a model learned from, where only that is known."""

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, C)"""
        return tuple(self.pixels.shape[1:])

    @property
    def nbytes(self) -> int:
        return int(self.pixels.nbytes)

    def statistics(self, rows: Rows) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel, in 0…1."""
        chosen = rows if len(rows) <= 20_000 else rows[:: len(rows) // 20_000]
        # Exact, without a float copy of the pictures: 256 counters a channel.
        values = np.arange(256) / 255.0
        mean, std = [], []
        for channel in range(self.shape[-1]):
            counts = np.zeros(256, np.int64)
            for start in range(0, len(chosen), 1024):
                part = self.pixels[np.sort(chosen[start : start + 1024]), :, :, channel]
                counts += np.bincount(part.ravel(), minlength=256)
            share = counts / counts.sum()
            mean.append(float(share @ values))
            std.append(float(np.sqrt(share @ (values - mean[-1]) ** 2)))
        return mean, std

    def outline(self, rows: Rows) -> dict[str, Any]:
        some = self.pixels[rows[:1000]]
        edges = (some[:, 0], some[:, -1], some[:, :, 0], some[:, :, -1])
        border = float(np.mean([edge.mean() for edge in edges])) / 255 if len(rows) else None
        return {"shape": list(self.shape), "border": border}

    @classmethod
    def blank(cls, outline: Mapping[str, Any]) -> Images:
        empty = np.zeros((0, *outline["shape"]), np.uint8)
        return cls(empty, border=outline["border"])

    def to(self, device: torch.device) -> ImagesOnDevice:
        """The same pictures, wholly in the device's memory."""
        return ImagesOnDevice(torch.from_numpy(np.ascontiguousarray(self.pixels)).to(device), self)

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        height, width, _ = self.shape
        if augment is None or not (self.variation.shift or self.variation.flip):
            pixels = self.pixels[rows]
        else:
            # Slices, one picture at a time: twice as fast as one fancy-index gather.
            pixels = np.zeros((len(rows), *self.shape), np.uint8)
            moves, mirrored = self.variation.drawn(len(rows), (height, width), augment)
            for i, (row, (dy, dx), mirror) in enumerate(
                zip(rows.tolist(), moves.tolist(), mirrored.tolist(), strict=True)
            ):
                y, x = max(dy, 0), max(dx, 0)
                source = self.pixels[row, max(-dy, 0) : height - y, max(-dx, 0) : width - x]
                target = pixels[i, :, ::-1] if mirror else pixels[i]
                target[y : y + source.shape[0], x : x + source.shape[1]] = source
        # uint8 until the device: 4x less to move. NHWC permuted is channels_last already.
        return self.finished(torch.from_numpy(pixels).to(device), augment)

    def finished(self, pixels: Tensor, augment: np.random.Generator | None) -> dict[str, Tensor]:
        """Pixels (B, H, W, C), moved and mirrored already, as a model takes them."""
        images = pixels.permute(0, 3, 1, 2).float().div_(255)
        if augment is not None and self.variation.more:
            images = self.variation.of(images, augment)
            images = images.contiguous(memory_format=torch.channels_last)
        return {"images": images}

    @property
    def mixing(self) -> Mixing:
        return self.variation.mixing

    def mix(
        self, inputs: dict[str, Tensor], pairing: Pairing, augment: np.random.Generator
    ) -> tuple[dict[str, Tensor], npt.NDArray[np.float32]]:
        images, kept = mixed(inputs["images"], pairing, augment)
        return {"images": images.contiguous(memory_format=torch.channels_last)}, kept


@dataclass(frozen=True)
class ImagesOnDevice(Fed):
    """Pictures held in a GPU's memory: a batch is one gather there, and nothing is moved."""

    kind: ClassVar[Kind] = "images"

    pixels: Tensor
    """uint8 (N, H, W, C)"""
    origin: Images

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.origin.shape

    @property
    def nbytes(self) -> int:
        return self.origin.nbytes

    def statistics(self, rows: Rows) -> tuple[list[float], list[float]]:
        return self.origin.statistics(rows)

    def outline(self, rows: Rows) -> dict[str, Any]:
        return self.origin.outline(rows)

    @classmethod
    def blank(cls, outline: Mapping[str, Any]) -> Self:
        raise NotImplementedError("a blank has no item to move")

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        index = torch.from_numpy(rows).to(device)
        pixels = self.pixels[index]
        variation = self.origin.variation
        if augment is not None and (variation.shift or variation.flip):
            height, width, _ = self.origin.shape
            moves, mirrored = map(
                torch.from_numpy, variation.drawn(len(rows), (height, width), augment)
            )
            moves, mirrored = moves.to(device), mirrored.to(device)
            ys = torch.arange(height, device=device) - moves[:, :1]
            xs = torch.arange(width, device=device).expand(len(rows), width)
            xs = torch.where(mirrored[:, None], width - 1 - xs, xs) - moves[:, 1:]
            inside = ((ys >= 0) & (ys < height))[:, :, None] & ((xs >= 0) & (xs < width))[:, None]
            which = torch.arange(len(rows), device=device)[:, None, None]
            pixels = pixels[
                which, ys.clamp(0, height - 1)[:, :, None], xs.clamp(0, width - 1)[:, None]
            ]
            pixels = pixels * inside[..., None]
        return self.origin.finished(pixels, augment)

    @property
    def mixing(self) -> Mixing:
        return self.origin.mixing

    def mix(
        self, inputs: dict[str, Tensor], pairing: Pairing, augment: np.random.Generator
    ) -> tuple[dict[str, Tensor], npt.NDArray[np.float32]]:
        return self.origin.mix(inputs, pairing, augment)


class Unequal(Items):
    """Items of unequal length, which stay where they are: a padded batch is small beside the
    model's work.
    """

    @property
    @abstractmethod
    def main(self) -> Ragged:
        """The items by whose lengths batches are made."""

    def __len__(self) -> int:
        return len(self.main)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one step: (D,), or () where it is a single number."""
        return tuple(self.main.flat.shape[1:])

    @property
    def nbytes(self) -> int:
        return int(self.main.flat.nbytes)

    def lengths(self, rows: Rows) -> Rows | None:
        """Steps of each item; None when all are equally long."""
        return spread(self.main, rows)


@dataclass(frozen=True)
class Sequences(Unequal, Fed):
    """Sequences of vectors of any length, end to end: float32 steps of D features."""

    kind: ClassVar[Kind] = "sequences"
    comparable: ClassVar[bool] = False  # in any unit
    values: Ragged
    series: Rows | None = None
    """Which series each is a piece of: joined in their order, the pieces of one are it again. None
    where each stands by itself."""
    names: tuple[str, ...] = ()
    """What the features are called, where the data say so."""
    variation: SequenceVariation = SequenceVariation()  # noqa: RUF009, it is frozen
    """How training sequences are varied."""

    @classmethod
    def of(cls, values: npt.NDArray[np.float32], offsets: Rows) -> Sequences:
        """Sequence i is ``values[offsets[i]:offsets[i + 1]]``, values (all steps, D)."""
        return cls(Ragged(values, offsets))

    @property
    def main(self) -> Ragged:
        return self.values

    def __getitem__(self, row: int) -> npt.NDArray[np.float32]:
        return self.values[row]

    def statistics(self, rows: Rows) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each feature over every step."""
        return moments(self.values, rows)

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        values, lengths = (part.to(device) for part in padded(self.values, rows))
        if augment is not None and self.variation:
            values, lengths = self.variation.of(values, lengths, augment)
        return {"values": values, "lengths": lengths}

    @property
    def mixing(self) -> Mixing:
        return self.variation.mixing

    def mix(
        self, inputs: dict[str, Tensor], pairing: Pairing, augment: np.random.Generator
    ) -> tuple[dict[str, Tensor], npt.NDArray[np.float32]]:
        lengths = inputs["lengths"]
        values = blended(inputs["values"], lengths, pairing)
        return {"values": values, "lengths": lengths}, pairing.shares

    def outline(self, rows: Rows) -> dict[str, Any]:
        return {"shape": list(self.shape), "names": list(self.names)}

    @classmethod
    def blank(cls, outline: Mapping[str, Any]) -> Sequences:
        empty = Ragged(np.zeros((0, *outline["shape"]), np.float32), np.zeros(1, np.int64))
        return cls(empty, names=tuple(outline.get("names", ())))


@dataclass(frozen=True)
class Texts(Unequal):
    """Texts as UTF-8 bytes, end to end."""

    kind: ClassVar[Kind] = "text"

    text: Ragged
    running: bool = False
    """They are pieces of one text, in its order: joined they are the text again."""

    @property
    def main(self) -> Ragged:
        return self.text


@dataclass(frozen=True)
class Pairs(Unequal):
    """Texts and what each becomes, as UTF-8 bytes."""

    kind: ClassVar[Kind] = "pairs"

    source: Ragged
    target: Ragged

    @property
    def main(self) -> Ragged:
        return self.source

    @property
    def nbytes(self) -> int:
        return int(self.source.flat.nbytes + self.target.flat.nbytes)


@dataclass(frozen=True)
class Waves(Unequal):
    """Recordings of one channel, int16, all at the same rate, and what is said in them."""

    kind: ClassVar[Kind] = "sound"

    waves: Ragged
    rate: int
    """Samples a second."""
    transcripts: Ragged | None = None

    @property
    def main(self) -> Ragged:
        return self.waves


def spread(ragged: Ragged, rows: Rows) -> Rows | None:
    """Elements of each item; None when all are equally long."""
    lengths = ragged.offsets[rows + 1] - ragged.offsets[rows]
    return lengths if len(lengths) and np.ptp(lengths) else None


def moments(ragged: Ragged, rows: Rows) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each feature over every step of these items."""
    count = 0
    total, squares = (np.zeros(ragged.flat.shape[1:], np.float64) for _ in range(2))
    for row in rows.tolist():
        steps = ragged[row].astype(np.float64)
        count += len(steps)
        total += steps.sum(0)
        squares += (steps**2).sum(0)
    mean = total / max(count, 1)
    return mean.tolist(), np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0)).tolist()


def padded(ragged: Ragged, rows: Rows, longest: int | None = None) -> tuple[Tensor, Tensor]:
    """Items side by side, (B, longest, …), zeros behind them, and their lengths (B,).

    With `longest`, only so many elements of each are taken. An item without any counts as one
    zero: nothing can be said of no step at all.
    """
    starts = ragged.offsets[rows]
    lengths = ragged.offsets[rows + 1] - starts
    if longest is not None:
        lengths = np.minimum(lengths, longest)
    widest = max(int(lengths.max()), 1) if len(lengths) else 1
    together = np.zeros((len(rows), widest, *ragged.flat.shape[1:]), ragged.flat.dtype)
    flat = ragged.flat
    for i, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        together[i, :length] = flat[start : start + length]
    return torch.from_numpy(together), torch.from_numpy(np.maximum(lengths, 1))
