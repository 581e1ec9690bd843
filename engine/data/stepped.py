"""Which columns of a table make it one of sequences: told by what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from engine.catalog import BadInput
from engine.data.labelled import split_cell, text_of
from engine.data.options import Role
from engine.data.roles import LABEL, NAMES, OTHERS, TEXT, Columns, plain
from engine.data.series import is_number
from engine.data.stamps import stamps_in

WIDE = 8
"""Columns of numbers that a row must have to be a sequence by itself."""
_IDS = frozenset((
    "id", "run", "unit", "trial", "machine", "device", "session", "recording", "episode",
    "sequence", "series", "case", "subject", "patient", "engine",
))  # fmt: skip
"""Words in the names of columns whose numbers tell sequences apart."""
_TIMES = frozenset((
    *NAMES["sequences"]["step"], "date", "datetime", "year", "month", "week", "day", "hour",
    "minute", "second", "seconds", "ds", "index", "idx", "id", "no", "number", "row", "column_1",
    "unnamed:_0", "日期", "时间", "年", "月",
))  # fmt: skip
"""Names of columns whose numbers put the rows in order, where each is higher than the last."""


def step_roles(columns: Columns, named: Mapping[Role, str]) -> dict[Role, str] | None:
    """The columns of a table that has a row for each step; None if it doesn't look like one.

    `named` are those that are known ("" is none). What tells the others: time stamps, or a column
    called so; the finest ids within which they are different, and all texts the same; and a text
    that comes again in several of those.
    """
    cells = {name: [text_of(cell) for cell in column] for name, column in _cells(columns).items()}
    if len(columns.cells) < 4 or any(columns.length(n) for n in cells if plain(n) in TEXT):
        return None
    numbers = {name for name in cells if _are_numbers(cells[name])}
    step = named.get("step") or next((n for n in cells if _are_stamps(cells[n], n)), None)
    step = step or columns.named(NAMES["sequences"]["step"])
    if step is None or not (numbers - {step, *named.values()}):
        return None
    given = named.get("sequence")
    known = {step, *named.values()} - {given}
    best: str | None = None
    for name in [given] if given else [n for n in cells if n not in known]:
        texts = [n for n in cells if n not in {name, step} and n not in numbers]
        ids = cells[name]
        hinted = name == given or bool(_IDS & set(plain(name).split("_")))
        if not all(ids) or (name in numbers and not hinted):
            continue
        different = set(ids)
        if len(different) > len(ids) / 2 or (len(different) < 2 and not hinted):
            continue
        if len(set(zip(ids, cells[step], strict=True))) < len(ids):
            continue
        if not all(_constant(ids, cells[text]) for text in texts):
            continue
        if best is None or len(different) > len(set(cells[best])):
            best = name
    if best is None:
        return None
    found: dict[Role, str] = {"sequence": best, "step": step}
    if "label" not in named:
        free = [n for n in cells if n not in {best, *known} and not _are_splits(cells[n])]
        label = columns.named(NAMES["sequences"]["label"], list({*cells} - {*free}))
        if label is None or not _constant(cells[best], cells[label]):
            fits = [n for n in free if n not in numbers and _comes_again(cells[best], cells[n])]
            label = min(fits, key=lambda name: len(set(cells[name])), default=None)
        if label is not None:
            found["label"] = label
    return found


def series_roles(columns: Columns, asked: Mapping[Role, str]) -> dict[Role, str] | None:
    """The step, where there is one, of a table that is one series without labels, a row for each
    step; None if it doesn't look like one.

    Beside time stamps, or a count of the steps, it has nothing but numbers.
    """
    if any(asked.get(role) for role in ("sequence", "label", "split")) or not columns.cells:
        return None
    names, told = NAMES["sequences"], asked.get("sequence") == ""
    if not told and columns.named(names["sequence"]):
        return None
    cells = {name: [text_of(cell) for cell in column] for name, column in _cells(columns).items()}
    numbers = [name for name in cells if _are_numbers(cells[name])]
    texts = [name for name in cells if name not in numbers and any(cells[name])]
    step = asked.get("step")
    stamps = [name for name in texts if _are_stamps(cells[name], name)]
    if step is None:
        counts = [name for name in numbers if plain(name) in _TIMES and _goes_up(cells[name])]
        counts *= len(numbers) > 1  # one alone is what is measured
        step = next(iter([*stamps, *counts]), None)
    # Numbers in a column “target” may be what is measured, where time stamps say that it is a
    # series; else they are the classes of what stands in their rows.
    label = None if "label" in asked else columns.named(names["label"], stamps)
    if label is not None and not (stamps and label in numbers):
        return None
    if not told and set(texts) - {step}:
        return None
    if not set(numbers) - {step}:
        return None
    return {"step": step} if step else {}


def wide_roles(columns: Columns, asked: Mapping[Role, str]) -> dict[Role, str] | None:
    """The label and the split of a table each of whose rows is a sequence; None if it isn't one.

    It has at least `WIDE` columns of numbers, and none of sequences or steps.
    """
    if asked.get("sequence") or asked.get("step"):
        return None
    names = NAMES["sequences"]
    if columns.named([*names["sequence"], *names["step"]]) or not columns.cells:
        return None
    if step_roles(columns, {role: name for role, name in asked.items() if name in columns.names}):
        return None
    found: dict[Role, str] = {
        role: asked[role] for role in ("label", "split") if asked.get(role) in columns.names
    }
    cells = _cells(columns)
    split = None if "split" in asked else columns.named(names["split"])
    if split and _are_splits([text_of(cell) for cell in cells[split]]):
        found["split"] = split
    free = [name for name in cells if name not in found.values()]
    numbers = [name for name in free if _are_numbers(cells[name])]
    if "label" not in asked:
        texts = [name for name in free if name not in numbers and any(cells[name])]
        # Texts that don't come again are no classes: a review beside figures, say.
        texts *= len(texts) == 1 and 2 * len({*map(text_of, cells[texts[0]])}) <= len(columns.cells)
        label = columns.named([*names["label"], *LABEL], list(found.values()))
        # The first is the UCR archive's.
        ends = [name for name in (free[0], free[-1]) if _coded(cells, name, numbers)]
        label = label or (texts[0] if texts else None) or next(iter(ends), None)
        if label is not None:
            found["label"] = label
        elif (series_roles(columns, asked) or {}).get("step"):
            return None  # figures that were taken again and again
    return found if len(wide_values(columns, found)) >= WIDE else None


def wide_values(columns: Columns, roles: Mapping[Role, str]) -> list[str]:
    """The columns that hold the steps of such a table; those that are blank may end long rows."""
    cells = _cells(columns)
    free = [n for n in cells if n not in roles.values() and plain(n) not in OTHERS]
    return [n for n in free if _are_numbers(cells[n]) or not any(map(text_of, cells[n]))]


def without_header(columns: Columns) -> bool:
    """Whether the names of the columns are the first row's values: of a wide table, as in the UCR
    archive, numbers that don't go up, as those of steps do; of one series, any beside its step."""
    if (one := series_roles(columns, {})) and len(columns.names) < WIDE:
        return all(is_number(name) for name in columns.names if name != one["step"])
    roles = wide_roles(columns, {})
    names = [] if roles is None else wide_values(columns, roles)
    if not names or not all(map(is_number, names)):
        return False
    values = [float(name) for name in names]
    return any(later <= value for value, later in pairwise(values))


def only_wide(columns: Columns) -> bool:
    """Whether a table is such, with nothing beside the numbers but a label and a split."""
    with suppress(BadInput):
        roles = wide_roles(columns, {})
        if roles is not None:
            return len(wide_values(columns, roles)) + len(roles) == len(columns.names)
    return False


def _cells(columns: Columns) -> dict[str, list[Any]]:
    return {name: [row[at] for row in columns.cells] for name, at in columns.places.items()}


def _are_numbers(cells: Sequence[Any]) -> bool:
    """Whether a column is one of numbers: most of its cells that aren't blank are."""
    there = [cell for cell in cells if text_of(cell)]
    return bool(there) and 2 * sum(map(is_number, there)) > len(there)


def _are_stamps(cells: Sequence[str], column: str) -> bool:
    if _are_numbers(cells):
        return False
    try:
        return stamps_in(cells, column) is not None
    except BadInput:  # they are, and whoever reads them says what can't be told
        return True


def _goes_up(cells: Sequence[str]) -> bool:
    """Whether each is a number and higher than the last."""
    if not all(map(is_number, cells)):
        return False
    return all(float(later) > float(cell) for cell, later in pairwise(cells))


def _are_splits(cells: Sequence[str]) -> bool:
    return bool(cells) and all(map(split_cell, cells))


def _constant(ids: Sequence[str], cells: Sequence[str]) -> bool:
    said: dict[str, str] = {}
    return all(said.setdefault(one, cell) == cell for one, cell in zip(ids, cells, strict=True))


def _comes_again(ids: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether a text says the same within each sequence, and in others too."""
    different = len(set(cells))
    few = different < len(set(ids)) or len(set(ids)) == different == 1
    return all(cells) and few and _constant(ids, cells)


def _coded(cells: Mapping[str, Sequence[Any]], name: str, numbers: Sequence[str]) -> bool:
    """Whether a column of numbers is one of classes: a few whole ones, where others aren't."""
    if name not in numbers:
        return False

    def whole(column: Sequence[Any]) -> bool:
        return all(is_number(cell) and float(cell).is_integer() for cell in column if text_of(cell))

    different = {text_of(cell) for cell in cells[name]}
    few = 2 <= len(different) <= min(50, len(cells[name]) // 2)
    return few and whole(cells[name]) and not all(whole(cells[n]) for n in numbers)
