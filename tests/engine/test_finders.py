"""A learning rate and a batch size that are found by a measurement, which leaves nothing behind."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import batch_sizes, range_test
from engine.batch_sizes import Size, find_batch_size
from engine.catalog import BadInput, discover
from engine.desk import Desk
from engine.home import Home
from engine.range_test import Rising, find_rate, smooth, suggested
from engine.recipe import Recipe, compose

SMALL = {"model.channels": "8,16", "model.hidden": "32", "method.precision": "fp32",
         "method.threads": 1, "method.learning_rate": 0.01}  # fmt: skip


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return compose(discover(), names={"data": "Digits8x8", "model": "ConvNet"}, settings=SMALL)


def drained(
    steps: Generator[dict[str, Any], None, dict[str, Any]],
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    said = []
    while True:
        try:
            said.append(next(steps))
        except StopIteration as end:
            return said, end.value


def files(home: Home) -> set[Path]:
    return {path for path in home.root.rglob("*") if path.is_file()}


# --- the learning rate ----------------------------------------------------------------------------


def test_the_rate_grows_by_the_same_factor() -> None:
    rising = Rising(1e-6, 10, steps=8, peak=0.01)
    rates = [0.01 * rising.factor(step) for step in range(8)]
    assert rates == pytest.approx([10.0 ** (n - 6) for n in range(8)])


def test_the_suggestion_is_where_the_loss_falls_fastest() -> None:
    rates = np.logspace(-6, 1, 141)
    falls = 2 - 1.5 / (1 + np.exp(-4 * (np.log10(rates) + 3)))  # fastest at 1e-3
    losses = np.where(rates < 0.1, falls, falls + 20 * (rates - 0.1))
    rough = losses + 0.02 * np.cos(np.arange(141))
    for noisy in (losses, rough):
        found = suggested(rates.tolist(), smooth(rates.tolist(), noisy.tolist()))
        assert found["suggestion"] == pytest.approx(1e-3, rel=0.5)
        assert 0.01 < (found["lowest"] or 0) < 0.3
    flat = (2 + 0.001 * np.cos(np.arange(141))).tolist()
    assert suggested(rates.tolist(), smooth(rates.tolist(), flat))["suggestion"] is None


def test_a_rate_is_found_and_nothing_is_left(recipe: Recipe, tmp_path: Path) -> None:
    home, threads = Home.find(tmp_path), torch.get_num_threads()
    drained(find_rate(recipe, home, steps=4))  # the dataset's own cache is there by now
    before = files(home)
    said, found = drained(find_rate(recipe, home, steps=90))
    assert [one["done"] for one in said] == list(range(1, len(said) + 1))
    assert found["rates"][0] == range_test.LOWEST
    assert len(found["rates"]) == len(found["losses"]) == len(found["smoothed"]) == len(said)
    assert 1e-4 < found["suggestion"] < found["lowest"] < 1
    assert files(home) == before
    assert torch.get_num_threads() == threads
    assert drained(find_rate(recipe, home, steps=90))[1]["losses"] == found["losses"]


def test_the_desk_tells_a_rate_in_pieces_and_can_be_left(recipe: Recipe, tmp_path: Path) -> None:
    desk = Desk(Home.find(tmp_path), discover())
    pieces = desk.rate(recipe=recipe.to_json())
    assert next(pieces)["done"] == 1
    pieces.close()
    assert not list((tmp_path / "tmp").iterdir())


def test_a_method_without_a_rate_is_told() -> None:
    from engine.recipe import Choice

    made = Recipe(task=Choice(name="T"), data=Choice(name="D"), model=Choice(name="M"),
                  method=Choice(name="Prototypes"))  # fmt: skip
    with pytest.raises(BadInput, match="no learning rate"):
        next(find_rate(made, Home(Path("nowhere"))))
    with pytest.raises(BadInput, match="no batch size"):
        next(find_batch_size(made, Home(Path("nowhere"))))


# --- the batch size -------------------------------------------------------------------------------


def test_the_smallest_batch_near_the_best_speed_is_suggested() -> None:
    found = [Size(4, 100, 1, 1), Size(8, 190, 1, 1), Size(16, 197, 1, 1), Size(32, 150, 1, 1)]
    assert batch_sizes.suggested(found) == 8


def test_no_batch_is_tried_that_memory_would_not_hold() -> None:
    one = [Size(8, 100, 1, 1000)]
    assert batch_sizes.foretold(one, 16, 200) == 1800
    two = [Size(8, 100, 1, 1000), Size(16, 180, 1, 1600)]
    assert batch_sizes.foretold(two, 32, 200) == 2800
    assert batch_sizes.ended(two, 32, 10_000, 200, 2700) == "memory"
    assert batch_sizes.ended(two, 32, 10_000, 200, 2900) == ""
    assert batch_sizes.ended(two, 32, 16, 200, 2900) == "data"
    flat = [*two, *(Size(16 * 2**n, 170, 1, 1600) for n in range(1, 4))]
    assert batch_sizes.ended(flat, 256, 10_000, 200, 10**6) == "slower"


def test_a_batch_size_is_found_and_nothing_is_left(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_sizes, "MEASURED", 0.02)
    monkeypatch.setattr(batch_sizes, "FLAT", 99)
    home = Home.find(tmp_path)
    drained(find_rate(recipe, home, steps=4))
    before = files(home)
    said, found = drained(find_batch_size(recipe, home))
    sizes = [one["size"] for one in found["sizes"]]
    assert sizes == [4 * 2**n for n in range(len(sizes))]
    assert sizes[-2] < found["items"] <= sizes[-1]
    assert found["why"] == "data"
    assert found["suggestion"] in sizes
    assert [one["row"] for one in said] == found["sizes"]
    assert files(home) == before
