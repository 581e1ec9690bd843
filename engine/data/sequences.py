"""Tables of steps, arrays (NPZ) and the UCR archive's files (.ts) → sequences of vectors.

The steps of all sequences lie end to end in one array.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from engine.catalog import BadInput
from engine.data.archive import one_line, require_space
from engine.data.arrays import Items
from engine.data.lines import digest
from engine.data.options import ImportOptions, Step, step
from engine.data.step_arrays import read_arrays
from engine.data.steps import NAMES as NAMES
from engine.data.steps import read_table
from engine.data.ts import files_among, read_ts


def read(
    sources: Sequence[Path], into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Items]:
    """Import a table of steps, an NPZ, or .ts files; see `imports.Reader`."""
    source = sources[0]
    yield step(0, f"Opening {one_line(source.name)}")
    files = yield from files_among(sources, scratch)
    if files:
        found = yield from read_ts(files, scratch, options)
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
        with source.open("rb") as file:
            reader = read_arrays if file.read(2) == b"PK" else read_table
        found = yield from reader(source, scratch, options)
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
        warnings=found.warnings,
    )
