"""What importing images and importing sound have in common: the archive's files, good and bad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.catalog import BadInput
from engine.data.archive import Entry, Source, shown
from engine.data.options import ImportOptions

PREFIX = 64 * 2**10
"""Bytes in which nearly every header lies."""


class Trouble(NamedTuple):
    """A file that can't be read, by its number among the files, and why."""

    number: int
    why: str


class Digest(NamedTuple):
    """SHA-256 of the source."""

    value: str


def digest(source: Source, entries: Sequence[Entry]) -> Digest:
    return Digest(source.digest(entries))


def judge(
    trouble: list[Trouble],
    files: Sequence[Entry],
    noun: str,
    options: ImportOptions,
    said: list[str],
) -> None:
    """Refuse unreadable files, or say which were skipped where that is asked for."""
    if not trouble:
        return
    trouble.sort()
    listed = "; ".join(f"{shown(files[n].name)} {why}" for n, why in trouble[:5])
    more = f"; and {len(trouble) - 5:,} more" if len(trouble) > 5 else ""
    if not options.skip_broken:
        raise BadInput(
            f"{len(trouble):,} of {len(files):,} {noun} can't be read: {listed}"
            f"{more}. Take them out or save them again, or import with “skip "
            "unreadable files”",
            field="skip_broken",
        )
    if len(trouble) == len(files):
        raise BadInput(f"None of the {len(trouble):,} {noun} can be read: {listed}{more}")
    said.append(f"{len(trouble):,} unreadable {noun} were skipped: {listed}{more}")
