"""The Mackey–Glass series: chaos from one equation with a delay."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt

from engine.catalog import Help, Range
from engine.data.batches import Data
from engine.data.items import Sequences
from engine.data.splits import SPLITS, Rows, Split
from engine.datasets import Dataset
from engine.home import Home

SOURCE = "Computed: Mackey & Glass, Oscillation and chaos in physiological control systems, 1977"
PARTS = (70, 15, 15)
"""Hundredths of the series that are train, validation and test, in the order of time."""
FINE = 10
"""Steps of the integration a step of the series."""
SETTLING = 1_000
"""Steps that are left away: the beginning depends on where it began."""


class MackeyGlass(
    Dataset, label="Mackey–Glass series", provides={"sequence"}, rank=25,
    suggests={"task.relative": False},  # its level never drifts, and tells what comes
):  # fmt: skip
    """A chaotic series like the count of blood cells: forecast well for a while, then worse."""

    source, licence = SOURCE, "CC0: computed by Anneal"

    def __init__(
        self,
        *,
        steps: Annotated[
            int, Range(1_000, 100_000, log=True), Help("Length of the series", unit="steps")
        ] = 6_000,
        delay: Annotated[
            int, Range(5, 100),
            Help("17 is mildly chaotic, 30 wildly; below 17 the series repeats itself",
                 unit="steps"),
        ] = 17,
        noise: Annotated[
            float, Range(0, 0.5, step=0.01),
            Help("Standard deviation of what is added to every value: what no model can tell"),
        ] = 0.0,
    ) -> None:  # fmt: skip
        self.steps, self.delay, self.noise = steps, delay, noise

    def open(self, home: Home) -> Data:
        values = mackey_glass(self.steps, self.delay)
        values += np.random.default_rng(1977).normal(0, self.noise, len(values))
        # In hundred pieces, so that there is something to look at, and splits are made of items.
        offsets = np.linspace(0, len(values), 101).astype(np.int64)
        ends = np.cumsum([0, *PARTS])
        splits: dict[Split, Rows] = {
            split: np.arange(a, b)
            for split, a, b in zip(SPLITS, ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        }
        items = Sequences.of(values.astype(np.float32)[:, None], offsets)
        return Data(
            items=Sequences(items.values, series=np.zeros(100, np.int64)), labels=None,
            classes=(), splits=splits, source=self.source, licence=self.licence,
            fingerprint=f"mackey-glass-{self.steps}-{self.delay}-{self.noise}",
        )  # fmt: skip


def mackey_glass(steps: int, delay: int) -> npt.NDArray[np.float64]:
    """x' = 0.2·x(t − delay) / (1 + x(t − delay)¹⁰) − 0.1·x, a value at each whole t.

    Runge–Kutta of fourth order at tenths of a step; between them the past is interpolated.
    """
    lag, count = delay * FINE, (steps + SETTLING) * FINE
    x = np.empty(lag + count + 1)
    x[: lag + 1] = 1.2 + 0.1 * np.random.default_rng(0).uniform(-1, 1)
    h = 1 / FINE

    def production(past: float) -> float:
        return 0.2 * past / (1 + past**10)

    said = x.tolist()  # plain numbers: five times as fast as an array's, one by one
    for t in range(lag, lag + count):
        now, old, new = said[t], production(said[t - lag]), production(said[t - lag + 1])
        half = production((said[t - lag] + said[t - lag + 1]) / 2)
        a = old - 0.1 * now
        b = half - 0.1 * (now + h / 2 * a)
        c = half - 0.1 * (now + h / 2 * b)
        d = new - 0.1 * (now + h * c)
        said[t + 1] = now + h / 6 * (a + 2 * b + 2 * c + d)
    return np.array(said[lag + SETTLING * FINE : lag + count : FINE])
