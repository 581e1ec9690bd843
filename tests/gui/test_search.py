"""The page that searches settings: its form and its record, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.searches import SearchPlan
from gui.pages import search, starts
from gui.shell import Anneal
from tests.gui import fakes


@pytest.fixture
def anneal(tmp_path: Path) -> Iterator[Anneal]:
    made = fakes.make(tmp_path)
    yield made
    made.history.close()


@pytest.fixture
def client(anneal: Anneal) -> Iterator[TestClient]:
    addresses = [*search.routes(anneal), *starts.routes(anneal)]
    with TestClient(Starlette(routes=addresses)) as opened:
        yield opened


ASKED = {"over": {"method.learning_rate": "0.001..0.1:log", "model.dropout": ""},
         "trials": 3, "wanted": {"names": {"data": "Digits"}}}  # fmt: skip


def begun(client: TestClient) -> int:
    reply = client.post("/api/search", json=ASKED)
    assert "search" in reply.json(), reply.text
    return int(reply.json()["search"])


def test_the_form_offers_what_can_be_searched_around_what_is_set(client: TestClient) -> None:
    plan = client.get("/api/search/form").json()
    assert plan["problem"]["field"] == "space"
    usual = {one["setting"]: one["usual"] for one in plan["space"]}
    assert usual["method.learning_rate"] == "0.0002..0.02:log"  # the model suggests 0.002
    assert usual["method.optimizer"] == "AdamW,SGD"
    assert usual["data.flip"] == "false,true"
    assert "model.widths" not in usual
    touched = {"method.Training": {"learning_rate": 0.1}}
    asked = {**ASKED, "wanted": {"names": {"data": "Digits"}, "touched": touched}}
    plan = client.post("/api/search/form", json=asked).json()
    assert (plan["problem"], plan["searched"], plan["trials"]) == (None, 2, 3)
    usual = {one["setting"]: one["usual"] for one in plan["space"]}
    assert usual["method.learning_rate"] == "0.01..1:log"


def test_what_is_wrong_is_told_beside_its_field(client: TestClient) -> None:
    wrong = {**ASKED, "over": {"method.learning_rate": "1..0.1"}}
    assert client.post("/api/search", json=wrong).json()["problem"]["field"] \
        == "method.learning_rate"  # fmt: skip
    few = {**ASKED, "trials": "many"}
    assert client.post("/api/search", json=few).json()["problem"]["field"] == "trials"
    gone = {**ASKED, "over": {"model.gone": ""}}
    assert client.post("/api/search", json=gone).json()["problem"]["field"] == "model.gone"


def test_a_search_is_kept_open_told_paused_and_deleted(client: TestClient, anneal: Anneal) -> None:
    number = begun(client)
    [one] = anneal.history.comparisons(open=True)
    plan = SearchPlan.from_json(one.plan)
    assert (one.id, plan.metric, plan.trials) == (number, "loss", 3)
    run = anneal.history.add_run(
        plan.base.to_json(), name="trial 0", comparison=number, task="Classification",
        model="ConvNet", data="Digits", method="Training",
    )  # fmt: skip
    anneal.history.claim(run.id, device="cpu", pid=1, pid_started=1.0)
    anneal.history.record(run.id, points=[("validation/loss", 5, 1.0, 1.0, 0.25)])
    anneal.history.end(run.id, state="finished", reason="Trained")
    told = client.get(f"/api/search/{number}").json()
    assert (told["state"], told["done"], told["best"]["run"]) == ("running", 1, run.id)
    [trial] = told["trials"]
    assert trial["settings"] == {"method.learning_rate": 0.002, "model.dropout": 0.0}
    assert trial["value"] == 0.25
    assert "--over method.learning_rate=0.001..0.1:log" in told["command"]
    assert client.get("/api/search").json()["searches"][0]["done"] == 1
    assert client.get("/api/starts").json()["comparisons"] == []
    rows = client.get(f"/api/search/{number}.csv").text.splitlines()
    assert rows[1].startswith(f"0,{run.id},complete,0.25")
    weighed = client.post(f"/api/search/{number}/importance", json={}).json()
    assert weighed["importance"]["method.learning_rate"] == 0.8
    client.post(f"/api/search/{number}/pause", json={})
    assert client.get(f"/api/search/{number}").json()["state"] == "stopped"
    client.post(f"/api/search/{number}/resume", json={})
    assert anneal.history.comparison(number).open
    assert client.post(f"/api/search/{number}/delete", json={}).json() == {"deleted": 1}
    assert client.get(f"/api/search/{number}").status_code == 404
