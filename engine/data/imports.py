"""Bringing data in: files from anywhere become a dataset's folder, whole or not at all."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.catalog import BadInput
from engine.data import doctor, images, pairs, sequences, sound, text
from engine.data.archive import natural, one_line, shown
from engine.data.arrays import (
    LEFT_OUT,
    Items,
    Stored,
    version_folder,
    write_items,
    write_version,
)
from engine.data.kinds import kind_of
from engine.data.limits import LIMITS
from engine.data.options import ImportOptions, Kind, Step, step
from engine.data.splits import (
    FEWEST,
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
from engine.home import PARTIAL, sync

__all__ = ["ImportOptions", "Imported", "Kind", "Step", "bring_in", "kind_of", "sweep"]

FEW_CLASSES = 100
"""Up to so many classes, each may have as few items as it likes: the doctor says so."""

Reader = Callable[[Sequence[Path], Path, Path, ImportOptions], Generator[Step, None, Items]]
"""``read(sources, into, scratch, options)`` writes the items' arrays into the folder `into`, which
is there; what it needs meanwhile goes to the folder `scratch`. BadInput says what is wrong, in
which file and where in it, and how to mend it."""


@dataclass(frozen=True)
class Imported:
    """A dataset that is ready, in the words that the history keeps of it."""

    kind: Kind
    card: str
    """The name of the Dataset that opens it."""
    provides: tuple[str, ...]
    meta: dict[str, Any]
    """`Stored.meta`: classes, counts, shape, options, versions, …"""
    fingerprint: str
    bytes: int
    """What it takes on the disk."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Importer:
    """How a kind of data is read, and which Dataset opens it then."""

    read: Reader
    card: str


IMPORTERS: dict[Kind, Importer] = {
    "images": Importer(images.read, "ImportedImages"),
    "text": Importer(text.read, "ImportedText"),
    "pairs": Importer(pairs.read, "ImportedPairs"),
    "sound": Importer(sound.read, "ImportedSound"),
    "sequences": Importer(sequences.read, "ImportedSequences"),
}


def bring_in(
    source: Path | Sequence[Path],
    into: Path,
    *,
    kind: Kind | None = None,
    options: ImportOptions = ImportOptions(),  # noqa: B008 (frozen)
    origin: str = "",
    licence: str = "",
    read: Reader | None = None,
    called: str = "",
) -> Iterator[Step | Imported]:
    """Import files into the new folder `into`: a few `Step` a second, at last one `Imported`.

    It is built beside `into` and renamed. If it fails, or the iterator is closed, nothing stays
    and no process either; what a killed import leaves is for `sweep`. BadInput says what is wrong
    with which file, where, and how to mend it. `origin` is the address that the files came from;
    `read` reads them in place of the kind's own importer; `called` is what the source is called
    where that isn't the files' names.
    """
    sources = [source] if isinstance(source, Path) else list(source)
    if into.exists():
        raise FileExistsError(f"{into} is there already: import into a new folder")
    for path in sources:
        if not path.exists():
            raise BadInput(f"There is no file {path}")
    kind = kind or kind_of(sources)
    importer = IMPORTERS[kind]
    partial = into.with_name(into.name + PARTIAL)
    _remove(partial)
    try:
        scratch = partial / "scratch"
        scratch.mkdir(parents=True)
        items = yield from (read or importer.read)(sources, partial, scratch, options)
        _remove(scratch)
        named = one_line(", ".join(path.name for path in sources[:4]))
        said = called or named + (f" and {len(sources) - 4} more" if len(sources) > 4 else "")
        stored, findings = yield from finish(
            items, partial, source=said, options=options, origin=origin, licence=licence
        )
        yield step(1, "Writing to the disk")
        files = [file for file in partial.rglob("*") if file.is_file()]
        for file in files:
            sync(file)
        size = sum(file.stat().st_size for file in files)
        imported = Imported(
            kind=kind, card=importer.card, provides=stored.provides,
            meta=remembered(stored, findings), fingerprint=stored.manifest.fingerprint,
            bytes=size, warnings=stored.manifest.warnings,
        )  # fmt: skip
        del stored  # some systems can't rename a folder whose files are mapped
        partial.replace(into)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BadInput("The disk is full: make room and import again") from None
        if problem.errno in (errno.EACCES, errno.EPERM):
            raise BadInput(
                f"{problem.filename or sources[0]} may not be read or written: change its "
                "permissions"
            ) from None
        raise
    finally:
        _remove(partial)
    yield imported


# --- labels and splits ----------------------------------------------------------------------


def finish(
    items: Items, folder: Path, *, source: str, options: ImportOptions, origin: str, licence: str
) -> Generator[Step, None, tuple[Stored, list[doctor.Finding]]]:
    """The first version of what was read: its classes, its splits, and what the doctor finds."""
    count = len(items.names)
    if not count:
        raise BadInput(f"{source} holds no item: there must be something to learn from")
    if count > LIMITS.items:
        raise BadInput(f"{source} holds {count:,} items, more than {LIMITS.items:,}: take a part")
    classes, labels = _classes(items, source)
    splits, rule = _splits(items, labels, classes, options, source)
    manifest = write_items(
        folder, items, source=source, options=options, origin=origin, licence=licence
    )
    write_version(
        version_folder(folder, 1), 1, content=manifest.content, parent=None, made=time.time(),
        change="Imported", classes=classes, labels=labels, splits=splits, rule=rule,
    )  # fmt: skip
    stored = Stored(folder, 1)
    yield step(0.97, "Looking for what is wrong with it")
    findings = doctor.check(stored)
    yield step(0.99, f"{count:,} items are ready")
    return stored, findings


def remembered(stored: Stored, findings: Sequence[doctor.Finding]) -> dict[str, Any]:
    """What the history keeps of a dataset: `Stored.meta`, and how many findings there are."""
    harms = [finding.harm for finding in findings]
    return {**stored.meta(), "doctor": {harm: harms.count(harm) for harm in set(harms)}}


def _classes(items: Items, source: str) -> tuple[list[str], Rows | None]:
    """The classes in natural order, and each item's."""
    if items.labels is None:
        return [], None
    written = [one_line(label) for label in items.labels]
    classes = sorted(set(written), key=natural)
    if long := next((name for name in classes if len(name.encode("utf-8", "replace")) > 255), None):
        raise BadInput(
            f"{source}: the class {shown(long, most=40)} has a name of more than 255 bytes: give "
            "it a shorter one, or choose another column for the labels"
        )
    if len(classes) > LIMITS.classes or (
        len(classes) > FEW_CLASSES and len(classes) * FEWEST > len(written)
    ):
        column = f", column {shown(items.columns['label'])}" if "label" in items.columns else ""
        raise BadInput(
            f"{source}{column}: {len(classes):,} different labels for {len(written):,} items. A "
            "label is a class that many items share, not a measured value or a name: choose "
            "another column, or import without labels"
        )
    place = {name: i for i, name in enumerate(classes)}
    return classes, np.array([place[name] for name in written], np.int64)


def _splits(
    items: Items, labels: Rows | None, classes: Sequence[str], options: ImportOptions, source: str
) -> tuple[npt.NDArray[np.int8], Rule]:
    """Which split each item belongs to, and by which rule."""
    shares = {"seed": options.seed, "validation": options.validation, "test": options.test}
    codes = np.zeros(len(items.names), np.int64) if labels is None else labels
    groups = None
    if options.group:
        if options.group not in items.groups:
            known = ", ".join(map(shown, items.groups)) or "none"
            raise BadInput(
                f"{source} has no column {shown(options.group)} to group by (there is: {known})",
                field="group",
            )
        groups = numbered(items.groups[options.group])

    def divide(rows: Rows, validation: float, test: float) -> dict[Split, Rows]:
        if groups is not None:
            try:
                return grouped(groups[rows], seed=options.seed, validation=validation, test=test)
            except BadInput as problem:
                raise BadInput(str(problem), field="group") from None
        return stratified(codes[rows], seed=options.seed, validation=validation, test=test)

    everything = np.arange(len(items.names))
    if items.synthetic is not None:
        assert items.splits is not None
        places = [SPLITS.index(split) if split else LEFT_OUT for split in items.splits]
        return np.array(places, np.int8), Rule(how="given", **shares)  # type: ignore[arg-type]
    if options.split == "none":
        return _placed(whole(len(everything)), len(everything)), Rule(how="none", **shares)  # type: ignore[arg-type]
    if items.running and items.kind == "sequences" and groups is None:
        series = numbered(items.groups.get("series", [""] * len(everything)))
        parts = ordered(series, validation=options.validation, test=options.test)
        return _placed(parts, len(everything)), Rule(how="ordered", **shares)  # type: ignore[arg-type]
    present = {split for split in items.splits or () if split}
    if options.split == "random" or len(present) < 2:  # one split alone says nothing of the others
        parts = divide(everything, options.validation, options.test)
        how = "random" if groups is None else "grouped"
        rule = Rule(how=how, column=options.group or "", **shares)  # type: ignore[arg-type]
        return _placed(parts, len(everything)), rule
    assert items.splits is not None
    if "train" not in present:
        raise BadInput(
            f"{source} has items for {' and '.join(sorted(present))} but none for train: add "
            "them, or let everything be split at random"
        )
    given = np.array([SPLITS.index(split) if split else LEFT_OUT for split in items.splits])
    if groups is not None and (torn := _torn(groups, given, items.groups[options.group or ""])):
        raise BadInput(
            f"{source} names a split, and {shown(torn)} of {shown(options.group or '')} is in "
            "several parts of it: keep that split and don't group, or split at random by groups",
            field="split",
        )
    parts = {split: np.flatnonzero(given == i) for i, split in enumerate(SPLITS)}
    for lacking in [split for split in SPLITS if not len(parts[split])]:  # one of two at most
        share = options.validation if lacking == "validation" else options.test
        train = parts["train"]
        carved = divide(train, share, 0)
        # None, where a class has but one or two examples: for methods that make do without.
        parts["train"], parts[lacking] = train[carved["train"]], train[carved["validation"]]
    if labels is not None:
        # Where groups were carved off the training items, a class may have gone with them: the
        # doctor says so.
        _known(labels, {s: r for s, r in parts.items() if s in present}, classes, source)
    return _placed(parts, len(everything)), Rule(how="given", **shares)  # type: ignore[arg-type]


def _torn(groups: Rows, given: Rows, values: Sequence[str]) -> str | None:
    """The first group that has items in several splits."""
    first: dict[int, int] = {}
    for row, (group, split) in enumerate(zip(groups.tolist(), given.tolist(), strict=True)):
        if split != LEFT_OUT and first.setdefault(group, split) != split:
            return values[row]
    return None


def _placed(parts: dict[Split, Rows], count: int) -> npt.NDArray[np.int8]:
    splits = np.full(count, LEFT_OUT, np.int8)
    for i, split in enumerate(SPLITS):
        splits[parts[split]] = i
    return splits


def _known(labels: Rows, parts: dict[Split, Rows], classes: Sequence[str], source: str) -> None:
    """Every class of the other splits must be trained on."""
    trained = set(labels[parts["train"]].tolist())
    for split in sorted(set(parts) - {"train"}):
        if strange := sorted(set(labels[parts[split]].tolist()) - trained):
            names = ", ".join(shown(classes[i]) for i in strange[:5])
            more = f" and {len(strange) - 5:,} more" if len(strange) > 5 else ""
            raise BadInput(
                f"{source}: {names}{more} in {split} is never in train: add it there, or give "
                "the folders the same names"
            )


# --- what is left behind --------------------------------------------------------------------


def sweep(datasets: Path, alive: Collection[int]) -> list[Path]:
    """Remove what killed imports left in the folder of datasets; what was removed.

    `alive` are the ids of imports that are running: theirs stay.
    """
    kept = set(map(str, alive))
    left = datasets.glob(f"*{PARTIAL}")
    dead = [folder for folder in left if folder.name.partition(".")[0] not in kept]
    for folder in dead:
        _remove(folder)
    return dead


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
