"""Each change of a dataset makes a version beside the others, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from folders import made

from engine.catalog import BadInput
from engine.data import versions
from engine.data.arrays import LEFT_OUT, UNKNOWN, Stored, numbers, read_version
from engine.data.splits import SPLITS, Rule
from engine.data.versions import (
    Divide,
    Exclude,
    Merge,
    MergeAll,
    Move,
    Relabel,
    Restore,
    change,
    change_of,
)

LABELS = ["cat", "dog", "owl 2", "owl 10"]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Sixteen texts of four classes: twelve in train, two in validation, two in test."""
    return made(
        tmp_path / "data", "text", [f"text {i}" for i in range(16)], labels=LABELS * 4,
        splits="t" * 12 + "vvee", groups={"who": [str(i // 2) for i in range(16)]},
    ).folder  # fmt: skip


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make(folder: Path, wanted, parent: int = 1) -> Stored:
    return Stored(folder, change(folder, wanted, parent=parent).number)


def named(stored: Stored) -> list[str]:
    """Each item's class; "" where it is gone."""
    return [stored.classes[code] if code != UNKNOWN else "" for code in stored.labels.tolist()]


# --- what each change does ------------------------------------------------------------------


def test_what_is_left_out_belongs_to_no_split(folder):
    stored = make(folder, Exclude(rows=(3, 0, 3)))
    assert np.flatnonzero(stored.splits == LEFT_OUT).tolist() == [0, 3]
    assert stored.version.left_out == 2
    assert stored.version.change == "2 items left out"
    assert len(stored) == 16
    assert stored.rows("train").tolist() == [1, 2, *range(4, 12)]


def test_what_is_moved_belongs_to_another_split_even_from_none(folder):
    make(folder, Exclude(rows=(0,)))
    stored = make(folder, Move(rows=(0, 1), split="test"), parent=2)
    assert stored.rows("test").tolist() == [0, 1, 14, 15]
    assert stored.version.left_out == 0
    assert stored.version.change == "2 items moved to test"


def test_a_label_may_be_one_of_the_classes_or_new(folder):
    stored = make(folder, Relabel(rows=(0, 4), label="dog"))
    assert named(stored)[:5] == ["dog", "dog", "owl 2", "owl 10", "dog"]
    assert stored.version.change == "2 items labelled “dog”"
    stored = make(folder, Relabel(rows=(0,), label="  bat\n"))
    assert stored.classes == ("bat", "cat", "dog", "owl 2", "owl 10")
    assert named(stored) == ["bat", *(LABELS * 4)[1:]]


def test_merged_classes_are_one_under_a_name_of_theirs_or_a_new_one(folder):
    stored = make(folder, Merge(classes=("owl 2", "owl 10"), into="owl 2"))
    assert stored.classes == ("cat", "dog", "owl 2")
    assert named(stored)[2:4] == ["owl 2", "owl 2"]
    assert stored.version.change == "“owl 10” became “owl 2”"
    stored = make(folder, Merge(classes=("cat", "dog"), into="pet"))
    assert stored.classes == ("owl 2", "owl 10", "pet")
    assert stored.version.counts["train"] == (3, 3, 6)
    assert make(folder, Merge(classes=("cat",), into="Katze")).classes[-2:] == ("owl 2", "owl 10")


def test_several_merges_are_one_version(folder):
    merges = (Merge(classes=("dog",), into="cat"), Merge(classes=("owl 10",), into="owl 2"))
    stored = make(folder, MergeAll(merges=merges))
    assert stored.version.number == 2
    assert stored.classes == ("cat", "owl 2")
    assert stored.version.change == "“dog” became “cat”; “owl 10” became “owl 2”"


def test_an_emptied_class_is_gone_and_the_others_stay_in_natural_order(folder):
    stored = make(folder, Exclude(rows=(1, 5, 9, 13)))
    assert stored.classes == ("cat", "owl 2", "owl 10")
    assert named(stored)[1] == ""
    assert named(stored)[2:4] == ["owl 2", "owl 10"]


def test_a_class_that_is_gone_stays_gone_through_any_number_of_versions(folder):
    stored = make(folder, Exclude(rows=tuple(range(1, 16, 4))))  # every dog
    for row in (0, 4):
        stored = make(folder, Exclude(rows=(row,)), stored.version.number)
        assert {named(stored)[dog] for dog in range(1, 16, 4)} == {""}
        with pytest.raises(BadInput, match="class of these items is gone"):
            change(folder, Move(rows=(1,), split="train"), parent=stored.version.number)


def test_a_new_class_needs_an_item_that_is_used(folder):
    stored = make(folder, Exclude(rows=(1, 5)))
    with pytest.raises(BadInput, match="“fox” would have no item"):
        change(folder, Relabel(rows=(1, 5), label="fox"), parent=stored.version.number)


def test_an_item_whose_class_is_gone_is_labelled_before_it_comes_back(folder):
    make(folder, Exclude(rows=(1, 5, 9, 13)))
    with pytest.raises(BadInput, match="class of these items is gone"):
        change(folder, Move(rows=(1,), split="train"), parent=2)
    make(folder, Relabel(rows=(1,), label="cat"), parent=2)
    stored = make(folder, Move(rows=(1,), split="train"), parent=3)
    assert named(stored)[1] == "cat"
    assert stored.splits[1] == 0


def test_another_split_leaves_out_what_was_left_out(folder):
    make(folder, Exclude(rows=(0, 1)))
    rule = Rule(seed=4, validation=0.25, test=0.25)
    stored = make(folder, Divide(rule=rule), parent=2)
    assert np.flatnonzero(stored.splits == LEFT_OUT).tolist() == [0, 1]
    assert all(min(stored.version.counts[split]) >= 1 for split in SPLITS)
    assert stored.version.rule == rule
    assert stored.version.change == "Split at random: 25% validation, 25% test, seed 4"
    again = make(folder, Divide(rule=rule), parent=2)
    assert np.array_equal(again.splits, stored.splits)


def test_all_of_it_can_be_to_learn_from_but_what_was_left_out(folder):
    make(folder, Exclude(rows=(0, 5)))
    stored = make(folder, Divide(rule=Rule(how="none")), parent=2)
    assert [len(stored.rows(split)) for split in SPLITS] == [len(stored) - 2, 0, 0]
    assert stored.version.change == "Everything to learn from, nothing held back"


def test_a_grouped_split_keeps_groups_together(folder):
    for seed in range(10):
        stored = make(folder, Divide(rule=Rule(how="grouped", column="who", seed=seed)))
        assert np.array_equal(stored.splits[::2], stored.splits[1::2])
        assert all(len(stored.rows(split)) for split in SPLITS)
    assert stored.version.change.startswith("Split by “who”")


def test_an_earlier_version_can_be_restored(folder):
    first = Stored(folder, 1)
    make(folder, Merge(classes=tuple(LABELS[:2]), into="pet"))
    make(folder, Exclude(rows=(2, 6, 10, 14)), parent=2)
    stored = make(folder, Restore(version=1), parent=3)
    assert (stored.classes, stored.version.rule) == (first.classes, first.version.rule)
    assert np.array_equal(stored.labels, first.labels)
    assert np.array_equal(stored.splits, first.splits)
    assert (stored.version.parent, stored.version.change) == (3, "As in version 1")


def test_without_labels_there_is_nothing_to_label(tmp_path):
    folder = made(tmp_path / "plain", "text", ["a", "b", "c", "d"]).folder
    with pytest.raises(BadInput, match="has no labels"):
        change(folder, Relabel(rows=(0,), label="x"), parent=1)
    with pytest.raises(BadInput, match="no class"):
        change(folder, Merge(classes=("x",), into="y"), parent=1)
    stored = make(folder, Divide(rule=Rule(validation=0.25, test=0.25)))
    assert stored.labels is None
    assert stored.version.counts == {"train": (2,), "validation": (1,), "test": (1,)}


# --- what stays -----------------------------------------------------------------------------

ALL = [
    Exclude(rows=(0, 1)), Move(rows=(0,), split="test"), Relabel(rows=(0,), label="new"),
    Merge(classes=("cat", "dog"), into="pet"), Divide(rule=Rule(seed=9)),
    MergeAll(merges=(Merge(classes=("cat",), into="dog"),)), Restore(version=1),
    Divide(rule=Rule(how="grouped", column="who")),
]  # fmt: skip


@pytest.mark.parametrize("wanted", ALL, ids=lambda wanted: wanted.do)
def test_a_change_adds_a_folder_and_touches_nothing_else(folder, wanted):
    make(folder, Exclude(rows=(5,)))
    before = contents(folder)
    number = change(folder, wanted, parent=2).number
    after = contents(folder)
    assert number == 3
    assert {name: after[name] for name in before} == before
    assert all(name.startswith("versions/3/") for name in set(after) - set(before))
    assert [Stored(folder, n).version.number for n in (1, 2, 3)] == [1, 2, 3]
    assert not list((folder / "versions").glob(".*"))


def test_each_version_knows_where_it_comes_from(folder):
    change(folder, Exclude(rows=(0,)), parent=1)
    change(folder, Exclude(rows=(1,)), parent=1)
    change(folder, Exclude(rows=(2,)), parent=2)
    past = [read_version(folder, number) for number in numbers(folder)]
    assert [(one.number, one.parent) for one in past] == [(1, None), (2, 1), (3, 1), (4, 2)]
    assert Stored(folder).version.number == 4
    assert np.flatnonzero(Stored(folder).splits == LEFT_OUT).tolist() == [0, 2]
    assert [one["number"] for one in Stored(folder, 2).meta()["versions"]] == [1, 2, 3, 4]


def test_a_fingerprint_changes_with_the_content_and_only_then(folder):
    seen = {Stored(folder, 1).version.fingerprint}
    for wanted in ALL[:6]:
        fingerprint = change(folder, wanted, parent=1).fingerprint
        assert fingerprint not in seen
        seen.add(fingerprint)
        assert change(folder, wanted, parent=1).fingerprint == fingerprint
    assert change(folder, Restore(version=1), parent=2).fingerprint == (
        Stored(folder, 1).version.fingerprint
    )


def test_a_change_survives_as_json(folder):
    for wanted in ALL:
        assert change_of(wanted.model_dump(mode="json")) == wanted


# --- what can't be done ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Exclude(rows=()), "No item is chosen"),
        (Exclude(rows=(16,)), "There is no item 16: the dataset has 16"),
        (Exclude(rows=(2**62,)), "There is no item"),
        (Exclude(rows=tuple(range(16))), "Nothing would be left"),
        (Move(rows=(99,), split="test"), "There is no item 99"),
        (Relabel(rows=(), label="cat"), "No item is chosen"),
        (Relabel(rows=(0,), label=" \n "), "needs a name"),
        (Relabel(rows=(0,), label="é" * 128), "at most 255 bytes"),
        (Merge(classes=(), into="x"), "No class is chosen"),
        (Merge(classes=("cow",), into="cat"), "no class “cow”"),
        (Merge(classes=("cat",), into="cat"), "the name that it has already"),
        (Merge(classes=("cat", "dog"), into=""), "needs a name"),
        (MergeAll(merges=()), "No class is chosen"),
        (MergeAll(merges=(Merge(classes=("cat",), into="dog"), Merge(classes=("a",), into="b"))),
         "no class “a”"),
        (Divide(rule=Rule(how="given")), "go back to version 1"),
        (Divide(rule=Rule(how="grouped", column="room")), "no column 'room' .*there is: who"),
        (Restore(version=7), r"no version 7 \(it has: 1\)"),
        (Restore(version=-1), "no version -1"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_and_leaves_nothing(folder, wanted, why):
    before = contents(folder)
    with pytest.raises(BadInput, match=why):
        change(folder, wanted, parent=1)
    assert contents(folder) == before
    assert [path.name for path in (folder / "versions").iterdir()] == ["1"]


def test_a_class_may_have_a_name_of_exactly_255_bytes(folder):
    assert "x" * 255 in make(folder, Relabel(rows=(0,), label="x" * 255)).classes


@pytest.mark.parametrize(
    "wrong",
    [
        None, [], {}, {"do": "burn"}, {"do": "exclude"}, {"do": "exclude", "rows": [-1]},
        {"do": "exclude", "rows": [2**80]}, {"do": "exclude", "rows": ["cat"]},
        {"do": "move", "rows": [1], "split": "exam"}, {"do": "split", "rule": {"test": 2}},
        {"do": "exclude", "rows": [1], "more": 1},
    ],
)  # fmt: skip
def test_what_is_no_change_is_said(wrong):
    with pytest.raises(BadInput, match="no change of a dataset"):
        change_of(wrong)


def test_a_version_that_is_not_there_has_no_successor(folder):
    with pytest.raises(BadInput, match="no version 5"):
        change(folder, Exclude(rows=(0,)), parent=5)


# --- what goes wrong ------------------------------------------------------------------------


def test_two_changes_at_once_get_two_numbers(folder):
    start = threading.Barrier(8)
    numbers = []

    def one(row: int) -> None:
        start.wait()
        numbers.append(change(folder, Exclude(rows=(row,)), parent=1).number)

    threads = [threading.Thread(target=one, args=(row,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(2, 10))
    for number in numbers:
        stored = Stored(folder, number)
        assert (stored.version.number, stored.version.left_out) == (number, 1)
    assert not list((folder / "versions").glob(".*"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing_partial(folder, number, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(versions, "sync", full)
    before = contents(folder)
    with pytest.raises(BadInput, match="disk is full"):
        change(folder, Exclude(rows=(0,)), parent=1)
    assert contents(folder) == before
    assert [path.name for path in (folder / "versions").iterdir()] == ["1"]


def test_what_a_killed_change_left_is_no_version_and_is_removed(folder):
    old, young = (folder / "versions" / name for name in (".new-old", ".new-young"))
    for left in (old, young):
        left.mkdir()
        (left / "version.json").write_text("{")
    past = time.time() - 2 * versions.ABANDONED
    os.utime(old, (past, past))
    assert Stored(folder).version.number == 1
    assert change(folder, Exclude(rows=(0,)), parent=1).number == 2
    assert not old.exists()
    assert young.exists()  # another process may be writing it


@pytest.mark.parametrize("name", ["version.json", "labels.npy", "splits.npy"])
def test_a_damaged_version_is_named_and_the_others_open(folder, name):
    change(folder, Exclude(rows=(0,)), parent=1)
    (folder / "versions" / "2" / name).write_bytes(b"\x93NUMPY")
    with pytest.raises(BadInput, match=rf"damaged \({name}\)"):
        Stored(folder, 2)
    assert Stored(folder, 1).version.number == 1
