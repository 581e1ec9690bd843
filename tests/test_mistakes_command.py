"""Mistakes and doubtful labels from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.test_app import Terminal


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A home with digits of which 40 labels are wrong, and a run that has learned them."""
    folder = tmp_path_factory.mktemp("mistakes")
    known, rng = load_digits(), np.random.default_rng(0)
    labels = known.target[:900].copy()
    flipped = rng.choice(900, 40, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 10
    images = (known.images[:900] * 15.9375).astype(np.uint8)
    np.savez(folder / "digits.npz", images=images, labels=labels)
    np.save(folder / "flipped.npy", flipped)
    terminal = Terminal(folder / "home")
    terminal.here("data", "add", folder / "digits.npz")
    settings = ("model.channels=8,16", "model.hidden=32", "method.epochs=4", "method.threads=1",
                "method.learning_rate=0.01", "data.flip=false")  # fmt: skip
    words = [word for one in settings for word in ("--set", one)]
    terminal("train", "--data", 1, "--model", "ConvNet", *words)
    return terminal


def test_the_worst_mistakes_come_first(terminal: Terminal) -> None:
    found = terminal.here("mistakes", 1)
    assert all(one["true"] != one["said"] for one in found)
    errors = [one["error"] for one in found]
    assert errors == sorted(errors, reverse=True)
    true, said = found[0]["true"], found[0]["said"]
    cell = terminal.here("mistakes", 1, "--true", true, "--said", said)
    assert cell == [one for one in found if (one["true"], one["said"]) == (true, said)]
    every = terminal.here("mistakes", 1, "--all", "--split", "validation")
    assert len(every) == 90
    terminal.here("mistakes", 1, "--true", "cat", code=1)
    assert "There was no class 'cat'" in terminal.err


def test_a_temperature_is_put_to_use_and_taken_back(terminal: Terminal) -> None:
    (plain,) = terminal.here("calibration", 1)
    assert not plain["on"]
    assert plain["temperature"] > 0
    assert plain["before"]["items"] == plain["after"]["items"]
    (used,) = terminal.here("calibration", 1, "--use")
    assert used["on"]
    assert used["after"] == plain["after"]
    assert f"temperature {used['temperature']:.3g}" in terminal.err
    assert "(in use)" in terminal.err
    (off,) = terminal.here("calibration", 1, "--off")
    assert not off["on"]


def test_a_threshold_is_told_with_what_it_costs(terminal: Terminal) -> None:
    *lines, told = terminal.here("threshold", 1, "3")
    first, last = lines[0], lines[-1]
    assert (first["threshold"], last["threshold"]) == (0, 1)
    assert first["missed"] == first["left"] == 0
    totals = {(one["found"] + one["missed"], one["false"] + one["left"]) for one in lines}
    assert len(totals) == 1
    assert [one["found"] for one in lines] == sorted((one["found"] for one in lines), reverse=True)
    assert 0 < told["average_precision"] <= 1
    terminal.here("threshold", 1, "cat", code=1)
    assert "cat" in terminal.err


def test_accepted_suggestions_are_one_version(terminal: Terminal) -> None:
    *suspects, told = terminal.here("suspects", 1, "--most", 10)
    flipped = set(np.load(terminal.home.parent / "flipped.npy").tolist())
    assert len({one["item"] for one in suspects} & flipped) >= 8
    assert told["suspected"] >= len(suspects) == 10
    *_, changed = terminal.here("suspects", 1, "--most", 10, "--accept")
    assert (changed["dataset"], changed["version"]) == (1, 2)
    *_, left = terminal.here("suspects", 1)
    assert left["suspected"] == told["suspected"] - 10
    labels = {one["item"]: one["label"] for one in terminal.here("data", "items", 1)}
    assert all(labels[one["item"]] == one["suggested"] for one in suspects)
