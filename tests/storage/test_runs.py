"""What is known of runs, and how they are found."""

from __future__ import annotations

import math
import time
from dataclasses import FrozenInstanceError, fields

import pytest

from storage.history import History
from storage.values import BadState, NoSuchDataset, NoSuchRun, Run
from tests.storage.makers import CARDS, add, finish, start


def test_a_run_comes_back_as_it_went_in(fresh_history: History) -> None:
    before = time.time()
    run = fresh_history.add_run('{"seed": 1}', name="Zoë’s\nrun 学", **CARDS)
    assert run == fresh_history.run(run.id)
    assert (run.recipe, run.name, run.state) == ('{"seed": 1}', "Zoë’s\nrun 学", "queued")
    assert (run.task, run.model, run.data, run.method) == tuple(CARDS.values())
    assert before <= run.created <= time.time()
    assert (run.tags, run.metrics, run.step, run.wish, run.parent) == ((), {}, 0, None, None)


def test_a_run_starts_from_what_there_is(fresh_history: History) -> None:
    with pytest.raises(NoSuchRun, match="There is no run 404"):
        add(fresh_history, parent=404)
    with pytest.raises(NoSuchDataset, match="There is no dataset 404"):
        add(fresh_history, dataset=404)
    coming = fresh_history.add_dataset(name="Leaves", kind="images", source="leaves.zip")
    with pytest.raises(BadState, match=f"Dataset {coming.id} is importing"):
        add(fresh_history, dataset=coming.id)
    assert fresh_history.runs() == ([], 0)
    parent = add(fresh_history)
    assert add(fresh_history, parent=parent.id).parent == parent.id


def test_a_run_knows_its_family(fresh_history: History) -> None:
    first = add(fresh_history)
    second = add(fresh_history, parent=first.id)
    thirds = [add(fresh_history, parent=second.id).id for _ in range(2)]
    add(fresh_history)
    before, after = fresh_history.family(second.id)
    assert ([run.id for run in before], [run.id for run in after]) == ([first.id], thirds)
    before, after = fresh_history.family(thirds[0])
    assert ([run.id for run in before], after) == ([first.id, second.id], [])
    with pytest.raises(NoSuchRun):
        fresh_history.family(404)


def test_a_value_never_changes(fresh_history: History) -> None:
    run = add(fresh_history)
    with pytest.raises(FrozenInstanceError):
        run.name = "other"  # type: ignore[misc]
    fresh_history.rename(run.id, "other")
    assert (run.name, fresh_history.run(run.id).name) == ("A run", "other")


@pytest.mark.parametrize(
    "ask",
    [
        lambda history: history.run(404),
        lambda history: history.rename(404, "x"),
        lambda history: history.annotate(404, notes="x"),
        lambda history: history.tag(404, ["x"]),
        lambda history: history.delete_run(404),
        lambda history: history.reorder(404, before=None),
        lambda history: history.dequeue(404),
        lambda history: history.requeue(404),
        lambda history: history.claim(404, device="cpu", pid=1, pid_started=1.0),
        lambda history: history.wish(404, "stop"),
        lambda history: history.beat(404, pid=1),
        lambda history: history.record(404, points=[("train/loss", 1, 0.1, 0.1, 0.1)]),
        lambda history: history.rewind(404, 1),
        lambda history: history.end(404, state="failed", reason="x"),
        lambda history: history.interrupt(404, "x"),
        lambda history: history.curves(404),
        lambda history: history.last_points(404),
        lambda history: history.samples(404),
        lambda history: history.notices(404),
    ],
)
def test_a_run_that_is_not_there_is_said_to_be_missing(fresh_history: History, ask) -> None:
    with pytest.raises(NoSuchRun, match=r"^There is no run 404$"):
        ask(fresh_history)


def test_nan_and_infinities_survive_in_metrics(fresh_history: History) -> None:
    metrics = {
        "test/loss": math.nan,
        "test/worst": math.inf,
        "per_class": {"recall": [0.5, math.nan, -math.inf], "name": ["nan", "inf", "ä"]},
        "$float": "nan",
        "odd": {"$float": "neither"},
    }
    found = fresh_history.run(finish(fresh_history, metrics).id).metrics
    assert math.isnan(found["test/loss"])
    assert found["test/worst"] == math.inf
    assert math.isnan(found["per_class"]["recall"][1])
    assert found["per_class"]["recall"][2] == -math.inf
    assert found["per_class"]["name"] == ["nan", "inf", "ä"]
    assert (found["$float"], found["odd"]) == ("nan", {"$float": "neither"})


# --- searching and sorting ------------------------------------------------------------------


def names(history: History, **asked) -> list[str]:
    return [run.name for run in history.runs(**asked)[0]]


def test_the_newest_run_comes_first(fresh_history: History) -> None:
    for name in "abc":
        add(fresh_history, name)
    assert names(fresh_history) == ["c", "b", "a"]
    assert names(fresh_history, descending=False) == ["a", "b", "c"]


def test_pages_cover_every_run_once_and_know_the_total(fresh_history: History) -> None:
    for n in range(7):
        add(fresh_history, str(n))
    pages = [fresh_history.runs(sort="step", offset=n, limit=3) for n in (0, 3, 6, 9)]
    assert [total for _, total in pages] == [7] * 4
    assert [run.name for page, _ in pages for run in page] == list("6543210")


def test_every_word_of_a_search_must_occur_somewhere(fresh_history: History) -> None:
    one = add(fresh_history, "Wide net")
    add(fresh_history, "Narrow net", model="LSTM")
    fresh_history.annotate(one.id, notes="for the ÄRZTE, 100% done\nand _more")
    fresh_history.tag(one.id, ["Baseline"])
    for search in ("wide", "NET convnet", "ärzte", "100%", "_m", "baseline mnist", "classif"):
        assert names(fresh_history, search=search) == ["Wide net"] or search == "classif"
    assert len(names(fresh_history, search="classif")) == 2
    for search in ("wide lstm", "1000%", "xmore", "50%"):
        assert names(fresh_history, search=search) == []
    fresh_history.rename(one.id, "Renamed")
    assert names(fresh_history, search="wide") == []
    assert names(fresh_history, search="renamed ärzte baseline") == ["Renamed"]


def test_a_run_is_found_by_its_state_and_by_all_of_the_tags(fresh_history: History) -> None:
    done, other = finish(fresh_history, name="done"), finish(fresh_history, name="other")
    add(fresh_history, "waiting")
    fresh_history.tag(done.id, ["b", "a", " b ", ""])
    fresh_history.tag(other.id, ["a"])
    assert fresh_history.run(done.id).tags == ("b", "a")
    assert fresh_history.tags() == ["a", "b"]
    assert names(fresh_history, states=["finished"]) == ["other", "done"]
    assert names(fresh_history, states=["queued", "failed"]) == ["waiting"]
    assert names(fresh_history, tags=["a"]) == ["other", "done"]
    assert names(fresh_history, tags=["a", "b"]) == ["done"]
    fresh_history.tag(done.id, [])
    assert names(fresh_history, tags=["a", "b"]) == []


def test_runs_sort_by_a_metric_and_those_without_it_come_last(fresh_history: History) -> None:
    for name, value in (("nan", math.nan), ("low", 0.1), ("top", math.inf), ("mid", 0.5)):
        finish(fresh_history, {"test/accuracy": value, "flag": True}, name=name)
    add(fresh_history, "none")
    by = {"sort": "metrics.test/accuracy"}
    assert names(fresh_history, **by)[:3] == ["top", "mid", "low"]
    assert set(names(fresh_history, **by)[3:]) == {"nan", "none"}
    assert names(fresh_history, **by, descending=False)[:3] == ["low", "mid", "top"]
    assert set(names(fresh_history, **by, descending=False)[3:]) == {"nan", "none"}


def test_names_sort_without_regard_to_case(fresh_history: History) -> None:
    for name in ("b", "C", "a"):
        add(fresh_history, name)
    assert names(fresh_history, sort="name", descending=False) == ["a", "b", "C"]


def test_runs_sort_by_any_simple_column_and_by_no_other(fresh_history: History) -> None:
    finish(fresh_history), add(fresh_history)
    for field in fields(Run):
        if field.name not in ("recipe", "metrics", "tags"):
            assert len(names(fresh_history, sort=field.name)) == 2
    for sort in ("recipe", "words", "id; DROP TABLE runs", "metrics"):
        with pytest.raises(ValueError, match="can't be sorted by"):
            fresh_history.runs(sort=sort)
    finish(fresh_history, name="last"), finish(fresh_history, name="later")
    assert names(fresh_history, sort="finished")[-1] == "A run", "nothing is the last"


# --- deleting -----------------------------------------------------------------------------------


def test_a_deleted_run_takes_all_it_recorded_and_leaves_its_children(
    fresh_history: History,
) -> None:
    parent = start(fresh_history)
    fresh_history.record(parent.id, points=[("train/loss", 1, 0.1, 0.1, 2.5)])
    fresh_history.tag(parent.id, ["x"])
    child = add(fresh_history, parent=parent.id)
    with pytest.raises(BadState, match="is preparing: stop it"):
        fresh_history.delete_run(parent.id)
    fresh_history.end(parent.id, state="stopped", reason="Stopped", metrics={"a": 1.0})
    fresh_history.delete_run(parent.id)
    with pytest.raises(NoSuchRun):
        fresh_history.run(parent.id)
    assert fresh_history.run(child.id).parent is None
    assert fresh_history.tags() == []
    assert fresh_history.sparks([parent.id]) == {}


def test_a_line_of_runs_is_not_cut_when_one_in_its_middle_is_deleted(
    fresh_history: History,
) -> None:
    first = finish(fresh_history)
    second = finish(fresh_history, parent=first.id)
    third = finish(fresh_history, parent=second.id)
    fresh_history.delete_run(second.id)
    assert fresh_history.run(third.id).parent == first.id
    assert [run.id for run in fresh_history.family(third.id)[0]] == [first.id]
    assert [run.id for run in fresh_history.family(first.id)[1]] == [third.id]


def test_the_number_of_a_deleted_run_is_never_given_again(fresh_history: History) -> None:
    last = add(fresh_history)
    fresh_history.delete_run(last.id)
    assert add(fresh_history).id > last.id
