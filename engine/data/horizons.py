"""Windows of a series: the steps that are read, and those that come next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.catalog import BadInput
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.items import Fed, Sequences, Unequal
from engine.data.options import Kind
from engine.data.splits import SPLITS, Rows, Split


@dataclass(frozen=True)
class Windows(Unequal, Fed):
    """Places in sequences: up to there is read, from there on is to be told.

    A batch has ``values`` (B, longest, D) with ``lengths`` (B,), and wants ``future``
    (B, horizon, D).
    """

    kind: ClassVar[Kind] = "sequences"
    comparable: ClassVar[bool] = False

    values: Ragged
    places: Rows
    """Where in ``values.flat`` the future of each begins."""
    read: Rows
    """Steps before it that are read."""
    horizon: int
    names: tuple[str, ...] = ()
    """What the features are called, where the data say so."""

    @property
    def main(self) -> Ragged:
        return self.values

    def __len__(self) -> int:
        return len(self.places)

    def lengths(self, rows: Rows) -> Rows | None:
        """Steps read of each; None when all are equally many."""
        lengths = self.read[rows]
        return lengths if len(lengths) and np.ptp(lengths) else None

    def statistics(self, rows: Rows) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each feature over every step that they touch, once."""
        edges = np.zeros(len(self.values.flat) + 1, np.int64)
        np.add.at(edges, self.places[rows] - self.read[rows], 1)
        np.add.at(edges, self.places[rows] + self.horizon, -1)
        touched = np.flatnonzero(np.cumsum(edges[:-1]))
        count, total = max(len(touched), 1), np.zeros(self.shape)
        squares = np.zeros(self.shape)
        for start in range(0, len(touched), CHUNK):
            steps = self.values.flat[touched[start : start + CHUNK]].astype(np.float64)
            total += steps.sum(0)
            squares += (steps**2).sum(0)
        mean = total / count
        return mean.tolist(), np.sqrt(np.maximum(squares / count - mean**2, 0)).tolist()

    def past(self, rows: Rows) -> npt.NDArray[np.float32]:
        """What is read (B, longest, D), zeros behind it."""
        lengths = self.read[rows]
        steps = np.arange(int(lengths.max(initial=1)))
        real = steps < lengths[:, None]
        at = np.where(real, (self.places[rows] - lengths)[:, None] + steps, 0)
        found: npt.NDArray[np.float32] = self.values.flat[at] * real[..., None]
        return found

    def future(self, rows: Rows) -> npt.NDArray[np.float32]:
        """What comes next (B, horizon, D)."""
        found: npt.NDArray[np.float32] = self.values.flat[
            self.places[rows][:, None] + np.arange(self.horizon)
        ]
        return found

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        values = torch.from_numpy(self.past(rows))
        lengths = torch.from_numpy(self.read[rows])
        return {"values": values.to(device), "lengths": lengths.to(device)}

    def wanted(self, rows: Rows, device: torch.device) -> dict[str, Tensor]:
        return {"future": torch.from_numpy(self.future(rows)).to(device)}

    def outline(self, rows: Rows) -> dict[str, Any]:
        return {"shape": list(self.shape), "names": list(self.names)}

    @classmethod
    def blank(cls, outline: Mapping[str, Any]) -> Self:
        empty = Ragged(np.zeros((0, *outline["shape"]), np.float32), np.zeros(1, np.int64))
        names = tuple(outline.get("names", ()))
        return cls(empty, np.zeros(0, np.int64), np.zeros(0, np.int64), 0, names)


CHUNK = 100_000
"""Steps that are added up at a time."""


def windows(data: Data, *, context: int, horizon: int, every: int = 1) -> Data:
    """The dataset's sequences as windows, one at every so many steps.

    What is to be told lies wholly in a window's own split. Of the train split's windows, so does
    what is read; the others' may reach back into what came before in the same series, as it would
    be known in earnest. `context` steps are read, but where a stretch is too short for even one
    such window, all that it has before its last `horizon` steps. BadInput where a split has no
    room for one.
    """
    items = data.items
    assert isinstance(items, Sequences)
    places: list[Rows] = []
    read: list[Rows] = []
    splits: dict[Split, Rows] = {}
    begun = 0
    for split in SPLITS:
        count, longest = 0, 0
        for start, end, known in stretches(items, data, split):
            longest = max(longest, end - start)
            first = max(start, known + context)
            if first + horizon <= end:
                found = np.arange(first, end - horizon + 1, every)
                reads = np.full(len(found), context)
            elif start <= end - horizon > known:
                found = np.array([end - horizon])
                reads = np.minimum(found - known, context)
            else:
                continue
            places.append(found)
            read.append(reads)
            count += len(found)
        if not count:
            raise BadInput(
                f"No sequence of the {split} split is long enough: the longest has {longest:,} "
                f"steps, and the last {horizon:,} are to be forecast from at least one before "
                "them. Lower the horizon, or add longer sequences",
                field="task.horizon",
            )
        splits[split] = np.arange(begun, begun + count)
        begun += count
    made = Windows(items.values, np.concatenate(places), np.concatenate(read), horizon, items.names)
    return data.of(made, labels=None, classes=(), splits=splits)


def stretches(items: Sequences, data: Data, split: Split) -> Iterator[tuple[int, int, int]]:
    """The split's sequences as places in the steps: where each begins and ends, and from where on
    what came before it is known. Pieces that follow one another in a series are one stretch."""
    offsets = items.values.offsets
    rows = data.splits[split]
    if items.series is None:
        for start, end in zip(offsets[rows].tolist(), offsets[rows + 1].tolist(), strict=True):
            yield start, end, start
        return
    # What belongs to no split was left out, and cuts its series in two.
    used = np.zeros(len(items), bool)
    for some in data.splits.values():
        used[some] = True
    joined = used[1:] & used[:-1] & (items.series[1:] == items.series[:-1])
    begins = np.concatenate([[True], ~joined])
    whole = np.maximum.accumulate(np.where(begins, np.arange(len(items)), 0))
    breaks = np.flatnonzero((np.diff(rows) > 1) | begins[rows[1:]]) + 1
    for part in np.split(rows, breaks) if len(rows) else ():
        start, end = int(offsets[part[0]]), int(offsets[part[-1] + 1])
        yield start, end, start if split == "train" else int(offsets[whole[part[0]]])
