"""Asks a process of its own what only PyTorch can answer. It never loads PyTorch itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.catalog import BadInput
from engine.processes import end, start

Reply = Future[dict[str, Any]]
Heard = Callable[[str], None]
"""Takes a piece of an answer, in the listening thread: it must not wait."""


class Answers:
    """One process that answers predictions, estimates and what datasets look like, one at a time.

    `command` starts it: a JSON line ``{"question", …}`` on its standard input is answered by a
    line ``{"answer"}`` or ``{"problem", "field", "defect"}``, before which there may be lines
    ``{"part"}`` with pieces of the answer. ``{"stop"}`` with the ``number`` of a question ends one
    that comes in pieces. A question is sent when the one
    before it is answered, so one that was cancelled meanwhile costs nothing. If the process dies
    it is started again; only the question in hand fails, with its reason.
    """

    def __init__(self, command: Sequence[str], *, log: Path) -> None:
        self.command, self.log = command, log
        self._lock = threading.Lock()
        self._waiting: deque[Question] = deque()
        self._asked = 0
        self._talk: Talk | None = None

    def ask(self, question: str, *, heard: Heard | None = None, **payload: Any) -> Reply:
        """The answer, some time later. The future raises BadInput for what a person can mend,
        RuntimeError with a sentence for everything else. `heard` takes the pieces of an answer
        that comes in pieces."""
        future: Reply = Future()
        with self._lock:
            number = self._asked = self._asked + 1
            line = json.dumps({"question": question, "number": number, **payload}).encode() + b"\n"
            self._waiting.append(Question(future, number, line, heard))
            self._advance()
        return future

    def take_back(self, reply: Reply) -> None:
        """Nobody wants this answer any more: it isn't begun, or ends before its next piece."""
        if reply.cancel():
            return
        with self._lock:
            talk = self._talk
            if talk is not None and talk.in_hand is not None and talk.in_hand.reply is reply:
                talk.tell(json.dumps({"stop": talk.in_hand.number}).encode() + b"\n")

    def warm(self) -> None:
        """Start the process before the first question."""
        with self._lock:
            self._begin()

    def close(self) -> None:
        """End the process; what was asked and not answered fails."""
        with self._lock:
            talk, self._talk = self._talk, None
            waiting, self._waiting = self._waiting, deque()
        for question in waiting:
            question.reply.cancel()
        if talk is not None:
            talk.process.terminate()
            talk.listener.join(5)
            talk.process.kill()  # of one that didn't listen; the others are gone already
            talk.listener.join()

    def _begin(self) -> Talk:
        if self._talk is None:
            self._talk = Talk(start(
                self.command, log=self.log, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ))  # fmt: skip
            self._talk.listener = threading.Thread(
                target=self._listen, args=(self._talk,), name="answers", daemon=True
            )
            self._talk.listener.start()
        return self._talk

    def _advance(self) -> None:
        """Send the next question if the process has none in hand. The lock is held."""
        while self._waiting and (self._talk is None or self._talk.in_hand is None):
            question = self._waiting.popleft()
            if not question.reply.set_running_or_notify_cancel():
                continue
            talk = self._begin()
            talk.in_hand = question
            talk.tell(question.line)

    def _listen(self, talk: Talk) -> None:
        for line in talk.stdout:
            reply = json.loads(line)
            asked = talk.in_hand
            assert asked is not None, "an answer that nobody asked for"
            if "part" in reply:
                if asked.heard is not None:
                    asked.heard(reply["part"])
                continue
            with self._lock:
                talk.in_hand = None
                self._advance()
            if "answer" in reply:
                asked.reply.set_result(reply["answer"])
            elif reply["defect"]:
                asked.reply.set_exception(RuntimeError(reply["problem"]))
            else:
                asked.reply.set_exception(BadInput(reply["problem"], field=reply["field"]))
        code = talk.process.wait()
        with self._lock:
            asked, talk.in_hand = talk.in_hand, None
            closing = self._talk is not talk
            if not closing:
                self._talk = None
            end(talk.process)
        if asked is not None:
            asked.reply.set_exception(RuntimeError(
                f"The predictor ended while it worked on this (exit code {code}); it starts anew "
                "with the next question"
            ))  # fmt: skip
        if not closing:
            with self._lock:
                self._advance()


@dataclass(frozen=True)
class Question:
    """What was asked, and who waits for the answer."""

    reply: Reply
    number: int
    line: bytes
    heard: Heard | None


class Talk:
    """A conversation with one process: its pipes, and who waits for its answer."""

    listener: threading.Thread

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin, self.stdout = process, process.stdin, process.stdout
        self.in_hand: Question | None = None

    def tell(self, line: bytes) -> None:
        """Send it a line."""
        with contextlib.suppress(OSError):  # it has just died: its listener says so
            self.stdin.write(line)
            self.stdin.flush()
