"""Files on their way in: received whole under a token, until an import takes them.

A token is all that a page knows of its files. Where they lie never goes to a browser, and no path
ever comes from one. A file has its own name only once it is whole: until then it is a ``.part``.
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import threading
import time
import unicodedata
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from starlette.concurrency import run_in_threadpool

from gui.replies import Refusal
from gui.text import text

PIECE = 4 << 20
"""Bytes gathered before they are written: the disk is then asked 25 times for 100 MB."""
SPARE = 256 << 20
"""Bytes that an upload leaves free on the disk."""
FORGOTTEN = 86_400
"""Seconds after which an upload that no import has taken is removed."""
MOST_FILES = 1000
"""Of one upload."""
TOKEN = re.compile(r"[0-9a-f]{32}")


class Uploads:
    """The folder of uploads, one folder a token; no upload holds more than `limit` bytes."""

    def __init__(self, home: Path, limit: int) -> None:
        self.folder, self.limit = home / "tmp" / "uploads", limit
        self._lock = threading.Lock()
        self._coming: dict[str, dict[Path, _Coming]] = {}
        """By token and the name that it comes under. A part that isn't listed here is of a process
        that was killed."""

    def files(self, token: object) -> list[Path]:
        """The files of a token in the order of their names. Refusal while there are none, or while
        one of them is still coming in.
        """
        folder = self._of(token)
        with self._lock:
            return self._files(folder)

    def _files(self, folder: Path) -> list[Path]:
        if self._coming.get(folder.name):
            raise Refusal(text("upload.coming"), 409)
        found = _whole(folder)
        if not found:
            raise Refusal(text("upload.gone"), 404)
        return found

    async def receive(
        self, parts: AsyncIterator[bytes], *, size: int, file: str, token: object = None
    ) -> str:
        """Write a file as it comes, beside the others of `token`; the token to ask for it by.

        `size` is what was announced: too much is refused before anything is sent. A file that
        doesn't come whole is removed.
        """
        name = safe_name(file)
        known = uuid4().hex if token is None else str(token)
        folder = self._of(known)
        part = folder / f".{uuid4().hex}.part"  # no name that a page gives begins with a dot
        room = self._begun(folder, part, _Coming(name, size), new=token is None)
        try:
            await self._write(parts, part, room)
            with self._lock:
                self._still(part)
                if (folder / name).exists():
                    raise Refusal(text("upload.twice", name=name), 409)
                part.rename(folder / name)
        except FileNotFoundError:  # its folder was removed
            raise self._cancelled() from None
        finally:
            with self._lock:
                part.unlink(missing_ok=True)
                others = self._coming.get(known, {})
                others.pop(part, None)
                if not others:
                    self._coming.pop(known, None)
                    with contextlib.suppress(OSError):
                        folder.rmdir()  # only where nothing has come
        return known

    def _begun(self, folder: Path, part: Path, coming: _Coming, *, new: bool) -> int:
        """Make room for a file; how many bytes it may have."""
        with self._lock:
            if not new and not folder.is_dir():
                raise Refusal(text("upload.gone"), 404)
            here = {path.name: path.stat().st_size for path in _whole(folder)}
            beside = self._coming.get(folder.name, {})
            held = sum(here.values()) + sum(other.size for other in beside.values())
            room = self.limit - held
            if coming.size > room or len(here) + len(beside) >= MOST_FILES:
                raise self._too_large()
            if coming.name in here or coming.name in {other.name for other in beside.values()}:
                raise Refusal(text("upload.twice", name=coming.name), 409)
            free = shutil.disk_usage(self.folder.parents[1]).free
            if coming.size + SPARE > free:
                sizes = {"size": amount(coming.size), "free": amount(free)}
                raise Refusal(text("datasets.no_room", **sizes), 507)
            folder.mkdir(parents=True, exist_ok=True)
            self._coming.setdefault(folder.name, {})[part] = coming
        return room

    async def _write(self, parts: AsyncIterator[bytes], path: Path, room: int) -> None:
        received = 0
        with path.open("xb") as file:
            piece = bytearray()
            async for part in parts:
                self._still(path)
                received += len(part)
                if received > room:  # it was announced smaller, or not at all
                    raise self._too_large()
                piece += part
                if len(piece) >= PIECE:
                    await run_in_threadpool(file.write, bytes(piece))
                    piece.clear()
            await run_in_threadpool(file.write, bytes(piece))
        if not received:
            raise Refusal(text("datasets.empty_file"))

    def _still(self, part: Path) -> None:
        """Refusal when the upload was dropped meanwhile."""
        if part not in self._coming.get(part.parent.name, {}):
            raise self._cancelled()

    @contextmanager
    def taken(self, token: object) -> Iterator[list[Path]]:
        """The files for an import, which deletes them itself; no second import finds them.

        They go back under their token when the import doesn't begin.
        """
        before, after = self._of(token), self.folder / uuid4().hex
        with self._lock:
            self._files(before)
            for left in set(before.iterdir()) - set(_whole(before)):
                left.unlink()
            before.rename(after)
        try:
            yield _whole(after)
        except BaseException:
            after.rename(before)
            raise

    def drop(self, token: object) -> None:
        """Remove an upload that nobody wants any more; what is still coming in is turned away."""
        before, after = self._of(token), self.folder / uuid4().hex
        with self._lock:
            self._coming.pop(before.name, None)
            try:
                before.rename(after)  # at once, so that nobody finds half of it
            except FileNotFoundError:
                return
            except OSError:  # Windows moves no folder with an open file
                after = before
        shutil.rmtree(after, ignore_errors=True)

    def clear(self, kept: Collection[object] = ()) -> None:
        """Remove uploads that nobody can be reading any more, but for the files in `kept`."""
        if not self.folder.is_dir():
            return
        needed = {Path(str(path)).parent for path in kept}
        for left in self.folder.iterdir():
            with contextlib.suppress(OSError):
                if left not in needed and time.time() - left.stat().st_mtime > FORGOTTEN:
                    shutil.rmtree(left, ignore_errors=True)

    def _of(self, token: object) -> Path:
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise Refusal(text("server.malformed"))
        return self.folder / token

    def _too_large(self) -> Refusal:
        return Refusal(text("upload.too_large", limit=amount(self.limit)), 413)

    def _cancelled(self) -> Refusal:
        return Refusal(text("datasets.cancelled"), 409)


class _Coming(NamedTuple):
    """A file that is being received."""

    name: str
    size: int
    """Bytes, as announced."""


def _whole(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def safe_name(given: str) -> str:
    """A file's own name, without folders or anything that a file system or a log could mistake."""
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in last if c.isprintable() and unicodedata.category(c)[0] != "C")
    kept = "".join("_" if c in '<>:"|?*' else c for c in kept).strip(". ")
    if not kept:
        raise Refusal(text("datasets.no_file"))
    stem, dot, ending = kept.rpartition(".")
    # A name may have 255 bytes, and a character up to four.
    short = stem.encode()[:100].decode(errors="ignore")
    return f"{short}{dot}{ending[:20]}"


def amount(count: int) -> str:
    """Bytes as a person reads them: ``412 MB``, or ``38 kB``."""
    if count < 2**20:
        return f"{math.ceil(count / 2**10):,} kB"
    return f"{count / 2**20:,.0f} MB"
