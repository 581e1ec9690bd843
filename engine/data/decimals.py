"""Numbers as most of Europe writes them: with a decimal comma."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.data.series import is_number

_WHOLE = re.compile(r"[-+]?(\d+|\d{1,3}([.\s'’]\d{3})+)")
_COMMA = re.compile(_WHOLE.pattern + r",\d+([eE][-+]?\d+)?")
_NUMBER = re.compile(f"{_COMMA.pattern}|{_WHOLE.pattern}")
"""1.234,5 and 1 234,5 and 1’234,5 and whole ones."""
_GROUPING = re.compile(r"[.\s'’]")


def decimal_commas(rows: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """The columns whose numbers have a decimal comma: some do, and none has a decimal point.

    `rows` are of a table whose cells no comma separates.
    """

    def has_commas(place: int) -> bool:
        cells = [cell for row in rows if place < len(row) and (cell := row[place].strip())]
        return any(map(_COMMA.fullmatch, cells)) and all(
            _NUMBER.fullmatch(cell) or not is_number(cell) for cell in cells
        )

    return tuple(filter(has_commas, range(max(map(len, rows), default=0))))


def with_points(row: Sequence[str], commas: Sequence[int]) -> list[str]:
    """A row whose numbers in those columns have a decimal point, and nothing between thousands."""
    cells = list(row)
    for place in commas:
        if place < len(cells) and _NUMBER.fullmatch(cell := cells[place].strip()):
            cells[place] = _GROUPING.sub("", cell).replace(",", ".")
    return cells
