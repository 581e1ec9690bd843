"""Image files, with what folders or a table say of them → one array of pixels.

The files are looked at twice: their headers decide the size and the channels, then each is
decoded straight to its place in the array. Both passes are shared out over a few processes.
"""

from __future__ import annotations

import hashlib
import statistics
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.catalog import BadInput
from engine.data import embedded, npz, pixels
from engine.data.archive import (
    Entry,
    Read,
    Source,
    Unreadable,
    listing,
    one_line,
    require_space,
    shown,
)
from engine.data.arrays import Items, empty_array
from engine.data.crew import Crew, Pace, processors
from engine.data.files import PREFIX, Trouble, items, judge, look
from engine.data.labelled import Layout, ending, lay_out, some
from engine.data.limits import LIMITS
from engine.data.options import ImportOptions, Step, step
from engine.data.splits import Rows, Split

SQUARES = (28, 32, 48, 64, 96, 128)
"""Sides that images of different sizes are scaled to."""
LARGEST_KEPT = 256
"""Images that all have one size keep it up to this side."""
ENDINGS = {
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".apng",
    ".gif",
    ".bmp",
    ".dib",
    ".webp",
    ".tif",
    ".tiff",
}
FOREIGN = {
    ".heic",
    ".heif",
    ".avif",
    ".jp2",
    ".j2k",
    ".jxl",
    ".svg",
    ".psd",
    ".tga",
    ".ico",
    ".ppm",
    ".pgm",
    ".dng",
    ".cr2",
    ".nef",
    ".arw",
    ".raw",
    ".dcm",
}
"""Images that can't be decoded here: leaving them out unsaid would lose data."""
FEW_FILES, FEW_BYTES = 400, 8 * 2**20
"""Below both, decoding takes less time than starting processes for it."""
HEAVY = 16_000_000
"""Pixels of a picture from which on it is decoded alone: it takes up to 12 bytes for each."""
BLOCK = 4 * 2**20
"""Bytes of pixels that one job decodes: often enough for progress, seldom enough to be cheap."""
HEADERS = 1000
"""Headers that one job reads."""
FILES = "JPEG, PNG, GIF, BMP, WebP or TIFF files"


def is_image(entry: Entry) -> bool:
    """Whether it must be read, or refused: by its ending."""
    return ending(entry) in ENDINGS or ending(entry) in FOREIGN


# --- what a process does --------------------------------------------------------------------


class Decoded(NamedTuple):
    """How many files were looked at, and which of them can't be decoded."""

    files: int
    trouble: list[Trouble]


class Place(NamedTuple):
    """Where pixels go: a file, where its first item begins, and the shape of an item."""

    file: Path
    begin: int
    shape: tuple[int, int, int]


def header(read: Read, entry: Entry) -> tuple[int, int, bool]:
    """An image's width, its height, and whether it is grey."""
    if entry.size > LIMITS.file_bytes:
        raise Unreadable(f"is larger than {LIMITS.file_bytes // 2**20} MB")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd but readable files
        try:
            try:
                found = pixels.header(read(entry, PREFIX))
            except pixels.NotAnImage:
                if entry.size <= PREFIX:
                    raise
                found = pixels.header(read(entry, None))
        except pixels.NotAnImage as problem:
            raise Unreadable(str(problem)) from None
    return found.width, found.height, found.grey


def decode(source: Source, place: Place, row: int, files: Sequence[tuple[int, Entry]]) -> Decoded:
    """Decode some files, each given with its number, to `row` and the rows after it."""
    block = np.zeros((len(files), *place.shape), np.uint8)
    trouble = []
    with source.reading() as read, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd but readable files
        for i, (number, entry) in enumerate(files):
            try:
                block[i] = pixels.decode(read(entry, None), *place.shape)
            except (Unreadable, pixels.NotAnImage) as problem:
                trouble.append(Trouble(number, str(problem)))
    # Written, not mapped: pages of a mapped file would count as this process's memory.
    with place.file.open("r+b") as out:
        out.seek(place.begin + row * block[0].nbytes)
        out.write(block.data)
    return Decoded(len(files), trouble)


# --- the import -----------------------------------------------------------------------------


def read(
    sources: Sequence[Path], into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Items]:
    """Import an archive, a folder, Parquet tables or an NPZ of images; see `imports.Reader`."""
    if tables := embedded.tables_in(sources):
        unpacking = embedded.unpack(tables, scratch, options, noun="images", unlabelled=True)
        opened, layout = yield from unpacking
        return (yield from _bring(opened, layout, into, scratch, options))
    if len(sources) > 1:
        raise BadInput(
            f"{one_line(sources[0].name)} and {one_line(sources[1].name)}: images come in one "
            "archive or folder: pack all of them into one"
        )
    (source,) = sources
    if npz.is_npz(source):
        return (yield from _arrays(source, into, scratch, options))
    archive, entries = yield from listing(source, scratch)
    layout = lay_out(
        archive, entries, source.name,
        wanted=is_image, noun="images", files=FILES, options=options, unlabelled=True,
    )  # fmt: skip
    return (yield from _bring(archive, layout, into, scratch, options))


def _bring(
    source: Source, layout: Layout, into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Items]:
    """Decode the files of a layout to one array."""
    said, files = layout.warnings, layout.files
    small = len(files) < FEW_FILES and sum(e.size for e in files) < FEW_BYTES
    with Crew(0 if small else min(processors(), 8), log=scratch / "crew.log") as crew:
        fingerprint, found, trouble = yield from look(
            crew, source, layout, header, numbers=3, each=HEADERS, noun="images"
        )
        headers = found.astype(np.int64)
        kept = judge(trouble, files, np.arange(len(files)), "images", options, said)
        shape = shape_of(headers[kept], options)
        require_space(into, len(kept) * int(np.prod(shape)))
        file = into / "images.npy"
        place = Place(file, empty_array(file, np.uint8, (len(kept), *shape)), shape)
        heavy = headers[kept, 0] * headers[kept, 1] > HEAVY
        trouble = yield from _fill(crew, source, layout, kept, place, heavy)
    if trouble:
        good = judge(trouble, files, kept, "images", options, said)
        _close_up(place, np.isin(kept, good))
        kept = good
    _keep_sizes(into, headers[kept, :2])
    return items("images", fingerprint, layout, kept, "images", shape=shape)


def _fill(
    crew: Crew,
    source: Source,
    layout: Layout,
    numbers: Rows,
    place: Place,
    heavy: npt.NDArray[np.bool_],
) -> Generator[Step, None, list[Trouble]]:
    """Decode the files of those numbers to the array's rows; those that can't be.

    The `heavy` among them are decoded one at a time, whatever number of processes there is.
    """
    rows = max(1, BLOCK // int(np.prod(place.shape)))
    together: list[Callable[[], Decoded]] = []
    alone: list[Callable[[], Decoded]] = []
    # A job's rows follow one another: they end where a heavy one begins.
    single = np.flatnonzero(heavy)
    edges = {0, len(numbers), *single.tolist(), *(single + 1).tolist()}
    for start, stop in pairwise(sorted(edges)):
        for row in range(start, stop, rows):
            some = numbers[row : min(row + rows, stop)].tolist()
            job = partial(decode, source, place, row, [(n, layout.files[n]) for n in some])
            (alone if heavy[row] else together).append(job)
    trouble: list[Trouble] = []
    done, pace = 0, Pace()
    for jobs in (together, *([job] for job in alone)):
        with closing(crew.share(jobs)) as results:
            for result in results:
                if result is not None:
                    done += result.files
                    trouble += result.trouble
                if pace.due():
                    text = f"Decoding {done:,} of {len(numbers):,} images"
                    yield step(0.3 + 0.65 * done / len(numbers), text)
    return trouble


def shape_of(headers: Rows, options: ImportOptions) -> tuple[int, int, int]:
    """(H, W, C) for images of those (N, 3) widths, heights and greys."""
    channels = options.channels or (1 if headers[:, 2].all() else 3)
    if options.size:
        return options.size, options.size, channels
    width, height = (int(side) for side in headers[0, :2])
    if (headers[:, :2] == (width, height)).all() and max(width, height) <= LARGEST_KEPT:
        return height, width, channels
    middle = statistics.median(headers[:, :2].min(axis=1).tolist())
    side = min(SQUARES, key=lambda square: abs(square - middle))
    return side, side, channels


def _close_up(place: Place, good: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
    """Take the rows that are not good out of the array's file."""
    whole = np.load(place.file, mmap_mode="r")
    kept = np.flatnonzero(good)
    beside = place.file.with_suffix(".kept")
    begin = empty_array(beside, np.uint8, (len(kept), *place.shape))
    rows = max(1, BLOCK // int(np.prod(place.shape)))
    with beside.open("r+b") as out:
        out.seek(begin)
        for start in range(0, len(kept), rows):
            out.write(whole[kept[start : start + rows]].data)
    del whole  # some systems can't replace a file that is mapped
    beside.replace(place.file)


# --- arrays ---------------------------------------------------------------------------------

_SETS: tuple[tuple[str, str, Split | None], ...] = (
    ("x", "y", None), ("images", "labels", None), ("x_train", "y_train", "train"),
    ("x_val", "y_val", "validation"), ("x_valid", "y_valid", "validation"),
    ("x_test", "y_test", "test"), ("train_images", "train_labels", "train"),
    ("val_images", "val_labels", "validation"), ("test_images", "test_labels", "test"),
)  # fmt: skip
"""Names of pixels and labels in NPZ files: ours, Keras', MedMNIST's."""


def _arrays(
    source: Path, into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Items]:
    """Import an NPZ of uint8 (N, H, W) or (N, H, W, C) and labels (N,)."""
    file = one_line(source.name)
    yield from listing(source, scratch, upto=0)  # refuses what no honest archive holds
    labels: list[str] = []
    splits: list[Split | None] = []
    with npz.opened(source) as archive:
        sets = _sets(archive)
        left = [name for name in archive.names if not any(name in one for one in sets)]
        sides: list[tuple[int, int, int]] = []
        counts: list[int] = []
        for x, y, split in sets:
            described = archive.described(x)
            shape, dtype = described.shape, described.dtype
            if dtype != np.uint8 or len(shape) not in (3, 4) or 0 in shape:
                raise BadInput(
                    f"{file}: {x} is {dtype} of shape {shape} and must be uint8 (N, H, W) or "
                    "(N, H, W, C): pixels from 0 to 255"
                )
            if len(shape) == 4 and shape[3] not in (1, 3, 4):
                raise BadInput(f"{file}: {x} has {shape[3]} channels: images have 1, 3 or 4")
            if shape[1] * shape[2] > LIMITS.pixels:
                raise BadInput(f"{file}: images of {x} have more than {LIMITS.pixels:,} pixels")
            said = archive.labels(y)
            if len(said) != shape[0]:
                raise BadInput(
                    f"{file}: there are {shape[0]:,} images in {x} and {len(said):,} labels in "
                    f"{y}: there must be one label an image"
                )
            labels += said
            splits += [split] * len(said)
            sides.append((shape[1], shape[2], 1 if len(shape) == 3 or shape[3] == 1 else 3))
            counts.append(shape[0])
        if len(labels) > LIMITS.items:
            raise BadInput(f"{file} holds {len(labels):,} images, more than {LIMITS.items:,}")
        headers = np.array([(width, height, grey == 1) for height, width, grey in sides], np.int64)
        shape_kept = shape_of(headers, options)
        require_space(into, len(labels) * int(np.prod(shape_kept)))
        path, row = into / "images.npy", 0
        begin, pace = empty_array(path, np.uint8, (len(labels), *shape_kept)), Pace()
        with path.open("r+b") as out:
            out.seek(begin)
            for x, _, _ in sets:
                for block in archive.blocks(x, BLOCK, scratch):
                    out.write(_shaped(block, shape_kept).data)
                    row += len(block)
                    if pace.due():
                        yield step(0.95 * row / len(labels), f"Reading {row:,} images")
    _keep_sizes(into, np.repeat(headers[:, :2], counts, axis=0))
    numbers = dict.fromkeys(("train", "validation", "test", None), 0)
    names = []
    for split in splits:
        names.append(f"{split}/{numbers[split]}" if split else str(numbers[split]))
        numbers[split] += 1
    with source.open("rb") as raw:
        fingerprint = hashlib.file_digest(raw, "sha256").hexdigest()
    return Items(
        kind="images", fingerprint=fingerprint, names=names, labels=labels, splits=splits,
        shape=shape_kept,
        warnings=[f"Left out, for they aren't images with labels: {some(left)}"] if left else [],
    )  # fmt: skip


def _sets(archive: npz.Arrays) -> list[tuple[str, str, Split | None]]:
    """The pixels and labels that an NPZ holds, and the split of each. BadInput without any, or
    where two are for the same split.
    """
    names, file = archive.names, archive.file
    sets = [one for one in _SETS if one[0] in names and one[1] in names]
    if not sets:
        held = ", ".join(map(shown, names[:8])) or "nothing"
        raise BadInput(
            f"{file} holds {held} and must hold x (pixels) and y (labels): save it with "
            "np.savez(path, x=…, y=…)"
        )
    if any(split for _, _, split in sets):  # what isn't held back by its name is for training
        sets = [(x, y, split or "train") for x, y, split in sets]
    first: dict[Split | None, str] = {}
    for x, _, split in sets:
        if split in first:
            whose = f"for {split}" if split else "the images"
            raise BadInput(
                f"{file} holds both {first[split]} and {x}, and one alone can be {whose}: leave "
                "the other out, or join the two"
            )
        first[split] = x
    return sets


def _keep_sizes(into: Path, sizes: Rows) -> None:
    """Write the widths and heights (N, 2) that images had, unless those were all alike."""
    if len(sizes) and (sizes != sizes[0]).any():
        np.save(into / "sizes.npy", sizes.astype(np.int64))


def _shaped(block: pixels.Pixels, shape: tuple[int, int, int]) -> pixels.Pixels:
    """Images (N, H, W) or (N, H, W, C) in the shape that is kept."""
    if block.ndim == 3:
        block = block[..., None]
    if block.shape[1:] == shape:
        return np.ascontiguousarray(block)
    plain = block[..., 0] if block.shape[3] == 1 else block
    return np.stack([pixels.fit(Image.fromarray(one), *shape) for one in plain])
