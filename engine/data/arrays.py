"""A dataset as it lies in its folder: arrays that are mapped, and what explains them.

The items are written once, in the order in which they came, and never changed. What a person
changes (labels, classes, which items belong to which split) is a version: small files beside them.

===========================  ================================================================
file                         content
===========================  ================================================================
manifest.json                `Manifest`
names.json                   a name for each item
groups.json                  columns by which items can be kept together: {column: [value, …]}
images.npy                   images: uint8 (N, H, W, C)
sizes.npy                    images, where they weren't all alike: int64 (N, 2), width and height
values.*                     sequences: float32, steps of D features
text.*                       text: UTF-8
source.* target.*            pairs: UTF-8
waves.*                      sound: int16, one channel
transcripts.*                sound, where it has some: UTF-8
synthetic.npy                bool (N): which items were made by models, where some were
versions/1/version.json      `Version`
versions/1/labels.npy        int64 (N): indices into the version's classes (where it has some)
versions/1/splits.npy        int8 (N): index into `SPLITS`, `LEFT_OUT` (−1) for none
versions/1/findings.json     what is wrong with it (`engine.data.doctor`)
===========================  ================================================================

``values.*`` is ``values.npy`` (all steps end to end) and ``values.offsets.npy`` int64 (N + 1); item
i is ``values[offsets[i]:offsets[i + 1]]``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from engine.catalog import BadInput, Frozen
from engine.data.options import ITEM, ImportOptions, Kind
from engine.data.splits import SPLITS, Rows, Rule, Split, numbered

LEFT_OUT = -1
"""In `Stored.splits`: an item that belongs to no split."""

UNKNOWN = -1
"""In `Stored.labels`: an item that is left out, and whose class is gone."""

RAGGED: dict[str, type[Any]] = {
    "values": np.float32, "text": np.uint8, "source": np.uint8, "target": np.uint8,
    "waves": np.int16, "transcripts": np.uint8,
}  # fmt: skip
"""Arrays of items of unequal length, and what their elements are."""
PARTS: dict[Kind, tuple[str, ...]] = {
    "images": (), "sequences": ("values",), "text": ("text",), "pairs": ("source", "target"),
    "sound": ("waves",),
}  # fmt: skip
"""The ragged arrays that every dataset of a kind has."""


class Manifest(Frozen):
    """What the items of a dataset's folder are."""

    layout: Literal[2] = 2
    """Of the files: another where older programs can't read it."""
    kind: Kind
    source: str
    """Name of the file or folder that was imported."""
    fingerprint: str
    """SHA-256 of what was imported. Other options give other arrays of the same fingerprint."""
    options: ImportOptions
    items: int
    shape: tuple[int, ...] = ()
    """Of one item: (H, W, C), or (D,) for the steps of a sequence; () for text and sound."""
    features: tuple[str, ...] = ()
    """Names of a sequence's columns."""
    rate: int | None = None
    """Sound: samples a second."""
    columns: dict[str, str] = {}  # noqa: RUF012, each has its own copy
    """What was read from which column of a table, and which delimiter and encoding it had."""
    groups: tuple[str, ...] = ()
    """Columns by which items can be kept together."""
    transcribed: bool = False
    """Sound: every recording has a transcript."""
    running: bool = False
    """Text: the items are pieces of one text, in its order. Sequences: of one series, or of each
    that the column “series” among the groups names."""
    origin: str = ""
    """The address that it was fetched from; empty for what a person gave."""
    licence: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def content(self) -> str:
        """Tells these items from others: what was read, and every option that decides how."""
        options = self.options.model_dump(
            mode="json", exclude={"group", "split", "seed", "validation", "test"}
        )
        return json.dumps([self.fingerprint, self.kind, self.items, self.shape, self.rate, options])


class Version(Frozen):
    """One state of what a person can change."""

    number: int
    parent: int | None = None
    made: float
    """Unix time."""
    change: str
    """A sentence: what is different from the parent."""
    classes: tuple[str, ...]
    """Empty without labels."""
    rule: Rule
    counts: dict[Split, tuple[int, ...]]
    """Items of each class; one number without labels."""
    left_out: int = 0
    """Items that belong to no split."""
    fingerprint: str
    """Changes when the items, their labels or their splits do."""


@dataclass
class Items:
    """What an importer has read: the arrays lie in the folder, the rest is here."""

    kind: Kind
    fingerprint: str
    names: Sequence[str]
    """One for each item: a path in the archive, or a row of the table."""
    labels: Sequence[str] | None = None
    """The class of each item."""
    splits: Sequence[Split | None] | None = None
    """Where the source says it, each item's split."""
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    features: tuple[str, ...] = ()
    rate: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    transcribed: bool = False
    running: bool = False
    warnings: list[str] = field(default_factory=list)
    synthetic: npt.NDArray[np.bool_] | None = None
    """Which items were made by models (N,); then the splits stay as they are given."""


@dataclass(frozen=True)
class Ragged:
    """Items of unequal length, end to end: item i is ``flat[offsets[i]:offsets[i + 1]]``."""

    flat: npt.NDArray[Any]
    offsets: Rows

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> npt.NDArray[Any]:
        return self.flat[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Rows:
        """Elements of each item."""
        return np.diff(self.offsets)

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Ragged:
        """Texts as UTF-8, in memory."""
        raw = [text.encode("utf-8", "replace") for text in texts]
        offsets = np.cumsum([0, *map(len, raw)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(raw), np.uint8), offsets)

    def text(self, row: int) -> str:
        """An item that is UTF-8, as text."""
        return self[row].tobytes().decode("utf-8", "replace")


class RaggedWriter:
    """Writes items of unequal length one after another, however many there are.

    ``with RaggedWriter(folder, "text") as out: out.add(…)`` leaves both files when it ends.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...] = ()) -> None:
        self.folder, self.name, self.shape = folder, name, shape
        self.dtype = np.dtype(RAGGED[name])
        self.lengths: list[int] = []
        self.file = (folder / f"{name}.npy").open("wb")
        self.header = self._begin(0)

    def _begin(self, count: int) -> int:
        # NumPy leaves room in the header for the first length to grow.
        np.lib.format.write_array_header_1_0(self.file, {
            "descr": self.dtype.str, "fortran_order": False, "shape": (count, *self.shape),
        })  # fmt: skip
        return self.file.tell()

    def add(self, item: npt.NDArray[Any]) -> None:
        """The next item: (length, *shape)."""
        array = np.ascontiguousarray(item, self.dtype)
        assert array.shape[1:] == self.shape
        self.lengths.append(len(array))
        self.file.write(array.data if array.size else b"")

    def add_text(self, text: str) -> None:
        """The next item, as UTF-8; half a surrogate pair, which has none, becomes “?”."""
        raw = text.encode("utf-8", "replace")
        self.lengths.append(len(raw))
        self.file.write(raw)

    def __enter__(self) -> RaggedWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.file:
            if kind is None:
                offsets = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
                self.file.seek(0)
                assert self._begin(int(offsets[-1])) == self.header
                np.save(self.folder / f"{self.name}.offsets.npy", offsets.astype(np.int64))


class Stored:
    """An imported dataset in one of its versions, opened: nothing is read until it is looked at.

    BadInput if the folder isn't a whole dataset, or hasn't that version.
    """

    def __init__(self, folder: Path, version: int | None = None) -> None:
        self.folder = folder
        try:
            text = (folder / "manifest.json").read_text(encoding="utf-8")
            self.manifest = Manifest.model_validate_json(text)
        except FileNotFoundError:
            raise BadInput(f"There is no imported dataset in {folder}: import it again") from None
        except (OSError, UnicodeDecodeError, ValidationError):
            raise damaged(folder, "manifest.json") from None
        number = version if version is not None else max(numbers(folder), default=1)
        self.version = read_version(folder, number)
        self.at = version_folder(folder, number)
        count = self.manifest.items
        self.splits: npt.NDArray[np.int8] = self._load(self.at / "splits.npy", np.int8, (count,))
        if count and not LEFT_OUT <= self.splits.min() <= self.splits.max() < len(SPLITS):
            raise damaged(folder, "splits.npy")
        self.labels: Rows | None = None
        if self.classes:
            self.labels = self._load(self.at / "labels.npy", np.int64, (count,))
            used = self.labels[self.splits != LEFT_OUT]
            if len(used) and not 0 <= used.min() <= used.max() < len(self.classes):
                raise damaged(folder, "labels.npy")

    def _load(self, path: Path, dtype: type[Any], shape: tuple[int | None, ...]) -> Any:
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise damaged(self.folder, path.name) from None
        fits = array.ndim == len(shape) and all(
            wanted in (None, side) for wanted, side in zip(shape, array.shape, strict=True)
        )
        if array.dtype != dtype or not fits:
            raise damaged(self.folder, path.name)
        return array.view(np.ndarray)

    def __len__(self) -> int:
        return self.manifest.items

    @property
    def kind(self) -> Kind:
        return self.manifest.kind

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one item: (H, W, C), or (D,) for the steps of a sequence; () for text and sound."""
        return self.manifest.shape

    @property
    def classes(self) -> tuple[str, ...]:
        return self.version.classes

    @property
    def provides(self) -> tuple[str, ...]:
        """What the catalogue's tasks and models can ask of it."""
        said = [ITEM[self.kind]]
        if self.classes:
            said.append("label")
        if self.manifest.transcribed:
            said.append("transcript")
        if self.kind == "pairs":
            said.append("target")
        return tuple(said)

    @cached_property
    def images(self) -> npt.NDArray[np.uint8]:
        """uint8 (N, H, W, C)"""
        shape = (len(self), *self.shape)
        return self._load(self.folder / "images.npy", np.uint8, shape)  # type: ignore[no-any-return]

    @cached_property
    def sizes(self) -> Rows | None:
        """Pictures as they came: width and height in pixels (N, 2); None where all were alike."""
        path = self.folder / "sizes.npy"
        return self._load(path, np.int64, (len(self), 2)) if path.exists() else None

    @cached_property
    def synthetic(self) -> npt.NDArray[np.bool_]:
        """Which items were made by models (N,): they only ever train."""
        path = self.folder / "synthetic.npy"
        if not path.exists():
            return np.zeros(len(self), np.bool_)
        return self._load(path, np.bool_, (len(self),))  # type: ignore[no-any-return]

    def ragged(self, name: str) -> Ragged:
        """One of the arrays of `RAGGED` that its kind has."""
        offsets = self._load(self.folder / f"{name}.offsets.npy", np.int64, (len(self) + 1,))
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise damaged(self.folder, f"{name}.offsets.npy")
        shape = (int(offsets[-1]), *(self.shape if name == "values" else ()))
        return Ragged(self._load(self.folder / f"{name}.npy", RAGGED[name], shape), offsets)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for each item: its path in the archive, or its row in the table."""
        try:
            names = json.loads((self.folder / "names.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise damaged(self.folder, "names.json") from None
        if not isinstance(names, list) or len(names) != len(self):
            raise damaged(self.folder, "names.json")
        return tuple(map(str, names))

    @cached_property
    def series(self) -> Rows | None:
        """Which series each item is a piece of, in the order of time (N,); None where each
        sequence stands by itself."""
        if self.kind != "sequences" or not self.manifest.running:
            return None
        several = "series" in self.manifest.groups
        return numbered(self.group("series") if several else ("",) * len(self))

    def group(self, column: str) -> tuple[str, ...]:
        """Each item's value in a column that items can be grouped by. BadInput names those."""
        if column not in self.manifest.groups:
            known = ", ".join(self.manifest.groups) or "none"
            raise BadInput(f"There is no column {column!r} to group by (there is: {known})")
        try:
            return tuple(json.loads((self.folder / "groups.json").read_text("utf-8"))[column])
        except (OSError, ValueError, LookupError):
            raise damaged(self.folder, "groups.json") from None

    def rows(self, split: Split) -> Rows:
        """The items of a split, as indices."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def meta(self) -> dict[str, Any]:
        """What the history keeps of it: the manifest and the version, as one JSON object."""
        version = self.version.model_dump(mode="json")
        past = [read_version(self.folder, n) for n in numbers(self.folder)]
        return {
            **self.manifest.model_dump(mode="json"),
            **{name: version[name] for name in ("classes", "counts", "left_out", "rule")},
            "version": self.version.number,
            "versions": [{"number": v.number, "parent": v.parent, "made": v.made,
                          "change": v.change} for v in past],
        }  # fmt: skip


def damaged(folder: Path, name: str) -> BadInput:
    """What is said of a dataset's folder that isn't as it was written."""
    return BadInput(
        f"The imported dataset in {folder} is damaged ({name}): remove it and import it again"
    )


# --- versions on the disk -------------------------------------------------------------------


def version_folder(folder: Path, number: int) -> Path:
    return folder / "versions" / str(int(number))


def numbers(folder: Path) -> list[int]:
    """The versions that a dataset has, in order."""
    found = (folder / "versions").glob("[1-9]*")
    return sorted(int(path.name) for path in found if path.name.isdecimal())


def read_version(folder: Path, number: int) -> Version:
    """BadInput when there is none of that number, or it is damaged."""
    try:
        text = (version_folder(folder, number) / "version.json").read_text("utf-8")
        return Version.model_validate_json(text)
    except FileNotFoundError:
        have = ", ".join(map(str, numbers(folder))) or "none"
        raise BadInput(f"This dataset has no version {number} (it has: {have})") from None
    except (OSError, UnicodeDecodeError, ValidationError):
        raise damaged(folder, "version.json") from None


def write_version(
    folder: Path,
    number: int,
    *,
    content: str,
    parent: int | None,
    made: float,
    change: str,
    classes: Sequence[str],
    labels: Rows | None,
    splits: npt.NDArray[np.int8],
    rule: Rule,
) -> Version:
    """Write a version's files into the new folder `folder`; `content` tells the items apart."""
    folder.mkdir(parents=True)
    digest = hashlib.sha256(json.dumps([content, list(classes)]).encode())
    digest.update(splits.tobytes())
    if labels is not None:
        digest.update(labels.tobytes())
        np.save(folder / "labels.npy", labels, allow_pickle=False)
    np.save(folder / "splits.npy", splits, allow_pickle=False)
    version = Version(
        number=number, parent=parent, made=made, change=change, classes=tuple(classes), rule=rule,
        counts=counted(labels, splits, len(classes)), left_out=int((splits == LEFT_OUT).sum()),
        fingerprint=digest.hexdigest(),
    )  # fmt: skip
    (folder / "version.json").write_text(version.model_dump_json(indent=1), encoding="utf-8")
    return version


def counted(
    labels: Rows | None, splits: npt.NDArray[np.int8], classes: int
) -> dict[Split, tuple[int, ...]]:
    """Items of each class in each split; one number a split without labels."""
    chosen = {split: splits == i for i, split in enumerate(SPLITS)}
    if labels is None:
        return {split: (int(mask.sum()),) for split, mask in chosen.items()}
    return {
        split: tuple(np.bincount(labels[mask], minlength=classes).tolist())
        for split, mask in chosen.items()
    }


def write_items(
    folder: Path, items: Items, *, source: str, options: ImportOptions, origin: str, licence: str
) -> Manifest:
    """The files that say what the arrays in the folder are."""
    plain = [name.encode("utf-8", "replace").decode() for name in items.names]
    (folder / "names.json").write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")
    if items.synthetic is not None:
        np.save(folder / "synthetic.npy", items.synthetic, allow_pickle=False)
    if items.groups:
        groups = {column: list(values) for column, values in items.groups.items()}
        (folder / "groups.json").write_text(json.dumps(groups), encoding="utf-8")
    manifest = Manifest(
        kind=items.kind, source=source, fingerprint=items.fingerprint, options=options,
        items=len(items.names), shape=items.shape, features=items.features, rate=items.rate,
        columns=dict(items.columns), groups=tuple(items.groups), transcribed=items.transcribed,
        running=items.running,
        origin=origin, licence=licence, warnings=tuple(items.warnings),
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return manifest


def empty_array(path: Path, dtype: type[Any], shape: tuple[int, ...]) -> int:
    """A .npy file with room for such an array, its space on the disk taken; where its data begin.

    Taking the space first makes a full disk an error here and not a fault while it is written.
    """
    kind = np.dtype(dtype)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": kind.str, "fortran_order": False, "shape": shape}
        )
        begin = file.tell()
        size = begin + int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        file.truncate(size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
    return begin
