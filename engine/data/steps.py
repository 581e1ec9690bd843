"""Tables of steps → sequences: a row for each step, with the sequence that it belongs to.

What is kept of each row lies in files in scratch: a number for its sequence and its label, its
step, its place in the table. Only where rows aren't in order are they sorted, which takes memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.catalog import BadInput
from engine.data import series
from engine.data.archive import one_line, shown
from engine.data.crew import Pace
from engine.data.labelled import no_split, some, split_cell, splits_named, text_of
from engine.data.options import ImportOptions, Role, Step, step
from engine.data.roles import NAMES
from engine.data.roles import Columns as Seen
from engine.data.series import LARGEST, MOST_DIGITS, Broken, Flags, Found, is_number
from engine.data.splits import Rows
from engine.data.stamps import Stamps, stamps_in
from engine.data.stamps import written as stamp_written
from engine.data.stepped import series_roles, step_roles
from engine.data.tables import Skipped, Table


@dataclass(frozen=True)
class Columns:
    """Where a table has what, as places in a row; None for what no column has."""

    names: tuple[str, ...]
    sequence: int | None
    """None where all rows are of one."""
    step: int | None
    label: int | None
    features: tuple[int, ...]
    texts: tuple[int, ...]
    """Columns of no numbers: groups, if they don't change within a sequence."""
    stamps: Stamps | None = None
    """How the steps are written, where they are time stamps."""


Codes = npt.NDArray[np.int32]


class Lost(Skipped):
    """Rows whose sequence can't be told: they are cut wrongly, or its name is blank."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = array("q")

    def add(self, row: int, why: str) -> None:
        super().add(row, why)
        self.rows.append(row)


class Spilled:
    """What is kept of every row but its features: arrays that grow in scratch, then are mapped."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.count = 0
        self.ordered = True
        """Whether each sequence's rows follow one another, step after step."""
        self.last: tuple[int, float] = (0, -np.inf)
        self.files = ExitStack()
        self.open: dict[str, Any] = {}
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def add(self, **columns: npt.NDArray[Any]) -> None:
        """The next rows: `which` sequence, `when` in it, and whatever else."""
        for name, values in columns.items():
            if name not in self.open:
                path = self.scratch / f"{name}.column"
                self.open[name] = self.files.enter_context(path.open("wb"))
                self.dtypes[name] = values.dtype
            values.tofile(self.open[name])
        which = np.concatenate([[self.last[0]], columns["which"]])
        when = np.concatenate([[self.last[1]], columns["when"]])
        later = (which[1:] > which[:-1]) | ((which[1:] == which[:-1]) & (when[1:] >= when[:-1]))
        self.ordered = self.ordered and bool(later.all())
        self.last = int(which[-1]), float(when[-1])
        self.count += len(which) - 1

    def mapped(self, name: str) -> npt.NDArray[Any]:
        path = self.scratch / f"{name}.column"
        return np.memmap(path, self.dtypes[name], "r", shape=(self.count,))

    def order(self) -> Rows | None:
        """The rows by sequence and by step in it; None where they lie so."""
        if self.ordered:
            return None
        return np.lexsort((self.mapped("when"), self.mapped("which")))


def read_table(table: Table, scratch: Path, options: ImportOptions) -> Generator[Step, None, Found]:
    file = table.name
    places = roles_of(table, options)
    rows = f"{file}, {table.row}"
    columns: Columns | None = None
    sequences: dict[str, int] = {}
    labels: dict[str, int] = {}
    texts: list[dict[str, int]] = []
    spoiled: set[int] = set()
    one = "sequence" not in places
    broken, lost, pace = Broken(options, "row" if one else "sequence"), Lost(), Pace()
    spilled, raw, gone = Spilled(scratch), scratch / "values.raw", 0
    with raw.open("wb") as out, spilled.files:
        given = table.rows(skipped=lost if options.skip_broken else None)
        for numbers, cells in _chunks(given, len(table.columns)):
            if not one:
                numbers, cells = _told(numbers, cells, places["sequence"], table, broken, lost)
            if not numbers:
                continue
            if columns is None:
                columns = _columns(table, places, cells, options)
                texts = [{} for _ in columns.texts]
            parsed = _parse(numbers, cells, columns, rows, broken)
            if one and parsed.bad.any():  # a series closes over the rows that are left out
                gone += int(parsed.bad.sum())
                kept = np.flatnonzero(~parsed.bad).tolist()
                if not kept:
                    continue
                numbers = [numbers[i] for i in kept]
                cells = [tuple(column[i] for i in kept) for column in cells]
                parsed = _parse(numbers, cells, columns, rows, broken)
            np.stack(parsed.features, axis=1).astype(np.float32).tofile(out)
            of = [file] * len(numbers) if columns.sequence is None else cells[columns.sequence]
            which = _codes(of, sequences)
            spoiled.update(which[parsed.bad].tolist())
            count = spilled.count
            spilled.add(
                which=which,
                when=np.arange(count, count + len(numbers), dtype=np.float64)
                if parsed.steps is None else parsed.steps,
                lines=np.array(numbers, np.int64),
                **({} if columns.label is None else {"said": _codes(cells[columns.label], labels)}),
                **{f"text{i}": _codes(cells[i], known)
                   for i, known in zip(columns.texts, texts, strict=True)},
            )  # fmt: skip
            if pace.due():
                yield step(0.8 * table.place.share, f"Reading row {numbers[-1]:,}")
    for row, why in lost.first:
        broken.say(f"{rows} {row}: {why}")
    if columns is None:
        said = f": {'; '.join(broken.said)}" if broken.said else ": add a row for each step"
        raise BadInput(f"{file} has a header and no rows{' left' * bool(lost)}{said}")
    yield step(0.8, "Sorting the steps")
    which, lines = spilled.mapped("which"), spilled.mapped("lines")
    for row in lost.rows if not one else ():  # it may have been a step of either
        after = int(np.searchsorted(lines, row))
        spoiled.update(which[max(0, after - 1) : after + 1].tolist())
    names = list(sequences)
    bad = np.zeros(len(names), bool)
    bad[list(spoiled)] = True
    order = spilled.order()
    looked = _Look(spilled, order, columns, rows, names, bad, texts, places.get("split"))
    starts = looked.starts()
    first = starts if order is None else order[starts]
    codes = which[first].tolist()
    groups: dict[str, list[str]] = {}
    for i, known in zip(columns.texts, texts, strict=True):
        values = list(known)
        kept = spilled.mapped(f"text{i}")[first].tolist()
        groups[columns.names[i]] = [values[code] for code in kept]
    written = list(labels)
    found = Found(
        values=np.memmap(raw, np.float32, "r", shape=(spilled.count, len(columns.features))),
        starts=starts,
        lengths=np.diff(np.append(starts, spilled.count)),
        order=order,
        names=[names[code] for code in codes],
        features=tuple(one_line(columns.names[i]) for i in columns.features),
        labels=None
        if columns.label is None
        else [written[code] for code in spilled.mapped("said")[first].tolist()],
        groups=groups,
        columns=_said(table, places),
    )
    left_out = bad[codes]
    if "split" in places:
        _split(found, columns.names[places["split"]], lines[first], rows, left_out, broken, options)
        if found.splits is None:
            found.columns.pop("split", None)
    if one:
        if gone + len(lost):
            said = "; ".join(dict.fromkeys(broken.said))
            found.warnings.append(
                f"{gone + len(lost):,} rows were left out, and the series closes over them: {said}"
            )
        if spilled.count < series.SHORTEST:
            raise BadInput(
                f"{file} is one series of {spilled.count:,} steps: give at least "
                f"{series.SHORTEST}, or name a column that tells sequences apart"
            )
    elif lost:
        found.warnings.append(
            f"{len(lost):,} rows don't tell which sequence they belong to: those of the rows "
            "before and after them were left out"
        )
    return found.without(left_out, broken, file)


def _told(
    numbers: list[int],
    cells: list[tuple[Any, ...]],
    place: int,
    table: Table,
    broken: Broken,
    lost: Lost,
) -> Numbered:
    """The rows that name their sequence; others are lost, or BadInput."""
    named = [bool(text_of(cell)) for cell in cells[place]]
    if all(named):
        return numbers, cells
    why = f"column {shown(table.columns[place])}: it is empty"
    for number, told in zip(numbers, named, strict=True):
        if not told and broken.skip:
            lost.add(number, why)
        elif not told:
            where = f"{table.name}, {table.row} {number}"
            broken.say(f"{where}, {why}", ". Every row needs its sequence and its label")
    kept = [i for i, told in enumerate(named) if told]
    return [numbers[i] for i in kept], [tuple(column[i] for i in kept) for column in cells]


def _split(
    found: Found,
    column: str,
    lines: Rows,
    rows: str,
    left_out: Flags,
    broken: Broken,
    options: ImportOptions,
) -> None:
    """Take the sequences' splits from the groups, where the column names some; flag the others."""
    cells = found.groups[column]
    found.splits = splits_named(cells, column, rows.rpartition(",")[0], options)
    if found.splits is None:
        return
    del found.groups[column]
    for i, (cell, split) in enumerate(zip(cells, found.splits, strict=True)):
        if split is None and not left_out[i]:
            where = f"{rows} {lines[i]}, column {shown(column)}"
            broken.say(f"{where}: {no_split(cell)}", ". Write one of those")
            left_out[i] = True


@dataclass
class _Look:
    """Goes over the rows, sequence after sequence, a part at a time."""

    spilled: Spilled
    order: Rows | None
    columns: Columns
    rows: str
    names: list[str]
    bad: Flags
    """What is left out, and needs no further look."""
    texts: list[dict[str, int]]
    split: int | None

    def starts(self) -> Rows:
        """Where sequences begin. BadInput where one has a step twice, or changes its label."""
        columns = self.columns
        found: list[Rows] = [np.zeros(1, np.int64)]
        for start in range(0, self.spilled.count, series.CHUNK):
            # One row of the part before: it may belong to the same sequence.
            begin, end = max(0, start - 1), start + series.CHUNK
            part = slice(begin, end) if self.order is None else self.order[begin:end]
            which, lines = (self.spilled.mapped(name)[part] for name in ("which", "lines"))
            same = which[1:] == which[:-1]
            found.append(begin + 1 + np.flatnonzero(~same))
            same &= ~self.bad[which[1:]]
            if columns.step is not None:
                when = self.spilled.mapped("when")[part]
                self._once(same & (when[1:] == when[:-1]), lines, which, when)
            if columns.label is not None:
                said = self.spilled.mapped("said")[part]
                changes = same & (said[1:] != said[:-1])
                self._constant(changes, lines, which, columns.names[columns.label], "label")
            for place, known in zip(columns.texts, self.texts, strict=True):
                codes = self.spilled.mapped(f"text{place}")[part]
                changes = same & (codes[1:] != codes[:-1])
                if changes.any():
                    self._changed(changes, lines, which, codes, place, list(known))
        return np.concatenate(found)

    def _once(self, twice: Flags, lines: Rows, which: Codes, when: npt.NDArray[np.float64]) -> None:
        assert self.columns.step is not None
        for i in np.flatnonzero(twice)[:1]:
            name, column = self.names[which[i]], self.columns.names[self.columns.step]
            first, second = sorted((int(lines[i]), int(lines[i + 1])))
            said = f"{when[i]:g}" if self.columns.stamps is None else stamp_written(float(when[i]))
            raise BadInput(
                f"{self.rows} {second}, column {shown(column)}: sequence {shown(name)} has step "
                f"{said} already in row {first}. Every step of a sequence needs its own number"
            )

    def _constant(self, changes: Flags, lines: Rows, which: Codes, column: str, what: str) -> None:
        for i in np.flatnonzero(changes)[:1]:
            raise BadInput(
                f"{self.rows} {lines[i + 1]}, column {shown(column)}: it differs from row "
                f"{lines[i]} of the same sequence {shown(self.names[which[i]])}. A sequence has "
                f"one {what}: use another name in column “sequence” where the {what} changes"
            )

    def _changed(
        self, changes: Flags, lines: Rows, which: Codes, codes: Codes, place: int, cells: list[str]
    ) -> None:
        i = int(np.flatnonzero(changes)[0])
        column, cell = self.columns.names[place], cells[codes[i + 1]]
        if place == self.split and (split_cell(cell) or split_cell(cells[codes[i]])):
            self._constant(changes, lines, which, column, "split")
        raise BadInput(
            f"{self.rows} {lines[i + 1]}, column {shown(column)}: "
            f"{shown(cell, most=MOST_DIGITS)} isn't a number. Put numbers there, or take the "
            "column out. (A column of texts can stay where it says the same in all rows of a "
            "sequence.)"
        )


def _said(table: Table, places: Mapping[Role, int]) -> dict[str, str]:
    columns = {str(role): table.columns[at] for role, at in places.items()}
    form = {"encoding": table.encoding, "delimiter": table.delimiter}
    return columns | {key: value for key, value in form.items() if value}


def roles_of(table: Table, options: ImportOptions) -> dict[Role, int]:
    """Which column is for what. BadInput says which are missing."""
    file, names = table.name, table.columns
    lowered = [name.strip().lower().replace(" ", "_") for name in names]
    places: dict[Role, int] = {}
    for role, known in NAMES["sequences"].items():
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
    if any(role not in places and role not in options.columns for role in needed):
        asked_for = {role: name for role, name in options.columns.items() if name in ("", *names)}
        asked_for |= {role: names[at] for role, at in places.items()}
        for role, name in (step_roles(Seen(table), asked_for) or {}).items():
            if role not in options.columns:
                places.setdefault(role, names.index(name))
    optional = {role for role in ("step", "label") if options.columns.get(role) == ""}
    if "sequence" not in places:
        alone = series_roles(Seen(table), options.columns)
        if alone is not None:
            return {role: names.index(name) for role, name in alone.items()}
    elif "label" not in places:
        seen = Seen(table)
        rest = [name for at, name in enumerate(names) if at not in places.values()]
        if not any(map(seen.texts, rest)):
            optional.add("label")  # beside numbers there is nothing that could be one
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
    texts = [i for i in rest if names[i] == options.group or not any(map(is_number, cells[i]))]
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
    stamps = None
    if "step" in places and not any(map(is_number, cells[places["step"]])):
        stamps = stamps_in(cells[places["step"]], names[places["step"]])
    return Columns(
        names, places.get("sequence"), places.get("step"), places.get("label"), features,
        tuple(texts), stamps,
    )  # fmt: skip


Numbered = tuple[list[int], list[tuple[Any, ...]]]


def _chunks(rows: Iterator[tuple[int, tuple[Any, ...]]], width: int) -> Iterator[Numbered]:
    """Rows turned to columns, `CHUNK` at a time (fewer where they are wide)."""
    most = max(1, min(series.CHUNK, 2_000_000 // width))
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
    """Steps and features as numbers, and the label looked at."""
    bad = np.zeros(len(numbers), bool)
    if columns.label is not None and not all(map(text_of, cells[columns.label])):
        for at, cell in enumerate(cells[columns.label]):
            if not text_of(cell):
                where = f"{rows} {numbers[at]}, column {shown(columns.names[columns.label])}"
                broken.say(f"{where}: it is empty", ". Every row needs its sequence and its label")
                bad[at] = True
    steps = None
    if columns.step is not None:
        column, name = cells[columns.step], columns.names[columns.step]
        if columns.stamps is None:
            steps = _numbers(numbers, column, name, rows, broken, bad)
        else:
            steps = _seconds(numbers, column, name, rows, broken, bad, columns.stamps)
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
        value = float(cell) if is_number(cell) else np.nan
        if abs(value) <= LARGEST:
            values[at] = value
        else:
            where = f"{rows} {numbers[at]}, column {shown(column)}: "
            broken.say(where + _why(cell), _mend(cell))
            bad[at] = True
    return values


def _seconds(
    numbers: list[int], cells: Sequence[Any], column: str, rows: str, broken: Broken, bad: Flags,
    stamps: Stamps,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """A column's time stamps as seconds since 1970; 0, and bad, where one is none."""
    values = np.zeros(len(numbers))
    for at, cell in enumerate(cells):
        seconds = stamps.seconds(cell)
        if seconds is not None:
            values[at] = seconds
            continue
        said = shown(text_of(cell), most=MOST_DIGITS)
        why = f"{said} isn't a time stamp like the others" if text_of(cell) else "it is empty"
        broken.say(
            f"{rows} {numbers[at]}, column {shown(column)}: {why}",
            ". Write all like 2024-03-31 10:00:00, and all with a zone or none",
        )
        bad[at] = True
    return values


def _why(cell: Any) -> str:
    if not text_of(cell):
        # What data frames write for nothing is worth its name.
        nothing = cell is None or not str(cell).strip()
        return "it is empty" if nothing else f"{shown(str(cell))} isn't a finite number"
    said = shown(str(cell), most=MOST_DIGITS)
    return f"{said} isn't a {'finite ' if is_number(cell) else ''}number"


def _mend(cell: Any) -> str:
    text = str(cell)
    if is_number(cell) or not text.strip() or cell is None:
        return ""
    if text.count(",") == 1 and text.replace(",", "").strip("+- ").isdecimal():
        return f": write decimals with a point ({one_line(text).replace(',', '.')})"
    return ". Put a number there, or take the column out"


def _codes(cells: Sequence[Any], known: dict[str, int]) -> Codes:
    """A number for each text, the same for the same text; new ones are added to `known`."""
    return np.fromiter(
        (known.setdefault(text_of(cell), len(known)) for cell in cells), np.int32, len(cells)
    )
