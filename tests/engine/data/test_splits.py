"""How items are divided: every one once, in proportion, groups whole, the same for a seed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from engine.catalog import BadInput
from engine.data.arrays import Items, RaggedWriter, Stored
from engine.data.imports import finish
from engine.data.options import ImportOptions
from engine.data.splits import FEWEST, SPLITS, Rule, fewer, grouped, latest, stratified
from engine.recipe import Amount, Recipe

SHARES = [0.05, 0.1, 0.25, 0.4]


def together(parts):
    return np.sort(np.concatenate([parts[split] for split in SPLITS])).tolist()


@pytest.mark.parametrize("share", SHARES)
def test_stratified_takes_each_item_once_in_order(share):
    labels = np.random.default_rng(0).integers(0, 5, 200)
    parts = stratified(labels, seed=1, validation=share, test=share)
    assert together(parts) == list(range(200))
    assert all((np.diff(rows) > 0).all() for rows in parts.values())


@pytest.mark.parametrize("share", SHARES)
def test_stratified_keeps_the_proportions_of_the_classes(share):
    labels = np.repeat([0, 1, 2], [1000, 300, 20])
    parts = stratified(labels, seed=0, validation=share, test=share)
    for split in ("validation", "test"):
        for label, size in enumerate([1000, 300, 20]):
            assert abs((labels[parts[split]] == label).sum() - share * size) <= 1


@pytest.mark.parametrize("size", range(1, 8))
def test_a_class_is_always_trained_on_and_in_each_split_from_the_fewest_on(size):
    for share in SHARES:
        labels = np.repeat([0, 1], [size, 50])
        parts = stratified(labels, seed=0, validation=share, test=share)
        assert (labels[parts["train"]] == 0).any()
        if size >= FEWEST:
            assert all((labels[parts[split]] == 0).any() for split in SPLITS)


def test_the_same_seed_divides_alike_and_another_does_not():
    labels = np.zeros(100, np.int64)
    first, again, other = (stratified(labels, seed=seed)["test"].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_other_classes_do_not_move_the_items_of_one():
    labels = np.repeat([0, 1], [50, 50])
    alone = stratified(labels[:50], seed=3)["test"]
    beside = stratified(labels, seed=3)["test"]
    assert alone.tolist() == beside[beside < 50].tolist()


def test_without_a_share_for_the_test_there_is_none():
    parts = stratified(np.zeros(50, np.int64), seed=0, validation=0.2, test=0)
    assert len(parts["test"]) == 0
    assert len(parts["validation"]) == 10
    parts = grouped(np.arange(50) // 5, seed=0, validation=0.2, test=0)
    assert len(parts["test"]) == 0
    assert len(parts["validation"]) == 10


def test_nothing_is_divided_into_nothing():
    assert together(stratified(np.zeros(0, np.int64), seed=0)) == []


@pytest.mark.parametrize("seed", range(20))
def test_no_group_is_in_two_splits_and_none_is_empty(seed):
    rng = np.random.default_rng(seed)
    groups = rng.choice(rng.integers(0, 10**9, rng.integers(3, 30)), 300)
    groups[:3] = [-1, -2, -3]  # at least three
    share = float(rng.choice(SHARES))
    parts = grouped(groups, seed=seed, validation=share, test=share)
    assert together(parts) == list(range(300))
    of = {split: set(groups[rows].tolist()) for split, rows in parts.items()}
    assert all(of.values())
    assert sum(map(len, of.values())) == len(set(groups.tolist()))
    again = grouped(groups, seed=seed, validation=share, test=share)
    assert all((again[split] == parts[split]).all() for split in SPLITS)


@pytest.mark.parametrize("share", SHARES)
def test_groups_fill_the_shares_as_far_as_whole_ones_can(share):
    groups = np.repeat(np.arange(100), 10)
    parts = grouped(groups, seed=0, validation=share, test=share)
    for split in ("validation", "test"):
        assert abs(len(parts[split]) - share * 1000) <= 5


def test_a_group_that_is_nearly_everything_is_trained_on():
    for seed in range(20):
        groups = np.repeat(np.arange(11), [900, *[10] * 10])
        parts = grouped(groups, seed=seed)
        assert 0 in groups[parts["train"]], seed


def test_too_few_groups_are_said():
    with pytest.raises(BadInput, match="There are 2 groups, and 3 are needed"):
        grouped(np.array([0, 1, 0, 1]), seed=0)


@pytest.mark.parametrize(
    "wrong", [{"validation": 0}, {"test": 0.5}, {"seed": -1}, {"how": "by hand"}, {"test": np.nan}]
)
def test_a_rule_out_of_range_is_none(wrong):
    with pytest.raises(ValidationError):
        Rule(**wrong)


# --- the split that a source names ----------------------------------------------------------


def _items(folder, **more):
    count = 12
    return Items(
        kind="text", fingerprint="f", names=[str(i) for i in range(count)],
        labels=["ab"[i % 2] for i in range(count)], **more,
    )  # fmt: skip


def _finished(folder, items, **options):
    with RaggedWriter(folder, "text") as out:
        for name in items.names:
            out.add_text(f"text {name}")
    said = ImportOptions(**options)
    list(finish(items, folder, source="t.csv", options=said, origin="", licence=""))
    return Stored(folder)


GIVEN = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2


def test_groups_that_a_given_split_tears_apart_are_refused(tmp_path):
    items = _items(tmp_path, splits=GIVEN, groups={"speaker": ["x", "y"] * 6})
    with pytest.raises(BadInput, match="“x” of “speaker” is in several parts") as problem:
        _finished(tmp_path, items, group="speaker")
    assert problem.value.field == "split"


def test_groups_within_a_given_split_are_kept(tmp_path):
    items = _items(tmp_path, splits=GIVEN, groups={"speaker": GIVEN})
    assert _finished(tmp_path, items, group="speaker").version.rule.how == "given"


def test_a_given_split_can_be_set_aside_for_groups(tmp_path):
    groups = [str(i // 3) for i in range(12)]
    items = _items(tmp_path, splits=GIVEN, groups={"speaker": groups})
    stored = _finished(tmp_path, items, group="speaker", split="random")
    assert stored.version.rule.how == "grouped"
    for name in set(groups):
        assert len({int(s) for s, g in zip(stored.splits, groups, strict=True) if g == name}) == 1


def test_other_options_of_the_same_file_are_another_version(tmp_path):
    prints = set()
    for number, size in enumerate((None, 16)):
        folder = tmp_path / str(number)
        folder.mkdir()
        prints.add(_finished(folder, _items(folder), size=size).version.fingerprint)
    assert len(prints) == 2


# --- how many labels are used -----------------------------------------------------------------


UNEQUAL = np.repeat([0, 1, 2, 3], [1000, 300, 20, 1])


def used(amount, *, seed=0, rows=None, labels=UNEQUAL):
    rows = np.arange(len(labels)) if rows is None else rows
    return fewer(rows, Amount.of(amount), labels, seed=seed)


def test_a_larger_amount_holds_every_smaller_one():
    sizes = ["1%", "3%", "10%", "30%", "99.5%", "100%"]
    for amounts in (sizes, ["1", "2", "5", "50", "2000"]):
        held = [set(used(amount).tolist()) for amount in amounts]
        assert all(small <= large for small, large in pairwise(held))
        assert len(held[-1]) == len(UNEQUAL)


def test_each_class_keeps_its_share_and_none_goes_missing():
    assert np.bincount(UNEQUAL[used("3%")]).tolist() == [30, 9, 1, 1]
    assert np.bincount(UNEQUAL[used("5")]).tolist() == [5, 5, 5, 1]
    assert np.bincount(UNEQUAL[used("0.01%")]).tolist() == [1, 1, 1, 1]
    assert used("1", labels=np.zeros(1, np.int64)).tolist() == [0]


def test_only_the_rows_of_the_split_are_used_in_their_order():
    rows = np.arange(1, len(UNEQUAL), 2)
    some = used("10%", rows=rows)
    assert set(some.tolist()) < set(rows.tolist())
    assert (np.diff(some) > 0).all()
    assert np.bincount(UNEQUAL[some], minlength=4).tolist() == [50, 15, 1, 0]


def test_another_seed_uses_other_labels_and_the_same_seed_the_same():
    assert used("3%", seed=1).tolist() == used("3%", seed=1).tolist()
    assert used("3%", seed=1).tolist() != used("3%", seed=2).tolist()


def test_items_without_a_label_are_a_class_of_their_own():
    labels = np.array([-1] * 50 + [0] * 50)
    assert np.bincount(labels[used("4%", labels=labels)] + 1).tolist() == [2, 2]


def test_of_a_series_the_latest_steps_are_used_without_gaps():
    series = np.repeat([7, 3], [10, 20])
    rows = np.concatenate([np.arange(8), np.arange(10, 26)])
    some = latest(rows, Amount.of("25%"), series)
    assert some.tolist() == [6, 7, 22, 23, 24, 25]


@pytest.mark.parametrize("wrong", ["0%", "0", "101%", "-3", "3.5", "3 %", "half", "%", ""])
def test_what_is_no_amount_is_refused_with_what_one_looks_like(wrong):
    with pytest.raises(BadInput, match="like 3%") as problem:
        Amount.of(wrong)
    assert problem.value.field == "labels"
    four = {kind: {"name": "X"} for kind in ("task", "data", "model", "method")}
    with pytest.raises(ValidationError):
        Recipe.model_validate({**four, "labels": wrong})


def test_a_recipe_from_before_there_was_an_amount_is_read_and_uses_all():
    old = '{"task":{"name":"T"},"data":{"name":"D"},"model":{"name":"M"},"method":{"name":"W"}}'
    assert Recipe.from_json(old).labels is None
