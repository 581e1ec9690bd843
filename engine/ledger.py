"""What the engine asks of a history. The storage room has one; the engine never imports it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from engine.events import Notice, Sample

Ending = Literal["paused", "finished", "stopped", "failed", "interrupted"]


class RunEntry(Protocol):
    """A run as the engine needs it."""

    @property
    def id(self) -> int: ...
    @property
    def recipe(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def device(self) -> str | None: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def pid_started(self) -> float | None: ...
    @property
    def heartbeat(self) -> float | None: ...
    @property
    def step(self) -> int: ...
    @property
    def saved_step(self) -> int | None: ...
    @property
    def remaining(self) -> float | None: ...


class DatasetEntry(Protocol):
    """A dataset that is being brought in, as the engine needs it."""

    @property
    def created(self) -> float: ...

    @property
    def id(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def pid_started(self) -> float | None: ...


class Ledger(Protocol):
    """The only bus between the processes: each call is one short transaction."""

    def run(self, id: int) -> RunEntry: ...
    def queue(self) -> Sequence[RunEntry]: ...
    def active(self) -> Sequence[RunEntry]: ...
    def claim(self, id: int, *, device: str, pid: int, pid_started: float) -> RunEntry | None: ...
    def beat(self, id: int, *, pid: int) -> str | None: ...
    def rewind(self, id: int, step: int) -> None: ...
    def record(
        self,
        id: int,
        *,
        points: Iterable[tuple[str, int, float, float, float]] = (),
        progress: Mapping[str, Any] | None = None,
        samples: Iterable[Sample] = (),
        notices: Iterable[Notice] = (),
        saved: tuple[int, bool] | None = None,
        pid: int | None = None,
    ) -> None: ...
    def end(
        self,
        id: int,
        *,
        state: Ending,
        reason: str,
        metrics: Mapping[str, Any] | None = None,
        kept: bool = True,
        pid: int | None = None,
    ) -> None: ...
    def interrupt(self, id: int, reason: str, *, pid: int | None = None) -> bool: ...

    def datasets(self) -> Sequence[DatasetEntry]: ...
    def import_owner(self, id: int, *, pid: int, pid_started: float) -> None: ...
    def import_progress(self, id: int, done: int, total: int, text: str) -> None: ...
    def dataset_ready(
        self,
        id: int,
        *,
        card: str,
        provides: Iterable[str],
        meta: Mapping[str, Any],
        bytes: int,
        fingerprint: str,
    ) -> object: ...
    def import_failed(self, id: int, reason: str) -> None: ...
