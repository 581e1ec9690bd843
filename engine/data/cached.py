"""What is computed once from a dataset, and lies in the home's cache for the next run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from engine.catalog import BadInput

Kept = TypeVar("Kept")


def cached(
    parent: Path, told: Sequence[Any], *, make: Callable[[Path], None],
    read: Callable[[Path], Kept], most: int,
) -> Kept:  # fmt: skip
    """What `read` gives of the folder that `make` filled for the same `told`, JSON values that
    decide its content.

    A folder is whole or not there: it is made under another name and renamed, and one that a
    person or another process took something away from is made again. At most `most` are kept
    beside each other; the one that was used longest ago goes first. BadInput when none can be.
    """
    folder = place(parent, told)
    for _ in range(3):
        if not folder.is_dir():
            _fill(folder, make)
            sweep(parent, most)
        try:
            os.utime(folder)
            return read(folder)
        except (OSError, ValueError):
            _remove(folder)
    raise BadInput(f"What is made of this dataset can't be kept in {parent}: empty that folder")


def place(parent: Path, told: Sequence[Any]) -> Path:
    """The folder within `parent` for what is `told`."""
    return parent / hashlib.sha256(json.dumps(list(told)).encode()).hexdigest()[:24]


def sweep(parent: Path, most: int, room: float = math.inf) -> None:
    """Take away what was used longest ago, until at most so many are left and they take no more
    than `room` bytes. The one that was used last stays, however large it is."""
    taken = 0
    for kept, folder in enumerate(reversed(_oldest_first(parent))):
        taken += _bytes(folder) if room < math.inf else 0
        if kept >= most or (kept and taken > room):
            _remove(folder)


def _fill(folder: Path, make: Callable[[Path], None]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix="making-"))
    try:
        make(beside)
        try:
            beside.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another run made the same meanwhile
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _oldest_first(parent: Path) -> list[Path]:
    """What lies in a folder, by the time of its last use."""
    found: list[tuple[float, Path]] = []
    for path in parent.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found)]


def _bytes(folder: Path) -> int:
    """What the files of a folder take."""
    taken = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
            taken += path.stat().st_size
    return taken


def _remove(folder: Path) -> None:
    """Take a folder away in one go: nobody finds half of it."""
    with contextlib.suppress(OSError):
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix="old-"))
        with contextlib.suppress(OSError):
            folder.rename(aside / folder.name)
        shutil.rmtree(aside, ignore_errors=True)
