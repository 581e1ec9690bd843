"""Tables as people keep them: CSV, TSV, JSON Lines and Parquet, read a row at a time.

Encoding, delimiter, quoting and whether there is a header are found by themselves, from the
beginning of the file. A row has the number that an editor shows: that of its first line.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

from engine.catalog import BadInput
from engine.data import archive
from engine.data.archive import compressed, one_line, shown
from engine.data.decimals import decimal_commas, with_points
from engine.data.limits import LIMITS
from engine.data.lines import (
    SAMPLE,
    Content,
    Lines,
    Place,
    beginning,
    encoding_of,
    ending,
    longest_line,
    reading,
    too_long,
)
from engine.data.roles import USUAL
from engine.data.series import is_number

DELIMITERS = (",", "\t", ";", "|")
ENDINGS = {".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet"}
"""Of tables. What a file is, its content says; this is for those that lie in an archive."""
JSON_ENDINGS = {".jsonl", ".ndjson", ".json"}
SNIFFED = 2**18
"""Characters of a table by which its delimiter is told."""
LOOKED_AT = 500
"""Rows by which it is told."""
TOGETHER = 64 * 2**20
"""Bytes of Parquet that are decoded together, as far as its own figures tell."""
FEW_ROWS = 16
"""Rows that are decoded together at least: one at a time takes ten times as long."""
MOST_VALUES = 50_000_000
"""Of one column in one group of rows: its lists are decoded at least one whole."""
LONG_LISTS = 16 * 2**20
"""Bytes of lists in one batch: as Python's numbers they take up to forty times as much."""
BATCH = 512
"""Rows of a Parquet file that are in memory at a time."""
NUL = "it holds a NUL character, which no text has: take it out"

# A cell that is too long is told by its row below; this one is for a mark that is never closed.
csv.field_size_limit(longest_line())


class Skipped:
    """Rows that couldn't be read: how many, and the first few with what is wrong with them."""

    def __init__(self, most: int = 5) -> None:
        self.count, self.most = 0, most
        self.first: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return self.count

    def add(self, row: int, why: str) -> None:
        """One more; `why` is in words that follow the row's number."""
        self.count += 1
        if len(self.first) < self.most:
            self.first.append((row, why))


@dataclass(frozen=True)
class Table:
    """A table that was opened: nothing but its beginning has been read yet."""

    columns: tuple[str, ...]
    format: Literal["csv", "jsonl", "parquet"]
    encoding: str
    """As Python names it; "" for Parquet."""
    delimiter: str
    """"" where there is none."""
    name: str = ""
    header: bool = True
    """Whether its first row names the columns; else they are called ``column 1``, ``column 2``."""
    notes: tuple[str, ...] = ()
    """What was found about it that a person should know, in sentences."""
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns whose whole numbers stand for names, as Hugging Face's `datasets` writes them."""
    length: int | None = None
    """Its rows, where the file says so."""
    place: Place = field(default_factory=Place, compare=False, repr=False)
    """How far the last iteration over its rows is."""
    _rows: Callable[[Sequence[str] | None, Skip], Iterator[tuple[int, tuple[Any, ...]]]] = field(
        default=lambda only, skip: iter(()), compare=False, repr=False
    )

    def rows(
        self, only: Sequence[str] | None = None, skipped: Skipped | None = None
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Each row's number and its cells in the columns' order; those of a CSV are text.

        `only` names the columns that are wanted: the others' cells may be None. BadInput at a row
        that can't be read, unless there is a place for such: then it is added there and skipped.
        """

        def skip(row: int, why: str) -> None:
            if skipped is None:
                raise BadInput(f"{self.name}, {self.row} {row:,}: {why}", field="skip_broken")
            skipped.add(row, why)

        empty = True
        for numbered in self._rows(only, skip):
            empty = False
            yield numbered
        if empty and not skipped:
            what = "a header and no rows" if self.format == "csv" else "no rows"
            raise BadInput(f"{self.name} has {what}: add a row for each item")

    @property
    def row(self) -> str:
        """What its rows are called: a JSON Lines file has lines."""
        return "line" if self.format == "jsonl" else "row"

    def first(self, rows: int, characters: int) -> tuple[list[int], list[tuple[Any, ...]]]:
        """The numbers and the cells of its first rows, of those that can be read; maybe none."""
        numbers: list[int] = []
        cells: list[tuple[Any, ...]] = []
        for number, row in self._rows(None, lambda row, why: None):
            numbers.append(number)
            cells.append(row)
            characters -= sum(len(cell) for cell in row if isinstance(cell, str | bytes))
            if len(cells) == rows or characters < 0:
                break
        return numbers, cells


Skip = Callable[[int, str], None]


def open_table(
    source: Content,
    name: str,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
) -> Table:
    """A table from a file, or from the content of one that lies in an archive.

    `name` is what messages call it. `encoding`, `delimiter` and `header` are found by themselves
    where they aren't given. BadInput says what is wrong, where, and how to mend it.
    """
    name = one_line(name)
    start = beginning(source, name, 64)
    if not start.strip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"):
        raise BadInput(f"{name} is empty: get the file again")
    if start.startswith(b"PAR1"):
        return _parquet(source, name)
    encoding = encoding_of(source, name, encoding)
    sample, whole = _sample(source, name, encoding)
    if delimiter is None and _is_json(sample, name):
        return _jsonl(source, name, encoding)
    return _csv(source, name, encoding, _delimiter(delimiter), header, sample, whole)


def looks_like_table(source: Content, name: str) -> bool:
    """Whether a text of any name is a table: its lines have as many cells as the first, and that
    names columns, or the cells lie between tabs."""
    sample, whole = _sample(source, name, encoding_of(source, name))
    if sample.lstrip()[:1] == "{" and _is_json(sample, name):
        return True
    found = sniff(sample, whole=whole)
    if found.width < 2 or found.fails or found.agreeing < 0.95:
        return False
    named = sum(cell.strip().casefold() in USUAL for cell in found.rows[0])
    if named > 1 or (named and max(map(len, found.rows[0])) < 30):
        return True
    return _headerless(found.rows) or (found.dialect.delimiter == "\t" and len(found.rows) > 4)


def _sample(source: Content, name: str, encoding: str) -> tuple[str, bool]:
    """A text's beginning, its first line at least, and whether that is all of it."""
    with reading(source, name, encoding) as lines:
        sample = lines.read(SNIFFED).removeprefix("\ufeff")
        while "\n" not in sample and "\r" not in sample and (more := lines.read(SNIFFED)):
            sample += more
            if len(sample) > longest_line():
                raise too_long(name, 1)
        return sample, len(sample) < SNIFFED and not lines.read(1)


def _delimiter(said: str | None) -> str | None:
    if said in (None, ""):
        return None
    delimiter = {"\\t": "\t", "tab": "\t"}.get(said or "", said or "")
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise BadInput(
            f"The delimiter is {said!r} and must be one character, as , ; | or a tab",
            field="delimiter",
        )
    return delimiter


# --- CSV ------------------------------------------------------------------------------------


class Dialect(NamedTuple):
    """How a CSV is written."""

    delimiter: str
    quoted: bool = True
    """Whether a quotation mark at a cell's beginning encloses it."""
    escaped: bool = False
    """Whether a backslash, not a second mark, goes before a mark in a cell."""

    def reader(self, lines: Iterator[str] | Sequence[str]) -> Any:
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            escapechar="\\" if self.escaped else None,
            doublequote=not self.escaped,
            skipinitialspace=self.delimiter in ",;",
            strict=True,
        )


class Sniffed(NamedTuple):
    """A dialect tried on the beginning of a table."""

    dialect: Dialect
    rows: list[list[str]]
    """Up to `LOOKED_AT`, blank ones left out."""
    fails: bool

    @property
    def width(self) -> int:
        return len(self.rows[0]) if self.rows else 0

    @property
    def agreeing(self) -> float:
        """Share of the rows that have as many cells as the first."""
        return sum(len(row) == self.width for row in self.rows) / max(1, len(self.rows))

    @property
    def merit(self) -> tuple[bool, bool, float, bool, bool, int]:
        """The greatest is how the table is written."""
        named = bool(self.rows) and any(cell.strip().casefold() in USUAL for cell in self.rows[0])
        tabbed = self.width > 1 and self.dialect.delimiter == "\t"  # no sentence has one
        return self.width > 1, not self.fails, round(self.agreeing, 1), named, tabbed, self.width


def sniff(sample: str, *, whole: bool, delimiter: str | None = None) -> Sniffed:
    """How a table is written, by its beginning; `whole` says that the sample is all of it."""
    lines = list(io.StringIO(sample, newline=""))
    if not whole and len(lines) > 1:
        lines.pop()  # cut somewhere
    dialects = []
    for mark in [delimiter] if delimiter else DELIMITERS:
        dialects.append(Dialect(mark))
        if '\\"' in sample:
            dialects.append(Dialect(mark, escaped=True))
        if mark in "\t|":
            dialects.append(Dialect(mark, quoted=False))
    if not delimiter and not sample.strip("".join(DELIMITERS) + " \r\n"):
        return Sniffed(dialects[0], [], False)
    # The first of equal merit stays: quotes as they should be, and the comma.
    return max((_tried(dialect, lines, whole) for dialect in dialects), key=lambda s: s.merit)


def _tried(dialect: Dialect, lines: list[str], whole: bool) -> Sniffed:
    rows: list[list[str]] = []
    fails = False
    try:
        for row in dialect.reader(lines):
            if any(map(str.strip, row)):
                rows.append(row)
            if len(rows) == LOOKED_AT:
                break
    except csv.Error as problem:
        # A sample may end within a cell.
        fails = whole or "unexpected end" not in str(problem)
    return Sniffed(dialect, rows, fails)


def _csv(
    source: Content,
    name: str,
    encoding: str,
    delimiter: str | None,
    header: bool | None,
    sample: str,
    whole: bool,
) -> Table:
    found = sniff(sample, whole=whole, delimiter=delimiter)
    commas = () if found.dialect.delimiter == "," else decimal_commas(found.rows[1:])
    found = found._replace(rows=[with_points(row, commas) for row in found.rows])
    if not found.rows:
        if found.fails:
            raise _misquoted(name, 1, "unexpected end of data")
        raise BadInput(f"{name} is empty: it holds nothing but blank lines")
    first = [one_line(cell) for cell in found.rows[0]]
    if len(first) > LIMITS.columns:
        raise BadInput(f"{name} has {len(first):,} columns: at most {LIMITS.columns:,} can be read")
    notes = []
    if header is None:
        header = not _headerless(found.rows)
    if header:
        if not first[0] and len(first) > 1 and _counts([row[0] for row in found.rows[1:]]):
            first[0] = "column 1"  # pandas writes its index so
        columns = _named(first, name)
    else:
        columns = tuple(f"column {i + 1}" for i in range(len(first)))
        notes.append(
            f"{name} has no row that names its columns: they are called column 1 to "
            f"column {len(columns)}"
        )
    if commas:
        which = ", ".join(shown(columns[i]) for i in commas[:5]) + " …" * (len(commas) > 5)
        notes.append(
            f"{name} writes decimals with a comma, in column{'s' * (len(commas) > 1)} {which}: "
            "1.234,5 is read as 1234.5"
        )
    place = Place()

    def rows(only: Sequence[str] | None, skip: Skip) -> Iterator[tuple[int, tuple[Any, ...]]]:
        with reading(source, name, encoding, place=place) as lines:
            for number, row in _csv_rows(lines, found.dialect, len(columns), header, skip):
                yield number, tuple(with_points(row, commas)) if commas else row

    return Table(
        columns, "csv", encoding, found.dialect.delimiter, name, header=header,
        notes=tuple(notes), place=place, _rows=rows,
    )  # fmt: skip


def _csv_rows(
    lines: Lines, dialect: Dialect, width: int, header: bool, skip: Skip
) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = dialect.reader(lines)
    longest = LIMITS.text_characters
    number = 1
    while True:
        first = number
        try:
            row = next(reader, None)
        except csv.Error as problem:
            raise _misquoted(lines.name, first, str(problem)) from None
        if row is None:
            return
        number = reader.line_num + 1
        nul, lines.nul = lines.nul, False
        if (len(row) != width or not row[0]) and not any(map(str.strip, row)):
            continue  # spreadsheets end tables with rows of nothing
        if header:
            header = False  # what it names is known already
            continue
        if nul:
            skip(first, NUL)
            continue
        if len(row) != width:
            count = f"{len(row):,} cell{'s' * (len(row) != 1)}"
            skip(first, f"it has {count}, and the first row names {width:,} columns. "
                 f"A cell that holds {_spelled(dialect.delimiter)} or a line break must be in "
                 "quotation marks")  # fmt: skip
        elif sum(map(len, row)) > longest and max(map(len, row)) > longest:
            skip(first, f"a cell has more than {longest:,} characters: shorten it")
        else:
            yield first, tuple(row)


def _spelled(delimiter: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(delimiter, f"“{delimiter}”")


def _misquoted(name: str, row: int, problem: str) -> BadInput:
    why = {
        "unexpected end of data": "it begins a cell that goes on to the end of the file",
        "field larger": f"it has a cell of more than {longest_line():,} characters",
        "expected after": "text follows a quotation mark that closes a cell",
    }
    said = next((words for key, words in why.items() if key in problem), problem)
    return BadInput(
        f"{name}, row {row:,}: {said}. Look for a quotation mark that isn't closed, there or "
        "before; inside a cell write two for one"
    )


def _named(cells: Sequence[str], name: str) -> tuple[str, ...]:
    """The columns that a first row names. BadInput where a name lacks or comes twice."""
    seen: set[str] = set()
    for i, cell in enumerate(cells):
        if not cell:
            raise BadInput(f"{name}: column {i + 1} has no name: name it in the first row")
        if cell.casefold() in seen:
            raise BadInput(f"{name}: two columns are named {shown(cell)}: rename one")
        seen.add(cell.casefold())
    return tuple(cells)


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells are 0, 1, 2 … or 1, 2, 3 …"""
    return cells[:1] in (["0"], ["1"]) and cells == [
        str(int(cells[0]) + i) for i in range(len(cells))
    ]


def _headerless(rows: list[list[str]]) -> bool:
    """Whether the first row is an item already, where that is clear: all cells are numbers, those
    below too, and the first row's don't count the columns; or one of its cells is a value that
    comes again and again in its column, and another is a text as long as those below it."""
    width = len(rows[0])
    below = [row for row in rows[1:] if len(row) == width]
    first = [cell.strip() for cell in rows[0]]
    if len(below) > 3 and all(map(is_number, first)):
        # Data frames without names number their columns from 0, people from 1.
        from_0, from_1 = ([str(i + begin) for i in range(width)] for begin in (0, 1))
        counts = (
            first == from_0
            or (width > 1 and first == from_1)
            or (width > 7 and all(float(a) < float(b) for a, b in pairwise(first)))
        )
        return not counts and all(is_number(cell) for row in below for cell in row)
    if len(below) < 4 or width < 2 or any(cell.casefold() in USUAL for cell in first):
        return False
    label = text = False
    for i, cell in enumerate(first):
        column = [row[i].strip() for row in below]
        values = set(column)
        long = len(cell) >= 20 and len(cell.split()) >= 4
        if long or (len(cell) >= 8 and _dense(cell)):
            text = text or sum(map(len, column)) / len(column) >= 12
        elif cell in values and len(values) <= max(2, len(below) // 4):
            label = True
    return label and text


def _dense(text: str) -> bool:
    """Whether it is written without spaces between words, as Chinese and Japanese are."""
    return sum(unicodedata.category(c) == "Lo" for c in text) > len(text) / 2


def asked_header(columns: Mapping[Any, str]) -> bool | None:
    """False where somebody chose a column by its number, as those of a table without header."""
    return False if any(re.fullmatch(r"column [1-9]\d*", c) for c in columns.values()) else None


# --- JSON Lines -----------------------------------------------------------------------------


def _is_json(sample: str, name: str) -> bool:
    start = sample.lstrip()[:1]
    named = ending(name) in JSON_ENDINGS
    if start == "[" and named:
        raise BadInput(
            f"{name} is one JSON list: save it as JSON Lines, each item an object in a line of "
            "its own"
        )
    if start != "{":
        return named
    if named:
        return True
    try:
        return isinstance(json.loads(sample.lstrip().splitlines()[0]), dict)
    except (ValueError, RecursionError):
        return False


def _jsonl(source: Content, name: str, encoding: str) -> Table:
    place = Place()

    seen: dict[str, bool] = {}
    structs: list[Any] = []
    missed = Skipped(1)
    with reading(source, name, encoding, newline="\n") as lines:
        for number, found in _objects(lines, missed.add, SAMPLE):
            seen.update(dict.fromkeys(found, True))
            structs.append(found.get("translation"))
            if len(seen) > LIMITS.columns:
                raise BadInput(f"{name}, line {number:,}: there are more than {LIMITS.columns:,} "
                               "names: give every object the same few")  # fmt: skip
    if not seen:
        for row, why in missed.first:
            raise BadInput(f"{name}, line {row:,}: {why}", field="skip_broken")
        raise BadInput(f"{name} has no rows: each line must be an object with the same names")
    languages = _languages(structs, seen)
    keys = _spread(seen, languages)
    columns = [one_line(key) or f"column {i + 1}" for i, key in enumerate(keys)]
    if twice := [column for column, times in Counter(columns).items() if times > 1]:
        raise BadInput(f"{name}: two names are shown as {shown(twice[0])}: rename one")

    def rows(only: Sequence[str] | None, skip: Skip) -> Iterator[tuple[int, tuple[Any, ...]]]:
        with reading(source, name, encoding, newline="\n", place=place) as lines:
            for number, found in _objects(lines, skip):
                if languages:
                    said = found.pop("translation", None)
                    if said is not None and not isinstance(said, dict):
                        skip(number, "its translation isn't an object: it must be one, as "
                             "{\"en\": \"…\", \"de\": \"…\"}")  # fmt: skip
                        continue
                    found.update(said or {})
                cells = tuple(map(found.get, keys))
                if why := wrong_with(cells):
                    skip(number, why)
                else:
                    yield number, cells

    return Table(tuple(columns), "jsonl", encoding, "", name, place=place, _rows=rows)


def _objects(
    lines: Lines, skip: Skip, upto: int | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file, each with its line; of the first `upto` characters, where said."""
    done = 0
    for line in lines:
        done += len(line)
        if line.isspace() or not line:
            continue
        try:
            found = json.loads(line)
        except RecursionError:
            skip(lines.number, "its lists or objects are nested too deep to be read")
        except ValueError as problem:
            skip(lines.number, f"it isn't JSON ({problem}): each line must be a whole "
                 "object, as {\"text\": \"…\", \"label\": \"…\"}")  # fmt: skip
        else:
            if isinstance(found, dict):
                yield lines.number, found
            else:
                skip(lines.number, "it isn't an object: each line must be one, as "
                     "{\"text\": \"…\", \"label\": \"…\"}")  # fmt: skip
        if upto is not None and done > upto:
            return


def wrong_with(cells: Sequence[Any]) -> str:
    """Why a row's texts are refused; "" where they aren't."""
    for cell in cells:
        if isinstance(cell, str):
            if "\0" in cell:
                return NUL
            if len(cell) > LIMITS.text_characters:
                return f"a text has more than {LIMITS.text_characters:,} characters: shorten it"
    return ""


def _languages(structs: Sequence[Any], columns: Mapping[str, Any]) -> list[str]:
    """The languages of a column “translation” that holds ``{"en": …, "de": …}``."""
    if "translation" not in columns or not structs:
        return []
    if not all(isinstance(one, dict) for one in structs if one is not None):
        return []
    names = list(dict.fromkeys(key for one in structs if one for key in one))
    return [] if set(names) & set(columns) else names


def _spread(columns: Mapping[str, Any], languages: list[str]) -> list[str]:
    """The columns' names, “translation” replaced by its languages."""
    return [
        name
        for column in columns
        for name in (languages if languages and column == "translation" else [column])
    ]


# --- Parquet --------------------------------------------------------------------------------


@contextmanager
def _arrow(name: str) -> Iterator[None]:
    """What pyarrow raises about a file's content, said to a person."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as problem:
        if isinstance(problem, BadInput) or getattr(problem, "errno", None):
            raise
        raise BadInput(
            f"{name} is damaged or not whole ({one_line(str(problem))[:120]}): get the file again"
        ) from None


def _parquet(source: Content, name: str) -> Table:
    if isinstance(source, Path) and compressed(source):
        raise BadInput(f"{name} is a Parquet file compressed as a whole: uncompress it")
    with _arrow(name), _file(source) as file:
        schema, meta = file.schema_arrow, file.metadata
        total = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        count = meta.num_rows
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    most = max(archive.HONEST_BYTES, archive.MOST_RATIO * size)
    if total > most:
        raise _bomb(name)
    if _most_values(meta) > MOST_VALUES:
        raise BadInput(
            f"{name} has more than {MOST_VALUES // 10**6} million values in one group of rows: "
            "write it with smaller groups, or take the column of long lists out"
        )
    if len(schema.names) > LIMITS.columns:
        raise BadInput(
            f"{name} has {len(schema.names):,} columns: at most {LIMITS.columns:,} can be read"
        )
    if not schema.names:
        raise BadInput(f"{name} has no columns")
    original = _named([one_line(column) for column in schema.names], name)
    languages = _languages_of(schema, original)
    columns = tuple(_spread(dict.fromkeys(original, True), languages))
    named = {one_line(column): names for column, names in class_names(schema.metadata).items()}
    place = Place()

    def rows(only: Sequence[str] | None, skip: Skip) -> Iterator[tuple[int, tuple[Any, ...]]]:
        wanted = [
            i for i, column in enumerate(original)
            if only is None or column in only or (languages and column == "translation")
        ]  # fmt: skip
        number, unpacked = 0, 0
        with _arrow(name), _file(source) as file:
            batches = file.iter_batches(
                _rows_at_once(file.metadata), columns=[schema.names[i] for i in wanted],
                use_threads=False,
            )  # fmt: skip
            for batch in batches:
                unpacked += sum(map(_decoded_bytes, batch))
                if unpacked > most:
                    raise _bomb(name)
                lists: dict[str, Sequence[Any]] = {}
                for column, values in zip([original[i] for i in wanted], batch, strict=True):
                    cells = _cells(values, name, column, number)
                    if languages and column == "translation":
                        for key in languages:
                            lists[key] = [cell and cell.get(key) for cell in cells]
                    else:
                        lists[column] = cells
                nothing = [None] * batch.num_rows
                for row in zip(*(lists.get(column, nothing) for column in columns), strict=True):
                    number += 1
                    if why := wrong_with(row):
                        skip(number, why)
                    else:
                        yield number, row
                place.share = number / max(1, count)

    return Table(
        columns, "parquet", "", "", name, classes=named, length=count,
        place=place, _rows=rows,
    )  # fmt: skip


def _file(source: Content) -> Any:
    import pyarrow.parquet

    # Buffered: else a whole column of a group of rows is read at once.
    content: Any = pyarrow.BufferReader(source) if isinstance(source, bytes) else source
    return pyarrow.parquet.ParquetFile(content, buffer_size=2**20, pre_buffer=False)


def _languages_of(schema: Any, columns: Sequence[str]) -> list[str]:
    """The languages of a column “translation” that is a struct of them."""
    import pyarrow

    if "translation" not in columns:
        return []
    kind = schema.field(columns.index("translation")).type
    if not pyarrow.types.is_struct(kind):
        return []
    keys = [kind.field(i).name for i in range(kind.num_fields)]
    return [] if set(keys) & set(columns) else keys


def _bomb(name: str) -> BadInput:
    return BadInput(
        f"{name} would unpack to more than {archive.MOST_RATIO} times its size, as no table of "
        "data does: it is damaged or made to fill the memory"
    )


def _most_values(meta: Any) -> int:
    """Of one column in one group of rows; what lies in lists counts by itself."""
    return max(
        (
            meta.row_group(group).column(column).num_values
            for group in range(meta.num_row_groups)
            for column in range(min(meta.num_columns, 1000))
        ),
        default=0,
    )


def _rows_at_once(meta: Any) -> int:
    """Rows that are decoded together: few where one value may be large and stand in each of them.

    A dictionary holds a value once, however often it occurs, and is itself no larger than its
    part of the file unpacked.
    """
    largest = max(
        (
            meta.row_group(group).column(column).total_uncompressed_size
            for group in range(meta.num_row_groups)
            for column in range(min(meta.num_columns, 1000))
        ),
        default=1,
    )
    return int(min(BATCH, max(FEW_ROWS, TOGETHER // max(largest, 1))))


def _decoded_bytes(values: Any) -> int:
    """What a column of a batch takes when each row has its own: a dictionary is there once."""
    import pyarrow
    import pyarrow.compute

    if not pyarrow.types.is_dictionary(values.type):
        return int(values.nbytes)
    each = values.dictionary.nbytes // max(len(values.dictionary), 1)
    if pyarrow.types.is_string(values.type.value_type):
        lengths = pyarrow.compute.binary_length(values.dictionary).take(values.indices)
        return int(pyarrow.compute.sum(lengths).as_py() or 0)
    return int(each * len(values))


def _cells(values: Any, name: str, column: str, before: int) -> list[Any]:
    """A column's cells in a batch; `before` is the number of the row before the first."""
    import pyarrow

    if (
        pyarrow.types.is_nested(values.type)
        and values.nbytes > LONG_LISTS
        and not (pyarrow.types.is_struct(values.type))
    ):
        raise BadInput(
            f"{name}, row {before + 1:,}, column {shown(column)}: lists of more than "
            f"{LONG_LISTS // 2**20} MB in {len(values)} rows: take the column out"
        )
    try:
        found: list[Any] = values.to_pylist()
    except UnicodeDecodeError:
        for i in range(len(values)):
            try:
                values[i].as_py()
            except UnicodeDecodeError:
                raise BadInput(
                    f"{name}, row {before + i + 1:,}: a text there isn't UTF-8: write the "
                    "file again"
                ) from None
        raise
    return found


def features(metadata: Mapping[bytes, bytes] | None) -> dict[str, dict[str, Any]]:
    """What Hugging Face's `datasets` keeps of each column in a schema's metadata."""
    try:
        found = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {str(name): said for name, said in found.items() if isinstance(said, dict)}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """The names behind whole numbers, by column as the schema spells it."""
    return {
        column: tuple(map(str, said["names"]))
        for column, said in features(metadata).items()
        if said.get("_type") == "ClassLabel" and isinstance(said.get("names"), list)
    }
