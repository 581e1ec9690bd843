"""What a run measured comes back exactly, whole or since a step, whatever came between."""

from __future__ import annotations

import math
import random
from array import array
from itertools import pairwise

import pytest

from storage import packing
from storage.history import History
from storage.values import LostRun
from tests.storage.makers import add, finish, line, progress, start

LONG = 3 * packing.BLOCK + 7


def test_points_come_back_exactly_and_in_order(fresh_history: History) -> None:
    run = start(fresh_history)
    first = [("train/loss", 1, 0.1, 1 / 3, 2**-1074), ("validation/loss", 1, 0.1, 0.4, -0.0)]
    then = [("train/loss", 2**53 + 1, 1e300, 0.7, 1.7976931348623157e308)]
    fresh_history.record(run.id, points=first)
    fresh_history.record(run.id, points=then)
    curves = fresh_history.curves(run.id)
    assert list(curves) == ["train/loss", "validation/loss"]
    assert curves["train/loss"].steps == array("q", [1, 2**53 + 1])
    assert curves["train/loss"].epochs == array("d", [0.1, 1e300])
    assert curves["train/loss"].seconds == array("d", [1 / 3, 0.7])
    assert curves["train/loss"].values == array("d", [2**-1074, 1.7976931348623157e308])
    assert math.copysign(1, curves["validation/loss"].values[0]) == -1


def test_nan_survives_a_round_trip(fresh_history: History) -> None:
    run = start(fresh_history)
    values = [math.nan, math.inf, -math.inf, 0.5]
    fresh_history.record(run.id, points=[("train/loss", n, 0, 0, v) for n, v in enumerate(values)])
    nan, *rest = fresh_history.curves(run.id)["train/loss"].values
    assert math.isnan(nan)
    assert rest == values[1:]
    fresh_history.record(run.id, points=[("train/loss", 9, 0, 0, math.nan)])
    assert math.isnan(fresh_history.last_points(run.id)["train/loss"])
    assert math.isnan(fresh_history.sparks([run.id])[run.id][-1])


def test_only_what_came_after_a_step_is_asked_for(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.record(run.id, points=line("train/loss", range(0, 2 * LONG, 2)))
    for since in (-1, 0, 1, 2 * packing.BLOCK - 3, 2 * packing.BLOCK, 2 * LONG - 4):
        steps = fresh_history.curves(run.id, since=since)["train/loss"].steps
        assert list(steps) == [n for n in range(0, 2 * LONG, 2) if n > since]
    assert fresh_history.curves(run.id, since=2 * LONG - 2) == {}


def test_each_series_may_have_its_own_since(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.record(run.id, points=line("train/loss", range(10)))
    fresh_history.record(run.id, points=line("validation/loss", range(9, 10)))
    fresh_history.record(run.id, points=line("test/loss", range(3)))
    found = fresh_history.curves(run.id, since={"train/loss": 7, "test/loss": 2})
    assert {name: list(curve.steps) for name, curve in found.items()} == {
        "train/loss": [8, 9],
        "validation/loss": [9],
    }


def test_some_series_alone_can_be_asked_for(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.record(run.id, points=line("a", range(3)) + line("b", range(3)))
    assert list(fresh_history.curves(run.id, series=["b", "c"])) == ["b"]
    assert fresh_history.curves(run.id, series=[]) == {}


def test_a_repeated_step_gets_the_new_value(fresh_history: History) -> None:
    run = start(fresh_history)
    fresh_history.record(run.id, points=line("train/loss", range(LONG)))
    again = range(packing.BLOCK - 5, 2 * packing.BLOCK)
    fresh_history.record(run.id, points=line("train/loss", again, value=-1.0))
    curve = fresh_history.curves(run.id)["train/loss"]
    assert list(curve.steps) == list(range(LONG))
    assert [n for n, value in enumerate(curve.values) if value == -1.0] == list(again)
    assert fresh_history.last_points(run.id) == {"train/loss": LONG - 1}


def test_of_two_points_at_one_step_the_later_counts(fresh_history: History) -> None:
    run = start(fresh_history)
    batch = [("a", 2, 0, 0, 1.0), ("a", 1, 0, 0, 2.0), ("a", 2, 0, 0, 3.0)]
    fresh_history.record(run.id, points=batch)
    assert list(fresh_history.curves(run.id)["a"].values) == [2.0, 3.0]


@pytest.mark.parametrize("step", [-1, 0, 5, packing.BLOCK - 1, packing.BLOCK, LONG - 2, LONG])
def test_a_rewound_run_goes_on_as_if_it_had_never_gone_further(
    fresh_history: History, step: int
) -> None:
    through, back = start(fresh_history, device="cuda:0"), start(fresh_history, device="cuda:1")
    fresh_history.record(back.id, points=line("train/loss", range(LONG), value=7.0))
    fresh_history.record(back.id, points=line("late", range(LONG, LONG + 1)))
    fresh_history.rewind(back.id, step)
    kept = line("train/loss", range(min(step + 1, LONG)), value=7.0)
    rest = line("train/loss", range(min(step + 1, LONG), LONG + 50))
    fresh_history.record(back.id, points=rest)
    fresh_history.record(through.id, points=kept + rest)
    found = fresh_history.curves(back.id)
    assert found.pop("late", None) is None or step >= LONG
    assert found == fresh_history.curves(through.id)
    assert (
        fresh_history.sparks([back.id])[back.id] == fresh_history.sparks([through.id])[through.id]
    )


def test_any_order_of_batches_ends_in_the_same_curves(fresh_history: History) -> None:
    chance = random.Random(7)
    run = start(fresh_history)
    expected: dict[str, dict[int, float]] = {"a": {}, "b": {}}
    for _ in range(40):
        batch = []
        for _ in range(chance.randrange(1, 60)):
            name, step, value = chance.choice("ab"), chance.randrange(500), chance.random()
            batch.append((name, step, step / 10, step / 5, value))
            expected[name][step] = value
        fresh_history.record(run.id, points=batch)
        if chance.random() < 0.2:
            cut = chance.randrange(500)
            fresh_history.rewind(run.id, cut)
            for values in expected.values():
                for step in [step for step in values if step > cut]:
                    del values[step]
        curves = fresh_history.curves(run.id)
        found = {n: dict(zip(c.steps, c.values, strict=True)) for n, c in curves.items()}
        assert found == {name: values for name, values in expected.items() if values}
        assert all(list(curve.steps) == sorted(curve.steps) for curve in curves.values())
        assert fresh_history.last_points(run.id) == {n: c.values[-1] for n, c in curves.items()}


def test_a_thousand_series_in_one_batch(fresh_history: History) -> None:
    run = start(fresh_history)
    for step in range(2):
        batch = [(f"validation/recall {n}", step, 1.0, 1.0, n / 1000) for n in range(1000)]
        fresh_history.record(run.id, points=batch)
    assert len(fresh_history.last_points(run.id)) == 1000


# --- the small picture ----------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 39, 40, 41, 78, 79, 1000, 4096])
def test_a_spark_is_small_evenly_spaced_and_ends_with_the_newest(
    fresh_history: History, length: int
) -> None:
    run = start(fresh_history)
    fresh_history.record(run.id, points=line("train/loss", range(length)))
    spark = fresh_history.sparks([run.id])[run.id]
    assert len(spark) <= 40
    assert len(spark) >= min(length, 20)
    assert (spark[0], spark[-1]) == (0, length - 1)
    assert len({b - a for a, b in pairwise(spark[:-1])}) <= 1


def test_a_spark_does_not_depend_on_the_batches(fresh_history: History) -> None:
    one, many = start(fresh_history, device="cuda:0"), start(fresh_history, device="cuda:1")
    points = line("train/loss", range(700))
    fresh_history.record(one.id, points=points)
    chance = random.Random(3)
    while points:
        size = chance.randrange(1, 90)
        fresh_history.record(many.id, points=points[:size])
        points = points[size:]
    sparks = fresh_history.sparks([one.id, many.id])
    assert sparks[one.id] == sparks[many.id]


def test_a_spark_shows_the_preferred_series_that_there_is(fresh_history: History) -> None:
    both, train, none = (start(fresh_history, device=f"cuda:{n}") for n in range(3))
    for run in (both, train):
        fresh_history.record(run.id, points=line("train/loss", range(2)))
    fresh_history.record(both.id, points=line("validation/loss", range(2), value=9.0))
    fresh_history.record(none.id, points=line("train/accuracy", range(2)))
    ids = [both.id, train.id, none.id, 404]
    assert fresh_history.sparks(ids) == {both.id: [9.0, 9.0], train.id: [0.0, 1.0]}
    assert list(fresh_history.sparks(ids, prefer=["train/accuracy"])) == [none.id]
    assert fresh_history.sparks([]) == {}


# --- who may record -------------------------------------------------------------------------


@pytest.mark.parametrize("make", [add, finish])
def test_only_an_active_run_measures(fresh_history: History, make) -> None:
    run = make(fresh_history)
    for said in ({"points": line("a", range(1))}, {"progress": progress()}, {"saved": (1, True)}):
        with pytest.raises(LostRun):
            fresh_history.record(run.id, **said)
    assert fresh_history.curves(run.id) == {}
    assert fresh_history.run(run.id) == run
