"""Runs on nothing but the names of classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.catalog import BadInput, Catalog
from engine.estimate import estimate
from engine.events import Event, Finished, Point
from engine.home import Home
from engine.predict import Predictor
from engine.recipe import Recipe, compose

CarryOut = Callable[..., list[Event]]
TOPICS = """
sports: news about games and athletes
politics
cooking: recipes | meals and how to cook them
"""


def made(catalog: Catalog, labels: str = TOPICS, **settings: Any) -> Recipe:
    names: Any = {
        "task": "Classification", "data": "TypedTextLabels", "model": "SentenceEncoder",
        "method": "ZeroShot",
    }  # fmt: skip
    start = settings.pop("start", "published")
    return compose(catalog, names=names, start=start, settings={"data.labels": labels, **settings})


def test_texts_are_sorted_by_typed_names(catalog: Catalog, home: Home, events: CarryOut) -> None:
    *said, last = events(made(catalog))
    assert isinstance(last, Finished)
    assert (last.state, last.reason) == ("finished", "Ready: nothing had to be trained")
    assert not [e for e in said if isinstance(e, Point)]
    # Nothing was measured, and nothing pretends to be.
    assert not [name for name in last.metrics if name.startswith(("test/", "validation/"))]
    assert "headline" not in last.metrics
    assert "baselines" not in last.metrics
    asked = [{"text": "Simmer the onions in butter until golden."},
             {"text": "The team won the match with two late goals."},
             {"text": "Parliament passed the bill after a long debate."}]  # fmt: skip
    results = Predictor(home, 1).answer(asked)["results"]
    told = [[one["label"] for one in result["classes"]] for result in results]
    assert [labels[0] for labels in told] == ["cooking", "sports", "politics"]
    for result in results:
        shares = [one["probability"] for one in result["classes"]]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1)


def test_its_weights_are_a_start_for_other_names(
    catalog: Catalog, home: Home, events: CarryOut
) -> None:
    events(made(catalog), number=1)
    *_, last = events(made(catalog, "weather\nmusic", start=1), number=2)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    (result,) = Predictor(home, 2).answer([{"text": "Heavy rain and wind tonight."}])["results"]
    assert result["classes"][0]["label"] == "weather"


def test_an_estimate_of_no_item_is_no_time(catalog: Catalog, home: Home) -> None:
    said = estimate(made(catalog), home)
    assert (said["items"], said["seconds"], said["steps"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [("sports", "There are 1 classes"), ("a\nb\na", "Line 3 names “a” once more")],
)
def test_labels_that_are_none_end_with_a_sentence(
    catalog: Catalog, events: CarryOut, labels: str, reason: str
) -> None:
    *_, last = events(made(catalog, labels))
    assert isinstance(last, Finished)
    assert last.state == "failed"
    assert reason in last.reason


def test_nothing_can_be_trained_on_names_alone(catalog: Catalog, events: CarryOut) -> None:
    names: Any = {
        "task": "Classification", "data": "TypedTextLabels", "model": "SentenceEncoder",
        "method": "LinearProbe",
    }  # fmt: skip
    *_, last = events(compose(
        catalog, names=names, start="published", settings={"data.labels": TOPICS}
    ))  # fmt: skip
    assert isinstance(last, Finished)
    assert last.state == "failed"
    assert "The train split is empty" in last.reason


def test_a_file_of_weights_brings_no_vocabulary(
    catalog: Catalog, home: Home, events: CarryOut, tmp_path: Path
) -> None:
    import safetensors.torch
    import torch

    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    *_, last = events(made(catalog, start=str(tmp_path / "w.safetensors")))
    assert isinstance(last, Finished)
    assert "no text here to learn a vocabulary from" in last.reason


def test_typed_labels_must_be_said(catalog: Catalog) -> None:
    names: Any = {"task": "Classification", "data": "TypedTextLabels", "method": "ZeroShot"}
    with pytest.raises(BadInput, match="needs Labels"):
        compose(catalog, names=names, start="published", settings={})
