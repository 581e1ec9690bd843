"""What the readers of sequences hand back, and what is refused or left out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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

    def __init__(self, options: ImportOptions) -> None:
        self.skip = options.skip_broken
        self.said: list[str] = []
        self.count = 0

    def say(self, sentence: str, mend: str = "") -> None:
        """BadInput with the sentence and the mend, or a note."""
        if not self.skip:
            raise BadInput(
                f"{sentence}{mend or '. Fill it in, or take its sequence out'}, or import with "
                "“leave out what can't be read”, which leaves such sequences out",
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
