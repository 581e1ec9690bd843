"""Does the augmentation help?: its dialog's answers, its record and its sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine import ablations, comparisons
from engine.ablations import AblationPlan
from gui import run_routes
from gui.pages import ablation, starts, train
from gui.shell import Anneal
from tests.gui import fakes

WANTED = {"names": {"data": "Digits", "model": "ConvNet"},
          "touched": {"data.Digits": {"mixup": 0.4, "flip": True}}}  # fmt: skip


@pytest.fixture
def anneal(tmp_path: Path) -> Iterator[Anneal]:
    made = fakes.make(tmp_path)
    yield made
    made.history.close()


@pytest.fixture
def client(anneal: Anneal) -> Iterator[TestClient]:
    every = [r for page in (ablation, starts, train, run_routes) for r in page.routes(anneal)]
    with TestClient(Starlette(routes=every)) as opened:
        yield opened


def begun(client: TestClient, **asked: Any) -> int:
    reply = client.post("/api/ablations", json={"wanted": WANTED, "seeds": 3} | asked)
    assert "comparison" in reply.json(), reply.text
    return int(reply.json()["comparison"])


def carry_out(anneal: Anneal, number: int, scores: dict[str, list[float]]) -> None:
    """End the arms' runs with those accuracies, by seed."""
    plan = AblationPlan.from_json(anneal.history.comparison(number).plan)
    held = comparisons.placed(plan, anneal.history.runs_of(number))
    for arm, values in scores.items():
        for seed, value in enumerate(values):
            run = held[ablations.Part(arm, seed)]
            assert run is not None
            metrics = {"headline": "test/accuracy", "test/accuracy": value}
            anneal.history.end(run.id, state="finished", reason="Done", metrics=metrics)


def test_the_dialog_says_what_is_left_out(client: TestClient) -> None:
    plan = client.post("/api/ablations/plan", json={"wanted": WANTED, "each": True}).json()
    assert plan["out"] == [
        {"label": "Mirror", "value": True, "unit": None},
        {"label": "MixUp", "value": 0.4, "unit": None},
    ]
    assert plan["runs"] == 12
    bare = {"wanted": {"names": WANTED["names"]}}
    problem = client.post("/api/ablations/plan", json=bare).json()["problem"]
    assert "Mirror or MixUp" in problem["text"]
    assert client.post("/api/ablations/plan", json={}).status_code == 400


def test_an_ablation_says_whether_a_difference_is_more_than_chance(
    client: TestClient, anneal: Anneal
) -> None:
    number = begun(client, each=True)
    carry_out(anneal, number, {
        "without": [0.70, 0.80, 0.60], "with": [0.73, 0.82, 0.64],
        "without flip": [0.72, 0.83, 0.63], "without mixup": [0.70, 0.79, 0.62],
    })  # fmt: skip
    found = client.get(f"/api/ablations/{number}").json()
    assert (found["state"], found["done"], found["total"]) == ("finished", 12, 12)
    whole, flip, mixup = found["said"]
    assert whole == (
        "The augmentation helps: 73.0 ± 9.0 % with it, 70.0 ± 10.0 % without, a difference of "
        "+3.0 ± 1.0 points over 3 seeds. That is more than chance."
    )
    assert flip == "What Mirror adds may be chance: +0.3 ± 1.2 points."
    assert mixup.startswith("MixUp helps")
    rows = {row["label"]: row for row in found["arms"]}
    assert rows["without augmentation"]["better"] == "+3.0 ± 1.0 points"
    assert rows["without augmentation"]["interval"] == "+0.5 … +5.5 points"
    assert rows["without augmentation"]["sure"] == 1
    assert rows["with augmentation"]["better"] is None
    assert "app.py ablate" in found["command"]
    assert "--seeds 3 --each" in found["command"]


def test_it_is_a_record_of_its_own_that_stops_goes_on_and_is_deleted(
    client: TestClient, anneal: Anneal
) -> None:
    number = begun(client, seeds=1)
    assert [one["id"] for one in client.get("/api/ablations").json()["comparisons"]] == [number]
    assert client.get("/api/starts").json()["comparisons"] == []
    assert client.get(f"/api/starts/{number}").status_code == 404
    client.post(f"/api/ablations/{number}/stop", json={})
    assert client.get(f"/api/ablations/{number}").json()["state"] == "stopped"
    assert client.post(f"/api/ablations/{number}/resume", json={}).json() == {"queued": 2}
    carry_out(anneal, number, {"without": [0.5], "with": [0.6]})
    (said,) = client.get(f"/api/ablations/{number}").json()["said"]
    assert said.startswith("With one seed a difference can't be told from chance")
    assert client.post(f"/api/ablations/{number}/delete", json={}).json() == {"deleted": 2}
    assert client.get(f"/api/ablations/{number}").status_code == 404


def test_a_run_that_learned_from_varied_items_offers_it(client: TestClient, anneal: Anneal) -> None:
    plain = client.post("/api/train", json={"names": WANTED["names"]}).json()["run"]
    varied = client.post("/api/train", json=WANTED).json()["run"]
    assert not client.get(f"/api/runs/{plain}").json()["run"]["varied"]
    assert client.get(f"/api/runs/{varied}").json()["run"]["varied"]
    plan = client.post("/api/ablations/plan", json={"run": varied, "seeds": 2}).json()
    assert (len(plan["out"]), plan["runs"]) == (2, 4)
