"""Tables of steps (CSV) and arrays (NPZ) → sequences of vectors, end to end in one array."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from engine.catalog import BadInput
from engine.data.archive import listing, one_line, require_space, shown
from engine.data.arrays import Lengths, Manifest, contiguous, counted, empty_array, write
from engine.data.crew import Pace
from engine.data.images import natural
from engine.data.options import ImportOptions, Step, step
from engine.data.splits import FEWEST, Rows, stratified

NEEDED = ("sequence", "step", "label")
DELIMITERS = (",", ";", "\t")
CHUNK = 10_000
"""Rows of a table that are parsed, and rows of an array that are moved, at a time."""
MOST_COLUMNS = 100_000
LARGEST = float(np.finfo(np.float32).max)
MOST_DIGITS = 40
"""Of a number in a message."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """What was read, in the order it was read; `values` (steps, D) is a file in scratch."""

    values: Floats
    order: Rows
    """Rows of `values`, by sequence and by step in it."""
    offsets: Rows
    """Sequence i is ``order[offsets[i]:offsets[i + 1]]``."""
    labels: Rows
    classes: tuple[str, ...]
    features: tuple[str, ...]
    names: tuple[str, ...]


def read(
    source: Path, into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Manifest]:
    """Import a CSV or NPZ into the folder `into`, which is there.

    What is needed meanwhile goes to the folder `scratch`. BadInput says what is wrong with the
    file, where in it, and how to mend it.
    """
    if source.is_dir():
        raise BadInput(f"{source.name} is a folder: sequences come as one CSV or NPZ file")
    with source.open("rb") as file:
        reader = _npz if file.read(2) == b"PK" else _csv
    yield step(0, f"Opening {one_line(source.name)}")
    table = yield from reader(source, scratch)
    said: list[str] = []
    count, width = len(table.labels), len(table.features)
    _enough(table, source.name)
    parts = stratified(
        table.labels, seed=options.seed, validation=options.validation, test=options.test
    )
    order, splits = contiguous(parts)
    lengths = np.diff(table.offsets)[order]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    require_space(into, int(offsets[-1]) * width * 4)
    # Each step's place in `table.order`: its sequence's beginning, and how far it is in it.
    steps = np.repeat(table.offsets[:-1][order] - offsets[:-1], lengths) + np.arange(offsets[-1])
    values = _gathered(table, steps, into / "values.npy")
    yield step(0.9, "Measuring")
    mean, std = moments(values[: offsets[splits["train"][1]]])
    if flat := [table.features[i] for i in np.flatnonzero(std == 0)]:
        more = f" and {len(flat) - 5:,} more" if len(flat) > 5 else ""
        names = ", ".join(shown(name) for name in flat[:5]) + more
        said.append(f"Always the same in training, so nothing can be learnt from it: {names}")
    np.save(into / "offsets.npy", offsets.astype(np.int64))
    manifest = Manifest(
        kind="sequences",
        source=one_line(source.name),
        fingerprint=_digest(source),
        options=options,
        classes=table.classes,
        shape=(width,),
        splits=splits,
        counts=counted(table.labels[order], splits, len(table.classes)),
        mean=tuple(mean.tolist()),
        std=tuple(np.where(std > 0, std, 1.0).tolist()),
        features=table.features,
        lengths=Lengths(
            shortest=int(lengths.min()),
            median=float(np.median(lengths)),
            mean=float(lengths.mean()),
            longest=int(lengths.max()),
        ),
        warnings=tuple(said),
    )
    write(into, manifest, labels=table.labels[order], names=[table.names[i] for i in order])
    yield step(0.99, f"{count:,} sequences are ready")
    return manifest


def moments(
    values: Floats,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each column of (rows, D), in two passes."""
    blocks = [values[start : start + CHUNK] for start in range(0, len(values), CHUNK)]  # views
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(values)
    spread = sum(((block - mean) ** 2).sum(axis=0) for block in blocks) / len(values)
    # Rounding leaves a little spread where there is none.
    equal = np.logical_and.reduce([(block == values[0]).all(axis=0) for block in blocks])
    return np.asarray(mean), np.where(equal, 0.0, np.sqrt(spread))


def _gathered(table: Table, steps: Rows, file: Path) -> Floats:
    """The steps' values, in that order, written to a file and mapped from it."""
    shape = (len(steps), table.values.shape[1])
    begin = empty_array(file, np.float32, shape)
    with file.open("r+b") as out:
        out.seek(begin)
        for start in range(0, len(steps), CHUNK):
            out.write(table.values[table.order[steps[start : start + CHUNK]]].data)
    return np.load(file, mmap_mode="r")  # type: ignore[no-any-return]


def _enough(table: Table, file: str) -> None:
    counts = np.bincount(table.labels, minlength=len(table.classes)).tolist()
    if len(table.classes) < 2:
        only = shown(table.classes[0])
        raise BadInput(
            f"{file} has only one class, {only}: the labels must have at least two different values"
        )
    if len(table.classes) * FEWEST > len(table.labels):
        raise BadInput(
            f"{file} has {len(table.classes):,} different labels for "
            f"{len(table.labels):,} sequences: a label is a class that many sequences "
            "share, not a measured value"
        )
    for name, count in zip(table.classes, counts, strict=True):
        if count < FEWEST:
            raise BadInput(
                f"{file}: class {shown(name)} has {count} sequence"
                f"{'' if count == 1 else 's'}, and needs at least {FEWEST}, for "
                "training, validation and test. Add some, or take the class out"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- CSV ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """Where a table has what."""

    delimiter: str
    names: tuple[str, ...]
    sequence: int
    step: int
    label: int
    features: tuple[int, ...]


def _csv(source: Path, scratch: Path) -> Generator[Step, None, Table]:
    size = source.stat().st_size
    raw = scratch / "values.raw"
    sequences: dict[str, int] = {}
    labels: dict[str, int] = {}
    pieces: list[tuple[Rows, npt.NDArray[np.float64], Rows, Rows]] = []
    pace = Pace()
    with source.open("rb") as binary, raw.open("wb") as out:
        # utf-8-sig also reads what has no byte order mark.
        text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        columns, rows = _opened(text, source.name)
        for numbers, cells in _chunks(rows, len(columns.names), source.name):
            parsed = _parse(numbers, cells, columns, source.name)
            np.stack(parsed[1:], axis=1).astype(np.float32).tofile(out)
            pieces.append(
                (
                    _codes(cells[columns.sequence], sequences),
                    parsed[0],
                    _codes(cells[columns.label], labels),
                    np.array(numbers, np.int64),
                )
            )
            if pace.due():
                yield step(0.8 * binary.tell() / max(size, 1), f"Reading row {numbers[-1]:,}")
    if not pieces:
        raise BadInput(f"{source.name} has a header and no rows: add a row for each step")
    yield step(0.8, "Sorting the steps")
    which, when, said, lines = (np.concatenate(column) for column in zip(*pieces, strict=True))
    order = np.lexsort((when, which))
    which, when, said = which[order], when[order], said[order]
    same = which[1:] == which[:-1]
    _once(same & (when[1:] == when[:-1]), lines[order], sequences, which, when, source.name)
    _constant(same & (said[1:] != said[:-1]), lines[order], sequences, which, source.name)
    starts = np.concatenate([[0], np.flatnonzero(~same) + 1])
    classes = sorted({one_line(label) for label in labels}, key=natural)
    place = {name: i for i, name in enumerate(classes)}
    codes = np.array([place[one_line(label)] for label in labels])
    values = np.memmap(raw, np.float32, "r", shape=(len(order), len(columns.features)))
    return Table(
        values=values,
        order=order,
        offsets=np.append(starts, len(order)),
        labels=codes[said[starts]],
        classes=tuple(classes),
        features=tuple(one_line(columns.names[i]) for i in columns.features),
        names=tuple(sequences),
    )


Numbered = tuple[list[int], list[tuple[str, ...]]]


def _opened(text: IO[str], file: str) -> tuple[Columns, Iterator[tuple[int, list[str]]]]:
    """The header's columns, and the rows after it with their numbers as a spreadsheet counts."""
    first = _decoded(lambda: text.readline(10_000_000), file, 1)
    columns = header(first, file)
    # A cell longer than csv's limit of 128 kB is a quotation mark left open, or strict finds it.
    reader = csv.reader(text, delimiter=columns.delimiter, strict=True)

    def rows() -> Iterator[tuple[int, list[str]]]:
        number = 1
        while True:
            try:
                row = _decoded(lambda: next(reader, None), file, number + 1)
            except csv.Error as problem:
                raise BadInput(
                    f"{file}, row {number + 1}: {problem}: look for a quotation mark that isn't "
                    "closed, there or before"
                ) from None
            if row is None:
                return
            number = reader.line_num + 1
            if row:
                yield number, row

    return columns, rows()


def _decoded(get: Callable[[], Any], file: str, row: int) -> Any:
    try:
        return get()
    except UnicodeDecodeError as problem:
        if problem.object[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise BadInput(f"{file} is encoded as UTF-16: save it as “CSV UTF-8”") from None
        raise BadInput(
            f"{file} isn't encoded as UTF-8 (from about row {row:,} on): save it as “CSV UTF-8”"
        ) from None


def header(line: str, file: str) -> Columns:
    """The columns that a table's first line names. BadInput says which are missing."""
    best: tuple[str, ...] = ()
    for delimiter in DELIMITERS:
        try:
            cells = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            continue
        names = tuple(cell.strip() for cell in cells)
        if len(names) > len(best):
            best, chosen = names, delimiter
    lowered = [name.lower() for name in best]
    if missing := [name for name in NEEDED if name not in lowered]:
        there = ", ".join(shown(name, most=20) for name in best[:8]) or "nothing"
        raise BadInput(
            f"{file}: its first row must name the columns sequence, step, label and the "
            f"features. {', '.join(missing)} is missing; there is {there}"
            f"{', …' if len(best) > 8 else ''}"
        )
    for i, name in enumerate(lowered):
        if not name:
            raise BadInput(f"{file}: column {i + 1} has no name: name it in the first row")
        if name in lowered[:i]:
            raise BadInput(f"{file}: two columns are named {shown(best[i])}: rename one")
    places = [lowered.index(name) for name in NEEDED]
    features = tuple(i for i in range(len(best)) if i not in places)
    if not features:
        raise BadInput(
            f"{file} has no feature: beside sequence, step and label there must be a "
            "column of numbers"
        )
    if len(best) > MOST_COLUMNS:
        raise BadInput(f"{file} has {len(best):,} columns: at most {MOST_COLUMNS:,} can be read")
    return Columns(chosen, best, places[0], places[1], places[2], features)


def _chunks(rows: Iterator[tuple[int, list[str]]], width: int, file: str) -> Iterator[Numbered]:
    """Rows turned to columns, `CHUNK` at a time (fewer where they are wide)."""
    most = max(1, min(CHUNK, 2_000_000 // width))
    numbers: list[int] = []
    chunk: list[list[str]] = []
    for number, row in rows:
        if (len(row) != width or not row[0]) and not any(map(str.strip, row)):
            continue  # spreadsheets end tables with rows of nothing
        if len(row) != width:
            raise BadInput(
                f"{file}, row {number}: it has {len(row)} cells, and the first row names "
                f"{width} columns"
            )
        numbers.append(number)
        chunk.append(row)
        if len(chunk) == most:
            yield numbers, list(zip(*chunk, strict=True))
            numbers, chunk = [], []
    if chunk:
        yield numbers, list(zip(*chunk, strict=True))


def _parse(
    numbers: list[int], cells: list[tuple[str, ...]], columns: Columns, file: str
) -> list[npt.NDArray[np.float64]]:
    """Steps and features as numbers, and sequence and label looked at."""
    for i in (columns.sequence, columns.label):
        if not all(map(str.strip, cells[i])):
            row = next(n for n, cell in zip(numbers, cells[i], strict=True) if not cell.strip())
            raise BadInput(
                f"{file}, row {row}, column {shown(columns.names[i])}: it is empty. "
                "Every row needs its sequence and its label"
            )
    found = []
    for i in (columns.step, *columns.features):
        try:
            values = np.fromiter(map(float, cells[i]), np.float64, len(numbers))
        except ValueError:
            raise _not_a_number(numbers, cells[i], columns.names[i], file) from None
        # A value that float32 can't hold would become infinite.
        if not (np.abs(values) <= LARGEST).all():
            raise _not_a_number(numbers, cells[i], columns.names[i], file)
        found.append(values)
    return found


def _not_a_number(numbers: list[int], cells: Sequence[str], column: str, file: str) -> BadInput:
    for number, cell in zip(numbers, cells, strict=True):
        where = f"{file}, row {number}, column {shown(column)}: "
        try:
            value = float(cell)
        except ValueError:
            if not cell.strip():
                return BadInput(where + "it is empty. Fill it in, or take its sequence out")
            said = shown(cell, most=MOST_DIGITS)
            if cell.count(",") == 1 and cell.replace(",", "").strip("+- ").isdecimal():
                return BadInput(
                    where + f"{said} isn't a number: write decimals with a point "
                    f"({one_line(cell).replace(',', '.')})"
                )
            return BadInput(
                where + f"{said} isn't a number. Put a number there, or take the column out"
            )
        if not abs(value) <= LARGEST:
            return BadInput(
                where + f"{shown(cell, most=MOST_DIGITS)} isn't a finite number. Fill "
                "it in, or take its sequence out"
            )
    raise AssertionError("a number that is none was here")


def _codes(cells: Sequence[str], known: dict[str, int]) -> Rows:
    """A number for each text, the same for the same text; new ones are added to `known`."""
    return np.fromiter(
        (known.setdefault(cell.strip(), len(known)) for cell in cells), np.int64, len(cells)
    )


def _once(
    twice: npt.NDArray[np.bool_],
    lines: Rows,
    sequences: dict[str, int],
    which: Rows,
    when: npt.NDArray[np.float64],
    file: str,
) -> None:
    for i in np.flatnonzero(twice)[:1]:
        name = shown(list(sequences)[which[i]])
        first, second = sorted((int(lines[i]), int(lines[i + 1])))
        raise BadInput(
            f"{file}, row {second}, column “step”: sequence {name} has step {when[i]:g} "
            f"already in row {first}. Every step of a sequence needs its own number"
        )


def _constant(
    changes: npt.NDArray[np.bool_], lines: Rows, sequences: dict[str, int], which: Rows, file: str
) -> None:
    for i in np.flatnonzero(changes)[:1]:
        name = shown(list(sequences)[which[i]])
        raise BadInput(
            f"{file}, row {lines[i + 1]}, column “label”: it differs from row {lines[i]} "
            f"of the same sequence {name}. A sequence has one label: use another name in "
            "column “sequence” where the label changes"
        )


# --- NPZ ------------------------------------------------------------------------------------


def _npz(source: Path, scratch: Path) -> Generator[Step, None, Table]:
    file = source.name
    yield from listing(source, scratch, upto=0)  # refuses what no honest archive holds
    try:
        with zipfile.ZipFile(source) as archive:
            there = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if missing := [name for name in ("x", "y") if name not in there]:
                held = ", ".join(map(shown, list(there)[:8])) or "nothing"
                raise BadInput(
                    f"{file} holds {held} and must hold x and y ({' and '.join(missing)} missing): "
                    "save it with np.savez(path, x=…, y=…)"
                )
            y = _array(archive, "y", file)
            lengths = _array(archive, "lengths", file) if "lengths" in there else None
            shape = yield from _unpack(archive, file, scratch)
    except (zipfile.BadZipFile, zlib.error, EOFError) as problem:
        raise BadInput(f"{file} is damaged ({problem}): save it again") from None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or not len(y):
        raise BadInput(f"{file}: y has shape {y.shape} and must be (N,): one label a sequence")
    starts, counts = _bounds(shape, lengths, len(y), file)
    width = 1 if len(shape) == (2 if lengths is None else 1) else shape[-1]
    values = np.memmap(scratch / "values.raw", np.float32, "r").reshape(-1, width)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    order = np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])
    labels, classes = _labels(y, file)
    return Table(
        values=values,
        order=order,
        offsets=offsets,
        labels=labels,
        classes=classes,
        features=tuple(f"x{i}" for i in range(width)),
        names=tuple(map(str, range(len(y)))),
    )


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
    if len(shape) > 2:
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


def _labels(y: npt.NDArray[Any], file: str) -> tuple[Rows, tuple[str, ...]]:
    """Class indices and the classes' names, in natural order."""
    if y.dtype.kind == "f":
        if not (np.isfinite(y) & (y == np.rint(y))).all():
            row = int(np.flatnonzero(~(np.isfinite(y) & (y == np.rint(y))))[0])
            raise BadInput(f"{file}: y[{row}] is {y[row]}: labels are whole numbers or texts")
        y = y.astype(np.int64)
    if y.dtype.kind not in "biuUS":
        raise BadInput(f"{file}: y holds {y.dtype}: labels are whole numbers or texts")
    found, codes = np.unique(y, return_inverse=True)
    written = [
        v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in found.tolist()
    ]
    classes = sorted(written, key=natural)
    place = {name: i for i, name in enumerate(classes)}
    labels = np.array([place[name] for name in written], np.int64)[codes]
    if "" in place:
        row = int(np.flatnonzero(labels == place[""])[0])
        raise BadInput(f"{file}: y[{row}] is empty: every sequence needs a label")
    return labels, tuple(map(one_line, classes))


def _described(stream: IO[bytes], name: str, file: str) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, order and dtype that a .npy file's header says. Nothing of it is ever unpickled."""
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(stream)
    except (ValueError, KeyError, OSError):
        raise BadInput(f"{file}: {name} isn't an array as np.savez writes it") from None
    if dtype.hasobject:
        raise BadInput(
            f"{file}: {name} is an array of objects, which can hold code and isn't "
            "opened. Save sequences of unequal length end to end: np.savez(path, "
            "x=np.concatenate(list_of_arrays), lengths=[len(a) for a in "
            "list_of_arrays], y=np.array(labels))"
        )
    return shape, fortran, dtype


def _array(archive: zipfile.ZipFile, name: str, file: str) -> npt.NDArray[Any]:
    with _content(archive, name) as stream:
        shape, _, dtype = _described(stream, name, file)
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        data = _exactly(stream, size, name, file)
    return np.frombuffer(data, dtype).reshape(shape)


def _content(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(name + ".npy")
    except KeyError:
        return archive.open(name)


def _exactly(stream: IO[bytes], size: int, name: str, file: str) -> bytes:
    data = stream.read(size) if size else b""
    if len(data) != size:
        raise BadInput(f"{file}: {name} is shorter than it says: save it again")
    return data


def _unpack(
    archive: zipfile.ZipFile, file: str, scratch: Path
) -> Generator[Step, None, tuple[int, ...]]:
    """Write x to scratch as float32, a little at a time; its shape."""
    pace = Pace()
    with _content(archive, "x") as stream, (scratch / "values.raw").open("wb") as out:
        shape, fortran, dtype = _described(stream, "x", file)
        if dtype.kind not in "biuf":
            raise BadInput(f"{file}: x holds {dtype}: it must hold numbers")
        count = int(np.prod(shape, dtype=object))
        require_space(scratch, 2 * 4 * count)
        if fortran and len(shape) > 1:  # its parts aren't next to each other
            data = _exactly(stream, count * dtype.itemsize, "x", file)
            _finite(np.frombuffer(data, dtype).reshape(shape, order="F"), 0, shape, file).tofile(
                out
            )
            return shape
        most = 1_000_000
        for start in range(0, count, most):
            size = min(most, count - start) * dtype.itemsize
            data = _exactly(stream, size, "x", file)
            _finite(np.frombuffer(data, dtype), start, shape, file).tofile(out)
            if pace.due():
                yield step(0.8 * start / count, f"Reading {start:,} of {count:,} values")
    return shape


def _finite(values: npt.NDArray[Any], start: int, shape: tuple[int, ...], file: str) -> Floats:
    """The values as float32; BadInput names the first that isn't a finite number."""
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(floats).all():
        first = start + int(np.flatnonzero(~np.isfinite(floats.ravel()))[0])
        where = ", ".join(map(str, np.unravel_index(first, shape)))
        raise BadInput(
            f"{file}: x[{where}] isn't a finite number: fill it in, or take its sequence out"
        )
    return floats
