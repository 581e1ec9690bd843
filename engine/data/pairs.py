"""Tables with a source and a target, and files aligned by line → pairs of texts."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.catalog import BadInput
from engine.data.archive import ARCHIVES, one_line, shown
from engine.data.arrays import Items, RaggedWriter
from engine.data.crew import Pace
from engine.data.kinds import side_of
from engine.data.labelled import some
from engine.data.lines import Lines, Place, encoding_of, ending, reading, words
from engine.data.options import ImportOptions, Role, Step, step
from engine.data.parts import (
    EVERY,
    LISTED,
    Gathered,
    Part,
    Reading,
    Row,
    Rows,
    gather,
    splits_of,
    tables_of,
)
from engine.data.roles import SOURCES, TARGETS, Columns, pair_roles
from engine.data.splits import Split
from engine.data.tables import ENDINGS, Table, looks_like_table
from engine.data.text import wrong_with

FIRST = (*SOURCES, "en", "eng", "english")
"""Sides that are the source where nobody says which is."""


def read(
    sources: Sequence[Path], into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Items]:
    """Import tables of pairs, or text files aligned by line; see `imports.Reader`."""
    yield step(0, f"Opening {one_line(sources[0].name)}")
    gathered = yield from gather(sources, scratch)
    tables, aligned = arranged(gathered)
    with RaggedWriter(into, "source") as source, RaggedWriter(into, "target") as target:
        if tables:
            items = yield from _tables(tables, source, target, options)
        else:
            items = yield from _aligned(aligned, source, target, options, gathered.name)
    used = tables or aligned
    items.fingerprint = gathered.digest(used)
    if left := [part.name for part in gathered.parts if part not in used]:
        items.warnings.append(f"Left out, for they hold no pairs: {some(left)}")
    return items


def arranged(gathered: Gathered) -> tuple[list[Part], list[Part]]:
    """The tables of pairs, or else the files aligned by line."""
    parts = gathered.parts
    if gathered.source is not None:
        tables = tables_of(parts)
        sided = [part for part in parts if side_of(part.name) and part not in tables]
        if len(sided) > 1:
            return [], sided
        plain = [part for part in parts if ending(part.name) == ".txt"]
        if tables or len(plain) == 2:
            return tables, [] if tables else plain
        packed = all(ending(part.name) in ARCHIVES for part in parts) and parts
        raise BadInput(
            f"{gathered.name} holds {'only other archives' if packed else 'no pairs'}"
            f"{f' ({some([part.name for part in parts])})' if parts else ''}: pack a table with "
            "the columns source and target, or two text files aligned by line (train.en, train.de)"
        )
    tables = [
        part for part in parts
        if ending(part.name) in ENDINGS or looks_like_table(part.get(), part.name)
    ]  # fmt: skip
    if len(tables) == len(parts):
        return tables, []
    if len(parts) == 1:
        raise BadInput(
            f"{gathered.name} is one text and has no columns: give two files aligned by line "
            "(train.en, train.de), or a table with the columns source and target"
        )
    # Some lines of a text can look like rows: it is enough that one of the files doesn't.
    return [], parts


# --- tables ---------------------------------------------------------------------------------


def _tables(
    parts: Sequence[Part], source: RaggedWriter, target: RaggedWriter, options: ImportOptions
) -> Generator[Step, None, Items]:
    tables = Reading(parts, options, roles_of)
    for row in tables.read():
        if isinstance(row, Step):
            yield row
            continue
        one, other = _text(tables, row, "source"), _text(tables, row, "target")
        if not one.strip() or not other.strip():
            tables.blank(row)
        elif tables.keep(row):
            source.add_text(one)
            target.add_text(other)
    return tables.items("pairs", "pairs with an empty side")


def roles_of(table: Table, options: ImportOptions) -> dict[Role, str]:
    """A table's columns of source, target and split. BadInput unless there are two sides."""
    roles = pair_roles(Columns(table), options.columns)
    if roles is None:
        raise BadInput(
            f"{table.name} has no columns that look like source and target. It has "
            f"{some(table.columns)}: choose the two, or name them source and target",
            field="columns",
        )
    if roles["source"] == roles["target"]:
        raise BadInput(
            f"{table.name}: the column {shown(roles['source'])} can't be both source and target: "
            "choose two",
            field="columns",
        )
    return roles


def _text(tables: Reading, row: Row, role: Role) -> str:
    cell = tables.cell(row, role)
    if isinstance(cell, str):
        return cell
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, list | dict | bytes):
        raise BadInput(
            f"{tables.table.name}, {tables.table.row} {row.number:,}, column "
            f"{shown(tables.roles[role])}: it holds a list, an object or binary data, and must be "
            "a text: choose another column",
            field="columns",
        )
    return str(cell)


# --- files aligned by line ------------------------------------------------------------------


@dataclass(frozen=True)
class Aligned:
    """Two files, line by line a pair."""

    source: Part
    target: Part
    split: Split | None


def _aligned(
    parts: Sequence[Part],
    source: RaggedWriter,
    target: RaggedWriter,
    options: ImportOptions,
    name: str,
) -> Generator[Step, None, Items]:
    sides, couples = coupled(parts, options, name)
    rows = Rows(options)
    pace = Pace()
    encodings: list[str] = []
    for number, couple in enumerate(couples):
        label = f"{couple.source.name} row" if len(couples) > 1 else "row"
        places = Place(), Place()
        with ExitStack() as stack:
            one, other = (
                stack.enter_context(_lines(part, options, encodings, place))
                for part, place in zip((couple.source, couple.target), places, strict=True)
            )
            for first, second in zip(one, other, strict=False):
                row = one.number
                texts = first.rstrip("\r\n"), second.rstrip("\r\n")
                if row % EVERY == 0 and pace.due():
                    done = (number + places[0].share) / len(couples)
                    yield step(LISTED + 0.9 * done, f"Reading {couple.source.name}, row {row:,}")
                wrong = [
                    (lines.name, why)
                    for lines, text in zip((one, other), texts, strict=True)
                    if (why := wrong_with(text))
                ]
                if wrong:
                    file, why = wrong[0]
                    rows.wrong(f"{file}, row {row:,}", why)
                elif not texts[0].strip() or not texts[1].strip():
                    rows.blank(f"{label} {row}")
                else:
                    source.add_text(texts[0])
                    target.add_text(texts[1])
                    rows.keep(label, row, split=couple.split)
            _equally_long(one, other)
    return Items(
        kind="pairs", fingerprint="", names=rows.names, splits=rows.given,
        columns={"encoding": encodings[0], "source": sides[0], "target": sides[1]},
        warnings=rows.judge("pairs with an empty side"),
    )  # fmt: skip


def _lines(part: Part, options: ImportOptions, encodings: list[str], place: Place) -> Any:
    content = part.get()
    encodings.append(encoding_of(content, part.name, options.encoding))
    # Only \n ends a line: a stray \r in one of the files would shift all that follow.
    return reading(content, part.name, encodings[-1], newline="\n", place=place)


def _equally_long(one: Lines, other: Lines) -> None:
    """BadInput unless both files have ended at the same line."""
    # zip takes a line of the first before it sees that the second has none.
    for lines in (one, other):
        for _ in lines:
            pass
    if one.number != other.number:
        raise BadInput(
            f"{one.name} has {one.number:,} lines and {other.name} has {other.number:,}: each line "
            "of one must be the counterpart of the same line of the other. Get or make both again"
        )


def coupled(
    parts: Sequence[Part], options: ImportOptions, name: str
) -> tuple[tuple[str, str], list[Aligned]]:
    """The names of source and target, and which files belong together, by the files' names.

    ``train.en.gz`` and ``train.de.gz``: the language last, what comes before it tells the split.
    """
    sides = [side_of(part.name) for part in parts]
    if len(parts) == 2 and (not all(sides) or sides[0] == sides[1]):
        sides = _apart([part.name for part in parts])
    if lost := [part.name for part, side in zip(parts, sides, strict=True) if not side]:
        raise BadInput(
            f"{some(lost)}: the name says no language. Name the files after what they hold, as "
            "train.en and train.de, or train.source and train.target"
        )
    there = list(dict.fromkeys(sides))
    source, target = _direction(there, options, name)
    together: dict[tuple[str, ...], dict[str, Part]] = {}
    for part, side in zip(parts, sides, strict=True):
        if side in (source, target):
            key = _without(part.name, side)
            if side in (found := together.setdefault(key, {})):
                raise BadInput(
                    f"{shown(found[side].name)} and {shown(part.name)} are both {side} of the "
                    "same part: leave one of them out"
                )
            found[side] = part
    for found in together.values():
        for side, lacking in ((source, target), (target, source)):
            if side in found and lacking not in found:
                raise BadInput(
                    f"{shown(found[side].name)} has no counterpart in {lacking}: add the file "
                    f"that holds its lines in {lacking}, or leave it out"
                )
    couples = list(together.values())
    splits = splits_of([couple[source].name for couple in couples])
    order: list[Split | None] = ["train", None, "validation", "test"]
    found_couples = [
        Aligned(couple[source], couple[target], split)
        for couple, split in zip(couples, splits, strict=True)
    ]
    return (source, target), sorted(found_couples, key=lambda c: order.index(c.split))


def _apart(names: Sequence[str]) -> list[str]:
    """What is different in the names of two files."""
    found = [words(name.rsplit("/", 1)[-1]) for name in names]
    own = [
        " ".join(word for word in mine if word not in others)
        for mine, others in (found, found[::-1])
    ]
    return own if all(own) else ["", ""]


def _without(name: str, side: str) -> tuple[str, ...]:
    """The words of a file's name but the last that names its side, and the text file's ending."""
    found = [word.lower() for word in words(name)]
    if side in found:
        del found[len(found) - 1 - found[::-1].index(side)]
    else:
        found = [word for word in found if word not in side.lower().split()]
    return tuple(word for word in found if word not in ("txt", "text"))


def _direction(there: Sequence[str], options: ImportOptions, name: str) -> tuple[str, str]:
    """Which of the sides is translated into which."""
    asked = [options.columns.get("source", ""), options.columns.get("target", "")]
    for side in asked:
        if side and side not in there:
            raise BadInput(
                f"{name} has no file for {shown(side)}. It has {some(there)}: choose two of those",
                field="columns",
            )
    if len(there) > 2 and not all(asked):
        raise BadInput(
            f"{name} holds {len(there)} languages ({some(there)}): choose which is the source "
            "and which the target",
            field="columns",
        )
    if len(there) < 2 or (asked[0] and asked[0] == asked[1]):
        raise BadInput(f"{name} holds {some(there)} alone: add the files of its counterpart")
    if all(asked):
        return asked[0], asked[1]
    if any(asked):
        other = next(side for side in there if side not in asked)
        return (asked[0], other) if asked[0] else (other, asked[1])
    if there[1] in FIRST or there[0] in TARGETS:
        return there[1], there[0]
    return there[0], there[1]
