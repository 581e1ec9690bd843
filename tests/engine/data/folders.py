"""Datasets of a few items, made from arrays without an importer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.archive import natural
from engine.data.arrays import Items, RaggedWriter, Stored, version_folder, write_items
from engine.data.arrays import write_version as write
from engine.data.options import ImportOptions, Kind
from engine.data.splits import SPLITS, Rule


def made(
    folder: Path,
    kind: Kind,
    items: Any,
    *,
    labels: Sequence[str] | None = None,
    splits: str = "",
    groups: Mapping[str, Sequence[str]] | None = None,
    transcripts: Sequence[str] | None = None,
    rule: Rule = Rule(),  # noqa: B008 (frozen)
) -> Stored:
    """The dataset of those items: pictures (N, H, W, C), waves, (steps, D) arrays, texts or pairs.

    `splits` has a letter for each item: t(rain), v(alidation), e(nd: the test) or - for none;
    without it every item is in train.
    """
    count = len(items)
    folder.mkdir(parents=True)
    shape: tuple[int, ...] = ()
    match kind:
        case "images":
            np.save(folder / "images.npy", np.asarray(items, np.uint8))
            shape = np.shape(items)[1:]
        case "pairs":
            for name, side in zip(("source", "target"), zip(*items, strict=True), strict=True):
                _texts(folder, name, side)
        case "text":
            _texts(folder, "text", items)
        case "sound":
            with RaggedWriter(folder, "waves") as out:
                for item in items:
                    out.add(np.asarray(item, np.int16))
        case "sequences":
            shape = np.shape(items[0])[1:]
            with RaggedWriter(folder, "values", shape) as out:
                for item in items:
                    out.add(np.asarray(item, np.float32))
    if transcripts is not None:
        _texts(folder, "transcripts", transcripts)
    said = Items(
        kind=kind, fingerprint="f" * 64, names=[f"item {i}" for i in range(count)], labels=labels,
        groups=groups or {}, shape=shape, rate=1000 if kind == "sound" else None,
        transcribed=transcripts is not None,
    )  # fmt: skip
    manifest = write_items(
        folder, said, source="test", options=ImportOptions(), origin="", licence=""
    )
    classes = sorted(set(labels or ()), key=natural)
    write(
        version_folder(folder, 1), 1, content=manifest.content, parent=None, made=0.0,
        change="Imported", classes=classes, rule=rule,
        labels=None if labels is None else np.array([classes.index(name) for name in labels]),
        splits=np.array(["tve".find(letter) for letter in splits or "t" * count], np.int8),
    )  # fmt: skip
    return Stored(folder)


def _texts(folder: Path, name: str, texts: Sequence[str]) -> None:
    with RaggedWriter(folder, name) as out:
        for text in texts:
            out.add_text(text)


assert SPLITS == ("train", "validation", "test")
