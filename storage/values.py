"""What the history gives out: frozen values, never rows. Times are seconds since 1970, UTC."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal[
    "queued", "preparing", "running", "paused", "finished", "stopped", "failed", "interrupted"
]
Wish = Literal["stop", "cancel", "pause", "save"]

ACTIVE: tuple[State, ...] = ("preparing", "running")
"""A process works on the run and holds its device."""

RESUMABLE: tuple[State, ...] = ("paused", "interrupted", "failed", "stopped")
"""The run can be queued again."""


class NoSuchRun(LookupError):
    """No run has that id."""


class NoSuchComparison(LookupError):
    """No comparison has that id."""


class NoSuchDataset(LookupError):
    """No imported dataset has that id."""


class BadState(ValueError):
    """What was asked doesn't go with the state that the run or dataset is in."""


class LostRun(LookupError):
    """The run no longer belongs to the process that speaks for it: that process should end."""


class UnusableDatabase(RuntimeError):
    """The database can't be opened by this version of the program; the message says why."""


class NewerDatabase(UnusableDatabase):
    """The database was written by a newer version of the program."""


class Unavailable(OSError):
    """The database couldn't be read or written just now: a full disk, a server that is down."""


class ReadOnly(RuntimeError):
    """The history was opened read-only, and something was to be written."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training run, as the history knows it."""

    id: int
    name: str
    recipe: str
    """JSON: all that is needed to repeat the run."""
    state: State
    reason: str
    """Why the run is in its state, once it has ended; else empty."""
    wish: Wish | None
    """What a person asked of the running process and it hasn't answered yet."""
    position: int | None
    """Orders the queue, lowest first; None when not queued."""
    device: str | None
    pid: int | None
    """With `pid_started` the process that works on the run; None when none does."""
    pid_started: float | None
    heartbeat: float | None
    created: float
    started: float | None
    finished: float | None
    parent: int | None
    """The run whose weights this one started from."""
    dataset: int | None
    """The imported dataset; None for a built-in one."""
    comparison: int | None
    """The comparison that it is a part of."""
    task: str
    model: str
    data: str
    method: str
    tags: tuple[str, ...]
    notes: str
    step: int
    steps: int
    epoch: float
    epochs: int
    seconds: float
    """Training time so far, pauses left out."""
    remaining: float | None
    """Expected seconds to the end."""
    rate: float | None
    """Items trained on per second."""
    learning_rate: float | None
    memory: int
    """Bytes, the highest so far."""
    saved_step: int | None
    """The step of the newest checkpoint."""
    best_step: int | None
    """The step of the best checkpoint."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Flat numbers (``test/accuracy``) and small tables, known when the run has ended."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A plan of many runs; how far it is, its runs tell."""

    id: int
    name: str
    plan: str
    """JSON: all that is needed to make its runs."""
    created: float
    open: bool
    """Runs are still to be added to it, as earlier ones end."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A measured series: four arrays of one length, in the order of `steps`."""

    steps: array[int]
    """int64"""
    epochs: array[float]
    """float64, like the rest: passes over the training data."""
    seconds: array[float]
    """Training time, pauses left out."""
    values: array[float]
    """NaN and the infinities are kept as they were measured."""

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class SampleRow:
    """Something a run showed; `data` is JSON whose shape `kind` decides."""

    name: str
    kind: str
    step: int
    epoch: float
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A sentence that a run said."""

    id: int
    time: float
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """An imported dataset, from the first byte of its import on."""

    id: int
    name: str
    kind: str
    state: Literal["importing", "ready", "failed"]
    reason: str
    """Why the import failed; else empty."""
    done: int
    total: int
    """Of the import, in whatever it counts; 0 when not known yet."""
    text: str
    """What the import is doing."""
    created: float
    card: str | None
    """The catalogue's card that reads it, once it is ready."""
    provides: tuple[str, ...]
    meta: dict[str, Any]
    """Classes, counts, shape: whatever the card wants to know without opening the files."""
    bytes: int
    """Size on disk."""
    fingerprint: str
    pid: int | None
    """With `pid_started` the process that imports it; None when none does."""
    pid_started: float | None
    source: str
    """Where it came from: the name of the file that was imported."""
