"""Time stamps in tables, as seconds: what puts the steps of a sequence in order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.catalog import BadInput
from engine.data.archive import shown
from engine.data.labelled import text_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK = r"(?:[ T,]\s*(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?\s*([AaPp][Mm])?)?"
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})" + _CLOCK)
_MONTH = re.compile(r"\d{4}([-/])\d{1,2}")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})" + _CLOCK)


@dataclass(frozen=True)
class Stamps:
    """How a column writes its time stamps."""

    month_first: bool = False
    """Whether 03/01/2024 is in March; with points the day always goes first."""
    zoned: bool = False

    def seconds(self, cell: Any) -> float | None:
        """Seconds since 1970 (UTC where there is no zone); None if it is no such time stamp."""
        when = _read(text_of(cell), self.month_first)
        if when is None or (when.tzinfo is not None) != self.zoned:
            return None
        return ((when if self.zoned else when.replace(tzinfo=UTC)) - _EPOCH).total_seconds()


def written(seconds: float) -> str:
    """Seconds since 1970 as a person writes them, in UTC."""
    return str((_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None))


def stamps_in(cells: Iterable[Any], column: str) -> Stamps | None:
    """How most of some cells are written; None if they are no time stamps.

    BadInput where day and month can't be told apart.
    """
    texts = [text for cell in cells if (text := text_of(cell))]
    days = [_read(text, month_first=False) for text in texts]
    months = [_read(text, month_first=True) for text in texts]
    read = [day or month for day, month in zip(days, months, strict=True)]
    if 2 * sum(when is not None for when in read) <= len(texts):
        return None
    zoned = 2 * sum(when is not None and when.tzinfo is not None for when in read) > len(texts)
    unsure = [i for i in range(len(texts)) if days[i] != months[i]]
    day_first = any(months[i] is None for i in unsure)
    month_first = any(days[i] is None for i in unsure)
    if unsure and day_first == month_first:
        raise BadInput(
            f"Column {shown(column)}: {shown(texts[unsure[0]], most=40)} may have the day or the "
            "month first, and the first rows don't tell which. Write time stamps like "
            "2024-03-31 10:00:00"
        )
    return Stamps(month_first, zoned)


def _read(text: str, month_first: bool) -> datetime | None:
    if not text[:1].isdecimal() or text.isdecimal():  # a number is no time stamp
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    if found := _MONTH.fullmatch(text):
        text += f"{found[1]}1"
    if found := _YEAR_FIRST.fullmatch(text):
        year, _, month, day, *clock = found.groups()
    elif found := _YEAR_LAST.fullmatch(text):
        day, by, month, year, *clock = found.groups()
        if month_first and by != ".":
            day, month = month, day
    else:
        return None
    hour, minute, second, fraction, half = clock
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + 12 * (half.lower() == "pm")
    micro = round(float(fraction or 0) * 1e6)
    try:
        return datetime(
            int(year), int(month), int(day), hours, int(minute or 0), int(second or 0), micro
        )
    except ValueError:
        return None
