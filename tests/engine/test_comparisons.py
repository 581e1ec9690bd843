"""Whether pretraining helps: the plan's budget and what its results say, against known numbers."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine import session
from engine.catalog import BadInput, Catalog
from engine.comparisons import (
    LOOKS,
    Cell,
    ComparisonPlan,
    command,
    drawn_up,
    enqueue,
    findings,
    labels_for,
    mean_of,
    placed,
    state_of,
    student,
)
from engine.estimate import counted, foretell
from engine.events import Finished, Progress
from engine.home import Home
from engine.recipe import Recipe
from storage.history import History

COUNTED = {"1%": 20, "10%": 140, "100%": 1439}
SMALL = {"model.channels": [4], "model.hidden": [8]}


def plan(catalog: Catalog, **given: Any) -> ComparisonPlan:
    settings = SMALL | given.pop("settings", {})
    names = {"data": "Digits8x8", "model": "ConvNet", "method": given.pop("method", "")}
    usual: dict[str, Any] = {"starts": [None, 7], "amounts": ["100%", "1%", "10%"]}
    return drawn_up(catalog, names=names, settings=settings, **usual | given)  # type: ignore[arg-type]


# --- statistics -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062047), (2, 4.3026527), (3, 3.1824463), (4, 2.7764451), (9, 2.2621572),
     (10, 2.2281389), (30, 2.0422725), (99, 1.9842170)],
)  # fmt: skip
def test_students_t_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, abs=1e-6)
    assert student(freedom, 0.5) < quantile / 2


def test_the_interval_of_three_seeds_is_that_of_the_textbook() -> None:
    found = mean_of([0.70, 0.72, 0.74])
    assert found.mean == pytest.approx(0.72)
    assert found.half == pytest.approx(4.3026527 * 0.02 / math.sqrt(3))
    assert mean_of([0.7]).half is None


def test_labels_are_read_off_over_their_logarithm_at_the_first_crossing() -> None:
    curve = [(10, 0.5), (100, 0.7), (1000, 0.9)]
    assert labels_for(0.6, curve, larger=True) == pytest.approx(math.sqrt(10 * 100))
    assert labels_for(0.9, curve, larger=True) == pytest.approx(1000)
    assert labels_for(0.3, curve, larger=True) == 10
    assert labels_for(0.901, curve, larger=True) is None
    bumpy = [(10, 0.5), (100, 0.8), (1000, 0.6), (10_000, 0.9)]
    assert labels_for(0.7, bumpy, larger=True) == pytest.approx(10 ** (1 + 2 / 3))
    errors = [(10, 4.0), (1000, 2.0)]
    assert labels_for(3.0, errors, larger=False) == pytest.approx(100)
    assert labels_for(5.0, errors, larger=False) == 10
    assert labels_for(1.0, errors, larger=False) is None


@dataclass
class Done:
    id: int
    recipe: str
    metrics: dict[str, Any]
    state: str = "finished"
    seconds: float = 2.0


@dataclass
class Results:
    plan: ComparisonPlan
    catalog: Catalog
    runs: list[Done] = field(default_factory=list)

    def add(self, start: int | None, amount: str, values: list[float], **how: Any) -> None:
        for seed, value in enumerate(values):
            recipe = self.plan.recipe(Cell(start, amount, seed), self.catalog)
            metrics = {"headline": "test/accuracy", "test/accuracy": value,
                       "larger_is_better": how.get("larger", True)}  # fmt: skip
            self.runs.append(
                Done(len(self.runs) + 1, recipe.to_json(), metrics, how.get("state", "finished"))
            )


@pytest.fixture
def results(catalog: Catalog) -> Results:
    return Results(plan(catalog, steps=50).counted(COUNTED, catalog), catalog)


def test_findings_say_how_many_labels_are_saved_and_where_nothing_is(results: Results) -> None:
    results.add(None, "1%", [0.5, 0.52, 0.54])
    results.add(None, "10%", [0.7, 0.72, 0.74])
    results.add(None, "100%", [0.9, 0.9, 0.9])
    results.add(7, "1%", [0.61, 0.62, 0.63])  # halfway between scratch's first two
    results.add(7, "10%", [0.70, 0.73, 0.72])  # no better than the error
    results.add(7, "100%", [0.92, 0.925, 0.92])
    found = findings(results.plan, results.runs)
    assert found.measure == "test/accuracy"
    few, more, most = found.savings
    assert few.needed == pytest.approx(math.sqrt(20 * 140))
    assert few.times == pytest.approx(math.sqrt(7))
    assert more.needed is not None
    assert not more.fewest
    assert most.needed is None
    assert most.times == 1
    assert [gap.sure for gap in found.gaps] == [1, 0, 1]
    # Paired by seed: 0.11, 0.10 and 0.09, though each start alone varies more than that.
    assert found.gaps[0].better.mean == pytest.approx(0.10)
    assert found.gaps[0].better.half == pytest.approx(4.3026527 * 0.01 / math.sqrt(3))
    place = found.places[0]
    assert (place.items, place.score.count, place.seconds) == (20, 3, 2.0)
    assert found.seconds == {None: 18.0, 7: 18.0}


def test_nothing_is_said_of_labels_that_have_not_been_tried_yet(results: Results) -> None:
    results.add(None, "1%", [0.5, 0.52, 0.54])
    results.add(7, "1%", [0.61, 0.62, 0.63])
    assert findings(results.plan, results.runs).savings == ()
    results.add(None, "100%", [0.55, 0.55, 0.55])
    (one,) = findings(results.plan, results.runs).savings
    assert one.needed is None
    assert one.most == max(results.plan.items.values())


def test_a_measure_that_should_be_small_is_turned_round(results: Results) -> None:
    results.add(None, "1%", [4.0, 4.1], larger=False)
    results.add(None, "10%", [2.0, 2.1], larger=False)
    results.add(7, "1%", [2.0, 2.1], larger=False)
    results.add(7, "10%", [2.2, 2.3], larger=False)
    found = findings(results.plan, results.runs)
    assert found.savings[0].needed == pytest.approx(140)
    assert [gap.sure for gap in found.gaps] == [1, -1]


def test_what_has_not_finished_says_nothing_yet(results: Results) -> None:
    assert findings(results.plan, []).places == ()
    results.add(None, "1%", [0.5, 0.6])
    results.add(7, "1%", [0.9], state="stopped")
    results.add(7, "10%", [math.nan])
    found = findings(results.plan, results.runs)
    assert [(p.start, p.amount) for p in found.places] == [(None, "1%")]
    assert found.gaps == found.savings == ()


def test_only_seeds_that_both_have_are_set_against_each_other(results: Results) -> None:
    results.add(None, "1%", [0.5])
    results.add(7, "1%", [0.7, 0.9, 0.9])
    (gap,) = findings(results.plan, results.runs).gaps
    assert gap.better.mean == pytest.approx(0.2)
    assert gap.better.half is None
    assert gap.sure == 0


# --- the plan -------------------------------------------------------------------------------------


def test_every_run_has_the_same_budget_however_few_its_labels(catalog: Catalog) -> None:
    made = plan(catalog, adapt="HeadFirst").counted(COUNTED, catalog)
    assert made.amounts == ("1%", "10%", "100%")
    assert made.steps == 345  # fifteen epochs of 23 batches, as scratch would take by itself
    for cell in made.cells():
        settings = made.recipe(cell, catalog).method.settings
        assert settings["max_steps"] == 345
        assert settings["check_every"] == 18 == 345 // LOOKS + 1
        assert settings["epochs"] == 10_000  # the step limit ends it
        assert settings["patience"] is None
    few = made.recipe(Cell(7, "1%", 0), catalog)
    assert few.method.settings["alone"] == 69  # a fifth of the run, as two epochs of ten are
    assert made.recipe(Cell(7, "100%", 0), catalog).method.settings["alone"] == 3
    assert few.labels == "1%"
    few.checked(catalog)


def test_the_most_demanding_start_sets_the_budget_unless_a_person_does(catalog: Catalog) -> None:
    probing = plan(catalog, adapt="LinearProbe")
    assert probing.counted(COUNTED, catalog).steps == 30 * 23
    assert plan(catalog, steps=12).counted(COUNTED, catalog).steps == 12


def test_more_steps_than_passes_can_make_are_refused(catalog: Catalog) -> None:
    made = plan(catalog, steps=20_000).counted(COUNTED, catalog)
    with pytest.raises(BadInput, match="fewer steps") as problem:
        made.recipe(Cell(None, "1%", 0), catalog)
    assert problem.value.field == "steps"


def test_scratch_trains_all_weights_and_settings_go_where_they_belong(catalog: Catalog) -> None:
    made = plan(catalog, adapt="HeadFirst",
                settings={"method.alone": 3, "method.learning_rate": 0.01})  # fmt: skip
    assert made.scratch.name == "Training"
    assert made.adapt.name == "HeadFirst"
    assert made.adapt.settings["alone"] == 3
    assert made.scratch.settings["learning_rate"] == made.adapt.settings["learning_rate"] == 0.01
    assert plan(catalog).adapt == plan(catalog).scratch


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"starts": [None, None]}, "starts", "two starts"),
        ({"amounts": ["1%", "5"]}, "amounts", "one way"),
        ({"amounts": ["half"]}, "amounts", "like 3%"),
        ({"amounts": []}, "amounts", "how many"),
        ({"seeds": 0}, "seeds", "1 and 50"),
        ({"steps": 0}, "steps", "at least one"),
        ({"seeds": 50, "amounts": [f"{n}%" for n in range(1, 50)]}, "amounts", "fewer"),
        ({"starts": [None, "published"]}, "start", "no published weights"),
        ({"adapt": "Nothing"}, "adapt", "There is no method"),
        ({"settings": {"method.nothing": 1}}, "method.nothing", "nothing"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_field(
    catalog: Catalog, given: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(BadInput, match=words) as problem:
        plan(catalog, **given)
    assert problem.value.field == field


def test_the_first_seed_gives_the_whole_figure_first(catalog: Catalog) -> None:
    cells = plan(catalog, seeds=2).cells()
    assert len(cells) == 12
    assert {cell.seed for cell in cells[:6]} == {0}
    assert len({(cell.start, cell.amount) for cell in cells[:6]}) == 6


def test_a_plan_is_the_same_after_it_was_written_down(catalog: Catalog) -> None:
    made = plan(catalog, starts=[None, 7, "/a/b.safetensors"]).counted(COUNTED, catalog)
    assert ComparisonPlan.from_json(made.to_json()) == made
    with pytest.raises(BadInput, match="can't be read"):
        ComparisonPlan.from_json('{"starts": 3}')


def test_the_command_line_says_all_that_differs(catalog: Catalog) -> None:
    made = plan(catalog, adapt="HeadFirst", settings={"method.alone": 3, "data.shift": 1})
    words = shlex.split(command(catalog, made.counted(COUNTED, catalog), name="a b"))
    said = " ".join(words)
    for part in ("--adapt HeadFirst", "--starts scratch,7", "--labels 1%,10%,100%", "--seeds 3",
                 "--set model.channels=4", "--set data.shift=1", "--set method.alone=3",
                 "--steps 345", "--name a b"):  # fmt: skip
        assert part in said, said
    assert "learning_rate" not in said


@pytest.mark.parametrize("adapt", ["HeadFirst", "GradualUnfreezing", "LoRA", "LinearProbe"])
def test_the_command_line_sets_what_only_one_method_has_by_itself(
    catalog: Catalog, adapt: str
) -> None:
    """What is one method's default and not the other's is said, whichever of them it is."""
    alone = plan(catalog, starts=[None, 7], adapt=adapt)
    shared = alone.scratch.settings.keys() & alone.adapt.settings.keys()
    apart = [n for n in shared if alone.scratch.settings[n] != alone.adapt.settings[n]]
    assert apart
    for name in apart:
        for method in (alone.scratch, alone.adapt):
            made = plan(catalog, adapt=adapt, settings={f"method.{name}": method.settings[name]})
            words = shlex.split(command(catalog, made.counted(COUNTED, catalog)))
            said = dict(
                words[n + 1].split("=", 1) for n, word in enumerate(words) if word == "--set"
            )
            again = plan(catalog, adapt=adapt, settings=said)
            assert (again.scratch, again.adapt) == (made.scratch, made.adapt), name


# --- its runs -------------------------------------------------------------------------------------


def test_what_is_missing_or_failed_is_queued_again_and_nothing_else(
    catalog: Catalog, history: History
) -> None:
    history.add_run("{}", name="the start", task="", model="", data="", method="", state="finished")
    made = plan(catalog, starts=[None, 1], amounts=["1%", "100%"], seeds=1, steps=5)
    made = made.counted(COUNTED, catalog)
    one = history.add_comparison(made.to_json(), name="proof")

    def state() -> str:
        return state_of(placed(made, history.runs_of(one.id)).values())

    assert state() == "stopped"
    first = enqueue(history, one.id, made, catalog, name="proof")
    assert len(first) == 4
    assert state() == "queued"
    assert enqueue(history, one.id, made, catalog, name="proof") == []
    done, failed, gone, waits = first
    history.end(done, state="finished", reason="Done")
    history.end(failed, state="failed", reason="It broke")
    history.dequeue(gone)
    history.delete_run(gone)
    again = enqueue(history, one.id, made, catalog, name="proof")
    assert failed in again
    assert len(again) == 2
    assert done not in again
    assert [run.id for run in history.queue()] == [waits, *again]
    child = Recipe.from_json(history.run(failed).recipe)
    assert (child.start, child.labels, child.seed) == (1, "1%", 0)
    assert history.run(failed).parent == 1
    for run in history.queue():
        history.end(run.id, state="finished", reason="Done")
    assert state() == "finished"


def test_amounts_are_counted_and_foretold_from_the_data(
    catalog: Catalog, home: Home, tmp_path: Path
) -> None:
    save_file({"nothing": torch.zeros(1)}, file := tmp_path / "a.safetensors")
    made = plan(catalog, starts=[None, str(file)], amounts=["2", "5", "9999"], steps=3)
    ready = counted(made, home, catalog)
    assert ready.items == {"2": 20, "5": 50, "9999": 1439}
    assert ready.batches == {"scratch": (own := {"2": 1, "5": 1, "9999": 23}), str(file): own}
    made = plan(catalog, starts=[None, 1], amounts=["2"], steps=3)
    with pytest.raises(BadInput, match="Run 1 has kept no weights"):
        foretell(made, home, catalog)


def test_the_budget_is_that_of_the_tasks_own_epochs(catalog: Catalog, home: Home) -> None:
    names = {"task": "PrototypicalNetwork", "data": "Digits8x8", "model": "EmbeddingConvNet"}
    settings = {"model.channels": 4, "model.blocks": 1, "task.episodes": 3, "task.way": 3,
                "method.epochs": 5, "method.schedule": "step", "method.drop_every": 2,
                "method.precision": "fp32", "method.threads": 1}  # fmt: skip
    made = drawn_up(catalog, names=names, settings=settings, starts=[None, 1], amounts=["10%"])  # type: ignore[arg-type]
    made = counted(made.model_copy(update={"starts": (None,)}), home, catalog)
    assert made.batches == {"scratch": {"10%": 3}}
    assert made.steps == 15
    recipe = made.recipe(Cell(None, "10%", 0), catalog)
    assert recipe.method.settings["drop_every"] == 2
    *said, last = session.run(recipe, home, 1)
    assert isinstance(last, Finished)
    assert last.reason.startswith("Trained 15 steps")
    assert [(p.step, p.epochs) for p in said if isinstance(p, Progress)][-1] == (15, 5)


def test_recipes_of_one_seed_share_their_labels_whatever_their_start(catalog: Catalog) -> None:
    made = plan(catalog, steps=3).counted(COUNTED, catalog)
    a, b = (made.recipe(Cell(start, "10%", 2), catalog) for start in (None, 7))
    first, second = (json.loads(recipe.to_json()) for recipe in (a, b))
    assert {name for name in first if first[name] != second[name]} == {"start"}
