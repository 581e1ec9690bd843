"""Whether augmentation helps: a plan of runs that differ in nothing but it and their seeds, and
what their results say.

Only arithmetic and choices, nothing of PyTorch: the pages and the command line share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from engine import comparisons
from engine.catalog import BadInput, Card, Catalog, Frozen, Value
from engine.catalog import Field as Setting
from engine.comparisons import Estimate, RunOf, mean_of, paired, placed, scored
from engine.recipe import Choice, Recipe

ABLATION: Final = "ablation"
"""What a comparison is of that this makes (`comparisons.kind_of`)."""
WITH, WITHOUT = "with", "without"
"""The two arms that there always are."""
MOST_SEEDS = 50


@dataclass(frozen=True, slots=True)
class Part:
    """One run of the plan."""

    arm: str
    seed: int


class Off(Frozen):
    """An augmentation that is chosen, and the value that switches it off."""

    setting: str
    off: Value

    @property
    def arm(self) -> str:
        """What the arm is called that leaves only this one out."""
        return f"{WITHOUT} {self.setting}"


class AblationPlan(Frozen):
    """All that is needed to make an ablation's runs, as JSON."""

    kind: Literal["ablation"]
    whole: Recipe
    """With the augmentation, and with the first of the seeds."""
    chosen: tuple[Off, ...] = Field(min_length=1)
    """The augmentation that is left out, by the data's settings."""
    each: bool = False
    """Each of them is also left out by itself."""
    seeds: int = Field(default=comparisons.SEEDS, ge=1, le=MOST_SEEDS)
    """Each arm is trained with so many, from the recipe's own on."""

    @classmethod
    def from_json(cls, text: str) -> AblationPlan:
        """Read a plan. BadInput when it is none that this version knows."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "it"
            raise BadInput(f"This ablation can't be read: {where}: {first['msg']}") from None

    def to_json(self) -> str:
        """One line of JSON."""
        return self.model_dump_json()

    @property
    def arms(self) -> dict[str, dict[str, Value]]:
        """Each arm with the settings that it changes of the data; the others are compared with the
        first, which has no augmentation."""
        every = {one.setting: one.off for one in self.chosen}
        arms: dict[str, dict[str, Value]] = {WITHOUT: every, WITH: {}}
        if self.each and len(self.chosen) > 1:
            arms |= {one.arm: {one.setting: one.off} for one in self.chosen}
        return arms

    def cells(self) -> list[Part]:
        """Every run, those of the first seed first: a first difference is there early."""
        seeds = range(self.whole.seed, self.whole.seed + self.seeds)
        return [Part(arm, seed) for seed in seeds for arm in self.arms]

    def cell_of(self, recipe: Mapping[str, Any]) -> Part | None:
        """Which part a run's recipe, as JSON values, is; None if none."""
        own, theirs = self.whole.data.settings, recipe["data"]["settings"]
        for arm, changed in self.arms.items():
            if theirs == own | changed:
                return Part(arm, recipe["seed"])
        return None

    def called(self, cell: Part) -> str:
        """A part in a few words."""
        return f"{cell.arm} · seed {cell.seed}"

    def recipe(self, cell: Part, catalog: Catalog) -> Recipe:
        """The recipe of a part, checked. BadInput when a choice isn't there any more."""
        own = self.whole.data
        data = Choice(name=own.name, settings=own.settings | self.arms[cell.arm])
        return self.whole.model_copy(update={"data": data, "seed": cell.seed}).checked(catalog)


def drawn_up(
    catalog: Catalog, recipe: Recipe, *, seeds: int = comparisons.SEEDS, each: bool = False
) -> AblationPlan:
    """A checked plan of what a recipe would be without its augmentation; BadInput names the field
    at fault.

    All have as many steps, since their data and batches are the same; none ends early, which would
    make its budget smaller than the others'.
    """
    whole = recipe.checked(catalog)
    cards = whole.cards(catalog)
    able = [field for field in cards["data"].fields if field.matters(cards) and switches(field)]
    chosen = tuple(
        Off(setting=field.name, off=field.augments.off) for field in able
        if field.augments is not None and whole.data.settings[field.name] != field.augments.off
    )  # fmt: skip
    if not chosen:
        raise BadInput(
            f"No augmentation is chosen: set {' or '.join(f.label for f in able[:3])} first"
            if able else
            "Nothing is varied at random for this task, data and method: there is nothing to leave "
            "out", field="augmentation",
        )  # fmt: skip
    if not 1 <= seeds <= MOST_SEEDS:
        raise BadInput(f"Between 1 and {MOST_SEEDS} seeds", field="seeds")
    if whole.seed + seeds > 2**31:
        raise BadInput("The last of so many seeds is too large: begin with a smaller one",
                       field="seed")  # fmt: skip
    return AblationPlan(
        kind=ABLATION, whole=patient(whole, cards["method"]), chosen=chosen, each=each,
        seeds=seeds,
    )  # fmt: skip


def switches(field: Setting) -> bool:
    """Whether it switches an augmentation, rather than saying how another one works."""
    return field.augments is not None and field.only is None


def patient(recipe: Recipe, card: Card) -> Recipe:
    """The same, but it never ends before its budget does."""
    if not any(field.name == "patience" for field in card.fields):
        return recipe
    settings = recipe.method.settings | {"patience": None}
    return recipe.model_copy(update={"method": Choice(name=card.name, settings=settings)})


# --- what its runs say ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ArmScore:
    """What an arm reached."""

    arm: str
    score: Estimate
    values: dict[int, float]
    """By seed."""
    seconds: float
    """Of a run, on the mean."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better it is with the augmentation than an arm, over the seeds that both have."""

    arm: str
    better: Estimate
    """Above zero where it is better, whichever way the measure goes; paired by seed."""
    values: dict[int, float]
    """By seed."""


@dataclass(frozen=True)
class AblationFindings:
    """What the finished runs of an ablation say."""

    measure: str
    """Of the test split; empty while nothing has finished."""
    larger: bool
    arms: tuple[ArmScore, ...]
    differences: tuple[Difference, ...]
    """Of all together against none, then of all against all but one."""


def findings(plan: AblationPlan, runs: Iterable[RunOf]) -> AblationFindings:
    """What the finished runs say."""
    found = scored(placed(plan, runs))
    values: dict[str, dict[int, float]] = {}
    for cell, value in found.values.items():
        values.setdefault(cell.arm, {})[cell.seed] = value
    arms = []
    for arm in plan.arms:
        own = values.get(arm)
        if own:
            spent = [found.seconds[Part(arm, seed)] for seed in own]
            arms.append(ArmScore(arm, mean_of(list(own.values())), own, sum(spent) / len(spent)))
    differences = []
    for base in plan.arms:
        if base == WITH:
            continue
        whole, less = values.get(WITH, {}), values.get(base, {})
        if by := paired(whole, less, found.sign):
            differences.append(Difference(base, mean_of(list(by.values())), by))
    return AblationFindings(found.measure, found.larger, tuple(arms), tuple(differences))
