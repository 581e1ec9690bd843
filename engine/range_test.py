"""Which learning rate suits: one short training in which it rises until the loss does.

The range test of Smith 2015, “Cyclical Learning Rates for Training Neural Networks”, section 3.3,
with the rate growing by the same factor each step instead of by the same amount.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from engine import device as devices
from engine.catalog import BadInput
from engine.home import Home
from engine.optimizers import Schedule
from engine.progress import Answer, Answering, progress
from engine.recipe import Recipe
from engine.rehearsal import Rehearsal, learns, rehearsing

LOWEST, HIGHEST = 1e-6, 10.0
STEPS = 140
"""20 of them for a tenfold rate."""
FEWEST = 42
BUDGET = 60.0
"""Seconds: where a step is slow, fewer are taken, and the rate grows faster."""
WIDTH = 0.15
"""Standard deviation of the smoothing, in powers of ten of the rate."""
FALL = 0.02
"""Of the first loss: a fall by less than this is none."""


class Rising(Schedule):
    """From `low` to `high` in so many steps, by the same factor each; the optimizer's own rate is
    `peak`."""

    def __init__(self, low: float, high: float, *, steps: int, peak: float) -> None:
        super().__init__("constant", total=steps, warmup=0, steps_per_epoch=steps)
        self.low, self.growth, self.peak = low, (high / low) ** (1 / max(steps - 1, 1)), peak

    def rate(self, step: int) -> float:
        return float(self.low * self.growth**step)

    def factor(self, step: int) -> float:
        return self.rate(step) / self.peak


def find_rate(recipe: Recipe, home: Home, *, steps: int = STEPS, budget: float = BUDGET) -> Answer:
    """Try a checked recipe with rising learning rates; yields ``{"done", "total", "rate",
    "loss"}`` for each step.

    Returns the rates, their losses, the smoothed losses, and the `suggestion` (None where the loss
    falls nowhere) beside the rate with the `lowest` smoothed loss. Nothing of it is kept.
    BadInput where the recipe's method has no learning rate.
    """
    peak = recipe.method.settings.get("learning_rate")
    if not isinstance(peak, float):
        raise BadInput("This method has no learning rate to look for", field="method")
    with rehearsing(recipe, home) as tried:
        learns(tried, "learning rate")
        started = time.perf_counter()
        rates, losses = yield from _climb(tried, peak, steps, budget)
        device = devices.about(tried.trainee.device).name
    smoothed = smooth(rates, losses)
    return {
        "rates": rates, "losses": losses, "smoothed": smoothed, **suggested(rates, smoothed),
        "seconds": time.perf_counter() - started, "device_name": device,
    }  # fmt: skip


def _climb(
    tried: Rehearsal, peak: float, steps: int, budget: float
) -> Answering[tuple[list[float], list[float]]]:
    """The rates and losses of each step, until the loss has risen far above its beginning."""
    trainee, groups = tried.trainee, tried.groups()
    # Two steps at a rate that changes nothing tell how long one takes.
    trainee.schedule = Rising(LOWEST, LOWEST, steps=2, peak=peak)
    for _ in range(2):
        began = time.perf_counter()
        tried.step(next(groups))
        each = time.perf_counter() - began
    steps = max(min(steps, int(budget / max(each, 1e-9))), min(FEWEST, steps))
    trainee.schedule = rising = Rising(LOWEST, HIGHEST, steps=steps, peak=peak)
    trainee.position.step = 0
    rates: list[float] = []
    losses: list[float] = []
    mean = lowest = first = 0.0
    keep = 10 ** (-7 / steps)  # of the running mean, a tenth is left after a seventh of the way
    for step, group in zip(range(steps), groups, strict=False):
        rate, loss = rising.rate(step), tried.step(group)
        if not math.isfinite(loss):
            break
        rates.append(rate)
        losses.append(loss)
        mean = loss if not step else keep * mean + (1 - keep) * loss
        if step <= steps // 10:
            first = lowest = mean
        lowest = min(lowest, mean)
        yield progress(step + 1, steps, rate=rate, loss=loss)
        if mean - first > max(first - lowest, 0.5 * abs(first)):
            break
    if len(losses) < 3:
        raise BadInput("The loss is no number from the first steps on: choose another precision, "
                       "or look at the data", field="method.precision")  # fmt: skip
    return rates, losses


def smooth(rates: Sequence[float], losses: Sequence[float]) -> list[float]:
    """The losses' weighted means by a Gaussian over the logarithm of the rate, as wide as `WIDTH`:
    unlike a running mean it doesn't lag behind."""
    x, y = np.log10(rates), np.asarray(losses)
    weights = np.exp(-0.5 * ((x[:, None] - x[None, :]) / WIDTH) ** 2)
    return [float(value) for value in weights @ y / weights.sum(1)]


def suggested(rates: Sequence[float], smoothed: Sequence[float]) -> dict[str, float | None]:
    """The rate where the smoothed loss falls fastest over the logarithm of the rate, before it is
    at its lowest; None where it doesn't fall. It has two significant digits."""
    lowest = int(np.argmin(smoothed))
    if lowest < 2 or smoothed[0] - smoothed[lowest] < FALL * abs(smoothed[0]):
        return {"suggestion": None, "lowest": None}
    slope = np.gradient(np.asarray(smoothed), np.log(rates))
    steepest = int(np.argmin(slope[:lowest]))
    return {"suggestion": float(f"{rates[steepest]:.1e}"), "lowest": float(f"{rates[lowest]:.1e}")}
