"""Parquet tables whose cells hold whole files, as Hugging Face `datasets` writes images and sound.

Such a column is a struct {bytes, path}, or plain binary. The bytes are written end to end to one
file in scratch, and from there on they are read like an archive's.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine.catalog import BadInput
from engine.data import archive
from engine.data.archive import Entry, Read, one_line, require_space, shown
from engine.data.crew import Pace
from engine.data.labelled import (
    NAMES,
    Layout,
    groups_of,
    no_split,
    some,
    split_cell,
    split_of,
    splits_named,
    text_of,
)
from engine.data.limits import LIMITS
from engine.data.options import ImportOptions, Role, Step, step
from engine.data.splits import Split
from engine.data.tables import class_names

BESIDE = {".md", ".json", ".txt", ".py"}
"""Endings of files that lie beside such tables and describe them."""
ROWS = 16
"""Rows that are read at a time: a cell can hold megabytes."""


@dataclass(frozen=True)
class Spool:
    """Files end to end in one file; `sources` are the tables that they came from."""

    path: Path
    sources: tuple[Path, ...]

    @contextmanager
    def reading(self) -> Iterator[Read]:
        with self.path.open("rb") as file:

            def read(entry: Entry, most: int | None = None) -> bytes:
                file.seek(entry.at)
                return file.read(entry.size if most is None else min(most, entry.size))

            yield read

    def digest(self, entries: Iterable[Entry]) -> str:
        whole = hashlib.sha256()
        for source in self.sources:
            with source.open("rb") as file:
                one = hashlib.file_digest(file, "sha256")
            if len(self.sources) == 1:
                return one.hexdigest()
            whole.update(one.digest())
        return whole.hexdigest()


@dataclass(frozen=True)
class Table:
    """A Parquet file's columns: which holds the files, and what the others are for."""

    columns: tuple[str, ...]
    roles: dict[Role, str]
    classes: dict[str, tuple[str, ...]]
    """Names of the classes that a column's numbers stand for."""


def tables_in(sources: Sequence[Path]) -> list[Path]:
    """The Parquet files that the sources are, or that fill their folders; none otherwise."""
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            for where, folders, names in os.walk(source):
                folders[:] = sorted(name for name in folders if name[0] != ".")
                for name in sorted(name for name in names if name[0] != "."):
                    path = Path(where, name)
                    if path.suffix.lower() == ".parquet":
                        found.append(path)
                    elif path.suffix.lower() not in BESIDE:
                        return []
        elif is_parquet(source):
            found.append(source)
        else:
            return []
    return found


def is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def unpack(
    sources: Sequence[Path],
    scratch: Path,
    options: ImportOptions,
    *,
    noun: str,
    transcripts: bool = False,
    unlabelled: bool = False,
    upto: float = 0.1,
) -> Generator[Step, None, tuple[Spool, Layout]]:
    """The files in Parquet tables, and what their rows say of them.

    Several tables are one dataset; their names say the splits (``train-00000-of-00001.parquet``).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = sum(source.stat().st_size for source in sources)
    spool = Spool(scratch / "files.bin", tuple(sources))
    layout = Layout()
    values: dict[str, list[str]] = {}
    first: Table | None = None
    wrong: list[str] = []
    broken = 0
    pace = Pace()
    split_named = _names_splits(sources, options)
    with spool.path.open("wb") as out:
        for source in sources:
            split = split_of(_own(source, sources)) if len(sources) > 1 else None
            name = one_line("/".join(_own(source, sources)))
            try:
                with pq.ParquetFile(source, buffer_size=2**20, pre_buffer=False) as parquet:
                    schema = parquet.schema_arrow
                    table = roles_of(schema, name, options, transcripts, unlabelled, noun)
                    if not split_named:
                        table.roles.pop("split", None)
                    if first is None:
                        first = table
                        layout.labels = [] if "label" in table.roles else None
                        layout.transcripts = [] if "transcript" in table.roles else None
                        values = {column: [] for column in _spare(schema, table)}
                    elif first.roles != table.roles or first.classes != table.classes:
                        raise BadInput(
                            f"{name} and {one_line(sources[0].name)} have different columns: "
                            "import them one by one"
                        )
                    for column in [c for c in values if c not in table.columns]:
                        del values[column]
                        layout.warnings.append(
                            f"Not to group by, for {name} has no such column: {shown(column)}"
                        )
                    wanted = [*table.roles.values(), *values]
                    row = 0
                    for batch in parquet.iter_batches(ROWS, columns=wanted, use_threads=False):
                        require_space(scratch, batch.nbytes)
                        for cells in batch.to_pylist():
                            row += 1
                            sentence = _take(cells, table, name, row, split, out, layout, values)
                            if sentence:
                                broken += 1
                                wrong += [sentence] if len(wrong) < 5 else []
                        if out.tell() > max(archive.HONEST_BYTES, archive.MOST_RATIO * size):
                            raise BadInput(
                                f"{name} would unpack to more than {archive.MOST_RATIO} times its "
                                "size, as no table of files does: it is made to fill a disk"
                            )
                        if len(layout.files) > LIMITS.items:
                            raise BadInput(
                                f"{name}: there are more than {LIMITS.items:,} {noun}: take a part"
                            )
                        if pace.due():
                            share = min(1.0, out.tell() / max(size, 1))
                            yield step(upto * share, f"Reading row {row:,} of {name}")
            except (pa.ArrowException, UnicodeDecodeError, OSError) as problem:
                if isinstance(problem, OSError) and problem.errno is not None:
                    raise
                said = one_line(str(problem))[:100]
                raise BadInput(
                    f"{name} is a damaged Parquet file ({said}): get the file again"
                ) from None
    assert first is not None
    if broken:
        more = f"; and {broken - 5:,} more" if broken > 5 else ""
        listed = "; ".join(wrong) + more
        if not options.skip_broken:
            raise BadInput(
                f"{listed}. Mend the table, or import with “leave out what can't be read”, which "
                "leaves such rows out",
                field="skip_broken",
            )
        layout.warnings.append(f"{broken:,} rows were left out: {listed}")
    if not layout.files:
        raise BadInput(f"{one_line(sources[0].name)} holds no {noun}: add a row for each")
    layout.groups = groups_of(values, options.group)
    layout.columns = {str(role): column for role, column in first.roles.items()}
    return spool, layout


def _own(source: Path, sources: Sequence[Path]) -> tuple[str, ...]:
    """The parts of the path that tell one of the tables from others."""
    if len(sources) == 1:
        return (source.name,)
    shared = 0
    paths = [path.absolute().parts for path in sources]
    while all(len(p) > shared + 1 and p[shared] == paths[0][shared] for p in paths):
        shared += 1
    return source.absolute().parts[shared:]


def roles_of(
    schema: Any,
    name: str,
    options: ImportOptions,
    transcripts: bool,
    unlabelled: bool,
    noun: str,
) -> Table:
    """What the columns of a schema are for. BadInput where one is missing."""
    columns = tuple(schema.names)
    for asked in options.columns.values():
        if asked and asked not in columns:
            raise BadInput(
                f"{name} has no column {shown(asked)} (it has: {some(columns)}): choose one of "
                "those",
                field="columns",
            )
    holding = [column for column in columns if _holds_files(schema.field(column).type)]
    file = options.columns.get("file") or next(iter(holding), "")
    if file not in holding:
        raise BadInput(
            f"{name} has no column that holds {noun} (it has: {some(columns)}): a table of paths "
            f"comes in a zip together with the {noun}",
            field="columns",
        )
    classes = {c: n for c, n in class_names(schema.metadata).items() if c in columns}
    roles: dict[Role, str] = {"file": file}
    sought: tuple[Role, ...] = (
        ("label", "transcript", "split") if transcripts else ("label", "split")
    )
    for role in sought:
        asked_for = options.columns.get(role)
        known = [c for wanted in NAMES[role] for c in columns if c.lower() == wanted]
        if role == "label":
            known = [c for c in known if c in classes] + [*classes] + known
        free = [c for c in known if c not in roles.values() and c not in holding]
        if asked_for or (asked_for is None and free):
            roles[role] = asked_for or free[0]
    if not {"label", "transcript"} & set(roles) and not (
        unlabelled and (options.columns.get("label") == "" or len(columns) == 1)
    ):
        wish = "label or transcript" if transcripts else "label"
        raise BadInput(
            f"{name} has no column {wish} (it has: {some(columns)}): choose the column",
            field="columns",
        )
    return Table(columns, roles, classes)


def _names_splits(sources: Sequence[Path], options: ImportOptions) -> bool:
    """Whether a column names the rows' splits, by all its cells: it alone is read for that."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells: Counter[str] = Counter()
    name = ""
    for source in sources:
        try:
            with pq.ParquetFile(source, buffer_size=2**20, pre_buffer=False) as parquet:
                schema = parquet.schema_arrow
                columns = {c.lower(): c for c in reversed(schema.names)}
                asked = options.columns.get("split")
                known = (columns[name] for name in NAMES["split"] if name in columns)
                name = next(known, "") if asked is None else asked
                if name not in schema.names or pa.types.is_nested(schema.field(name).type):
                    continue
                classes = class_names(schema.metadata).get(name, ())
                for batch in parquet.iter_batches(4096, columns=[name], use_threads=False):
                    cells.update(text_of(cell, classes) for cell in batch.column(0).to_pylist())
        except (pa.ArrowException, UnicodeDecodeError, OSError) as problem:
            if isinstance(problem, OSError) and problem.errno is not None:
                raise
            return True  # reading it whole says what is damaged
    where = one_line(sources[0].name)
    return bool(cells) and splits_named(list(cells.elements()), name, where, options) is not None


def _holds_files(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_files(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _spare(schema: Any, table: Table) -> list[str]:
    """The columns that items might be grouped by: plain texts and whole numbers."""
    import pyarrow as pa

    def plain(kind: Any) -> bool:
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        return bool(
            pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
        )

    taken = set(table.roles.values())
    return [c for c in table.columns if c not in taken and plain(schema.field(c).type)]


def _take(
    cells: dict[str, Any],
    table: Table,
    name: str,
    row: int,
    split: Split | None,
    out: IO[bytes],
    layout: Layout,
    values: dict[str, list[str]],
) -> str:
    """Add a row to the layout; what is wrong with it where that can't be done."""
    where = f"{name}, row {row}"
    cell = cells[table.roles["file"]]
    data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if data is None:
        other = f": it only names {shown(str(path))}" if path else ""
        return f"{where}, column {shown(table.roles['file'])}: it holds no file{other}"
    told: dict[Role, str] = {}
    for role, column in table.roles.items():
        if role == "file":
            continue
        told[role] = text_of(cells[column], table.classes.get(column, ()))
        if role == "split":
            if (split := split_cell(told[role])) is None:
                return f"{where}, column {shown(column)}: {no_split(told[role])}"
        elif not told[role]:
            why = " (−1 stands for none)" if cells[column] == -1 else ""
            return f"{where}, column {shown(column)}: it has no {role}{why}"
    if len(told.get("transcript", "")) > LIMITS.text_characters:
        return f"{where}: its transcript has more than {LIMITS.text_characters:,} characters"
    written = str(path) if path else str(row)
    parts = tuple(p for p in written.replace("\\", "/").split("/") if p not in ("", ".", ".."))
    layout.files.append(Entry((*name.split("/"), *parts), len(data), out.tell()))
    out.write(data)
    layout.splits.append(split)
    if layout.labels is not None:
        layout.labels.append(told["label"])
    if layout.transcripts is not None:
        layout.transcripts.append(told["transcript"])
    for column, cells_of_column in values.items():
        cells_of_column.append(text_of(cells[column]))
    return ""
