"""Many items in files that somebody wants answers to, and their answers as a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

from engine.catalog import BadInput
from engine.data.archive import natural, shown
from engine.data.lines import ending
from engine.data.roles import Columns, pair_roles, text_roles
from engine.data.tables import ENDINGS, open_table
from engine.data.text import decoded
from engine.home import replacing

MOST = 1000
"""Texts taken from a file."""
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet run a text."""


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files, and those within the folders at any depth, by name; hidden ones are left out.

    BadInput where a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inner = [
            one for one in sorted(path.rglob("*"), key=lambda one: natural(str(one)))
            if one.is_file()
            and not any(part.startswith(".") for part in one.relative_to(path).parts)
        ]  # fmt: skip
        if not inner:
            raise BadInput(f"There is no file in the folder {path}")
        found += inner
    return found


def flat(result: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as the cells of one row: of classes the likeliest with its probability, and that
    of each; what else is a list or a table stays JSON."""
    cells: dict[str, Any] = {}
    for name, value in result.items():
        if name == "classes":
            first = value[0]
            cells |= {"said": first["label"], "probability": first["probability"]}
            named = sorted(value, key=lambda one: natural(str(one["label"])))
            cells |= {f"probability of {one['label']}": one["probability"] for one in named}
        elif isinstance(value, str | int | float) or value is None:
            cells[name] = value
        else:
            cells[name] = json.dumps(value, ensure_ascii=False)
    return cells


def table(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write the rows as CSV under the names of all their cells; how many they are. What a
    spreadsheet would take for a formula is marked as text."""
    known = list(rows)
    names = list(dict.fromkeys(name for row in known for name in row))
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow([inert(name) for name in names])
        writer.writerows([inert(row.get(name)) for name in names] for row in known)
    return len(known)


def inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in FORMULAS else value


def texts_in(
    content: bytes, name: str, *, column: str | None = None, header: bool | None = None,
    most: int | None = MOST,
) -> dict[str, Any]:  # fmt: skip
    """The texts of a file: those of a table's column, or one a line.

    ``{"texts": the first `most`, "count": all of them, "column": where from, None without a table,
    "columns": those there are, "header": whether the first line names them}``. `column` and
    `header` are found by themselves where they aren't given: a column is told by its name, else by
    the length of its texts. BadInput says what is wrong with the file.
    """
    if ending(name) in ENDINGS:
        table = open_table(content, PurePath(name).name, header=header)
        columns = Columns(table)
        if column is None:
            column = _source(columns)
        elif column not in table.columns:
            raise BadInput(f"{name} has no column {shown(column)}")
        at = columns.places[column]
        found = [str(cells[at] or "") for _, cells in table.rows([column])]
        told = {"column": column, "columns": list(table.columns), "header": table.header}
    else:
        found = _lines(content, name)
        told = {"column": None, "columns": [], "header": False}
    texts = [text for one in found if (text := one.strip())]
    return {"texts": texts[:most], "count": len(texts), **told}


def _source(columns: Columns) -> str:
    """The column of texts; where a table holds pairs, that of the first side."""
    pairs = None
    with suppress(BadInput):
        pairs = pair_roles(columns, {})
    return (pairs or {}).get("source") or text_roles(columns, {})["text"]


def _lines(content: bytes, name: str) -> list[str]:
    try:
        return decoded(content, None).split("\n")
    except UnicodeError as problem:
        raise BadInput(f"{name} can't be read: {problem}") from None
