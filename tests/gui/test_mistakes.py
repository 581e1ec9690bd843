"""What a run's page may ask about single items, and what it is told."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.catalog import BadInput
from gui import mistakes
from gui.shell import Anneal
from tests.gui import fakes


class Slow:
    """Says how far it is, then answers; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.problem: Exception | None = None

    def ask(self, question: str, heard: Any = None, **payload: Any) -> Future[dict[str, Any]]:
        self.asked.append((question, payload))
        future: Future[dict[str, Any]] = Future()
        if heard is not None:
            heard(json.dumps({"done": 1, "total": 2}))
        if self.problem is not None:
            future.set_exception(self.problem)
        else:
            future.set_result({"kept": [3]} if heard is None else {"error": float("nan")})
        return future

    def take_back(self, reply: Future[dict[str, Any]]) -> None:
        reply.cancel()


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def client(anneal: Anneal, slow: Slow) -> TestClient:
    return opened(replace(anneal, patient=slow))


def opened(anneal: Anneal) -> TestClient:
    return TestClient(Starlette(routes=mistakes.routes(anneal)))


def lines(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def test_progress_comes_before_the_answer(client: TestClient, anneal: Anneal, slow: Slow) -> None:
    run = fakes.add_run(anneal.history)
    body = {"true": "cat", "said": "dog", "offset": 24, "count": 10**9}
    far, end = lines(client.post(f"/api/runs/{run}/look/judged", json=body))
    assert far == {"progress": {"done": 1, "total": 2}}
    assert end["answer"]["error"] == "NaN"
    assert end["answer"]["dataset"] == {
        "id": None, "key": "Digits", "name": "", "version": None, "today": None,
    }  # fmt: skip
    assert slow.asked == [("judged", {
        "run": run, "split": "test", "wrong": False, "threshold": None, "true": "cat",
        "said": "dog", "offset": 24, "count": mistakes.MOST_ITEMS, "today": None,
    })]  # fmt: skip


def test_a_problem_is_a_line_too(client: TestClient, anneal: Anneal, slow: Slow) -> None:
    run = fakes.add_run(anneal.history)
    slow.problem = BadInput("The dataset has been removed")
    *_, end = lines(client.post(f"/api/runs/{run}/look/suspects", json={}))
    assert end == {"error": "The dataset has been removed"}


@pytest.mark.parametrize(("question", "body"), [
    ("judged", {"split": "../test"}),
    ("judged", {"true": 7}),
    ("judged", {"offset": -1}),
    ("judged", {"count": True}),
    ("judged", {"rows": ["1"]}),
    ("judged", {"bin": 0.5}),
    ("judged", {"threshold": {"class": "cat", "threshold": 2, "which": "missed"}}),
    ("judged", {"threshold": {"class": "cat", "threshold": 0.5, "which": "all"}}),
    ("judged", {"said": "x" * 1000}),
    ("judged", {"said": "\\ud800"}),
    ("apart", {}),
    ("suspects", {"folds": 1}),
    ("suspects", {"way": ["head"]}),
])  # fmt: skip
def test_what_no_page_sends_reaches_nobody(
    question: str, body: dict[str, Any], client: TestClient, anneal: Anneal, slow: Slow
) -> None:
    run = fakes.add_run(anneal.history)
    raw = json.dumps(body).replace("\\\\ud800", "\\ud800")
    reply = client.post(f"/api/runs/{run}/look/{question}", content=raw,
                        headers={"Content-Type": "application/json"})  # fmt: skip
    assert reply.status_code == 400
    assert not slow.asked


def test_other_questions_other_sites_and_runs_that_are_gone_are_refused(
    client: TestClient, anneal: Anneal, slow: Slow
) -> None:
    run = fakes.add_run(anneal.history)
    assert client.post(f"/api/runs/{run}/look/predict", json={}).status_code == 404
    assert client.post("/api/runs/99999/look/judged", json={}).status_code == 404
    elsewhere = {"Origin": "https://elsewhere.example"}
    assert (
        client.post(f"/api/runs/{run}/look/judged", json={}, headers=elsewhere).status_code == 403
    )
    assert not slow.asked


def test_a_read_only_app_looks_and_changes_nothing(anneal: Anneal, slow: Slow) -> None:
    run = fakes.add_run(anneal.history)
    client = opened(replace(anneal, patient=slow, readonly=True))
    assert lines(client.post(f"/api/runs/{run}/look/judged", json={}))
    assert client.post(f"/api/runs/{run}/look/temperature", json={"on": True}).status_code == 403
    assert client.post(f"/api/runs/{run}/approve", json={"rows": [1]}).status_code == 403
    way = {"way": "whole"}  # it trains
    assert client.post(f"/api/runs/{run}/look/suspects", json=way).status_code == 403


def test_labels_are_kept_by_the_numbers_of_items(anneal: Anneal, slow: Slow) -> None:
    # What takes long stands in nobody's way: it isn't asked.
    client = opened(replace(anneal, answers=slow, patient=Slow()))
    run = fakes.add_run(anneal.history)
    assert client.post(f"/api/runs/{run}/approve", json={"rows": [3]}).json() == {"kept": [3]}
    assert slow.asked == [("approve", {"run": run, "rows": [3], "back": False})]
    for rows in (3, ["3"], [-1], [None]):
        assert client.post(f"/api/runs/{run}/approve", json={"rows": rows}).status_code == 400
    slow.problem = RuntimeError("The predictor ended")
    ended = client.post(f"/api/runs/{run}/approve", json={"rows": [3]})
    assert (ended.status_code, ended.json()) == (503, {"error": "The predictor ended"})
