"""What text and pairs share: the files that a dataset lies in, and what is kept of their rows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from engine.catalog import BadInput
from engine.data import archive
from engine.data.archive import Entry, Source, Unreadable, listing, one_line, shown
from engine.data.arrays import Items
from engine.data.coded import Coded, Names
from engine.data.crew import Pace
from engine.data.kinds import form_of, tables_among
from engine.data.labelled import no_split, some, split_cell, split_of
from engine.data.limits import LIMITS
from engine.data.lines import Content, digest
from engine.data.options import ImportOptions, Kind, Role, Step, step
from engine.data.roles import written
from engine.data.splits import Split
from engine.data.tables import Skipped, Table, asked_header, open_table

T = TypeVar("T")

GROUPS = 8
"""Columns by which items can be grouped, at most."""
TRACKED = 64
"""Columns whose values are counted for that."""
MOST_VALUES = 50_000
LONGEST_VALUE = 200
EVERY = 200
"""Rows after which it is asked whether progress is due."""
LISTED = 0.05
"""Share of the work after which the files of an archive are known."""


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


def drained(steps: Generator[Step, None, T]) -> T:
    """What a generator returns, its steps left unsaid."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def gather(sources: Sequence[Path], scratch: Path) -> Generator[Step, None, Gathered]:
    """The files to read. BadInput if they are an archive and something else beside it."""
    forms = [form_of(path) for path in sources]
    if "archive" not in forms:
        name = one_line(", ".join(path.name for path in sources[:3]))
        more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
        return Gathered(name + more, files(sources), sources=sources)
    if len(sources) > 1:
        names = some([path.name for path in sources])
        raise BadInput(f"{names} can't be read together: import one archive, or the files in it")
    (path,) = sources
    source, entries = yield from listing(path, scratch, upto=LISTED)
    parts = [Part(one_line(entry.name), _getter(path, source, entry), entry) for entry in entries]
    return Gathered(one_line(path.name), parts, source, sources)


def files(paths: Sequence[Path]) -> list[Part]:
    """Each file by itself."""
    return [Part(one_line(path.name), lambda path=path: path) for path in paths]  # type: ignore[misc]


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


def splits_of(names: Sequence[str]) -> list[Split | None]:
    """Each file's split by its name; none at all where the names don't speak of two.

    Files that name none are for training, where no other is. BadInput where one is: it could be
    anything.
    """
    found = [split_of(name.split("/")) for name in names]
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
    """Names, labels and splits of the items so far, and what is wrong with the rows."""

    options: ImportOptions
    names: Names = field(default_factory=Names)
    labels: Coded = field(default_factory=Coded)
    splits: list[Split | None] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    emptied: int = 0
    broken: int = 0
    troubles: list[str] = field(default_factory=list)

    def keep(
        self, word: str, number: int | None = None, *, split: Split | None, label: str | None = None
    ) -> None:
        """One more item, called ``word number``. BadInput when there are too many."""
        self.names.append(word, number)
        if label is not None:
            self.labels.append(label)
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
                f"{listed}. Mend the rows, or import with “leave out what can't be read”, which "
                "leaves such rows out",
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
        self.kept = {name: Coded() for name in free[:TRACKED]}

    @property
    def columns(self) -> list[str]:
        """Those that may still be groups."""
        return list(self.kept)

    def add(self, cells: Mapping[str, Any], rows: int) -> None:
        """The cells of the next item, which is item number `rows`, counted from 1."""
        for name in list(self.kept):
            cell, kept = cells[name], self.kept[name]
            value = "" if isinstance(cell, list | dict | bytes) else written(cell)
            kept.append(value)
            count = len(kept.different)
            many = count > MOST_VALUES or (rows > 10_000 and count > 0.6 * rows)
            if name != self.asked and (many or len(value) > LONGEST_VALUE):
                del self.kept[name]

    def found(self) -> dict[str, Sequence[str]]:
        """Each item's value in every column whose values come twice or more, on average."""
        groups: dict[str, Sequence[str]] = {}
        for name, kept in self.kept.items():
            fits = 2 <= len(kept.different) <= len(kept) / 2
            if len(groups) < GROUPS and (fits or name == self.asked):
                groups[name] = kept
        return groups


# --- rows of tables -------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """A table of several, and the split of all its rows."""

    table: Table
    split: Split | None
    word: str
    """What goes before the number of a row in an item's name: “row”, “train.csv line”."""


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
        word = f"{part.name} {table.row}" if len(parts) > 1 else table.row
        yield part, Opened(table, split, word)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table that is being read."""

    number: int
    cells: tuple[Any, ...]


class Reading:
    """Several tables as if they were one: the first says what its columns are for.

    `read` gives their rows, and whoever takes one says with `keep` that it is an item.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        options: ImportOptions,
        find: Callable[[Table, ImportOptions], dict[Role, str]],
    ) -> None:
        self.parts, self.options, self.find = parts, options, find
        self.rows = Rows(options)
        self.said: list[str] = []
        self.first: Table | None = None
        self.roles: dict[Role, str] = {}
        self.groups = Groups((), {}, None)
        self.opened: Opened
        self.places: dict[str, int]

    @property
    def table(self) -> Table:
        return self.opened.table

    def read(self) -> Iterator[Step | Row]:
        """Every row that can be read, and now and then how far it is."""
        pace = Pace()
        for number, (part, opened) in enumerate(open_tables(self.parts, self.options)):
            self.opened, table = opened, opened.table
            self.said += table.notes
            if self.first is None:
                self.first, self.roles = table, self.find(table, self.options)
                self.groups = Groups(table.columns, self.roles, self.options.group)
            wanted = [*self.roles.values(), *self.groups.columns]
            same_columns(table, self.first, wanted)
            self.places = {name: table.columns.index(name) for name in wanted}
            skipped = Skipped()
            for row, cells in table.rows(wanted, skipped):
                if row % EVERY == 0 and pace.due():
                    done = (number + table.place.share) / len(self.parts)
                    yield step(LISTED + 0.9 * done, f"Reading {part.name}, {table.row} {row:,}")
                yield Row(row, cells)
            self.rows.skipped(table, skipped)

    def cell(self, row: Row, role: Role) -> Any:
        """What the row says for a role; None where no column is for it."""
        return row.cells[self.places[self.roles[role]]] if role in self.roles else None

    def blank(self, row: Row) -> None:
        """There is nothing in it to learn from."""
        self.rows.blank(f"{self.opened.word} {row.number}")

    def wrong(self, row: Row, role: Role, why: str) -> None:
        """It is refused for what that role's column says."""
        column = shown(self.roles[role])
        self.rows.wrong(f"{self.table.name}, {self.table.row} {row.number:,}, column {column}", why)

    def keep(self, row: Row, label: str | None = None) -> bool:
        """Whether the row is an item: not if it names a split that is none."""
        split = self.opened.split
        if "split" in self.roles and (split := split_cell(self.cell(row, "split"))) is None:
            self.wrong(row, "split", no_split(written(self.cell(row, "split"))))
            return False
        self.rows.keep(self.opened.word, row.number, split=split, label=label)
        cells = {name: row.cells[self.places[name]] for name in self.groups.columns}
        self.groups.add(cells, len(self.rows.names))
        return True

    def items(self, kind: Kind, empty: str) -> Items:
        """What was kept; `empty` is what rows without content are called."""
        assert self.first is not None
        warnings = [*self.said, *self.rows.judge(empty)]
        return Items(
            kind=kind, fingerprint="", names=self.rows.names,
            labels=self.rows.labels if "label" in self.roles else None, splits=self.rows.given,
            groups=self.groups.found(), columns=written_as(self.first, self.roles),
            warnings=warnings,
        )  # fmt: skip


def same_columns(table: Table, first: Table, wanted: Sequence[str]) -> None:
    """BadInput unless the table has the columns that were found in the first."""
    if missing := [name for name in wanted if name not in table.columns]:
        raise BadInput(
            f"{table.name} has no column {shown(missing[0])}, as {first.name} has. It has "
            f"{some(table.columns)}: give both the same columns, or leave it out",
            field="columns",
        )


def written_as(table: Table, roles: Mapping[Role, str]) -> dict[str, str]:
    """What was read from which column, and the encoding and the delimiter that the table has."""
    form = {"encoding": table.encoding, "delimiter": table.delimiter}
    return {
        **{name: value for name, value in form.items() if value},
        **{str(role): name for role, name in roles.items()},
    }
