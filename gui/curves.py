"""A run's points, made fit to draw: at most a few thousand a trace, however many there are."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tsdownsample import MinMaxLTTBDownsampler

if TYPE_CHECKING:
    from storage.values import Curve

POINTS = 3000
"""What plotly draws as SVG without stuttering, a trace."""

_downsampler = MinMaxLTTBDownsampler()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Trace:
    """The points of one series in the order of their steps; four arrays of the same length."""

    steps: NDArray[np.int64]
    epochs: NDArray[np.float64]
    seconds: NDArray[np.float64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def nbytes(self) -> int:
        """What it holds in memory."""
        return self.steps.nbytes + self.epochs.nbytes + self.seconds.nbytes + self.values.nbytes

    def take(self, chosen: NDArray[Any] | slice) -> Trace:
        """The points at these indices."""
        return Trace(
            self.steps[chosen], self.epochs[chosen], self.seconds[chosen], self.values[chosen]
        )


Traces = Mapping[str, Trace]


def trace(curve: Curve) -> Trace:
    """A curve as arrays over the same memory: nothing is copied."""
    return Trace(
        np.frombuffer(curve.steps, np.int64),
        np.frombuffer(curve.epochs, np.float64),
        np.frombuffer(curve.seconds, np.float64),
        np.frombuffer(curve.values, np.float64),
    )


def traces(curves: Mapping[str, Curve]) -> dict[str, Trace]:
    """Every series that has a point."""
    return {series: trace(curve) for series, curve in curves.items() if len(curve.steps)}


def between(whole: Trace, low: float | None, high: float | None) -> Trace:
    """The points with ``low ≤ step ≤ high``, and one more at each side so that lines go on."""
    first = 0 if low is None else int(np.searchsorted(whole.steps, low, "left")) - 1
    last = len(whole) if high is None else int(np.searchsorted(whole.steps, high, "right")) + 1
    return whole.take(slice(max(first, 0), max(last, 0)))


def thin(whole: Trace, points: int = POINTS) -> Trace:
    """At most `points` of them, chosen so that the line looks the same.

    MinMaxLTTB (Van Der Donckt et al., 2023) keeps first, last and extremes. A stretch of NaN or
    infinity keeps one point, which is drawn as a gap.
    """
    if len(whole) <= points:
        return whole
    finite = np.isfinite(whole.values)
    if finite.all():
        return whole.take(_choose(whole, points))
    gaps = np.flatnonzero(~finite & np.concatenate(([True], finite[:-1])))
    if len(gaps) > points // 4:
        gaps = gaps[np.linspace(0, len(gaps) - 1, points // 4).astype(np.int64)]
    drawn = np.flatnonzero(finite)
    if len(drawn) > points - len(gaps):
        drawn = drawn[_choose(whole.take(drawn), points - len(gaps))]
    return whole.take(np.union1d(drawn, gaps))


def _choose(whole: Trace, points: int) -> NDArray[np.intp]:
    x, y = np.ascontiguousarray(whole.steps), np.ascontiguousarray(whole.values)
    return np.asarray(_downsampler.downsample(x, y, n_out=max(points, 3)), dtype=np.intp)


def packed(whole: Trace, points: int = POINTS) -> dict[str, Any]:
    """A trace as JSON: columns of equal length, NaN and infinity as null.

    ``of`` counts the points before thinning and ``last`` is the last step among them.
    """
    shown = thin(whole, points)
    return {
        "step": shown.steps.tolist(),
        "epoch": np.round(shown.epochs, 4).tolist(),
        "seconds": np.round(shown.seconds, 3).tolist(),
        "value": [_short(value) for value in shown.values.tolist()],
        "of": len(whole),
        "last": int(whole.steps[-1]) if len(whole) else -1,
    }


def _short(value: float) -> float | None:
    # Seven digits are more than a screen can show, and half the bytes of repr.
    return float(f"{value:.7g}") if math.isfinite(value) else None


class Shelf:
    """What was read of finished runs, kept while it fits: zooming in does not read it again."""

    def __init__(self, limit: int = 128 << 20) -> None:
        self.limit = limit
        """Bytes."""
        self._kept: OrderedDict[Hashable, Traces] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Traces]) -> Traces:
        """What is kept under `key`, else what `read` gives."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = read()
        size = _bytes(found)
        with self._lock:
            if key not in self._kept and size <= self.limit:
                self._kept[key] = found
                self._size += size
                while self._size > self.limit:
                    _, dropped = self._kept.popitem(last=False)
                    self._size -= _bytes(dropped)
        return found

    def __len__(self) -> int:
        return len(self._kept)


def _bytes(held: Traces) -> int:
    return sum(one.nbytes for one in held.values())
