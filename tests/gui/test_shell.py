"""The server around the pages: who may ask, what is served, and the addresses behind the pages."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message

from engine.catalog import BadInput
from gui import assets, shell
from gui.admission import KnownName
from gui.shell import Anneal, Served, free_port
from gui.text import text
from tests.gui import fakes

HERE = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}


# --- who may ask ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/run", "/runs", "/compare", "/datasets", "/predict"])
def test_every_page_is_there(ask: httpx.Client, path: str) -> None:
    reply = ask.get(path)
    assert reply.status_code == 200
    assert "default-src 'self'" in reply.headers["content-security-policy"]


def test_another_name_for_this_machine_is_turned_away(ask: httpx.Client) -> None:
    for path in ("/", "/api/form", "/static-anneal/base.css"):
        assert ask.get(path, headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("path", ["/api/train", "/api/form", "/api/predict", "/gradio_api/upload"])
def test_another_sites_page_can_change_nothing(ask: httpx.Client, path: str) -> None:
    reply = ask.post(path, headers={**HERE, "Origin": "http://evil.example"}, content="{}")
    assert reply.status_code == 403


@pytest.mark.parametrize("origin", ["http://[", "null", "", "[", "http://[::1"])
def test_an_origin_that_is_no_address_is_another_site(ask: httpx.Client, origin: str) -> None:
    for method, path in (("GET", "/api/form"), ("POST", "/api/train"), ("PUT", "/api/uploads")):
        reply = ask.request(method, path, headers={**HERE, "Origin": origin}, content="{}")
        assert (reply.status_code, reply.text) == (403, "Not from this site")


def test_a_host_that_is_no_address_is_no_name_of_this_machine() -> None:
    sent: list[Message] = []

    async def nothing(*_: object) -> None:
        raise AssertionError("it was let in")

    async def keep(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", b"[")]}
    # In a thread: the browser of other tests keeps an event loop in this one.
    with ThreadPoolExecutor(1) as other:
        other.submit(asyncio.run, KnownName(nothing)(scope, nothing, keep)).result()
    assert sent[0]["status"] == 400


def test_a_form_on_another_site_can_not_post(ask: httpx.Client) -> None:
    reply = ask.post("/api/train", headers={"Content-Type": "text/plain"}, content="{}")
    assert reply.status_code == 415


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/monitoring"])
def test_nothing_of_the_framework_is_open(ask: httpx.Client, path: str) -> None:
    assert ask.get(path).status_code in (403, 404)


def test_no_file_of_this_machine_can_be_read(ask: httpx.Client, anneal: Anneal) -> None:
    secret = anneal.home / "anneal.db"
    for path in ("/etc/passwd", str(secret)):
        assert ask.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_gradio_offers_no_function_to_call(ask: httpx.Client) -> None:
    info = ask.get("/gradio_api/info").json()
    assert not info["named_endpoints"]
    assert not info["unnamed_endpoints"]


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [("base.css", "text/css"), ("shell.js", "text/javascript"), ("text.js", "text/javascript"),
     ("plotly.min.js", "text/javascript"), ("mark.svg", "image/svg+xml")],
)  # fmt: skip
def test_our_files_are_served(ask: httpx.Client, name: str, kind: str) -> None:
    reply = ask.get(assets.url(name))
    assert reply.headers["content-type"].startswith(kind)
    assert "immutable" in reply.headers["cache-control"]
    now = ask.get(f"/static-anneal/{name}")
    assert now.headers["cache-control"] == "no-cache"
    again = ask.get(f"/static-anneal/{name}", headers={"If-None-Match": now.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path", ["shell.py", "..%2fshell.py", "%2e%2e/shell.py", "old/base.css", "nothing.js", ""]
)
def test_no_other_file_is_served(ask: httpx.Client, path: str) -> None:
    assert ask.get(f"/static-anneal/{path}").status_code == 404


def test_no_file_of_ours_names_another_host() -> None:
    ours = [path for path in assets.STATIC.iterdir() if path.suffix in (".js", ".css", ".svg")]
    for path in ours:
        found = set(re.findall(r"https?://[\w.]+", path.read_text("utf-8")))
        assert found <= {"http://www.w3.org"}, path


def test_what_the_machine_says_of_itself_is_never_code(ask: httpx.Client) -> None:
    page = ask.get("/").text.replace("\\u0026", "&")  # as JSON in a script has it
    assert "&#36;&#123;1+1}" in page
    assert "${1+1}" not in page


# --- starting -------------------------------------------------------------------------------


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port("127.0.0.1", port) <= port + 100


def test_a_port_that_is_taken_after_it_was_found_free_is_passed_over(
    anneal: Anneal, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[socket.socket] = []

    def found(host: str, port: int) -> int:
        free = free_port(host, port)
        if len(others) < 2:  # another program is faster, twice
            others.append(socket.create_server((host, free)))
        return free

    monkeypatch.setattr(shell, "free_port", found)
    served = shell.serve(anneal, port=fakes.PORT)
    try:
        assert served.port > max(other.getsockname()[1] for other in others)
        assert len(others) == 2
        with httpx.Client(base_url=served.url, trust_env=False) as client:
            assert client.get("/api/form").status_code == 200
            assert "base.css" in client.get("/").text
    finally:
        served.close()
        for other in others:
            other.close()


def test_ports_that_are_always_taken_are_an_error(
    anneal: Anneal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(shell, "free_port", lambda *_: other.getsockname()[1])
        with pytest.raises(OSError, match="port"):
            shell.serve(anneal)


# --- Train ----------------------------------------------------------------------------------


def test_a_run_is_queued_under_its_name(ask: httpx.Client, anneal: Anneal) -> None:
    made = ask.post("/api/train", json={"name": " Mine ", "seed": 3}).json()
    run = anneal.history.run(made["run"])
    assert (run.name, run.state, run.model) == ("Mine", "queued", "ConvNet")
    assert json.loads(run.recipe)["seed"] == 3
    anneal.history.delete_run(run.id)


def test_a_task_that_the_starting_run_s_model_does_not_do_takes_its_heir(
    ask: httpx.Client, anneal: Anneal
) -> None:
    names = {"task": "Reconstruction", "data": "Digits", "model": "Coder"}
    run = fakes.add_run(anneal.history, **names, **{"model.widths": [5]})  # type: ignore[arg-type]
    asked = {"names": {**names, "task": "Classification"}, "start": run}
    plan = ask.post("/api/form", json=asked).json()
    assert (plan["wanted"]["names"]["model"], plan["wanted"]["start"]) == ("Successor", run)
    assert plan["notices"] == [text("form.adopted", run=run)]
    made = json.loads(plan["recipe"])
    assert made["model"] == {"name": "Successor", "settings": {"widths": [5], "dropout": 0.0}}
    assert made["start"] == run


def test_a_run_without_a_name_gets_one(ask: httpx.Client, anneal: Anneal) -> None:
    run = anneal.history.run(ask.post("/api/train", json={}).json()["run"])
    assert run.name == "ConvNet · Digits"
    anneal.history.delete_run(run.id)


def test_a_run_remembers_its_dataset_and_its_parent(ask: httpx.Client, anneal: Anneal) -> None:
    parent = fakes.add_run(anneal.history)
    row = anneal.history.add_dataset(name="Own", kind="images", source="own.zip")
    anneal.history.dataset_ready(
        row.id, card="ImportedImages", provides=["image", "label"], meta={}, bytes=1,
        fingerprint="f",
    )  # fmt: skip
    body = {"names": {"data": f"ImportedImages:{row.id}"}, "start": parent}
    run = anneal.history.run(ask.post("/api/train", json=body).json()["run"])
    assert (run.dataset, run.parent) == (row.id, parent)
    anneal.history.delete_run(run.id)
    anneal.history.delete_dataset(row.id)


def test_a_wrong_value_starts_nothing(ask: httpx.Client, anneal: Anneal) -> None:
    before = anneal.history.runs()[1]
    body = {"touched": {"method.Training": {"epochs": 0}}}
    problem = ask.post("/api/train", json=body).json()["problem"]
    assert problem["field"] == "method.epochs"
    assert anneal.history.runs()[1] == before


@pytest.mark.parametrize("body", [{"names": 3}, {"unknown": 1}, {"touched": {"a": "b"}}])
def test_what_no_page_sends_is_refused(ask: httpx.Client, body: dict[str, Any]) -> None:
    for path in ("/api/form", "/api/train", "/api/estimate", "/api/preview"):
        assert ask.post(path, json=body).status_code == 400


def test_a_clone_of_a_run_that_is_not_there_says_so(ask: httpx.Client) -> None:
    reply = ask.get("/api/form?clone=999")
    assert reply.status_code == 404
    assert "999" in reply.json()["error"]


def test_an_estimate_is_asked_for_the_recipe(ask: httpx.Client, answers: fakes.FakeAnswers) -> None:
    found = ask.post("/api/estimate", json={"names": {"task": "Reconstruction"}}).json()
    assert found["parameters"] == 1234567
    question, payload = answers.asked[-1]
    assert question == "estimate"
    assert json.loads(payload["recipe"])["model"]["name"] == "Coder"


def test_what_augmentation_does_is_asked_for_the_recipe(
    ask: httpx.Client, answers: fakes.FakeAnswers
) -> None:
    wanted = {"touched": {"data.Digits": {"flip": True}}}
    found = ask.post("/api/preview", json={**wanted, "salt": 7}).json()
    assert found["mirror"] == {"plain": 0.83, "mirrored": 0.37}
    question, payload = answers.asked[-1]
    assert (question, payload["salt"]) == ("preview", 7)
    assert json.loads(payload["recipe"])["data"]["settings"]["flip"] is True
    for salt in (-1, "x", 2**31):
        assert ask.post("/api/preview", json={"salt": salt}).status_code == 400
    answers.failure = BadInput("It is gone", field="data")
    assert ask.post("/api/preview", json={}).json()["problem"]["text"] == "It is gone"


def test_what_the_estimate_finds_wrong_is_said_beside_the_field(
    ask: httpx.Client, answers: fakes.FakeAnswers
) -> None:
    answers.failure = BadInput("Too large a batch", field="method.epochs")
    found = ask.post("/api/estimate", json={}).json()
    assert found["problem"] == {"field": "method.epochs", "text": "Too large a batch"}


def test_a_failed_answer_is_a_sentence(ask: httpx.Client, answers: fakes.FakeAnswers) -> None:
    answers.failure = RuntimeError("The predictor ended")
    reply = ask.post("/api/estimate", json={})
    assert (reply.status_code, reply.json()["error"]) == (503, "The predictor ended")


def test_a_question_whose_page_has_gone_is_taken_back(
    site: Served, answers: fakes.FakeAnswers
) -> None:
    answers.slow = True
    with socket.create_connection(("127.0.0.1", site.port)) as page:
        page.sendall(b"POST /api/estimate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
                     b"Content-Type: application/json\r\n\r\n{}")  # fmt: skip
        fakes.until(lambda: bool(answers.futures))
        assert not answers.futures[0].cancelled()
    fakes.until(answers.futures[0].cancelled)


def test_waiting_for_an_answer_holds_nobody_else_up(
    site: Served, answers: fakes.FakeAnswers
) -> None:
    answers.slow = True
    pages = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(60)]
    for page in pages:
        page.sendall(b"POST /api/estimate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
                     b"Content-Type: application/json\r\n\r\n{}")  # fmt: skip
    fakes.until(lambda: len(answers.futures) == len(pages))
    assert httpx.get(f"{site.url}api/queue", timeout=2, trust_env=False).status_code == 200
    for page in pages:
        page.close()
    fakes.until(lambda: all(future.cancelled() for future in answers.futures))


# --- read-only ------------------------------------------------------------------------------


def test_read_only_shows_everything_and_changes_nothing(tmp_path: Path) -> None:
    anneal = fakes.make(tmp_path / "home", readonly=True)
    with fakes.served(anneal) as site, httpx.Client(base_url=site.url, trust_env=False) as ask:
        assert "Another Anneal" in ask.get("/api/form").json()["readonly"]
        assert ask.get("/api/datasets").status_code == 200
        assert ask.post("/api/train", json={}).status_code == 403
        for path in ("", "/get", "/1/remove", "/1/retry", "/1/change"):
            assert ask.post(f"/api/datasets{path}", json={}).status_code == 403
        assert ask.post("/api/uploads/drop", json={}).status_code == 403
        put = ask.put("/api/uploads", params={"file": "a.zip"}, content=b"x", headers=BYTES)
        assert put.status_code == 403
        assert anneal.history.runs()[1] == 0


@pytest.mark.parametrize(
    ("name", "known"),
    [("192.168.1.7", True), ("::1", True), ("localhost", True), ("printer.local", True),
     ("evil.example", False), ("192.168.1.7.evil.example", False), ("", False)],
)  # fmt: skip
def test_served_to_the_network_only_addresses_and_own_names_are_known(
    name: str, known: bool
) -> None:
    async def nothing(*_: object) -> None: ...

    assert KnownName(nothing).knows(name) == known
