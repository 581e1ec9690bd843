"""Comparisons: a plan of runs that differ in one thing and in their seeds, how they are queued and
gone on with, and whether pretraining helps: runs that differ in their starts and labels.

Only arithmetic and choices, nothing of PyTorch: the pages and the command line share it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import shlex
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import Field, ValidationError

from engine.catalog import KINDS, BadInput, Card, Catalog, Frozen, Kind, Value
from engine.recipe import PUBLISHED, Amount, Choice, Recipe, compose, fill, written

AMOUNTS = ("1%", "3%", "10%", "30%", "100%")
"""Of the training labels, where nobody says otherwise."""
SEEDS = 3
LOOKS = 20
"""Looks at the validation split in each run: the best of as many is kept, whatever an epoch is."""
MOST_STEPS = 10_000
"""Of each run, where nobody says how many: more are for those who ask."""
MOST_RUNS = 1000

Start = int | str | None

STARTS = "starts"
"""What a comparison is of whose plan doesn't say it."""


def kind_of(plan: str) -> str:
    """What a kept plan compares: `STARTS`, or what else it says."""
    said = json.loads(plan).get("kind", STARTS)
    assert isinstance(said, str)
    return said


# --- the plan -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the plan."""

    start: Start
    amount: str
    seed: int


class ComparisonPlan(Frozen):
    """All that is needed to make a comparison's runs, as JSON."""

    task: Choice
    data: Choice
    model: Choice
    scratch: Choice
    """How a model is trained that starts from chance."""
    adapt: Choice
    """How one is that starts from weights."""
    starts: tuple[Start, ...]
    """As in a recipe; the others are compared with the first."""
    amounts: tuple[str, ...] = AMOUNTS
    """How many labels, ascending, as in a recipe."""
    seeds: int = Field(default=SEEDS, ge=1, le=50)
    """Each amount is trained with so many: 0, 1, …; the same seed is the same labels."""
    device: str = "auto"
    steps: int | None = Field(default=None, ge=1)
    """The budget: optimizer steps of each run, whatever its start and its labels. None until the
    data have been counted, where nobody says it."""
    items: dict[str, int] = Field(default_factory=dict)
    """Training items of each amount, where they have been counted."""
    batches: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Batches of an epoch by start, as `called`, and amount, where they have been counted: a task
    may make episodes or windows of the items, and where it does, the items don't tell them."""

    @classmethod
    def from_json(cls, text: str) -> ComparisonPlan:
        """Read a plan. BadInput when it is none that this version knows."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "it"
            raise BadInput(f"This comparison can't be read: {where}: {first['msg']}") from None

    def to_json(self) -> str:
        """One line of JSON."""
        return self.model_dump_json()

    def method(self, start: Start) -> Choice:
        """How one with that start is trained."""
        return self.scratch if start is None else self.adapt

    def cells(self) -> list[Cell]:
        """Every run, those of the first seed first: the whole figure is there early."""
        return [
            Cell(start, amount, seed)
            for seed in range(self.seeds) for amount in self.amounts for start in self.starts
        ]  # fmt: skip

    def cell_of(self, recipe: Mapping[str, Any]) -> Cell:
        """Which cell a run's recipe, as JSON values, is of."""
        return Cell(recipe["start"], recipe["labels"], recipe["seed"])

    def called(self, cell: Cell) -> str:
        """A cell in a few words."""
        return f"{called(cell.start)} · {cell.amount} · seed {cell.seed}"

    def own(self, start: Start, amount: str, seed: int = 0) -> Recipe:
        """The recipe of a cell as its method would have it by itself, without a budget."""
        return Recipe(
            task=self.task, data=self.data, model=self.model, method=self.method(start),
            start=start, labels=amount, device=self.device, seed=seed,
        )  # fmt: skip

    def per_epoch(self, start: Start, amount: str) -> int:
        """Optimizer steps of an epoch; a budget of tokens makes more of them where the batches
        haven't been counted."""
        settings = self.method(start).settings
        size, group = settings.get("batch_size") or 1, settings.get("accumulate") or 1
        assert isinstance(size, int)
        assert isinstance(group, int)
        known = self.batches.get(called(start), {})
        batches = known[amount] if amount in known else math.ceil(self.items[amount] / size)
        return max(math.ceil(batches / group), 1)

    def recipe(self, cell: Cell, catalog: Catalog) -> Recipe:
        """The recipe of a cell within the budget. The data must have been counted."""
        assert self.steps is not None
        own = self.own(cell.start, cell.amount, cell.seed)
        card = catalog.card("method", own.method.name)
        settings = within(
            card, own.method.settings, steps=self.steps,
            per_epoch=self.per_epoch(cell.start, cell.amount),
            whole=self.per_epoch(cell.start, self.amounts[-1]),
        )  # fmt: skip
        return own.model_copy(update={"method": Choice(name=card.name, settings=settings)})

    def counted(
        self, items: Mapping[str, int], catalog: Catalog,
        batches: Mapping[str, Mapping[str, int]] | None = None,
    ) -> ComparisonPlan:  # fmt: skip
        """The same plan with the training items of each amount, the batches that each start makes
        of them, and a budget.

        Where nobody said it, that is what the most demanding start takes by itself with all the
        labels that the plan has, so that none is cut short of what suits it.
        """
        known = {start: dict(each) for start, each in (batches or {}).items()}
        made = self.model_copy(update={"items": dict(items), "batches": known})
        if made.steps is not None:
            return made
        own = [
            steps_of(self.method(start).settings, made.per_epoch(start, self.amounts[-1]))
            for start in self.starts
        ]
        return made.model_copy(update={"steps": max(1, min(max(own), MOST_STEPS))})


def drawn_up(
    catalog: Catalog,
    *,
    names: Mapping[Kind, str],
    settings: Mapping[str, Any],
    starts: Sequence[Start],
    amounts: Sequence[str] = AMOUNTS,
    seeds: int = SEEDS,
    adapt: str = "",
    steps: int | None = None,
    device: str = "auto",
    thorough: bool = False,
) -> ComparisonPlan:
    """A checked plan; BadInput names the field at fault.

    ``names["method"]`` is how a model is trained from chance. `adapt` is how it is from weights; if
    left out, in the same way, so that nothing but the start differs. What `settings` say of the
    method holds for both, as far as both have it.
    """
    kept = list(dict.fromkeys(starts))
    if len(kept) < 2:
        raise BadInput("Choose two starts or more: they are what is compared", field="starts")
    try:
        ordered = sorted(
            dict.fromkeys(amount.strip() for amount in amounts if amount.strip()),
            key=lambda amount: (Amount.of(amount).share or 0, Amount.of(amount).each or 0),
        )
    except BadInput as problem:
        raise BadInput(str(problem), field="amounts") from None
    if not ordered:
        raise BadInput("Say how many labels: 1%, 10%, 100%", field="amounts")
    if len({Amount.of(amount).share is None for amount in ordered}) > 1:
        raise BadInput(
            "Say all amounts in one way: shares like 3%, or items a class like 5", field="amounts"
        )
    if steps is not None and not 1 <= steps <= 10**9:
        raise BadInput("A run has at least one step", field="steps")
    if not 1 <= seeds <= 50:
        raise BadInput("Between 1 and 50 seeds", field="seeds")
    if len(kept) * len(ordered) * seeds > MOST_RUNS:
        raise BadInput(f"That is more than {MOST_RUNS:,} runs: choose fewer", field="amounts")
    if adapt not in ("", *(card.name for card in catalog.of("method"))):
        raise BadInput(f"There is no method {adapt!r}", field="adapt")
    made: dict[bool, Recipe] = {}
    for pretrained in {start is not None for start in kept}:
        start = next(start for start in kept if (start is not None) == pretrained)
        wanted: dict[Kind, str] = dict(names)
        if pretrained and adapt:
            wanted["method"] = adapt
        try:
            own, other = (_fields(catalog, {**names, "method": method or names.get("method", "")})
                          for method in ((adapt, "") if pretrained else ("", adapt)))  # fmt: skip
            apt = {name: value for name, value in settings.items()
                   if name in own or name not in other}  # fmt: skip
            made[pretrained] = compose(
                catalog, names=wanted, settings=apt, start=start, device=device, thorough=thorough
            )
        except BadInput as problem:
            to = {"method": "adapt"} if pretrained and adapt else {}
            raise BadInput(str(problem), field=to.get(problem.field or "", problem.field)) \
                from None  # fmt: skip
    for start in kept:
        if start == PUBLISHED and not catalog.card("model", made[True].model.name).published:
            raise BadInput(
                f"There are no published weights for {made[True].model.name}", field="starts"
            )
    one = next(iter(made.values()))
    return ComparisonPlan(
        task=one.task, data=one.data, model=one.model,
        scratch=made.get(False, one).method, adapt=made.get(True, one).method,
        starts=tuple(kept), amounts=tuple(ordered), seeds=seeds, device=device, steps=steps,
    )  # fmt: skip


def _fields(catalog: Catalog, names: Mapping[Kind, str]) -> set[str]:
    """The dotted names of a method's settings."""
    card = fill(catalog, names)["method"]
    return {f"method.{field.name}" for field in card.fields}


def steps_of(settings: Mapping[str, Value], per_epoch: int) -> int:
    """Optimizer steps that a method takes by itself; none where it has no epochs."""
    epochs, most = settings.get("epochs"), settings.get("max_steps")
    if not isinstance(epochs, int):
        return 0
    steps = epochs * per_epoch
    return min(steps, most) if isinstance(most, int) else steps


def within(
    card: Card, settings: Mapping[str, Value], *, steps: int, per_epoch: int, whole: int
) -> dict[str, Value]:
    """A method's settings such that it takes so many steps, of which an epoch has `per_epoch`.

    The step limit ends the run, never the epochs: the labels of another seed may make fewer batches
    than those that were counted. What is said in epochs keeps its share of the run: the head alone
    for two epochs of ten over the whole, with `whole` steps each, is alone for a fifth of the steps
    here too. The best of about `LOOKS` looks at the validation split is kept, and no run ends
    early: its budget would be smaller than the others'.
    A method that computes at once stays as it is.
    """
    fields = {field.name: field for field in card.fields}
    if not {"epochs", "max_steps", "check_every"} <= fields.keys():
        return dict(settings)
    longest = fields["epochs"].range
    assert longest is not None
    most = int(longest.high)
    if steps > most * per_epoch:
        raise BadInput(
            f"{steps:,} steps of {per_epoch:,} an epoch are more than {most:,} epochs: take fewer "
            "steps, a smaller batch size or more labels", field="steps",
        )  # fmt: skip
    before = steps_of(settings, whole) / whole
    fitted = dict(settings) | {
        "epochs": most, "max_steps": steps, "check_every": math.ceil(steps / LOOKS),
    }  # fmt: skip
    for name, field in fields.items():
        value = settings.get(name)
        if field.unit == "epochs" and field.type == "int" and isinstance(value, int):
            scaled = max(round(value * steps / per_epoch / before), 1)
            fitted[name] = min(scaled, int(field.range.high)) if field.range else scaled
    return fitted | ({"patience": None} if "patience" in fields else {})


def called(start: Start) -> str:
    """A start in a word: ``scratch``, ``run 12``, ``published``, or a file's path."""
    return "scratch" if start is None else f"run {start}" if isinstance(start, int) else start


def start_of(text: str) -> Start:
    """What a person calls a start: ``scratch``, ``12``, ``published``, a path."""
    said = text.strip()
    return None if said == "scratch" else int(said) if said.isdecimal() else said


def command(catalog: Catalog, plan: ComparisonPlan, *, name: str = "", home: object = None) -> str:
    """The line that repeats a comparison: only what differs from the defaults."""
    first: dict[Kind, Choice] = {
        "task": plan.task, "data": plan.data, "model": plan.model, "method": plan.scratch,
    }  # fmt: skip
    cards = {kind: catalog.card(kind, choice.name) for kind, choice in first.items()}
    usual = catalog.defaults(cards)
    words = ["python", "app.py", "compare-starts"]
    for kind in KINDS:
        words += [f"--{kind}", first[kind].name]
    if plan.adapt.name != plan.scratch.name:
        words += ["--adapt", plan.adapt.name]
    apart: dict[str, Value] = {}
    for kind in KINDS:
        for setting, value in first[kind].settings.items():
            dotted = f"{kind}.{setting}"
            if usual.get(dotted) != value or cards[kind].field(setting).required:
                apart[dotted] = value
    own = {**cards, "method": catalog.card("method", plan.adapt.name)}
    theirs = catalog.defaults(own)
    for setting, value in plan.adapt.settings.items():
        # The default of the one method may be what was asked of the other.
        if theirs[f"method.{setting}"] != value:
            apart.setdefault(f"method.{setting}", value)
    for dotted, value in apart.items():
        words += ["--set", f"{dotted}={written(value)}"]
    said = ["scratch" if start is None else str(start) for start in plan.starts]
    words += ["--starts", ",".join(said), "--labels", ",".join(plan.amounts)]
    words += ["--seeds", str(plan.seeds)]
    if plan.steps is not None:
        words += ["--steps", str(plan.steps)]
    if plan.device != "auto":
        words += ["--device", plan.device]
    if name:
        words += ["--name", name]
    if home is not None:
        words += ["--home", str(home)]
    return shlex.join(words)


# --- its runs -------------------------------------------------------------------------------------


class RunOf(Protocol):
    """A run of a comparison, as far as it is read here."""

    @property
    def id(self) -> int: ...
    @property
    def recipe(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def metrics(self) -> dict[str, Any]: ...


AnyRun = TypeVar("AnyRun", bound=RunOf)
AnyCell = TypeVar("AnyCell", bound=Hashable)


class Planned(Protocol[AnyCell]):
    """A plan of runs, whatever they differ in; each of its cells is one."""

    def to_json(self) -> str:
        """One line of JSON."""

    def cells(self) -> list[AnyCell]:
        """Every run, in the order in which they are carried out."""

    def cell_of(self, recipe: Mapping[str, Any]) -> AnyCell | None:
        """Which cell a run's recipe, as JSON values, is of; None if of none."""

    def recipe(self, cell: AnyCell, catalog: Catalog) -> Recipe:
        """The recipe of a cell, checked. BadInput when it can't be had."""

    def called(self, cell: AnyCell) -> str:
        """A cell in a few words."""


class Keeper(Protocol):
    """What is asked of a history."""

    def runs_of(self, comparison: int) -> Sequence[RunOf]: ...
    def add_run(
        self, recipe: str, *, name: str, task: str, model: str, data: str, method: str,
        parent: int | None = None, dataset: int | None = None, comparison: int | None = None,
    ) -> RunOf: ...  # fmt: skip
    def requeue(self, id: int, *, first: bool = True) -> RunOf: ...


RESUMABLE = ("paused", "interrupted", "failed", "stopped")
UNDER_WAY = ("preparing", "running")


class Learned(Protocol):
    """Of a run, what it has learned from."""

    @property
    def id(self) -> int: ...

    @property
    def recipe(self) -> str: ...


def seen(
    plan: ComparisonPlan, catalog: Catalog, line: Callable[[int], Iterable[Learned]]
) -> Iterator[tuple[int, int]]:
    """Each start that has seen the labels that it is to save, with the run that has: itself, or one
    that it comes from. `line` gives a run and those before it, the nearest first; LookupError where
    it is gone."""
    for start in plan.starts:
        if isinstance(start, int):
            with contextlib.suppress(LookupError):
                known = (run.id for run in line(start) if has_seen(plan, catalog, run))
                yield from ((start, run) for run in itertools.islice(known, 1))


def has_seen(plan: ComparisonPlan, catalog: Catalog, run: Learned) -> bool:
    """Whether a run has learned from what the plan's task asks for, on the plan's data."""
    try:
        recipe = Recipe.from_json(run.recipe)
        needs = [catalog.card("task", task).needs for task in (recipe.task.name, plan.task.name)]
    except BadInput:  # of another version
        return False
    own = recipe.data.name, recipe.data.settings.get("id")
    labelled = all("label" in every for every in needs)
    same = labelled or recipe.task.name == plan.task.name
    return same and own == (plan.data.name, plan.data.settings.get("id"))


def placed(plan: Planned[AnyCell], runs: Iterable[AnyRun]) -> dict[AnyCell, AnyRun | None]:
    """The run of each cell: of several a finished one, else the newest; None if there is none."""
    found: dict[AnyCell, AnyRun | None] = dict.fromkeys(plan.cells())
    for run in runs:
        cell = plan.cell_of(json.loads(run.recipe))
        if cell is None or cell not in found:
            continue
        held = found[cell]
        if held is None or held.state != "finished":
            found[cell] = run
    return found


def state_of(runs: Iterable[RunOf | None]) -> str:
    """Of a comparison, by its cells' runs: ``running``, ``queued``, ``finished`` or ``stopped``.

    It is queued while nothing of it has begun, and stopped where something is missing that nobody
    works on.
    """
    states = {"missing" if run is None else run.state for run in runs}
    if states & {*UNDER_WAY}:
        return "running"
    if "queued" in states:
        return "running" if "finished" in states else "queued"
    return "finished" if all(state == "finished" for state in states) else "stopped"


def enqueue(
    history: Keeper, number: int, plan: Planned[AnyCell], catalog: Catalog, *, name: str
) -> list[int]:
    """Queue every cell that isn't finished, waiting or under way; the runs' ids.

    One that was stopped goes on from its checkpoint.
    """
    recipes = {cell: plan.recipe(cell, catalog) for cell in plan.cells()}
    queued = []
    for cell, run in placed(plan, history.runs_of(number)).items():
        if run is None:
            recipe = recipes[cell]
            imported = recipe.data.settings.get("id")
            run = history.add_run(
                recipe.to_json(), comparison=number,
                name=f"{name} · {plan.called(cell)}",
                parent=recipe.parent, dataset=imported if isinstance(imported, int) else None,
                task=recipe.task.name, model=recipe.model.name, data=recipe.data.name,
                method=recipe.method.name,
            )  # fmt: skip
            queued.append(run.id)
        elif run.state in RESUMABLE:
            queued.append(history.requeue(run.id, first=False).id)
    return queued


# --- what they say --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds, with half of its 95 % interval; None where one seed can't tell it."""

    mean: float
    half: float | None
    count: int
    deviation: float | None = None
    """Standard deviation over the seeds."""

    @property
    def sure(self) -> int:
        """1 where it is above zero by more than the error, -1 where below, else 0."""
        if self.half is None or abs(self.mean) <= self.half:
            return 0
        return 1 if self.mean > 0 else -1


@dataclass(frozen=True, slots=True)
class Scores(Generic[AnyCell]):
    """What the finished runs of a plan reached."""

    measure: str
    """Of the test split; empty while nothing has finished."""
    larger: bool
    """Larger values are better."""
    values: dict[AnyCell, float]
    seconds: dict[AnyCell, float]
    """Training time of every finished run, whether it has a score or not."""

    @property
    def sign(self) -> int:
        """What makes larger differences better."""
        return 1 if self.larger else -1


def scored(held: Mapping[AnyCell, RunOf | None]) -> Scores[AnyCell]:
    """Of a plan's runs by cell (`placed`): the scores of those that have finished."""
    measure, larger = "", True
    values: dict[AnyCell, float] = {}
    seconds: dict[AnyCell, float] = {}
    for cell, run in held.items():
        if run is None or run.state != "finished":
            continue
        seconds[cell] = run.seconds
        name = str(run.metrics.get("headline", ""))
        value = run.metrics.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            continue
        measure, larger = name, bool(run.metrics.get("larger_is_better", True))
        values[cell] = float(value)
    return Scores(measure, larger, values, seconds)


@dataclass(frozen=True, slots=True)
class Place:
    """A start at an amount of labels."""

    start: Start
    amount: str
    items: int
    score: Estimate
    seconds: float
    """Of a run, on the mean."""
    values: dict[int, float]
    """By seed."""
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Saving:
    """How many labels the first start needs for what another reaches with `items`."""

    start: Start
    amount: str
    items: int
    score: float
    needed: float | None
    """None where it doesn't get there with all it had."""
    most: int
    """All that it had."""
    fewest: bool
    """The first start is there already with the fewest that it had: it may need fewer still."""

    @property
    def times(self) -> float:
        """So many times as many; at least so many where it doesn't get there."""
        return (self.most if self.needed is None else self.needed) / self.items


@dataclass(frozen=True, slots=True)
class Gap:
    """How much better a start is than the first, over the seeds that both have."""

    start: Start
    amount: str
    items: int
    better: Estimate
    """Above zero where it is better, whichever way the measure goes."""

    @property
    def sure(self) -> int:
        """1 where it is better by more than the error, -1 where it is worse, else 0."""
        return self.better.sure


@dataclass(frozen=True)
class Findings:
    """What the finished runs of a comparison say."""

    measure: str
    """Of the test split; empty while nothing has finished."""
    larger: bool
    places: tuple[Place, ...]
    savings: tuple[Saving, ...]
    gaps: tuple[Gap, ...]
    seconds: dict[Start, float]
    """Training time of all runs of a start."""
    partial: dict[Start, tuple[int, int]]
    """Of each start that fits the model only in part: how many tensors, those of the head left
    aside, were made anew, and how many were taken over."""


def findings(plan: ComparisonPlan, runs: Iterable[RunOf]) -> Findings:
    """What the finished runs say; the first start is what the others are compared with."""
    held = placed(plan, runs)
    all_scores = scored(held)
    scores: dict[tuple[Start, str], dict[int, float]] = {}
    by: dict[tuple[Start, str], list[RunOf]] = {}
    spent: dict[Start, float] = dict.fromkeys(plan.starts, 0.0)
    for cell, seconds in all_scores.seconds.items():
        spent[cell.start] += seconds
    for cell, value in all_scores.values.items():
        scores.setdefault((cell.start, cell.amount), {})[cell.seed] = value
        run = held[cell]
        assert run is not None
        by.setdefault((cell.start, cell.amount), []).append(run)
    larger = all_scores.larger
    places = [
        Place(
            start, amount, plan.items[amount], mean_of(list(values.values())),
            sum(run.seconds for run in by[start, amount]) / len(values), values,
            tuple(run.id for run in by[start, amount]),
        )
        for start in plan.starts for amount in plan.amounts
        if (values := scores.get((start, amount)))
    ]  # fmt: skip
    first = plan.starts[0]
    curve = [(place.items, place.score.mean) for place in places if place.start == first]
    # Until it has been trained on all labels, nobody knows that it doesn't get there with them.
    whole = any(place.start == first and place.items == max(plan.items.values())
                for place in places)  # fmt: skip
    savings, gaps = [], []
    for place in places:
        if place.start == first:
            continue
        if curve:
            needed = labels_for(place.score.mean, curve, larger=larger)
            if needed is not None or whole:
                savings.append(Saving(
                    place.start, place.amount, place.items, place.score.mean, needed,
                    curve[-1][0], needed == curve[0][0],
                ))  # fmt: skip
        base = scores.get((first, place.amount), {})
        if both := paired(place.values, base, all_scores.sign):
            better = mean_of(list(both.values()))
            gaps.append(Gap(place.start, place.amount, place.items, better))
    return Findings(
        all_scores.measure, larger, tuple(places), tuple(savings), tuple(gaps), spent,
        dict(_partial(held)),
    )  # fmt: skip


def _partial(held: Mapping[Cell, RunOf | None]) -> Iterator[tuple[Start, tuple[int, int]]]:
    """As `Findings.partial`, by what the finished runs say of their beginning."""
    for cell, run in held.items():
        taken = run.metrics.get("start") or {} if run else {}
        if taken.get("strange"):
            yield cell.start, (len(taken["strange"]), len(taken["loaded"]))


def paired(values: Mapping[int, float], base: Mapping[int, float], sign: int) -> dict[int, float]:
    """How much better each seed's value is than that of the same seed, where both have one."""
    return {seed: sign * (value - base[seed]) for seed, value in values.items() if seed in base}


def labels_for(score: float, curve: Sequence[tuple[int, float]], *, larger: bool) -> float | None:
    """How many labels a curve of (labels, score) needs for a score; None if it never gets there.

    Between two amounts it is read off a straight line over the logarithm of the labels, at the
    first place where the curve gets there. The fewest where it is there from the start.
    """
    sign = 1 if larger else -1
    wanted = sign * score
    points = [(math.log(items), sign * value) for items, value in sorted(curve)]
    if points[0][1] >= wanted:
        return float(min(items for items, _ in curve))
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if y1 >= wanted:
            return math.exp(x0 + (x1 - x0) * (wanted - y0) / (y1 - y0))
    return None


def mean_of(values: Sequence[float]) -> Estimate:
    """The mean, and half of its 95 % interval by Student's t with one degree of freedom fewer than
    values."""
    count, mean = len(values), math.fsum(values) / len(values)
    if count < 2:
        return Estimate(mean, None, count)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    return Estimate(mean, student(count - 1) * spread / math.sqrt(count), count, spread)


def student(freedom: int, share: float = 0.95) -> float:
    """Between minus this and this lies so large a `share` of Student's t.

    Found by halving: for whole degrees of freedom the share is a finite sum (Abramowitz & Stegun
    1964, 26.7.3 and 26.7.4).
    """
    low, high = 0.0, math.pi / 2  # of the arc tangent of t / √freedom
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < share else (low, middle)
    return math.tan((low + high) / 2) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """How much of Student's t lies within ± √freedom · tan(angle)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    if odd:
        return 2 / math.pi * (angle + sine * total)
    return sine * total
