"""Answers the pages' questions, one at a time: the far end of `engine.answers`."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TextIO

from engine import look, mistakes
from engine.batch_sizes import find_batch_size
from engine.batchfile import texts_in
from engine.catalog import BadInput, Card, Catalog, chosen, discover
from engine.comparisons import ComparisonPlan
from engine.data import doctor
from engine.data.arrays import Stored
from engine.data.batches import Data
from engine.data.inspection import inspect
from engine.data.options import ImportOptions, Kind
from engine.datasets.imported import Imported
from engine.device import is_out_of_memory
from engine.estimate import counted, estimate, foretell
from engine.explain import Explainer
from engine.explanations.subject import TakenBack
from engine.export import export
from engine.home import Home
from engine.intake import revise
from engine.measuring import measure
from engine.predict import Predictor, content
from engine.preview import preview
from engine.progress import Answer, Told
from engine.range_test import find_rate
from engine.recipe import Choice, Recipe
from engine.searches import SearchPlan, Trial

PATIENCE = 40.0
"""Seconds for a look into files: the questions of other pages wait for it."""
ESTIMATING = 20.0
"""Seconds for the steps that an estimate times: predictions wait for it."""
KEPT = 4
"""Models kept in memory for the next prediction."""
SAID_EVERY = 0.2
"""Seconds between two words on how far an explanation has come."""


@contextmanager
def within(seconds: float, otherwise: str) -> Iterator[None]:
    """BadInput when the block takes longer, where the system can say so: others are waiting."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise BadInput(otherwise)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Desk:
    """What can be asked, a method each."""

    def __init__(self, home: Home, catalog: Catalog) -> None:
        self.home, self.catalog = home, catalog
        self.predictors: dict[int, Predictor] = {}
        self.last: tuple[str, tuple[Card, Data, Stored | None]] | None = None
        self.explainers: dict[int, Explainer] = {}
        self.served: Predictor | None = None
        self.hear: Callable[[str], None] = lambda piece: None
        """Takes a piece of the answer that is being worked on; raises TakenBack when nobody wants
        it any more."""

    def predict(
        self, *, run: int, inputs: list[dict[str, Any]], options: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Answers of the run's best checkpoint so far."""
        return self.predictor(run).answer(inputs, options)

    def together(
        self, *, run: int, inputs: list[dict[str, Any]], options: dict[str, Any] | None = None,
        which: Literal["best", "last"] = "best",
    ) -> dict[str, Any]:  # fmt: skip
        """Answers to many at once, of one run that is served; of none, only its checkpoint."""
        if self.served is None or (self.served.run, self.served.which) != (run, which):
            self.served = Predictor(self.home, run, which)
        results = self.served.together(inputs, options)
        return {"checkpoint": self.served.checkpoint(), "results": results}

    def stream(
        self, *, run: int, given: dict[str, Any], options: dict[str, Any] | None = None
    ) -> Generator[str, None, dict[str, Any]]:
        """One answer, piece by piece."""
        return self.predictor(run).stream(given, options)

    def explain(
        self, *, run: int, given: dict[str, Any], how: str | None = None,
        settings: dict[str, Any] | None = None, target: int | None = None,
        against: int | None = None, other: dict[str, Any] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Why the run answers so to what was given; its pieces are shares of what is done. Without
        `how`, the ways to explain it (`engine.explain.Explainer.choices`)."""
        explainer = self.explainer(run)
        if how is None:
            return explainer.choices(given)
        said = time.perf_counter()

        def say(share: float) -> None:
            nonlocal said
            if time.perf_counter() - said > SAID_EVERY:
                said = time.perf_counter()
                self.hear(f"{share:.3f}")

        return explainer.explain(
            given, how, settings=settings, target=target, against=against, other=other, say=say
        )

    def explainer(self, run: int) -> Explainer:
        """Of the run's predictor, kept as long as that."""
        predictor = self.predictor(run)
        self.explainers = {r: one for r, one in self.explainers.items() if r in self.predictors}
        known = self.explainers.get(run)
        if known is None or known.predictor is not predictor:
            self.explainers[run] = Explainer(predictor, self.home)
        return self.explainers[run]

    def texts(
        self, *, name: str, file: str, column: str | None = None, header: bool | None = None
    ) -> dict[str, Any]:
        """The texts of a file that came in base64."""
        return texts_in(content({"file": file}, "file"), name, column=column, header=header)

    def predictor(self, run: int) -> Predictor:
        """The run's model, kept for the next question."""
        if run not in self.predictors:
            while len(self.predictors) >= KEPT:
                self.predictors.pop(next(iter(self.predictors)))
            self.predictors[run] = Predictor(self.home, run)
        return self.predictors[run]

    def estimate(self, *, recipe: str) -> dict[str, Any]:
        """Size and time of a recipe."""
        checked = Recipe.from_json(recipe).checked(self.catalog)
        with within(ESTIMATING, "It takes too long to try a few steps of this here, so its time "
                                "isn't known; it can be trained all the same"):  # fmt: skip
            return estimate(checked, self.home)

    def rate(self, *, recipe: str) -> Answer:
        """A learning rate for a recipe."""
        checked = Recipe.from_json(recipe).checked(self.catalog)
        return find_rate(checked, self.home)

    def batch_size(self, *, recipe: str) -> Answer:
        """A batch size for a recipe."""
        checked = Recipe.from_json(recipe).checked(self.catalog)
        return find_batch_size(checked, self.home)

    def preview(
        self, *, recipe: str, items: int = 4, draws: int = 3, salt: int = 0
    ) -> dict[str, Any]:
        """What a recipe's augmentation makes of some training items."""
        checked = Recipe.from_json(recipe).checked(self.catalog)
        with within(ESTIMATING, "It takes too long to vary a few items of this to look at; it can "
                                "be trained all the same"):  # fmt: skip
            return preview(checked, self.home, self.catalog, items=items, draws=draws, salt=salt)

    def count(self, *, plan: str) -> dict[str, Any]:
        """A comparison's plan, its labels counted."""
        wanted = ComparisonPlan.from_json(plan)
        return {"plan": counted(wanted, self.home, self.catalog).to_json()}

    def foretell(self, *, plan: str) -> dict[str, Any]:
        """A comparison's plan, its labels counted, and the time that it takes."""
        wanted = ComparisonPlan.from_json(plan)
        with within(PATIENCE, "It takes too long to try a few steps of this here, so its time "
                              "isn't known; it can be started all the same"):  # fmt: skip
            return foretell(wanted, self.home, self.catalog)

    def importance(self, *, plan: str, trials: list[dict[str, Any]]) -> dict[str, Any]:
        """How much each setting of a search mattered, by its trials that went through."""
        from engine.proposals import importance  # Optuna takes a second, and few ask

        known = [
            Trial(one["number"], one["run"], one["state"], one["settings"], one["value"])
            for one in trials
        ]
        return {"importance": importance(SearchPlan.from_json(plan), known)}

    def inspect(
        self, *, paths: list[str], kind: Kind | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        """What files seem to hold, before they are brought in."""
        checked = ImportOptions.of(options)
        with within(PATIENCE, "Looking into the files took too long: they are damaged, or made to "
                              "be slow. Import them to learn why"):  # fmt: skip
            return inspect([Path(path) for path in paths], kind, checked).model_dump(mode="json")

    def details(self, *, data: dict[str, Any], count: int = 24) -> dict[str, Any]:
        """All that a dataset's page shows."""
        card, opened, stored = self.opened(data)
        return look.details(opened, card, self.catalog, stored, count=count)

    def items(
        self, *, data: dict[str, Any], split: str | None = None, label: int | None = None,
        finding: str | None = None, offset: int = 0, count: int = 24,
    ) -> dict[str, Any]:  # fmt: skip
        """Some items of a dataset: of a split, of a class, those that a finding is about."""
        _, opened, stored = self.opened(data)
        rows = None
        if finding is not None:
            known = doctor.kept(stored) if stored else []
            rows = next((one.rows for one in known if one.code == finding), ())
        chosen = look.chosen_rows(opened, split=split, label=label, rows=rows)
        return look.items(opened, stored, chosen, offset=offset, count=count)

    def sound(self, *, data: dict[str, Any], row: int) -> dict[str, Any]:
        """A recording to listen to."""
        return look.sound(self.opened(data)[1].items, row)

    def given(self, *, data: dict[str, Any], row: int) -> dict[str, Any]:
        """An item whole, to try a model on."""
        return dict(look.given(self.opened(data)[1].items, row))

    def change(
        self, *, dataset: int, version: int, change: Any = None, finding: str | None = None
    ) -> dict[str, Any]:
        """Make a dataset's next version, by a change or by a finding's mend."""
        return revise(self.home, dataset, version, change, finding=finding)

    def judged(self, **asked: Any) -> Answer:
        """Items of a split as the run's best weights tell them (`engine.mistakes.judged`)."""
        return mistakes.judged(self.home, self.opened_once, **asked)

    def calibration(self, *, run: int) -> Answer:
        """How sure a run's answers are, and how right."""
        return mistakes.calibration(self.home, run)

    def temperature(self, *, run: int, on: bool) -> Answer:
        """Use a fitted temperature when the run is asked, or no longer."""
        return mistakes.temperature(self.home, run, on=on)

    def apart(self, **asked: Any) -> Answer:
        """What a threshold on a class's probability costs."""
        return mistakes.apart(self.home, **asked)

    def suspects(self, **asked: Any) -> Answer:
        """Items of a run's data whose labels look wrong."""
        return mistakes.suspects(self.home, self.opened_once, **asked)

    def export(self, *, run: int, name: str, portrait: dict[str, Any]) -> Answer:
        """A run's model in a form to be taken away (`engine.export.export`)."""
        return export(Predictor(self.home, run), self.catalog, name, portrait=portrait)

    def approve(self, *, run: int, rows: list[int], back: bool = False) -> dict[str, Any]:
        """Keep the labels of suspected items, or suspect them again."""
        return {"kept": mistakes.approve(self.home, run, rows, back=back)}

    def measure(self, *, runs: list[int]) -> Answer:
        """Size, latency and throughput of runs, side by side."""
        return measure(self.home, runs)

    def opened_once(self, data: dict[str, Any]) -> tuple[Card, Data, Stored | None]:
        """As `opened`, kept for the next question: people turn pages."""
        key = json.dumps([data, str(self.home.root)], sort_keys=True)
        if self.last is None or self.last[0] != key:
            self.last = key, self.opened(data)
        return self.last[1]

    def opened(self, data: dict[str, Any]) -> tuple[Card, Data, Stored | None]:
        """A dataset's card, its items, and its folder where a person brought it in."""
        choice = Choice.model_validate(data)
        card = self.catalog.card("data", choice.name)
        dataset = chosen("data", card.name)(**card.check(choice.settings))
        if not isinstance(dataset, Imported):
            return card, dataset.open(self.home), None
        stored = dataset.stored(self.home)
        return card, dataset.data(stored), stored


class Inbox:
    """The questions on standard input, read beside the work so that one can be taken back."""

    def __init__(self, lines: TextIO) -> None:
        self.questions: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.unwanted: set[int] = set()
        threading.Thread(target=self._read, args=(lines,), name="inbox", daemon=True).start()

    def _read(self, lines: TextIO) -> None:
        for line in lines:
            asked = json.loads(line)
            if "stop" in asked:
                self.unwanted.add(asked["stop"])
            else:
                self.questions.put(asked)
        self.questions.put(None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.questions.get, None)


def in_pieces(
    pieces: Generator[str | Told, None, dict[str, Any]], out: TextIO, unwanted: Callable[[], bool]
) -> dict[str, Any]:
    """Write each piece as it comes, until nobody wants more; what is returned in the end.

    A piece is a text, or says how far the answer is.
    """
    while True:
        if unwanted():
            pieces.close()
            return {}
        try:
            piece = next(pieces)
        except StopIteration as end:
            return dict(end.value)
        told = piece if isinstance(piece, str) else json.dumps(piece)
        out.write(json.dumps({"part": told}) + "\n")


def heard(out: TextIO, unwanted: Callable[[], bool], piece: str) -> None:
    """Write a piece of an answer; TakenBack when nobody wants more."""
    if unwanted():
        raise TakenBack
    out.write(json.dumps({"part": piece}) + "\n")


def serve(home: Home) -> None:
    """Read questions from standard input until it ends; write answers to standard output."""
    # Whatever a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    desk = Desk(home, discover())
    known: dict[str, Callable[..., Any]] = {
        "predict": desk.predict, "together": desk.together, "stream": desk.stream,
        "explain": desk.explain,
        "estimate": desk.estimate, "rate": desk.rate, "batch_size": desk.batch_size,
        "preview": desk.preview, "count": desk.count,
        "foretell": desk.foretell, "importance": desk.importance,
        "inspect": desk.inspect, "details": desk.details, "items": desk.items,
        "sound": desk.sound, "given": desk.given, "change": desk.change,
        "judged": desk.judged, "calibration": desk.calibration, "apart": desk.apart,
        "export": desk.export,
        "temperature": desk.temperature, "suspects": desk.suspects, "approve": desk.approve,
        "measure": desk.measure,
    }  # fmt: skip
    inbox = Inbox(sys.stdin)
    for asked in inbox:
        question, number = asked.pop("question"), asked.pop("number")
        reply: dict[str, Any]
        unwanted = partial(inbox.unwanted.__contains__, number)
        desk.hear = partial(heard, answers, unwanted)
        try:
            answer = known[question](**asked)
            if isinstance(answer, Generator):
                answer = in_pieces(answer, answers, unwanted)
            reply = {"answer": answer}
        except TakenBack:
            reply = {"answer": {}}
        except BadInput as problem:
            reply = {"problem": str(problem), "field": problem.field, "defect": False}
        except Exception as problem:
            reply = {"problem": f"This could not be computed: {type(problem).__name__}: {problem}",
                     "field": None, "defect": True}  # fmt: skip
            if is_out_of_memory(problem):
                reply = {"problem": "Out of memory: take a smaller batch size or model",
                         "field": "method.batch_size", "defect": False}  # fmt: skip
            traceback.print_exc()
        inbox.unwanted.discard(number)
        answers.write(json.dumps(reply) + "\n")
