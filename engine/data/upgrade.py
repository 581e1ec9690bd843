"""Datasets in the first layout, brought to today's when they are opened.

There the items were ordered by split, the manifest held classes and splits, and a sequence's
offsets lay in ``offsets.npy``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from engine.catalog import BadInput
from engine.data.arrays import Manifest, damaged, version_folder, write_version
from engine.data.options import ImportOptions
from engine.data.splits import SPLITS, Rule
from engine.home import replacing


def upgraded(folder: Path) -> Path:
    """The folder, in today's layout whatever it was. BadInput when it is damaged."""
    if old := _first_layout(folder):
        _upgrade(folder, old)
    return folder


def _first_layout(folder: Path) -> dict[str, Any] | None:
    """The manifest, if it is of the first layout."""
    try:
        said = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None  # whoever opens it says what is wrong
    old = isinstance(said, dict) and said.get("version") == 1 and "layout" not in said
    return said if old else None


def _upgrade(folder: Path, old: dict[str, Any]) -> None:
    """Write what today's layout has more; the manifest last, so that it can be begun again."""
    try:
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        splits = np.zeros(len(labels), np.int8)
        for i, split in enumerate(SPLITS):
            start, stop = old["splits"][split]
            splits[start:stop] = i
        options = ImportOptions.of(old["options"])
        if (folder / "offsets.npy").exists():
            shutil.copyfile(folder / "offsets.npy", folder / "values.offsets.npy")
        manifest = Manifest(
            kind=old["kind"], source=old["source"], fingerprint=old["fingerprint"],
            options=options, items=len(labels), shape=tuple(old["shape"]),
            features=tuple(old["features"]), warnings=tuple(old["warnings"]),
        )  # fmt: skip
        rule = Rule(seed=options.seed, validation=options.validation, test=options.test)
        if not version_folder(folder, 1).exists():
            (folder / "versions").mkdir(exist_ok=True)
            beside = Path(mkdtemp(dir=folder / "versions", prefix=".new-"))
            beside.rmdir()
            write_version(
                beside, 1, content=manifest.content, parent=None,
                made=(folder / "manifest.json").stat().st_mtime, change="Imported",
                classes=old["classes"], labels=labels, splits=splits, rule=rule,
            )  # fmt: skip
            try:
                beside.rename(version_folder(folder, 1))
            except OSError:  # another process has done it meanwhile
                shutil.rmtree(beside, ignore_errors=True)
        with replacing(folder / "manifest.json") as file:
            file.write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        for name in ("labels.npy", "offsets.npy"):
            (folder / name).unlink(missing_ok=True)
    except (OSError, EOFError, ValueError, LookupError, TypeError, BadInput):
        # Another process may have done it meanwhile: what it took away was needed here.
        if not _first_layout(folder):
            return
        raise damaged(folder, "manifest.json") from None
