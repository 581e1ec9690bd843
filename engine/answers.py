"""Asks a process of its own what only PyTorch can answer. It never loads PyTorch itself."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from engine.catalog import BadInput
from engine.processes import end, start


class Answers:
    """One process that answers predictions, estimates and previews, one at a time.

    `command` starts it: a JSON line ``{"id", "question", …}`` on its standard input is answered
    by a line ``{"id", "answer"}`` or ``{"id", "problem", "field", "defect"}``. If it dies it is
    started again at the next question; only the questions in hand fail, with their reason.
    """

    def __init__(self, command: Sequence[str], *, log: Path) -> None:
        self.command, self.log = command, log
        self._lock = threading.Lock()
        self._talk: Talk | None = None
        self._asked = 0

    def ask(self, question: str, **payload: Any) -> Future[dict[str, Any]]:
        """The answer, some time later. The future raises BadInput for what a person can mend,
        RuntimeError with a sentence for everything else."""
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            self._asked += 1
            talk = self._talk_now()
            talk.waiting[self._asked] = future
            line = json.dumps({"id": self._asked, "question": question, **payload})
            try:
                talk.stdin.write(line.encode() + b"\n")
                talk.stdin.flush()
            except OSError:  # it has just died: its reader tells everyone who waits
                pass
        return future

    def warm(self) -> None:
        """Start the process before the first question."""
        with self._lock:
            self._talk_now()

    def close(self) -> None:
        with self._lock:
            talk, self._talk = self._talk, None
        if talk is not None:
            talk.process.terminate()
            talk.listener.join(5)
            talk.process.kill()  # of one that didn't listen; the others are gone already
            talk.listener.join()

    def _talk_now(self) -> Talk:
        if self._talk is None:
            self._talk = Talk(start(
                self.command, log=self.log, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ))  # fmt: skip
            self._talk.listener = threading.Thread(
                target=self._listen, args=(self._talk,), name="answers", daemon=True
            )
            self._talk.listener.start()
        return self._talk

    def _listen(self, talk: Talk) -> None:
        for line in talk.stdout:
            reply = json.loads(line)
            with self._lock:
                future = talk.waiting.pop(reply["id"])
            if not future.set_running_or_notify_cancel():
                continue
            if "answer" in reply:
                future.set_result(reply["answer"])
            elif reply["defect"]:
                future.set_exception(RuntimeError(reply["problem"]))
            else:
                future.set_exception(BadInput(reply["problem"], field=reply["field"]))
        code = talk.process.wait()
        with self._lock:
            futures, talk.waiting = list(talk.waiting.values()), {}
            if talk is self._talk:
                self._talk = None
            end(talk.process)
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(RuntimeError(
                    f"The predictor ended while it worked on this (exit code {code}); it starts "
                    "anew with the next question"
                ))  # fmt: skip


class Talk:
    """A conversation with one process: its pipes, and who waits for which answer."""

    listener: threading.Thread

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin, self.stdout = process, process.stdin, process.stdout
        self.waiting: dict[int, Future[dict[str, Any]]] = {}
