"""Tables of steps (CSV), arrays (NPZ) and the UCR archive's files (.ts) → sequences of vectors.

The steps of all sequences lie end to end in one array.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from engine.catalog import BadInput
from engine.data import npz
from engine.data.archive import Entry, Source, Unreadable, listing, one_line, require_space, shown
from engine.data.arrays import Items, empty_array
from engine.data.crew import Pace
from engine.data.labelled import SPLIT_FOLDERS, ending, some, split_of, text_of
from engine.data.limits import LIMITS
from engine.data.lines import digest
from engine.data.npz import Arrays
from engine.data.options import ImportOptions, Role, Step, step
from engine.data.splits import Rows, Split
from engine.data.tables import Table, asked_header, open_table

NAMES: dict[Role, tuple[str, ...]] = {
    "sequence": ("sequence", "sequence_id", "seq", "series", "series_id", "case", "case_id"),
    "step": ("step", "time", "t", "timestamp", "frame"),
    "label": ("label", "class", "category", "target", "activity"),
    "split": ("split", "subset", "partition"),
}  # fmt: skip
"""What columns are called, by what they are for, the surest first."""
CHUNK = 10_000
"""Rows of a table that are parsed, and rows of an array that are moved, at a time."""
LARGEST = float(np.finfo(np.float32).max)
MOST_DIGITS = 40
"""Of a number in a message."""
LONGEST_CASE = 64 * 2**20
"""Characters of one sequence in a .ts file, which are all in one line."""

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass
class Found:
    """What was read, in the order it was read; `values` (steps, D) is a file in scratch."""

    values: Floats
    order: Rows
    """Rows of `values`, by sequence and by step in it."""
    offsets: Rows
    """Sequence i is ``order[offsets[i]:offsets[i + 1]]``."""
    names: list[str]
    features: tuple[str, ...]
    labels: list[str] | None = None
    splits: list[Split | None] | None = None
    groups: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


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
                "“skip unreadable files”, which leaves such sequences out",
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


def read(
    sources: Sequence[Path], into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Items]:
    """Import a table of steps, an NPZ, or .ts files; see `imports.Reader`."""
    source = sources[0]
    yield step(0, f"Opening {one_line(source.name)}")
    files = yield from _ts_files(sources, scratch)
    if files:
        found = yield from _ts(files, scratch, options)
    elif len(sources) > 1:
        raise BadInput(
            f"{one_line(source.name)} and {one_line(sources[1].name)}: sequences come in one CSV "
            "or NPZ file, or in .ts files for train and test"
        )
    elif source.is_dir():
        raise BadInput(
            f"{source.name} is a folder without .ts files: sequences come as one CSV or NPZ file, "
            "or as .ts files"
        )
    else:
        with source.open("rb") as file:
            reader = _npz if file.read(2) == b"PK" else _csv
        found = yield from reader(source, scratch, options)
    width = len(found.features)
    require_space(into, int(found.offsets[-1]) * width * 4)
    _gathered(found, into / "values.npy")
    np.save(into / "values.offsets.npy", found.offsets.astype(np.int64))
    plain = [path for path in sources if path.is_file()]
    return Items(
        kind="sequences",
        fingerprint=digest(plain or [path for path, _ in files]),
        names=found.names,
        labels=found.labels,
        splits=found.splits,
        groups=found.groups,
        columns=found.columns,
        shape=(width,),
        features=found.features,
        warnings=found.warnings,
    )


def _gathered(found: Found, file: Path) -> None:
    """The steps' values, sequence after sequence, written to a file."""
    begin = empty_array(file, np.float32, (len(found.order), found.values.shape[1]))
    with file.open("r+b") as out:
        out.seek(begin)
        for start in range(0, len(found.order), CHUNK):
            out.write(found.values[found.order[start : start + CHUNK]].data)


def _without(found: Found, bad: Flags, broken: Broken, file: str) -> Found:
    """What is left without the bad sequences, which a warning names."""
    if not bad.any():
        return found
    if bad.all():
        raise BadInput(f"{file}: no sequence is left without the broken: {'; '.join(broken.said)}")
    good = np.flatnonzero(~bad)
    lengths = np.diff(found.offsets)
    found.order = found.order[np.repeat(~bad, lengths)]
    found.offsets = np.concatenate([[0], np.cumsum(lengths[good])])
    found.warnings += broken.warning([found.names[i] for i in np.flatnonzero(bad)])
    found.names = [found.names[i] for i in good]
    if found.labels is not None:
        found.labels = [found.labels[i] for i in good]
    if found.splits is not None:
        found.splits = [found.splits[i] for i in good]
    found.groups = {c: [cells[i] for i in good] for c, cells in found.groups.items()}
    return found


# --- tables ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """Where a table has what, as places in a row; None for what no column has."""

    names: tuple[str, ...]
    sequence: int
    step: int | None
    label: int | None
    features: tuple[int, ...]
    texts: tuple[int, ...]
    """Columns of no numbers: groups, if they don't change within a sequence."""


def _csv(source: Path, scratch: Path, options: ImportOptions) -> Generator[Step, None, Found]:
    raw = scratch / "values.raw"
    file = one_line(source.name)
    table = open_table(
        source, file, encoding=options.encoding, delimiter=options.delimiter,
        header=asked_header(options.columns),
    )  # fmt: skip
    places = _roles(table, options)
    rows = f"{file}, {table.row}"
    columns: Columns | None = None
    sequences: dict[str, int] = {}
    labels: dict[str, int] = {}
    texts: list[dict[str, int]] = []
    pieces: list[tuple[npt.NDArray[Any], ...]] = []
    broken, before, pace = Broken(options), 0, Pace()
    with raw.open("wb") as out:
        for numbers, cells in _chunks(table.rows(), len(table.columns)):
            if columns is None:
                columns = _columns(table, places, cells, options)
                texts = [{} for _ in columns.texts]
            parsed = _parse(numbers, cells, columns, rows, broken)
            np.stack(parsed.features, axis=1).astype(np.float32).tofile(out)
            count = len(numbers)
            nothing = np.zeros(count, np.int64)
            at = columns.label
            pieces.append((
                _codes(cells[columns.sequence], sequences),
                np.arange(before, before + count, dtype=np.float64)
                if parsed.steps is None else parsed.steps,
                nothing if at is None else _codes(cells[at], labels),
                np.array(numbers, np.int64),
                parsed.bad,
                *(_codes(cells[i], known) for i, known in zip(columns.texts, texts, strict=True)),
            ))  # fmt: skip
            before += count
            if pace.due():
                yield step(0.8 * table.place.share, f"Reading row {numbers[-1]:,}")
    if columns is None:
        raise BadInput(f"{file} has a header and no rows: add a row for each step")
    yield step(0.8, "Sorting the steps")
    which, when, said, lines, bad, *others = map(np.concatenate, zip(*pieces, strict=True))
    order = np.lexsort((when, which))
    which, when, said, lines, bad = (a[order] for a in (which, when, said, lines, bad))
    same = which[1:] == which[:-1]
    starts = np.concatenate([[0], np.flatnonzero(~same) + 1])
    whole = np.logical_or.reduceat(bad, starts)
    # What is left out needs no further look.
    looked_at = same & ~np.repeat(whole, np.diff(np.append(starts, len(order))))[1:]
    names = list(sequences)
    step_name = "" if columns.step is None else columns.names[columns.step]
    _once(looked_at & (when[1:] == when[:-1]), lines, names, which, when, rows, step_name)
    if columns.label is not None:
        column = columns.names[columns.label]
        _constant(looked_at & (said[1:] != said[:-1]), lines, names, which, rows, column)
    groups: dict[str, list[str]] = {}
    for place, known, codes in zip(columns.texts, texts, others, strict=True):
        codes = codes[order]
        changes = looked_at & (codes[1:] != codes[:-1])
        if changes.any():
            i = int(np.flatnonzero(changes)[0])
            cell = shown(list(known)[codes[i + 1]], most=MOST_DIGITS)
            raise BadInput(
                f"{rows} {lines[i + 1]}, column {shown(columns.names[place])}: {cell} isn't a "
                "number. Put numbers there, or take the column out. (A column of texts can stay "
                "where it says the same in all rows of a sequence.)"
            )
        values = list(known)
        groups[columns.names[place]] = [values[code] for code in codes[starts].tolist()]
    splits = _splits(groups, places, options)
    written = list(labels)
    found = Found(
        values=np.memmap(raw, np.float32, "r", shape=(len(order), len(columns.features))),
        order=order,
        offsets=np.append(starts, len(order)),
        labels=None if columns.label is None else [written[c] for c in said[starts].tolist()],
        splits=splits,
        groups=groups,
        features=tuple(one_line(columns.names[i]) for i in columns.features),
        names=[names[code] for code in which[starts].tolist()],
        columns=_said(table, places),
    )
    return _without(found, whole, broken, file)


def _said(table: Table, places: Mapping[Role, int]) -> dict[str, str]:
    columns = {str(role): table.columns[at] for role, at in places.items()}
    form = {"encoding": table.encoding, "delimiter": table.delimiter}
    return columns | {key: value for key, value in form.items() if value}


def _roles(table: Table, options: ImportOptions) -> dict[Role, int]:
    """Which column is for what. BadInput says which are missing."""
    file, names = table.name, table.columns
    lowered = [name.strip().lower().replace(" ", "_") for name in names]
    places: dict[Role, int] = {}
    for role, known in NAMES.items():
        asked = options.columns.get(role)
        if asked:
            if asked not in names:
                raise BadInput(
                    f"{file} has no column {shown(asked)} (it has: {some(names)}): choose one of "
                    "those",
                    field="columns",
                )
            places[role] = names.index(asked)
        elif asked is None:
            free = (n for n in known if n in lowered and lowered.index(n) not in places.values())
            if (name := next(free, None)) is not None:
                places[role] = lowered.index(name)
    needed: tuple[Role, ...] = ("sequence", "step", "label")
    optional = {role for role in ("step", "label") if options.columns.get(role) == ""}
    if missing := [role for role in needed if role not in places and role not in optional]:
        there = ", ".join(shown(name, most=20) for name in names[:8]) or "nothing"
        raise BadInput(
            f"{file}: its first row must name the columns sequence, step, label and the "
            f"features. {', '.join(missing)} is missing; there is {there}"
            f"{', …' if len(names) > 8 else ''}",
            field="columns",
        )
    return places


def _columns(
    table: Table, places: Mapping[Role, int], cells: list[tuple[Any, ...]], options: ImportOptions
) -> Columns:
    """The columns' places; which hold numbers is told by the first rows."""
    names = table.columns
    rest = [i for i in range(len(names)) if i not in places.values()]
    texts = [i for i in rest if names[i] == options.group or not any(map(_is_number, cells[i]))]
    blank = [i for i in texts if names[i] != options.group and not any(map(text_of, cells[i]))]
    texts = [i for i in texts if i not in blank]  # a column of nothing is told as such
    features = tuple(i for i in rest if i not in texts)
    if not features:
        raise BadInput(
            f"{table.name} has no feature: beside sequence, step and label there must be a "
            "column of numbers"
        )
    if "split" in places:
        texts.append(places["split"])
    return Columns(
        names, places["sequence"], places.get("step"), places.get("label"), features, tuple(texts)
    )


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (ValueError, TypeError):
        return False
    return True


def _splits(
    groups: dict[str, list[str]], places: Mapping[Role, int], options: ImportOptions
) -> list[Split | None] | None:
    """Each sequence's split, where a column names them; it is taken out of the groups."""
    column = options.columns.get("split")
    candidates = [column] if column else [c for c in groups if c.strip().lower() in NAMES["split"]]
    for name in candidates if column != "" else []:
        cells = groups.get(name, [])
        strange = sorted({cell for cell in cells if cell and cell.lower() not in SPLIT_FOLDERS})
        if strange and column:
            raise BadInput(
                f"Column {shown(name)}: {some(strange)} is no split (train, validation or test): "
                "choose another column, or none",
                field="columns",
            )
        if cells and not strange:
            del groups[name]
            return [SPLIT_FOLDERS.get(cell.lower()) for cell in cells]
    return None


Numbered = tuple[list[int], list[tuple[Any, ...]]]


def _chunks(rows: Iterator[tuple[int, tuple[Any, ...]]], width: int) -> Iterator[Numbered]:
    """Rows turned to columns, `CHUNK` at a time (fewer where they are wide)."""
    most = max(1, min(CHUNK, 2_000_000 // width))
    numbers: list[int] = []
    chunk: list[tuple[Any, ...]] = []
    for number, row in rows:
        numbers.append(number)
        chunk.append(row)
        if len(chunk) == most:
            yield numbers, list(zip(*chunk, strict=True))
            numbers, chunk = [], []
    if chunk:
        yield numbers, list(zip(*chunk, strict=True))


@dataclass
class Parsed:
    """Rows as numbers; `bad` says which can't be read."""

    steps: npt.NDArray[np.float64] | None
    features: list[npt.NDArray[np.float64]]
    bad: Flags


def _parse(
    numbers: list[int], cells: list[tuple[Any, ...]], columns: Columns, rows: str, broken: Broken
) -> Parsed:
    """Steps and features as numbers, and sequence and label looked at."""
    bad = np.zeros(len(numbers), bool)
    for i in [columns.sequence] + ([] if columns.label is None else [columns.label]):
        if not all(map(text_of, cells[i])):
            for at, cell in enumerate(cells[i]):
                if not text_of(cell):
                    where = f"{rows} {numbers[at]}, column {shown(columns.names[i])}"
                    mend = ". Every row needs its sequence and its label"
                    broken.say(f"{where}: it is empty", mend)
                    bad[at] = True
    steps = None
    if columns.step is not None:
        steps = _numbers(
            numbers, cells[columns.step], columns.names[columns.step], rows, broken, bad
        )
    features = [
        _numbers(numbers, cells[i], columns.names[i], rows, broken, bad) for i in columns.features
    ]
    return Parsed(steps, features, bad)


def _numbers(
    numbers: list[int], cells: Sequence[Any], column: str, rows: str, broken: Broken, bad: Flags
) -> npt.NDArray[np.float64]:
    """A column's cells as numbers; 0, and bad, where one is none that float32 can hold."""
    try:
        values = np.fromiter(map(float, cells), np.float64, len(numbers))
        # A value that float32 can't hold would become infinite.
        if (np.abs(values) <= LARGEST).all():
            return values
    except (ValueError, TypeError):
        pass
    values = np.zeros(len(numbers))
    for at, cell in enumerate(cells):
        value = float(cell) if _is_number(cell) else np.nan
        if abs(value) <= LARGEST:
            values[at] = value
        else:
            where = f"{rows} {numbers[at]}, column {shown(column)}: "
            broken.say(where + _why(cell), _mend(cell))
            bad[at] = True
    return values


def _why(cell: Any) -> str:
    if not text_of(cell):
        # What data frames write for nothing is worth its name.
        nothing = cell is None or not str(cell).strip()
        return "it is empty" if nothing else f"{shown(str(cell))} isn't a finite number"
    said = shown(str(cell), most=MOST_DIGITS)
    return f"{said} isn't a {'finite ' if _is_number(cell) else ''}number"


def _mend(cell: Any) -> str:
    text = str(cell)
    if _is_number(cell) or not text.strip() or cell is None:
        return ""
    if text.count(",") == 1 and text.replace(",", "").strip("+- ").isdecimal():
        return f": write decimals with a point ({one_line(text).replace(',', '.')})"
    return ". Put a number there, or take the column out"


def _codes(cells: Sequence[Any], known: dict[str, int]) -> Rows:
    """A number for each text, the same for the same text; new ones are added to `known`."""
    return np.fromiter(
        (known.setdefault(text_of(cell), len(known)) for cell in cells), np.int64, len(cells)
    )


def _once(
    twice: Flags,
    lines: Rows,
    sequences: list[str],
    which: Rows,
    when: npt.NDArray[np.float64],
    rows: str,
    column: str,
) -> None:
    for i in np.flatnonzero(twice)[:1]:
        name = shown(sequences[which[i]])
        first, second = sorted((int(lines[i]), int(lines[i + 1])))
        raise BadInput(
            f"{rows} {second}, column {shown(column)}: sequence {name} has step {when[i]:g} "
            f"already in row {first}. Every step of a sequence needs its own number"
        )


def _constant(
    changes: Flags, lines: Rows, sequences: list[str], which: Rows, rows: str, column: str
) -> None:
    for i in np.flatnonzero(changes)[:1]:
        name = shown(sequences[which[i]])
        raise BadInput(
            f"{rows} {lines[i + 1]}, column {shown(column)}: it differs from row {lines[i]} "
            f"of the same sequence {name}. A sequence has one label: use another name in "
            "column “sequence” where the label changes"
        )


# --- NPZ ------------------------------------------------------------------------------------


def _npz(source: Path, scratch: Path, options: ImportOptions) -> Generator[Step, None, Found]:
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
        shape, holes = yield from _unpack(archive, scratch)
        count = len(labels) if labels is not None else _count(shape, lengths)
        starts, counts = _bounds(shape, lengths, count, file)
        groups = _npz_groups(archive, count)
    width = 1 if len(shape) == (2 if lengths is None else 1) else shape[-1]
    values = np.memmap(scratch / "values.raw", np.float32, "r").reshape(-1, width)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    order = np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])
    bad = np.zeros(count, bool)
    if len(holes):
        # What lies in the padding after a sequence's end is no part of it.
        empty = np.zeros(len(values), bool)
        empty[holes // width] = True
        bad = np.logical_or.reduceat(empty[order], offsets[:-1])
        owner = np.full(len(values), -1)
        owner[order] = np.repeat(np.arange(count), counts)
        for hole in holes[owner[holes // width] >= 0][: None if broken.skip else 1].tolist():
            where = ", ".join(map(str, np.unravel_index(hole, shape)))
            hint = " (where shorter sequences are padded with NaN, add an array lengths)"
            broken.say(
                f"{file}: x[{where}] isn't a finite number",
                f": fill it in, or take its sequence out{hint if lengths is None else ''}",
            )
            if broken.count > 5:
                break
    found = Found(
        values=values,
        order=order,
        offsets=offsets,
        labels=labels,
        groups=groups,
        features=tuple(f"x{i}" for i in range(width)),
        names=list(map(str, range(count))),
    )
    return _without(found, bad, broken, file)


def _count(shape: tuple[int, ...], lengths: npt.NDArray[Any] | None) -> int:
    if lengths is not None:
        return int(lengths.size)
    return shape[0] if shape else 0


def _npz_groups(archive: Arrays, count: int) -> dict[str, list[str]]:
    """Other arrays that have one text or whole number for each sequence."""
    groups = {}
    for name in archive.names:
        if name not in ("x", "y", "lengths"):
            said = archive.described(name)
            if said.shape == (count,) and said.dtype.kind in "biuUS":
                groups[one_line(name)] = [
                    one_line(text_of(v)) for v in archive.array(name).tolist()
                ]
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
    if steps.sum() != shape[0]:
        raise BadInput(f"{file}: lengths adds up to {steps.sum():,}, and x has {shape[0]:,} steps")
    return np.concatenate([[0], np.cumsum(steps)[:-1]]), steps


def _as_many(sequences: int, labels: int, file: str) -> None:
    if sequences != labels:
        raise BadInput(
            f"{file}: there are {sequences:,} sequences in x and {labels:,} labels in y: "
            "there must be one label a sequence"
        )


def _unpack(archive: Arrays, scratch: Path) -> Generator[Step, None, tuple[tuple[int, ...], Rows]]:
    """Write x to scratch as float32; its shape, and where it holds no finite number."""
    pace, file = Pace(), archive.file
    with (scratch / "values.raw").open("wb") as out:
        said = archive.described("x")
        if said.dtype.kind not in "biuf":
            raise BadInput(f"{file}: x holds {said.dtype}: it must hold numbers")
        if 0 in said.shape or not said.shape:
            return said.shape, np.zeros(0, np.int64)
        require_space(scratch, 2 * 4 * said.count)
        holes: list[Rows] = []
        start = 0
        for block in archive.blocks("x", 4 * 2**20):
            with np.errstate(over="ignore"):
                floats = np.ascontiguousarray(block, np.float32)
            if not np.isfinite(floats).all():
                holes.append(start + np.flatnonzero(~np.isfinite(floats.ravel())))
            floats.tofile(out)
            start += floats.size
            if pace.due():
                text = f"Reading {start:,} of {said.count:,} values"
                yield step(0.8 * start / said.count, text)
    return said.shape, np.concatenate([np.zeros(0, np.int64), *holes])


# --- .ts ------------------------------------------------------------------------------------
# https://www.aeon-toolkit.org/en/stable/api_reference/data_format.html


def is_ts(path: Path) -> bool:
    """Whether a file begins as .ts files do: with comments, and then words after an @."""
    with path.open("rb") as file:
        start = file.read(2**16).removeprefix(b"\xef\xbb\xbf")
    for line in start.splitlines():
        text = line.strip()
        if text and not text.startswith((b"#", b"%")):
            return text.startswith(b"@") and text[1:2].isalpha()
    return False


def _ts_files(
    sources: Sequence[Path], scratch: Path
) -> Generator[Step, None, list[tuple[Path, str]]]:
    """The .ts files that the sources are or hold, each with its name; none if they are no such."""
    found: list[tuple[Path, str]] = []
    for source in sources:
        if source.is_file() and not npz.is_npz(source) and is_ts(source):
            found.append((source, source.name))
        elif source.is_file() and source.suffix.lower() == ".ts":
            raise BadInput(
                f"{one_line(source.name)} is no .ts file of sequences: such a file begins with "
                "lines like @problemName and @classLabel, and has its cases after a line @data"
            )
        elif source.is_dir() or _is_zip(source):
            archive, entries = yield from listing(source, scratch, upto=0)
            inside = [entry for entry in entries if ending(entry) == ".ts"]
            found += _extracted(archive, inside, scratch, source.name)
    return found


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK" and not npz.is_npz(path)


def _extracted(
    archive: Source, entries: Sequence[Entry], scratch: Path, name: str
) -> list[tuple[Path, str]]:
    found = []
    with archive.reading() as read:
        for number, entry in enumerate(entries):
            if entry.size > LIMITS.file_bytes:
                raise BadInput(
                    f"{name}: {shown(entry.name)} is larger than {LIMITS.file_bytes // 2**20} MB: "
                    "import that file itself, not packed"
                )
            path = scratch / f"{number}.ts"  # never a name out of the archive
            try:
                path.write_bytes(read(entry, None))
            except Unreadable as problem:
                raise BadInput(f"{name}: {shown(entry.name)} {problem}: pack it again") from None
            found.append((path, entry.path[-1]))
    return found


@dataclass
class Header:
    """What the lines before @data say."""

    timestamps: bool = False
    dimensions: int | None = None
    labelled: bool = False
    classes: tuple[str, ...] = ()


def _ts(
    files: Sequence[tuple[Path, str]], scratch: Path, options: ImportOptions
) -> Generator[Step, None, Found]:
    splits = [split_of((name,)) if len(files) > 1 else None for _, name in files]
    if len(files) > 1 and None in splits:
        raise BadInput(
            f"There are {len(files)} .ts files ({some([name for _, name in files])}), and not all "
            "of their names say train, validation or test: import one, or name them so"
        )
    raw = scratch / "values.raw"
    broken, pace = Broken(options), Pace()
    names: list[str] = []
    labels: list[str] = []
    where: list[Split | None] = []
    lengths: list[int] = []
    lost: list[str] = []
    width: int | None = None
    labelled: bool | None = None
    timed = False
    size = sum(path.stat().st_size for path, _ in files)
    done = 0
    with raw.open("wb") as out:
        for (path, name), split in zip(files, splits, strict=True):
            name = one_line(name)
            with path.open("rb") as binary:
                text = io.TextIOWrapper(binary, encoding="utf-8-sig")
                lines = _lines(text, name)
                head = _ts_header(lines, name)
                timed = timed or head.timestamps
                if width is None:
                    width, labelled = head.dimensions, head.labelled
                elif head.dimensions not in (None, width) or head.labelled != labelled:
                    raise BadInput(
                        f"{name} and {one_line(files[0][1])} differ in dimensions or class "
                        "labels: import files of one dataset"
                    )
                case = 0
                for number, line in lines:
                    case += 1
                    called = f"{split}/{case}" if split else str(case)
                    label, dimensions = _case(line, head)
                    values = None
                    if width is None:
                        width = len(dimensions)
                    try:
                        values = _steps(label, dimensions, width, head)
                    except _BadCase as problem:
                        broken.say(f"{name}, line {number}: {problem}")
                        lost.append(called)
                    if values is not None:
                        values.tofile(out)
                        lengths.append(len(values))
                        names.append(called)
                        labels.append(label)
                        where.append(split)
                    if pace.due():
                        share = (done + binary.tell()) / max(size, 1)
                        yield step(0.9 * min(share, 1), f"Reading line {number:,} of {name}")
                done += path.stat().st_size
                if not case:
                    raise BadInput(f"{name} has no case after the line @data: add some")
    if not names or width is None:
        raise BadInput(f"No case is left without the broken: {'; '.join(broken.said)}")
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    found = Found(
        values=np.memmap(raw, np.float32, "r", shape=(int(offsets[-1]), width)),
        order=np.arange(offsets[-1]),
        offsets=offsets,
        labels=labels if labelled and options.columns.get("label") != "" else None,
        splits=where if len(files) > 1 else None,
        features=tuple(f"dim{i}" for i in range(width)),
        names=names,
        warnings=broken.warning(lost),
    )
    if timed:
        found.warnings.append("The time stamps were left out; the steps keep their order")
    return found


def _lines(text: IO[str], name: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without the blank and the comments."""
    number = 0
    while True:
        try:
            line = text.readline(LONGEST_CASE)
        except UnicodeDecodeError:
            raise BadInput(
                f"{name} isn't encoded as UTF-8 (from about line {number + 1:,} on): save it so"
            ) from None
        if not line:
            return
        number += 1
        if len(line) == LONGEST_CASE:
            raise BadInput(
                f"{name}, line {number:,}: this line alone has {LONGEST_CASE:,} characters or "
                "more: end each case with a line break"
            )
        if (line := line.strip()) and line[0] not in "#%":
            yield number, line


def _ts_header(lines: Iterator[tuple[int, str]], name: str) -> Header:
    head = Header()
    for number, line in lines:
        where = f"{name}, line {number}"
        if not line.startswith("@"):
            raise BadInput(
                f"{where}: {shown(line, most=MOST_DIGITS)} comes before the line @data: begin the "
                "lines before it with @ or #"
            )
        tag, *values = line[1:].split()
        tag = tag.lower() if tag else ""
        value = values[0].lower() if values else ""
        if tag == "data":
            return head
        if tag == "timestamps":
            head.timestamps = value == "true"
        elif tag == "univariate" and value == "true":
            head.dimensions = 1
        elif tag in ("dimensions", "dimension"):
            if not value.isdecimal() or not 1 <= int(value) <= LIMITS.columns:
                raise BadInput(
                    f"{where}: @{tag} must be a whole number from 1 to {LIMITS.columns:,}"
                )
            head.dimensions = int(value)
        elif tag == "classlabel":
            head.labelled = value == "true"
            head.classes = tuple(values[1:]) if head.labelled else ()
        elif tag == "targetlabel" and value == "true":
            raise BadInput(
                f"{where}: @targetLabel says that each case has a measured value, not a class: "
                "only classes can be learnt from sequences here"
            )
    raise BadInput(f"{name} has no line @data: the cases come after it")


class _BadCase(Exception):
    """Why a case can't be read, in words that follow its line's number."""


_TUPLE = re.compile(r"\(([^()]*),([^(),]*)\)")
_COLON = re.compile(r":(?![^(]*\))")


def _case(line: str, head: Header) -> tuple[str, list[str]]:
    """A case's label, "" where there is none, and its dimensions."""
    # Time stamps may hold colons, too.
    parts = _COLON.split(line) if head.timestamps else line.split(":")
    label = ""
    last = parts[-1].strip()
    missing = len(parts) == head.dimensions and last not in head.classes
    if head.labelled and not missing and "," not in last and len(parts) > 1:
        label = one_line(parts.pop())
    return label, parts


def _steps(label: str, dimensions: list[str], width: int, head: Header) -> Floats:
    """A case's steps (T, D). `_BadCase` says what is wrong with it."""
    if len(dimensions) != width:
        count = f"{len(dimensions)} dimension{'s' * (len(dimensions) != 1)}"
        raise _BadCase(f"it has {count}, and there must be {width}")
    if head.labelled and (not label or label == "?"):
        raise _BadCase("it has no label after the last colon")
    if head.classes and label not in head.classes:
        raise _BadCase(f"its label {shown(label)} isn't one of those that @classLabel names")
    columns = []
    stamps: list[str] | None = None
    for place, said in enumerate(dimensions, 1):
        cells = said.split(",")
        if head.timestamps:
            pairs = _TUPLE.findall(said)
            cells = [value for _, value in pairs]
            times = [time.strip() for time, _ in pairs]
            if stamps is not None and times != stamps:
                raise _BadCase(f"dimension {place} has other time stamps than the first")
            stamps = times
        if not said.strip() or not cells:
            raise _BadCase(f"dimension {place} is empty")
        try:
            values = np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            at = next(i for i, cell in enumerate(cells) if not _is_number(cell))
            missing = "is missing" if cells[at].strip() in ("?", "") else "isn't a number"
            value = shown(cells[at], most=MOST_DIGITS)
            raise _BadCase(f"dimension {place}, value {at + 1}: {value} {missing}") from None
        if not (np.abs(values) <= LARGEST).all():
            at = int(np.flatnonzero(~(np.abs(values) <= LARGEST))[0])
            value = shown(cells[at], most=MOST_DIGITS)
            raise _BadCase(f"dimension {place}, value {at + 1}: {value} isn't a finite number")
        columns.append(values)
    if len(lengths := {len(column) for column in columns}) > 1:
        raise _BadCase(
            f"its dimensions have unequal lengths ({min(lengths):,} to {max(lengths):,} steps)"
        )
    return np.stack(columns, axis=1).astype(np.float32)
