"""The addresses behind the Datasets page: files in, datasets out, and what nobody may send."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.catalog import BadInput
from gui.shell import Anneal, Served
from gui.uploads import FORGOTTEN, Uploads, amount
from tests.gui import fakes

BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def importer(anneal: Anneal) -> Iterator[fakes.FakeImporter]:
    assert isinstance(anneal.importer, fakes.FakeImporter)
    yield anneal.importer
    for row in anneal.history.datasets():
        anneal.history.delete_dataset(row.id)
    anneal.importer.__init__(anneal.history)  # type: ignore[misc]


def uploaded(home: Path) -> list[Path]:
    # os.walk bears that folders go while it looks.
    return [Path(folder, name) for folder, _, names in os.walk(home / "tmp") for name in names]


def put(
    ask: httpx.Client, file: str, content: bytes = b"x", token: str | None = None
) -> httpx.Response:
    query = {"file": file} | ({"token": token} if token else {})
    return ask.put("/api/uploads", params=query, content=content, headers=BYTES)


def token_of(ask: httpx.Client, file: str = "a.zip", content: bytes = b"x") -> str:
    return str(put(ask, file, content).json()["token"])


def dataset(anneal: Anneal, **meta: Any) -> int:
    """A dataset that is ready."""
    row = anneal.history.add_dataset(name="Own", kind="images", source="own.zip")
    assert isinstance(anneal.importer, fakes.FakeImporter)
    anneal.importer.ready(row.id, **meta)
    return row.id


# --- uploads --------------------------------------------------------------------------------


def test_an_upload_becomes_an_import(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    content = bytes(range(256)) * 40_000
    token = token_of(ask, "../../my cats.zip", content)
    assert put(ask, "labels.csv", b"file,label", token).json() == {"token": token}
    body = {"token": token, "name": " My  cats ", "kind": "images", "options": {"size": 32}}
    made = ask.post("/api/datasets", json=body).json()
    paths, name, options, received = importer.started[0]
    assert anneal.history.dataset(made["dataset"]).state == "importing"
    assert (name, options, importer.kinds) == ("My cats", {"size": 32}, ["images"])
    assert [path.name for path in paths] == ["labels.csv", "my cats.zip"]
    assert received == [b"file,label", content]
    assert all(path.parents[1] == anneal.home / "tmp" / "uploads" for path in paths)
    # Its files are the import's now: the same page can't start it twice, or read them.
    for path in ("/api/datasets", "/api/datasets/inspect"):
        assert ask.post(path, json={"token": token}).status_code == 404


@pytest.mark.parametrize(
    ("given", "kept"),
    [("/etc/passwd", "passwd"), ("..\\..\\boot.ini", "boot.ini"), ("a\x00b\n.zip", "ab.zip"),
     ("c:d|e.csv", "c_d_e.csv"), (".hidden.npz", "hidden.npz"),
     ("x" * 300 + ".zip", "x" * 100 + ".zip"), ("\u6587\u5b57.zip", "\u6587\u5b57.zip")],
)  # fmt: skip
def test_a_files_name_is_only_a_name(
    ask: httpx.Client, importer: fakes.FakeImporter, given: str, kept: str
) -> None:
    ask.post("/api/datasets", json={"token": token_of(ask, given)})
    assert importer.started[0][0][0].name == kept


@pytest.mark.parametrize(("file", "content"), [("", b"x"), ("..", b"x"), ("a.zip", b"")])
def test_a_file_that_is_none_leaves_nothing(
    ask: httpx.Client, anneal: Anneal, file: str, content: bytes
) -> None:
    before = uploaded(anneal.home)
    reply = put(ask, file, content)
    assert (reply.status_code, bool(reply.json()["error"])) == (400, True)
    assert uploaded(anneal.home) == before


def test_two_files_of_one_name_are_refused_and_the_first_stays(
    ask: httpx.Client, anneal: Anneal
) -> None:
    token = token_of(ask, "train.en", b"first")
    again = put(ask, "train.en", b"second", token)
    assert again.status_code == 409
    assert "train.en" in again.json()["error"]
    folder = anneal.home / "tmp" / "uploads" / token
    assert [path.read_bytes() for path in folder.iterdir()] == [b"first"]


@pytest.mark.parametrize(
    "token",
    ["..", "../../datasets", "a" * 31, "A" * 32, "/etc", "0" * 32 + "/..", "%2e%2e", "0" * 32],
)
def test_a_token_is_no_path(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter, token: str
) -> None:
    kept = anneal.home / "datasets" / "1" / "kept"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(b"mine")
    for path in ("/api/datasets", "/api/datasets/inspect"):
        assert ask.post(path, json={"token": token}).status_code in (400, 404)
    assert put(ask, "a.zip", token=token).status_code in (400, 404)
    ask.post("/api/uploads/drop", json={"token": token})
    assert kept.read_bytes() == b"mine"
    assert not importer.started


@pytest.mark.parametrize("token", [None, 3, ["a"], {"a": 1}, ""])
def test_a_token_is_a_text(ask: httpx.Client, importer: fakes.FakeImporter, token: object) -> None:
    for path in ("/api/datasets", "/api/datasets/inspect", "/api/uploads/drop"):
        assert ask.post(path, json={"token": token}).status_code == 400


def test_too_large_an_upload_is_refused_before_it_is_sent(site: Served) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as page:
        page.sendall(b"PUT /api/uploads?file=a.zip HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Length: 10000000000000000\r\n"
                     b"Content-Type: application/octet-stream\r\n\r\n")  # fmt: skip
        reply = page.recv(4096)
    assert b" 413 " in reply.splitlines()[0]


def test_too_large_an_upload_is_refused_while_it_comes(ask: httpx.Client, anneal: Anneal) -> None:
    before = uploaded(anneal.home)

    def more() -> Iterator[bytes]:  # without a length, as no browser sends it
        for _ in range(80):
            yield bytes(2**20)

    query = {"file": "a.zip"}
    reply = ask.put("/api/uploads", params=query, content=more(), headers=BYTES)
    assert reply.status_code == 413
    assert "64 MB" in reply.json()["error"]
    assert uploaded(anneal.home) == before


def test_the_files_of_an_upload_share_its_limit(ask: httpx.Client) -> None:
    token = token_of(ask, "a.txt", bytes(fakes.LIMIT - 10))
    assert put(ask, "b.txt", bytes(11), token).status_code == 413
    assert put(ask, "b.txt", bytes(10), token).status_code == 200
    ask.post("/api/uploads/drop", json={"token": token})
    assert put(ask, "c.txt", b"x", token).status_code == 404


def test_an_upload_that_finds_no_room_is_refused(
    ask: httpx.Client, anneal: Anneal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gui.uploads.SPARE", 1 << 60)
    before = uploaded(anneal.home)
    assert put(ask, "a.zip").status_code == 507
    assert uploaded(anneal.home) == before


def test_an_upload_that_is_cut_off_leaves_nothing(site: Served, anneal: Anneal) -> None:
    before = uploaded(anneal.home)
    with socket.create_connection(("127.0.0.1", site.port)) as page:
        page.sendall(b"PUT /api/uploads?file=half.zip HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Length: 1000\r\nContent-Type: application/octet-stream\r\n"
                     b"\r\nhalf")  # fmt: skip
        fakes.until(lambda: len(uploaded(anneal.home)) > len(before))
    fakes.until(lambda: uploaded(anneal.home) == before)
    # Its folder goes right after it.
    folders = anneal.home / "tmp" / "uploads"
    fakes.until(lambda: not [f for f in folders.iterdir() if not any(f.iterdir())])


def begun(site: Served, token: str, *, file: str = "b.zip") -> socket.socket:
    """A page that has sent two of a file's four bytes."""
    page = socket.create_connection(("127.0.0.1", site.port), timeout=5)
    page.sendall(b"PUT /api/uploads?file=%s&token=%s HTTP/1.1\r\nHost: localhost\r\n"
                 b"Content-Length: 4\r\nContent-Type: application/octet-stream\r\n"
                 b"Connection: close\r\n\r\nha"
                 % (file.encode(), token.encode()))  # fmt: skip
    return page


def coming(anneal: Anneal, token: str) -> list[Path]:
    return list((anneal.home / "tmp" / "uploads" / token).glob(".*.part"))


def test_nothing_is_begun_while_a_file_is_still_coming_in(
    site: Served, ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    token = token_of(ask, "a.zip", b"one")
    with begun(site, token) as page:
        fakes.until(lambda: bool(coming(anneal, token)))
        for path in ("/api/datasets", "/api/datasets/inspect"):
            reply = ask.post(path, json={"token": token})
            assert reply.status_code == 409
            assert "still coming in" in reply.json()["error"]
        assert not importer.started
        assert put(ask, "b.zip", b"x", token).status_code == 409  # nor another of its name
        page.sendall(b"lf")
        assert b" 200 " in page.recv(4096).splitlines()[0]
    assert not coming(anneal, token)
    assert ask.post("/api/datasets", json={"token": token}).status_code == 200
    paths, _, _, received = importer.started[0]
    assert [path.name for path in paths] == ["a.zip", "b.zip"]
    assert received == [b"one", b"half"]


def test_a_drop_ends_the_upload_that_is_still_coming_in(
    site: Served, ask: httpx.Client, anneal: Anneal
) -> None:
    before = uploaded(anneal.home)
    token = token_of(ask)
    with begun(site, token) as page:
        fakes.until(lambda: bool(coming(anneal, token)))
        assert ask.post("/api/uploads/drop", json={"token": token}).status_code == 200
        page.sendall(b"lf")
        reply = page.makefile("rb").read()
    assert b" 409 " in reply.splitlines()[0]
    assert b"was cancelled" in reply
    fakes.until(lambda: uploaded(anneal.home) == before)
    assert not (anneal.home / "tmp" / "uploads" / token).exists()


def test_a_part_of_a_server_that_was_killed_holds_nothing_up(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    token = token_of(ask, "a.zip", b"one")
    (anneal.home / "tmp" / "uploads" / token / ".left.part").write_bytes(b"ha")
    assert ask.post("/api/datasets", json={"token": token}).status_code == 200
    assert [path.name for path in importer.started[0][0][0].parent.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 kB"), (10, "1 kB"), (400_000, "391 kB"), (2**20, "1 MB"), (3 << 30, "3,072 MB")],
)
def test_no_size_is_said_as_nothing(count: int, said: str) -> None:
    assert amount(count) == said


def test_a_dropped_upload_is_gone(ask: httpx.Client, anneal: Anneal) -> None:
    before = uploaded(anneal.home)
    token = token_of(ask)
    assert len(uploaded(anneal.home)) == len(before) + 1
    assert ask.post("/api/uploads/drop", json={"token": token}).status_code == 200
    assert uploaded(anneal.home) == before


@pytest.mark.parametrize("path", ["/api/uploads?file=a.zip", "/api/datasets"])
def test_another_site_brings_nothing_in(ask: httpx.Client, anneal: Anneal, path: str) -> None:
    before = uploaded(anneal.home)
    foreign = {"Origin": "http://evil.example"}
    assert ask.put(path, headers={**BYTES, **foreign}, content=b"x").status_code in (403, 405)
    form = {"Content-Type": "text/plain"}  # all that a form can send without asking first
    assert ask.put("/api/uploads?file=a", headers=form, content=b"x").status_code == 415
    site = {**BYTES, "Sec-Fetch-Site": "cross-site"}
    assert ask.put("/api/uploads?file=a", headers=site, content=b"x").status_code == 403
    assert uploaded(anneal.home) == before


def test_forgotten_uploads_are_cleared_and_those_for_another_try_stay(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100)
    old = [uploads.folder / name / "a.zip" for name in ("a" * 32, "b" * 32, "c" * 32)]
    for path in old:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    for path in old[:2]:
        os.utime(path.parent, (0, path.stat().st_mtime - 2 * FORGOTTEN))
    uploads.clear(kept=[str(old[0])])
    assert [path.exists() for path in old] == [True, False, True]


# --- looking into files, and importing them ---------------------------------------------------


def test_what_was_found_can_be_corrected(ask: httpx.Client, answers: fakes.FakeAnswers) -> None:
    token = token_of(ask, "reviews.csv")
    found = ask.post("/api/datasets/inspect", json={"token": token}).json()
    assert found["roles"] == {"text": "review", "label": "stars"}
    _, payload = answers.asked[-1]
    assert [Path(path).name for path in payload["paths"]] == ["reviews.csv"]
    body = {"token": token, "kind": "text", "options": {"columns": {"label": ""}}}
    found = ask.post("/api/datasets/inspect", json=body).json()
    assert found["class_count"] == 0
    assert answers.asked[-1][1]["options"] == {"columns": {"label": ""}}
    body = {"token": token, "options": {"encoding": "utf-16"}}
    wrong = ask.post("/api/datasets/inspect", json=body).json()
    assert wrong["problem"]["field"] == "encoding"
    assert "isn't UTF-16" in wrong["problem"]["text"]


@pytest.mark.parametrize(
    "body",
    [{"kind": "../x"}, {"kind": 3}, {"kind": ["text"]}, {"options": "all"}, {"options": [1]},
     {"name": 3}],
)  # fmt: skip
def test_what_no_page_sends_starts_nothing(
    ask: httpx.Client, importer: fakes.FakeImporter, body: dict[str, Any]
) -> None:
    sent = {"token": token_of(ask), **body}
    assert ask.post("/api/datasets", json=sent).status_code == 400
    assert not importer.started


@pytest.mark.parametrize(
    "body",
    [{"name": "\ud800"}, {"options": {"encoding": "\ud800"}},
     {"options": {"columns": {"text": "a\udfffb"}}}, {"options": {"\ud800": 1}},
     {"options": {"split": ["\ud800"]}}],
)  # fmt: skip
def test_a_text_that_can_not_be_written_is_refused_at_the_door(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter, answers: fakes.FakeAnswers,
    body: dict[str, Any],
) -> None:  # fmt: skip
    # Plain JSON: what a client writes has the half as an escape.
    sent = json.dumps({"token": token_of(ask), "origin": "sample:tiny", **body})
    number = dataset(anneal)
    paths = ["/api/datasets", "/api/datasets/get"]
    if "options" in body:
        paths += ["/api/datasets/inspect", f"/api/datasets/{number}/retry"]
    for path in paths:
        reply = ask.post(path, content=sent, headers={"Content-Type": "application/json"})
        assert (reply.status_code, "half of a character" in reply.json()["error"]) == (400, True)
    assert [*importer.started, *importer.fetched, *importer.retried, *answers.asked] == []


def test_a_character_of_two_halves_is_one(ask: httpx.Client, importer: fakes.FakeImporter) -> None:
    sent = json.dumps({"token": token_of(ask), "name": "\N{CAT FACE}"})
    assert "\\ud83d" in sent
    ask.post("/api/datasets", content=sent, headers={"Content-Type": "application/json"})
    assert importer.started[0][1] == "\N{CAT FACE}"


def test_a_refused_import_keeps_the_upload_for_another_try(
    ask: httpx.Client, importer: fakes.FakeImporter
) -> None:
    token = token_of(ask)
    importer.failure = BadInput("size must be 8–512")
    reply = ask.post("/api/datasets", json={"token": token})
    assert (reply.status_code, reply.json()["error"]) == (400, "size must be 8–512")
    importer.failure = None
    assert ask.post("/api/datasets", json={"token": token}).status_code == 200


def test_a_failed_import_can_be_looked_into_and_tried_again(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter, answers: fakes.FakeAnswers
) -> None:
    kept = anneal.home / "tmp" / "uploads" / ("d" * 32) / "reviews.csv"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    row = anneal.history.add_dataset(name="Reviews", kind="text", source="reviews.csv")
    retry = {"field": "columns", "paths": [str(kept)], "options": {"seed": 3}, "kind": "text"}
    anneal.history.import_failed(row.id, "There is no such column", meta={"retry": retry})
    listed = ask.get("/api/datasets").json()["datasets"][-1]
    assert listed["retry"] == {
        "field": "columns", "options": {"seed": 3}, "kind": "text", "files": True,
    }  # fmt: skip
    assert str(anneal.home) not in ask.get("/api/datasets").text  # no path goes to a browser
    assert ask.post("/api/datasets/inspect", json={"dataset": row.id}).json()["kind"] == "text"
    assert answers.asked[-1][1]["paths"] == [str(kept)]
    body = {"options": {"columns": {"text": "review"}}}
    made = ask.post(f"/api/datasets/{row.id}/retry", json=body).json()
    assert importer.retried == [(row.id, {"columns": {"text": "review"}})]
    assert anneal.history.dataset(made["dataset"]).state == "importing"


@pytest.mark.parametrize("number", [None, "1", -1, 1.5, True, 2**70, 999])
def test_only_a_failed_import_has_files_to_look_into(ask: httpx.Client, number: object) -> None:
    reply = ask.post("/api/datasets/inspect", json={"dataset": number})
    assert reply.status_code in (400, 404)


# --- samples, and by name ---------------------------------------------------------------------


def test_a_sample_is_installed_under_its_own_name(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    listed = ask.get("/api/datasets").json()
    assert [offer["origin"] for offer in listed["offers"]] == [
        "sample:tiny", "torchvision:CIFAR10",
    ]  # fmt: skip
    made = ask.post("/api/datasets/get", json={"origin": "sample:tiny"}).json()
    assert importer.fetched == [("sample:tiny", "Tiny Shakespeare", {})]
    now = ask.get("/api/datasets").json()["datasets"][-1]
    assert (now["id"], now["origin"], now["state"]) == (
        made["dataset"], "sample:tiny", "importing",
    )  # fmt: skip
    importer.ready(made["dataset"])
    assert ask.get("/api/datasets").json()["datasets"][-1]["origin"] == "sample:tiny"


@pytest.mark.parametrize("origin", ["hub:stanfordnlp/imdb", "hub:imdb", "hub:a/b-c.d@plain_text"])
def test_a_dataset_of_the_hub_is_named(
    ask: httpx.Client, importer: fakes.FakeImporter, origin: str
) -> None:
    assert ask.post("/api/datasets/get", json={"origin": origin}).status_code == 200
    assert importer.fetched[0][0] == origin


@pytest.mark.parametrize(
    "origin",
    ["", None, 3, "sample:other", "/etc/passwd", "file:///etc/passwd", "http://evil.example/x",
     "hub:../../etc", "hub:../etc", "hub:a/..", "hub:a/b/c", "hub:a b", "hub:", "hub:a/b@../c",
     "hub:a\n", ["hub:a"], "hub:" + "a" * 201, "hub:a/b@" + "c" * 197],
)  # fmt: skip
def test_nothing_else_is_fetched(
    ask: httpx.Client, importer: fakes.FakeImporter, origin: object
) -> None:
    assert ask.post("/api/datasets/get", json={"origin": origin}).status_code == 400
    assert not importer.fetched


# --- one dataset ------------------------------------------------------------------------------


def test_details_are_only_of_what_is_on_the_list(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter, answers: fakes.FakeAnswers
) -> None:
    found = ask.post("/api/datasets/details", json={"key": "Digits"}).json()
    assert (found["name"], found["id"], found["today"]) == ("Digits", None, None)
    assert answers.asked[-1] == ("details", {"data": {"name": "Digits", "settings": {}}})
    for key in ("ImportedImages", "ImportedImages:999", 3, None, ["Digits"]):
        assert ask.post("/api/datasets/details", json={"key": key}).status_code == 404
    number = dataset(anneal, version=4)
    found = ask.post("/api/datasets/details", json={"key": f"ImportedImages:{number}"})
    assert answers.asked[-1][1]["data"]["settings"] == {"id": number, "version": 4}


@pytest.mark.parametrize(
    "body",
    [{"split": 3}, {"label": "cat"}, {"label": -1}, {"finding": 3}, {"finding": ["a"]},
     {"offset": -1}, {"offset": "1"}, {"count": None}, {"version": "1"}],
)  # fmt: skip
def test_items_are_asked_for_in_numbers(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter, answers: fakes.FakeAnswers,
    body: dict[str, Any],
) -> None:  # fmt: skip
    key = f"ImportedImages:{dataset(anneal)}"
    assert ask.post("/api/datasets/items", json={"key": key, **body}).status_code == 400
    assert not answers.asked
    found = ask.post("/api/datasets/items", json={"key": key, "label": 0, "count": 10**6}).json()
    assert found["total"] == 6
    assert answers.asked[-1][1]["count"] == 200


def test_a_recording_can_be_heard(ask: httpx.Client) -> None:
    body = {"key": "Digits", "row": 3}
    assert ask.post("/api/datasets/sound", json=body).json()["wav"].startswith("UklGR")
    for row in (None, "3", -1, [3]):
        reply = ask.post("/api/datasets/sound", json={"key": "Digits", "row": row})
        assert reply.status_code == 400


def test_a_change_makes_a_version_that_the_history_knows(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter, answers: fakes.FakeAnswers
) -> None:
    number = dataset(anneal)
    body = {"version": 1, "change": {"do": "exclude", "rows": [1, 2]}}
    made = ask.post(f"/api/datasets/{number}/change", json=body).json()
    assert made == {"version": 2, "change": "2 items left out"}
    assert anneal.history.dataset(number).meta["version"] == 2
    # A page that still shows the first version would pass over what was changed since.
    late = ask.post(f"/api/datasets/{number}/change", json=body)
    assert late.status_code == 409
    assert "newer version" in late.json()["error"]
    mended = ask.post(f"/api/datasets/{number}/change", json={"version": 2, "finding": "copies"})
    assert mended.json()["version"] == 3
    assert answers.asked[-1][1]["finding"] == "copies"


@pytest.mark.parametrize(
    "body",
    [{}, {"version": 1}, {"version": "1", "finding": "x"}, {"version": None, "finding": "x"},
     {"version": 1, "finding": "x", "change": {"do": "restore", "version": 1}},
     {"version": 1, "change": {"do": "exclude", "rows": [True]}},
     {"version": 1, "change": {"do": "exclude", "rows": [0, -1]}},
     {"version": 1, "change": {"do": "exclude", "rows": "all"}}],
)  # fmt: skip
def test_what_is_no_change_changes_nothing(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter, answers: fakes.FakeAnswers,
    body: dict[str, Any],
) -> None:  # fmt: skip
    number = dataset(anneal)
    assert ask.post(f"/api/datasets/{number}/change", json=body).status_code == 400
    assert not answers.asked
    assert ask.post("/api/datasets/999/change", json=body | {"version": 1, "finding": "x"}
                    ).status_code in (400, 404)  # fmt: skip


@pytest.mark.parametrize(
    "wanted",
    [{"finding": "\ud800"}, {"change": {"do": "relabel", "rows": [0], "label": "\ud800"}}],
)
def test_a_change_to_a_text_that_can_not_be_written_is_refused(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter, answers: fakes.FakeAnswers,
    wanted: dict[str, Any],
) -> None:  # fmt: skip
    sent = json.dumps({"version": 1, **wanted})
    reply = ask.post(f"/api/datasets/{dataset(anneal)}/change", content=sent,
                     headers={"Content-Type": "application/json"})  # fmt: skip
    assert (reply.status_code, "half of a character" in reply.json()["error"]) == (400, True)
    assert not answers.asked


def test_a_change_that_is_refused_is_a_sentence(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter, answers: fakes.FakeAnswers
) -> None:
    number = dataset(anneal)
    answers.failure = BadInput("Nothing would be left of the dataset: leave out less")
    body = {"version": 1, "change": {"do": "exclude", "rows": [0]}}
    reply = ask.post(f"/api/datasets/{number}/change", json=body)
    assert (reply.status_code, reply.json()["error"]) == (400, str(answers.failure))
    assert anneal.history.dataset(number).meta["version"] == 1


def test_a_change_whose_page_has_gone_is_remembered_all_the_same(
    site: Served, anneal: Anneal, importer: fakes.FakeImporter, answers: fakes.FakeAnswers
) -> None:
    number = dataset(anneal)
    answers.slow = True
    body = b'{"version": 1, "finding": "copies"}'
    with socket.create_connection(("127.0.0.1", site.port)) as page:
        page.sendall(b"POST /api/datasets/%d/change HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Length: %d\r\nContent-Type: application/json\r\n\r\n%s"
                     % (number, len(body), body))  # fmt: skip
        fakes.until(lambda: bool(answers.futures))
    answers.futures[0].set_result(answers.change(number, 1, finding="copies"))
    fakes.until(lambda: anneal.history.dataset(number).meta["version"] == 2)


@pytest.mark.parametrize("path", ["inspect", "details", "items", "sound", "1/change", "get", ""])
def test_another_sites_page_asks_and_changes_nothing(
    ask: httpx.Client, answers: fakes.FakeAnswers, path: str
) -> None:
    foreign = {"Origin": "http://evil.example"}
    url = f"/api/datasets/{path}".rstrip("/")
    assert ask.post(url, headers=foreign, json={"key": "Digits"}).status_code == 403
    plain = {"Content-Type": "text/plain"}
    assert ask.post(url, headers=plain, content="{}").status_code == 415
    assert not answers.asked


def test_removing_is_the_importers_work_and_what_a_run_needs_stays(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    number = dataset(anneal)
    body = {"names": {"data": f"ImportedImages:{number}"}}
    run = ask.post("/api/train", json=body).json()["run"]
    reply = ask.post(f"/api/datasets/{number}/remove", json={})
    assert reply.status_code == 409
    assert f"run {run}" in reply.json()["error"]
    anneal.history.dequeue(run)
    anneal.history.delete_run(run)
    assert ask.post(f"/api/datasets/{number}/remove", json={}).status_code == 200
    assert ask.post(f"/api/datasets/{number}/remove", json={}).status_code == 404


# --- the Train page ----------------------------------------------------------------------------


def test_an_address_may_set_fields_of_what_is_chosen_and_nothing_else(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    key = f"ImportedImages:{dataset(anneal)}"
    query = [("data", key), ("set", "task.label_smoothing=0.1"), ("set", "data.id=7"),
             ("set", "model.__class__=x"), ("set", "method.epochs=many"),
             ("set", "<b>")]  # fmt: skip
    plan = ask.get("/api/form", params=query).json()
    assert plan["wanted"]["names"]["data"] == key
    assert plan["wanted"]["touched"] == {"task.Classification": {"label_smoothing": 0.1}}
    assert "Label smoothing is set to 0.1" in plan["notices"][0]
    assert len(plan["notices"]) == 5
    assert plan["problem"] is None


def test_a_clone_takes_todays_version_and_says_so(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    number = dataset(anneal)
    key = f"ImportedImages:{number}"
    run = ask.post("/api/train", json={"names": {"data": key}}).json()["run"]
    assert '"version":1' in anneal.history.run(run).recipe.replace(" ", "")
    assert not [n for n in ask.get(f"/api/form?clone={run}").json()["notices"] if "version" in n]
    body = {"version": 1, "change": {"do": "exclude", "rows": [1]}}
    ask.post(f"/api/datasets/{number}/change", json=body)
    plan = ask.get(f"/api/form?clone={run}").json()
    assert plan["wanted"]["names"]["data"] == key
    assert "Own was version 1 in that run. Today's version 2" in " ".join(plan["notices"])
    assert '"version":2' in plan["recipe"].replace(" ", "")
    shown = ask.get(f"/api/runs/{run}").json()
    group = next(group for group in shown["recipe"] if group["kind"] == "data")
    assert (group["label"], group["rows"][0]["value"]) == ("Own", 1)
    anneal.history.dequeue(run)
    anneal.history.delete_run(run)


def test_a_dataset_is_extended_by_runs_that_can(
    ask: httpx.Client, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    number = anneal.history.add_dataset(name="pets", kind="images", source="pets.zip").id
    importer.ready(number)
    makers = ask.get(f"/api/datasets/{number}/makers").json()
    assert makers == {"draw": [], "label": [], "translate": [], "labelled": True}
    asked = {"do": "draw", "run": 3, "count": 20, "labelled_by": 4, "sure": 0.9, "version": 7}
    made = ask.post(f"/api/datasets/{number}/extend", json=asked).json()["dataset"]
    assert importer.extended == [({**asked, "dataset": number, "version": 1}, "pets + drawn")]
    assert anneal.history.dataset(made).state == "importing"
    assert ask.post(f"/api/datasets/{number}/extend", json={}).status_code == 400
