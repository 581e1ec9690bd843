"""Arrays (NPZ) → sequences: equal, padded, or end to end with their lengths."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.catalog import BadInput
from engine.data import npz
from engine.data.archive import listing, one_line, require_space, shown
from engine.data.crew import Pace
from engine.data.labelled import some
from engine.data.limits import LIMITS
from engine.data.npz import Arrays, written_out
from engine.data.options import ImportOptions, Step, step
from engine.data.series import Broken, Flags, Found
from engine.data.splits import Rows

BLOCK = 4 * 2**20
"""Bytes that are read at a time."""


def read_arrays(
    source: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Found]:
    file = one_line(source.name)
    yield from listing(source, scratch, upto=0)  # refuses what no honest archive holds
    unlabelled = options.columns.get("label") == ""
    broken = Broken(options)
    with npz.opened(source) as archive:
        needed = ("x",) if unlabelled else ("x", "y")
        if missing := [name for name in needed if name not in archive.names]:
            held = ", ".join(map(shown, archive.names[:8])) or "nothing"
            raise BadInput(
                f"{file} holds {held} and must hold x and y ({' and '.join(missing)} missing): "
                "save it with np.savez(path, x=…, y=…)"
            )
        labels = None if unlabelled else archive.labels("y")
        lengths = archive.array("lengths") if "lengths" in archive.names else None
        said = archive.described("x")
        if said.dtype.kind not in "biuf":
            raise BadInput(f"{file}: x holds {said.dtype}: it must hold numbers")
        shape = said.shape
        count = len(labels) if labels is not None else _count(shape, lengths)
        if count > LIMITS.items:
            raise BadInput(f"{file} holds {count:,} sequences, more than {LIMITS.items:,}")
        starts, counts = _bounds(shape, lengths, count, file)
        width = 1 if len(shape) == (2 if lengths is None else 1) else shape[-1]
        found = Found(
            values=np.zeros((0, width), np.float32),
            starts=starts,
            lengths=counts,
            labels=labels,
            groups=_groups(archive, count),
            features=tuple(f"x{i}" for i in range(width)),
            names=list(map(str, range(count))),
        )
        bad = yield from _unpack(archive, found, scratch, broken, padded=lengths is not None)
        known = {"x", "y", "lengths", *found.groups}
        if others := [name for name in archive.names if one_line(name) not in known]:
            found.warnings.append(
                f"Left out, for they aren't x, y or lengths, nor one value a sequence: "
                f"{some(others)}"
            )
    found.values = np.memmap(scratch / "values.raw", np.float32, "r").reshape(-1, width)
    return found.without(bad, broken, file)


def _count(shape: tuple[int, ...], lengths: npt.NDArray[Any] | None) -> int:
    if lengths is not None:
        return int(lengths.size)
    return shape[0] if shape else 0


def _groups(archive: Arrays, count: int) -> dict[str, list[str]]:
    """Other arrays that have one text or whole number for each sequence."""
    groups = {}
    for name in archive.names:
        if name not in ("x", "y", "lengths"):
            said = archive.described(name)
            if said.shape == (count,) and said.dtype.kind in "biuUS":
                groups[one_line(name)] = written_out(archive.array(name))
    return groups


def _bounds(
    shape: tuple[int, ...], lengths: npt.NDArray[Any] | None, count: int, file: str
) -> tuple[Rows, Rows]:
    """Each sequence's first row and its rows, in x taken as (rows, D)."""
    allowed = "(N, T, D), (N, T), or (all steps, D) with an array `lengths`"
    if 0 in shape:
        raise BadInput(f"{file}: x has shape {shape}, which is empty")
    if lengths is None:
        if len(shape) not in (2, 3):
            raise BadInput(f"{file}: x has shape {shape} and must be {allowed}")
        _as_many(shape[0], count, file)
        return np.arange(count) * shape[1], np.full(count, shape[1], np.int64)
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (lengths < 1).any():
        raise BadInput(f"{file}: lengths must be whole numbers above 0, one for each sequence")
    _as_many(len(lengths), count, file)
    # As Python's numbers, which nothing overflows.
    most, total = int(lengths.max(initial=0)), sum(lengths.tolist())
    if most > np.iinfo(np.int64).max:
        raise BadInput(f"{file}: lengths goes up to {most:,}, which no sequence has")
    steps = lengths.astype(np.int64)
    if len(shape) == 3:  # padded
        _as_many(shape[0], count, file)
        if steps.max() > shape[1]:
            raise BadInput(
                f"{file}: lengths goes up to {steps.max():,}, and x has {shape[1]:,} "
                "steps a sequence"
            )
        return np.arange(count) * shape[1], steps
    if len(shape) > 2 or not shape:
        raise BadInput(f"{file}: x has shape {shape} and must be {allowed}")
    if total != shape[0]:
        raise BadInput(f"{file}: lengths adds up to {total:,}, and x has {shape[0]:,} steps")
    return np.concatenate([[0], np.cumsum(steps)[:-1]]), steps


def _as_many(sequences: int, labels: int, file: str) -> None:
    if sequences != labels:
        raise BadInput(
            f"{file}: there are {sequences:,} sequences in x and {labels:,} labels in y: "
            "there must be one label a sequence"
        )


def _unpack(
    archive: Arrays, found: Found, scratch: Path, broken: Broken, *, padded: bool
) -> Generator[Step, None, Flags]:
    """Write x to scratch as float32; which sequences hold something that is no finite number."""
    pace, file = Pace(), archive.file
    said = archive.described("x")
    width = len(found.features)
    bad = np.zeros(len(found.names), bool)
    require_space(scratch, 2 * 4 * said.count)
    start = 0
    with (scratch / "values.raw").open("wb") as out:
        for block in archive.blocks("x", BLOCK, scratch):
            with np.errstate(over="ignore"):
                floats = np.ascontiguousarray(block, np.float32)
            if not np.isfinite(floats).all():
                holes = start + np.flatnonzero(~np.isfinite(floats.ravel()))
                # What lies in the padding after a sequence's end is no part of it.
                rows = holes // width
                owner = np.searchsorted(found.starts, rows, "right") - 1
                inside = rows - found.starts[owner] < found.lengths[owner]
                bad[owner[inside]] = True
                for hole in holes[inside][:5].tolist():
                    where = ", ".join(map(str, np.unravel_index(hole, said.shape)))
                    hint = " (where shorter sequences are padded with NaN, add an array lengths)"
                    broken.say(
                        f"{file}: x[{where}] isn't a finite number",
                        f": fill it in, or take its sequence out{'' if padded else hint}",
                    )
            floats.tofile(out)
            start += floats.size
            if pace.due():
                text = f"Reading {start:,} of {said.count:,} values"
                yield step(0.8 * start / said.count, text)
    return bad
