"""What text and pairs share: the files that a dataset lies in, and what is kept of their rows."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.catalog import BadInput
from engine.data import archive
from engine.data.archive import Entry, Source, Unreadable, listing, one_line, shown
from engine.data.kinds import form_of, tables_among
from engine.data.labelled import SPLIT_FOLDERS, some
from engine.data.limits import LIMITS
from engine.data.lines import Content, digest, words
from engine.data.options import ImportOptions, Role, Step
from engine.data.roles import written
from engine.data.splits import Split
from engine.data.tables import Skipped, Table, asked_header, open_table

GROUPS = 8
"""Columns by which items can be grouped, at most."""
TRACKED = 64
"""Columns whose values are counted for that."""
MOST_VALUES = 50_000
LONGEST_VALUE = 200
EVERY = 200
"""Rows after which it is asked whether progress is due."""


@dataclass(frozen=True)
class Part:
    """One file of several: `get` gives its content, or where it lies."""

    name: str
    get: Callable[[], Content]
    entry: Entry | None = None


@dataclass(frozen=True)
class Gathered:
    """The files that were given, or that lie in the archive or folder that was given."""

    name: str
    """What messages call it as a whole."""
    parts: list[Part]
    source: Source | None = None
    sources: Sequence[Path] = ()

    @property
    def entries(self) -> list[Entry]:
        return [part.entry for part in self.parts if part.entry]

    def digest(self, parts: Sequence[Part]) -> str:
        """SHA-256 of what was given; of a folder, of those files in it."""
        if self.source is None:
            return digest(self.sources)
        return self.source.digest([part.entry for part in parts if part.entry])


def gather(sources: Sequence[Path], scratch: Path) -> Generator[Step, None, Gathered]:
    """The files to read. BadInput if they are an archive and something else beside it."""
    forms = [form_of(path) for path in sources]
    if "archive" not in forms:
        name = one_line(", ".join(path.name for path in sources[:3]))
        more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
        return Gathered(name + more, [
            Part(one_line(path.name), lambda path=path: path)  # type: ignore[misc]
            for path in sources
        ], sources=sources)  # fmt: skip
    if len(sources) > 1:
        names = some([path.name for path in sources])
        raise BadInput(f"{names} can't be read together: import one archive, or the files in it")
    (path,) = sources
    source, entries = yield from listing(path, scratch)
    parts = [Part(one_line(entry.name), _getter(path, source, entry), entry) for entry in entries]
    return Gathered(one_line(path.name), parts, source, sources)


def _getter(path: Path, source: Source, entry: Entry) -> Callable[[], Content]:
    def get() -> Content:
        if isinstance(source, archive.Folder):
            return path.joinpath(*entry.path)
        if entry.size > LIMITS.file_bytes:
            raise BadInput(
                f"{path.name}: {shown(entry.name)} is larger than "
                f"{LIMITS.file_bytes // 2**20} MB: import it by itself, not packed"
            )
        with source.reading() as read:
            try:
                return read(entry, None)
            except Unreadable as problem:
                raise BadInput(
                    f"{path.name}: {shown(entry.name)} {problem}: pack it again"
                ) from None

    return get


def tables_of(parts: Sequence[Part]) -> list[Part]:
    """Those that are tables, by their names."""
    names = set(tables_among([part.name for part in parts]))
    return [part for part in parts if part.name in names]


# --- names of files -------------------------------------------------------------------------


def split_of(name: str) -> Split | None:
    """The split that a file's name or else its folders speak of."""
    for part in reversed(name.split("/")):
        for word in words(part):
            if word.lower() in SPLIT_FOLDERS:
                return SPLIT_FOLDERS[word.lower()]
    return None


def splits_of(names: Sequence[str]) -> list[Split | None]:
    """Each file's split by its name; none at all where the names don't speak of two.

    Files that name none are for training, where no other is. BadInput where one is: it could be
    anything.
    """
    found = [split_of(name) for name in names]
    if len(set(found)) < 2:
        return [None] * len(names)
    if "train" in found and None in found:
        name = names[found.index(None)]
        raise BadInput(
            f"{shown(name)} doesn't say whether it is for train, validation or test, as "
            f"{shown(names[found.index('train')])} does: put one of the three into its name, or "
            "leave it out"
        )
    return [split or "train" for split in found]


# --- what is kept of rows -------------------------------------------------------------------


@dataclass
class Rows:
    """Names, splits and groups of the items so far, and what is wrong with the rows."""

    options: ImportOptions
    names: list[str] = field(default_factory=list)
    splits: list[Split | None] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    emptied: int = 0
    broken: int = 0
    troubles: list[str] = field(default_factory=list)

    def keep(self, name: str, split: Split | None) -> None:
        """One more item. BadInput when there are too many."""
        self.names.append(name)
        self.splits.append(split)
        if len(self.names) > LIMITS.items:
            raise BadInput(f"There are more than {LIMITS.items:,} items: import a part of them")

    def blank(self, name: str) -> None:
        """A row that has nothing to learn from."""
        self.emptied += 1
        if self.emptied <= 10:
            self.empty.append(name)

    def wrong(self, where: str, why: str) -> None:
        """A row that is refused, or skipped where that is asked for."""
        self.broken += 1
        if len(self.troubles) < 5:
            what, _, mend = why.partition(". ")
            # How to mend it is said once.
            again = bool(mend) and any(said.endswith(mend) for said in self.troubles)
            self.troubles.append(f"{where}: {what if again else why}")

    def skipped(self, table: Table, skipped: Skipped) -> None:
        """The rows that the table itself couldn't read."""
        self.broken += len(skipped) - len(skipped.first)
        for row, why in skipped.first:
            self.wrong(f"{table.name}, {table.row} {row:,}", why)

    def judge(self, empty: str) -> list[str]:
        """What was left out, in sentences; `empty` is “empty texts”.

        BadInput if rows are broken, unless they are to be skipped.
        """
        said = []
        if self.emptied:
            more = f" and {self.emptied - 10:,} more" if self.emptied > 10 else ""
            names = ", ".join(self.empty) + more
            said.append(f"{empty.capitalize()} were left out ({self.emptied:,}): {names}")
        if not self.broken:
            return said
        more = f"; and {self.broken - len(self.troubles):,} more" if self.broken > 5 else ""
        listed = "; ".join(self.troubles) + more
        if not self.options.skip_broken:
            raise BadInput(
                f"{listed}. Mend the rows, or import with “skip unreadable files”, which leaves "
                "such rows out",
                field="skip_broken",
            )
        if not self.names:
            raise BadInput(f"None of the rows can be read: {listed}")
        return [*said, f"{self.broken:,} unreadable rows were skipped: {listed}"]

    @property
    def given(self) -> list[Split | None] | None:
        """The items' splits; None where nothing names one."""
        return self.splits if any(self.splits) else None


class Groups:
    """The columns whose values come again: numbers for values, so that memory stays small."""

    def __init__(self, columns: Sequence[str], taken: Mapping[Any, str], asked: str | None) -> None:
        self.asked = asked
        free = [name for name in columns if name not in taken.values()]
        free.sort(key=lambda name: name != asked)
        self.known: dict[str, dict[str, int]] = {name: {} for name in free[:TRACKED]}
        self.codes = {name: array("i") for name in self.known}

    @property
    def columns(self) -> list[str]:
        """Those that may still be groups."""
        return list(self.known)

    def add(self, cells: Mapping[str, Any], rows: int) -> None:
        """The cells of the next item, which is item number `rows`, counted from 1."""
        for name in list(self.known):
            cell = cells[name]
            known = self.known[name]
            value = "" if isinstance(cell, list | dict | bytes) else written(cell)
            self.codes[name].append(known.setdefault(value, len(known)))
            many = len(known) > MOST_VALUES or (rows > 10_000 and len(known) > 0.6 * rows)
            if name != self.asked and (many or len(value) > LONGEST_VALUE):
                del self.known[name], self.codes[name]

    def found(self) -> dict[str, list[str]]:
        """Each item's value in every column whose values come twice or more, on average."""
        groups: dict[str, list[str]] = {}
        for name, known in self.known.items():
            fits = 2 <= len(known) <= len(self.codes[name]) / 2
            if len(groups) < GROUPS and (fits or name == self.asked):
                values = list(known)
                groups[name] = [values[code] for code in self.codes[name]]
        return groups


@dataclass(frozen=True)
class Opened:
    """A table of several, and the split of all its rows."""

    table: Table
    split: Split | None
    label: str
    """What goes before the number of a row in an item's name."""


def open_tables(parts: Sequence[Part], options: ImportOptions) -> Iterator[tuple[Part, Opened]]:
    """The tables one after another, those for training first: the first decides how all look."""
    order: list[Split | None] = ["train", None, "validation", "test"]
    splits = splits_of([part.name for part in parts])
    header = asked_header(options.columns)
    for part, split in sorted(
        zip(parts, splits, strict=True), key=lambda pair: order.index(pair[1])
    ):
        table = open_table(
            part.get(), part.name, encoding=options.encoding, delimiter=options.delimiter,
            header=header,
        )  # fmt: skip
        header = table.header
        yield part, Opened(table, split, f"{part.name} " if len(parts) > 1 else "")


def same_columns(table: Table, first: Table, wanted: Sequence[str]) -> None:
    """BadInput unless the table has the columns that were found in the first."""
    if missing := [name for name in wanted if name not in table.columns]:
        raise BadInput(
            f"{table.name} has no column {shown(missing[0])}, as {first.name} has. It has "
            f"{some(table.columns)}: give both the same columns, or leave it out",
            field="columns",
        )


def split_cell(cell: Any) -> Split | None:
    """The split that a cell names."""
    return SPLIT_FOLDERS.get(cell.strip().lower()) if isinstance(cell, str) else None


def written_as(table: Table, roles: Mapping[Role, str]) -> dict[str, str]:
    """What was read from which column, and the encoding and the delimiter that the table has."""
    form = {"encoding": table.encoding, "delimiter": table.delimiter}
    return {
        **{name: value for name, value in form.items() if value},
        **{str(role): name for role, name in roles.items()},
    }
