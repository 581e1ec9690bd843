"""What every page tells: which runs have ended while a person was elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gui import news
from gui.shell import Anneal
from tests.gui import fakes


@pytest.fixture
def anneal(tmp_path: Path) -> Iterator[Anneal]:
    made = fakes.make(tmp_path)
    yield made
    made.history.close()


@pytest.fixture
def client(anneal: Anneal) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=news.routes(anneal))) as opened:
        yield opened


def run(anneal: Anneal, **more: Any) -> int:
    return anneal.history.add_run(
        "{}", name="mine", task="Classification", model="ConvNet", data="Digits",
        method="Training", **more,
    ).id  # fmt: skip


def end(anneal: Anneal, id: int, state: Any = "finished") -> None:
    if anneal.history.run(id).state == "queued":
        anneal.history.claim(id, device="cpu", pid=1, pid_started=1.0)
    metrics = {"headline": "test/accuracy", "test/accuracy": 0.9}
    anneal.history.end(id, state=state, reason="Done", metrics=metrics)


def test_a_run_that_ended_after_the_last_look_is_news_once(
    client: TestClient, anneal: Anneal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "LONG", 0.0)
    first = client.get("/api/news").json()
    assert first["fresh"]
    assert first["ended"] == []
    id = run(anneal)
    end(anneal, id)
    then = client.get(f"/api/news?after={first['now']}").json()
    assert not then["fresh"]
    (told,) = then["ended"]
    assert (told["href"], told["state"], told["value"]) == (f"/run?id={id}", "finished", 0.9)
    assert client.get(f"/api/news?after={then['now']}").json()["ended"] == []
    assert client.get("/api/news?after=soon").status_code == 400


def test_what_was_short_or_stopped_by_a_person_is_no_news(
    client: TestClient, anneal: Anneal, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(anneal, run(anneal))
    assert client.get("/api/news?after=0").json()["ended"] == []
    monkeypatch.setattr(news, "LONG", -1.0)
    end(anneal, run(anneal), "stopped")
    assert [one["id"] for one in client.get("/api/news?after=0").json()["ended"]] == ["run 1"]


def test_a_comparison_is_told_as_a_whole_when_its_last_run_ends(
    client: TestClient, anneal: Anneal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "LONG", 0.0)
    one = anneal.history.add_comparison(json.dumps({"kind": "ablation"}), name="both ways")
    runs = [run(anneal, comparison=one.id) for _ in range(2)]
    end(anneal, runs[0])
    assert client.get("/api/news?after=0").json()["ended"] == []
    end(anneal, runs[1])
    (told,) = client.get("/api/news?after=0").json()["ended"]
    assert (told["name"], told["href"]) == ("both ways", f"/ablation?id={one.id}")
