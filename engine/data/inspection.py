"""What files seem to hold, from a few megabytes of them: shown for correction before the import."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from engine.catalog import BadInput, Frozen
from engine.data import embedded, images, npz, pairs, sound, steps, text, wide
from engine.data.archive import compressed, listing, natural, one_line, shown
from engine.data.kinds import TEXTS, form_of, kinds_of, side_of
from engine.data.labelled import Layout, arrange, lay_out, split_cell
from engine.data.lines import encoding_of, ending, reading
from engine.data.options import ImportOptions, Kind, Role
from engine.data.parts import (
    Gathered,
    Groups,
    Opened,
    Part,
    drained,
    files,
    gather,
    open_tables,
    same_columns,
    tables_of,
)
from engine.data.roles import NAMES, Columns, find, pair_roles, text_roles, written
from engine.data.series import CUT
from engine.data.stepped import series_roles, wide_roles, wide_values, without_header
from engine.data.tables import Skipped, Table, asked_header, open_table

ROWS = 5
CELL = 200
"""Characters of a cell that are shown."""
CLASSES = 20
CHARACTERS = 4_000_000
"""Of a table that are read, to count what is in it."""


class Inspection(Frozen):
    """What files seem to hold, and how they would be read."""

    kind: Kind
    kinds: tuple[Kind, ...]
    """Those that they could be read as, the likeliest first."""
    encoding: str = ""
    delimiter: str = ""
    columns: tuple[str, ...] = ()
    roles: dict[Role, str] = Field(default_factory=dict)
    """Which column is what."""
    rows: tuple[tuple[str, ...], ...] = ()
    """The first few, as text, cut where they are long."""
    groups: tuple[str, ...] = ()
    """Columns that items could be kept together by."""
    items: int | None = None
    """None where it isn't known without reading everything."""
    classes: tuple[str, ...] = ()
    """The first few names, in natural order."""
    class_count: int = 0
    splits: dict[str, int] = Field(default_factory=dict)
    """Items of each split that the files name."""
    series: bool = False
    """It is one series, whose end is held out."""
    nested: bool = False
    """Class folders hold folders, which may be what tells the classes."""
    notes: tuple[str, ...] = ()


@dataclass
class _Found:
    """An inspection in the making."""

    encoding: str = ""
    delimiter: str = ""
    columns: tuple[str, ...] = ()
    roles: dict[Role, str] = field(default_factory=dict)
    rows: list[tuple[str, ...]] = field(default_factory=list)
    groups: tuple[str, ...] = ()
    items: int | None = None
    labels: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    series: bool = False
    nested: bool = False
    notes: list[str] = field(default_factory=list)

    def shown(self, table: Table) -> None:
        """A table's columns and first rows."""
        self.columns = table.columns
        self.encoding, self.delimiter = table.encoding, table.delimiter
        self.rows = [tuple(map(_cut, row)) for row in table.first(ROWS, CHARACTERS)[1]]

    def laid_out(self, layout: Layout) -> None:
        """What folders or a table say of an archive's files."""
        self.items = len(layout.files)
        self.labels.update(layout.labels or ())
        self.splits.update(split for split in layout.splits if split)
        self.groups = tuple(layout.groups)
        self.notes += layout.warnings
        self.nested = layout.nested
        for role, column in layout.columns.items():
            if role in ("encoding", "delimiter"):
                setattr(self, role, column)
            else:
                self.roles[role] = column  # type: ignore[index]  # its keys are roles
        kinds = {"label": layout.labels, "transcript": layout.transcripts}
        self.columns = ("file", *(name for name, values in kinds.items() if values is not None))
        for number, entry in enumerate(layout.files[:ROWS]):
            label = [layout.labels[number]] if layout.labels is not None else []
            transcript = [layout.transcripts[number]] if layout.transcripts is not None else []
            self.rows.append(tuple(map(_cut, (one_line(entry.name), *label, *transcript))))


def inspect(
    sources: Sequence[Path], kind: Kind | None = None, options: ImportOptions | None = None
) -> Inspection:
    """Look at files without importing them. BadInput as an import would raise it.

    What an import would only ask for (which column holds the labels) is a note here.
    """
    options = options or ImportOptions()
    for path in sources:
        if not path.exists():
            raise BadInput(f"There is no file {path}")
    kinds = kinds_of(sources)
    kind = kind or kinds[0]
    found = _Found()
    with tempfile.TemporaryDirectory(prefix="anneal-") as scratch:
        try:
            _look(list(sources), kind, options, Path(scratch), found)
        except BadInput as problem:
            if problem.field != "columns":
                raise
            # Whoever is to choose columns must see them.
            if not found.columns:
                _first_table(list(sources), options, Path(scratch), found)
            if not found.columns:
                raise
            found.notes.append(str(problem))
    classes = sorted(found.labels, key=natural)
    return Inspection(
        kind=kind, kinds=tuple(dict.fromkeys((*kinds, kind))), encoding=found.encoding,
        delimiter=found.delimiter, columns=found.columns, roles=found.roles,
        rows=tuple(found.rows[:ROWS]), groups=found.groups, items=found.items,
        classes=tuple(classes[:CLASSES]), class_count=len(classes), splits=dict(found.splits),
        series=found.series, nested=found.nested, notes=tuple(found.notes),
    )  # fmt: skip


def _look(
    sources: list[Path], kind: Kind, options: ImportOptions, scratch: Path, found: _Found
) -> None:
    packed = [path for path in sources if path.is_file() and compressed(path)]
    if packed and form_of(packed[0]) == "archive":
        found.notes.append(
            f"{one_line(packed[0].name)} is compressed as a whole: what is in it is told when it "
            "is imported"
        )
        return
    if kind in ("text", "pairs"):
        gathered = drained(gather(sources, scratch))
        (_text if kind == "text" else _pairs)(gathered, options, found)
    elif kind == "sequences":
        _sequences(sources, options, scratch, found)
    elif tables := _tables_of_files(sources):
        _table(tables, options, kind, found)
    elif form_of(sources[0]) == "arrays":
        _arrays(sources[0], found)
    else:
        _files(sources[0], kind, options, scratch, found)


def _first_table(sources: list[Path], options: ImportOptions, scratch: Path, found: _Found) -> None:
    """The columns and first rows of the first table that can be opened, if there is one."""
    for part in tables_of(drained(gather(sources, scratch)).parts)[:20]:
        with suppress(BadInput):
            table = open_table(
                part.get(), part.name, encoding=options.encoding, delimiter=options.delimiter,
                header=asked_header(options.columns),
            )  # fmt: skip
            found.shown(table)
            return


# --- images and sound -----------------------------------------------------------------------


FOREIGN = {"images": images.FOREIGN, "sound": sound.FOREIGN}
READABLE = {"images": "JPEG or PNG", "sound": "WAV, FLAC, OGG or MP3"}


def _files(source: Path, kind: Kind, options: ImportOptions, scratch: Path, found: _Found) -> None:
    opened, entries = drained(listing(source, scratch))
    name = one_line(source.name)
    if kind == "images":
        layout = lay_out(
            opened, entries, name, wanted=images.is_image, noun="images", files=images.FILES,
            options=options, unlabelled=True,
        )  # fmt: skip
    else:
        layout = lay_out(
            opened, entries, name, wanted=sound.is_sound, noun="recordings", files=sound.FILES,
            options=options, transcripts=True,
        )  # fmt: skip
    found.laid_out(layout)
    if foreign := [one.name for one in layout.files if ending(one.path[-1]) in FOREIGN[kind]]:
        found.notes.append(
            f"{len(foreign):,} of {len(layout.files):,} files are of a form that can't be read, "
            f"such as {shown(foreign[0])}: save them as {READABLE[kind]} before you import"
        )
    # Folders name the classes by themselves; a table beside them may know better.
    if layout.tables and layout.labels and "label" not in found.roles:
        found.notes.append(
            "The classes are the names of the folders: choose a column for the label if the table "
            "has them"
        )
    for entry in layout.tables[:1]:  # its own rows say more than what became of them
        with opened.reading() as read:
            table = open_table(
                read(entry, None), one_line(entry.name), encoding=options.encoding,
                delimiter=options.delimiter, header=asked_header(options.columns),
            )  # fmt: skip
        found.shown(table)


def _arrays(source: Path, found: _Found) -> None:
    with npz.opened(source) as arrays:
        for name in arrays.names[:20]:
            said = arrays.described(name)
            found.notes.append(f"{name}: {said.dtype}, {' × '.join(map(str, said.shape))}")
        for name in ("y", "labels"):
            if name in arrays.names:
                found.labels.update(arrays.labels(name))
                found.items = found.labels.total()


# --- tables ---------------------------------------------------------------------------------


def _tables_of_files(sources: Sequence[Path]) -> list[Part]:
    """Parquet files that hold pictures or recordings, and other tables by themselves."""
    tables = embedded.tables_in(sources)
    if not tables and all(path.is_file() and form_of(path) == "table" for path in sources):
        tables = list(sources)
    return files(tables)


def _roles(table: Table, part: Part, kind: Kind, options: ImportOptions) -> dict[Role, str]:
    """The columns' roles, as the kind's importer finds them."""
    if kind == "text":
        return text.roles_of(table, options)
    if kind == "pairs":
        return pairs.roles_of(table, options)
    if kind == "sequences":
        if (found := wide_roles(Columns(table), options.columns)) is not None:
            return found
        places = steps.roles_of(table, options)
        return {role: table.columns[place] for role, place in places.items()}
    path = part.get()
    if table.format != "parquet" or not isinstance(path, Path):
        return find(table.columns, options.columns, NAMES[kind], table.name)
    import pyarrow.parquet

    heard = kind == "sound"
    return embedded.roles_of(
        pyarrow.parquet.read_schema(path), table.name, options, heard, not heard,
        "recordings" if heard else "images",
    ).roles  # fmt: skip


def _roles_or_note(
    table: Table, part: Part, kind: Kind, options: ImportOptions, found: _Found
) -> dict[Role, str]:
    """The same; what an import would ask for is noted, and those that are sure are there."""
    try:
        return _roles(table, part, kind, options)
    except BadInput as problem:
        if problem.field != "columns":
            raise
        found.notes.append(str(problem))
    with suppress(BadInput):
        if kind == "text":
            return text_roles(Columns(table), options.columns)
        if kind == "pairs":
            return pair_roles(Columns(table), options.columns) or {}
        return find(table.columns, options.columns, NAMES[kind], table.name)
    return {}


@dataclass
class _Count:
    """What is counted of a table's rows."""

    roles: Mapping[Role, str]
    groups: Groups
    found: _Found
    left: int
    items: int = 0
    blank: list[int] = field(default_factory=list)
    series: set[str] = field(default_factory=set)
    numbers: Sequence[str] = ()
    """Of sequences: the columns in which no cell may be empty."""
    wide: bool = False
    """Whether each row is a sequence, which empty cells may end."""
    one: bool = False
    """Whether all rows are the steps of one sequence."""
    holed: set[str] = field(default_factory=set)
    """Sequences in which one is."""

    def table(self, opened: Opened) -> bool:
        """Count the rows of the next table; whether that was all of it."""
        table, found = opened.table, self.found
        places = {name: place for place, name in enumerate(table.columns)}
        at = {role: places[name] for role, name in self.roles.items()}
        names = table.classes.get(self.roles.get("label", ""), ())
        numbers = [places[name] for name in self.numbers]
        skipped = Skipped()
        whole = True
        for row, cells in table.rows(skipped=skipped):
            if len(found.rows) < ROWS:
                found.rows.append(tuple(map(_cut, cells)))
            self.left -= 20 + sum(len(cell) for cell in cells if isinstance(cell, str | bytes))
            if self.left < 0:
                whole = False
                break
            self.items += 1
            if "label" in at:
                if label := written(cells[at["label"]], names):
                    found.labels[label] += 1
                else:
                    self.blank.append(row)
            if "sequence" in at:
                self.series.add(written(cells[at["sequence"]]))
            holes = [not written(cells[place]) for place in numbers]
            if any(holes) and not (self.wide and holes == sorted(holes) and not all(holes)):
                self.holed.add(written(cells[at["sequence"]]) if "sequence" in at else str(row))
            split = split_cell(cells[at["split"]]) if "split" in at else opened.split
            if split:
                found.splits[split] += 1
            if set(self.groups.columns) <= set(places):
                self.groups.add({c: cells[places[c]] for c in self.groups.columns}, self.items)
        for row, why in skipped.first:
            found.notes.append(f"{table.name}, {table.row} {row:,}: {why}")
        return whole


def _table(parts: Sequence[Part], options: ImportOptions, kind: Kind, found: _Found) -> None:
    """The first rows of tables, and what can be counted in a few megabytes of them."""
    first: Table | None = None
    whole = True
    for part, opened in open_tables(parts, options):
        table = opened.table
        if first is None:
            first = table
            found.columns = table.columns
            found.encoding, found.delimiter = table.encoding, table.delimiter
            found.notes += table.notes
            found.roles = _roles_or_note(table, part, kind, options, found)
            groups = Groups(table.columns, found.roles, options.group)
            count = _Count(found.roles, groups, found, CHARACTERS)
            if kind == "sequences":
                _steps(table, options, count)
        same_columns(table, first, list(found.roles.values()))
        whole = count.table(opened)
        if not whole:
            break
    assert first is not None
    if kind not in ("images", "sound"):
        found.groups = tuple(groups.found())
    if count.blank:
        rows = ", ".join(f"{row:,}" for row in count.blank[:10])
        more = f" and {len(count.blank) - 10:,} more" if len(count.blank) > 10 else ""
        found.notes.append(f"{first.name}: the label is blank in row {rows}{more}")
    if count.holed and count.one:
        found.notes.append(
            f"{len(count.holed):,} of {count.items:,} rows have an empty cell: fill them in, or "
            "import with “leave out what can't be read”, which leaves such rows out"
        )
    elif count.holed:
        total = len(count.series) if "sequence" in found.roles else count.items
        found.notes.append(
            f"{len(count.holed):,} of {total:,} sequences have an empty cell: fill them in, or "
            "import with “leave out what can't be read”, which leaves such sequences out"
        )
    if count.one:
        return
    if whole:
        found.items = len(count.series) if kind == "sequences" and count.series else count.items
        return
    found.splits.clear()
    if first.length is not None and len(parts) == 1:
        found.items = first.length
    found.notes.append(f"Classes and groups are those of the first {count.items:,} rows")


def _steps(table: Table, options: ImportOptions, count: _Count) -> None:
    """Where a table of sequences holds their numbers, and a note where each row is one."""
    columns = Columns(table)
    count.numbers = wide_values(columns, count.roles)
    if "sequence" not in count.roles and wide_roles(columns, options.columns) is not None:
        count.wide = True
        count.found.notes.append(wide.said_of(len(count.numbers)))
        return
    if step := count.roles.get("step"):
        count.numbers = [*count.numbers, step]
    if "sequence" not in count.roles and series_roles(columns, options.columns) is not None:
        count.one = count.found.series = True
        count.found.notes.append(f"One series, a row a step. {CUT}")


def _cut(cell: Any) -> str:
    """A cell as it is shown."""
    if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
        cell = cell["bytes"]
    if isinstance(cell, bytes):
        return f"{len(cell):,} bytes"
    said = "" if cell is None else one_line(str(cell)[: 4 * CELL])
    return said if len(said) <= CELL else said[: CELL - 1] + "…"


# --- text and pairs -------------------------------------------------------------------------


def _text(gathered: Gathered, options: ImportOptions, found: _Found) -> None:
    there = text.arranged(gathered)
    found.notes += there.notes
    if there.form == "tables":
        _table(there.parts, options, "text", found)
        return
    if there.form == "folders":
        assert gathered.source is not None
        layout = arrange(
            gathered.entries, gathered.name,
            wanted=lambda entry: ending(entry.path[-1]) in TEXTS, noun="texts",
            files=".txt files", unlabelled=options.columns.get("label") == "",
            classes=options.classes,
        )  # fmt: skip
        found.laid_out(layout)
        found.columns = ("file", "label", "text")
        with gathered.source.reading() as read:
            found.rows = [
                (*row, _cut(_beginning(read(entry, 4 * CELL), options)))
                for row, entry in zip(found.rows, layout.files, strict=False)
            ]
        return
    labels = there.labels or [""] * len(there.parts)
    for part, label, split in zip(there.parts, labels, there.splits, strict=True):
        content = part.get()
        found.encoding = encoding_of(content, part.name, options.encoding)
        if there.form == "classes":
            found.columns = ("text", "label")
            with reading(content, part.name, found.encoding) as lines:
                kept = [line.strip() for line in islice(lines, 20_000) if line.strip()]
                done = next(lines, None) is None
            found.labels[label] += len(kept)
            found.rows += [(_cut(line), label) for line in kept[: ROWS // 2]]
            if not done:
                found.notes.append(f"{part.name} has more than 20,000 lines")
        else:
            found.columns = ("text",)
            with reading(content, part.name, found.encoding, newline=None) as lines:
                found.rows += [(_cut(p),) for p in islice(text.passages(lines), ROWS)]
        if split and there.form == "classes":
            found.splits[split] += len(kept)
    if there.form == "classes" and not any("more than" in note for note in found.notes):
        found.items = found.labels.total()
    if there.form == "passages":
        found.notes.append(
            "Running text: it is cut to passages of 1,000 to 2,000 characters, and the last of "
            "them are kept for validation and test"
        )


def _beginning(content: bytes, options: ImportOptions) -> str:
    try:
        return text.decoded(content, options.encoding)
    except UnicodeError:  # cut within a character, perhaps
        return content.decode("utf-8", "replace")


def _pairs(gathered: Gathered, options: ImportOptions, found: _Found) -> None:
    tables, aligned = pairs.arranged(gathered)
    if tables:
        _table(tables, options, "pairs", found)
        return
    found.columns = tuple(dict.fromkeys(filter(None, (side_of(part.name) for part in aligned))))
    (source, target), couples = pairs.coupled(aligned, options, gathered.name)
    found.columns = (source, target)
    found.roles = {"source": source, "target": target}
    counted = True
    for couple in couples:
        contents = [(part, part.get()) for part in (couple.source, couple.target)]
        firsts, counts = [], []
        for part, content in contents:
            found.encoding = encoding_of(content, part.name, options.encoding)
            with reading(content, part.name, found.encoding, newline="\n") as lines:
                firsts.append([_cut(line) for line in islice(lines, ROWS)])
                for _ in islice(lines, 100_000):
                    pass
                counts.append(lines.number)
                counted = counted and next(lines, None) is None
        found.rows += list(zip(*firsts, strict=False))
        if counts[0] != counts[1]:
            found.notes.append(
                f"{couple.source.name} has {counts[0]:,} lines and {couple.target.name} has "
                f"{counts[1]:,}: they can't be aligned"
            )
        if couple.split:
            found.splits[couple.split] += counts[0]
        found.items = (found.items or 0) + counts[0]
    if not counted:
        found.items = None
        found.splits.clear()


# --- sequences ------------------------------------------------------------------------------


def _headed(source: Path, options: ImportOptions) -> ImportOptions:
    """The options; with the label's column by its number, where the first row names none."""
    opened = partial(
        open_table, source, source.name, encoding=options.encoding, delimiter=options.delimiter
    )
    table = opened()
    if not table.header or not without_header(Columns(table)):
        return options
    table = opened(header=False)
    columns = Columns(table)
    roles = wide_roles(columns, options.columns) or series_roles(columns, options.columns)
    return options.model_copy(update={"columns": {**options.columns, **(roles or {})}})


def _sequences(
    sources: Sequence[Path], options: ImportOptions, scratch: Path, found: _Found
) -> None:
    forms = [form_of(path) for path in sources]
    if forms[0] == "table":
        if len(sources) == 1 and not any(options.columns.values()):
            options = _headed(sources[0], options)
        _table(files(sources), options, "sequences", found)
    elif forms[0] == "arrays":
        _arrays(sources[0], found)
    elif forms[0] == "series":
        for path in sources:
            with reading(path, path.name, "utf-8") as lines:
                heads = [line.strip() for line in islice(lines, 200) if line.startswith("@")]
            found.notes += [f"{one_line(path.name)}: {shown(head)}" for head in heads[:8]]
