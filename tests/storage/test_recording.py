"""What a run says besides its curves: progress, checkpoints, samples, notices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from storage.history import History
from storage.values import SampleRow
from tests.storage.makers import PID, finish, line, progress, start


@dataclass(frozen=True)
class Said:
    text: str
    level: str = "info"


def sample(step: int, name: str = "reconstructions", **data: Any) -> SampleRow:
    return SampleRow(name=name, kind="images", step=step, epoch=step / 10, data=data)


def test_the_first_progress_makes_a_run_running(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.record(run.id, points=line("train/loss", range(1)))
    assert fresh_history.run(run.id).state == "preparing"
    fresh_history.record(run.id, progress=progress(step=5))
    after = fresh_history.run(run.id)
    assert after.state == "running"
    assert {name: getattr(after, name) for name in progress()} == progress(step=5)
    assert after.heartbeat
    assert run.heartbeat
    assert after.heartbeat >= run.heartbeat


def test_what_could_not_be_computed_is_not_known(fresh_history: History) -> None:
    run = start(fresh_history)
    odd = progress() | {"remaining": math.inf, "rate": math.nan, "learning_rate": None}
    fresh_history.record(run.id, progress=odd)
    after = fresh_history.run(run.id)
    assert (after.remaining, after.rate, after.learning_rate) == (None, None, None)


def test_the_newest_and_the_best_checkpoint_are_known(fresh_history: History) -> None:
    run = start(fresh_history)
    for saved in ((10, True), (20, False)):
        fresh_history.record(run.id, saved=saved)
    after = fresh_history.run(run.id)
    assert (after.saved_step, after.best_step) == (20, 10)


def test_a_batch_is_recorded_whole_or_not_at_all(fresh_history: History) -> None:
    run = start(fresh_history)
    with pytest.raises(TypeError):
        fresh_history.record(
            run.id,
            points=line("train/loss", range(3)),
            progress=progress(),
            samples=[sample(1, odd=object())],
        )
    assert fresh_history.run(run.id) == run
    assert fresh_history.curves(run.id) == {}


def test_the_last_sample_of_each_name_is_shown(fresh_history: History) -> None:
    run = start(fresh_history)
    said = [sample(1, n=1), sample(2, "codes", n=2), sample(3, n=3), sample(3, "codes", n=4)]
    fresh_history.record(run.id, samples=said[:2])
    fresh_history.record(run.id, samples=said[2:])
    assert fresh_history.samples(run.id) == said[2:]
    assert fresh_history.samples(run.id, last=False) == said
    assert fresh_history.samples(run.id, name="codes") == [said[3]]
    assert fresh_history.samples(run.id, name="codes", last=False) == [said[1], said[3]]
    assert fresh_history.samples(run.id, name="other") == []


def test_a_sample_keeps_every_number(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.record(run.id, samples=[sample(1, x=[0.1, math.inf, math.nan], label=[None, 2])])
    [found] = fresh_history.samples(run.id)
    assert found.data["x"][:2] == [0.1, math.inf]
    assert math.isnan(found.data["x"][2])
    assert found.data["label"] == [None, 2]


def test_a_resumed_run_shows_each_step_once(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.record(run.id, samples=[sample(n, n=n) for n in (1, 2, 3)])
    fresh_history.rewind(run.id, 2)
    assert [row.step for row in fresh_history.samples(run.id, last=False)] == [1, 2]
    fresh_history.record(run.id, samples=[sample(2, n=20), sample(3, n=30)])
    rows = fresh_history.samples(run.id, last=False)
    assert [(row.step, row.data["n"]) for row in rows] == [(1, 1), (2, 20), (3, 30)]


def test_notices_come_in_order_and_since_the_last_one_seen(fresh_history: History) -> None:
    run, other = start(fresh_history), start(fresh_history, device="cuda:0")
    fresh_history.record(run.id, notices=[Said("one"), Said("two", "warning")])
    fresh_history.record(other.id, notices=[Said("elsewhere")])
    fresh_history.record(run.id, notices=[Said("three 学", "error")])
    found = fresh_history.notices(run.id)
    assert [(row.text, row.level) for row in found] == [
        ("one", "info"),
        ("two", "warning"),
        ("three 学", "error"),
    ]
    assert fresh_history.notices(run.id, since=found[1].id) == found[2:]
    assert found[0].time <= found[2].time


def test_something_can_be_said_of_a_run_that_has_ended(fresh_history: History) -> None:
    run = finish(fresh_history)
    fresh_history.record(run.id, notices=[Said("The files were moved")])
    assert [row.text for row in fresh_history.notices(run.id)] == ["The files were moved"]
    assert fresh_history.run(run.id) == run


def test_a_beat_moves_the_heartbeat(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.beat(run.id, pid=PID)
    after = fresh_history.run(run.id)
    assert after.heartbeat
    assert run.heartbeat
    assert after.heartbeat > run.heartbeat
