"""Hyperparameter searches: which settings are searched and where, and what the trials' runs say.

Only arithmetic and choices, nothing of PyTorch or Optuna: the pages and the command line share it.
A trial is an ordinary run; all that is known of it is read from that run, so a search that was
broken off anywhere goes on as if it had not been.
"""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from pydantic import Field, ValidationError

from engine.catalog import KINDS, BadInput, Card, Catalog, Chosen, Frozen, Value
from engine.catalog import Field as Setting
from engine.recipe import Choice, Recipe, written

SEARCH: Final = "search"
"""What a comparison is of that this makes (`comparisons.kind_of`)."""
TRIALS = 20
MOST_TRIALS = 1000
MOST_AT_ONCE = 64
MOST_CHOICES = 20
"""More than these aren't searched: hardly any would be tried twice."""
TICKS = 20
"""Parts of a run, at whose ends the trials are compared: epochs and batches may differ."""
WIDE = 100
"""A range from one value to so many times it is searched by its logarithm."""
FAILED_IN_A_ROW = 5
"""First trials that fail, after which no more are begun."""

PrunerName = Literal["none", "median", "halving"]
DimensionType = Literal["int", "float", "choice", "bool"]


# --- where it is searched -------------------------------------------------------------------------


class Dimension(Frozen):
    """A setting that is searched: a number from `low` to `high`, or one of the `choices`."""

    setting: str
    """Its dotted name: ``method.learning_rate``."""
    type: DimensionType
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[bool | str, ...] = ()

    @property
    def kind(self) -> Any:
        return self.setting.partition(".")[0]

    @property
    def name(self) -> str:
        return self.setting.partition(".")[2]

    def has(self, value: Value) -> bool:
        """Whether a value is among those that are tried."""
        if self.choices:
            return value in self.choices
        assert self.low is not None
        assert self.high is not None
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        on = self.type != "int" or self.step is None or (value - self.low) % self.step == 0
        return on and self.low <= value <= self.high

    def rounded(self, value: Any) -> Value:
        """A value as a person would write it, still within: three significant digits."""
        if self.type != "float":
            return value  # type: ignore[no-any-return]
        assert self.low is not None
        assert self.high is not None
        return min(max(float(f"{value:.3g}"), self.low), self.high)

    def __str__(self) -> str:
        """As the command line takes it: ``0.0001..0.1:log``, ``AdamW,SGD``."""
        if self.choices:
            return ",".join(written(one) for one in self.choices)
        # What begins above zero might be taken for searched by its logarithm.
        how = ":log" if self.log else ":linear" if self.low and self.low > 0 else ""
        return f"{self.low:g}..{self.high:g}{how}"


def dimension(setting: Setting, dotted: str, value: Value) -> Dimension | None:
    """A setting's whole choice, or a range around the `value` that it has now; None where it can't
    be searched: texts, lists, and what has hundreds of choices."""
    if setting.hidden or setting.required:
        return None
    if setting.type == "bool":
        return Dimension(setting=dotted, type="bool", choices=(False, True))
    if setting.type == "choice" and 2 <= len(setting.choices) <= MOST_CHOICES:
        return Dimension(setting=dotted, type="choice", choices=setting.choices)
    if setting.type not in ("int", "float") or setting.range is None:
        return None
    low, high, log = around(setting, value)
    whole = setting.type == "int"
    step = setting.range.step if not log else None
    return Dimension(
        setting=dotted, type="int" if whole else "float", low=low, high=high, log=log,
        step=step if step is None or not whole else max(round(step), 1),
    )  # fmt: skip


def around(setting: Setting, value: Value) -> tuple[float, float, bool]:
    """The part of a setting's range that is worth searching, and whether by its logarithm.

    A wide range is searched from a tenth of the value to ten times it; one that begins at zero and
    whose value is small beside its end, too. Others are searched whole.
    """
    limits = setting.range
    assert limits is not None
    known = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    low, high = limits.low, limits.high
    wide = (low > 0 and high / low >= WIDE) or limits.log
    near = low == 0 and known and float(value) <= high / 20  # type: ignore[arg-type]
    if not known:
        return (low, high, wide and low > 0)
    assert isinstance(value, int | float)
    if not wide and not near:
        return low, high, False
    lower, upper = max(low, value / 10), min(high, value * 10)
    if setting.type == "int":
        lower, upper = max(low, math.floor(value / 4), 1), min(high, value * 4)
    return float(f"{lower:.3g}"), float(f"{upper:.3g}"), True


def offered(card: Card, values: Mapping[str, Value], cards: Chosen) -> list[Dimension]:
    """What can be searched of a card's settings, around the values that they have now."""
    found = (
        dimension(one, f"{card.kind}.{one.name}", values.get(one.name, one.default))
        for one in card.fields if one.matters(cards)
    )  # fmt: skip
    return [one for one in found if one is not None]


def narrowed(of: Dimension, text: str) -> Dimension:
    """A dimension as a person has said it: ``0.0001..0.1:log``, ``0..0.5``, ``AdamW,SGD``; as it
    is where nothing is said. BadInput says what is wrong."""
    said = text.strip()
    if not said:
        return of
    if of.choices:
        names = {written(one): one for one in of.choices}
        wanted = [one.strip() for one in said.split(",") if one.strip()]
        if unknown := [one for one in wanted if one not in names]:
            raise BadInput(f"{of.setting} can't be {unknown[0]!r} (it can be: {', '.join(names)})",
                           field=of.setting)  # fmt: skip
        return of.model_copy(update={"choices": tuple(dict.fromkeys(names[o] for o in wanted))})
    ends, _, how = said.partition(":")
    low, dots, high = ends.partition("..")
    try:
        lower, upper = float(low), float(high)
    except ValueError:
        dots = ""
    if not dots or how not in ("", "log", "linear"):
        raise BadInput(f"Say where {of.setting} is searched as 0.0001..0.1:log or 0..0.5:linear",
                       field=of.setting)  # fmt: skip
    log = of.log if not how else how == "log"
    log = log and lower > 0 if not how else log
    # The slider's steps hold between ends that lie on them; other ends ask for what is between.
    step = of.step if not log and of.has(lower) and of.has(upper) else None
    return of.model_copy(update={"low": lower, "high": upper, "log": log, "step": step})


def said(catalog: Catalog, base: Recipe, text: str) -> Dimension:
    """A setting of a recipe and where it is searched, as the command line takes it:
    ``model.dropout=0..0.5``, or the setting alone. BadInput where it can't be."""
    dotted, _, where = text.partition("=")
    kind, _, name = dotted.strip().partition(".")
    cards = base.cards(catalog)
    if kind not in cards:
        raise BadInput(f"--over {text}: say it as --over model.dropout=0..0.5")
    setting = cards[kind].field(name)
    value = base.choice(kind).settings.get(name, setting.default)
    found = dimension(setting, dotted.strip(), value)
    if found is None:
        raise BadInput(f"{setting.label} can't be searched", field=dotted)
    return narrowed(found, where)


# --- the plan -------------------------------------------------------------------------------------


class SearchPlan(Frozen):
    """All that is needed to make a search's runs, as JSON."""

    kind: Literal["search"] = SEARCH
    base: Recipe
    """What isn't searched stays as here; the first trial is this very recipe, where it lies within
    what is searched."""
    space: tuple[Dimension, ...] = Field(min_length=1)
    metric: str
    """Of the validation split; a trial's value is the best that it reached."""
    larger: bool
    """Larger values are better."""
    trials: int = Field(default=TRIALS, ge=1, le=MOST_TRIALS)
    at_once: int | None = Field(default=None, ge=1, le=MOST_AT_ONCE)
    """Trials under way at the same time; None for one on each accelerator, or one."""
    pruner: PrunerName = "median"
    """How trials are recognized that aren't worth finishing."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Of the sampler."""

    @classmethod
    def from_json(cls, text: str) -> SearchPlan:
        """Read a plan. BadInput when it is none that this version knows."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "it"
            raise BadInput(f"This search can't be read: {where}: {first['msg']}") from None

    def to_json(self) -> str:
        """One line of JSON."""
        return self.model_dump_json()

    @property
    def series(self) -> str:
        """The curve whose best value counts."""
        return f"validation/{self.metric}"

    def settings(self, recipe: Recipe) -> dict[str, Value]:
        """What a recipe says of the settings that are searched."""
        return {one.setting: recipe.choice(one.kind).settings[one.name] for one in self.space}

    def recipe(self, settings: Mapping[str, Value], catalog: Catalog) -> Recipe:
        """The recipe of a trial with these settings. BadInput where they don't go together."""
        choices: dict[str, Choice] = {}
        for kind in KINDS:
            own = self.base.choice(kind)
            mine = {name.partition(".")[2]: value for name, value in settings.items()
                    if name.partition(".")[0] == kind}  # fmt: skip
            choices[kind] = Choice(name=own.name, settings=own.settings | mine)
        return self.base.model_copy(update=choices).checked(catalog)

    def better(self, one: float, other: float) -> bool:
        return one > other if self.larger else one < other


def drawn_up(
    catalog: Catalog,
    base: Recipe,
    space: Sequence[Dimension],
    *,
    trials: int = TRIALS,
    metric: str = "",
    pruner: PrunerName = "median",
    at_once: int | None = None,
    seed: int = 0,
) -> SearchPlan:
    """A checked plan; BadInput names the field at fault.

    The metric is the task's own where none is said.
    """
    recipe = base.checked(catalog)
    cards = recipe.cards(catalog)
    if not space:
        raise BadInput("Choose a setting or more to search", field="space")
    for one in space:
        if one.kind not in cards:
            raise BadInput(f"There is no setting {one.setting!r} to search", field=one.setting)
        setting = cards[one.kind].field(one.name)
        if one.choices:
            if len(one.choices) < 2:
                raise BadInput(f"{setting.label}: choose two or more to search among",
                               field=one.setting)  # fmt: skip
            continue
        for end in (one.low, one.high):
            try:
                setting.check(end)
            except BadInput as problem:
                raise BadInput(str(problem), field=one.setting) from None
        assert one.low is not None
        assert one.high is not None
        if one.low >= one.high:
            raise BadInput(f"{setting.label}: search from a lower value to a higher one",
                           field=one.setting)  # fmt: skip
        if one.log and one.low <= 0:
            raise BadInput(f"{setting.label}: a logarithm needs values above zero",
                           field=one.setting)  # fmt: skip
    if len({one.setting for one in space}) < len(space):
        raise BadInput("Each setting can be searched once", field="space")
    task = cards["task"]
    known = metrics(task)
    wanted = metric or next(iter(known))
    if wanted not in known:
        raise BadInput(f"A search goes by {' or '.join(known)}, not by {wanted!r}", field="metric")
    if cards["method"].fields and "epochs" not in {f.name for f in cards["method"].fields}:
        raise BadInput(f"“{cards['method'].label}” learns nothing that could be searched for",
                       field="method")  # fmt: skip
    if not 1 <= trials <= MOST_TRIALS:
        raise BadInput(f"Between 1 and {MOST_TRIALS:,} trials", field="trials")
    if at_once is not None and not 1 <= at_once <= MOST_AT_ONCE:
        raise BadInput(f"Between 1 and {MOST_AT_ONCE} trials at once", field="at_once")
    plan = SearchPlan(
        base=recipe, space=tuple(space), metric=wanted, larger=known[wanted], trials=trials,
        pruner=pruner, at_once=at_once, seed=seed,
    )  # fmt: skip
    for at in (0, -1):  # what doesn't go together is said before anything is queued
        ends = {
            one.setting: one.choices[at] if one.choices else
            _whole(one, one.low if at == 0 else one.high) for one in space
        }  # fmt: skip
        plan.recipe(ends, catalog)
    return plan


def _whole(one: Dimension, value: float | None) -> Value:
    return int(value) if one.type == "int" and value is not None else value


def metrics(task: Card) -> dict[str, bool]:
    """What a search can go by, and whether larger is better: the task's headline, and the loss."""
    own = {task.headline: task.larger_is_better} if task.headline else {}
    return own | ({} if "loss" in own else {"loss": False})


def at_once(plan: SearchPlan, devices: Iterable[str]) -> int:
    """Trials under way at the same time, on these devices."""
    if plan.at_once is not None:
        return plan.at_once
    accelerators = [one for one in devices if one != "cpu"]
    return len(accelerators) or 1 if plan.base.device == "auto" else 1


def command(plan: SearchPlan, first: str, *, name: str = "") -> str:
    """The line that repeats a search; `first` is the line that trains its base recipe."""
    words = shlex.split(first)
    words[2] = "search"
    for one in plan.space:
        words += ["--over", f"{one.setting}={one}"]
    words += ["--trials", str(plan.trials), "--metric", plan.metric, "--pruner", plan.pruner]
    if plan.at_once is not None:
        words += ["--at-once", str(plan.at_once)]
    if plan.seed:
        words += ["--sampler-seed", str(plan.seed)]
    if name:
        words += ["--name", name]
    return shlex.join(words)


# --- its runs -------------------------------------------------------------------------------------

TrialState = Literal["waiting", "running", "complete", "pruned", "failed"]
ENDED: tuple[TrialState, ...] = ("complete", "pruned", "failed")
STATES: Mapping[str, TrialState] = {
    "queued": "waiting", "paused": "waiting", "interrupted": "waiting", "preparing": "running",
    "running": "running", "finished": "complete", "stopped": "pruned", "failed": "failed",
}  # fmt: skip
"""Of a trial, by its run's."""
UNDER_WAY = ("queued", "preparing", "running")


class RunOf(Protocol):
    """A run of a search, as far as it is read here."""

    @property
    def id(self) -> int: ...
    @property
    def recipe(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def metrics(self) -> dict[str, Any]: ...


class Measured(Protocol):
    """A curve: steps, and the values there."""

    @property
    def steps(self) -> Sequence[int]: ...
    @property
    def values(self) -> Sequence[float]: ...


@dataclass(frozen=True, slots=True)
class Trial:
    """A run of a search, as the search sees it."""

    number: int
    """From 0, in the order in which they were begun."""
    run: int
    state: TrialState
    settings: dict[str, Value]
    """Of what is searched."""
    value: float | None = None
    """The best so far; None before the validation split was measured."""
    ticks: dict[int, float] = field(default_factory=dict)
    """The best after so many twentieths of the run."""
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        return self.state in ENDED


def trials_of(
    plan: SearchPlan, runs: Iterable[RunOf], curves: Mapping[int, Measured]
) -> list[Trial]:
    """The trials that a search's runs are, with their curves of the plan's metric where they have
    one."""
    found = []
    for number, run in enumerate(sorted(runs, key=lambda run: run.id)):
        value, ticks = progress(plan, run, curves.get(run.id))
        settings = plan.settings(Recipe.from_json(run.recipe))
        state = STATES[run.state]
        if state == "complete" and value is None:  # it measured nothing that could be compared
            state = "failed"
        found.append(Trial(number, run.id, state, settings, value, ticks, run.seconds))
    return found


def progress(
    plan: SearchPlan, run: RunOf, curve: Measured | None
) -> tuple[float | None, dict[int, float]]:
    """The best value of a run so far, and after each twentieth of its steps."""
    best: float | None = None
    ticks: dict[int, float] = {}
    for step, value in zip(curve.steps, curve.values, strict=True) if curve is not None else ():
        if not math.isfinite(value):
            continue
        if best is None or plan.better(value, best):
            best = value
        if run.steps:
            ticks[min(math.ceil(TICKS * step / run.steps - 1e-9), TICKS)] = best
    if ticks:  # between two looks the best stays what it was
        last = TICKS if run.state == "finished" else max(ticks)
        held = ticks[min(ticks)]
        for tick in range(min(ticks), last + 1):
            held = ticks.setdefault(tick, held)
    return best, dict(sorted(ticks.items()))


def best_of(plan: SearchPlan, trials: Iterable[Trial]) -> Trial | None:
    """The trial that reached the best value: of those that went through, else of any."""
    known = [one for one in trials if one.value is not None and one.state != "failed"]
    whole = [one for one in known if one.state == "complete"]
    sign = 1 if plan.larger else -1
    return max(whole or known, key=lambda one: (sign * (one.value or 0.0), -one.number),
               default=None)  # fmt: skip


def given_up(trials: Sequence[Trial]) -> bool:
    """Whether nothing but failures has come of the first trials."""
    ended = [one for one in trials if one.ended]
    return len(ended) >= FAILED_IN_A_ROW and all(one.state == "failed" for one in ended)


def state_of(plan: SearchPlan, trials: Sequence[Trial], *, going: bool) -> str:
    """Of a search: ``queued``, ``running``, ``finished`` or ``stopped``."""
    if sum(one.ended for one in trials) >= plan.trials:
        return "finished"
    if any(one.state == "running" for one in trials):
        return "running"
    if going:
        return "running" if any(one.ended for one in trials) else "queued"
    return "stopped"


class Queue(Protocol):
    """What is asked of a history to go on with a search."""

    def open_comparison(self, id: int, open: bool) -> None: ...
    def runs_of(self, comparison: int) -> Sequence[RunOf]: ...
    def requeue(self, id: int, *, first: bool = True) -> RunOf: ...
    def wish(self, id: int, wish: Any) -> None: ...


def go_on(history: Queue, number: int) -> None:
    """Open a search again, and queue those of its runs that were paused or killed."""
    history.open_comparison(number, True)
    for run in history.runs_of(number):
        if run.state in ("paused", "interrupted"):
            history.requeue(run.id, first=False)


def leave(history: Queue, number: int, wish: Literal["pause", "cancel"]) -> None:
    """Begin no more trials, take those that wait out of the queue, and end those under way: for
    now, or for good."""
    history.open_comparison(number, False)
    for run in sorted(history.runs_of(number), key=lambda run: run.state != "queued"):
        if run.state in UNDER_WAY:
            with contextlib.suppress(ValueError):  # it has ended meanwhile
                history.wish(run.id, wish)
