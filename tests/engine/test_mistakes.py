"""What a run says of single items, how sure it is, and which labels look wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import calibration, checkpoint, judging, suspects
from engine.catalog import BadInput
from engine.data.imports import bring_in
from engine.datasets import imported
from engine.desk import Desk
from engine.errors_in_text import compared
from engine.events import Event, Finished, Sample
from engine.home import Home
from engine.intake import revise
from engine.judging import Judged
from engine.recipe import Recipe, compose
from tests.engine.test_language_modelling import LINES
from tests.engine.test_language_modelling import SMALL as MODELS
from tests.engine.test_speech import SMALL, brought, tunes

DECODER = MODELS["TransformerDecoder"]
Make = Callable[..., Recipe]
Carry = Callable[..., list[Event]]


def drained(answer: Generator[str, None, Any]) -> Any:
    """What an answer in pieces ends with."""
    while True:
        try:
            next(answer)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray[Any, Any]]:
    """The 8×8 digits as a file to bring in, with a label in 20 wrong, and which ones those are."""
    from sklearn.datasets import load_digits

    known = load_digits()
    labels, rng = known.target.copy(), np.random.default_rng(0)
    flipped = np.sort(rng.choice(len(labels), len(labels) // 20, replace=False))
    labels[flipped] = (labels[flipped] + rng.integers(1, 10, len(flipped))) % 10
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, images=(known.images * 15.9375).astype(np.uint8), labels=labels)
    return path, flipped


@pytest.fixture
def own(home: Home, digits: tuple[Path, np.ndarray[Any, Any]]) -> int:
    """Those digits, brought in as dataset 1."""
    list(bring_in([digits[0]], home.dataset(1), kind="images"))
    return 1


@pytest.fixture
def desk(home: Home, catalog: Any) -> Desk:
    return Desk(home, catalog)


def trained(recipe: Make, events: Carry, **given: Any) -> Finished:
    ended = events(recipe(**{"method__threads": 1, **given}))[-1]
    assert isinstance(ended, Finished)
    assert ended.state == "finished", ended.reason
    return ended


# --- items ------------------------------------------------------------------------------------


def test_cells_hold_the_items_that_the_matrix_counts(
    recipe: Make, events: Carry, desk: Desk
) -> None:
    ended = trained(recipe, events)
    matrix = ended.metrics["confusion"]
    for y, true in enumerate(matrix["classes"]):
        for x, said in enumerate(matrix["classes"]):
            page = drained(desk.judged(run=1, true=true, said=said, count=100))
            assert page["total"] == len(page["items"]) == matrix["counts"][y][x]
            assert all((one["label"], one["said"]) == (true, said) for one in page["items"])
    page = drained(desk.judged(run=1, count=50))
    errors = [one["error"] for one in page["items"]]
    assert errors == sorted(errors, reverse=True)
    assert all(abs(np.exp(-one["error"]) - one["own"]) < 1e-4 for one in page["items"])


def test_bins_hold_the_items_that_the_diagram_counts(
    recipe: Make, events: Carry, desk: Desk
) -> None:
    trained(recipe, events)
    for on in (False, True):
        drained(desk.temperature(run=1, on=on))
        told = drained(desk.calibration(run=1))["after" if on else "before"]
        for one in told["bins"]:
            page = drained(desk.judged(run=1, bin=one["bin"], count=200))
            assert page["total"] == one["count"]
            assert all(one["low"] < item["share"] <= one["high"] for item in page["items"])


@pytest.mark.parametrize(("task", "known"), [("Reconstruction", True), ("Contrastive", False)])
def test_a_point_of_the_map_is_an_item(
    task: str, known: bool, recipe: Make, events: Carry, desk: Desk
) -> None:
    more = {"model": "Autoencoder"} if known else {"method__batch_size": 64}
    said = events(recipe(task=task, task__view="PCA", method__threads=1, **more))
    (drawn, *_) = [one.data for one in said if isinstance(one, Sample) and one.kind == "scatter"]
    assert len(drawn["rows"]) == len(drawn["x"])
    for place in (0, 5):
        row = drawn["rows"][place]
        page = drained(desk.judged(run=1, split="validation", rows=[row]))
        assert [one["row"] for one in page["items"]] == [row]
        assert page["items"][0]["label"] == drawn["classes"][drawn["label"][place]]
        assert ("error" in page["items"][0]) is known


def test_a_second_look_asks_no_model(recipe: Make, events: Carry, home: Home) -> None:
    trained(recipe, events)
    first = list(judging.judged(home, 1, "validation"))
    assert first[-1]["done"] == first[-1]["total"]
    assert not list(judging.judged(home, 1, "validation"))
    (home.run(1) / "judged" / "validation.safetensors").write_bytes(b"damaged")
    assert list(judging.judged(home, 1, "validation")) == first


def test_a_look_that_is_left_half_way_keeps_nothing(
    recipe: Make, events: Carry, home: Home
) -> None:
    trained(recipe, events)
    answer = judging.judged(home, 1, "train")
    next(answer)
    next(answer)
    answer.close()
    assert not (home.run(1) / "judged").exists()


def test_a_run_that_found_better_weights_meanwhile_is_judged_by_those(
    recipe: Make, events: Carry, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(recipe, events)
    folder, opened = home.checkpoints(1), judging.reopened
    before, _ = checkpoint.find(folder, "best")

    def slowly(home: Home, run: int) -> Any:
        setup = opened(home, run)
        later = {"folder": "step-000000999", "step": 999, "epoch": 9.0}
        (folder / before.folder).rename(folder / str(later["folder"]))
        index = json.dumps({"best": later, "last": later})
        (folder / "index.json").write_text(index, encoding="utf-8")
        return setup

    monkeypatch.setattr(judging, "reopened", slowly)
    assert drained(judging.judged(home, 1, "test")).step == 999


def test_items_are_of_the_version_that_the_run_was_trained_on(
    recipe: Make, events: Carry, home: Home, own: int, desk: Desk
) -> None:
    trained(recipe, events, data="ImportedImages", data__id=own, data__version=1)
    worst = drained(desk.judged(run=1, wrong=True, count=1, today=1))["items"][0]
    wanted = {"do": "relabel", "rows": [worst["row"]], "label": worst["said"]}
    assert revise(home, own, 1, wanted)["version"] == 2
    again = drained(desk.judged(run=1, wrong=True, count=1, today=2))
    assert again["version"] == 1
    assert again["items"][0]["label"] == worst["label"]
    assert again["items"][0]["now"] == {"label": worst["said"], "split": "test"}
    revise(home, own, 2, {"do": "exclude", "rows": [worst["row"]]})
    gone = drained(desk.judged(run=1, wrong=True, count=1, today=3))["items"][0]
    assert gone["now"]["split"] is None


def test_a_removed_dataset_is_a_sentence(
    recipe: Make, events: Carry, home: Home, own: int, desk: Desk
) -> None:
    trained(recipe, events, data="ImportedImages", data__id=own, data__version=1)
    home.dataset(own).rename(home.root / "elsewhere")
    with pytest.raises(BadInput, match="has been removed"):
        drained(desk.judged(run=1))
    with pytest.raises(BadInput, match="no class 'cat'"):
        judging.place_of("cat", ("dog",))
    with pytest.raises(BadInput, match="There is no split"):
        drained(desk.judged(run=1, split="../test"))


def test_a_task_without_classes_lists_its_worst_items(
    recipe: Make, events: Carry, desk: Desk
) -> None:
    ended = trained(recipe, events, task="Reconstruction", model="Autoencoder", task__view="PCA")
    page = drained(desk.judged(run=1, count=3))
    assert page["classes"] == []
    assert [sorted(one.keys() & {"error", "said"}) for one in page["items"]] == [["error"]] * 3
    found = drained(judging.judged(desk.home, 1, "test"))
    assert float(found.errors.mean()) == pytest.approx(ended.metrics["test/loss"], rel=1e-3)


def test_the_worst_translations_come_first(recipe: Make, events: Carry, desk: Desk) -> None:
    given = {"task": "Translation", "data": "NumberWords", "model": "AttentionGRU"}
    made = recipe(
        **given, method__max_steps=2, method__threads=1, task__beam=1, task__judged=2,
        data__numbers=1000, data__longest=16, model__width=16,
    )  # fmt: skip
    ended = events(made)[-1]
    assert isinstance(ended, Finished)
    page = drained(desk.judged(run=1, count=200))
    errors = [one["error"] for one in page["items"]]
    assert errors == sorted(errors, reverse=True)
    for one in page["items"]:
        parts = one["compared"]["parts"]
        joined = " ".join(part["reference"] for part in parts if part["reference"])
        assert joined == " ".join(one["reference"].split())


def test_what_was_heard_wrong_comes_first(
    catalog: Any, home: Home, events: Carry, desk: Desk
) -> None:
    brought(home, tunes(40), "t" * 30 + "v" * 4 + "e" * 6)
    settings = {"data.id": 1, **SMALL, "method.max_steps": 2}
    names = {"task": "SpeechRecognition", "model": "SpeechEncoder", "data": "ImportedSound"}
    assert isinstance(events(compose(catalog, names=names, settings=settings))[-1], Finished)  # type: ignore[arg-type]
    page = drained(desk.judged(run=1, today=1))
    assert page["total"] == page["of"] == 6
    for one in page["items"]:
        assert one["reference"] == one["transcript"]
        assert one["compared"]["length"] == len(one["reference"].split())


def test_a_passage_is_as_surprising_as_its_tokens(
    catalog: Any, home: Home, events: Carry, desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "lines.txt").write_text("".join(LINES), encoding="utf-8")
    list(bring_in(tmp_path / "lines.txt", home.dataset(1)))
    made = compose(
        catalog, names={"task": "LanguageModelling", "model": "TransformerDecoder",
                        "data": "ImportedText"},
        settings={"data.id": 1, "task.block": 16, "method.max_steps": 2, "method.batch_size": 8,
                  "method.threads": 1, "method.precision": "fp32", **DECODER},
    )  # fmt: skip
    ended = events(made)[-1]
    assert isinstance(ended, Finished)
    page = drained(desk.judged(run=1, count=200, today=None))
    found = drained(judging.judged(desk.home, 1, "test"))
    assert float(found.errors.mean()) == pytest.approx(ended.metrics["test/loss"], rel=0.05)
    for one in page["items"]:
        nats = [nat for _, nat in one["pieces"]]
        assert one["error"] == pytest.approx(np.mean(nats), abs=1e-2)


@pytest.mark.parametrize(("reference", "written", "counts"), [
    ("the cat sat", "the cat sat", (0, 0, 0)),
    ("the cat sat", "a cat sat down", (1, 1, 0)),
    ("the cat sat", "", (0, 0, 3)),
    ("", "what is this", (0, 3, 0)),
    ("", "", (0, 0, 0)),
    ("\u6211\u7231\u4f60", "\u6211\u60f3\u4f60\u5440", (1, 1, 0)),
])  # fmt: skip
def test_words_that_differ_are_counted(
    reference: str, written: str, counts: tuple[int, int, int]
) -> None:
    found = compared(reference, written)
    assert (found["substituted"], found["inserted"], found["deleted"]) == counts


# --- how sure ---------------------------------------------------------------------------------


def unsure(count: int = 4000, heat: float = 3.0) -> Judged:
    """Items whose logits are those of their true probabilities times `heat`: too sure by that."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1.5, (count, 4)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    true = np.array([rng.choice(4, p=row / row.sum()) for row in shares.astype(np.float64)])
    return Judged(np.arange(count), np.zeros(count, np.float32), 7, tuple("abcd"), true,
                  logits * heat)  # fmt: skip


def test_the_error_of_calibration_is_the_librarys() -> None:
    from torchmetrics.functional.classification import (  # it takes seconds, and only this needs it
        multiclass_calibration_error,
    )

    found = unsure()
    shares = found.shares()
    assert found.true is not None
    theirs = multiclass_calibration_error(
        torch.from_numpy(shares), torch.from_numpy(found.true), 4, n_bins=15, norm="l1"
    )
    ours = calibration.measured(shares, found.true)
    assert ours["ece"] == pytest.approx(float(theirs), abs=2e-3)
    assert sum(one["count"] for one in ours["bins"]) == ours["items"] == 4000


def test_the_fitted_temperature_takes_the_heat_away() -> None:
    found = unsure(heat=3.0)
    assert found.true is not None
    fits = calibration.fitted(found)
    assert fits.value == pytest.approx(3.0, rel=0.1)
    before, after = (calibration.measured(found.shares(heat), found.true)
                     for heat in (1.0, fits.value))  # fmt: skip
    assert after["ece"] < 0.03 < before["ece"]
    assert after["accuracy"] == before["accuracy"]


@pytest.mark.parametrize("heat", [0.1, 0.2, 0.3, 1.0, 10.0])
def test_the_fitted_temperature_is_the_best_there_is(heat: float) -> None:
    """Also for one who is far too unsure, as after a short training."""
    found = unsure(heat=heat)
    assert found.true is not None

    def loss(temperature: float) -> float:
        assert found.true is not None
        return float(calibration.measured(found.shares(temperature), found.true)["nll"])

    best = min(loss(one) for one in np.geomspace(calibration.COOLEST, calibration.HOTTEST, 300))
    assert loss(calibration.fitted(found).value) <= best + 1e-5


def test_answers_that_are_no_numbers_have_no_temperature() -> None:
    found = unsure()
    assert found.logits is not None
    found.logits[3] = np.nan
    with pytest.raises(BadInput, match="aren't numbers"):
        calibration.fitted(found)


def test_one_who_never_errs_gets_a_bounded_temperature() -> None:
    perfect = Judged(np.arange(6), np.zeros(6, np.float32), 1, ("a", "b"),
                     np.array([0, 1] * 3),
                     np.array([[4, -4], [-4, 4]] * 3, np.float32))  # fmt: skip
    assert calibration.COOLEST <= calibration.fitted(perfect).value < 1


def test_a_temperature_in_use_changes_what_predict_says_and_can_be_taken_back(
    recipe: Make, events: Carry, desk: Desk
) -> None:
    trained(recipe, events)
    given = [dict(desk.given(data={"name": "Digits8x8"}, row=0))]
    plain = desk.predict(run=1, inputs=given)
    fits = drained(desk.temperature(run=1, on=True))["value"]
    scaled = desk.predict(run=1, inputs=given)
    assert scaled["checkpoint"]["temperature"] == pytest.approx(fits)
    (before,), (after,) = plain["results"], scaled["results"]
    logs = {one["label"]: np.log(one["probability"]) / fits for one in before["classes"]}
    total = sum(np.exp(value) for value in logs.values())
    for one in after["classes"]:
        assert one["probability"] == pytest.approx(np.exp(logs[one["label"]]) / total, rel=1e-3)
    assert drained(desk.calibration(run=1))["on"]
    # Also when nothing can be asked of its data any more.
    shutil.rmtree(desk.home.run(1) / "judged")
    recipe_ = desk.home.run(1) / "recipe.json"
    recipe_.rename(beside := desk.home.run(1) / "recipe.old")
    drained(desk.temperature(run=1, on=False))
    beside.rename(recipe_)
    assert desk.predict(run=1, inputs=given) == plain


def test_a_threshold_counts_every_item_once() -> None:
    found = unsure(500)
    assert found.true is not None
    told = calibration.apart(found.shares(), found.true, 2)
    own = int((found.true == 2).sum())
    for place, threshold in enumerate(told["thresholds"]):
        assert told["found"][place] + told["missed"][place] == own
        assert told["false"][place] + told["left"][place] == 500 - own
        for which in ("missed", "false"):
            asked = {"class": "c", "threshold": threshold, "which": which}
            assert len(judging.some(found, apart=asked)) == told[which][place]
    with pytest.raises(BadInput, match="nothing to tell apart"):
        calibration.apart(found.shares(), np.zeros(500, np.int64), 2)


# --- doubtful labels --------------------------------------------------------------------------


def test_the_confident_joint_is_the_papers() -> None:
    # Two classes; the third item is labelled 0 and as surely of class 1 as those labelled so.
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9], [0.15, 0.85]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    joint = suspects.confident_joint(shares.astype(np.float32), labels)
    assert joint.tolist() == [[2, 1], [0, 2]]
    found = suspects.suspected(np.arange(10, 16), shares.astype(np.float32), labels)
    assert (found.rows.tolist(), found.suggested.tolist()) == ([12], [1])
    assert found.estimated == pytest.approx(1.0)


def test_nothing_is_said_to_be_of_a_class_that_no_fold_could_learn() -> None:
    # The last item is the only one of its class: the fold that was asked about it didn't know it.
    shares = np.array([[0.9, 0.08, 0.02], [0.9, 0.08, 0.02], [0.5, 0.45, 0.05],
                       [0.1, 0.9, 0.0], [0.1, 0.9, 0.0], [0.6, 0.4, 0.0]])  # fmt: skip
    labels = np.array([0, 0, 0, 1, 1, 2])
    found = suspects.suspected(np.arange(6), shares.astype(np.float32), labels)
    assert 2 not in found.suggested
    assert suspects.confident_joint(shares.astype(np.float32), labels)[:, 2].sum() == 0


def test_an_item_that_looks_most_like_its_own_class_is_not_suspected() -> None:
    # Class 1 is hard to tell: 0.3 of it is as much as those that are labelled so have on average.
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.65, 0.35], [0.7, 0.3], [0.7, 0.3]])
    labels = np.array([0, 0, 0, 1, 1])
    found = suspects.suspected(np.arange(5), shares.astype(np.float32), labels)
    assert found.rows.tolist() == []
    assert found.estimated > 0


def test_labels_that_were_flipped_are_found(
    recipe: Make, events: Carry, own: int, desk: Desk, digits: tuple[Path, np.ndarray[Any, Any]]
) -> None:
    trained(recipe, events, data="ImportedImages", data__id=own, data__version=1, data__flip=False,
            method__epochs=6, method__learning_rate=0.004, method__batch_size=64,
            model__channels=[16, 32], model__hidden=[64])  # fmt: skip
    page = drained(desk.suspects(run=1, count=2000, today=1))
    found, true = {one["row"] for one in page["items"]}, set(digits[1].tolist())
    assert len(found & true) > 0.6 * len(true)
    assert len(found & true) > 0.6 * len(found)
    assert not list(desk.suspects(run=1))


def test_folds_that_are_trained_whole_go_on_where_they_were_left(
    recipe: Make, events: Carry, home: Home
) -> None:
    trained(recipe, events, method__epochs=1)
    folder = home.run(1) / "suspects" / "whole-2"
    answer = suspects.held_out(home, 1, "whole", 2)
    for _ in answer:
        if (folder / "fold-0.safetensors").exists():
            break
    answer.close()
    before = judging.kept(folder / "fold-0.safetensors")
    found = drained(suspects.held_out(home, 1, "whole", 2))
    assert before is not None
    assert found.true is not None
    places = np.searchsorted(found.rows, before.rows)
    assert np.allclose(found.shares()[places], before.shares(), atol=1e-5)
    assert len(found.rows) == len(found.true) == 1797
    assert np.allclose(found.shares().sum(1), 1, atol=1e-5)
    assert [path.name for path in folder.iterdir()] == ["all.safetensors"]


def test_folds_start_from_no_weights_that_saw_their_labels(recipe: Make, home: Home) -> None:
    def kept(run: int, start: int | None, **given: Any) -> Recipe:
        made = recipe(**given).model_copy(update={"start": start})
        home.run(run).mkdir(parents=True)
        (home.run(run) / "recipe.json").write_text(made.to_json(), encoding="utf-8")
        return made

    kept(1, None)
    assert suspects.beginning(kept(2, 1), home) is None  # trained again: the first saw them too
    kept(3, None, task="Reconstruction", model="Autoencoder", task__view="PCA")
    with pytest.raises(BadInput, match="Run 3 has kept no weights"):  # those it would start from
        suspects.beginning(kept(4, 3), home)
    with pytest.raises(BadInput, match="Run 3 has kept no weights"):
        suspects.beginning(kept(5, 4), home)


def test_what_a_person_settled_is_suspected_no_more(
    recipe: Make, events: Carry, home: Home, own: int, desk: Desk
) -> None:
    trained(recipe, events, data="ImportedImages", data__id=own, data__version=1)
    first, second, *_ = (page := drained(desk.suspects(run=1, today=1)))["items"]
    revise(home, own, 1, {"do": "relabel", "rows": [first["row"]], "label": first["suggested"]})
    desk.approve(run=1, rows=[second["row"]])
    left = drained(desk.suspects(run=1, today=2))
    assert left["total"] == page["total"] - 2
    assert not {first["row"], second["row"]} & {one["row"] for one in left["items"]}
    desk.approve(run=1, rows=[second["row"]], back=True)
    assert drained(desk.suspects(run=1, today=2))["total"] == page["total"] - 1


def test_a_class_that_was_renamed_settles_nothing(
    recipe: Make, events: Carry, home: Home, own: int, desk: Desk
) -> None:
    trained(recipe, events, data="ImportedImages", data__id=own, data__version=1)
    page = drained(desk.suspects(run=1, count=2000, today=1))
    first = page["items"][0]
    name, other = first["label"], first["suggested"]
    revise(home, own, 1, {"do": "merge", "classes": [name], "into": "of another name"})
    assert drained(desk.suspects(run=1, today=2))["total"] == page["total"]
    # What both have become can't be mistaken for each other.
    revise(home, own, 2, {"do": "merge", "classes": [other], "into": "of another name"})
    both = [one for one in page["items"] if {one["label"], one["suggested"]} == {name, other}]
    assert both
    left = drained(desk.suspects(run=1, today=3))
    assert left["total"] == page["total"] - len(both)


def test_a_student_of_one_who_knows_the_labels_suspects_nobody(
    recipe: Make, events: Carry, home: Home
) -> None:
    trained(recipe, events, method__epochs=1)
    made = recipe(method="Distillation", method__teacher=1, method__epochs=1)
    assert isinstance(end := events(made, number=2)[-1], Finished)
    assert end.state == "finished", end.reason
    with pytest.raises(BadInput, match="has seen these very labels"):
        drained(suspects.held_out(home, 2, "whole", 2))


def test_what_models_have_made_teaches_no_fold(
    recipe: Make, events: Carry, home: Home, own: int
) -> None:
    stored = imported.ImportedImages(id=own).stored(home)
    made = np.zeros(len(stored), bool)
    made[stored.rows("train")[:100]] = True
    np.save(stored.folder / "synthetic.npy", made)
    trained(recipe, events, data="ImportedImages", data__id=own, data__version=1)
    found = drained(suspects.held_out(home, 1, "head"))
    assert found.rows.tolist() == np.flatnonzero(~made).tolist()


def test_each_item_is_held_out_once_however_rare_its_class() -> None:
    for labels in ([0] * 9 + [1], [0] * 9 + [1, 2, 3], [0] * 5 + [1, 2, 3, 4, 5, 6]):
        held = [place for _, out in suspects.divided(np.array(labels), 3, 0) for place in out]
        assert sorted(held) == list(range(len(labels)))


def test_suspicion_needs_classes(recipe: Make, events: Carry, desk: Desk) -> None:
    trained(recipe, events, task="Reconstruction", model="Autoencoder", task__view="PCA")
    with pytest.raises(BadInput, match="learned classes"):
        drained(desk.suspects(run=1))
    with pytest.raises(BadInput, match="no classes"):
        drained(desk.calibration(run=1))
