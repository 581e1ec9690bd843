"""Histories to look at: runs in every state, and one that trains while a test watches."""

from __future__ import annotations

import base64
import math
import os
import random
import struct
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.recipe import Choice, Recipe
from storage.history import History
from storage.values import Run

CLASSES = [str(digit) for digit in range(10)]
PID, PID_STARTED = os.getpid(), 1.0e9


@dataclass(frozen=True)
class Sample:
    name: str
    kind: str
    step: int
    epoch: float
    data: dict[str, Any]


@dataclass(frozen=True)
class Notice:
    text: str
    level: str = "info"


def recipe(**settings: Any) -> Recipe:
    """A recipe in which only these settings of the method and the model are said."""
    method = {"epochs": 8, "learning_rate": 0.001, **settings}
    return Recipe(
        task=Choice(name="Classification"),
        data=Choice(name="Mnist5000"),
        model=Choice(name="ConvNet", settings={"dropout": settings.pop("dropout", 0.0)}),
        method=Choice(
            name="Training", settings={k: v for k, v in method.items() if k != "dropout"}
        ),
    )


def add(
    history: History, name: str = "first", *, given: Recipe | None = None, **kwargs: Any
) -> Run:
    """A queued run."""
    made = given or recipe()
    return history.add_run(
        made.to_json(), name=name, task=made.task.name, model=made.model.name,
        data=made.data.name, method=made.method.name, **kwargs,
    )  # fmt: skip


def start(history: History, run: Run, *, pid: int = PID, device: str = "cpu") -> Run:
    """The run, claimed by this process."""
    claimed = history.claim(run.id, device=device, pid=pid, pid_started=PID_STARTED + pid)
    assert claimed is not None
    return claimed


def loss_at(share: float, noise: random.Random, floor: float = 0.1) -> float:
    """A loss as runs have them, `share` of the way."""
    return (floor + (2.3 - floor) * math.exp(-6 * share)) * (1 + noise.gauss(0, 0.06))


def train(
    history: History, run: Run, *, first: int = 1, last: int = 320, steps: int = 320,
    seed: int = 0, floor: float = 0.1, nan_at: Sequence[int] = (),
) -> None:  # fmt: skip
    """Record the steps `first` to `last` as a worker does, validation after every 40th."""
    noise = random.Random(seed + first)
    points = []
    for step in range(first, last + 1):
        epoch, seconds = step / 40, step * 0.05
        loss = math.nan if step in nan_at else loss_at(step / steps, noise, floor)
        points.append(("train/loss", step, epoch, seconds, loss))
        points.append(("learning_rate", step, epoch, seconds, 1e-3 * math.sin(step / steps * 3.1)))
        if step % 40 == 0:
            loss = loss_at(step / steps, noise, floor * 1.3)
            accuracy = 1 - 0.9 * math.exp(-5 * step / steps) - floor / 6
            points.append(("validation/loss", step, epoch, seconds, loss))
            points.append(("validation/accuracy", step, epoch, seconds, accuracy))
            points.append(("validation/macro_f1", step, epoch, seconds, accuracy - 0.01))
    left = (steps - last) * 0.05
    history.record(run.id, points=points, progress={
        "step": last, "steps": steps, "epoch": last / 40, "epochs": math.ceil(steps / 40),
        "seconds": last * 0.05, "remaining": left, "rate": 5120.0, "learning_rate": 1e-3,
        "memory": 412_000_000,
    })  # fmt: skip


def confusion(seed: int = 0, classes: Sequence[str] = CLASSES) -> dict[str, Any]:
    """A matrix of a classifier that is mostly right."""
    noise, size = random.Random(seed), len(classes)
    counts = [[0] * size for _ in range(size)]
    for true in range(size):
        for _ in range(50):
            guess = true if noise.random() < 0.95 else noise.randrange(size)
            counts[true][guess] += 1
    return {"classes": list(classes), "counts": counts}


def pixels(seed: int, size: int = 28) -> str:
    """A grey PNG as base64: a ring, blurred more or less."""
    noise = random.Random(seed)
    cx, cy, radius = noise.uniform(11, 17), noise.uniform(11, 17), noise.uniform(5, 9)
    rows = b""
    for y in range(size):
        line = [
            max(0, 255 - int(55 * abs(math.hypot(x - cx, y - cy) - radius))) for x in range(size)
        ]
        rows += b"\0" + bytes(line)

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) \
        + chunk(b"IEND", b"")  # fmt: skip
    return base64.b64encode(png).decode()


def reconstructions(step: int) -> list[Sample]:
    """What an autoencoder shows after an epoch."""
    noise = random.Random(step)
    labels = [i % 10 for i in range(300)]
    rows = [
        {"label": "original", "images": [pixels(i) for i in range(10)]},
        {"label": "reconstruction", "images": [pixels(i) for i in range(10)]},
    ]
    spread = [(math.cos(c) * 4, math.sin(c) * 4) for c in labels]
    return [
        Sample("reconstructions", "images", step, step / 40, {"rows": rows, "shape": [1, 28, 28]}),
        Sample("codes", "scatter", step, step / 40, {
            "x": [x + noise.gauss(0, 0.7) for x, _ in spread],
            "y": [y + noise.gauss(0, 0.7) for _, y in spread],
            "label": labels, "classes": CLASSES,
        }),
    ]  # fmt: skip


def measures(accuracy: float = 0.974, seed: int = 0) -> dict[str, Any]:
    """What a classifier says at its end."""
    noise = random.Random(seed)
    return {
        "test/loss": 0.0911, "test/accuracy": accuracy, "test/macro_f1": accuracy - 0.002,
        "validation/loss": 0.0874, "validation/accuracy": accuracy + 0.003,
        "validation/macro_f1": accuracy + 0.001,
        "best_epoch": 7, "items_per_second": 5120.4, "peak_memory": 412_000_000,
        "baselines": {"always the most frequent class": {"accuracy": 0.112, "macro_f1": 0.0201}},
        "per_class": [
            {"class": name, "precision": 0.96 + noise.random() / 30,
             "recall": 0.96 + noise.random() / 30, "f1": 0.96 + noise.random() / 30, "items": 50}
            for name in CLASSES
        ],
        "confusion": confusion(seed),
    }  # fmt: skip


def finished(history: History, name: str = "finished", *, seed: int = 0, **kwargs: Any) -> Run:
    """A classifier that was trained to the end."""
    run = start(history, add(history, name, **kwargs))
    train(history, run, seed=seed)
    samples = [
        Sample("confusion", "confusion", step, step / 40, confusion(seed + step))
        for step in range(40, 321, 40)
    ]
    history.record(run.id, samples=samples, saved=(320, True), notices=[
        Notice("Training on CPU in bfloat16, which was 2.4 times as fast as float32 in a test"),
    ])  # fmt: skip
    history.end(
        run.id, state="finished", reason="All 8 epochs are done",
        metrics=measures(0.96 + random.Random(seed).random() / 50, seed),
    )  # fmt: skip
    return history.run(run.id)


def ready_at_once(history: History, name: str = "at once", **measured: float) -> Run:
    """One that computed a head and took no step; on typed labels nothing could be measured."""
    given = recipe()
    typed = Choice(name="TypedTextLabels", settings={"labels": "cat\ndog: it barks"})
    method = Choice(name="ZeroShot", settings={"template": "{}", "wording": None})
    given = given.model_copy(update={"data": typed, "method": method, "start": "published"})
    run = start(history, add(history, name, given=given))
    points = [(name, 0, 0.0, 0.2, value) for name, value in measured.items()]
    history.record(run.id, points=points, saved=(0, True), notices=[
        Notice("Zero-shot by all-MiniLM-L6-v2. The classes are read as: cat; it barks"),
    ])  # fmt: skip
    history.end(run.id, state="finished", reason="Ready: nothing had to be trained", metrics={
        **measured, "larger_is_better": True, "best_epoch": 0, "best_step": 0, "seconds": 0.2,
        "items_per_second": 0.0, "peak_memory": 412_000_000, "parameters": 22_565_000,
        "numerics": "float32", "start": {"run": None, "source": "all-MiniLM-L6-v2", "loaded": [],
                                         "new": [], "left": []},
    })  # fmt: skip
    return history.run(run.id)


class Worker:
    """A thread that trains a run as fast as a real one does, until told to stop."""

    def __init__(self, history: History, run: Run, *, steps: int = 4000, rate: int = 40) -> None:
        self.history, self.run, self.steps, self.rate = history, run, steps, rate
        self.step = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        start(self.history, self.run)
        while not self._stop.is_set() and self.step < self.steps:
            some = max(1, self.rate // 4)
            train(self.history, self.run, first=self.step + 1, last=self.step + some,
                  steps=self.steps)  # fmt: skip
            self.step += some
            wish = self.history.beat(self.run.id, pid=PID)
            if wish == "save":
                self.history.record(self.run.id, saved=(self.step, False))
            elif wish is not None:
                state = {"pause": "paused", "stop": "stopped", "cancel": "stopped"}[wish]
                self.history.record(self.run.id, saved=(self.step, False))
                self.history.end(self.run.id, state=state, reason=f"You asked to {wish} it")  # type: ignore[arg-type]
                return
            time.sleep(0.25)
