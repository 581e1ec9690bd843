"""What is wrong with a dataset is said in a sentence, with the items and the mend; no more is."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from folders import made
from PIL import Image

from engine.data import checks, likeness
from engine.data.doctor import Finding, Setting, examine, keep, kept
from engine.data.findings import Subject
from engine.data.splits import Rule
from engine.data.versions import change

SPREAD = "t" * 8 + "ve"
"""Ten items: eight in train, one in validation, one in test."""


@pytest.fixture
def dataset(tmp_path) -> Callable[..., Any]:
    """``dataset(kind, items, …)`` → the dataset, opened (see `made`)."""
    number = itertools.count(1)
    return lambda kind, items, **how: made(tmp_path / str(next(number)), kind, items, **how)


def said(stored: Any) -> dict[str, Finding]:
    """The findings by their codes, which no two share."""
    found = examine(stored)
    assert len({finding.code for finding in found}) == len(found)
    for finding in found:
        assert finding.text[0].isupper() or finding.text[0] in "“0123456789"
        assert bool(finding.mend) == bool(finding.button)
        assert all(0 <= row < len(stored) for row in finding.rows)
        assert all(stored.splits[row] >= 0 for row in finding.rows)
    return {finding.code: finding for finding in found}


def mended(stored: Any, code: str) -> dict[str, Finding]:
    """What is found after the mend of a finding."""
    mend = said(stored)[code].mend
    version = change(stored.folder, mend, parent=stored.version.number)
    return said(type(stored)(stored.folder, version.number))


def photographs(count: int, side: int = 32, *, seed: int = 0) -> np.ndarray:
    """Smooth colours with some detail, each quite another: (count, side, side, 3)."""
    rng = np.random.default_rng(seed)
    out = np.empty((count, side, side, 3), np.uint8)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        fine = Image.fromarray(rng.integers(0, 256, (14, 14, 3), np.uint8))
        shapes = [np.asarray(part.resize((side, side), Image.Resampling.BICUBIC), np.float32)
                  for part in (coarse, fine)]  # fmt: skip
        out[i] = np.clip(0.7 * shapes[0] + 0.3 * shapes[1], 0, 255)
    return out


def texts(count: int) -> list[str]:
    return [f"sentence number {i} of all" for i in range(count)]


def halves(count: int) -> list[str]:
    return ["no", "yes"] * (count // 2) + ["no"] * (count % 2)


def packed_again(pixels: np.ndarray, quality: int = 60) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))


# --- whether it can be learned from at all --------------------------------------------------


def test_nothing_is_wrong_with_a_sound_dataset(dataset):
    count = 1000
    splits = "t" * 200 + "v" * 300 + "e" * 500
    for kind, items in {
        "images": np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), np.uint8),
        "text": texts(count),
        "pairs": [(text, text.upper() + "?") for text in texts(count)],
        "sound": np.random.default_rng(0).integers(-9000, 9000, (count, 200), np.int16),
        "sequences": np.random.default_rng(0).standard_normal((count, 5, 2)),
    }.items():
        labels = None if kind == "pairs" else halves(count)
        assert said(dataset(kind, items, labels=labels, splits=splits)) == {}, kind


def test_one_class_is_nothing_to_tell_apart(dataset):
    found = said(dataset("text", texts(10), labels=["good"] * 10, splits=SPREAD))["one_class"]
    assert found.harm == "stops"
    assert "“good”" in found.text
    assert "nothing to tell apart" in found.text


def test_an_empty_split_is_filled_by_splitting_again(dataset):
    stored = dataset("text", texts(10), labels=halves(10), splits="t" * 9 + "v")
    found = said(stored)["empty_splits"]
    assert found.harm == "stops"
    assert found.text.startswith("Nothing is in test: there is nothing to measure")
    assert "empty_splits" not in mended(stored, "empty_splits")


def test_that_nothing_is_held_back_is_only_worth_knowing_where_it_was_wanted(dataset):
    few = {"labels": ["a", "b", "b", "b"], "rule": Rule(how="none")}
    found = said(dataset("text", texts(4), **few))
    assert "small_classes" not in found
    assert (found["empty_splits"].harm, found["empty_splits"].mend.rule.how) == ("notice", "random")
    assert "nothing is held back" in found["empty_splits"].text
    # To be trained on, it lacks what any other would.
    divided = mended(dataset("text", texts(4), **few), "empty_splits")
    assert divided["small_classes"].harm == "harms"
    empty = said(dataset("text", texts(4), splits="veve", **few))["empty_splits"]
    assert empty.harm == "stops"


def test_a_class_that_is_never_trained_is_named(dataset):
    stored = dataset("text", texts(10), labels=["a"] * 4 + ["b"] * 5 + ["c"], splits=SPREAD)
    found = said(stored)["untrained_classes"]
    assert (found.harm, found.rows) == ("stops", (9,))
    assert "“c” has no item in train" in found.text
    assert "untrained_classes" not in mended(stored, "untrained_classes")


def test_what_stops_comes_first_and_what_is_only_worth_knowing_last(dataset):
    ranks = [finding.harm for finding in examine(dataset("text", ["same"] * 5, labels=["a"] * 5))]
    assert ranks == sorted(ranks, key=["stops", "harms", "notice"].index)
    assert {"stops", "harms", "notice"} == set(ranks)


# --- the same item twice --------------------------------------------------------------------


def test_an_item_in_train_and_again_in_test_is_left_out_of_train(dataset):
    items = photographs(10)
    items[9] = items[2]
    items[5] = items[2]
    stored = dataset("images", items, labels=["a"] * 10, splits=SPREAD)
    found = said(stored)["copies_in_test"]
    assert found.harm == "harms"
    assert found.text == (
        "1 picture is in train and again in test (100 % of test), such as “item 9” and “item 2”: "
        "the test score would look better than it is"
    )
    assert found.rows == (9, 2, 5)
    assert found.mend.rows == (2, 5)
    assert found.button == "Leave 2 copies out of train"
    after = mended(stored, "copies_in_test")
    assert not {"copies_in_test", "duplicates"} & set(after)


@pytest.mark.parametrize("kind", ["images", "text", "pairs", "sound", "sequences"])
def test_copies_are_found_in_every_kind(dataset, kind):
    rng = np.random.default_rng(1)
    items: Any = {
        "images": rng.integers(0, 256, (10, 8, 8, 3), np.uint8),
        "text": texts(10),
        "pairs": [(text, text[::-1]) for text in texts(10)],
        "sound": rng.integers(-9000, 9000, (10, 100), np.int16),
        "sequences": rng.standard_normal((10, 4, 2)),
    }[kind]
    items[8] = items[9] = items[1] = items[0]
    found = said(dataset(kind, items, splits=SPREAD))
    assert found["copies_in_test"].rows == (9, 0, 1)
    assert found["copies_in_validation"].rows == (8, 0, 1)
    assert found["duplicates"].rows == (0, 1)
    assert found["duplicates"].mend.rows == (1,)


def test_items_that_are_left_out_do_not_count(dataset):
    items = texts(10)
    items[0] = items[9]
    assert "copies_in_test" not in said(dataset("text", items, splits="-" + SPREAD[1:]))


def test_the_same_item_with_two_labels_is_left_out_altogether(dataset):
    items = texts(12)
    items[3] = items[10] = items[0]
    items[5] = items[4]
    labels = ["a", "b"] * 6
    labels[0], labels[3], labels[10], labels[4], labels[5] = "a", "b", "a", "b", "b"
    stored = dataset("text", items, labels=labels, splits="t" * 10 + "ve")
    found = said(stored)
    assert found["contradictions"].rows == (0, 3, 10)
    assert "(“a” and “b”): the model is told that both are right" in found["contradictions"].text
    assert found["duplicates"].rows == (4, 5)
    assert "copies_in_validation" not in found  # it goes with the contradiction
    assert "contradictions" not in mended(stored, "contradictions")


def test_a_picture_that_was_packed_lightened_or_scaled_is_nearly_the_same(dataset):
    items = photographs(200)
    small = Image.fromarray(items[3]).resize((24, 24), Image.Resampling.BICUBIC)
    items[197] = np.asarray(small.resize((32, 32), Image.Resampling.BICUBIC))
    items[198] = packed_again(items[1])
    items[199] = np.clip(items[2].astype(int) * 0.8 + 20, 0, 255)
    found = said(dataset("images", items, splits="t" * 190 + "v" * 7 + "eee"))
    assert set(found["near_copies_in_test"].rows) == {1, 2, 3, 197, 198, 199}
    assert found["near_copies_in_test"].mend.rows == (1, 2, 3)
    assert "3 pictures are in test and nearly the same in train (100 % of test)" in (
        found["near_copies_in_test"].text
    )
    assert "near_duplicates" not in found


def test_near_duplicates_within_a_split_keep_the_first(dataset):
    items = photographs(100)
    items[50], items[70] = packed_again(items[10], 80), packed_again(items[10], 60)
    stored = dataset("images", items, splits="t" * 98 + "ve")
    found = said(stored)["near_duplicates"]
    assert found.rows == (10, 50, 70)
    assert found.mend.rows == (50, 70)
    assert "near_duplicates" not in mended(stored, "near_duplicates")


def test_drawings_of_the_same_thing_are_not_the_same(dataset):
    # Strokes as handwritten ones are: alike in the coarse, and never quite the same.
    rng = np.random.default_rng(0)
    down, across = np.mgrid[:28, :28]
    items = np.empty((600, 28, 28, 1), np.uint8)
    for i in range(600):
        slant, place, width = rng.normal(0.25, 0.08), rng.normal(14, 0.6), rng.uniform(1, 2)
        wobble = np.interp(np.arange(28), np.arange(0, 32, 4), rng.normal(0, 0.6, 8))[:, None]
        away = np.abs(across - place - slant * (14 - down) - wobble) / width
        ink = np.clip(2 - away, 0, 1) * (abs(down - 14) < rng.uniform(8, 10))
        items[i, :, :, 0] = 255 * ink
    near = likeness.near_images(items, np.arange(len(items)))
    assert len(near) < 0.01 * len(items)  # of 180,000 pairs


def test_pictures_too_small_to_tell_apart_are_only_compared_exactly(dataset):
    items = np.zeros((10, 8, 8, 1), np.uint8)
    items[:, 2:6, 3] = 200 + np.arange(10)[:, None, None]
    assert not {"near_duplicates", "near_copies_in_test"} & set(
        said(dataset("images", items, splits=SPREAD))
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A fine film.", "a  fine film"),
        ("Don't go!", "don’t go"),
        ("ｆｕｌｌ　ｗｉｄｔｈ！", "full width"),
        ("Straße", "STRASSE"),
        ("Cafe\u0301", "café"),
    ],
)
def test_texts_that_differ_by_case_width_and_marks_are_nearly_the_same(dataset, one, other):
    found = said(dataset("text", [one, *texts(8), other], splits=SPREAD))
    assert set(found["near_copies_in_test"].rows) == {0, 9}
    assert "copies_in_test" not in found


@pytest.mark.parametrize(
    ("one", "other"), [(":)", ":("), ("1.5", "15"), ("-3", "3"), ("!!!", "?"), ("a b", "ab")]
)
def test_texts_that_mean_something_else_are_not_the_same(dataset, one, other):
    found = said(dataset("text", [one, *texts(8), other], splits=SPREAD))
    assert not {"near_copies_in_test", "copies_in_test"} & set(found)


# --- classes --------------------------------------------------------------------------------


def test_labels_that_differ_in_how_they_are_written_become_the_most_frequent(dataset):
    labels = ["hot dog"] * 4 + ["Hot-Dog", "hot_dog", "ｈｏｔｄｏｇ"] + ["cat"] * 3
    stored = dataset("text", texts(10), labels=labels, splits=SPREAD)
    found = said(stored)["spellings"]
    assert found.rows == (4, 5, 6)
    assert found.button == "Make them “hot dog”"
    assert "small_classes" not in said(stored)  # merged, they are enough
    change(stored.folder, found.mend, parent=1)
    assert type(stored)(stored.folder).classes == ("cat", "hot dog")


@pytest.mark.parametrize("labels", [("-1", "1"), ("1-2", "12"), ("C++", "C"), ("t -1", "t1"),
                                    ("-", "_"), ("é", "e"), ("1_0", "10")])  # fmt: skip
def test_labels_that_mean_something_else_stay_apart(dataset, labels):
    stored = dataset("text", texts(10), labels=list(labels) * 5, splits=SPREAD)
    assert "spellings" not in said(stored)


def test_classes_with_too_few_items_are_left_out(dataset):
    labels = ["a"] * 4 + ["b"] * 4 + ["c", "d"]
    stored = dataset("text", texts(10), labels=labels, splits="ttvettvett")
    found = said(stored)["small_classes"]
    assert "“c” (1) and “d” (1)" in found.text
    assert found.button == "Leave out 2 classes"
    assert "small_classes" not in mended(stored, "small_classes")


def test_a_class_that_drowns_the_others_is_weighed(dataset):
    labels = ["many"] * 99 + ["few"] * 3
    found = said(dataset("text", texts(102), labels=labels, splits="t" * 50 + "v" + "t" * 51))
    assert found["imbalance"].mend == Setting(name="task.class_weights", value="balanced")
    assert "“many” has 98 training items and “few” 3, 33 times as few" in found["imbalance"].text


# --- what is in the items -------------------------------------------------------------------


def test_pictures_of_one_colour_are_named(dataset):
    items = photographs(10)
    items[4] = (3, 200, 7)
    items[6] = 0
    found = said(dataset("images", items, splits=SPREAD))
    assert found["constant"].rows == (4, 6)
    assert "2 pictures are of one colour, such as “item 4” and “item 6”" in found["constant"].text


def test_silent_clipped_long_and_short_recordings_are_named(dataset):
    rng = np.random.default_rng(0)
    items = [rng.integers(-9000, 9000, 1000) for _ in range(10)]
    items[1] = rng.integers(-20, 20, 1000)
    items[2] = np.clip(np.sin(np.arange(1000) / 9) * 90_000, -32768, 32767)
    items[3] = rng.integers(-9000, 9000, 20_000)
    items[4] = rng.integers(-9000, 9000, 30)
    items[5][::50] = 32767  # loud for a moment, not cut off
    items[6] = np.zeros(0)
    found = said(dataset("sound", items, splits=SPREAD))
    assert found["silent"].rows == (1, 6)
    assert found["clipped"].rows == (2,)
    assert found["long"].rows == (3,)
    assert found["short"].rows == (4, 6)
    assert "usual (1 s)" in found["long"].text


def test_sequences_that_never_change_break_off_or_are_no_numbers_are_named(dataset):
    rng = np.random.default_rng(0)
    items = [rng.standard_normal((50, 2)) for _ in range(10)]
    for item in items:
        item[:, 1] = 3
    items[2][7, 0] = np.nan
    items[3] = items[3][:1]
    items[4] = rng.standard_normal((2000, 2)) * [1, 0] + [0, 3]
    found = said(dataset("sequences", items, splits=SPREAD))
    assert found["not_finite"].rows == (2,)
    assert found["short"].rows == (3,)
    assert found["long"].rows == (4,)
    assert "1 of 2 features has the same value everywhere" in found["constant_features"].text


def test_absurdly_long_and_short_texts_are_named(dataset):
    items = texts(10)
    items[3], items[4], items[5] = "long " * 1000, "x", "ö"
    found = said(dataset("text", items, splits=SPREAD))
    assert found["long_texts"].rows == (3,)
    assert found["short_texts"].rows == (4, 5)


def test_characters_that_training_lacks_are_named(dataset):
    items = [*texts(8), "straße", "naïve straße"]
    found = said(dataset("text", items, splits=SPREAD))["unseen_characters"]
    assert (found.harm, found.rows) == ("notice", (8, 9))
    assert "“ß”" in found.text
    assert "“ï”" in found.text
    assert "in 2 texts (100 %)" in found.text
    assert "can't spell them" in found.text


def test_characters_of_transcripts_count_too(dataset):
    items = np.random.default_rng(0).integers(-9000, 9000, (10, 200), np.int16)
    found = said(dataset("sound", items, transcripts=["said"] * 9 + ["üs"], splits=SPREAD))
    assert "never in train (transcripts), “ü”" in found["unseen_characters:transcripts"].text


def test_texts_in_another_script_are_named(dataset):
    items = [*texts(18), "привет мир", "числа 12"]
    found = said(dataset("text", items, splits="t" * 20))["scripts"]
    assert found.rows == (18, 19)
    assert "not in Latin letters but Cyrillic" in found.text
    both = dataset("text", [*texts(5), "日本の", "カタカナ", "漢字", "ひらがな", "한글"])
    assert "Latin 50 %, Chinese or Japanese 40 % and Hangul 10 %" in said(both)["scripts"].text


def test_pairs_that_are_no_translations_are_named(dataset):
    items = [(f"sentence {i} in Latin letters", f"предложение {i} по-русски") for i in range(20)]
    items[3] = items[3][::-1]
    items[4] = ("sentence that stays", "sentence that stays")
    items[5] = ("yes", "да и ещё очень длинное предложение, которое не отсюда")
    items[7] = (items[6][0], "другое")
    found = said(dataset("pairs", items, splits="t" * 16 + "vvee"))
    assert found["swapped"].rows == (3,)
    assert found["untranslated"].rows == (4,)
    assert found["lopsided"].rows == (5,)
    assert found["several_targets"].rows == (6, 7)
    assert {"scripts:source", "scripts:target"} <= set(found)


# --- the splits -----------------------------------------------------------------------------


def test_a_speaker_in_train_and_test_can_be_kept_in_one(dataset):
    speakers = [f"s{i % 5}" for i in range(40)]
    rooms = ["here"] * 40
    takes = [str(i) for i in range(40)]
    columns = {"speaker": speakers, "room": rooms, "take": takes}
    stored = dataset("text", texts(40), splits=SPREAD * 4, groups=columns)
    found = said(stored)
    assert {code for code in found if code.startswith("groups")} == {"groups:speaker"}
    assert found["groups:speaker"].harm == "notice"
    assert "“s3” and “s4”" in found["groups:speaker"].text
    assert found["groups:speaker"].mend.rule == Rule(how="grouped", column="speaker")
    assert "groups:speaker" not in mended(stored, "groups:speaker")


def test_groups_that_are_the_classes_are_not_kept_apart(dataset):
    stored = dataset(
        "text", texts(40), labels=["a", "b", "c", "d"] * 10, splits=SPREAD * 4,
        groups={"kind": ["a", "b", "c", "d"] * 10},
    )  # fmt: skip
    assert said(stored)["groups:kind"].mend is None


def test_few_items_to_train_or_to_test_on_are_worth_knowing(dataset):
    found = said(dataset("text", texts(20), labels=halves(20), splits=SPREAD * 2))
    assert "only 16 texts to train on" in found["small_dataset"].text
    assert "±50 points" in found["small_test"].text


# --- always ---------------------------------------------------------------------------------

ODD: dict[str, list[Any]] = {
    "images": [
        np.zeros((1, 1, 1, 1)), np.zeros((5, 1, 1, 3)), np.zeros((5, 16, 16, 1)),
        np.zeros((5, 1, 300, 4)), np.zeros((5, 300, 17, 3)), np.full((2, 32, 32, 3), 255),
        np.arange(3 * 32 * 32).reshape(3, 32, 32, 1) % 251,
    ],
    "text": [[""], ["", ""], ["a"] * 3, ["\0", "\u200b", "🙂"], ["\ud800", "é" * 5000, "\ufffd"]],
    "pairs": [[("", "")], [("a", "")] * 3, [("", "b"), ("", "c")], [("я", "a"), ("a", "я")]],
    "sound": [[[]], [[], [], []], [[0]], [[32767] * 5, [], [-32768] * 5], [[1]] * 4],
    "sequences": [
        [np.zeros((1, 1))], [np.zeros((0, 2))], [np.zeros((0, 2)), np.ones((5, 2))],
        [np.full((3, 1), np.nan)] * 3, [np.full((2, 3), np.inf), np.zeros((1, 3))],
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", list(ODD))
def test_nothing_makes_it_fail(dataset, kind):
    for items in ODD[kind]:
        count = len(items)
        for splits in {"t" * count, "e" * count, "-" * count, ("tve-" * count)[:count]}:
            for labels in (None, ["x"] * count, [str(i) for i in range(count)]):
                groups = {"who": [str(i % 2) for i in range(count)]}
                stored = dataset(kind, items, splits=splits, labels=labels, groups=groups)
                found = list(said(stored).values())
                assert examine(stored) == found
                keep(stored, found)
                assert kept(stored) == found


def test_findings_that_are_damaged_are_found_again(dataset):
    stored = dataset("text", texts(10), splits=SPREAD)
    keep(stored, [])
    assert kept(stored) == []
    (stored.at / "findings.json").write_text('[{"code": 1')
    assert kept(stored) == examine(stored) != []


def test_every_mend_can_be_made(dataset):
    rng = np.random.default_rng(5)
    for _ in range(8):
        count = int(rng.integers(4, 40))
        stored = dataset(
            "text", [f"text {i}" for i in rng.integers(0, 12, count)],
            labels=[["a", "A", "b", "c"][i] for i in rng.integers(0, 4, count)],
            splits="".join(rng.choice(list("ttttve-"), count)),
            groups={"who": [str(i) for i in rng.integers(0, 4, count)]},
        )  # fmt: skip
        for finding in examine(stored):
            if finding.mend and not isinstance(finding.mend, Setting):
                made = change(stored.folder, finding.mend, parent=1)
                codes = {one.code for one in examine(type(stored)(stored.folder, made.number))}
                assert finding.code not in codes


def test_sixty_thousand_pictures_take_seconds(dataset):
    rng = np.random.default_rng(0)
    items = rng.integers(0, 256, (60_000, 8, 8, 1), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    begin = time.perf_counter()
    near = likeness.near_images(items, np.arange(len(items)))
    assert len(near) == 0
    # All alike: what can't be told apart by its hash must not be compared with everything.
    items[1:] = items[0] + rng.integers(0, 3, (59_999, 32, 32, 1), np.uint8)
    likeness.near_images(items, np.arange(len(items)))
    assert time.perf_counter() - begin < 60


def test_it_needs_no_torch():
    code = "import sys; import engine.data.doctor; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_single_copy_among_thousands_is_only_worth_knowing(dataset):
    items = texts(1500)
    items[1] = items[0]
    stored = dataset("text", items, splits="t" * 1300 + "v" * 100 + "e" * 100)
    assert said(stored)["duplicates"].harm == "notice"
    items[3] = items[2]
    stored = dataset("text", items, splits="t" * 1300 + "v" * 100 + "e" * 100)
    assert said(stored)["duplicates"].harm == "harms"
    items[3], items[1], items[1401] = "three", "one", items[1400]
    stored = dataset("text", items, splits="t" * 1300 + "v" * 100 + "e" * 100)
    assert said(stored)["duplicates"].harm == "harms"


def test_one_class_of_what_is_transcribed_is_no_obstacle(dataset):
    waves = np.random.default_rng(0).integers(-9000, 9000, (60, 100), np.int16)
    stored = dataset("sound", waves, labels=["a"] * 60, transcripts=texts(60),
                     splits="t" * 50 + "v" * 5 + "e" * 5)  # fmt: skip
    assert said(stored)["one_class"].harm == "notice"


def test_one_long_value_does_not_widen_all_the_others(dataset):
    count = 20_000
    values = [f"s{i % 499}" for i in range(count)]
    values[7] = "x" * 2000
    stored = dataset("text", ["a text"] * count, groups={"speaker": values},
                     splits=("t" * 8 + "ve") * (count // 10))  # fmt: skip
    subject = Subject(stored)
    tracemalloc.start()
    (found,) = checks.groups(subject)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.text.startswith("499 of 500 values of “speaker” are in train")
    assert peak < count * 500


def test_pairs_are_dismissed_by_a_few_neighbours_as_by_all(monkeypatch):
    items = photographs(400)
    items[300:] = np.clip(items[0].astype(int) + np.random.default_rng(1).integers(
        -40, 40, (100, 32, 32, 3)), 0, 255)  # fmt: skip
    items[200] = packed_again(items[1])
    monkeypatch.setattr(likeness, "FIRST", 30)
    few = likeness.near_images(items, np.arange(len(items)))
    monkeypatch.setattr(likeness, "FIRST", 1000)
    assert few.tolist() == likeness.near_images(items, np.arange(len(items))).tolist() == [[1, 200]]


def test_labels_that_differ_in_writing_alone_dont_contradict_each_other(tmp_path):
    stored = made(
        tmp_path / "d", "text", ["the same text"] * 2 + [f"text number {i}" for i in range(38)],
        labels=["Good", "good", *["good", "bad"] * 19],
    )  # fmt: skip
    codes = [finding.code for finding in examine(stored)]
    assert "spellings" in codes
    assert "contradictions" not in codes
