"""The far end of a run: carries it out in a process of its own and writes down what it says."""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, cast

from engine import checkpoint, session
from engine.events import Event, Finished, Notice, Point, Progress, Sample, Saved
from engine.home import Home
from engine.ledger import Ledger, RunEntry
from engine.loop import Wish
from engine.processes import me
from engine.recipe import Recipe

PATIENCE = 600.0
"""Seconds for which the end of a run is written again and again."""
TICK = 0.25
"""Seconds between two writes: a commit for each point would cost 60 % of a small step."""


class Recorder:
    """Takes events from the training thread at once, and writes them from a thread of its own.

    The same thread keeps the heartbeat and fetches wishes, so that the loop reads a wish from
    memory between two steps.
    """

    def __init__(self, ledger: Ledger, number: int, pid: int) -> None:
        self.ledger, self.number, self.pid = ledger, number, pid
        self.events: deque[Event] = deque()
        self.lost: Exception | None = None
        self._wish: Wish | None = None
        self._wake = threading.Event()
        self._closing = False
        self._said_first = False
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def add(self, event: Event) -> None:
        self.events.append(event)
        if not self._said_first and isinstance(event, Progress):
            self._said_first = True  # a person waits for the first point: don't wait for the tick
            self._wake.set()

    def wish(self) -> Wish | None:
        """What the person wants, once. Raises what says that this run is another worker's now."""
        if self.lost is not None:
            raise self.lost
        wish, self._wish = self._wish, None
        return wish

    def ask(self, wish: Wish) -> None:
        """A wish that came another way: a signal."""
        self._wish = wish

    def close(self) -> None:
        """Write what is left."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        if self.lost is not None:
            raise self.lost
        self._flush()

    def _write(self) -> None:
        while not self._closing:
            try:
                if wish := self.ledger.beat(self.number, pid=self.pid):
                    self._wish = cast(Wish, wish)
                self._flush()
            except LookupError as lost:  # deleted, or claimed by another worker
                self.lost = lost
                return
            except Exception:
                # A busy or full database must not end the training: what wasn't written stays.
                traceback.print_exc()
            self._wake.wait(TICK)
            self._wake.clear()

    def _flush(self) -> None:
        while self.events:
            taken: list[Event] = []
            # A transaction holds one checkpoint: the best may be another than the last.
            while self.events and not (taken and isinstance(taken[-1], Saved)):
                taken.append(self.events.popleft())
            try:
                self.ledger.record(self.number, pid=self.pid, **rows(taken))
            except Exception:
                self.events.extendleft(reversed(taken))
                raise


def rows(events: list[Event]) -> dict[str, Any]:
    """Events as the plain values that a history takes."""
    taken: dict[str, Any] = {"points": [], "samples": [], "notices": []}
    for event in events:
        match event:
            case Point():
                taken["points"].append(
                    (event.series, event.step, event.epoch, event.seconds, event.value)
                )
            case Progress():
                taken["progress"] = asdict(event)
            case Sample():
                taken["samples"].append(event)
            case Notice():
                taken["notices"].append(event)
            case Saved():
                taken["saved"] = (event.step, event.best)
    return taken


def claim(ledger: Ledger, number: int, device: str) -> RunEntry | None:
    """Take the run for this process; None when the device or the run is taken."""
    pid, started = me()
    return ledger.claim(number, device=device, pid=pid, pid_started=started)


def work(
    ledger: Ledger,
    home: Home,
    run: RunEntry,
    *,
    show: Callable[[Event], None] = lambda event: None,
) -> Finished:
    """Carry out a run that this process has claimed, from its last checkpoint if it has one.

    Every event also goes to `show`. Until it is over, a signal to terminate pauses the run. Raises
    LookupError when the run was deleted or is another worker's.
    """
    recipe = Recipe.from_json(run.recipe)
    saved = checkpoint.entries(home.checkpoints(run.id)).get("last")
    ledger.rewind(run.id, saved.step if saved else -1)
    recorder = Recorder(ledger, run.id, me()[0])
    if saved is None and run.saved_step:
        recorder.add(Notice("Its checkpoint is gone: it starts anew", "warning"))
    with heeding(lambda: recorder.ask("pause")):
        return _carry_out(ledger, home, run, recipe, saved is not None, recorder, show)


def _carry_out(
    ledger: Ledger, home: Home, run: RunEntry, recipe: Recipe, resume: bool, recorder: Recorder,
    show: Callable[[Event], None],
) -> Finished:  # fmt: skip
    ended = Finished("failed", "The run ended without saying why")
    try:
        for event in session.run(
            recipe, home, run.id, device=run.device, resume=resume,
            wishes=recorder.wish,
        ):  # fmt: skip
            recorder.add(event)
            show(event)
            if isinstance(event, Finished):
                ended = event
    except LookupError:
        if recorder.lost is not None:
            raise
        ended = defect()
    except Exception:
        ended = defect()
    kept = bool(checkpoint.entries(home.checkpoints(run.id)))
    insist(recorder.close)
    insist(lambda: ledger.end(
        run.id, state=ended.state, reason=ended.reason, metrics=ended.metrics, kept=kept,
        pid=recorder.pid,
    ))  # fmt: skip
    return ended


@contextmanager
def heeding(ask: Callable[[], None]) -> Iterator[None]:
    """A signal to terminate only asks, until the block ends; signals come to the main thread."""
    heard = threading.current_thread() is threading.main_thread()
    before = {
        number: signal.signal(number, lambda *_: ask())
        for name in ("SIGTERM", "SIGINT", "SIGBREAK")
        if heard and (number := getattr(signal, name, None)) is not None
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def insist(write: Callable[[], None]) -> None:
    """Write, and try again for a while if the disk is full or the database busy (OSError).

    The end of a run is worth waiting for: without it nobody knows why it ended.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return write()
        except OSError:
            if time.monotonic() > deadline:
                raise
            traceback.print_exc()
            time.sleep(2)


def defect() -> Finished:
    """The end of a run by an error in the program itself; the traceback goes to the log."""
    text = traceback.format_exc()
    print(text, file=sys.stderr, flush=True)  # noqa: T201, the log
    return Finished("failed", f"The program failed: {text.strip().splitlines()[-1]}. "
                              "The log has the details.")  # fmt: skip
