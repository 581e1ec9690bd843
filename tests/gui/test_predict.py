"""What the Predict page is told of runs, and what it may ask of them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from engine.catalog import BadInput
from gui.pages import predict
from gui.shell import Anneal
from tests.gui import fakes, histories


def stream(ask: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    reply = ask.post("/api/predict/stream", json={"run": 1, "input": {"text": "Once"}} | body)
    assert reply.status_code == 200
    return [json.loads(line) for line in reply.text.splitlines()]


def test_only_runs_with_a_checkpoint_can_be_asked(ask: httpx.Client, anneal: Anneal) -> None:
    with_one = fakes.add_run(anneal.history, data="Rows", name="Saved")
    without = fakes.add_run(anneal.history, saved=False)
    found = {run["id"]: run for run in ask.get("/api/predict").json()["runs"]}
    assert found[with_one]["takes"] == "sequence"
    assert without not in found
    anneal.history.dequeue(without)


@pytest.mark.parametrize(
    ("task", "data", "takes", "gives", "streams", "tries"),
    [
        ("Classification", "Digits", "image", ["logits"], False, []),
        ("Writing", "Reviews", "text", ["next token"], True, ["temperature", "top_k"]),
        ("Translation", "Sentences", "pair", ["target text"], False, ["beam"]),
        ("Transcription", "Words", "audio", ["frames"], False, []),
        ("Invention", "Digits", "seed", ["reconstruction"], False, []),
    ],
)
def test_a_run_says_what_it_takes_and_what_it_is_tried_with(
    ask: httpx.Client, anneal: Anneal, task: str, data: str, takes: str, gives: list[str],
    streams: bool, tries: list[str],
) -> None:  # fmt: skip
    number = fakes.add_run(anneal.history, task=task, data=data)
    (run,) = [r for r in ask.get("/api/predict").json()["runs"] if r["id"] == number]
    assert (run["takes"], run["gives"], run["streams"]) == (takes, gives, streams)
    assert [field["key"] for field in run["tries"]] == tries
    assert run["task"] == anneal.catalog.card("task", task).label


def test_a_setting_of_a_trial_is_drawn_as_the_forms_are(ask: httpx.Client, anneal: Anneal) -> None:
    number = fakes.add_run(anneal.history, task="Writing", data="Reviews")
    (run,) = [r for r in ask.get("/api/predict").json()["runs"] if r["id"] == number]
    temperature, top_k = run["tries"]
    assert (temperature["control"], temperature["value"]) == ("slider", 0.8)
    assert (top_k["control"], top_k["value"], top_k["empty"]) == ("number", None, "all")


def test_a_prediction_passes_on_what_a_page_may_send_and_nothing_else(
    ask: httpx.Client, answers: fakes.FakeAnswers
) -> None:
    for given in ({"png": "abc"}, {"text": "1,2"}, {"sound": "abc"}):
        assert ask.post("/api/predict", json={"run": 1, "input": given}).status_code == 200
        sent = {"run": 1, "inputs": [given], "options": {}}
        assert answers.asked[-1] == ("predict", sent)
    for given in ({"path": "/etc/passwd"}, {"png": 3}, {}, {"png": "a", "text": "b"}, [], None):
        for path in ("/api/predict", "/api/predict/stream"):
            assert ask.post(path, json={"run": 1, "input": given}).status_code == 400
    for body in (
        {"run": True},
        {"run": "1"},
        {"options": ["beam"]},
        {"inputs": []},
        {"inputs": "x"},
    ):
        asked = {"run": 1, "input": {"text": "a"}} | body
        assert ask.post("/api/predict", json=asked).status_code == 400
    assert len(answers.asked) == 3


def test_many_inputs_are_asked_at_once_and_too_many_are_refused(
    ask: httpx.Client, answers: fakes.FakeAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "MOST_INPUTS", 3)
    inputs = [{"text": word} for word in "abc"]
    reply = ask.post("/api/predict", json={"run": 1, "inputs": inputs, "options": {"beam": 4}})
    assert len(reply.json()["results"]) == 3
    assert answers.asked == [("predict", {"run": 1, "inputs": inputs, "options": {"beam": 4}})]
    reply = ask.post("/api/predict", json={"run": 1, "inputs": [*inputs, {"text": "d"}]})
    assert (reply.status_code, "more than 3 inputs" in reply.json()["error"]) == (400, True)


def test_a_text_that_is_too_long_or_none_is_refused_with_a_sentence(
    ask: httpx.Client, answers: fakes.FakeAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "LONGEST_TEXT", 10)
    for given, said in (("x" * 11, "longer than 10 characters"), ("\ud800", "half of a character")):
        body = json.dumps({"run": 1, "input": {"text": given}})
        headers = {"Content-Type": "application/json"}
        reply = ask.post("/api/predict", content=body, headers=headers)
        assert said in reply.json()["error"]
    assert not answers.asked


def test_a_prediction_that_fails_is_a_sentence(
    ask: httpx.Client, answers: fakes.FakeAnswers
) -> None:
    answers.failure = BadInput("Step 2 has 3 numbers")
    reply = ask.post("/api/predict", json={"run": 1, "input": {"text": "1"}})
    assert (reply.status_code, reply.json()["error"]) == (400, "Step 2 has 3 numbers")


# --- piece by piece -------------------------------------------------------------------------


def test_an_answer_streams_its_pieces_and_then_its_end(
    ask: httpx.Client, answers: fakes.FakeAnswers
) -> None:
    *parts, last = stream(ask, options={"temperature": 0.1})
    assert parts == [{"part": piece} for piece in answers.pieces]
    assert last["answer"]["checkpoint"] == {"step": 300, "epoch": 7.5}
    sent = {"run": 1, "given": {"text": "Once"}, "options": {"temperature": 0.1}}
    assert answers.asked == [("stream", sent)]


def test_a_piece_is_sent_before_the_next_one_is_there(
    ask: httpx.Client, answers: fakes.FakeAnswers
) -> None:
    answers.pieces = ["Once"]
    answers.held.clear()
    body = {"run": 1, "input": {"text": ""}}
    with ask.stream("POST", "/api/predict/stream", json=body) as reply:
        lines = reply.iter_lines()
        assert json.loads(next(lines)) == {"part": "Once"}
        answers.held.set()
        assert "answer" in json.loads(next(lines))


@pytest.mark.parametrize("problem", [BadInput("It takes no text"), RuntimeError("It has ended")])
def test_a_stream_that_fails_ends_with_a_sentence(
    ask: httpx.Client, answers: fakes.FakeAnswers, problem: Exception
) -> None:
    answers.failure = problem
    assert stream(ask) == [{"error": str(problem)}]


def test_a_page_that_leaves_a_stream_takes_its_question_back(
    ask: httpx.Client, answers: fakes.FakeAnswers
) -> None:
    answers.held.clear()
    body = {"run": 1, "input": {"text": ""}}
    with ask.stream("POST", "/api/predict/stream", json=body) as reply:
        next(reply.iter_lines())
    fakes.until(lambda: answers.futures[-1].cancelled())
    answers.held.set()


def test_another_site_streams_nothing(ask: httpx.Client, answers: fakes.FakeAnswers) -> None:
    body = {"run": 1, "input": {"text": "a"}}
    headers = {"Sec-Fetch-Site": "cross-site"}
    reply = ask.post("/api/predict/stream", json=body, headers=headers)
    assert reply.status_code == 403
    assert not answers.asked


# --- explanations ---------------------------------------------------------------------------


def test_an_explanation_comes_with_what_is_done_of_it(
    ask: httpx.Client, answers: fakes.FakeAnswers
) -> None:
    body = {
        "run": 1, "input": {"png": fakes.PIXEL}, "how": "GradCam", "target": 1, "against": 0,
        "settings": {"steps": 8}, "other": {"png": fakes.PIXEL, "path": "/etc/passwd"},
    }  # fmt: skip
    part, end = map(json.loads, ask.post("/api/predict/explain", json=body).text.splitlines())
    assert part == {"part": "0.5"}
    assert end["answer"]["of"] == "<b>one</b>"
    picture = {"png": fakes.PIXEL}
    assert answers.asked[-1] == ("explain", {
        "run": 1, "given": picture, "how": "GradCam", "settings": {"steps": 8}, "target": 1,
        "against": 0, "other": picture,
    })  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [{"how": 3}, {"target": "1"}, {"against": True}, {"settings": [1]}, {"other": {"path": "a"}},
     {"input": {"path": "/etc/passwd"}}, {"run": "1"}],
)  # fmt: skip
def test_an_explanation_is_asked_for_properly(
    ask: httpx.Client, answers: fakes.FakeAnswers, wrong: dict[str, Any]
) -> None:
    body = {"run": 1, "input": {"png": fakes.PIXEL}, "how": "GradCam"} | wrong
    assert ask.post("/api/predict/explain", json=body).status_code == 400
    assert not answers.asked


# --- items of the data ----------------------------------------------------------------------


def test_an_item_of_the_data_is_given_whole(ask: httpx.Client, answers: fakes.FakeAnswers) -> None:
    answers.kind = "text"
    given = ask.post("/api/datasets/given", json={"key": "Reviews", "row": 2}).json()
    assert given == {"text": "<i>Text</i> 2, whole"}
    data = {"name": "Reviews", "settings": {}}
    assert answers.asked[-1] == ("given", {"data": data, "row": 2})
    assert ask.post("/api/datasets/given", json={"key": "No", "row": 2}).status_code == 404
    assert ask.post("/api/datasets/given", json={"key": "Reviews"}).status_code == 400


def test_a_run_that_took_no_step_can_be_asked(ask: httpx.Client, anneal: Anneal) -> None:
    """Its checkpoint is that of step 0, which isn't nothing."""
    number = histories.ready_at_once(anneal.history).id
    (run,) = [r for r in ask.get("/api/predict").json()["runs"] if r["id"] == number]
    assert run["step"] == 0
    assert (run["takes"], run["gives"]) == ("text", ["logits"])
