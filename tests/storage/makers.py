"""Runs in the states that tests need."""

from __future__ import annotations

from typing import Any

from storage.history import History
from storage.values import Run

CARDS = {"task": "Classification", "model": "ConvNet", "data": "MNIST", "method": "Supervised"}
PID, PID_STARTED = 4711, 1_700_000_000.25


def add(history: History, name: str = "A run", **given: Any) -> Run:
    """A queued run."""
    return history.add_run("{}", name=name, **CARDS | given)


def start(history: History, *, device: str = "cpu", pid: int = PID, **given: Any) -> Run:
    """A run that a process prepares."""
    run = history.claim(add(history, **given).id, device=device, pid=pid, pid_started=PID_STARTED)
    assert run, "the device was free"
    return run


def finish(history: History, metrics: dict[str, Any] | None = None, **given: Any) -> Run:
    """A finished run."""
    run = start(history, **given)
    history.end(run.id, state="finished", reason="All epochs done", metrics=metrics)
    return history.run(run.id)


def progress(step: int = 5) -> dict[str, Any]:
    return {
        "step": step,
        "steps": 100,
        "epoch": step / 10,
        "epochs": 10,
        "seconds": step * 0.1,
        "remaining": 9.5,
        "rate": 1280.0,
        "learning_rate": 1e-3,
        "memory": 3 << 30,
    }


def line(series: str, steps: range, value: float | None = None) -> list[Any]:
    """Points whose value is their step, unless one is given."""
    return [(series, n, n / 10, n * 0.1, float(n) if value is None else value) for n in steps]
