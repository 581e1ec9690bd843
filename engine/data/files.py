"""What importing images and importing sound have in common: the archive's files, good and bad.

The headers of all are read first, by which those that can't be read are refused or skipped; what
is left when the others are decoded becomes the dataset's items.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.catalog import BadInput
from engine.data.archive import Entry, Read, Source, Unreadable, natural, shown
from engine.data.arrays import Items
from engine.data.crew import Crew, Pace
from engine.data.labelled import Layout, some
from engine.data.options import ImportOptions, Kind, Step, step
from engine.data.splits import Rows

PREFIX = 64 * 2**10
"""Bytes in which nearly every header lies."""

Header = Callable[[Read, Entry], tuple[float, ...]]
"""Reads a file's header to numbers. `Unreadable` says what is wrong with it."""
Numbers = npt.NDArray[np.float64]


class Trouble(NamedTuple):
    """A file that can't be read, by its number among the files, and why."""

    number: int
    why: str


class Digest(NamedTuple):
    """SHA-256 of the source."""

    value: str


class Headers(NamedTuple):
    """The headers of the files from `first` on; None where there is trouble."""

    first: int
    values: list[tuple[float, ...] | None]
    trouble: list[Trouble]


def digest(source: Source, entries: Sequence[Entry]) -> Digest:
    return Digest(source.digest(entries))


def survey(header: Header, source: Source, first: int, entries: Sequence[Entry]) -> Headers:
    """Read the headers of some files."""
    values: list[tuple[float, ...] | None] = []
    trouble: list[Trouble] = []
    with source.reading() as read:
        for number, entry in enumerate(entries, first):
            try:
                values.append(header(read, entry))
            except Unreadable as problem:
                values.append(None)
                trouble.append(Trouble(number, str(problem)))
    return Headers(first, values, trouble)


def look(
    crew: Crew,
    source: Source,
    layout: Layout,
    header: Header,
    *,
    numbers: int,
    each: int,
    noun: str,
) -> Generator[Step, None, tuple[str, Numbers, list[Trouble]]]:
    """The source's digest, and the so many numbers (N, `numbers`) that each header has.

    They are zeros where there is trouble. One job reads `each` headers.
    """
    files, count = layout.files, len(layout.files)
    headers = np.zeros((count, numbers))
    trouble: list[Trouble] = []
    fingerprint, done, pace = "", 0, Pace()
    jobs: list[Callable[[], Digest | Headers]] = [partial(digest, source, files + layout.tables)]
    jobs += [
        partial(survey, header, source, first, files[first : first + each])
        for first in range(0, count, each)
    ]
    with closing(crew.share(jobs)) as results:
        for result in results:
            if isinstance(result, Digest):
                fingerprint = result.value
            elif isinstance(result, Headers):
                for number, value in enumerate(result.values, result.first):
                    headers[number] = value or 0
                trouble += result.trouble
                done += len(result.values)
            if pace.due():
                text = f"Looking at {done:,} of {count:,} {noun}"
                yield step(0.1 + 0.2 * done / count, text)
    return fingerprint, headers, trouble


def judge(
    trouble: list[Trouble],
    files: Sequence[Entry],
    numbers: Rows,
    noun: str,
    options: ImportOptions,
    said: list[str],
) -> Rows:
    """Those of the files, given by their numbers, that can be read.

    The others are refused, or named in `said` where they are to be skipped.
    """
    if not trouble:
        return numbers
    trouble.sort()
    listed = "; ".join(f"{shown(files[n].name)} {why}" for n, why in trouble[:5])
    more = f"; and {len(trouble) - 5:,} more" if len(trouble) > 5 else ""
    if not options.skip_broken:
        raise BadInput(
            f"{len(trouble):,} of {len(files):,} {noun} can't be read: {listed}"
            f"{more}. Take them out or save them again, or import with “leave out "
            "what can't be read”",
            field="skip_broken",
        )
    kept = np.setdiff1d(numbers, [number for number, _ in trouble])
    if not len(kept):
        raise BadInput(f"None of the {len(files):,} {noun} can be read: {listed}{more}")
    skipped = f"{noun} were" if len(trouble) > 1 else f"{noun.removesuffix('s')} was"
    said.append(f"{len(trouble):,} unreadable {skipped} skipped: {listed}{more}")
    return kept


def items(kind: Kind, fingerprint: str, layout: Layout, kept: Rows, noun: str, **own: Any) -> Items:
    """The files of those numbers as a dataset's items; `own` is what only that kind has."""
    numbers, labels, said = kept.tolist(), layout.labels, layout.warnings
    if labels is not None and (lost := set(labels) - {labels[n] for n in numbers}):
        names = some(sorted(lost, key=natural))
        said.append(f"Classes left out, for none of their {noun} can be read: {names}")
    return Items(
        kind=kind,
        fingerprint=fingerprint,
        names=[layout.files[n].name for n in numbers],
        labels=None if labels is None else [labels[n] for n in numbers],
        splits=[layout.splits[n] for n in numbers],
        groups={column: [cells[n] for n in numbers] for column, cells in layout.groups.items()},
        columns=layout.columns,
        warnings=said,
        **own,
    )
