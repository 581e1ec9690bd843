"""Tables of steps, arrays (NPZ) and the UCR archive's files (.ts) → sequences of vectors.

The steps of all sequences lie end to end in one array.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from engine.catalog import BadInput
from engine.data.archive import one_line, require_space
from engine.data.arrays import Items
from engine.data.lines import digest
from engine.data.options import ImportOptions, Step, step
from engine.data.roles import Columns
from engine.data.series import Found
from engine.data.step_arrays import read_arrays
from engine.data.stepped import wide_roles, without_header
from engine.data.steps import read_table
from engine.data.tables import asked_header, open_table
from engine.data.ts import files_among, read_ts
from engine.data.wide import read_wide

Reader = Callable[[Path, ImportOptions], Generator[Step, None, Found]]


def read(
    sources: Sequence[Path], into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Items]:
    """Import a table of steps, an NPZ, or .ts files; see `imports.Reader`."""
    source = sources[0]
    yield step(0, f"Opening {one_line(source.name)}")
    files = yield from files_among(sources, scratch)
    if files:
        found = yield from _counted(partial(read_ts, files), scratch, options)
    elif len(sources) > 1:
        raise BadInput(
            f"{one_line(source.name)} and {one_line(sources[1].name)}: sequences come in one CSV "
            "or NPZ file, or in .ts files for train and test"
        )
    elif source.is_dir():
        raise BadInput(
            f"{source.name} is a folder without .ts files: sequences come as one CSV or NPZ file, "
            "or as .ts files"
        )
    else:
        found = yield from _counted(partial(_read_one, source), scratch, options)
    found = found.cut(options)
    width = len(found.features)
    require_space(into, int(found.offsets[-1]) * width * 4)
    found.write(into / "values.npy")
    np.save(into / "values.offsets.npy", found.offsets)
    plain = [path for path in sources if path.is_file()]
    return Items(
        kind="sequences",
        fingerprint=digest(plain or [path for path, _ in files]),
        names=found.names,
        labels=found.labels,
        splits=found.splits,
        groups=found.groups,
        columns=found.columns,
        shape=(width,),
        features=found.features,
        running=found.running,
        warnings=found.warnings,
    )


def _read_one(source: Path, scratch: Path, options: ImportOptions) -> Generator[Step, None, Found]:
    """An NPZ, a table with a row for each step, or one with a row for each sequence."""
    with source.open("rb") as file:
        if file.read(2) == b"PK":
            return (yield from read_arrays(source, scratch, options))
    table = open_table(
        source, source.name, encoding=options.encoding, delimiter=options.delimiter,
        header=asked_header(options.columns),
    )  # fmt: skip
    columns = Columns(table)
    if table.header and not any(options.columns.values()) and without_header(columns):
        table = open_table(
            source, source.name, encoding=options.encoding, delimiter=options.delimiter,
            header=False,
        )  # fmt: skip
        columns = Columns(table)
    roles = wide_roles(columns, options.columns)
    if roles is not None:
        found = yield from read_wide(table, roles, scratch, options)
    else:
        found = yield from read_table(table, scratch, options)
    found.warnings[:0] = table.notes
    return found


def _counted(read: Reader, scratch: Path, options: ImportOptions) -> Generator[Step, None, Found]:
    """What a reader finds. A refusal of what could be left out says how much that would be, for
    which everything is read once more."""
    try:
        return (yield from read(scratch, options))
    except BadInput as problem:
        if problem.field != "skip_broken":
            raise
        said = str(problem)
    again = scratch / "again"
    again.mkdir()
    with suppress(BadInput):
        found = yield from read(again, options.model_copy(update={"skip_broken": True}))
        if found.left_out:
            total = found.left_out + len(found.names)
            said += f". That would be {found.left_out:,} of {total:,} sequences"
    raise BadInput(said, field="skip_broken")
