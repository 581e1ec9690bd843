"""Does pretraining help?: its form, its record and its sentences, without a browser."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine import comparisons
from engine.comparisons import Cell, ComparisonPlan, Start
from gui import verdict
from gui.pages import starts
from gui.shell import Anneal
from tests.gui import fakes


@pytest.fixture
def anneal(tmp_path: Path) -> Iterator[Anneal]:
    made = fakes.make(tmp_path)
    yield made
    made.history.close()


@pytest.fixture
def client(anneal: Anneal) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=starts.routes(anneal))) as opened:
        yield opened


def pretrained(
    anneal: Anneal, *, data: str = "Faces", task: str = "Classification", parent: int | None = None
) -> int:
    """A finished run of the small ConvNet with kept weights."""
    recipe = {
        "task": {"name": task}, "data": {"name": data},
        "model": {"name": "ConvNet", "settings": {"widths": [7], "dropout": 0.0}},
        "method": {"name": "Training"},
    }  # fmt: skip
    run = anneal.history.add_run(
        json.dumps(recipe), name="before", task=task, model="ConvNet", data=data,
        method="Training", parent=parent,
    )  # fmt: skip
    assert anneal.history.claim(run.id, device="cpu", pid=1, pid_started=1.0)
    anneal.history.record(run.id, saved=(9, True))
    anneal.history.end(run.id, state="finished", reason="Trained 9 steps")
    return run.id


def begun(client: TestClient, anneal: Anneal, **asked: Any) -> int:
    body = {"starts": [None, pretrained(anneal)], "amounts": "10%, 100%", "seeds": 2,
            "steps": 20, "wanted": {"names": {"data": "Digits"}}} | asked  # fmt: skip
    reply = client.post("/api/starts", json=body)
    assert "comparison" in reply.json(), reply.text
    return int(reply.json()["comparison"])


def planned(anneal: Anneal, number: int) -> ComparisonPlan:
    return ComparisonPlan.from_json(anneal.history.comparison(number).plan)


def carry_out(
    anneal: Anneal, number: int, scores: dict[tuple[Start, str], list[float]]
) -> list[dict[str, str]]:
    """End the runs of those cells with those accuracies, by seed; what is said of it then."""
    plan = planned(anneal, number)
    placed = comparisons.placed(plan, anneal.history.runs_of(number))
    for (start, amount), values in scores.items():
        for seed, value in enumerate(values):
            run = placed[Cell(start, amount, seed)]
            assert run is not None
            metrics = {"headline": "test/accuracy", "test/accuracy": value}
            anneal.history.end(run.id, state="finished", reason="Done", metrics=metrics)
    found = comparisons.findings(plan, anneal.history.runs_of(number))
    return verdict.sentences(plan, found)


def test_the_form_begins_with_scratch_and_the_newest_run_that_fits(
    client: TestClient, anneal: Anneal
) -> None:
    empty = client.get("/api/starts/form").json()
    assert empty["asked"]["starts"] == [None]
    assert empty["problem"]["field"] == "starts"
    run = pretrained(anneal)
    plan = client.get("/api/starts/form").json()
    assert plan["asked"]["starts"] == [None, run]
    assert [one["id"] for one in plan["starts"]] == [None, run]
    assert (plan["problem"], plan["runs"]) == (None, 30)
    assert plan["grid"] == "2 starts × 5 amounts × 3 seeds"
    other = {"wanted": {"names": {"task": "Reconstruction", "model": "Coder"}}}
    assert client.post("/api/starts/form", json=other).json()["asked"]["starts"] == [None]
    chosen = client.get(f"/api/starts/form?start={run}").json()["asked"]
    assert (chosen["starts"], chosen["wanted"]["names"]["model"]) == ([None, run], "ConvNet")


def test_the_model_is_made_as_that_of_the_run_that_it_starts_from(
    client: TestClient, anneal: Anneal
) -> None:
    plan = planned(anneal, begun(client, anneal))
    assert plan.model.settings["widths"] == [7]
    assert (plan.steps, plan.items) == (20, {"10%": 10, "100%": 100})


def test_a_start_that_has_seen_the_labels_is_pointed_out(
    client: TestClient, anneal: Anneal
) -> None:
    wanted = {"names": {"data": "Digits"}}
    run = pretrained(anneal, data="Digits")
    body = {"wanted": wanted, "starts": [None, run]}
    (said,) = client.post("/api/starts/form", json=body).json()["notices"]
    assert f"Run {run} was trained with labels of this very data" in said


def test_so_is_one_of_which_only_a_part_fits(client: TestClient, anneal: Anneal) -> None:
    number = begun(client, anneal)
    plan, runs = planned(anneal, number), anneal.history.runs_of(number)
    placed = comparisons.placed(plan, runs)

    def said_when(seed: int, strange: list[str]) -> list[str]:
        run = placed[Cell(plan.starts[1], "10%", seed)]
        assert run is not None
        taken = {"loaded": ["stem.weight", "head.weight"], "strange": strange}
        metrics = {"headline": "test/accuracy", "test/accuracy": 0.5, "start": taken}
        anneal.history.end(run.id, state="finished", reason="Done", metrics=metrics)
        return list(client.get(f"/api/starts/{number}").json()["knows"])

    assert said_when(0, []) == []
    (said,) = said_when(1, ["stages.0.weight", "stages.1.weight", "stages.2.weight"])
    assert f"Of run {plan.starts[1]}, only a part fits this model" in said
    assert "3 tensors were made anew, 2 taken over" in said


def test_so_is_one_that_has_seen_them_for_another_task_or_before(anneal: Anneal) -> None:
    tasks = [card for card in anneal.catalog.cards if card.kind == "task"]
    again = tasks[0].model_copy(update={"name": "Telling"})
    anneal = replace(
        anneal, catalog=anneal.catalog.model_copy(update={"cards": (*anneal.catalog.cards, again)})
    )
    other = pretrained(anneal, data="Digits", task="Telling")
    child = pretrained(anneal, parent=other)
    blind = pretrained(anneal, data="Digits", task="Reconstruction")
    body = {"wanted": {"names": {"task": "Classification", "data": "Digits"}},
            "starts": [None, other, child, blind]}  # fmt: skip
    with TestClient(Starlette(routes=starts.routes(anneal))) as client:
        said = client.post("/api/starts/form", json=body).json()["notices"]
        body["starts"] = [None, pretrained(anneal)]
        assert client.post("/api/starts/form", json=body).json()["notices"] == []
    assert {line.partition(": ")[0] for line in said} == {
        f"Run {other} was trained with labels of this very data",
        f"Run {child} comes from run {other}, which was trained with labels of this very data",
    }


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"starts": [None]}, "starts"), ({"amounts": "many"}, "amounts"),
     ({"seeds": "-1"}, "seeds"), ({"seeds": 51}, "seeds"), ({"steps": "1e3"}, "steps")],
)  # fmt: skip
def test_what_cannot_be_compared_is_said_beside_its_field(
    client: TestClient, anneal: Anneal, asked: dict[str, Any], field: str
) -> None:
    body = {"starts": [None, pretrained(anneal)]} | asked
    for path in ("/api/starts/form", "/api/starts", "/api/starts/estimate"):
        assert client.post(path, json=body).json()["problem"]["field"] == field
    assert anneal.history.comparisons() == []
    assert client.post("/api/starts/form", json={"nonsense": 1}).status_code == 400


def test_a_comparison_is_begun_stopped_resumed_and_deleted(
    client: TestClient, anneal: Anneal
) -> None:
    history, number = anneal.history, begun(client, anneal)
    one, runs = f"/api/starts/{number}", history.runs_of(number)
    assert len(runs) == len(history.queue()) == 8
    assert client.get(one).json()["state"] == "queued"
    assert history.claim(runs[0].id, device="cpu", pid=1, pid_started=1.0)
    assert client.post(f"{one}/delete", json={}).status_code == 409
    client.post(f"{one}/stop", json={})
    assert history.queue() == []
    assert history.run(runs[0].id).wish == "pause"
    history.end(runs[0].id, state="paused", reason="Paused at step 3")
    found = client.get(one).json()
    assert (found["state"], found["done"], found["total"]) == ("stopped", 0, 8)
    history.delete_run(runs[1].id)
    assert client.post(f"{one}/resume", json={}).json() == {"queued": 8}
    assert len(history.queue()) == 8
    for run in history.queue():
        history.dequeue(run.id)
    assert client.post(f"{one}/delete", json={}).json() == {"deleted": 8}
    assert client.get(one).status_code == 404
    assert client.get("/api/starts").json() == {"comparisons": []}


def test_what_has_finished_is_drawn_tabled_and_told(client: TestClient, anneal: Anneal) -> None:
    number = begun(client, anneal)
    run = planned(anneal, number).starts[1]
    (said,) = carry_out(anneal, number, {
        (None, "10%"): [0.50, 0.52], (None, "100%"): [0.90, 0.92],
        (run, "10%"): [0.70, 0.72], (run, "100%"): [0.91, 0.90],
    })  # fmt: skip
    found = client.get(f"/api/starts/{number}").json()
    assert found["state"] == "finished"
    assert [(p["start"], p["items"], round(p["mean"], 3)) for p in found["places"]] == [
        (0, 10, 0.51), (0, 100, 0.91), (1, 10, 0.71), (1, 100, 0.905),
    ]  # fmt: skip
    # A straight line over the logarithm: half the way from 51 to 91 % is the root of 10 × 100.
    assert [row["needs"] for row in found["saved"]] == ["32", "97"]
    assert found["saved"][0]["saved"] == "3.2×"
    assert [row["sure"] for row in found["saved"]] == [1, 0]
    assert said["text"].startswith(
        f"With 10 labels (10%), run {run} reaches 71.0 ± 12.7 %, scratch 51.0 ± 12.7 %."
    )
    assert "about 3.2 times as many labels" in said["text"]
    assert "From 100 labels (100%) on, the difference is within the error" in said["text"]
    assert found["said"] == [said]
    assert f"--starts scratch,{run}" in found["command"]
    table = client.get(f"/api/starts/{number}.csv").text
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == 8
    scratch = {row["value"] for row in rows if row["start"] == "scratch"}
    assert scratch == {"0.5", "0.52", "0.9", "0.92"}


def test_it_is_said_when_it_does_not_pay(client: TestClient, anneal: Anneal) -> None:
    number = begun(client, anneal)
    run = planned(anneal, number).starts[1]
    (said,) = carry_out(anneal, number, {
        (None, "10%"): [0.50, 0.70], (None, "100%"): [0.90, 0.92],
        (run, "10%"): [0.60, 0.55], (run, "100%"): [0.80, 0.82],
    })  # fmt: skip
    assert "here it doesn't pay" in said["text"]
    worse = "With 100 labels (100%) it is worse: 81.0 ± 12.7 % against 91.0 ± 12.7 %."
    assert worse in said["text"]


def test_one_seed_is_not_taken_for_a_proof(client: TestClient, anneal: Anneal) -> None:
    number = begun(client, anneal, seeds=1)
    run = planned(anneal, number).starts[1]
    (said,) = carry_out(anneal, number, {(None, "10%"): [0.5], (run, "10%"): [0.9]})
    assert "One seed can't tell" in said["text"]
    assert "±" not in said["text"]
    assert client.get(f"/api/starts/{number}").json()["state"] == "running"


def test_measures_that_are_no_shares_are_told_as_they_are() -> None:
    assert verdict.score("test/accuracy", comparisons.Estimate(0.712, 0.014, 3)) == "71.2 ± 1.4 %"
    assert verdict.score("test/mae", comparisons.Estimate(1.23456, None, 1)) == "1.235"
    assert verdict.labels("1", 10) == "1 label a class (10 in all)"
    assert verdict.labels("3%", 1234) == "1,234 labels (3%)"


def test_what_one_seed_says_is_no_verdict_beside_what_more_say(
    client: TestClient, anneal: Anneal
) -> None:
    number = begun(client, anneal)
    run = planned(anneal, number).starts[1]
    (said,) = carry_out(anneal, number, {
        (None, "10%"): [0.50, 0.51], (run, "10%"): [0.80, 0.81],
        (None, "100%"): [0.90], (run, "100%"): [0.90],
    })  # fmt: skip
    assert "For the same, scratch needs about 5.7 times as many labels." in said["text"]
    assert "within the error" not in said["text"]
    rows = client.get(f"/api/starts/{number}").json()["saved"]
    assert [row["word"] for row in rows] == ["more than the error", "one seed"]
