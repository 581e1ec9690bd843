"""Many texts in one file that somebody wants answers to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePath
from typing import Any

from engine.catalog import BadInput
from engine.data.archive import shown
from engine.data.lines import ending
from engine.data.roles import Columns, pair_roles, text_roles
from engine.data.tables import ENDINGS, open_table
from engine.data.text import decoded

MOST = 1000
"""Texts taken from a file."""


def texts_in(
    content: bytes, name: str, *, column: str | None = None, header: bool | None = None
) -> dict[str, Any]:
    """The texts of a file: those of a table's column, or one a line.

    ``{"texts": the first MOST, "count": all of them, "column": where from, None without a table,
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
    return {"texts": texts[:MOST], "count": len(texts), **told}


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
