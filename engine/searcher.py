"""Carries hyperparameter searches on: gives trials up that aren't worth finishing, and adds the
next ones while there is room."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import filelock

from engine.catalog import BadInput, Catalog
from engine.comparisons import kind_of
from engine.home import Home
from engine.proposals import hopeless, propose
from engine.searches import (
    SEARCH,
    UNDER_WAY,
    Measured,
    RunOf,
    SearchPlan,
    Trial,
    at_once,
    given_up,
    trials_of,
)

LOOK_EVERY = 0.5
"""Seconds between two looks at the trials."""
TRIES = 2
"""How often a trial whose process was killed is queued again."""
PRUNED = "pruned"
"""The tag of a run that was given up."""


class SearchEntry(Protocol):
    """A search as its record has it."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def plan(self) -> str: ...
    @property
    def open(self) -> bool: ...


class TrialRun(RunOf, Protocol):
    """A search's run."""

    @property
    def tags(self) -> Sequence[str]: ...


class Book(Protocol):
    """What is asked of a history."""

    def comparison(self, id: int) -> SearchEntry: ...
    def comparisons(self, *, open: bool = False) -> Sequence[SearchEntry]: ...
    def open_comparison(self, id: int, open: bool) -> None: ...
    def runs_of(self, comparison: int) -> Sequence[TrialRun]: ...
    def curves(
        self, id: int, *, since: int = -1, series: Iterable[str] | None = None
    ) -> Mapping[str, Measured]: ...
    def add_run(
        self, recipe: str, *, name: str, task: str, model: str, data: str, method: str,
        parent: int | None = None, dataset: int | None = None, comparison: int | None = None,
    ) -> TrialRun: ...  # fmt: skip
    def requeue(self, id: int, *, first: bool = True) -> TrialRun: ...
    def wish(self, id: int, wish: Any) -> None: ...
    def tag(self, id: int, tags: Iterable[str]) -> None: ...


class Searcher:
    """The searches of one home, of which a process carries each on at a time."""

    def __init__(
        self, book: Book, home: Home, catalog: Catalog, *,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:  # fmt: skip
        self.book, self.home, self.catalog, self.say = book, home, catalog, say
        self.known: dict[int, Measured] = {}
        """The curves of runs that are over."""
        self.seen: dict[int, dict[int, float]] = {}
        """How far each running trial was when it was last looked at."""
        self.tries: dict[int, int] = {}
        self.locks: dict[int, filelock.BaseFileLock] = {}

    def look(self, only: int | None = None) -> bool:
        """One round over the open searches, or over one of them; whether there are any."""
        for one in self.book.comparisons(open=True):
            if kind_of(one.plan) != SEARCH or only not in (None, one.id):
                continue
            if not self._mine(one.id):
                continue
            try:
                self._carry_on(one)
            except (BadInput, LookupError, ValueError) as problem:
                # Its dataset or a card is gone: no trial of it can be begun any more.
                self.say(f"Search {one.id} can't go on: {problem}")
                self.book.open_comparison(one.id, False)
        still = {one.id for one in self.book.comparisons(open=True)}
        for number in [number for number in self.locks if number not in still]:
            self.locks.pop(number).release()
        return bool(still)

    def _mine(self, number: int) -> bool:
        """Whether no other process carries it on; a lock ends with its process, however that
        does."""
        if number not in self.locks:
            lock = filelock.FileLock(self.home.tmp / f"search-{number}.lock")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                return False
            self.locks[number] = lock
        return True

    def close(self) -> None:
        """Leave the searches to others."""
        for lock in self.locks.values():
            lock.release()
        self.locks.clear()

    def _carry_on(self, one: SearchEntry) -> None:
        plan = SearchPlan.from_json(one.plan)
        runs = self.book.runs_of(one.id)
        for run in runs:
            if run.state == "interrupted" and self.tries.get(run.id, 0) < TRIES:
                self.tries[run.id] = self.tries.get(run.id, 0) + 1
                self.book.requeue(run.id)
        runs = self.book.runs_of(one.id)
        trials = trials_of(plan, runs, self.curves(plan, runs))
        self._give_up(plan, runs, trials)
        under_way = sum(run.state in UNDER_WAY for run in runs)
        room = at_once(plan, [device.id for device in self.catalog.devices]) - under_way
        if given_up(trials):
            self.say(f"Search {one.id} stops: its first trials have all failed")
            self.book.open_comparison(one.id, False)
            return
        while room > 0 and len(trials) < plan.trials:
            trials.append(self._begin(one, plan, trials))
            room, under_way = room - 1, under_way + 1
        if not self.book.comparison(one.id).open:
            # Somebody left it between the first line and here: what was queued since isn't wanted.
            for run in self.book.runs_of(one.id):
                if run.state == "queued":
                    self.book.wish(run.id, "pause")
        elif not under_way:
            self.book.open_comparison(one.id, False)

    def curves(self, plan: SearchPlan, runs: Iterable[RunOf]) -> dict[int, Measured]:
        """The curves of the plan's metric, by run; those of runs that are over are kept."""
        found: dict[int, Measured] = {}
        for run in runs:
            curve = self.known.get(run.id)
            if curve is None:
                curve = self.book.curves(run.id, series=[plan.series]).get(plan.series)
            if curve is not None:
                found[run.id] = curve
                if run.state in ("finished", "failed"):
                    self.known[run.id] = curve
        return found

    def _give_up(self, plan: SearchPlan, runs: Sequence[TrialRun], trials: Sequence[Trial]) -> None:
        """Stop what isn't worth finishing, where there is news of a running trial."""
        running = {one.run: one.ticks for one in trials if one.state == "running" and one.ticks}
        if running == self.seen:
            return
        self.seen = running
        for trial in hopeless(plan, trials):
            run = next(run for run in runs if run.id == trial.run)
            if PRUNED in run.tags:
                continue
            self.book.tag(run.id, [*run.tags, PRUNED])
            self.book.wish(run.id, "stop")
            self.say(f"Trial {trial.number} (run {run.id}) is given up at {trial.value}")

    def _begin(self, one: SearchEntry, plan: SearchPlan, trials: Sequence[Trial]) -> Trial:
        """Queue the next trial."""
        number, settings = len(trials), propose(plan, trials)
        recipe = plan.recipe(settings, self.catalog)
        imported = recipe.data.settings.get("id")
        run = self.book.add_run(
            recipe.to_json(), name=f"{one.name} · trial {number}", comparison=one.id,
            parent=recipe.parent, dataset=imported if isinstance(imported, int) else None,
            task=recipe.task.name, model=recipe.model.name, data=recipe.data.name,
            method=recipe.method.name,
        )  # fmt: skip
        return Trial(number, run.id, "waiting", settings)


def mind(searcher: Searcher, over: threading.Event, *, only: int | None = None) -> None:
    """Look again and again until it is over, or until no search is open any more."""
    while not over.is_set():
        try:
            if not searcher.look(only):
                return
        except Exception:  # a locked database, say: the next look may succeed
            traceback.print_exc()
        over.wait(LOOK_EVERY)
