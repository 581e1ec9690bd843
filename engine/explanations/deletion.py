"""Is an explanation better than chance? What is called important is taken away, part by part."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.explanations.subject import Subject

STEPS = 10
"""Parts in which all is taken away."""
DRAWS = 8
"""Random orders beside that of the explanation."""
VARIANTS = 2 + (STEPS - 1) * (1 + DRAWS)
"""Of the item that are asked about, at most."""


def deletion(subject: Subject, importance: Tensor, *, seed: int = 0) -> dict[str, Any]:
    """How fast the explained number falls when the most important cells go first (the deletion
    curve of Petsiuk et al. 2018), beside several random orders of the same cells.

    `importance` has the shape of the ground's places. "area" is the mean of each curve: where a
    probability falls, the smaller is the better; where only a value moves away ("moves"), the
    larger. "beaten" counts the random orders that do worse.
    """
    cells = subject.ground.cells
    inside = cells >= 0
    number = int(cells.max()) + 1
    if number < 2:
        return {}
    counts = torch.zeros(number).index_add_(0, cells[inside], torch.ones(int(inside.sum())))
    sums = torch.zeros(number).index_add_(0, cells[inside], importance[inside])
    there = (counts > 0).nonzero().flatten()
    means = (sums / counts.clamp(min=1))[there]
    chance = torch.Generator().manual_seed(seed)
    orders = [there[means.argsort(descending=True, stable=True)]]
    orders += [there[torch.randperm(len(there), generator=chance)] for _ in range(DRAWS)]
    steps = min(STEPS, len(there))
    gone = [round(len(there) * step / steps) for step in range(steps + 1)]
    masks = [torch.zeros_like(cells, dtype=torch.bool), inside]
    for order in orders:
        rank = torch.full((number + 1,), number)  # the last is for places in no cell
        rank[order] = torch.arange(len(order))
        masks += [rank[cells] < many for many in gone[1:-1]]
    found, moves = subject.measured(masks)
    first, last, rest = float(found[0]), float(found[1]), found[2:].view(len(orders), -1)
    curves = [[first, *curve, last] for curve in rest.tolist()]
    areas = [_area(curve) for curve in curves]
    sign = -1 if moves else 1
    beaten = sum(sign * areas[0] < sign * area - 1e-6 for area in areas[1:])
    random = torch.tensor(curves[1:])
    return {
        "removed": [round(many / len(there), 4) for many in gone],
        "explained": _rounded(curves[0]), "random": _rounded(random.mean(0).tolist()),
        "low": _rounded(random.min(0).values.tolist()),
        "high": _rounded(random.max(0).values.tolist()),
        "area": round(areas[0], 4), "random_area": round(sum(areas[1:]) / DRAWS, 4),
        "beaten": beaten, "draws": DRAWS, "moves": moves,
    }  # fmt: skip


def _area(curve: list[float]) -> float:
    """The mean height under a curve of equal steps, by trapezoids."""
    return (sum(curve) - (curve[0] + curve[-1]) / 2) / (len(curve) - 1)


def _rounded(curve: list[float]) -> list[float]:
    return [round(value, 5) for value in curve]
