"""Taking a model away, as the run's page asks for it."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.catalog import BadInput, Card
from gui import exports
from gui.shell import Anneal
from tests.gui import fakes

FORMS = (
    Card(kind="export", name="Weights", label="Weights", help="Tensors.", fits={"any"}),
    Card(kind="export", name="Graph", label="Graph", fits={"next token"}, otherwise="Not this one"),
)


class Maker:
    """Says how far it is, and ends when it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.futures: list[Future[dict[str, Any]]] = []

    def ask(self, question: str, heard: Any = None, **payload: Any) -> Future[dict[str, Any]]:
        assert question == "export"
        self.asked.append(payload)
        self.futures.append(Future())
        heard(json.dumps({"done": 1, "total": 2, "doing": "Comparing"}))
        return self.futures[-1]

    def take_back(self, reply: Future[dict[str, Any]]) -> None:
        reply.cancel()


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def client(anneal: Anneal, maker: Maker) -> TestClient:
    known = anneal.catalog.model_copy(update={"cards": (*anneal.catalog.cards, *FORMS)})
    return TestClient(Starlette(routes=exports.routes(
        replace(anneal, patient=maker, catalog=known)
    )))  # fmt: skip


def forms(client: TestClient, run: int) -> dict[str, Any]:
    return {one["name"]: one for one in client.get(f"/api/runs/{run}/exports").json()["formats"]}


@pytest.fixture
def run(anneal: Anneal) -> int:
    return fakes.add_run(anneal.history)


def test_a_form_is_made_and_fetched_and_deleted(
    client: TestClient, anneal: Anneal, maker: Maker, run: int
) -> None:
    base = f"/api/runs/{run}/exports"
    assert not forms(client, run)["Weights"]["otherwise"]
    assert forms(client, run)["Graph"]["otherwise"] == "Not this one"
    client.post(f"{base}/Weights/make", json={})
    client.post(f"{base}/Weights/make", json={})  # twice is once
    (asked,) = maker.asked
    assert (asked["run"], asked["name"], asked["portrait"]["id"]) == (run, "Weights", run)
    said = {"done": 1, "total": 2, "doing": "Comparing"}
    assert forms(client, run)["Weights"]["making"] == said
    folder = anneal.home / "runs" / str(run) / "exports"
    folder.mkdir(parents=True)
    (folder / "w.zip").write_bytes(b"all of it")
    told = {"format": "Weights", "label": "Weights", "step": 1, "made": 1.0, "file": "w.zip",
            "bytes": 9, "facts": {}}  # fmt: skip
    (folder / "Weights.json").write_text(json.dumps(told))
    maker.futures[0].set_result(told)
    now = forms(client, run)["Weights"]
    assert (now["made"], now["making"]) == (told, None)
    assert now["old"] == "weights"  # the run's best step is another
    fetched = client.get(f"{base}/Weights")
    assert fetched.content == b"all of it"
    assert 'filename="w.zip"' in fetched.headers["content-disposition"]
    client.post(f"{base}/Weights/remove", json={})
    assert not list(folder.iterdir())
    assert client.get(f"{base}/Weights").status_code == 404


def test_what_says_probabilities_is_old_when_their_temperature_is_another(
    client: TestClient, anneal: Anneal, run: int
) -> None:
    folder = anneal.home / "runs" / str(run) / "exports"
    folder.mkdir(parents=True)
    (folder / "w.zip").write_bytes(b"all of it")
    step = anneal.history.run(run).best_step

    def old(made_at: float | None, used: dict[str, Any] | None) -> str:
        told = {"format": "Weights", "label": "Weights", "step": step, "made": 1.0,
                "file": "w.zip", "bytes": 9, "facts": {}}  # fmt: skip
        said = told if made_at is None else told | {"temperature": made_at}
        (folder / "Weights.json").write_text(json.dumps(said))
        beside = folder.parent / "temperature.json"
        beside.unlink(missing_ok=True)
        if used is not None:
            beside.write_text(json.dumps(used))
        return str(forms(client, run)["Weights"]["old"])

    fitted = {"value": 1.7, "step": step, "on": True}
    assert old(1.0, None) == ""
    assert old(1.0, fitted) == "temperature"
    assert old(1.7, fitted) == ""
    assert old(1.7, fitted | {"on": False}) == "temperature"
    assert old(1.0, fitted | {"step": -1}) == ""  # of weights that are gone
    assert old(None, fitted) == ""  # it gives logits, which are the same


def test_what_was_stopped_or_failed_can_be_made_again(
    client: TestClient, maker: Maker, run: int
) -> None:
    base = f"/api/runs/{run}/exports/Weights"
    client.post(f"{base}/make", json={})
    client.post(f"{base}/stop", json={})
    assert maker.futures[0].cancelled()
    assert forms(client, run)["Weights"]["making"] is None
    client.post(f"{base}/make", json={})
    maker.futures[1].set_exception(BadInput("It can't be drawn"))
    assert forms(client, run)["Weights"]["problem"] == "It can't be drawn"
    client.post(f"{base}/make", json={})
    assert forms(client, run)["Weights"]["problem"] == ""


@pytest.mark.parametrize("name", ["Nothing", "..%2F..%2Fanneal", "Weights.json"])
def test_only_forms_that_there_are_have_files(client: TestClient, run: int, name: str) -> None:
    assert client.get(f"/api/runs/{run}/exports/{name}").status_code == 404
    assert client.post(f"/api/runs/{run}/exports/{name}/make", json={}).status_code == 404


def test_a_note_that_names_a_file_elsewhere_leads_nowhere(
    client: TestClient, anneal: Anneal, run: int
) -> None:
    folder = anneal.home / "runs" / str(run) / "exports"
    folder.mkdir(parents=True)
    (folder / "Weights.json").write_text(json.dumps({"file": "../../../anneal.db", "step": 1}))
    assert client.get(f"/api/runs/{run}/exports/Weights").status_code == 404


def test_the_page_is_told_how_programs_ask(client: TestClient, run: int) -> None:
    told = client.get(f"/api/runs/{run}/exports").json()["calls"]
    assert told["serve"].startswith(f"python app.py serve-model {run}")
    assert told["curl"].startswith("curl http://127.0.0.1:8000/predict")


def test_the_call_for_a_sequence_has_as_many_numbers_a_step_as_the_run_reads(
    client: TestClient, anneal: Anneal
) -> None:
    run = fakes.add_run(anneal.history, data="Rows")
    folder = anneal.home / "runs" / str(run)
    folder.mkdir(parents=True)
    (folder / "data.json").write_text(json.dumps({"kind": "sequences", "shape": [3]}))
    told = client.get(f"/api/runs/{run}/exports").json()["calls"]
    assert "[[0.0, 0.1, 0.2], [0.1, 0.2, 0.3]]" in told["curl"]
