"""Wide tables → sequences of one feature: each row is a sequence, each column of numbers a step."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from engine.catalog import BadInput
from engine.data.archive import shown
from engine.data.crew import Pace
from engine.data.labelled import no_split, splits_named, text_of
from engine.data.limits import LIMITS
from engine.data.options import ImportOptions, Role, Step, step
from engine.data.roles import Columns
from engine.data.series import LARGEST, Broken, Found, is_number
from engine.data.stepped import wide_values
from engine.data.tables import Skipped, Table


def said_of(values: int) -> str:
    """What a person should know of such a table."""
    return (
        f"Each row is one sequence of one feature: its {values:,} columns of numbers are the "
        "steps, and empty cells at a row's end end it"
    )


def read_wide(
    table: Table, roles: dict[Role, str], scratch: Path, options: ImportOptions
) -> Generator[Step, None, Found]:
    if "label" not in roles and options.columns.get("label") != "":
        raise BadInput(
            f"{table.name}: each row is a sequence, and no column looks like its label: choose "
            "the column, or choose that there is none",
            field="columns",
        )
    seen = Columns(table)
    chosen = wide_values(seen, roles)
    at = [seen.places[name] for name in chosen]
    label, split = (seen.places.get(roles.get(role, "")) for role in ("label", "split"))
    taken = {*chosen, *roles.values()}
    others = {name: place for name, place in seen.places.items() if name not in taken}
    groups: dict[str, list[str]] = {name: [] for name in others}
    broken, pace = Broken(options), Pace()
    skipped = Skipped()
    names: list[str] = []
    labels: list[str] = []
    parts: list[str] = []
    rows: list[int] = []
    lengths: list[int] = []
    bad: list[bool] = []
    raw = scratch / "values.raw"
    with raw.open("wb") as out:
        for number, cells in table.rows(skipped=skipped if options.skip_broken else None):
            where = f"{table.name}, {table.row} {number}"
            values, why = _values([cells[place] for place in at], chosen)
            if not why and label is not None and not text_of(cells[label]):
                why = f"column {shown(table.columns[label])}: it is empty"
            if why:
                broken.say(f"{where}, {why}", ". Fill it in, or take the row out")
            if len(names) == LIMITS.items:
                raise BadInput(f"{table.name} holds more than {LIMITS.items:,} sequences")
            values.tofile(out)
            lengths.append(len(values))
            bad.append(bool(why))
            names.append(f"{table.row} {number}")
            rows.append(number)
            labels.append("" if label is None else text_of(cells[label]))
            parts.append("" if split is None else text_of(cells[split]))
            for name, place in others.items():
                groups[name].append(text_of(cells[place]))
            if pace.due():
                yield step(0.8 * table.place.share, f"Reading row {number:,}")
    if not any(lengths):
        raise BadInput(f"{table.name}: no row has a number that can be read")
    ends = np.cumsum(lengths, dtype=np.int64)
    left_out = np.array(bad)
    found = Found(
        values=np.memmap(raw, np.float32, "r").reshape(-1, 1),
        starts=ends - lengths,
        lengths=np.array(lengths, np.int64),
        names=names,
        features=("value",),
        labels=None if label is None else labels,
        groups=groups,
        columns={str(role): name for role, name in roles.items()}
        | {k: v for k, v in (("encoding", table.encoding), ("delimiter", table.delimiter)) if v},
        warnings=[said_of(len(chosen))],
    )
    if split is not None:
        column = table.columns[split]
        found.splits = splits_named(parts, column, table.name, options)
        for i, one in enumerate(found.splits or ()):
            if one is None and not left_out[i]:
                where = f"{table.name}, {table.row} {rows[i]}, column {shown(column)}"
                broken.say(f"{where}: {no_split(parts[i])}", ". Write one of those")
                left_out[i] = True
        if found.splits is None:
            found.groups[column] = parts
            found.columns.pop("split")
    if skipped:
        first = "; ".join(f"{table.row} {row}: {why}" for row, why in skipped.first)
        found.warnings.append(f"{len(skipped):,} rows were left out: {first}")
    return found.without(left_out, broken, table.name)


def _values(cells: list[Any], names: list[str]) -> tuple[np.ndarray[Any, Any], str]:
    """A row's numbers up to the last that isn't empty; else none, and what is wrong with it."""
    nothing = np.zeros(0, np.float32)
    end = len(cells)
    # NaN is how the UCR archive fills rows up.
    while end and text_of(cells[end - 1]).lower() in ("", "nan"):
        end -= 1
    if not end:
        return nothing, "it has no number"
    try:
        values = np.fromiter(map(float, cells[:end]), np.float64, end)
        if (np.abs(values) <= LARGEST).all():
            return values.astype(np.float32), ""
    except (ValueError, TypeError):
        pass
    for cell, name in zip(cells[:end], names, strict=False):
        if not text_of(cell):
            return nothing, f"column {shown(name)}: it is empty, and later ones aren't"
        if not is_number(cell) or not abs(float(cell)) <= LARGEST:
            said = shown(str(cell), most=40)
            return nothing, f"column {shown(name)}: {said} isn't a finite number"
    return nothing, "its numbers can't be read"
