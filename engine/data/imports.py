"""Bringing data in: a file from anywhere becomes a dataset's folder, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.catalog import BadInput
from engine.data import images, sequences
from engine.data.archive import ARCHIVES, compressed, one_line, shown
from engine.data.arrays import Kind, Manifest
from engine.data.options import ImportOptions, Step, step
from engine.home import sync

__all__ = ["ImportOptions", "Imported", "Kind", "Step", "bring_in", "kind_of", "sweep"]

PARTIAL = ".partial"


@dataclass(frozen=True)
class Imported:
    """A dataset that is ready, in the words that the history keeps of it."""

    kind: Kind
    card: str
    """The name of the Dataset that opens it."""
    provides: tuple[str, ...]
    meta: dict[str, Any]
    """The manifest as JSON values: classes, counts, shape, splits, options, …"""
    fingerprint: str
    bytes: int
    """What it takes on the disk."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Importer:
    """How a kind of data is read, and what it is then."""

    read: Callable[[Path, Path, Path, ImportOptions], Generator[Step, None, Manifest]]
    card: str
    provides: tuple[str, ...]


IMPORTERS: dict[Kind, Importer] = {
    "images": Importer(images.read, "ImportedImages", ("image", "label")),
    "sequences": Importer(sequences.read, "ImportedSequences", ("sequence", "label")),
}


def bring_in(
    source: Path,
    into: Path,
    *,
    kind: Kind | None = None,
    options: ImportOptions = ImportOptions(),  # noqa: B008 (frozen)
) -> Iterator[Step | Imported]:
    """Import `source` into the new folder `into`: a few `Step` a second, at last one `Imported`.

    It is built beside `into` and renamed. If it fails, or the iterator is closed, nothing stays
    and no process either; what a killed import leaves is for `sweep`. BadInput says what is wrong
    with the file, where, and how to mend it.
    """
    if into.exists():
        raise FileExistsError(f"{into} is there already: import into a new folder")
    if not source.exists():
        raise BadInput(f"There is no file {source}")
    kind = kind or kind_of(source)
    importer = IMPORTERS[kind]
    partial = into.with_name(into.name + PARTIAL)
    _remove(partial)
    try:
        scratch = partial / "scratch"
        scratch.mkdir(parents=True)
        manifest = yield from importer.read(source, partial, scratch, options)
        yield step(1, "Writing to the disk")
        _remove(scratch)
        for file in partial.iterdir():
            sync(file)
        size = sum(file.stat().st_size for file in partial.iterdir())
        partial.replace(into)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BadInput("The disk is full: make room and import again") from None
        if problem.errno in (errno.EACCES, errno.EPERM):
            raise BadInput(
                f"{problem.filename or source} may not be read or written: change its permissions"
            ) from None
        raise
    finally:
        _remove(partial)
    yield Imported(
        kind=kind,
        card=importer.card,
        provides=importer.provides,
        meta=manifest.model_dump(mode="json"),
        fingerprint=manifest.fingerprint,
        bytes=size,
        warnings=manifest.warnings,
    )


def sweep(datasets: Path, alive: Collection[int]) -> list[Path]:
    """Remove what killed imports left in the folder of datasets; what was removed.

    `alive` are the ids of imports that are running: theirs stay.
    """
    kept = {f"{number}{PARTIAL}" for number in alive}
    dead = [folder for folder in datasets.glob(f"*{PARTIAL}") if folder.name not in kept]
    for folder in dead:
        _remove(folder)
    return dead


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


# What files are by their first bytes, where the answer is no.
_STRANGERS = {
    b"\x89PNG": "one image",
    b"\xff\xd8\xff": "one image",
    b"GIF8": "one image",
    b"%PDF": "a PDF",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"PAR1": "a Parquet file",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "one NPY array",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"SQLite format 3": "an SQLite file",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard",
}
_MEND = (
    "Import a zip of folders with images, one folder a class, or for sequences a CSV or NPZ file"
)


def kind_of(source: Path) -> Kind:
    """What kind of data a file or folder holds, from its content. BadInput if it can't be told."""
    if source.is_dir():
        return "images"
    name = one_line(source.name)
    with source.open("rb") as file:
        start = file.read(64 * 2**10)
    if not start:
        raise BadInput(f"{name} is empty: get the file again")
    if start.startswith(b"PK"):
        return _kind_of_zip(source, name)
    for magic, what in _STRANGERS.items():
        if start.startswith(magic):
            raise BadInput(f"{name} is {what}. {_MEND}")
    if compressed(source) or tarfile.is_tarfile(source):
        return "images"
    text = start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" not in start
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122
    if not text or ending in ARCHIVES:
        what = "not a whole zip" if ending == ".zip" else "not a file that can be imported"
        raise BadInput(f"{name} is {what}: its content is something else. {_MEND}")
    return "sequences"


def _kind_of_zip(source: Path, name: str) -> Kind:
    try:
        with zipfile.ZipFile(source) as archive:
            inside = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "images"  # its importer says what is wrong
    files = [file for file in inside if not file.endswith("/")]
    if files and all(file.endswith(".npy") for file in files):
        return "sequences"
    if "[Content_Types].xml" in files:
        raise BadInput(
            f"{name} is an Office document: save the table as “CSV UTF-8” and import "
            f"that ({shown(name)} itself can't be read)"
        )
    return "images"
