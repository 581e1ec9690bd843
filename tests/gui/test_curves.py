"""Points to traces: few enough to draw, and nothing that matters left out."""

from __future__ import annotations

import json
import time
from array import array

import numpy as np
import pytest

from gui import curves
from storage.values import Curve


def curve(values: list[float] | np.ndarray, *, stride: int = 1) -> Curve:
    count = len(values)
    steps = np.arange(count, dtype=np.int64) * stride
    return Curve(
        array("q", steps.tobytes()),
        array("d", (steps / 100).tobytes()),
        array("d", (steps * 0.01).tobytes()),
        array("d", np.asarray(values, dtype=np.float64).tobytes()),
    )


def made(values: list[float] | np.ndarray, *, stride: int = 1) -> curves.Trace:
    return curves.trace(curve(values, stride=stride))


@pytest.fixture
def noise() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_short_curve_stays_as_it_is() -> None:
    whole = made([3.0, 2.0, 1.0])
    assert curves.thin(whole, 3) is whole


def test_arrays_share_the_curves_memory() -> None:
    source = curve([3.0, 2.0, 1.0])
    assert np.shares_memory(curves.trace(source).values, np.frombuffer(source.values))


@pytest.mark.parametrize("count", [3001, 10_000, 123_457])
def test_thinning_keeps_first_last_and_extremes(count: int, noise: np.random.Generator) -> None:
    values = noise.normal(size=count)
    values[count // 3], values[count // 2] = 40.0, -40.0
    shown = curves.thin(made(values), 3000)
    assert len(shown) <= 3000
    assert shown.steps[0] == 0
    assert shown.steps[-1] == count - 1
    assert {40.0, -40.0} <= set(shown.values.tolist())
    assert (np.diff(shown.steps) > 0).all()


def test_columns_stay_together(noise: np.random.Generator) -> None:
    shown = curves.thin(made(noise.normal(size=50_000), stride=7), 500)
    assert np.allclose(shown.epochs, shown.steps / 100)
    assert np.allclose(shown.seconds, shown.steps * 0.01)


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_becomes_a_gap(hole: float, noise: np.random.Generator) -> None:
    values = noise.normal(size=20_000)
    values[5000:5100] = hole
    values[-1] = hole
    packed = curves.packed(made(values), 1000)
    assert len(packed["value"]) <= 1000
    gaps = [step for step, value in zip(packed["step"], packed["value"], strict=True)
            if value is None]  # fmt: skip
    assert gaps == [5000, 19_999]
    json.dumps(packed, allow_nan=False)


def test_a_curve_of_gaps_alone_is_still_drawn_thinly() -> None:
    values = np.where(np.arange(100_000) % 2, np.nan, 1.0)
    packed = curves.packed(made(values), 1000)
    assert 0 < len(packed["step"]) <= 1000
    assert curves.packed(made(np.full(50, np.nan)), 10)["value"] == [None]


def test_packed_says_what_was_left_out() -> None:
    packed = curves.packed(made(np.zeros(10_000)), 100)
    assert packed["of"] == 10_000
    assert packed["last"] == 9_999
    assert curves.packed(made([]))["last"] == -1


def test_the_last_step_is_told_even_when_its_point_is_left_out() -> None:
    values = np.zeros(10_000)
    values[9_000:] = np.nan
    assert curves.packed(made(values), 100)["last"] == 9_999


def test_a_part_goes_one_point_beyond_each_side() -> None:
    whole = made(np.zeros(100), stride=10)
    assert curves.between(whole, 200, 300).steps.tolist() == list(range(190, 311, 10))
    assert curves.between(whole, 205, 206).steps.tolist() == [200, 210]
    assert curves.between(whole, None, 15).steps.tolist() == [0, 10, 20]
    assert curves.between(whole, 985, None).steps.tolist() == [980, 990]
    assert len(curves.between(whole, None, None)) == 100


def test_series_without_points_are_left_out() -> None:
    found = curves.traces({"train/loss": curve([1.0]), "validation/loss": curve([])})
    assert list(found) == ["train/loss"]


def test_a_million_points_are_thinned_in_a_moment(noise: np.random.Generator) -> None:
    whole = made(noise.normal(size=1_000_000))
    before = time.perf_counter()
    curves.packed(whole)
    assert time.perf_counter() - before < 1.0


class TestShelf:
    def test_reads_once(self) -> None:
        shelf, reads = curves.Shelf(), []
        for _ in range(3):
            shelf.get(1, lambda: reads.append(1) or {"loss": made([1.0])})
        assert len(reads) == 1

    def test_drops_what_was_not_asked_for_longest(self) -> None:
        one = {"loss": made(np.zeros(1000))}
        size = one["loss"].nbytes
        shelf = curves.Shelf(limit=2 * size)
        for key in (1, 2, 1, 3):
            shelf.get(key, lambda: one)
        assert len(shelf) == 2
        shelf.get(1, lambda: pytest.fail("it was asked for lately"))

    def test_keeps_nothing_larger_than_itself(self) -> None:
        shelf = curves.Shelf(limit=100)
        shelf.get(1, lambda: {"loss": made(np.zeros(1000))})
        assert len(shelf) == 0
