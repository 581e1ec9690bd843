"""What kind of data files hold, from their content."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from engine.catalog import BadInput
from engine.data import archive, npz
from engine.data.archive import ARCHIVES, LITTER, compressed, one_line, shown
from engine.data.lines import beginning, ending, opened, told, words
from engine.data.options import Kind
from engine.data.roles import (
    LANGUAGES,
    SEQUENCE,
    SOURCES,
    STEP,
    TARGETS,
    TEXT,
    Columns,
    looks_paired,
    plain,
)
from engine.data.stepped import only_wide, series_roles, step_roles
from engine.data.tables import ENDINGS, SNIFFED, looks_like_table, open_table

Form = Literal["archive", "table", "plain", "arrays", "series"]
"""A folder, zip or tar; rows and columns; other text; NPZ; the UCR archive's .ts."""

# What files are by their first bytes, where the answer is no.
_STRANGERS = {
    b"\x89PNG": "one image",
    b"\xff\xd8\xff": "one image",
    b"GIF8": "one image",
    b"%PDF": "a PDF",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"RIFF": "one recording or image",
    b"fLaC": "one recording",
    b"OggS": "one recording",
    b"ID3": "one recording",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "one NPY array",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"SQLite format 3": "an SQLite file",
    b"ARROW1": "an Arrow file",
    b"PARE": "an encrypted Parquet file",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard",
}
_MEND = (
    "Import a zip of folders with images, recordings or texts, one folder a class; a table (CSV, "
    "JSONL or Parquet); two text files aligned by line; or for sequences a CSV or NPZ file"
)
TEXTS = {".txt", ".text"}
LISTED = 500_000
LOOKED_THROUGH = 64 * 2**20
"""Bytes of a tar."""


def form_of(source: Path) -> Form:
    """How a file or folder is built, from its content. BadInput if it can't be imported."""
    if source.is_dir():
        return "archive"
    name = one_line(source.name)
    with source.open("rb") as file:
        start = file.read(8)
    if not start:
        raise BadInput(f"{name} is empty: get the file again")
    if start.startswith(b"PK"):
        return _form_of_zip(source, name)
    if compressed(source):
        # A tar that was cut short has a beginning, and its importer says what is wrong.
        sample = beginning(source, name, 64 * 2**10)
        if sample[257:262] == b"ustar":
            return "archive"
    else:
        with source.open("rb") as file:
            sample = file.read(SNIFFED)
        if archive.is_tar(source):
            return "archive"
    if sample.startswith(b"PAR1"):
        return "table"
    for magic, what in _STRANGERS.items():
        if sample.startswith(magic):
            raise BadInput(f"{name} is {what}. {_MEND}")
    if ending(name) in ARCHIVES or not _is_text(sample):
        what = "not a whole zip" if ending(name) == ".zip" else "not a file that can be imported"
        raise BadInput(f"{name} is {what}: its content is something else. {_MEND}")
    if _is_series(sample):
        return "series"
    return "table" if ending(name) in ENDINGS or looks_like_table(source, name) else "plain"


def _is_text(sample: bytes) -> bool:
    """Whether bytes can be text, with a few zeros in it at most."""
    if told(sample).startswith(("utf-16", "utf-32")):
        return True
    odd = sum(sample.count(byte) for byte in range(1, 32) if byte not in b"\t\n\r\f\x1a\x1b")
    return odd <= 0.02 * len(sample) and sample.count(0) <= 0.1 * len(sample)


def _is_series(sample: bytes) -> bool:
    """A .ts file begins with comments (#) and settings (@), of which one is @data."""
    lines = [line.strip().lower() for line in sample.splitlines()]
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    return first.startswith((b"@problemname", b"@timestamps", b"@univariate", b"@classlabel")) or (
        first.startswith(b"@") and any(line.startswith(b"@data") for line in lines)
    )


def _form_of_zip(source: Path, name: str) -> Form:
    inside = _listed(source)
    if inside and all(file.endswith(".npy") for file in inside):
        return "arrays"
    if "[Content_Types].xml" in inside:
        raise BadInput(
            f"{name} is an Office document: save the table as “CSV UTF-8” and import "
            f"that ({shown(name)} itself can't be read)"
        )
    return "archive"


# --- kinds ----------------------------------------------------------------------------------


def kind_of(sources: Path | Sequence[Path]) -> Kind:
    """What kind of data files hold, from their content. BadInput if it can't be told."""
    paths = [sources] if isinstance(sources, Path) else list(sources)
    return kinds_of(paths)[0]


def kinds_of(paths: Sequence[Path]) -> tuple[Kind, ...]:
    """The kinds that files can be read as, the likeliest first."""
    if not paths:
        raise BadInput(f"There is no file. {_MEND}")
    forms = [form_of(path) for path in paths]
    if len(paths) == 1:
        return _kinds_of_one(paths[0], forms[0])
    if "archive" in forms or "arrays" in forms:
        raise BadInput(
            f"{one_line(paths[0].name)} and {len(paths) - 1} more can't be read together: import "
            "one archive at a time, or pack everything to one"
        )
    if set(forms) == {"series"}:
        return ("sequences",)
    if set(forms) == {"table"}:
        return _kinds_of_table(paths[0])
    # Not by their equal counts of lines: those of two classes can be equal, too.
    return ("pairs", "text") if named_as_pairs([path.name for path in paths]) else ("text", "pairs")


def _kinds_of_one(path: Path, form: Form) -> tuple[Kind, ...]:
    if form == "series":
        return ("sequences",)
    if form == "arrays":
        return ("images", "sequences") if _holds_pictures(path) else ("sequences", "images")
    if form == "table":
        return _kinds_of_table(path)
    if form == "plain":
        return ("text",)
    names = _listed(path)
    tables = tables_among(names)
    kinds = _kinds_in(names)
    if path.is_dir() and tables and kinds[0] == "text" and not _texts(names):
        return _kinds_of_table(path / min(tables))
    return kinds


def _holds_pictures(path: Path) -> bool:
    """Whether an NPZ holds bytes in the shape of pictures."""
    try:
        with npz.opened(path) as arrays:
            found = [arrays.described(name) for name in arrays.names[:20]]
    except BadInput:  # whoever imports it says so
        return False
    return any(
        one.dtype.kind == "u" and one.dtype.itemsize == 1 and len(one.shape) in (3, 4)
        and min(one.shape[1:3]) >= 8
        for one in found
    )  # fmt: skip


def _kinds_of_table(path: Path) -> tuple[Kind, ...]:
    return kinds_of_columns(Columns(open_table(path, path.name)))


def kinds_of_columns(columns: Columns) -> tuple[Kind, ...]:
    """The kinds that a table can be read as, the likeliest first."""
    called = {plain(name) for name in columns.names}
    if {"sequence", "step"} <= called:
        return ("sequences", "text")
    if held := _held(columns):
        return (held,)
    if looks_paired(columns):
        return ("pairs", "text")
    if columns.cells and not any(columns.length(name) for name in columns.names):
        return ("sequences", "text")  # nothing but numbers
    if called & {*SEQUENCE} and called & {*STEP} and not called & {*TEXT}:
        return ("sequences", "text")
    if only_wide(columns) or step_roles(columns, {}) or series_roles(columns, {}) is not None:
        return ("sequences", "text")
    return ("text", "pairs", "sequences")


def _held(columns: Columns) -> Kind | None:
    """What files a table's cells hold, as Hugging Face's `datasets` writes them to Parquet."""
    for row in columns.cells[:1]:
        for cell in row:
            content = cell.get("bytes") if isinstance(cell, dict) else cell
            if isinstance(content, bytes):
                heard = content.startswith((b"fLaC", b"OggS", b"ID3", b"\xff\xf3", b"\xff\xfb"))
                return "sound" if heard or content[8:12] == b"WAVE" else "images"
    return None


def tables_among(names: Sequence[str]) -> list[str]:
    """The names of tables: JSON only where nothing else is one, for much beside data is JSON."""
    found = [name for name in names if ending(name) in ENDINGS]
    return [name for name in found if ending(name) != ".json"] or found


def _texts(files: Sequence[str]) -> list[str]:
    """The texts among files, but for what goes with a dataset and is no part of it."""
    return [
        name for name in files
        if ending(name) in TEXTS and not Path(name).stem.lower().startswith(("readme", "licen"))
    ]  # fmt: skip


@cache
def _by_ending() -> dict[str, Kind]:
    """The kinds of files, by the endings that their importers know, be it to refuse them."""
    from engine.data import images, sound  # which know the tables of this module

    return {
        **dict.fromkeys(images.ENDINGS | images.FOREIGN, "images"),
        **dict.fromkeys(sound.ENDINGS | sound.FOREIGN, "sound"),
        ".ts": "sequences",
    }


def _kinds_in(files: Sequence[str]) -> tuple[Kind, ...]:
    """The kinds that an archive's files can be, by their endings."""
    # Images where nothing else is: that importer says what is wrong with an archive.
    count: Counter[Kind] = Counter()
    for name in files:
        if kind := _by_ending().get(ending(name)):
            count[kind] += 1
    if count:
        return tuple(kind for kind, _ in count.most_common())
    tables = [name for name in files if ending(name) in ENDINGS]
    if named_as_pairs([name for name in files if name not in tables]):
        return ("pairs", "text")
    return ("text", "pairs") if tables or _texts(files) else ("images",)


def _listed(source: Path) -> list[str]:
    """The names of an archive's files; none where it can't be read: its importer says why."""
    names: list[str] = []
    try:
        if source.is_dir():
            for where, folders, files in os.walk(source):
                folders[:] = [f for f in folders if not f.startswith(".")]
                names += [Path(where, name).relative_to(source).as_posix() for name in files]
                if len(names) > LISTED:
                    break
        elif beginning(source, source.name, 2) == b"PK":
            # The list is read whole: one may be made to fill the memory.
            if (archive.directory_size(source) or 0) > archive.MOST_ENTRIES * 300:
                return names
            with zipfile.ZipFile(source) as zipped:
                names = [name for name in zipped.namelist() if not name.endswith("/")]
        else:
            # A compressed one is unpacked for it: as far as is needed to tell, and no further.
            with (
                opened(source, source.name) as content,
                tarfile.open(fileobj=content, mode="r|", tarinfo=archive.Member) as tar,
            ):
                while (member := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                    if member.isfile():
                        names.append(member.name)
                    # The next is found by reading through this one, whatever size it claims.
                    if member.offset_data + member.size > LOOKED_THROUGH:
                        break
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        NotImplementedError,
        ValueError,
        EOFError,
        OSError,
    ):
        return names
    return [
        name for name in names
        if not any(part.startswith(".") or part.lower() in LITTER for part in name.split("/"))
    ]  # fmt: skip


# --- the names of aligned files -------------------------------------------------------------


def side_of(name: str) -> str:
    """What a file's name says of its side: a language, “source” or “target”; "" for neither.

    ``train.en.gz`` → en; ``data/test.source`` → source; ``europarl.de-en.de`` → de
    """
    for word in reversed(words(name.rsplit("/", 1)[-1])):
        if word.lower() in (*SOURCES, *TARGETS):
            return word.lower()
        if word.lower() in LANGUAGES:
            return word.lower()
    return ""


def named_as_pairs(names: Sequence[str]) -> bool:
    """Whether files are pairwise named after two languages, or after source and target."""
    sides = Counter(side_of(name) for name in names)
    return len(names) > 1 and "" not in sides and len(sides) > 1 and len(set(sides.values())) == 1
