"""What to try next, what to give up, and what mattered: Optuna, asked anew each time.

There is no study that is kept: the trials' runs say all, and from them a study in memory is made
whenever something is asked. So nothing has to be kept in step with the history, and whoever asks
after a crash is told the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState

from engine.catalog import Value
from engine.searches import TICKS, Dimension, PrunerName, SearchPlan, Trial

RANDOM = 10
"""Trials at random before the sampler learns from them, at most; at most a third of all."""
SEEN = 4
"""Trials that went through before any is given up by the median."""
TOLD = 6
"""Trials that went through before anything is said of what mattered."""
PRUNERS: Mapping[PrunerName, Callable[[], BasePruner]] = {
    "none": NopPruner,
    # Not in the first fifth: rates still rise, and what is ahead then says little.
    "median": lambda: MedianPruner(n_startup_trials=SEEN, n_warmup_steps=TICKS // 5),
    # Li et al. 2018 (ASHA): the best third goes on at 2, 6 and 18 twentieths.
    "halving": lambda: SuccessiveHalvingPruner(min_resource=2, reduction_factor=3),
}
KEEPING: frozenset[PrunerName] = frozenset({"halving"})
"""Those that keep with a trial what they have decided about it."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


def propose(plan: SearchPlan, trials: Sequence[Trial]) -> dict[str, Value]:
    """The settings of the next trial: those of the base recipe first, then by TPE (Bergstra et
    al. 2011), which knows of the trials that are still under way."""
    if not trials:
        own = plan.settings(plan.base)
        if all(one.has(own[one.setting]) for one in plan.space):
            return own
    study, _ = studied(plan, trials)
    study.sampler = TPESampler(
        seed=(plan.seed + len(trials)) % 2**31, n_startup_trials=min(RANDOM, plan.trials // 3 + 1)
    )
    asked = study.ask(space_of(plan))
    return {one.setting: one.rounded(asked.params[one.setting]) for one in plan.space}


def hopeless(plan: SearchPlan, trials: Sequence[Trial]) -> list[Trial]:
    """Trials under way that the plan's pruner would give up."""
    _, given_up = studied(plan, trials)
    return [one for one in trials if one.state == "running" and one.number in given_up]


def importance(plan: SearchPlan, trials: Sequence[Trial]) -> dict[str, float]:
    """How much each setting decides whether a trial is among the best quarter, largest first, 1 in
    all: PED-ANOVA (Watanabe, Bansal & Hutter 2023) over those that went through.

    Empty for fewer than `TOLD`, and where all are alike.
    """
    whole = [one for one in trials if one.state == "complete"]
    if len(whole) < TOLD or len({one.value for one in whole}) < 2:
        return {}
    study, _ = studied(plan, whole)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items()}


def studied(plan: SearchPlan, trials: Sequence[Trial]) -> tuple[optuna.Study, set[int]]:
    """The trials as a study, and the numbers of those that its pruner would give up at the end of
    what is known of them.

    Where the pruner keeps what it has decided with a trial, those that are over decide again.
    """
    study = optuna.create_study(
        direction="maximize" if plan.larger else "minimize", sampler=RandomSampler(seed=0),
        pruner=PRUNERS[plan.pruner](),
    )  # fmt: skip
    space, given_up = space_of(plan), set()
    for trial in trials:
        if trial.ended and plan.pruner not in KEEPING:
            study.add_trial(ended(trial, space))
            continue
        with warnings.catch_warnings():
            # A number that was rounded may lie between two steps of its range.
            warnings.simplefilter("ignore")
            study.enqueue_trial(dict(trial.settings))
            asked = study.ask(space)
        over = False
        for tick, value in trial.ticks.items():
            asked.report(value, tick)
            # What was decided at a rung holds until the next; a median is asked anew.
            over = asked.should_prune() or (over and plan.pruner in KEEPING)
        if over:
            given_up.add(trial.number)
        if trial.state == "complete":
            study.tell(asked, trial.value)
        elif trial.ended:
            study.tell(asked, state=TrialState.PRUNED)
    return study, given_up


def ended(trial: Trial, space: Mapping[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    """A trial that is over.

    A failed one is one that was given up before it said anything, and its settings are thereby the
    worst: a rate at which a run diverges shouldn't be tried again.
    """
    done = trial.state == "complete"
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE if done else TrialState.PRUNED,
        value=trial.value if done else None, params=dict(trial.settings),
        distributions=dict(space),
        intermediate_values={} if trial.state == "failed" else dict(trial.ticks),
    )  # fmt: skip


def space_of(plan: SearchPlan) -> dict[str, BaseDistribution]:
    """Where the plan searches, in Optuna's words."""
    return {one.setting: distribution(one) for one in plan.space}


def distribution(one: Dimension) -> BaseDistribution:
    if one.choices:
        return CategoricalDistribution(one.choices)
    assert one.low is not None
    assert one.high is not None
    if one.type == "int":
        step = 1 if one.log else int(one.step or 1)
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=step)
    return FloatDistribution(one.low, one.high, log=one.log, step=None)
