"""Where is searched, what the runs say of it, and what is tried next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine import searches
from engine.catalog import BadInput, Card, Catalog, Field, Range
from engine.home import Home
from engine.proposals import hopeless, importance, propose
from engine.recipe import Choice, Recipe
from engine.searcher import PRUNED, Searcher
from engine.searches import Dimension, SearchPlan, Trial
from storage.history import History

RATE = Field(name="learning_rate", label="Learning rate", type="float", default=1e-3,
             range=Range(1e-7, 10, log=True))  # fmt: skip
CATALOG = Catalog(cards=(
    Card(kind="task", name="Task", label="Task", fits={"logits"}, headline="accuracy"),
    Card(kind="data", name="Data", label="Data", provides={"image"}),
    Card(kind="model", name="Model", label="Model", fits={"image"}, provides={"logits"}, fields=(
        Field(name="dropout", label="Dropout", type="float", default=0.0, range=Range(0, 0.5)),
    )),
    Card(kind="method", name="Training", label="Training", fits={"logits"}, fields=(
        RATE, Field(name="epochs", label="Epochs", type="int", default=5, range=Range(1, 100)),
    )),
))  # fmt: skip
SPACE = (
    Dimension(setting="method.learning_rate", type="float", low=1e-4, high=1e-1, log=True),
    Dimension(setting="model.dropout", type="float", low=0, high=0.5),
)


def planned(**more: Any) -> SearchPlan:
    base = Recipe(task=Choice(name="Task"), data=Choice(name="Data"), model=Choice(name="Model"),
                  method=Choice(name="Training"))  # fmt: skip
    return searches.drawn_up(CATALOG, base, SPACE, **more)


def worth(settings: dict[str, Any]) -> float:
    """Best at a learning rate of 0.01; dropout matters little."""
    return 1 - abs(math.log10(settings["method.learning_rate"]) + 2) / 4 \
        - settings["model.dropout"] / 100  # fmt: skip


def tried(plan: SearchPlan, count: int) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(count):
        settings = propose(plan, trials)
        value = worth(settings)
        trials.append(Trial(number, number + 1, "complete", settings, value, {20: value}))
    return trials


# --- where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limits", "value", "kind", "said"), [
    (Range(1e-7, 10, log=True), 1e-3, "float", "0.0001..0.01:log"),
    (Range(1, 65_536), 64, "int", "16..256:log"),
    (Range(0, 0.9), 0.1, "float", "0..0.9"),
    (Range(4, 64, step=4), 32, "int", "4..64:linear"),
    (Range(0, 1), 0.01, "float", "0.001..0.1:log"),
    (Range(1e-7, 1e-3, log=True), 1e-3, "float", "0.0001..0.001:log"),
])  # fmt: skip
def test_a_range_worth_searching_lies_around_the_value(
    limits: Range, value: float, kind: Any, said: str
) -> None:
    found = searches.dimension(
        Field(name="x", label="X", type=kind, default=value, range=limits), "method.x", value
    )
    assert str(found) == said
    assert found is not None
    assert searches.narrowed(found, said) == found


@pytest.mark.parametrize(("said", "value"), [
    ("", 32), ("", 30), ("8..40", 32), ("10..40", 32), ("10..41", 30), ("1..2", 2),
])  # fmt: skip
def test_whole_numbers_are_searched_between_any_ends_and_go_on_after_the_first(
    said: str, value: int
) -> None:
    """A slider's steps hold where the ends lie on them; the first trial is one that can be told."""
    width = Field(name="dropout", label="Width", type="int", default=32,
                  range=Range(1 if said == "1..2" else 4, 64, step=4))  # fmt: skip
    model = CATALOG.card("model", "Model").model_copy(update={"fields": (width,)})
    catalog = Catalog(cards=tuple(
        model if card.name == "Model" else card for card in CATALOG.cards
    ))  # fmt: skip
    one = searches.dimension(width, "model.dropout", value)
    assert one is not None
    base = planned().base.model_copy(
        update={"model": Choice(name="Model", settings={"dropout": value})}
    )
    plan = searches.drawn_up(catalog, base, [searches.narrowed(one, said)])
    trials: list[Trial] = []
    for number in range(6):
        settings = propose(plan, trials)
        assert plan.space[0].has(settings["model.dropout"])
        trials.append(Trial(number, number + 1, "complete", settings, 1.0 * number, {20: 1.0}))
    assert plan.space[0].high == (float(said.split("..")[1]) if said else 64)


def test_a_range_says_whether_it_is_searched_by_its_logarithm() -> None:
    linear = searches.narrowed(SPACE[0], "0.001..0.1:linear")
    assert searches.narrowed(SPACE[0], str(linear)) == linear


def test_what_is_said_of_a_dimension_is_checked() -> None:
    one = Dimension(setting="method.optimizer", type="choice", choices=("AdamW", "Adam", "SGD"))
    assert searches.narrowed(one, "SGD, Adam").choices == ("SGD", "Adam")
    with pytest.raises(BadInput, match="can't be 'Lion'"):
        searches.narrowed(one, "Lion,SGD")
    for wrong in ("1", "a..b", "1..2:linaer"):
        with pytest.raises(BadInput, match=r"0\.0001\.\.0\.1:log"):
            searches.narrowed(SPACE[0], wrong)
    for wrong, why in (("0.1..0.01", "lower value"), ("0..1:log", "in 1e-07–10"),
                       ("0.1..100", "in 1e-07–10")):  # fmt: skip
        with pytest.raises(BadInput, match=why) as problem:
            searches.drawn_up(CATALOG, planned().base, [searches.narrowed(SPACE[0], wrong)])
        assert problem.value.field == "method.learning_rate"


# --- what the runs say ----------------------------------------------------------------------------


@dataclass
class FakeRun:
    recipe: str
    state: str = "running"
    id: int = 1
    reason: str = ""
    step: int = 0
    steps: int = 40
    seconds: float = 1.0
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass
class FakeCurve:
    steps: list[int]
    values: list[float]


def test_trials_are_compared_at_equal_shares_of_their_runs() -> None:
    plan = planned()
    recipe = plan.base.to_json()
    curve = FakeCurve([10, 20, 30], [0.5, float("nan"), 0.4])
    [trial] = searches.trials_of(plan, [FakeRun(recipe)], {1: curve})
    assert trial.value == 0.5
    assert trial.ticks == dict.fromkeys(range(5, 16), 0.5)
    assert trial.settings == {"method.learning_rate": 1e-3, "model.dropout": 0.0}
    [whole] = searches.trials_of(plan, [FakeRun(recipe, "finished")], {1: curve})
    assert max(whole.ticks) == 20
    [silent] = searches.trials_of(plan, [FakeRun(recipe, "finished")], {})
    assert silent.state == "failed"


def test_the_best_is_one_that_went_through() -> None:
    plan = planned()
    trials = [Trial(0, 1, "pruned", {}, 0.9), Trial(1, 2, "complete", {}, 0.8),
              Trial(2, 3, "complete", {}, 0.8), Trial(3, 4, "failed", {}, 1.0)]  # fmt: skip
    best = searches.best_of(plan, trials)
    assert best is not None
    assert best.number == 1


# --- what is tried --------------------------------------------------------------------------------


def test_the_first_trial_is_the_recipe_and_the_same_search_tries_the_same() -> None:
    plan = planned(trials=12, seed=3)
    trials = tried(plan, 6)
    assert trials[0].settings == plan.settings(plan.base)
    assert [one.settings for one in tried(plan, 6)] == [one.settings for one in trials]
    assert tried(planned(trials=12, seed=4), 2)[1].settings != trials[1].settings
    for one in trials:
        assert all(axis.has(one.settings[axis.setting]) for axis in plan.space)


def test_the_sampler_finds_what_is_good_and_what_mattered() -> None:
    trials = tried(planned(trials=18), 18)
    assert max(one.value or 0 for one in trials) > 0.9
    found = importance(planned(), trials)
    assert list(found) == ["method.learning_rate", "model.dropout"]
    assert sum(found.values()) == pytest.approx(1)
    assert importance(planned(), trials[:5]) == {}


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_only_a_trial_that_lags_behind_is_given_up(pruner: Any) -> None:
    plan = planned(pruner=pruner)
    whole = [Trial(n, n, "complete", plan.settings(plan.base), 0.8 + n / 100,
                   dict.fromkeys(range(1, 21), 0.8 + n / 100)) for n in range(6)]  # fmt: skip
    own = plan.settings(plan.base)
    bad = Trial(6, 6, "running", own, 0.1, dict.fromkeys(range(1, 9), 0.1))
    good = Trial(7, 7, "running", own, 0.9, dict.fromkeys(range(1, 9), 0.9))
    assert hopeless(plan, [*whole, bad, good]) == [bad]
    never = plan.model_copy(update={"pruner": "none"})
    assert hopeless(never, [*whole, bad, good]) == []


# --- carrying on ----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.find(tmp_path)


@pytest.fixture
def history(home: Home) -> Iterator[History]:
    with History(home.database) as opened:
        yield opened


def begun(history: History, **more: Any) -> int:
    return history.add_comparison(planned(**more).to_json(), name="proof", open=True).id


def carry_out(history: History, id: int, values: list[float], *, state: Any = "finished") -> None:
    """A run as its worker would leave it, or under way."""
    history.claim(id, device="cpu", pid=1, pid_started=1.0)
    points = [("validation/accuracy", 10 * n, float(n), 1.0, value)
              for n, value in enumerate(values, 1)]  # fmt: skip
    progress = {"step": 10 * len(values), "steps": 40, "epoch": 1.0, "epochs": 4, "seconds": 1.0,
                "remaining": 1.0, "rate": 1.0, "learning_rate": 0.1, "memory": 1}  # fmt: skip
    history.record(id, points=points, progress=progress)
    if state != "running":
        history.end(id, state=state, reason="It is over")


def ids(history: History, number: int) -> list[int]:
    return [run.id for run in history.runs_of(number)]


def test_a_killed_search_goes_on_as_if_it_had_never_stopped(history: History, home: Home) -> None:
    one, other = begun(history, trials=4), begun(history, trials=4)
    kept = Searcher(history, home, CATALOG)
    for _ in range(4):
        for number, fresh in ((one, False), (other, True)):
            searcher = Searcher(history, home, CATALOG) if fresh else kept
            searcher.look(number)
            carry_out(history, ids(history, number)[-1], [0.5, worth(
                planned().settings(Recipe.from_json(history.runs_of(number)[-1].recipe))
            )])  # fmt: skip
            if fresh:
                searcher.close()  # as its death would
    kept.look()
    assert history.comparisons(open=True) == []
    recipes = [[run.recipe for run in history.runs_of(number)] for number in (one, other)]
    assert recipes[0] == recipes[1]
    assert len(set(recipes[0])) == 4


def test_one_process_at_a_time_carries_a_search_on(history: History, home: Home) -> None:
    number = begun(history)
    first, second = Searcher(history, home, CATALOG), Searcher(history, home, CATALOG)
    first.look()
    second.look()
    assert len(ids(history, number)) == 1
    first.close()
    history.dequeue(ids(history, number)[0])
    second.look()
    assert len(ids(history, number)) == 2


def test_trials_are_given_up_queued_again_and_ended(history: History, home: Home) -> None:
    number = begun(history, trials=6, at_once=2)
    searcher = Searcher(history, home, CATALOG)
    searcher.look()
    assert [run.state for run in history.runs_of(number)] == ["queued", "queued"]
    for _ in range(4):
        waiting = next(run.id for run in history.runs_of(number) if run.state == "queued")
        carry_out(history, waiting, [0.7, 0.8, 0.8, 0.9])
        searcher.look()
    last, killed = (run.id for run in history.runs_of(number) if run.state == "queued")
    carry_out(history, last, [0.1, 0.1], state="running")
    searcher.look()
    given_up = history.run(last)
    assert (given_up.wish, given_up.tags) == ("stop", (PRUNED,))
    history.end(last, state="stopped", reason="Stopped on request")
    carry_out(history, killed, [0.2], state="interrupted")
    searcher.look()
    assert history.run(killed).state == "queued"
    searches.leave(history, number, "pause")
    assert history.run(killed).state == "stopped"
    assert history.comparisons(open=True) == []


def test_a_search_that_is_left_in_the_instant_of_a_trial_leaves_nothing_waiting(
    history: History, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = begun(history, trials=6)
    add = history.add_run

    def left(*args: Any, **how: Any) -> Any:
        searches.leave(history, number, "cancel")
        return add(*args, **how)

    monkeypatch.setattr(history, "add_run", left)
    Searcher(history, home, CATALOG).look()
    assert [run.state for run in history.runs_of(number)] == ["stopped"]
    assert not history.comparison(number).open


def test_a_trial_that_ends_while_its_search_is_left_keeps_nothing_else_going(
    history: History, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = begun(history, trials=6, at_once=2)
    Searcher(history, home, CATALOG).look()
    first, second = ids(history, number)
    carry_out(history, first, [0.5], state="running")
    wish = history.wish

    def late(id: int, said: Any) -> None:
        if id == first:
            history.end(first, state="finished", reason="It is over")
        wish(id, said)

    monkeypatch.setattr(history, "wish", late)
    searches.leave(history, number, "cancel")
    assert [history.run(id).state for id in (first, second)] == ["finished", "stopped"]


def test_nothing_more_is_tried_when_all_that_was_has_failed(history: History, home: Home) -> None:
    number = begun(history)
    searcher = Searcher(history, home, CATALOG)
    for _ in range(searches.FAILED_IN_A_ROW):
        searcher.look()
        carry_out(history, ids(history, number)[-1], [], state="failed")
    searcher.look()
    assert len(ids(history, number)) == searches.FAILED_IN_A_ROW
    assert not history.comparison(number).open
