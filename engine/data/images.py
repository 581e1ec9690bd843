"""Class folders of image files → one array of pixels.

The files are looked at twice: their headers decide the size and the channels, then each is
decoded straight to its place in the array. Both passes are shared out over a few processes.
"""

from __future__ import annotations

import os
import re
import statistics
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.catalog import BadInput
from engine.data import pixels
from engine.data.archive import (
    ARCHIVES,
    Entry,
    Read,
    Source,
    Unreadable,
    listing,
    one_line,
    require_space,
    shown,
)
from engine.data.arrays import Manifest, contiguous, counted, empty_array, write
from engine.data.crew import Crew, Pace, processors
from engine.data.options import ImportOptions, Step, step
from engine.data.splits import FEWEST, SPLITS, Rows, Split, stratified

SQUARES = (28, 32, 48, 64, 96, 128)
"""Sides that images of different sizes are scaled to."""
LARGEST_KEPT = 256
"""Images that all have one size keep it up to this side."""
LARGEST_FILE = 256 * 2**20
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
SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}

FEW_FILES, FEW_BYTES = 400, 8 * 2**20
"""Below both, decoding takes less time than starting processes for it."""
BLOCK = 4 * 2**20
"""Bytes of pixels that one job decodes: often enough for progress, seldom enough to be cheap."""
HEADERS = 1000
"""Headers that one job reads."""
PREFIX = 64 * 2**10
"""Bytes in which nearly every header lies."""


# --- where the files lie --------------------------------------------------------------------


@dataclass
class Layout:
    """What the folders say: each file's class, and its split where folders name one."""

    files: list[Entry] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[Split | None] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def arrange(entries: Sequence[Entry], archive: str) -> Layout:
    """Classes and splits from the folders. BadInput says how the folders should lie."""
    images = [entry for entry in entries if _is_image(entry)]
    if not images:
        raise BadInput(_no_images(entries, archive))
    paths = _without_wrappers([entry.path for entry in images])
    named = _split_folders(paths, archive)
    layout, outside, deeper = Layout(), [], 0
    if left_out := [entry.name for entry in entries if not _is_image(entry)]:
        layout.warnings.append(f"Left out, for they aren't images: {_some(left_out)}")
    for entry, path in zip(images, paths, strict=True):
        split = named.get(path[0]) if len(path) > 1 else None
        inside = path[1:] if split else path
        label = one_line(inside[0]) if len(inside) > 1 else ""
        if not label or (named and split is None):
            outside.append(entry.name)
            continue
        if len(label.encode("utf-8", "replace")) > 255:
            raise BadInput(
                f"{archive}: the folder {shown(label, most=40)} has a name of more than "
                "255 bytes: give it a shorter one"
            )
        deeper += len(inside) > 2
        layout.files.append(entry)
        layout.labels.append(label)
        layout.splits.append(split)
    if not layout.files:
        raise BadInput(
            f"{archive} has no class folders: put the images of each class into a "
            "folder with the class's name (cat/1.jpg, dog/2.jpg) and pack those"
        )
    if outside:
        layout.warnings.append(f"Left out, for they lie in no class folder: {_some(outside)}")
    if deeper:
        layout.warnings.append(
            f"{deeper:,} files lie in folders inside a class folder; they count to that class"
        )
    present = {split for split in layout.splits if split}
    if present and "train" not in present and len(present) > 1:
        raise BadInput(
            f"{archive} has folders for {' and '.join(sorted(present))} but none named "
            "train: add it, or leave those folders out and it is split for you"
        )
    if len(present) < 2:  # one split alone says nothing about the others
        layout.splits = [None] * len(layout.files)
    return layout


def _ending(entry: Entry) -> str:
    return os.path.splitext(entry.path[-1])[1].lower()  # noqa: PTH122 (not a path on this machine)


def _is_image(entry: Entry) -> bool:
    return _ending(entry) in ENDINGS or _ending(entry) in FOREIGN


def _no_images(entries: Sequence[Entry], archive: str) -> str:
    if not entries:
        return f"{archive} is empty: pack folders of images, one folder a class"
    if all(_ending(entry) in ARCHIVES for entry in entries):
        return (
            f"{archive} holds only other archives ({_some([e.name for e in entries])}): unpack "
            "them, and pack the folders of images themselves"
        )
    if tables := [e.name for e in entries if _ending(e) in {".csv", ".tsv", ".npz", ".npy"}]:
        return (
            f"{archive} holds no images but {_some(tables)}: for sequences import the CSV or "
            "NPZ file itself, not packed"
        )
    return (
        f"{archive} holds no images ({_some([e.name for e in entries])}): pack folders of "
        "JPEG, PNG, GIF, BMP, WebP or TIFF files, one folder a class"
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(shown(name) for name in names[:5]) + more


def _without_wrappers(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The paths without the folders that hold everything, as archives of one folder have."""
    while (
        len({path[0] for path in paths}) == 1
        and paths[0][0].lower() not in SPLIT_FOLDERS
        # Folders are left for the classes, but for a few files that stray.
        and sum(len(path) > 2 for path in paths) > len(paths) / 2
    ):
        paths = [path[1:] for path in paths if len(path) > 1]
    return paths


def _split_folders(paths: list[tuple[str, ...]], archive: str) -> dict[str, Split]:
    """The top folders that are splits: those so named that hold folders rather than images."""
    deep = Counter(path[0] for path in paths if len(path) > 2)
    tops = Counter(path[0] for path in paths if len(path) > 1)
    named = {
        top: SPLIT_FOLDERS[top.lower()]
        for top in tops
        if top.lower() in SPLIT_FOLDERS and deep[top] > tops[top] / 2
    }
    others = [top for top in tops if top.lower() not in SPLIT_FOLDERS]
    if others and len(set(named.values())) > 1:
        raise BadInput(
            f"{archive} has folders for {' and '.join(sorted(named))} and beside them "
            f"{_some(sorted(others))}: move those into one of the splits or take them "
            "out"
        )
    return {} if others else named


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts 2 before 10, and a before B."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p], name


# --- what a process does --------------------------------------------------------------------


class Trouble(NamedTuple):
    """A file that can't be read, by its number among the files, and why."""

    number: int
    why: str


class Digest(NamedTuple):
    """SHA-256 of the source."""

    value: str


class Headers(NamedTuple):
    """Of files `first` on: width, height, grey; zeros where there is trouble."""

    first: int
    values: list[tuple[int, int, bool]]
    trouble: list[Trouble]


class Decoded(NamedTuple):
    """How many files were decoded, and how often each value occurs in each channel."""

    files: int
    histogram: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    trouble: list[Trouble]


class Place(NamedTuple):
    """Where pixels go: a file, where its first item begins, and the shape of an item."""

    file: Path
    begin: int
    shape: tuple[int, int, int]


def digest(source: Source, entries: Sequence[Entry]) -> Digest:
    return Digest(source.digest(entries))


def survey(source: Source, first: int, entries: Sequence[Entry]) -> Headers:
    """Read the headers of some files."""
    values: list[tuple[int, int, bool]] = []
    trouble: list[Trouble] = []
    with source.reading() as read, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd but readable files
        for number, entry in enumerate(entries, first):
            try:
                values.append(_header(read, entry))
            except (Unreadable, pixels.NotAnImage) as problem:
                values.append((0, 0, True))
                trouble.append(Trouble(number, str(problem)))
    return Headers(first, values, trouble)


def _header(read: Read, entry: Entry) -> tuple[int, int, bool]:
    if entry.size > LARGEST_FILE:
        raise pixels.NotAnImage(f"is larger than {LARGEST_FILE // 2**20} MB")
    try:
        found = pixels.header(read(entry, PREFIX))
    except pixels.NotAnImage:
        if entry.size <= PREFIX:
            raise
        found = pixels.header(read(entry, None))
    return found.width, found.height, found.grey


def decode(source: Source, place: Place, row: int, files: Sequence[tuple[int, Entry]]) -> Decoded:
    """Decode some files, each given with its number, to `row` and the rows after it."""
    block = np.zeros((len(files), *place.shape), np.uint8)
    good = np.ones(len(files), bool)
    trouble = []
    with source.reading() as read, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd but readable files
        for i, (number, entry) in enumerate(files):
            try:
                block[i] = pixels.decode(read(entry, None), *place.shape)
            except (Unreadable, pixels.NotAnImage) as problem:
                good[i] = False
                trouble.append(Trouble(number, str(problem)))
    # Written, not mapped: pages of a mapped file would count as this process's memory.
    with place.file.open("r+b") as out:
        out.seek(place.begin + row * block[0].nbytes)
        out.write(block.data)
    histogram = pixels.histogram(block if good.all() else block[good])
    return Decoded(len(files), histogram, trouble)


# --- the import -----------------------------------------------------------------------------


def read(
    source: Path, into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Manifest]:
    """Import an archive or a folder of class folders into the folder `into`, which is there.

    What is needed meanwhile goes to the folder `scratch`. BadInput says what is wrong with the
    source, where in it, and how to mend it.
    """
    opened, entries = yield from listing(source, scratch)
    layout = arrange(entries, source.name)
    said = layout.warnings
    small = len(layout.files) < FEW_FILES and sum(e.size for e in layout.files) < FEW_BYTES
    with Crew(0 if small else min(processors(), 8), log=scratch / "crew.log") as crew:
        fingerprint, headers, trouble = yield from _look(crew, opened, layout)
        _judge(trouble, layout, options, said)
        bad = {number for number, _ in trouble}
        kept = np.array([n for n in range(len(layout.files)) if n not in bad], np.int64)
        shape = shape_of(headers[kept], options.size)
        names = sorted({layout.labels[n] for n in kept}, key=natural)
        if lost := sorted(set(layout.labels) - set(names), key=natural):
            said.append(f"Classes left out, for none of their images can be read: {_some(lost)}")
        labels, parts = divide(layout, kept, names, options, source.name, said)
        order, splits = contiguous(parts)
        require_space(into, len(order) * int(np.prod(shape)))
        file = into / "images.npy"
        place = Place(file, empty_array(file, np.uint8, (len(order), *shape)), shape)
        histogram, trouble = yield from _fill(crew, opened, layout, kept[order], splits, place)
    if trouble:
        _judge(trouble, layout, options, said)
        # The splits lose what can't be decoded; which items are where stays as it was.
        bad = {number for number, _ in trouble}
        good = np.array([kept[row] not in bad for row in order])
        splits = _close_up(place, good, splits)
        order = order[good]
    counts = counted(labels[order], splits, len(names))
    emptied = [name for name, n in zip(names, counts["train"], strict=True) if not n]
    emptied += [split for split in SPLITS if not sum(counts[split])]
    if emptied:
        raise BadInput(
            f"{source.name}: without the unreadable images too little is left of "
            f"{_some(emptied)}: mend them or take the folder out"
        )
    mean, std = moments(histogram)
    manifest = Manifest(
        kind="images",
        source=one_line(source.name),
        fingerprint=fingerprint,
        options=options,
        classes=tuple(names),
        shape=shape,
        splits=splits,
        counts=counts,
        mean=mean,
        std=std,
        warnings=tuple(said),
    )
    names_of_items = [layout.files[n].name for n in kept[order]]
    write(into, manifest, labels=labels[order], names=names_of_items)
    yield step(0.99, f"{len(order):,} images are ready")
    return manifest


def _look(
    crew: Crew, source: Source, layout: Layout
) -> Generator[Step, None, tuple[str, Rows, list[Trouble]]]:
    """The source's digest, and (N, 3) width, height, grey of every file."""
    count = len(layout.files)
    headers = np.zeros((count, 3), np.int64)
    trouble: list[Trouble] = []
    fingerprint, done, pace = "", 0, Pace()
    jobs: list[Callable[[], Digest | Headers]] = [partial(digest, source, layout.files)]
    jobs += [
        partial(survey, source, first, layout.files[first : first + HEADERS])
        for first in range(0, count, HEADERS)
    ]
    with closing(crew.share(jobs)) as results:
        for result in results:
            if isinstance(result, Digest):
                fingerprint = result.value
            elif isinstance(result, Headers):
                headers[result.first : result.first + len(result.values)] = result.values
                trouble += result.trouble
                done += len(result.values)
            if pace.due():
                yield step(0.05 + 0.25 * done / count, f"Looking at {done:,} of {count:,} images")
    return fingerprint, headers, trouble


def _fill(
    crew: Crew,
    source: Source,
    layout: Layout,
    numbers: Rows,
    splits: dict[Split, tuple[int, int]],
    place: Place,
) -> Generator[Step, None, tuple[Rows, list[Trouble]]]:
    """Decode the files of those numbers to the array's rows; the training split's histogram."""
    rows = max(1, BLOCK // int(np.prod(place.shape)))
    jobs, training = [], splits["train"][1]
    # A job's rows are all of one split, so that its histogram is too.
    for start, stop in splits.values():
        for row in range(start, stop, rows):
            some = numbers[row : min(row + rows, stop)].tolist()
            files = [(number, layout.files[number]) for number in some]
            jobs.append(partial(_decode_of, row < training, source, place, row, files))
    histogram = np.zeros((place.shape[2], 256), np.int64)
    trouble: list[Trouble] = []
    done, pace = 0, Pace()
    with closing(crew.share(jobs)) as results:
        for result in results:
            if result is not None:
                train, decoded = result
                done += decoded.files
                trouble += decoded.trouble
                if train:
                    histogram += decoded.histogram
            if pace.due():
                text = f"Decoding {done:,} of {len(numbers):,} images"
                yield step(0.3 + 0.68 * done / len(numbers), text)
    return histogram, trouble


def _decode_of(
    train: bool, source: Source, place: Place, row: int, files: Sequence[tuple[int, Entry]]
) -> tuple[bool, Decoded]:
    return train, decode(source, place, row, files)


def _judge(trouble: list[Trouble], layout: Layout, options: ImportOptions, said: list[str]) -> None:
    """Refuse unreadable files, or say which were skipped where that is asked for."""
    if not trouble:
        return
    trouble.sort()
    listed = "; ".join(f"{shown(layout.files[n].name)} {why}" for n, why in trouble[:5])
    more = f"; and {len(trouble) - 5:,} more" if len(trouble) > 5 else ""
    if not options.skip_broken:
        raise BadInput(
            f"{len(trouble):,} of {len(layout.files):,} images can't be read: {listed}"
            f"{more}. Take them out or save them again, or import with “skip "
            "unreadable files”",
            field="skip_broken",
        )
    if len(trouble) == len(layout.files):
        raise BadInput(f"None of the {len(trouble):,} images can be read: {listed}{more}")
    said.append(f"{len(trouble):,} unreadable images were skipped: {listed}{more}")


def shape_of(headers: Rows, size: int | None) -> tuple[int, int, int]:
    """(H, W, C) for images of those (N, 3) widths, heights and greys."""
    channels = 1 if headers[:, 2].all() else 3
    if size:
        return size, size, channels
    width, height = (int(side) for side in headers[0, :2])
    if (headers[:, :2] == (width, height)).all() and max(width, height) <= LARGEST_KEPT:
        return height, width, channels
    middle = statistics.median(headers[:, :2].min(axis=1).tolist())
    side = min(SQUARES, key=lambda square: abs(square - middle))
    return side, side, channels


def divide(
    layout: Layout,
    kept: Rows,
    names: Sequence[str],
    options: ImportOptions,
    archive: str,
    said: list[str],
) -> tuple[Rows, dict[Split, Rows]]:
    """Labels of the kept files, and the places in `kept` that belong to each split."""
    index = {name: i for i, name in enumerate(names)}
    labels = np.array([index[layout.labels[n]] for n in kept], np.int64)
    if len(names) < 2:
        raise BadInput(
            f"{archive} has only one class, {shown(names[0])}: there must be at least "
            "two class folders to tell apart"
        )
    given = np.array([SPLITS.index(s) if (s := layout.splits[n]) else -1 for n in kept])
    if given[0] < 0:
        _enough(labels, names, archive)
        return labels, stratified(
            labels, seed=options.seed, validation=options.validation, test=options.test
        )
    parts = {split: np.flatnonzero(given == i) for i, split in enumerate(SPLITS)}
    train = parts["train"]
    missing = [split for split in SPLITS if not len(parts[split])]
    for lacking in missing:  # at most one: train is there, and one of the others
        share = options.validation if lacking == "validation" else options.test
        carved = stratified(labels[train], seed=options.seed, validation=share, test=0)
        parts["train"], parts[lacking] = train[carved["train"]], train[carved["validation"]]
        if not len(parts[lacking]):
            raise BadInput(
                f"{archive} has no {lacking} folder, and its train folder has too few "
                "images to take some for it: add that folder, or more images"
            )
    _known(labels, parts, names, archive, said)
    return labels, parts


def _enough(labels: Rows, names: Sequence[str], archive: str) -> None:
    counts = np.bincount(labels, minlength=len(names)).tolist()
    poor = [n for n in range(len(names)) if counts[n] < FEWEST]
    if poor:
        count = f"{counts[poor[0]]} image{'' if counts[poor[0]] == 1 else 's'}"
        more = f" (and {len(poor) - 1:,} more classes have too few)" if len(poor) > 1 else ""
        raise BadInput(
            f"{archive}: class {shown(names[poor[0]])} has {count}{more}, and needs at "
            f"least {FEWEST}, for training, validation and test. Add images, or take "
            "the folder out"
        )


def _known(
    labels: Rows, parts: dict[Split, Rows], names: Sequence[str], archive: str, said: list[str]
) -> None:
    """Every class must be trained on; a class that isn't tested is worth a word."""
    trained = set(labels[parts["train"]].tolist())
    for split in ("validation", "test"):
        present = set(labels[parts[split]].tolist())
        if strange := sorted(present - trained):
            raise BadInput(
                f"{archive}: {_some([names[i] for i in strange])} in {split} is in no "
                "folder of train: add it there, or give the folders the same names"
            )
        if present and (absent := sorted(trained - present)):
            said.append(f"No images in {split} of {_some([names[i] for i in absent])}")


def moments(histogram: Rows) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel in 0…1 from how often each value occurs.

    Exact however many pixels there are. A deviation of 0 is given as 1, to be divided by.
    """
    values = np.arange(256) / 255
    share = histogram / histogram.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())


def _close_up(
    place: Place,
    good: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    splits: dict[Split, tuple[int, int]],
) -> dict[Split, tuple[int, int]]:
    """Take the rows that are not good out of the array's file; the splits as they are then."""
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
    before = np.concatenate([[0], np.cumsum(good)])
    return {split: (int(before[a]), int(before[b])) for split, (a, b) in splits.items()}
