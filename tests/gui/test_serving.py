"""A run's model behind an address: what may be asked, together, and by whom."""

from __future__ import annotations

import asyncio
import html
import io
import json
import shlex
import shutil
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from engine.catalog import BadInput
from gui import serving
from gui.serving import Endpoint, calls, taken, width_of
from gui.shell import free_port
from tests.gui import fakes

CATALOG = fakes.catalog()
HOST = {"Host": "127.0.0.1"}


class Model:
    """Says what it was given, after a while; keeps how many it was given at once."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause, self.asked = pause, []  # type: ignore[var-annotated]
        self.problem: Exception | None = None

    def ask(self, question: str, **payload: Any) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        self.asked.append((question, payload))
        if self.problem is not None:
            future.set_exception(self.problem)
            return future
        told = {"checkpoint": {"step": 7}, "results": [
            {"problem": "Not this one"} if one.get("text") == "bad" else {"given": one}
            for one in payload["inputs"]
        ]}  # fmt: skip
        threading.Timer(self.pause, future.set_result, [told]).start()
        return future

    def take_back(self, reply: Future[dict[str, Any]]) -> None:
        reply.cancel()


def endpoint(
    model: Model, task: str = "Writing", data: str = "Reviews", width: int | None = None
) -> Endpoint:
    cards = CATALOG.card("task", task), CATALOG.card("data", data)
    return Endpoint(model, 3, *cards, width=width)


@contextmanager
def client(model: Model, **more: Any) -> Iterator[TestClient]:
    with TestClient(endpoint(model, **more).app(), headers=HOST) as opened:
        yield opened


def test_every_input_has_its_result_or_the_request_its_problem() -> None:
    with client(Model()) as asked:
        told = asked.post("/predict", json={"inputs": [{"text": "a"}, {"text": "b"}]}).json()
        assert [one["given"]["text"] for one in told["results"]] == ["a", "b"]
        assert (told["run"], told["checkpoint"]) == (3, {"step": 7})
        wrong = asked.post("/predict", json={"inputs": [{"text": "bad"}]})
        assert (wrong.status_code, wrong.json()) == (422, {"error": "Not this one"})
        assert asked.get("/health").json()["status"] == "ok"


def test_health_waits_for_no_batch_but_for_one_that_never_ends() -> None:
    model = Model()
    one = endpoint(model)
    with TestClient(one.app(), headers=HOST) as asked:
        asked.post("/predict", json={"inputs": [{"text": "a"}]})
        before = len(model.asked)
        one.since = time.monotonic()
        told = asked.get("/health").json()
        assert (told["status"], told["checkpoint"]) == ("ok", {"step": 7})
        assert len(model.asked) == before
        one.since -= serving.PATIENCE
        model.problem = RuntimeError("It hangs")
        assert asked.get("/health").status_code == 503


def test_requests_that_come_together_are_asked_together() -> None:
    model = Model(pause=0.2)
    one = endpoint(model)

    async def many() -> list[dict[str, Any]]:
        working = asyncio.create_task(one.work())
        waiting = [serving.Waiting({"text": str(n)}, {}) for n in range(9)]
        one.waiting.put_nowait(waiting[0])
        await asyncio.sleep(0.05)  # the model works on the first
        for other in waiting[1:]:
            one.waiting.put_nowait(other)
        told = await asyncio.gather(*(each.answer for each in waiting))
        working.cancel()
        return [each["result"]["given"] for each in told]

    # In a thread of its own: a browser of another test may have left its loop in this one.
    with ThreadPoolExecutor(1) as alone:
        told = alone.submit(lambda: asyncio.run(many())).result()
    assert told == [{"text": str(n)} for n in range(9)]
    assert one.batches == [1, 8]


def test_pictures_come_as_base64_as_a_file_and_in_a_form() -> None:
    picture = b64decode(fakes.PIXEL)
    with client(Model(), task="Classification", data="Digits") as asked:
        said = [
            asked.post("/predict", json={"inputs": [{"png": fakes.PIXEL}]}),
            asked.post("/predict", content=picture, headers={"Content-Type": "image/png"}),
            asked.post("/predict", files={"file": ("a.png", io.BytesIO(picture), "image/png")}),
        ]
    for reply in said:
        (result,) = reply.json()["results"]
        assert result["given"] == {"png": b64encode(picture).decode()}


@pytest.mark.parametrize(("body", "status"), [
    ({}, 422), ({"inputs": []}, 422), ({"inputs": ["a"]}, 422), ({"inputs": [{"text": 1.5}]}, 422),
    ({"inputs": [{"path": "/etc/passwd"}]}, 422), ({"inputs": [{"text": "a"}] * 65}, 413),
    ({"inputs": [{"text": "a"}], "options": []}, 200), ([], 422),
])  # fmt: skip
def test_what_no_model_takes_reaches_none(body: Any, status: int) -> None:
    model = Model()
    with client(model) as asked:
        assert asked.post("/predict", json=body).status_code == status
    assert bool(model.asked) == (status == 200)


def test_no_file_of_this_computer_is_read() -> None:
    model = Model()
    with client(model) as asked:
        asked.post("/predict", json={"inputs": [{"text": "a", "path": "/etc/passwd"}]})
    assert model.asked[0][1]["inputs"] == [{"text": "a"}]


def test_too_long_a_body_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LONGEST", 100)
    with client(Model()) as asked:
        assert asked.post("/predict", content=b"x" * 200).status_code == 413


def test_other_names_and_other_sites_are_turned_away() -> None:
    with client(Model()) as asked:
        assert asked.get("/health", headers={"Host": "evil.example"}).status_code == 400
        elsewhere = {"Origin": "https://elsewhere.example"}
        assert asked.get("/health", headers=elsewhere).status_code == 403


def test_a_model_that_fails_says_so() -> None:
    model = Model()
    with client(model) as asked:
        model.problem = RuntimeError("The predictor ended")
        reply = asked.post("/predict", json={"inputs": [{"text": "a"}]})
        assert (reply.status_code, reply.json()) == (503, {"error": "The predictor ended"})
        assert asked.get("/health").status_code == 503
        model.problem = BadInput("length can't be 0")
        assert asked.post("/predict", json={"inputs": [{"text": "a"}]}).status_code == 400


def test_it_is_described_by_openapi_on_a_page_that_fetches_nothing() -> None:
    with client(Model(), task="Forecasting", data="Rows") as asked:
        said = asked.get("/openapi.json").json()
        page = asked.get("/docs")
    assert said["openapi"].startswith("3.")
    body = said["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert "sequence" in json.dumps(body["schema"])
    assert not {"src=", "<script", "<link"} & {
        part for part in ("src=", "<script", "<link") if part in page.text
    }
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(("kept", "width"), [
    ('{"kind": "sequences", "shape": [3]}', 3), ('{"kind": "images", "shape": [28, 28, 1]}', None),
    ('{"kind": "text"}', None), ("{", None), (None, None),
])  # fmt: skip
def test_the_width_of_a_step_is_the_runs_own(
    kept: str | None, width: int | None, tmp_path: Path
) -> None:
    if kept is not None:
        (tmp_path / "data.json").write_text(kept)
    assert width_of(tmp_path) == width


@pytest.mark.parametrize("width", [1, 3, 28])
def test_an_example_of_a_sequence_is_as_wide_as_the_run_reads(width: int) -> None:
    task, data = CATALOG.card("task", "Forecasting"), CATALOG.card("data", "Rows")
    name, steps = taken(task, data, width)
    assert name == "sequence"
    assert {len(step) for step in steps} == {width}
    with client(Model(), task="Forecasting", data="Rows", width=width) as asked:
        said = asked.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
        assert asked.post("/predict", json={"inputs": []}).json()["error"].count(json.dumps(steps))
        assert html.escape(json.dumps(steps)) in asked.get("/docs").text
    schema = said["content"]["application/json"]["schema"]
    assert schema["example"] == {"inputs": [{"sequence": steps}]}
    step = schema["properties"]["inputs"]["items"]["properties"]["sequence"]["items"]
    assert (step["minItems"], step["maxItems"]) == (width, width)


def test_an_example_for_a_model_that_fills_blanks_has_one() -> None:
    fills = CATALOG.card("task", "Writing").model_copy(update={"fits": {"masked token"}})
    assert taken(fills, CATALOG.card("data", "Reviews")) == ("text", "a text with a ___ in it")


@pytest.mark.parametrize(("task", "data", "width", "given"), [
    ("Writing", "Reviews", None, {"text": "a text to try it on"}),
    ("Classification", "Digits", None, {"png": fakes.PIXEL}),
    ("Forecasting", "Rows", 3, {"sequence": [[0.0, 0.1, 0.2], [0.1, 0.2, 0.3]]}),
])  # fmt: skip
def test_the_calls_work_when_they_are_pasted(
    task: str, data: str, width: int | None, given: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "picture.png").write_bytes(b64decode(fakes.PIXEL))
    port = free_port("127.0.0.1", 8123)
    server = uvicorn.Server(uvicorn.Config(
        endpoint(Model(), task, data, width).app(), port=port, log_level="error", ws="none"
    ))  # fmt: skip
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        known = calls(CATALOG.card("task", task), CATALOG.card("data", data),
                      f"http://127.0.0.1:{port}", width=width)  # fmt: skip
        curl, *words = shlex.split(known["curl"])
        (tmp_path / "call.mjs").write_text(known["javascript"])
        commands = [[curl, "-s", *words], [sys.executable, "-c", known["python"]]]
        if node := shutil.which("node"):
            commands.append([node, "call.mjs"])
        for command in commands:
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
            # Python prints its own way of writing it.
            said = json.loads(done.stdout.strip().replace("'", '"'))
            assert said["results"] == [{"given": given}]
    finally:
        server.should_exit = True
        thread.join()
