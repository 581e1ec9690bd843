"""Files on their way in: received whole under a token, until an import takes them.

A token is all that a page knows of its files. Where they lie never goes to a browser, and no path
ever comes from one.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
import unicodedata
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
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

    def files(self, token: object) -> list[Path]:
        """The files of a token in the order of their names. Refusal when there are none."""
        folder = self._of(token)
        found = sorted(folder.iterdir()) if folder.is_dir() else []
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
        if token is not None and not folder.is_dir():
            raise Refusal(text("upload.gone"), 404)
        others = [path.stat().st_size for path in self.files(known)] if token is not None else []
        room = self.limit - sum(others)
        if size > room or len(others) >= MOST_FILES:
            raise self._too_large()
        free = shutil.disk_usage(self.folder.parents[1]).free
        if size + SPARE > free:
            sizes = {"size": megabytes(size), "free": megabytes(free)}
            raise Refusal(text("datasets.no_room", **sizes), 507)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        try:
            await self._write(parts, path, room)
        except FileExistsError:
            raise Refusal(text("upload.twice", name=name), 409) from None
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only where nothing has come
        return known

    async def _write(self, parts: AsyncIterator[bytes], path: Path, room: int) -> None:
        received = 0
        with path.open("xb") as file:
            piece = bytearray()
            async for part in parts:
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

    @contextmanager
    def taken(self, token: object) -> Iterator[list[Path]]:
        """The files for an import, which deletes them itself; no second import finds them.

        They go back under their token when the import doesn't begin.
        """
        self.files(token)
        before, after = self._of(token), self.folder / uuid4().hex
        try:
            before.rename(after)
        except FileNotFoundError:  # another window was faster
            raise Refusal(text("upload.gone"), 404) from None
        try:
            yield sorted(after.iterdir())
        except BaseException:
            after.rename(before)
            raise

    def drop(self, token: object) -> None:
        """Remove an upload that nobody wants any more."""
        shutil.rmtree(self._of(token), ignore_errors=True)

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
        return Refusal(text("upload.too_large", limit=megabytes(self.limit)), 413)


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


def megabytes(count: int) -> str:
    """As a person reads it: ``412 MB``."""
    return f"{count / 2**20:,.0f} MB"
