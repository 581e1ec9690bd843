"""The process that answers the pages: estimates, datasets, predictions, and what if it dies."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.answers import Answers
from engine.catalog import BadInput
from engine.home import Home
from engine.recipe import Recipe

APP = Path(__file__).parents[2] / "app.py"
PATIENCE = 200


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    home = Home.find(tmp_path_factory.mktemp("home"))
    command = [sys.executable, str(APP), "answer", "--home", str(home.root)]
    asked = Answers(command, log=home.root / "answers.log")
    yield asked
    asked.close()


def test_an_estimate_counts_and_times_a_recipe(
    answers: Answers, recipe: Callable[..., Recipe]
) -> None:
    made = recipe(method__epochs=7)
    said = answers.ask("estimate", recipe=made.to_json()).result(PATIENCE)
    assert said["parameters"] == said["trainable"] == 1034
    assert said["steps"] == 7 * 12
    assert 0 < said["seconds_per_epoch"] < said["seconds"]
    assert said["memory"] > 100 * 2**20  # of the process: as much as the libraries take
    assert said["device"] == "cpu"
    assert "fp32" in said["precision"]


def test_details_show_every_class(answers: Answers) -> None:
    said = answers.ask("details", data={"name": "Mnist5000", "settings": {}}).result(PATIENCE)
    assert said["counts"] == {"train": [400] * 10, "validation": [50] * 10, "test": [50] * 10}
    assert said["shape"] == [28, 28, 1]
    assert {item["label"] for item in said["samples"]["items"]} == set("0123456789")
    said = answers.ask("details", data={"name": "MnistRows"}).result(PATIENCE)
    assert said["samples"]["kind"] == "sequences"
    assert len(said["samples"]["items"][0]["values"]) == 28


def test_a_persons_mistake_names_the_field(answers: Answers, recipe: Callable[..., Recipe]) -> None:
    wrong = recipe().to_json().replace('"dropout":0.0', '"dropout":7')
    with pytest.raises(BadInput, match="Dropout is 7") as problem:
        answers.ask("estimate", recipe=wrong).result(PATIENCE)
    assert problem.value.field == "model.dropout"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_if_it_dies_only_the_questions_in_hand_fail(
    answers: Answers, recipe: Callable[..., Recipe]
) -> None:
    answers.ask("details", data={"name": "MnistRows"}).result(PATIENCE)
    talk = answers._talk
    assert talk is not None
    os.kill(talk.process.pid, signal.SIGSTOP)  # so that the question is surely in hand
    waiting = [answers.ask("estimate", recipe=recipe().to_json()) for _ in range(3)]
    os.kill(talk.process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="ended while it worked on this"):
        waiting[0].result(PATIENCE)
    for question in waiting[1:]:
        assert question.result(PATIENCE)["parameters"] == 1034


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP is POSIX")
def test_a_question_that_is_taken_back_costs_nothing(
    answers: Answers, recipe: Callable[..., Recipe]
) -> None:
    answers.ask("details", data={"name": "MnistRows"}).result(PATIENCE)
    talk = answers._talk
    assert talk is not None
    os.kill(talk.process.pid, signal.SIGSTOP)  # so that none is answered before it is taken back
    try:
        unwanted = [answers.ask("estimate", recipe=recipe().to_json()) for _ in range(200)]
        taken_back = sum(question.cancel() for question in unwanted)
    finally:
        os.kill(talk.process.pid, signal.SIGCONT)
    assert taken_back > 190  # all but what is in hand
    assert answers.ask("details", data={"name": "MnistRows"}).result(PATIENCE)["shape"] == [28]


def test_large_questions_and_large_answers_do_not_block_each_other(answers: Answers) -> None:
    picture = {"png": "A" * 500_000}
    asked = []
    for _ in range(4):
        asked.append(answers.ask("details", data={"name": "Mnist5000"}, count=2000))
        asked.append(answers.ask("predict", run=1, inputs=[picture]))
    for looked, prediction in zip(asked[::2], asked[1::2], strict=True):
        assert len(looked.result(PATIENCE)["samples"]["items"]) == 2000
        with pytest.raises(BadInput, match="no checkpoint"):
            prediction.result(PATIENCE)


def test_questions_from_many_threads_each_get_their_own_answer(answers: Answers) -> None:
    said: dict[str, list[int]] = {}

    def ask(name: str, shape: list[int]) -> None:
        said[name] = answers.ask("details", data={"name": name}).result(PATIENCE)["shape"]

    wanted = {"Mnist5000": [28, 28, 1], "MnistRows": [28], "Digits8x8": [8, 8, 1]}
    threads = [threading.Thread(target=ask, args=item) for item in wanted.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == wanted


SLOW_SPEAKER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    for part in asked["parts"]:
        print(json.dumps({"part": part}), flush=True)
        sys.stdin.readline()
    print(json.dumps({"answer": {"said": len(asked["parts"])}}), flush=True)
"""


def test_pieces_are_heard_before_the_answer_is_over(tmp_path: Path) -> None:
    asked = Answers([sys.executable, "-c", SLOW_SPEAKER], log=tmp_path / "log")
    heard: queue.Queue[str] = queue.Queue()
    try:
        question = asked.ask("stream", heard=heard.put, parts=["One", " two", " three"])
        for part in ("One", " two", " three"):
            assert heard.get(timeout=PATIENCE) == part
            assert not question.done()
            talk = asked._talk
            assert talk is not None
            talk.stdin.write(b"go on\n")
            talk.stdin.flush()
        assert question.result(PATIENCE) == {"said": 3}
        # Whoever doesn't listen gets the answer all the same.
        deaf = asked.ask("stream", parts=[])
        assert deaf.result(PATIENCE) == {"said": 0}
    finally:
        asked.close()


ENDLESS = """
import sys, time
from pathlib import Path
from engine import desk
from engine.home import Home

class Endless(desk.Desk):
    def stream(self, **asked):
        number = 0
        while True:
            number += 1
            time.sleep(0.01)
            yield str(number)

desk.Desk = Endless
desk.serve(Home.find(Path(sys.argv[1])))
"""


def test_an_answer_that_is_taken_back_ends_in_mid_sentence(tmp_path: Path) -> None:
    asked = Answers([sys.executable, "-c", ENDLESS, str(tmp_path)], log=tmp_path / "log")
    heard: queue.Queue[str] = queue.Queue()
    try:
        endless = asked.ask("stream", heard=heard.put)
        behind = asked.ask("details", data={"name": "Digits8x8"})
        unwanted = asked.ask("details", data={"name": "Digits8x8"})
        assert heard.get(timeout=PATIENCE) == "1"
        asked.take_back(unwanted)
        assert unwanted.cancelled()
        asked.take_back(endless)
        assert endless.result(PATIENCE) == {}
        assert behind.result(PATIENCE)["shape"] == [8, 8, 1]
        asked.take_back(endless)  # too late: nothing happens
        again = asked.ask("stream", heard=heard.put)
        asked.take_back(again)
        assert again.cancelled() or again.result(PATIENCE) == {}
    finally:
        asked.close()
