"""Which batch size suits: how fast each is on this machine, as far as memory goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from engine import device as devices
from engine.catalog import BadInput, chosen
from engine.home import Home
from engine.progress import Answer, progress
from engine.recipe import Choice, Recipe
from engine.rehearsal import Rehearsal, learns, rehearsing

CLOSE = 0.95
"""Of the best throughput: the smallest batch that reaches so much is suggested."""
SAFE = 0.85
"""Of the memory that is free: a batch that would take more isn't tried."""
SLOWEST = 5.0
"""Seconds of a step, after which no larger batch is tried."""
MEASURED = 0.6
"""Seconds for which each size is timed, and at least `STEPS` steps."""
STEPS = 3
SMALLEST = 4
FLAT = 3
"""So many sizes in a row that are no faster than a smaller one: larger ones won't be either."""
LOOK = 0.002
"""Seconds between two looks at the memory of the process."""


@dataclass(frozen=True, slots=True)
class Size:
    """What was measured with a batch size."""

    size: int
    rate: float
    """Items a second."""
    seconds: float
    """Of a step: of the fastest, since what other programs took in between isn't the batch's."""
    memory: int
    """Bytes at the most: of the process on a CPU, of the device elsewhere."""


def find_batch_size(recipe: Recipe, home: Home) -> Answer:
    """Try a checked recipe with ever doubled batches; yields ``{"done", "total", "row"}`` for each.

    It stops before the batch whose memory, foretold from those before, would not be free. Returns
    the `sizes`, the `suggestion`, and why it ended: ``memory``, ``data`` (all
    of them in one batch), ``time`` (a step takes too long), ``slower`` or ``range``.
    Nothing of it is kept. BadInput where the recipe's method has no batch size, or none fits.
    """
    card = chosen("method", recipe.method.name).card
    field = next((f for f in card.fields if f.name == "batch_size"), None)
    if field is None or field.range is None:
        raise BadInput("This method has no batch size to look for", field="method")
    found: list[Size] = []
    why = "range"
    with rehearsing(recipe, home) as tried:
        learns(tried, "batch size")
        device, items = tried.trainee.device, len(tried.feed.rows)
        before = devices.memory_in_use(device)
        limit = before + SAFE * devices.about(device).free
        # As they are chosen once: to choose them for each size would take longer than to time it.
        numerics = tried.trainee.numerics
        fixed = {"precision": numerics.precision, "threads": numerics.threads}
        size = max(int(field.range.low), min(SMALLEST, items))
        total = max(items, size).bit_length() - size.bit_length() + 1
        while True:
            if size > field.range.high:
                break
            if found and (why := ended(found, size, items, before, limit)):
                break
            try:
                found.append(measured(tried, size, fixed))
            except (RuntimeError, MemoryError) as problem:
                if not devices.is_out_of_memory(problem):
                    raise
                why = "memory"
                break
            row = found[-1]
            yield progress(len(found), total, row=shown(row))
            size *= 2
        if not found:
            raise BadInput("Not even the smallest batch fits into memory: take a smaller model",
                           field="model")  # fmt: skip
        return {
            "sizes": [shown(one) for one in found], "suggestion": suggested(found), "why": why,
            "limit": int(limit), "device_name": devices.about(device).name, "items": items,
        }  # fmt: skip


def shown(one: Size) -> dict[str, Any]:
    return {"size": one.size, "rate": one.rate, "seconds": one.seconds, "memory": one.memory}


def ended(found: Sequence[Size], size: int, items: int, before: int, limit: float) -> str:
    """Why the next size isn't tried; empty when it is."""
    if found[-1].size >= items:
        return "data"
    if foretold(found, size, before) > limit:
        return "memory"
    if found[-1].seconds > SLOWEST:
        return "time"
    best = max(range(len(found)), key=lambda at: found[at].rate)
    return "slower" if len(found) - 1 - best >= FLAT else ""


def foretold(found: Sequence[Size], size: int, before: int) -> float:
    """Bytes that a batch will take: what the last two have taken goes on in a straight line.

    Of one alone, all that it took beyond what was in use before counts as its items'.
    """
    last = found[-1]
    each = (last.memory - before) / last.size
    if len(found) > 1:
        earlier = found[-2]
        each = max((last.memory - earlier.memory) / (last.size - earlier.size), 0.0)
        # Memory that was kept for the batch before hides what this one took: never less than half.
        each = max(each, (last.memory - before) / last.size / 2)
    return last.memory + each * (size - last.size)


def suggested(found: Sequence[Size]) -> int:
    """The smallest size whose throughput is close to the best."""
    best = max(one.rate for one in found)
    return next(one.size for one in sorted(found, key=lambda one: one.size)
                if one.rate >= CLOSE * best)  # fmt: skip


def measured(tried: Rehearsal, size: int, fixed: dict[str, Any]) -> Size:
    """A few of the loop's own steps with that batch size."""
    setup, bench = tried.setup, tried.bench
    settings = setup.recipe.method.settings | {"batch_size": size, "accumulate": 1}
    settings |= {name: value for name, value in fixed.items() if name in settings}
    choice = Choice(name=setup.recipe.method.name, settings=settings)
    method = chosen("method", choice.name)(**choice.settings)
    feed, validation = method.feeds(setup.model, setup.task, setup.data, bench)
    trainee = method.trainee(setup.model, setup.task, feed, bench)
    trainee.thaw(max(method.plan.epochs - 1, 0))
    again = Rehearsal(
        type(setup)(setup.recipe, setup.data, setup.task, setup.model, method, setup.blueprint),
        bench, feed, validation, trainee,
    )  # fmt: skip
    groups, items = again.groups(), 0
    seconds: list[float] = []
    with Peak(bench.device) as peak:
        again.step(next(groups))  # builds kernels, and the optimizer's state
        began = time.perf_counter()
        while len(seconds) < STEPS or time.perf_counter() - began < MEASURED:
            group = next(groups)
            started = time.perf_counter()
            again.step(group)
            devices.synchronize(bench.device)
            seconds.append(time.perf_counter() - started)
            items += sum(len(batch) for batch in group)
            if seconds[-1] > SLOWEST:
                break
    fastest = min(seconds)
    return Size(size, items / len(seconds) / fastest, fastest, peak.bytes)


class Peak:
    """The most memory in use while the block runs: as the device tells it, else looked at often."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.bytes = device, 0
        self.counted = device.type in ("cuda", "xpu")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Peak:
        if self.counted:
            getattr(torch, self.device.type).empty_cache()
            getattr(torch, self.device.type).reset_peak_memory_stats(self.device)
        else:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.counted:
            self.bytes = devices.peak_memory(self.device)
        else:
            self._over.set()
            self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._over.wait(LOOK):
            self.bytes = max(self.bytes, process.memory_info().rss)
        self.bytes = max(self.bytes, process.memory_info().rss)
