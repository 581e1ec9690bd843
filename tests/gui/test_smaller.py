"""What a run's page may ask about its smaller forms, and what is queued for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.catalog import Card, Field, Range
from engine.recipe import Recipe
from gui import smaller
from gui.shell import Anneal
from tests.gui import fakes
from tests.gui.test_mistakes import Slow, lines

WHOLE = Field(name="epochs", label="Epochs", type="int", default=2, range=Range(1, 9))
TEACHER = Field(name="teacher", label="Teacher", type="int", optional=True)
CARDS = (
    Card(kind="method", name="Eighth", label="In 8 bits", fits={"logits"}, adapts=True,
         shrinks=True, rank=80),
    Card(kind="method", name="Fewer", label="Fewer weights", fits={"logits"}, adapts=True,
         shrinks=True, rank=81, fields=(WHOLE,)),
    Card(kind="method", name="Taught", label="Taught", fits={"logits"}, shrinks=True, rank=82,
         fields=(WHOLE, TEACHER)),
    Card(kind="method", name="Elsewhere", label="For others", fits={"forecast"}, shrinks=True,
         rank=83),
)  # fmt: skip


@pytest.fixture
def anneal(tmp_path: Path) -> Anneal:
    made = fakes.make(tmp_path)
    catalog = made.catalog.model_copy(update={"cards": (*made.catalog.cards, *CARDS)})
    return replace(made, catalog=catalog)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def client(anneal: Anneal, slow: Slow) -> TestClient:
    return TestClient(Starlette(routes=smaller.routes(replace(anneal, patient=slow))))


def made_of(anneal: Anneal, parent: int, method: str) -> int:
    """A finished run that makes another one smaller."""
    recipe = anneal.history.run(parent).recipe
    run = anneal.history.add_run(
        recipe, name=method, task="Classification", model="ConvNet", data="Digits", method=method,
        parent=parent,
    )  # fmt: skip
    anneal.history.claim(run.id, device=f"device {run.id}", pid=1, pid_started=1.0)
    anneal.history.record(run.id, saved=(0, True))
    anneal.history.end(run.id, state="finished", reason="Ready")
    return run.id


def test_every_form_shows_the_original_and_all_that_was_made_of_it(
    client: TestClient, anneal: Anneal
) -> None:
    original = fakes.add_run(anneal.history)
    fewer = made_of(anneal, original, "Fewer")
    both = made_of(anneal, fewer, "Eighth")
    made_of(anneal, original, "Training")  # trained on: another model, not a form of this one
    for asked in (original, fewer, both):
        found = client.get(f"/api/runs/{asked}/smaller").json()
        assert found["original"] == original
        assert [run["id"] for run in found["runs"]] == [original, fewer, both]


def test_ways_fit_and_lead_to_the_page_where_they_can_be_set(
    client: TestClient, anneal: Anneal
) -> None:
    run = fakes.add_run(anneal.history)
    ways = client.get(f"/api/runs/{run}/smaller").json()["ways"]
    assert [(way["method"], way["at_once"], way["href"]) for way in ways] == [
        ("Eighth", True, f"/?start={run}&method=Eighth"),
        ("Fewer", False, f"/?start={run}&method=Fewer"),
        ("Taught", False, f"/?clone={run}&method=Taught&set=method.teacher%3D{run}"),
    ]


def test_one_is_made_at_once_of_the_same_data_unvaried(client: TestClient, anneal: Anneal) -> None:
    run = fakes.add_run(anneal.history, **{"data.mixup": 0.4})
    number = client.post(f"/api/runs/{run}/smaller", json={"method": "Eighth"}).json()["run"]
    made = anneal.history.run(number)
    recipe = Recipe.from_json(made.recipe)
    assert (made.state, made.parent, made.method) == ("queued", run, "Eighth")
    assert recipe.start == run
    assert recipe.data.settings["mixup"] == 0
    for method in ("Fewer", "Training", "Nothing", None):
        assert client.post(f"/api/runs/{run}/smaller", json={"method": method}).status_code == 400


def test_what_was_measured_is_shown_while_the_weights_are_the_same(
    client: TestClient, anneal: Anneal
) -> None:
    run = fakes.add_run(anneal.history)
    path = anneal.home / "runs" / str(run) / "measured.json"
    path.parent.mkdir(parents=True)

    def shown() -> Any:
        return client.get(f"/api/runs/{run}/smaller").json()["runs"][0]["measured"]

    assert shown() is None
    path.write_text(json.dumps({"step": 300, "bytes": 7}))
    assert shown() == {"step": 300, "bytes": 7}
    path.write_text(json.dumps({"step": 200, "bytes": 7}))
    assert shown() is None
    path.write_text("{")
    assert shown() is None


def test_all_that_have_ended_are_timed_together(
    client: TestClient, anneal: Anneal, slow: Slow
) -> None:
    run = fakes.add_run(anneal.history)
    other = made_of(anneal, run, "Eighth")
    client.post(f"/api/runs/{run}/smaller", json={"method": "Eighth"})  # queued: not among them
    far, _ = lines(client.post(f"/api/runs/{other}/measure", json={}))
    assert far == {"progress": {"done": 1, "total": 2}}
    assert slow.asked == [("measure", {"runs": [run, other]})]
    foreign = client.post(f"/api/runs/{run}/measure", headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
