"""A dataset as it lies in its folder: arrays that are mapped, and a manifest that explains them.

=============  ===============================================================================
file           content
=============  ===============================================================================
manifest.json  `Manifest`
names.json     a name for each item, in the items' order
labels.npy     int64 (N): indices into the manifest's classes
images.npy     images: uint8 (N, H, W, C)
values.npy     sequences: float32 (all steps, D)
offsets.npy    sequences: int64 (N + 1); item i is ``values[offsets[i]:offsets[i + 1]]``
=============  ===============================================================================

Items are ordered by split: train, then validation, then test.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from engine.catalog import BadInput, Frozen
from engine.data.options import ImportOptions
from engine.data.splits import SPLITS, Rows, Split

Kind = Literal["images", "sequences"]


class Lengths(Frozen):
    """Steps of the sequences."""

    shortest: int
    median: float
    mean: float
    longest: int


class Manifest(Frozen):
    """What the arrays of a dataset's folder are."""

    version: Literal[1] = 1
    """Of the files' layout: another where older programs can't read it."""
    kind: Kind
    source: str
    """Name of the file or folder that was imported."""
    fingerprint: str
    """SHA-256 of what was imported. Other options give other arrays of the same fingerprint."""
    options: ImportOptions
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    """Of one item: (H, W, C), or (D,) for the steps of a sequence."""
    splits: dict[Split, tuple[int, int]]
    """First item of each split, and the one after its last."""
    counts: dict[Split, tuple[int, ...]]
    """Items of each class."""
    mean: tuple[float, ...]
    """Of each channel (pixels in 0…1) or feature, over the training split."""
    std: tuple[float, ...]
    """As `mean`; 1 where everything is equal, so that it can be divided by."""
    features: tuple[str, ...] = ()
    """Names of a sequence's columns."""
    lengths: Lengths | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One split: views that can't be written to."""

    inputs: npt.NDArray[Any]
    """uint8 (n, H, W, C), or float32 (the split's steps, D)."""
    labels: Rows
    """int64 (n)"""
    offsets: Rows | None = None
    """Sequences: int64 (n + 1), counted from the split's own first step."""


class Stored:
    """An imported dataset, opened: nothing is read until it is looked at.

    BadInput if the folder isn't a whole dataset.
    """

    inputs: npt.NDArray[Any]
    labels: Rows
    offsets: Rows | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            text = (folder / "manifest.json").read_text(encoding="utf-8")
            self.manifest = Manifest.model_validate_json(text)
        except FileNotFoundError:
            raise BadInput(f"There is no imported dataset in {folder}: import it again") from None
        except (OSError, UnicodeDecodeError, ValidationError):
            raise _damaged(folder, "manifest.json") from None
        count = max(stop for _, stop in self.manifest.splits.values())
        self.labels = self._load("labels.npy", np.int64, (count,))
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise _damaged(folder, "labels.npy")
        if self.kind == "images":
            self.inputs = self._load("images.npy", np.uint8, (count, *self.shape))
        else:
            self.offsets = self._load("offsets.npy", np.int64, (count + 1,))
            if self.offsets[0] != 0 or (np.diff(self.offsets) < 1).any():
                raise _damaged(folder, "offsets.npy")
            steps = int(self.offsets[-1])
            self.inputs = self._load("values.npy", np.float32, (steps, *self.shape))

    def _load(self, name: str, dtype: type[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        try:
            array = np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise _damaged(self.folder, name) from None
        if array.dtype != dtype or array.shape != shape:
            raise _damaged(self.folder, name)
        return array.view(np.ndarray)  # type: ignore[no-any-return]

    @property
    def kind(self) -> Kind:
        return self.manifest.kind

    @property
    def classes(self) -> tuple[str, ...]:
        return self.manifest.classes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one item: (H, W, C), or (D,) for the steps of a sequence."""
        return self.manifest.shape

    @property
    def mean(self) -> tuple[float, ...]:
        return self.manifest.mean

    @property
    def std(self) -> tuple[float, ...]:
        return self.manifest.std

    @property
    def counts(self) -> dict[Split, tuple[int, ...]]:
        return self.manifest.counts

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for each item: its path in the archive, or what its column `sequence` said."""
        try:
            names = json.loads((self.folder / "names.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise _damaged(self.folder, "names.json") from None
        if not isinstance(names, list) or len(names) != len(self.labels):
            raise _damaged(self.folder, "names.json")
        return tuple(map(str, names))

    def rows(self, split: Split) -> Rows:
        """The items of a split, as indices."""
        return np.arange(*self.manifest.splits[split])

    def part(self, split: Split) -> Part:
        """One split's inputs and labels."""
        start, stop = self.manifest.splits[split]
        if self.offsets is None:
            return Part(self.inputs[start:stop], self.labels[start:stop])
        steps = self.offsets[start : stop + 1]
        offsets = steps - steps[0]
        offsets.flags.writeable = False
        return Part(self.inputs[steps[0] : steps[-1]], self.labels[start:stop], offsets)


def _damaged(folder: Path, name: str) -> BadInput:
    return BadInput(
        f"The imported dataset in {folder} is damaged ({name}): remove it and import it again"
    )


def contiguous(parts: dict[Split, Rows]) -> tuple[Rows, dict[Split, tuple[int, int]]]:
    """The rows of all splits one after another, and where each split then starts and stops."""
    rows = np.concatenate([parts[split] for split in SPLITS])
    stops = np.cumsum([len(parts[split]) for split in SPLITS]).tolist()
    return rows, dict(zip(SPLITS, zip([0, *stops[:-1]], stops, strict=True), strict=True))


def counted(
    labels: Rows, splits: dict[Split, tuple[int, int]], classes: int
) -> dict[Split, tuple[int, ...]]:
    """Items of each class in each split."""
    return {
        split: tuple(np.bincount(labels[start:stop], minlength=classes).tolist())
        for split, (start, stop) in splits.items()
    }


def write(folder: Path, manifest: Manifest, *, labels: Rows, names: list[str]) -> None:
    """The files that every dataset has."""
    np.save(folder / "labels.npy", labels, allow_pickle=False)
    plain = [name.encode("utf-8", "replace").decode() for name in names]
    (folder / "names.json").write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=1), encoding="utf-8")


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
