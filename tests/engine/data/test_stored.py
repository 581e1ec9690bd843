"""A dataset's folder is opened whole, can't be changed by accident, and damage is said."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from conftest import class_folders

from engine.catalog import BadInput
from engine.data.arrays import Stored
from engine.data.options import ImportOptions
from engine.data.splits import stratified


@pytest.fixture
def data(pack, take) -> Stored:
    return take(pack(class_folders("a", "b")))[0]


def test_arrays_are_mapped_and_frozen(data):
    for array in (data.images, data.labels, data.splits):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_splits_hold_everything_once_in_order(data):
    rows = [data.rows(split).tolist() for split in ("train", "validation", "test")]
    assert all(part == sorted(part) for part in rows)
    assert sorted(itertools.chain(*rows)) == list(range(10))


def test_what_the_history_keeps_is_plain_json(pack, take):
    data, said = take(pack(class_folders("a", "b")))
    assert json.loads(json.dumps(said.meta)) == said.meta
    manifest = json.loads((data.folder / "manifest.json").read_text())
    assert said.meta.items() >= manifest.items()
    assert said.meta["version"] == 1
    assert said.meta["classes"] == ["a", "b"]
    assert said.fingerprint == data.manifest.fingerprint


def test_another_file_has_another_fingerprint(pack, take):
    first, _ = take(pack(class_folders("a", "b")))
    second, _ = take(pack(class_folders("a", "c")))
    assert first.manifest.fingerprint != second.manifest.fingerprint
    assert first.version.fingerprint != second.version.fingerprint


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no imported dataset"):
        Stored(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "images.npy", "names.json", "versions/1/version.json",
     "versions/1/labels.npy", "versions/1/splits.npy"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_damage_is_named(data, name, damage):
    path = data.folder / name
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[: len(raw) // 2], "noise": b"\0" * len(raw), "empty": b""}[damage])

    def everything(opened: Stored) -> list[object]:
        return [opened.names, opened.images]

    with pytest.raises(BadInput, match=rf"damaged \({path.name}\)"):
        everything(Stored(data.folder))


def test_arrays_that_contradict_the_manifest_are_refused(data):
    np.save(data.at / "labels.npy", np.full(10, 7))
    with pytest.raises(BadInput, match=r"labels.npy"):
        Stored(data.folder)
    np.save(data.at / "labels.npy", np.zeros(9, np.int64))
    with pytest.raises(BadInput, match=r"labels.npy"):
        Stored(data.folder)


def test_options_out_of_range_are_named():
    with pytest.raises(BadInput, match="option size") as problem:
        ImportOptions.of({"size": 100_000})
    assert problem.value.field == "size"
    with pytest.raises(BadInput, match="option colour"):
        ImportOptions.of({"colour": "red"})
    assert ImportOptions.of({"size": "64"}).size == 64


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25, 0.4])
def test_a_split_takes_each_item_once_and_leaves_something_of_each_class_everywhere(share):
    labels = np.repeat(np.arange(20), np.arange(3, 23))
    parts = stratified(labels, seed=3, validation=share, test=share)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(labels)))
    for rows in parts.values():
        assert set(labels[rows].tolist()) == set(range(20))
