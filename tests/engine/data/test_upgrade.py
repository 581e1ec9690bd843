"""A dataset in the first layout opens as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.catalog import BadInput
from engine.data import upgrade
from engine.data.arrays import Stored
from engine.data.upgrade import upgraded


@pytest.fixture
def old(tmp_path):
    """Six sequences of one feature, four to train on."""
    folder = tmp_path / "1"
    folder.mkdir()
    np.save(folder / "labels.npy", np.array([0, 1, 0, 1, 0, 1]))
    np.save(folder / "offsets.npy", np.array([0, 2, 3, 5, 6, 8, 9]))
    np.save(folder / "values.npy", np.arange(9, dtype=np.float32)[:, None])
    (folder / "names.json").write_text(json.dumps(list("abcdef")))
    manifest = {
        "version": 1, "kind": "sequences", "source": "walk.csv", "fingerprint": "f00",
        "options": {"size": None, "seed": 3, "validation": 0.1, "test": 0.2, "skip_broken": False},
        "classes": ["down", "up"], "shape": [1], "features": ["x"],
        "splits": {"train": [0, 4], "validation": [4, 5], "test": [5, 6]},
        "counts": {"train": [2, 2], "validation": [1, 0], "test": [0, 1]},
        "mean": [1.0], "std": [1.0], "lengths": None, "warnings": ["mind the gap"],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_items_labels_and_splits_stay_as_they_were(old):
    stored = Stored(upgraded(old))
    assert stored.kind == "sequences"
    assert stored.classes == ("down", "up")
    assert stored.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert [stored.rows(s).tolist() for s in ("train", "validation", "test")] == [
        [0, 1, 2, 3], [4], [5]
    ]  # fmt: skip
    assert stored.ragged("values")[2].tolist() == [[3.0], [4.0]]
    assert stored.names == tuple("abcdef")
    assert stored.manifest.warnings == ("mind the gap",)
    assert stored.version.rule.seed == 3


def test_it_is_done_once(old):
    upgraded(old)
    before = {file: file.read_bytes() for file in old.rglob("*") if file.is_file()}
    upgraded(old)
    assert before == {file: file.read_bytes() for file in old.rglob("*") if file.is_file()}
    assert not list(old.glob("versions/.new-*"))


def test_an_upgrade_that_was_killed_goes_on(old, monkeypatch):
    manifest = (old / "manifest.json").read_bytes()
    upgraded(old)
    (old / "manifest.json").write_bytes(manifest)  # killed before its last file
    np.save(old / "labels.npy", np.array([0, 1, 0, 1, 0, 1]))
    assert len(Stored(upgraded(old))) == 6


def test_of_two_at_once_neither_says_damaged(old):
    manifest = json.loads((old / "manifest.json").read_text())
    upgraded(old)
    upgrade._upgrade(old, manifest)  # it had read the manifest before
    assert len(Stored(upgraded(old))) == 6


def test_damage_is_said(old):
    (old / "labels.npy").write_bytes(b"")
    with pytest.raises(BadInput, match="damaged"):
        upgraded(old)
