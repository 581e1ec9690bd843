"""What a person changes in a dataset: each change makes a version, and old ones stay."""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from engine.catalog import BadInput, Frozen
from engine.data.archive import natural, one_line, shown
from engine.data.arrays import (
    LEFT_OUT,
    UNKNOWN,
    Stored,
    Version,
    numbers,
    version_folder,
    write_version,
)
from engine.data.splits import (
    SPLITS,
    Rows,
    Rule,
    Split,
    grouped,
    numbered,
    ordered,
    stratified,
    whole,
)
from engine.home import sync

RowNumbers = tuple[Annotated[int, Field(ge=0, lt=2**63)], ...]
ABANDONED = 3600
"""Seconds after which a version that is still being written is one that was killed."""


class Exclude(Frozen):
    """Items that belong to no split any more."""

    do: Literal["exclude"] = "exclude"
    rows: RowNumbers


class Move(Frozen):
    """Items that belong to another split; also those that were left out."""

    do: Literal["move"] = "move"
    rows: RowNumbers
    split: Split


class Relabel(Frozen):
    """Items that are of another class, which may be new."""

    do: Literal["relabel"] = "relabel"
    rows: RowNumbers
    label: str


class RelabelEach(Frozen):
    """Several relabels in one change."""

    do: Literal["relabels"] = "relabels"
    relabels: tuple[Relabel, ...]


class Merge(Frozen):
    """Classes that are one, under the name `into`; of a single class, a new name."""

    do: Literal["merge"] = "merge"
    classes: tuple[str, ...]
    into: str


class MergeAll(Frozen):
    """Several merges in one change."""

    do: Literal["merges"] = "merges"
    merges: tuple[Merge, ...]


class Divide(Frozen):
    """Another split of everything that isn't left out."""

    do: Literal["split"] = "split"
    rule: Rule


class Restore(Frozen):
    """As it was in an earlier version."""

    do: Literal["restore"] = "restore"
    version: int


Change = Annotated[
    Exclude | Move | Relabel | RelabelEach | Merge | MergeAll | Divide | Restore,
    Field(discriminator="do"),
]
_CHANGE: TypeAdapter[Change] = TypeAdapter(Change)


def change_of(said: Any) -> Change:
    """A change from JSON values. BadInput when it is none."""
    try:
        return _CHANGE.validate_python(said)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"][1:])) or "do"
        raise BadInput(f"This is no change of a dataset: {where}: {first['msg']}") from None


def change(folder: Path, wanted: Change, *, parent: int, why: str = "") -> Version:
    """Make the version that follows from `parent` by that change; it is on the disk, or nothing is.

    `why` is said before what was done. BadInput says why it can't be made.
    """
    before = Stored(folder, parent)
    state = State(before)
    said = state.apply(wanted)
    said = f"{why}: {said}" if why else said
    if not (state.splits >= 0).any():
        raise BadInput("Nothing would be left of the dataset: leave out less")
    state.drop_empty_classes()
    (folder / "versions").mkdir(exist_ok=True)
    _sweep(folder)
    try:
        return _write(folder, before, state, said)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BadInput("The disk is full: make room and try again") from None
        raise


def _write(folder: Path, before: Stored, state: State, said: str) -> Version:
    beside = Path(mkdtemp(dir=folder / "versions", prefix=".new-"))
    try:
        while True:
            number = max(numbers(folder)) + 1
            shutil.rmtree(beside)
            made = write_version(
                beside, number, content=before.manifest.content,
                parent=before.version.number, made=time.time(), change=said,
                classes=state.classes, labels=state.labels, splits=state.splits, rule=state.rule,
            )  # fmt: skip
            for file in beside.iterdir():
                sync(file)
            try:
                beside.rename(version_folder(folder, number))
                return made
            except OSError as problem:  # another window has made that number meanwhile
                if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what killed changes left."""
    for left in (folder / "versions").glob(".new-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


class State:
    """Labels, classes and splits while they are changed."""

    def __init__(self, stored: Stored) -> None:
        self._take(stored)

    def _take(self, stored: Stored) -> None:
        self.stored = stored
        self.classes = list(stored.classes)
        self.labels: Rows | None = None if stored.labels is None else np.array(stored.labels)
        self.splits: npt.NDArray[np.int8] = np.array(stored.splits)
        self.rule = stored.version.rule

    def apply(self, wanted: Change) -> str:
        """Carry out a change; what was done, as a sentence."""
        match wanted:
            case Exclude(rows=rows):
                which = self._items(rows)
                self.splits[which] = LEFT_OUT
                return f"{_items(len(which))} left out"
            case Move(rows=rows, split=split):
                which = self._items(rows)
                if self.labels is not None and (self.labels[which] == UNKNOWN).any():
                    raise BadInput(
                        "The class of these items is gone: label them as one of the classes "
                        "there are, or go back to a version that has theirs"
                    )
                if split != "train" and self.stored.synthetic[which].any():
                    raise BadInput(
                        "Some of these items were made by a model: they are to learn from, and "
                        "would tell nothing as validation or test"
                    )
                learned = self.splits[which] == SPLITS.index("train")
                if split != "train" and learned.any() and len(self._reworded()):
                    raise BadInput(
                        "Texts to learn from were translated there and back here, and these may be "
                        "among them: a model would be tested on what it has read in other words. "
                        "Leave them out, or split anew, which leaves out what was translated"
                    )
                self.splits[which] = SPLITS.index(split)
                return f"{_items(len(which))} moved to {split}"
            case RelabelEach(relabels=relabels):
                if not relabels:
                    raise BadInput("No item is chosen")
                return "; ".join(self.apply(one) for one in relabels)
            case Relabel(rows=rows, label=label):
                which = self._items(rows)
                code = self._class(label)
                assert self.labels is not None
                self.labels[which] = code
                if not (self.splits[self.labels == code] >= 0).any():
                    raise BadInput(
                        f"{shown(self.classes[code])} would have no item that isn't left out: "
                        "label them as one of the classes there are, and move them to a split"
                    )
                return f"{_items(len(which))} labelled {shown(self.classes[code])}"
            case Merge():
                return self._merge(wanted)
            case MergeAll(merges=merges):
                if not merges:
                    raise BadInput("No class is chosen")
                return "; ".join(self._merge(one) for one in merges)
            case Divide(rule=rule):
                return self._divide(rule)
            case Restore(version=version):
                return self._restore(version)

    def _items(self, rows: RowNumbers) -> Rows:
        which = np.unique(np.array(rows, np.int64))
        if not len(which):
            raise BadInput("No item is chosen")
        if which[-1] >= len(self.splits):
            raise BadInput(f"There is no item {which[-1]}: the dataset has {len(self.splits):,}")
        return which

    def _reworded(self) -> Rows:
        """Texts in the splits that models have made of others: of which, nothing says."""
        made = (self.splits >= 0) & self.stored.synthetic & (self.stored.kind == "text")
        return np.flatnonzero(made)

    def _class(self, label: str) -> int:
        name = one_line(label)
        if self.labels is None:
            raise BadInput("This dataset has no labels")
        if not name or len(name.encode()) > 255:
            raise BadInput("A class needs a name of at most 255 bytes")
        if name not in self.classes:
            self.classes.append(name)
        return self.classes.index(name)

    def _merge(self, wanted: Merge) -> str:
        if missing := [name for name in wanted.classes if name not in self.classes]:
            raise BadInput(f"There is no class {shown(missing[0])}")
        if not wanted.classes:
            raise BadInput("No class is chosen")
        codes = [self.classes.index(name) for name in wanted.classes]
        into = self._class(wanted.into)
        assert self.labels is not None
        if set(codes) == {into}:
            raise BadInput(f"{shown(self.classes[into])} is the name that it has already")
        self.labels[np.isin(self.labels, codes)] = into
        names = ", ".join(shown(name) for name in wanted.classes if name != self.classes[into])
        return f"{names} became {shown(self.classes[into])}"

    def _divide(self, rule: Rule) -> str:
        # What was made stays where it is: with what is learned from.
        kept = np.flatnonzero((self.splits >= 0) & ~self.stored.synthetic)
        if self.stored.series is not None and rule.how == "random":
            # What comes later isn't known before.
            rule = rule.model_copy(update={"how": "ordered"})
        parts = divided(self.stored, kept, self.labels, rule)
        for i, split in enumerate(SPLITS):
            self.splits[kept[parts[split]]] = i
        self.rule = rule
        if rule.how == "none":
            return "Everything to learn from, nothing held back"
        # What they say in other words may be tested on now.
        reworded = self._reworded()
        self.splits[reworded] = LEFT_OUT
        how = f"by {shown(rule.column)}" if rule.how == "grouped" else WAYS[rule.how]
        shares = f"{rule.validation:.0%} validation, {rule.test:.0%} test"
        said = f"Split {how}: {shares}" + f", seed {rule.seed}" * (rule.how != "ordered")
        if not len(reworded):
            return said
        return "; ".join((f"{_items(len(reworded))} that were translated left out", said))

    def _restore(self, number: int) -> str:
        self._take(Stored(self.stored.folder, number))
        return f"As in version {number}"

    def drop_empty_classes(self) -> None:
        """Forget the classes that no item is left of, and sort the rest."""
        if self.labels is None:
            return
        used = np.unique(self.labels[self.splits >= 0]).tolist()
        order = sorted(used, key=lambda code: natural(self.classes[code]))
        # One place more: what is unknown (−1) stays so.
        place = np.full(len(self.classes) + 1, UNKNOWN, np.int64)
        place[order] = np.arange(len(order))
        self.labels = place[self.labels]
        self.classes = [self.classes[code] for code in order]


WAYS = {"random": "at random", "ordered": "along time"}
"""How a split is told that needs no column."""


def divided(stored: Stored, rows: Rows, labels: Rows | None, rule: Rule) -> dict[Split, Rows]:
    """A rule's splits of some rows, as places among them. BadInput when it can't be followed."""
    shares = {"seed": rule.seed, "validation": rule.validation, "test": rule.test}
    match rule.how:
        case "given":
            raise BadInput(
                "A split that the file gives comes with the import: go back to version 1"
            )
        case "grouped":
            values = stored.group(rule.column)
            codes = numbered([values[row] for row in rows.tolist()])
            return grouped(codes, **shares)  # type: ignore[arg-type]
        case "ordered":
            if stored.series is None:
                raise BadInput("These items aren't pieces of a series: split them at random")
            return ordered(stored.series[rows], validation=rule.validation, test=rule.test)
        case "random":
            codes = np.zeros(len(rows), np.int64) if labels is None else labels[rows]
            return stratified(codes, **shares)  # type: ignore[arg-type]
        case "none":
            return whole(len(rows))


def _items(count: int) -> str:
    return f"{count:,} item{'' if count == 1 else 's'}"
