"""Archives and folders from anywhere: what they hold, read without unpacking anything.

A name inside an archive is only ever text: no file is made by it, so it can't point anywhere.
Names that try to are refused all the same, for an archive that holds one was not made honestly.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from engine.catalog import BadInput
from engine.data.limits import LIMITS
from engine.data.options import Step, step

MOST_ENTRIES = LIMITS.files
MOST_BYTES = LIMITS.extracted_bytes
HONEST_BYTES = 256 * 2**20
"""Below this much in all, how well it is packed doesn't matter."""
MOST_RATIO = LIMITS.ratio

LITTER = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir"}
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")

Read = Callable[["Entry", int | None], bytes]
"""``read(entry, most)``: its content, or the first `most` bytes of it. `Unreadable` if damaged."""


class Unreadable(Exception):
    """One entry's content is damaged; the message says how, in words that follow a name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive or folder."""

    path: tuple[str, ...]
    """Its folders and its name, as text to show: never a path on this machine."""
    size: int
    at: int = 0
    """Where its bytes, or its header in a zip, begin in the archive."""
    packed: int = 0
    method: int = 0
    check: int = 0
    """CRC-32 of the content (zip only)."""

    @property
    def name(self) -> str:
        """``train/cat/1.jpg``"""
        return "/".join(self.path)


class Source(Protocol):
    """Where entries' bytes come from: small, and sent to the processes that read."""

    def reading(self) -> AbstractContextManager[Read]:
        """A way to read entries while the ``with`` block lasts."""
        ...

    def digest(self, entries: Iterable[Entry]) -> str:
        """SHA-256 of the archive's file, or of a folder's names and contents."""
        ...


def shown(name: str, *, most: int = 80) -> str:
    """A name from a file, in quotes and fit for one line of a message."""
    text = one_line(name)
    return f"“{text if len(text) <= most else text[: most - 1] + '…'}”"


def one_line(name: str) -> str:
    """The name composed (NFC), in one line: what breaks lines or turns text round is a space."""
    text = unicodedata.normalize("NFC", name)
    # Not all of Cf: zero-width joiners belong to Persian words and to emoji.
    odd = {"Cc", "Cs", "Zl", "Zp"}
    turning = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    plain = (" " if unicodedata.category(c) in odd or c in turning else c for c in text)
    return " ".join("".join(plain).split())


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts 2 before 10, and a before B."""
    parts = re.split(r"(\d+)", name.casefold())
    # A longer number is a larger one: as an int it could have more digits than Python converts.
    return [
        (0, len(p.lstrip("0")), p.lstrip("0")) if p.isdecimal() else (1, 0, p) for p in parts if p
    ], name


# --- what is in it --------------------------------------------------------------------------


def listing(
    path: Path, scratch: Path, *, upto: float = 0.05
) -> Generator[Step, None, tuple[Source, list[Entry]]]:
    """The files of an archive or folder, litter left out, ordered by their paths.

    A compressed tar is unpacked to one plain tar in `scratch`, for it can't be read out of order;
    progress goes from 0 to `upto`. BadInput says what is wrong with the archive.
    """
    source: Source
    yield step(0, f"Opening {one_line(path.name)}")
    if path.is_dir():
        source, found = Folder(path), _walk(path)
    elif (opener := compressed(path)) is not None:
        plain = scratch / "unpacked.tar"
        yield from _inflate(path, opener, plain, upto)
        source, found = Tar(path, plain), _tar_entries(path, plain)
    elif is_tar(path):
        source, found = Tar(path, path), _tar_entries(path, path)
    else:
        source, found = Zip(path), _zip_entries(path)
    entries: list[Entry] = []
    seen: set[tuple[str, ...]] = set()
    total = 0
    packed = 0 if path.is_dir() else path.stat().st_size
    for entry in found:
        total += entry.size
        if len(seen) >= MOST_ENTRIES or total > MOST_BYTES:
            raise BadInput(
                f"{path.name} holds more than {MOST_ENTRIES:,} files or "
                f"{MOST_BYTES // 2**30} GiB: import a part of it"
            )
        if packed and total > max(HONEST_BYTES, MOST_RATIO * packed):
            raise BadInput(_bomb(path))
        if entry.path in seen:
            raise BadInput(
                f"{path.name} holds two files named {shown(entry.name)}: make the "
                "archive again from the folder itself"
            )
        seen.add(entry.path)
        if not any(part.startswith(".") or part.lower() in LITTER for part in entry.path):
            entries.append(entry)
    entries.sort(key=lambda entry: entry.path)
    return source, entries


def _bomb(path: Path) -> str:
    return (
        f"{path.name} would unpack to more than {MOST_RATIO} times its size, as no archive of "
        "data does: it is damaged or made to fill a disk"
    )


def _clean(raw: str, archive: Path) -> tuple[str, ...]:
    """A name in an archive as its parts; BadInput if it tries to leave the archive."""
    parts = raw.replace("\\", "/").split("/")  # some Windows programs write backslashes
    drive = raw[1:2] == ":" and raw[0].isascii() and raw[0].isalpha()
    if parts[0] == "" or drive or ".." in parts:
        raise BadInput(
            f"{archive.name} holds {shown(raw)}, a path that leads out of the archive: "
            "make the archive again from the folder itself"
        )
    return tuple(part for part in parts if part not in ("", "."))


def _odd(raw: str, archive: Path) -> BadInput:
    return BadInput(
        f"{archive.name} holds {shown(raw)}, a link or a device instead of a file: "
        "put the file itself there and make the archive again"
    )


def _walk(folder: Path) -> Iterator[Entry]:
    # Linked folders are not followed: they can lead round in a circle.
    for where, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".") and f.lower() not in LITTER]
        for name in names:
            file = Path(where, name)
            status = file.stat() if file.exists() else None  # a link to nothing
            if status is not None and stat.S_ISREG(status.st_mode):  # reading a FIFO never ends
                yield Entry(file.relative_to(folder).parts, status.st_size)


# --- zip ------------------------------------------------------------------------------------

_METHODS = {
    1: "shrink",
    6: "implode",
    9: "Deflate64",
    14: "LZMA",
    93: "Zstandard",
    95: "XZ",
    97: "WavPack",
    98: "PPMd",
    99: "AES encryption",
}


def _zip_entries(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        begins = file.read(2) == b"PK"
    directory = directory_size(path)
    if not begins and directory is None:
        raise BadInput(
            f"{path.name} is neither a zip nor a tar: pack the folders of images, one folder a "
            "class, to a zip and import that"
        )
    if directory is None:
        raise BadInput(
            f"{path.name} is not a whole zip: its end is missing, as when a download or "
            "a copy broke off. Get the file again"
        )
    if directory > MOST_ENTRIES * 300:  # before it is read: it may be made to fill the memory
        raise BadInput(f"{path.name} holds more than {MOST_ENTRIES:,} files: import a part of it")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as problem:
        raise BadInput(f"{path.name} is a damaged zip ({problem}): get or make it again") from None
    length = path.stat().st_size
    for info in infos:
        if not 0 <= info.header_offset <= length - info.compress_size:
            raise _broken_off(path)
        raw = _zip_name(info)
        parts = _clean(raw, path)
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _odd(raw, path)
        if info.is_dir() or raw.endswith("\\") or not parts:
            continue
        if info.flag_bits & 0x2041:
            raise BadInput(
                f"{path.name} is encrypted ({shown(raw)}): make it again without a password"
            )
        if info.compress_type not in (0, 8, 12):
            method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
            raise BadInput(
                f"{path.name} is packed with {method}, which can't be read here: make "
                "the zip again with ordinary compression (Deflate)"
            )
        yield Entry(
            parts,
            info.file_size,
            info.header_offset,
            info.compress_size,
            info.compress_type,
            info.CRC,
        )


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The entry's name, also where the program that wrote it didn't say how it is encoded."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    raw = info.filename.encode("cp437", "replace")  # how zipfile read it
    for encoding in ("utf-8", "gb2312"):  # macOS; Windows in Chinese. Both refuse other text
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def directory_size(path: Path) -> int | None:
    """Bytes of the zip's list of files; None if its end record isn't there.

    The record's layout: PKWARE APPNOTE 4.3.16 and, where sizes need 64 bits, 4.3.14.
    """
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - 65_557 - 76))
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) < end + 22:
        return None
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    wide = tail.rfind(b"PK\6\6", 0, end)
    if size == 0xFFFFFFFF and wide >= 0:
        size = int.from_bytes(tail[wide + 40 : wide + 48], "little")
    return size


@dataclass(frozen=True)
class Zip:
    """A zip. Entries are found by their places, so a reader needn't parse the list of files."""

    path: Path

    @contextmanager
    def reading(self) -> Iterator[Read]:
        with self.path.open("rb") as file:
            yield partial(self._read, file)

    def _read(self, file: IO[bytes], entry: Entry, most: int | None = None) -> bytes:
        file.seek(entry.at)
        header = file.read(30)
        if len(header) < 30 or header[:4] != b"PK\3\4":
            raise Unreadable("is damaged in the archive")
        file.seek(sum(struct.unpack("<HH", header[26:30])), os.SEEK_CUR)
        part = most is not None and most < entry.size
        # A prefix needs no more packed bytes than that, and a little for what doesn't shrink.
        packed = file.read(min(entry.packed, most + 1024) if part and most else entry.packed)
        wanted = most if part and most else entry.size
        try:
            if entry.method == 0:
                data = packed[:wanted]
            elif entry.method == 8:
                # The size that was announced is the most that is unpacked.
                data = zlib.decompressobj(-15).decompress(packed, wanted) if wanted else b""
            else:
                data = bz2.BZ2Decompressor().decompress(packed, wanted) if wanted else b""
        except (zlib.error, OSError, EOFError):
            raise Unreadable("is damaged in the archive") from None
        if not part and (len(data) != entry.size or zlib.crc32(data) != entry.check):
            raise Unreadable("is damaged in the archive")
        return data

    def digest(self, entries: Iterable[Entry]) -> str:
        return _file_digest(self.path)


# --- tar ------------------------------------------------------------------------------------


Opener = Callable[[Path], Any]
COMPRESSED: dict[bytes, Opener] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}


def compressed(path: Path) -> Opener | None:
    """How to open a file that is compressed as a whole; None if it isn't."""
    with path.open("rb") as file:
        start = file.read(6)
    return next((opener for magic, opener in COMPRESSED.items() if start.startswith(magic)), None)


def _inflate(path: Path, opener: Opener, plain: Path, upto: float) -> Iterator[Step]:
    size = path.stat().st_size
    most = min(MOST_BYTES, max(HONEST_BYTES, MOST_RATIO * size))
    done = 0
    try:
        with opener(path) as packed, plain.open("wb") as out:
            while block := packed.read(8 * 2**20):
                done += len(block)
                if done > most:
                    raise BadInput(_bomb(path))
                require_space(plain.parent, len(block))
                out.write(block)
                # How far it is in the packed file can't be asked of all three alike.
                yield step(upto * done / (done + size), f"Unpacking: {done / 2**20:,.0f} MB")
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError):
        raise _broken_off(path) from None
    except OSError as problem:
        if problem.errno is None:  # bz2 and gzip say so about their content
            raise _broken_off(path) from None
        raise
    if not is_tar(plain):
        raise BadInput(
            f"{path.name} is compressed, but isn't an archive: uncompress it and import "
            "the file that comes out"
        )


def _broken_off(path: Path) -> BadInput:
    return BadInput(
        f"{path.name} is damaged or not whole, as when a download or a copy broke off. "
        "Get the file again"
    )


class Member(tarfile.TarInfo):
    """A tar's header; one that says more of a file than a person could is refused unread.

    A long name is a member of its own, which `tarfile` reads whole, whatever size it claims.
    """

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _ABOUT_ANOTHER and self.size > MOST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


_ABOUT_ANOTHER = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
MOST_HEADER = 2**20
"""Bytes of a name and what else a tar says of one file."""


def is_tar(path: Path) -> bool:
    """Whether it begins with a tar's header. `tarfile` would read as much as that claims."""
    with path.open("rb") as file:
        block = file.read(tarfile.BLOCKSIZE)
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _tar_entries(path: Path, plain: Path) -> Iterator[Entry]:
    length = plain.stat().st_size
    try:
        with tarfile.open(plain, "r:", tarinfo=Member) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                parts = _clean(member.name, path)
                if member.isdir() or not parts:
                    continue
                if not member.isreg() or member.issparse():
                    raise _odd(member.name, path)
                if member.offset_data + member.size > length:
                    raise _broken_off(path)
                yield Entry(parts, member.size, member.offset_data)
    except (tarfile.TarError, EOFError, ValueError) as problem:
        if isinstance(problem, BadInput):
            raise
        raise _broken_off(path) from None


@dataclass(frozen=True)
class Tar:
    """A tar; `plain` is the same uncompressed (the same file where it never was compressed)."""

    path: Path
    plain: Path

    @contextmanager
    def reading(self) -> Iterator[Read]:
        with self.plain.open("rb") as file:

            def read(entry: Entry, most: int | None = None) -> bytes:
                file.seek(entry.at)
                return file.read(entry.size if most is None else min(most, entry.size))

            yield read

    def digest(self, entries: Iterable[Entry]) -> str:
        return _file_digest(self.path)


# --- folder ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    """A folder on this machine."""

    path: Path

    @contextmanager
    def reading(self) -> Iterator[Read]:
        def read(entry: Entry, most: int | None = None) -> bytes:
            try:
                with self.path.joinpath(*entry.path).open("rb") as file:
                    return file.read(-1 if most is None else most)
            except OSError as problem:
                raise Unreadable(f"can't be opened ({problem.strerror})") from None

        yield read

    def digest(self, entries: Iterable[Entry]) -> str:
        whole = hashlib.sha256()
        for entry in entries:
            name = entry.name.encode("utf-8", "surrogateescape")
            whole.update(b"%d %d\n" % (len(name), entry.size) + name)
            whole.update(bytes.fromhex(_file_digest(self.path.joinpath(*entry.path))))
        return whole.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sized(count: int) -> str:
    """Bytes for a person: ``12 kB``, ``3 MB``, ``1,200 GB``."""
    for unit, size in (("GB", 2**30), ("MB", 2**20)):
        if count >= 10 * size or (unit == "MB" and count >= size):
            return f"{count / size:,.0f} {unit}"
    return f"{max(count, 0) / 2**10:,.0f} kB"


def require_space(folder: Path, needed: int) -> None:
    """BadInput unless the disk of `folder` has that many bytes free, and a little more."""
    free = shutil.disk_usage(folder).free
    if free < needed + 64 * 2**20:
        raise BadInput(
            f"The dataset needs {sized(needed)} on the disk, beside 64 MB to spare, and "
            f"{sized(free)} are free: make room, or choose another home folder with --home"
        )
