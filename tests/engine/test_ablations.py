"""Whether augmentation helps: what is left out, what stays the same, and what differences say."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine import comparisons
from engine.ablations import AblationPlan, Part, drawn_up, findings
from engine.catalog import BadInput, Catalog
from engine.comparisons import placed
from engine.recipe import Recipe, compose
from storage.history import History


def recipe(catalog: Catalog, **settings: Any) -> Recipe:
    names: dict[Any, str] = {"data": "Digits8x8", "model": "ConvNet"}
    given = {"data.mixup": 0.4, "data.shift": 1, "method.patience": 2, "method.epochs": 3}
    return compose(catalog, names=names, settings=given | settings, seed=5)


@dataclass
class Done:
    id: int
    recipe: str
    metrics: dict[str, Any]
    state: str = "finished"
    seconds: float = 2.0


def done(plan: AblationPlan, catalog: Catalog, values: dict[str, list[float]]) -> list[Done]:
    """A finished run for each arm's value, from the first seed on."""
    return [
        Done(number, plan.recipe(Part(arm, plan.whole.seed + number), catalog).to_json(),
             {"headline": "test/accuracy", "test/accuracy": value, "larger_is_better": True})
        for arm, scores in values.items() for number, value in enumerate(scores)
    ]  # fmt: skip


def test_arms_differ_in_the_augmentation_alone_and_never_end_early(catalog: Catalog) -> None:
    plan = drawn_up(catalog, recipe(catalog), seeds=2, each=True)
    assert list(plan.arms) == ["without", "with", "without shift", "without mixup"]
    assert len(plan.cells()) == 8
    assert {cell.seed for cell in plan.cells()} == {5, 6}
    whole = plan.recipe(Part("with", 5), catalog)
    for arm, gone in (("without", {"shift": 0, "mixup": 0.0}), ("without mixup", {"mixup": 0.0})):
        other = plan.recipe(Part(arm, 5), catalog)
        assert other.data.settings == whole.data.settings | gone
        assert other.model_copy(update={"data": whole.data}) == whole
        assert other.method.settings["patience"] is None
    assert AblationPlan.from_json(plan.to_json()) == plan
    assert comparisons.kind_of(plan.to_json()) == "ablation"


def test_what_says_how_another_works_is_not_left_out_by_itself(catalog: Catalog) -> None:
    given = {"data.policy": "RandAugment", "data.operations": 3, "data.shift": 0}
    plan = drawn_up(catalog, recipe(catalog, **given), each=True)
    assert list(plan.arms) == ["without", "with", "without policy", "without mixup"]


def test_nothing_to_leave_out_is_said_with_what_could_be_set(catalog: Catalog) -> None:
    with pytest.raises(BadInput, match=r"set Random shift or .* first"):
        drawn_up(catalog, recipe(catalog, **{"data.mixup": 0, "data.shift": 0}))
    with pytest.raises(BadInput, match="seeds") as problem:
        drawn_up(catalog, recipe(catalog), seeds=0)
    assert problem.value.field == "seeds"


def test_differences_are_those_of_the_same_seed(catalog: Catalog) -> None:
    plan = drawn_up(catalog, recipe(catalog))
    found = findings(plan, done(plan, catalog, {
        "without": [0.70, 0.80, 0.60], "with": [0.73, 0.82, 0.64],
    }))  # fmt: skip
    (gap,) = found.differences
    # Seeds differ by far more than the arms: only pairs can tell.
    assert gap.better.mean == pytest.approx(0.03)
    assert gap.better.deviation == pytest.approx(0.01)
    assert gap.better.half == pytest.approx(4.3026527 * 0.01 / math.sqrt(3))
    assert gap.better.sure == 1
    assert {arm.arm: arm.score.deviation for arm in found.arms}["without"] == pytest.approx(0.1)
    # A seed that only one arm has says nothing of the difference.
    found = findings(plan, done(plan, catalog, {"without": [0.70, 0.80], "with": [0.6]}))
    assert found.differences[0].better.count == 1
    assert found.differences[0].better.sure == 0


def test_what_is_queued_is_found_again_and_goes_on(catalog: Catalog, tmp_path: Path) -> None:
    plan = drawn_up(catalog, recipe(catalog), seeds=2)
    with History(tmp_path / "anneal.db") as history:
        one = history.add_comparison(plan.to_json(), name="proof")
        queued = comparisons.enqueue(history, one.id, plan, catalog, name="proof")
        assert len(queued) == 4
        runs = placed(plan, history.runs_of(one.id))
        assert [run.name for run in runs.values() if run] == [
            "proof · without · seed 5", "proof · with · seed 5",
            "proof · without · seed 6", "proof · with · seed 6",
        ]  # fmt: skip
        history.dequeue(queued[1])
        assert comparisons.enqueue(history, one.id, plan, catalog, name="proof") == [queued[1]]


def test_a_plan_that_was_kept_before_says_that_it_is_of_starts() -> None:
    assert comparisons.kind_of(json.dumps({"task": {"name": "Classification"}})) == "starts"
