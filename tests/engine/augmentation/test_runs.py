"""Runs that learn from varied items: the same whenever they are repeated or resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from engine import checkpoint
from engine.catalog import BadInput
from engine.events import Event, Finished, Point
from engine.home import Home
from engine.recipe import Recipe

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]

ALL: dict[str, Any] = {
    "data__shift": 1, "data__policy": "RandAugment", "data__crop": 0.6, "data__jitter": 0.3,
    "data__erase": 0.3, "data__mixup": 0.4, "data__cutmix": 1.0,
}  # fmt: skip


def weights(home: Home, number: int) -> dict[str, torch.Tensor]:
    _, folder = checkpoint.find(home.checkpoints(number), "last")
    return checkpoint.weights(folder)


@pytest.mark.parametrize("deterministic", [False, True])
def test_resume_is_exact_with_every_augmentation(
    recipe: Make, events: CarryOut, home: Home, deterministic: bool
) -> None:
    made = recipe(method__deterministic=deterministic, **ALL)
    whole = events(made, number=1)
    events(made, number=2, wishes={9: "pause"})
    events(made, number=2, resume=True)
    one, other = weights(home, 1), weights(home, 2)
    assert all(torch.equal(one[name], other[name]) for name in one)
    last = whole[-1]
    assert isinstance(last, Finished)
    assert last.state == "finished"
    assert 0 <= last.metrics["test/accuracy"] <= 1
    assert sum(isinstance(event, Point) for event in whole)


def test_a_task_that_takes_no_mixed_labels_says_so_before_it_begins(recipe: Make) -> None:
    names = {"task": "Reconstruction", "model": "Autoencoder"}
    assert recipe(**names)
    for setting, value in (("mixup", 0.2), ("policy", "TrivialAugment")):
        with pytest.raises(BadInput, match="set it to") as problem:
            recipe(**names, **{f"data__{setting}": value})
        assert problem.value.field == f"data.{setting}"


def test_recipes_of_before_mean_what_they_meant(recipe: Make, catalog: Any) -> None:
    made = recipe(data__shift=1)
    new = ("policy", "operations", "magnitude", "crop", "jitter", "erase", "mixup", "cutmix")
    before = made.to_json()
    for name in new:
        value = made.data.settings[name]
        said = f'"{value}"' if isinstance(value, str) else str(value)
        before = before.replace(f'"{name}":{said},', "").replace(f',"{name}":{said}', "")
    assert "mixup" not in before
    assert Recipe.from_json(before).checked(catalog) == made
