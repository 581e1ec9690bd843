"""All that is remembered of a run that somebody who gets its model would want to know."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from storage.values import Curve, NoSuchDataset

if TYPE_CHECKING:
    from storage.history import History

POINTS = 300
"""Of a curve, at most."""
KIN = 20


def portrait(history: History, id: int) -> dict[str, Any]:
    """A run with its measures, its curves in few points, those it comes from and its dataset, as
    JSON values. NoSuchRun when there is none."""
    run = history.run(id)
    ancestors, _ = history.family(id, most=KIN)
    return {
        "id": run.id, "name": run.name, "state": run.state, "reason": run.reason,
        "notes": run.notes, "created": run.created, "finished": run.finished,
        "seconds": run.seconds, "device": run.device, "metrics": run.metrics,
        "curves": {name: thinned(curve) for name, curve in history.curves(id).items()},
        "lineage": [{"id": one.id, "name": one.name, "model": one.model, "data": one.data}
                    for one in ancestors],
        "dataset": _dataset(history, run.dataset),
    }  # fmt: skip


def _dataset(history: History, id: int | None) -> dict[str, Any] | None:
    """What an imported dataset is called, where it comes from and in which version it is now."""
    if id is None:
        return None
    try:
        row = history.dataset(id)
    except NoSuchDataset:
        return {"id": id, "name": "", "origin": "", "source": ""}
    return {"id": id, "name": row.name, "origin": row.meta.get("origin", ""), "source": row.source}


def thinned(curve: Curve) -> list[list[float]]:
    """``[step, value]`` of at most so many points, evenly; what isn't finite is left out."""
    stride = max(math.ceil(len(curve) / POINTS), 1)
    places = sorted({*range(0, len(curve), stride), len(curve) - 1}) if len(curve) else []
    return [[curve.steps[i], curve.values[i]] for i in places if math.isfinite(curve.values[i])]
