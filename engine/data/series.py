"""What the readers of sequences hand back, and what is refused or left out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.catalog import BadInput
from engine.data.arrays import empty_array
from engine.data.labelled import some
from engine.data.options import ImportOptions
from engine.data.splits import Rows, Split

CHUNK = 10_000
"""Rows of a table that are parsed, and rows of an array that are moved, at a time."""
LARGEST = float(np.finfo(np.float32).max)
FEW = 10
"""Series without labels that are so few are each split along time."""
SHORTEST = 30
"""Steps that each of them must have for it."""
PIECE = 100
"""Steps of the pieces that they are cut to, as far as the numbers of pieces allow."""
FEWEST_PIECES, MOST_PIECES = 20, 1000
CUT = (
    "Each series is cut to pieces in the order of time, and the last of them are kept for "
    "validation and test: forecasting joins them again"
)
MOST_DIGITS = 40
"""Of a number in a message."""

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass
class Found:
    """What was read; `values` (rows, D) is a file in scratch."""

    values: Floats
    starts: Rows
    """Sequence i begins with row ``starts[i]``, and has the ``lengths[i]`` rows from there on."""
    lengths: Rows
    names: list[str]
    features: tuple[str, ...]
    order: Rows | None = None
    """Where the rows don't lie in that order: which row of `values` each of them is."""
    labels: list[str] | None = None
    splits: list[Split | None] | None = None
    groups: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    left_out: int = 0
    """Sequences that were broken."""
    running: bool = False
    """They are pieces of series, in the order of time."""

    @property
    def offsets(self) -> Rows:
        """Where the sequences lie when they are end to end (N + 1)."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def without(self, bad: Flags, broken: Broken, file: str) -> Found:
        """What is left without the bad sequences, which a warning names."""
        if not bad.any():
            return self
        if bad.all():
            raise BadInput(
                f"{file}: no sequence is left without the broken: {'; '.join(broken.said)}"
            )
        good = np.flatnonzero(~bad).tolist()
        self.left_out += int(bad.sum())
        self.warnings += broken.warning([self.names[i] for i in np.flatnonzero(bad)])
        self.starts, self.lengths = self.starts[good], self.lengths[good]
        self.names = [self.names[i] for i in good]
        if self.labels is not None:
            self.labels = [self.labels[i] for i in good]
        if self.splits is not None:
            self.splits = [self.splits[i] for i in good]
        self.groups = {c: [cells[i] for i in good] for c, cells in self.groups.items()}
        return self

    def cut(self, options: ImportOptions) -> Found:
        """The same, a few long series without labels as pieces of them, the last of each kept for
        validation and test: so few can't be split, and what comes later is told from before."""
        few = len(self.names) < FEW and min(self.lengths, default=0) >= SHORTEST
        if self.labels is not None or self.splits is not None or not few:
            return self
        several = len(self.names) > 1
        starts: list[int] = []
        lengths: list[int] = []
        names: list[str] = []
        of: list[int] = []
        for i, (name, start, length) in enumerate(
            zip(self.names, self.starts.tolist(), self.lengths.tolist(), strict=True)
        ):
            count = max(FEWEST_PIECES, min(length // PIECE, MOST_PIECES))
            edges = np.linspace(0, length, count + 1).astype(np.int64)
            starts += (start + edges[:-1]).tolist()
            lengths += np.diff(edges).tolist()
            said = f"{name}, steps" if several else "steps"
            names += [f"{said} {a + 1}–{b}" for a, b in pairwise(edges.tolist())]
            of += [i] * count
        if several:
            self.groups["series"] = self.names
        self.groups = {c: [cells[i] for i in of] for c, cells in self.groups.items()}
        self.starts, self.lengths = np.array(starts, np.int64), np.array(lengths, np.int64)
        self.names, self.running = names, True
        self.warnings.append(CUT)
        return self

    def write(self, file: Path) -> None:
        """Write the sequences' values, one sequence after another."""
        offsets = self.offsets
        total = int(offsets[-1])
        begin = empty_array(file, np.float32, (total, self.values.shape[1]))
        with file.open("r+b") as out:
            out.seek(begin)
            for start in range(0, total, CHUNK):
                place = np.arange(start, min(start + CHUNK, total))
                which = np.searchsorted(offsets, place, "right") - 1
                rows = place - offsets[which] + self.starts[which]
                out.write(self.values[rows if self.order is None else self.order[rows]].data)


class Broken:
    """What is wrong with sequences: refused, or kept where such are to be left out."""

    def __init__(self, options: ImportOptions, item: str = "sequence") -> None:
        """`item` is what is left out where something in it is wrong."""
        self.skip = options.skip_broken
        self.item = item
        self.said: list[str] = []
        self.count = 0

    def say(self, sentence: str, mend: str = "") -> None:
        """BadInput with the sentence and the mend, or a note."""
        if not self.skip:
            raise BadInput(
                f"{sentence}{mend or f'. Fill it in, or take its {self.item} out'}, or import with "
                f"“leave out what can't be read”, which leaves such {self.item}s out",
                field="skip_broken",
            )
        self.count += 1
        if len(self.said) < 5:
            self.said.append(sentence)

    def warning(self, names: Sequence[str]) -> list[str]:
        """What was left out: those sequences."""
        if not names:
            return []
        return [f"{len(names):,} sequences were left out ({some(names)}): {'; '.join(self.said)}"]


def is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (ValueError, TypeError):
        return False
    return True
