"""NPZ files: arrays read a part at a time, and nothing in them ever unpickled."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from engine.catalog import BadInput
from engine.data.archive import one_line, require_space, shown

LONGEST_HEADER = 2**16
"""Bytes; np.savez writes a few hundred."""
MOST_BYTES = 2**62
"""Of one array, by what it claims: more can't be counted."""
MOST_AXES = 32
LENGTHS = {(1, 0): 2, (2, 0): 4}
"""Bytes that hold a header's length, by the format's version."""


@dataclass(frozen=True)
class Described:
    """What a .npy file's header says."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def count(self) -> int:
        return int(np.prod(self.shape, dtype=object))


class Arrays:
    """The arrays of an opened NPZ. BadInput names the one that is wrong."""

    def __init__(self, archive: zipfile.ZipFile, file: str) -> None:
        self.archive, self.file = archive, file
        self.names = [info.filename.removesuffix(".npy") for info in archive.infolist()]

    def described(self, name: str) -> Described:
        with self.stream(name) as (described, _):
            return described

    @contextmanager
    def stream(self, name: str) -> Iterator[tuple[Described, IO[bytes]]]:
        """An array's header, and its bytes after it."""
        try:
            content = self.archive.open(name + ".npy")
        except KeyError:
            content = self.archive.open(name)
        with content:
            yield self._header(content, name), content

    def _header(self, stream: IO[bytes], name: str) -> Described:
        try:
            version = np.lib.format.read_magic(stream)
            length = stream.read(LENGTHS[version])
            size = int.from_bytes(length, "little")
            if size > LONGEST_HEADER:
                raise BadInput(
                    f"{self.file}: {name} claims a header of {size:,} bytes, and no array has "
                    f"more than {LONGEST_HEADER:,}: save it again with np.savez"
                )
            header = io.BytesIO(length + stream.read(size))
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )  # fmt: skip
            shape, fortran, dtype = read_header(header)
        except BadInput:
            raise
        # What a header is parsed by says in many ways that it can't be.
        except (
            ValueError, KeyError, OSError, TypeError, SyntaxError, tokenize.TokenError,
            RecursionError, MemoryError,
        ):  # fmt: skip
            raise BadInput(f"{self.file}: {name} isn't an array as np.savez writes it") from None
        if dtype.hasobject:
            raise BadInput(
                f"{self.file}: {name} is an array of objects, which can hold code and isn't "
                "opened. Save sequences of unequal length end to end: np.savez(path, "
                "x=np.concatenate(list_of_arrays), lengths=[len(a) for a in "
                "list_of_arrays], y=np.array(labels))"
            )
        if dtype.subdtype is not None:
            raise BadInput(f"{self.file}: {name} isn't an array as np.savez writes it")
        if not dtype.itemsize:
            raise BadInput(
                f"{self.file}: {name} holds {dtype}, texts of no length: fill it in, or take it out"
            )
        # Each axis too: beside an axis of 0 any other would do.
        claimed = dtype.itemsize * int(np.prod([max(1, n) for n in shape], dtype=object))
        if len(shape) > MOST_AXES or min(shape, default=0) < 0 or claimed > MOST_BYTES:
            said = shown(str(shape), most=60)
            raise BadInput(
                f"{self.file}: {name} claims the shape {said}, which no array can have: save it "
                "again"
            )
        return Described(shape, fortran, dtype)

    def exactly(self, stream: IO[bytes], size: int, name: str) -> bytes:
        """So many bytes of an array. BadInput when there are fewer."""
        data = stream.read(size) if size else b""
        if len(data) != size:
            raise BadInput(f"{self.file}: {name} is shorter than it says: save it again")
        return data

    def array(self, name: str) -> npt.NDArray[Any]:
        """A small array, whole."""
        with self.stream(name) as (said, stream):
            data = self.exactly(stream, said.count * said.dtype.itemsize, name)
        order = "F" if said.fortran else "C"
        return np.frombuffer(data, said.dtype).reshape(said.shape, order=order)  # type: ignore[call-overload,no-any-return]

    def blocks(self, name: str, most: int, scratch: Path) -> Iterator[npt.NDArray[Any]]:
        """An array's items one after another, about `most` bytes of them at a time.

        An array in Fortran's order, whose items aren't in one piece, is unpacked to `scratch`
        first.
        """
        with self.stream(name) as (said, stream):
            size = said.dtype.itemsize * int(np.prod(said.shape[1:], dtype=object))
            rows = max(1, most // size)
            turned = scratch / "turned.raw" if said.fortran and len(said.shape) > 1 else None
            if turned is not None:
                require_space(scratch, said.shape[0] * size)
                with turned.open("wb") as out:
                    for start in range(0, said.shape[0] * size, most):
                        part = min(most, said.shape[0] * size - start)
                        out.write(self.exactly(stream, part, name))
            for start in range(0, said.shape[0], rows):
                count = min(rows, said.shape[0] - start)
                if turned is None:
                    data = self.exactly(stream, count * size, name)
                    yield np.frombuffer(data, said.dtype).reshape(count, *said.shape[1:])
                else:
                    # Mapped anew each time: what was looked at is let go of.
                    whole = np.memmap(turned, said.dtype, "r", shape=said.shape, order="F")
                    yield np.array(whole[start : start + count], order="C")
                    del whole
            if turned is not None:
                turned.unlink()

    def labels(self, name: str) -> list[str]:
        """One label for each item, as text. BadInput where they are no labels."""
        y = self.array(name)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim != 1 or not len(y):
            raise BadInput(
                f"{self.file}: {name} has shape {y.shape} and must be (N,): one label an item"
            )
        if y.dtype.kind == "f":
            y = y.astype(np.float64)
            whole = np.isfinite(y) & (y == np.rint(y)) & (np.abs(y) < 2.0**63)
            if not whole.all():
                row = int(np.flatnonzero(~whole)[0])
                raise BadInput(
                    f"{self.file}: {name}[{row}] is {y[row]}: labels are whole numbers or texts"
                )
            y = y.astype(np.int64)
        if y.dtype.kind not in "biuUS":
            raise BadInput(
                f"{self.file}: {name} holds {y.dtype}: labels are whole numbers or texts"
            )
        written = written_out(y)
        if "" in written:
            raise BadInput(
                f"{self.file}: {name}[{written.index('')}] is empty: every item needs a label"
            )
        return written


def written_out(values: npt.NDArray[Any]) -> list[str]:
    """Texts, bytes and whole numbers (N,) as texts of one line."""
    return [
        one_line(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v))
        for v in values.tolist()
    ]


def is_npz(path: Path) -> bool:
    """Whether a file is a zip of .npy files, as np.savez writes."""
    if path.is_dir():
        return False
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


@contextmanager
def opened(path: Path) -> Iterator[Arrays]:
    """The arrays of an NPZ. BadInput where it is damaged."""
    file = one_line(path.name)
    try:
        with zipfile.ZipFile(path) as archive:
            yield Arrays(archive, file)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as problem:
        said = shown(str(problem), most=60)
        raise BadInput(f"{file} is damaged ({said}): save it again") from None
