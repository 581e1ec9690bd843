"""Text files from anywhere: uncompressed on the way, their encoding found, read a line at a time.

Whatever a file holds, only a little of it is in memory: a line has a longest length, and a
compressed file is refused once it has grown as no text does.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import lzma
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from gzip import GzipFile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.catalog import BadInput
from engine.data import archive
from engine.data.archive import compressed, one_line
from engine.data.limits import LIMITS

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Content = Path | bytes
"""A file on the disk, or the content of a small one that lies in an archive."""

SAMPLE = 2**20
"""Bytes by which an encoding is told."""
SCANNED = 64 * 2**20
"""Bytes that are looked through for the first that isn't ASCII, by which encodings differ."""
PACKED = (".gz", ".bz2", ".xz")
"""Endings of files that are compressed as a whole."""


def longest_line() -> int:
    """Characters of a line: some cells of the greatest length fit, a file without lines doesn't."""
    return max(2**20, 4 * LIMITS.text_characters)


def too_long(name: str, row: int) -> BadInput:
    """What is said of a line without end."""
    return BadInput(
        f"{name}, row {row:,}: this line alone has more than {longest_line():,} characters: end "
        "each row with a line break"
    )


class Place:
    """How far a file has been read."""

    def __init__(self) -> None:
        self.share = 0.0


def _opener(source: Content) -> archive.Opener | None:
    """How to uncompress it; None if it isn't compressed."""
    if isinstance(source, Path):
        return compressed(source)
    known = archive.COMPRESSED.items()
    return next((opener for magic, opener in known if source.startswith(magic)), None)


class _Opened(io.RawIOBase):
    """A file's bytes, uncompressed; BadInput where they break off or grow beyond measure."""

    def __init__(self, source: Content, name: str, place: Place) -> None:
        self.title, self.place = name, place
        self.raw: IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        self.inner: Any = self.raw
        self.size = len(source) if isinstance(source, bytes) else source.stat().st_size
        self.most, self.done = -1, 0
        if (opener := _opener(source)) is not None:
            packed: Any = opener  # bz2 and xz take a file in place of its name, gzip by a keyword
            self.inner = packed(fileobj=self.raw) if opener is GzipFile else packed(self.raw)
            self.most = min(
                archive.MOST_BYTES, max(archive.HONEST_BYTES, archive.MOST_RATIO * self.size)
            )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        try:
            count: int = self.inner.readinto(buffer)
        except (EOFError, zlib.error, lzma.LZMAError):
            raise self._broken_off() from None
        except OSError as problem:
            if problem.errno is None:  # bz2 and gzip say so about their content
                raise self._broken_off() from None
            raise
        self.done += count
        if 0 <= self.most < self.done:
            raise BadInput(
                f"{self.title} would unpack to more than {archive.MOST_RATIO} times its size, as "
                "no text does: it is damaged or made to fill a disk"
            )
        self.place.share = self.raw.tell() / max(1, self.size)
        return count

    def close(self) -> None:
        self.raw.close()
        super().close()

    def _broken_off(self) -> BadInput:
        return BadInput(
            f"{self.title} is damaged or not whole, as when a download or a copy broke off. "
            "Get the file again"
        )


def opened(source: Content, name: str, place: Place | None = None) -> IO[bytes]:
    """The bytes of a file, uncompressed where it is a .gz, .bz2 or .xz."""
    return io.BufferedReader(_Opened(source, name, place or Place()), 2**18)


def beginning(source: Content, name: str, most: int = SAMPLE) -> bytes:
    """The first bytes of a file."""
    with opened(source, name) as file:
        return file.read(most)


def digest(sources: Sequence[Path]) -> str:
    """SHA-256 of one file; of several, of their names and contents in the order of the names."""
    found = []
    for path in sorted(sources, key=lambda path: path.name):
        with path.open("rb") as file:
            found.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
    if len(found) == 1:
        return found[0][1]
    whole = "\n".join(f"{content} {name}" for name, content in found)
    return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()


def stem(name: str) -> str:
    """A file's name without the endings of compression: ``train.en.gz`` → ``train.en``."""
    base, ending = os.path.splitext(name)  # noqa: PTH122 (may be a name in an archive)
    return stem(base) if base and ending.lower() in PACKED else name


def ending(name: str) -> str:
    """``.csv`` of ``Train.CSV.gz``."""
    return os.path.splitext(stem(name))[1].lower()  # noqa: PTH122


def words(name: str) -> list[str]:
    """``data/train-0.en.gz`` → data, train, 0, en"""
    return [word for word in re.split(r"[\W_]+", stem(name)) if word]


# --- encodings ------------------------------------------------------------------------------

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(source: Content, name: str, said: str | None = None) -> str:
    """How a file is encoded, as Python names it; `said` is what a person chose."""
    if said:
        try:
            codec = codecs.lookup(said)
            if not codec._is_text_encoding:
                raise LookupError
            "a".encode(codec.name)
        except (LookupError, UnicodeError, ValueError):
            raise BadInput(
                f"There is no encoding {said!r}: write utf-8, utf-16, gb18030 or cp1252",
                field="encoding",
            ) from None
        return codec.name
    with opened(source, name) as file:
        sample = file.read(SAMPLE)
        scanned = len(sample)
        # What tells encodings apart may come late.
        while sample.isascii() and b"\0" not in sample and scanned < SCANNED:
            more = file.read(SAMPLE)
            if not more:
                break
            sample, scanned = more, scanned + len(more)
    return told(sample)


def told(sample: bytes) -> str:
    """The encoding of a text by some of its bytes: UTF-8, UTF-16, GB18030 or Latin-1.

    Rules rather than a detector's statistics: they hold for a table of ten rows, too.
    """
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if b"\0" in sample and (wide := _wide(sample)):
        return wide
    if _decodes(sample, "utf-8"):
        return "utf-8"
    if _is_chinese(sample):
        return "gb18030"
    # What is called Latin-1 is nearly always Windows' superset of it, which lacks five bytes.
    return "cp1252" if _decodes(sample, "cp1252") else "latin-1"


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        # The sample may end within a character.
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _wide(sample: bytes) -> str:
    """UTF-16 without a mark, by the zeros beside the characters below 256; "" if it isn't."""
    pairs = len(sample) // 2
    if len(sample) % 2:
        return ""
    big, little = sample[::2].count(0) / pairs, sample[1::2].count(0) / pairs
    for zeros, others, encoding in ((little, big, "utf-16-le"), (big, little, "utf-16-be")):
        if zeros > 0.5 and others < 0.05 and _decodes(sample, encoding):
            return encoding
    control = sum(sample.count(byte) for byte in range(1, 32) if byte not in b"\t\n\r\f")
    if _decodes(sample, "utf-8") and control < 0.02 * len(sample):
        return ""  # plain text that zeros have got into
    best, most = "", 0
    for encoding in ("utf-16-le", "utf-16-be"):
        if _decodes(sample, encoding):
            text = codecs.getincrementaldecoder(encoding)().decode(sample)
            plain = sum(text.count(c) for c in " ,;\t\n\"'.0123456789")
            if "\0" not in text and plain > most:
                best, most = encoding, plain
    return best


def _is_chinese(sample: bytes) -> bool:
    """Whether what isn't ASCII is GB18030.

    Latin-1 often decodes as that, too: "ül" is a rare character. But its letters come one by one
    among ASCII, and both bytes of nearly every Chinese character that is in use are above 0xA0.
    """
    if not _decodes(sample, "gb18030"):
        return False
    decoded = codecs.getincrementaldecoder("gb18030")().decode(sample)
    foreign = common = beside = 0
    before = False
    for character in decoded:
        now = character > "\x7f"
        if now:
            raw = character.encode("gb18030")
            foreign += 1
            beside += 2 * before
            # "ÄÖ" is such a pair as well, of a rare character: common ones lead with B0 to D7,
            # signs with A1 to A3.
            common += len(raw) == 2 and raw[1] >= 0xA1 and (
                0xA1 <= raw[0] <= 0xA3 or 0xB0 <= raw[0] <= 0xD7
            )  # fmt: skip
        before = now
    # Of characters in a row each but the last has another after it: rare ones are so, too.
    return common >= 0.6 * foreign or beside >= 0.9 * foreign


# --- lines ----------------------------------------------------------------------------------


@contextmanager
def reading(
    source: Content,
    name: str,
    encoding: str,
    *,
    newline: str | None = "",
    place: Place | None = None,
) -> Iterator[Lines]:
    """A file's `Lines` while the ``with`` block lasts."""
    with io.TextIOWrapper(opened(source, name, place), encoding, newline=newline) as text:
        yield Lines(text, name, source)


class Lines:
    """An iterator over a text's lines, ends included; `number` is that of the last, from 1."""

    def __init__(self, text: io.TextIOWrapper, name: str, source: Content) -> None:
        self.text, self.name, self.source, self.number = text, name, source, 0
        self.longest = longest_line()
        self.nul = False
        """A line had a NUL since this was last set to False."""

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        try:
            line = self.text.readline(self.longest)
        except UnicodeDecodeError as problem:
            raise self._undecodable(problem) from None
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == self.longest:
            raise too_long(self.name, self.number)
        if "\0" in line:
            self.nul = True
        if self.number == 1:
            return line.removeprefix("\ufeff")
        return line

    def read(self, count: int) -> str:
        """The next characters, whatever lines they are in; "" at the end."""
        try:
            text = self.text.read(count)
        except UnicodeDecodeError as problem:
            raise self._undecodable(problem) from None
        self.number += text.count("\n")
        return text

    def _undecodable(self, problem: UnicodeDecodeError) -> BadInput:
        # What was decoded before it isn't known here, for blocks of it are lost with the error.
        row = 1 + _rows_before(self.source, self.name, self.text.encoding)
        byte = problem.object[problem.start]
        return BadInput(
            f"{one_line(self.name)}, row {row:,}: the byte 0x{byte:02X} there isn't "
            f"{problem.encoding}, as what comes before is. Choose the encoding it has, or save "
            "the file as UTF-8",
            field="encoding",
        )


def _rows_before(source: Content, name: str, encoding: str) -> int:
    """Ends of lines before the first byte that can't be decoded."""
    bytewise = codecs.getincrementaldecoder(encoding)()
    ends = io.IncrementalNewlineDecoder(None, translate=True)  # \r\n may lie in two blocks
    count = 0
    with opened(source, name) as file:
        while block := file.read(SAMPLE):
            try:
                count += ends.decode(bytewise.decode(block)).count("\n")
            except UnicodeDecodeError as problem:
                good = problem.object[: problem.start].decode(problem.encoding, "replace")
                return count + ends.decode(good, final=True).count("\n")
    return count
