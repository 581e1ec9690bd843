"""From arrays to batches: what a model is fed, and in which order."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.data.arrays import Ragged
from engine.data.options import Kind
from engine.data.splits import Rows, Split


@dataclass(frozen=True)
class Batch:
    """Some items on the device where the model is.

    `inputs` are the model's arguments by name: ``images`` (B, C, H, W) in 0…1; ``values``
    (B, longest, D), ``tokens`` (B, longest) or ``waves`` (B, longest) in −1…1, with ``lengths``
    (B,); and ``target_tokens`` with ``target_lengths``. `targets` are class indices (B,), None
    without labels.
    """

    inputs: dict[str, Tensor]
    targets: Tensor | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Images:
    """Pictures as decoded: `pixels` is uint8 (N, H, W, C), in memory or mapped from a file."""

    kind: ClassVar[Kind] = "images"

    pixels: npt.NDArray[np.uint8]
    shift: int = 0
    """Training pictures are moved by up to this many pixels, zeros moving in."""
    flip: bool = False
    """Half of the training pictures are mirrored left to right."""

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, C)"""
        return tuple(self.pixels.shape[1:])

    @property
    def nbytes(self) -> int:
        return int(self.pixels.nbytes)

    def lengths(self, rows: Rows) -> Rows | None:
        return None

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

    def to(self, device: torch.device) -> Images | ImagesOnDevice:
        """The same pictures, wholly in the device's memory."""
        return ImagesOnDevice(torch.from_numpy(np.ascontiguousarray(self.pixels)).to(device), self)

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        height, width, _ = self.shape
        if augment is None or not (self.shift or self.flip):
            pixels = self.pixels[rows]
        else:
            # Slices, one picture at a time: twice as fast as one fancy-index gather.
            pixels = np.zeros((len(rows), *self.shape), np.uint8)
            moves, mirrored = draw(self, len(rows), augment)
            for i, (row, (dy, dx), mirror) in enumerate(
                zip(rows.tolist(), moves.tolist(), mirrored.tolist(), strict=True)
            ):
                y, x = max(dy, 0), max(dx, 0)
                source = self.pixels[row, max(-dy, 0) : height - y, max(-dx, 0) : width - x]
                target = pixels[i, :, ::-1] if mirror else pixels[i]
                target[y : y + source.shape[0], x : x + source.shape[1]] = source
        # uint8 until the device: 4x less to move. NHWC permuted is channels_last already.
        moved = torch.from_numpy(pixels).to(device)
        return {"images": moved.permute(0, 3, 1, 2).float().div_(255)}


def draw(
    images: Images, count: int, augment: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """How far each picture of a batch moves, (B, 2) rows and columns, and which are mirrored."""
    most = [min(images.shift, side - 1) for side in images.shape[:2]]
    moves = augment.integers([-m for m in most], [m + 1 for m in most], (count, 2))
    mirrored = augment.random(count) < (0.5 if images.flip else 0.0)
    return moves, mirrored


@dataclass(frozen=True)
class ImagesOnDevice:
    """Pictures held in a GPU's memory: a batch is one gather there, and nothing is moved."""

    pixels: Tensor
    """uint8 (N, H, W, C)"""
    origin: Images

    def __len__(self) -> int:
        return len(self.pixels)

    def lengths(self, rows: Rows) -> Rows | None:
        return None

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        index = torch.from_numpy(rows).to(device)
        pixels = self.pixels[index]
        if augment is not None and (self.origin.shift or self.origin.flip):
            height, width, _ = self.origin.shape
            moves, mirrored = (torch.from_numpy(a) for a in draw(self.origin, len(rows), augment))
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
        return {"images": pixels.permute(0, 3, 1, 2).float().div_(255)}


class RaggedItems(ABC):
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

    def statistics(self, rows: Rows) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each feature; bytes of text have none."""
        return [], []

    def to(self, device: torch.device) -> Self:
        return self


@dataclass(frozen=True)
class Sequences(RaggedItems):
    """Sequences of vectors of any length, end to end: float32 steps of D features."""

    kind: ClassVar[Kind] = "sequences"
    values: Ragged

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
        count, total = 0, np.zeros(self.shape, np.float64)
        squares = np.zeros(self.shape, np.float64)
        for row in rows.tolist():
            steps = self[row].astype(np.float64)
            count += len(steps)
            total += steps.sum(0)
            squares += (steps**2).sum(0)
        mean = total / max(count, 1)
        return mean.tolist(), np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0)).tolist()

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        values, lengths = padded(self.values, rows)
        return {"values": values.to(device), "lengths": lengths.to(device)}


@dataclass(frozen=True)
class Texts(RaggedItems):
    """Texts as UTF-8 bytes, end to end."""

    kind: ClassVar[Kind] = "text"

    text: Ragged

    @property
    def main(self) -> Ragged:
        return self.text

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        tokens, lengths = padded(self.text, rows)
        return {"tokens": spelled(tokens, lengths, device), "lengths": lengths.to(device)}


@dataclass(frozen=True)
class Pairs(RaggedItems):
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

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        tokens, lengths = padded(self.source, rows)
        targets, target_lengths = padded(self.target, rows)
        return {
            "tokens": spelled(tokens, lengths, device), "lengths": lengths.to(device),
            "target_tokens": spelled(targets, target_lengths, device),
            "target_lengths": target_lengths.to(device),
        }  # fmt: skip


@dataclass(frozen=True)
class Waves(RaggedItems):
    """Recordings of one channel, int16, all at the same rate, and what is said in them."""

    kind: ClassVar[Kind] = "sound"

    waves: Ragged
    rate: int
    """Samples a second."""
    transcripts: Ragged | None = None

    @property
    def main(self) -> Ragged:
        return self.waves

    def statistics(self, rows: Rows) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of the samples, in −1…1, over some recordings."""
        some = [self.waves[row] for row in rows[:: max(len(rows) // 1000, 1)].tolist()]
        samples = np.concatenate(some).astype(np.float64) / 2**15
        return [float(samples.mean())], [float(samples.std())]

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        waves, lengths = padded(self.waves, rows)
        # int16 until the device: half as much to move.
        found = {"waves": waves.to(device).float().div_(2**15), "lengths": lengths.to(device)}
        if self.transcripts is not None:
            said, said_lengths = padded(self.transcripts, rows)
            found["target_tokens"] = spelled(said, said_lengths, device)
            found["target_lengths"] = said_lengths.to(device)
        return found


def spread(ragged: Ragged, rows: Rows) -> Rows | None:
    """Elements of each item; None when all are equally long."""
    lengths = ragged.offsets[rows + 1] - ragged.offsets[rows]
    return lengths if len(lengths) and np.ptp(lengths) else None


def padded(ragged: Ragged, rows: Rows) -> tuple[Tensor, Tensor]:
    """Items side by side, (B, longest, …), zeros behind them, and their lengths (B,)."""
    starts = ragged.offsets[rows]
    lengths = ragged.offsets[rows + 1] - starts
    together = np.zeros((len(rows), int(lengths.max()), *ragged.flat.shape[1:]), ragged.flat.dtype)
    flat = ragged.flat
    for i, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        together[i, :length] = flat[start : start + length]
    return torch.from_numpy(together), torch.from_numpy(lengths)


def spelled(raw: Tensor, lengths: Tensor, device: torch.device) -> Tensor:
    """UTF-8 bytes (B, L) as token ids: 1 + the byte, 0 where there is padding."""
    inside = torch.arange(raw.shape[1]) < lengths[:, None]
    # Moved as bytes: an id takes eight times as much.
    return (raw.to(device).long() + 1) * inside.to(device)


ItemsOnHost = Images | Sequences | Texts | Pairs | Waves


@dataclass(frozen=True)
class Data:
    """A dataset, opened: its items, its labels, and which rows belong to which split."""

    items: ItemsOnHost
    labels: Rows | None
    classes: tuple[str, ...]
    splits: Mapping[Split, Rows]
    fingerprint: str
    """Changes when the content does."""
    source: str = ""
    licence: str = ""
    border: float | None = None
    """Of the pictures that a model was trained on, where only their outline is known."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.items.shape

    def counts(self, split: Split) -> list[int]:
        """Items of each class."""
        if self.labels is None:
            return [len(self.splits[split])]
        labels = self.labels[self.splits[split]]
        return np.bincount(labels, minlength=len(self.classes)).tolist()  # type: ignore[no-any-return]

    def outline(self) -> dict[str, Any]:
        """What a trained model must know of it to take new inputs, as JSON values."""
        return {
            "kind": self.items.kind, "rate": getattr(self.items, "rate", None),
            "shape": list(self.shape), "classes": list(self.classes),
            "fingerprint": self.fingerprint, "border": self._border(),
        }  # fmt: skip

    def _border(self) -> float | None:
        """Mean brightness along the edges of some training pictures, in 0…1."""
        if not isinstance(self.items, Images):
            return None
        some = self.items.pixels[self.splits["train"][:1000]]
        edges = (some[:, 0], some[:, -1], some[:, :, 0], some[:, :, -1])
        return float(np.mean([edge.mean() for edge in edges])) / 255

    @classmethod
    def from_outline(cls, outline: Mapping[str, Any]) -> Data:
        """A dataset of that outline without an item: what it was made of may be gone."""
        shape = outline["shape"]
        none = np.zeros(1, np.int64)
        letters = Ragged(np.zeros(0, np.uint8), none)
        empty: dict[str, Callable[[], ItemsOnHost]] = {
            "images": lambda: Images(np.zeros((0, *shape), np.uint8)),
            "sequences": lambda: Sequences.of(np.zeros((0, *shape), np.float32), none),
            "text": lambda: Texts(letters),
            "pairs": lambda: Pairs(letters, letters),
            "sound": lambda: Waves(Ragged(np.zeros(0, np.int16), none), outline["rate"]),
        }
        return cls(
            items=empty[outline["kind"]](), labels=None, classes=tuple(outline["classes"]),
            splits={}, fingerprint=outline["fingerprint"], border=outline["border"],
        )  # fmt: skip


class Feed:
    """One split, as batches on a device, in an order that depends only on (seed, epoch)."""

    def __init__(
        self, data: Data, split: Split, *, batch_size: int, device: torch.device,
        seed: int = 0, shuffle: bool = False, augment: bool = False,
        resident: ImagesOnDevice | None = None,
    ) -> None:  # fmt: skip
        self.rows = data.splits[split]
        self.items = resident or data.items
        self.labels = data.labels
        self.batch_size = batch_size
        self.device = device
        self.seed = seed
        # The next batch is made while the device works on this one. On a CPU the thread would take
        # its time from training, and in device memory there is nothing to wait for.
        self.ahead = device.type != "cpu" and resident is None
        self.shuffle = shuffle
        self.augment = augment

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.rows) / self.batch_size)

    def batches(self, epoch: int = 0, *, skip: int = 0) -> Iterator[Batch]:
        """The epoch's batches from number `skip` on: those that a whole epoch would give."""
        owed = list(enumerate(self.order(epoch)))[skip:]
        if not self.ahead:
            yield from (self.batch(rows, epoch, number) for number, rows in owed)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            coming = [pool.submit(self.batch, rows, epoch, number) for number, rows in owed[:1]]
            for number, rows in owed[1:]:
                ready = coming.pop()
                coming.append(pool.submit(self.batch, rows, epoch, number))
                yield ready.result()
            yield from (last.result() for last in coming)

    def batch(self, rows: Rows, epoch: int = 0, number: int = 0) -> Batch:
        """The items of these rows. What is random in it depends only on (seed, epoch, number)."""
        rng = np.random.default_rng((self.seed, epoch, number, 1)) if self.augment else None
        targets = None
        if self.labels is not None:
            targets = torch.from_numpy(self.labels[rows]).to(self.device)
        return Batch(self.items.gather(rows, self.device, rng), targets)

    def order(self, epoch: int) -> Sequence[Rows]:
        """The rows of each batch."""
        if not self.shuffle:
            return _chunks(self.rows, self.batch_size)
        rng = np.random.default_rng((self.seed, epoch, 0))
        rows = self.rows[rng.permutation(len(self.rows))]
        if self.items.lengths(rows) is None:
            return _chunks(rows, self.batch_size)
        # Unequal lengths: neighbours in length share a batch, so that little is padding.
        # Sorting within pools of 32 batches keeps the order random enough.
        batches: list[Rows] = []
        for pool in _chunks(rows, 32 * self.batch_size):
            lengths = self.items.lengths(pool)
            ordered = pool if lengths is None else pool[np.argsort(lengths, kind="stable")]
            batches += _chunks(ordered, self.batch_size)
        return [batches[i] for i in rng.permutation(len(batches))]


def _chunks(rows: Rows, size: int) -> list[Rows]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
