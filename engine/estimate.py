"""How large a run is and how long it takes, from a few real steps."""

from __future__ import annotations

import math
import time
from itertools import islice
from typing import Any

import torch

from engine import device as devices
from engine import loop, session
from engine.catalog import Catalog, chosen
from engine.comparisons import Cell, ComparisonPlan, called
from engine.data.batches import Feed
from engine.features import Features
from engine.home import Home
from engine.loop import Plan, Trainee
from engine.recipe import Recipe
from engine.rehearsal import rehearsing
from engine.starts import Start
from engine.tasks import Task

TIMED = 3


def estimate(recipe: Recipe, home: Home) -> dict[str, Any]:
    """Parameters, bytes and seconds that a checked recipe will take.

    Memory is that of the process on a CPU, its libraries included, as the run's page shows it; of
    the device elsewhere. The time is that of the fastest of a few steps, the first left out, with
    evaluation counted as a third of a step an item.
    """
    with rehearsing(recipe, home) as tried:
        setup, trainee, feed, plan = tried.setup, tried.trainee, tried.feed, tried.plan
        # Where classes are only named there may be no item to learn from.
        some = feed if len(feed) else tried.validation
        first = timed(trainee, setup.task, some, plan, TIMED + 1)
        # Once more the same items: what is kept of them costs only the first time.
        again = timed(trainee, setup.task, some, plan, 2)
        device = trainee.device
        memory = devices.memory_in_use(device)
        parameters = setup.model.parameter_count()
        trainable = setup.model.trainable_count()
        steps = plan.steps(len(feed))
        new, known = min(first[1:] or first, default=0.0), min(again, default=0.0)
        items = len(some.rows) / max(len(some), 1) * plan.accumulate
        checked = len(tried.validation.rows) / max(items, 1) / 3
        each = min(math.ceil(len(feed) / plan.accumulate), steps)
        epochs = max(steps / max(each, 1), 1)
        looks = epochs
        if (plan.check_every or 0) > each:
            looks = max(steps / (plan.check_every or 1), 1)
        feeds = [feed, tried.validation, setup.method.judging(setup.data, "test", device)]
        if not plan.epochs:  # nothing is learned: each item is looked at once
            through = setup.method.goes_through(feed) + sum(len(one.rows) for one in feeds[1:])
            seconds = new * through / max(items, 1)
        else:
            # What stays as it is goes once through what stays as it is, to be tested too.
            unknown = sum(one.missing() for one in feeds if isinstance(one, Features))
            first_time = unknown / max(items, 1) if isinstance(feed, Features) else each
            seconds = new * first_time + known * (max(steps - first_time, 0) + checked * looks)
        return {
            "parameters": parameters, "trainable": trainable, "memory": memory,
            "steps": steps, "seconds": seconds, "seconds_per_epoch": seconds / epochs,
            "items": len(feed.rows), "device": str(device),
            "device_name": devices.about(device).name, "precision": str(trainee.numerics),
        }  # fmt: skip


def counted(plan: ComparisonPlan, home: Home, catalog: Catalog) -> ComparisonPlan:
    """The plan with what its amounts of labels come to, and with its budget."""
    task: Task = chosen("task", plan.task.name)(**plan.task.settings)
    items: dict[str, int] = {}
    batches: dict[str, dict[str, int]] = {}
    for start in plan.starts:
        begun = Start.of(plan.own(start, plan.amounts[-1]), home)
        method = plan.method(start)
        how = {name: method.settings.get(name) for name in ("batch_size", "batch_tokens")}
        for amount in plan.amounts:
            data = session.open_choice(
                plan.data, home, begun.tokenizer if begun else None,
                chosen("method", method.name).splits, amount, task=task,
                rate=chosen("model", plan.model.name).hears,
            )  # fmt: skip
            items[amount] = len(data.splits["train"])
            if how["batch_size"] is not None:
                feed = task.feed(task.view(data), "train", device=torch.device("cpu"), **how)
                batches.setdefault(called(start), {})[amount] = len(feed)
    return plan.counted(items, catalog, batches)


def foretell(plan: ComparisonPlan, home: Home, catalog: Catalog) -> dict[str, Any]:
    """What a comparison will take: each start is timed with the most labels, and counts as long
    with fewer, since all make as many steps."""
    ready = counted(plan, home, catalog)
    each = {
        called(start): estimate(ready.recipe(Cell(start, ready.amounts[-1], 0), catalog), home)
        for start in ready.starts
    }
    many = len(ready.amounts) * ready.seeds
    return {
        "plan": ready.to_json(), "runs": len(ready.cells()), "steps": ready.steps,
        "items": ready.items, "seconds": sum(found["seconds"] for found in each.values()) * many,
        "starts": {name: found["seconds"] for name, found in each.items()},
        "device_name": next(iter(each.values()))["device_name"],
    }  # fmt: skip


def timed(trainee: Trainee, task: Task, feed: Feed, plan: Plan, steps: int) -> list[float]:
    """The seconds of an epoch's first steps, at most so many."""
    seconds, batches = [], feed.batches()
    for _ in range(steps):
        started = time.perf_counter()
        if not (group := list(islice(batches, plan.accumulate))):
            break
        loop.step(trainee, task, group, plan)
        devices.synchronize(trainee.device)
        seconds.append(time.perf_counter() - started)
    return seconds
