"""Whether a classifier is as sure as it is right, and what a threshold costs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from engine import checkpoint
from engine.catalog import BadInput, Frozen
from engine.data.splits import Rows
from engine.home import Home, replacing
from engine.judging import Floats, Judged

BINS = 15
"""Of equal width, as Guo et al. 2017 have them."""
COOLEST, HOTTEST = 0.05, 20.0
"""Temperatures outside mean that the validation split has no mistake, or no right answer."""
MANY = 200
"""Classes of which each has its average precision told at once."""
CURVE = 200
"""Points of a drawn curve."""
STEPS = 100
"""Places of the threshold between 0 and 1."""


class Temperature(Frozen):
    """What a run's logits are divided by before they become probabilities."""

    value: float
    step: int
    """Of the checkpoint that it was fitted for."""
    on: bool = True


def measured(shares: Floats, true: Rows) -> dict[str, Any]:
    """How sure and how right: the expected calibration error (Guo et al. 2017, equation 3), the
    mean negative log-likelihood, and the bins of the reliability diagram, empty ones left out.

    `shares` are probabilities (N, classes) and `true` classes (N,).
    """
    sure, right = shares.max(1), shares.argmax(1) == true
    which = binned(shares)
    bins = [
        {"bin": one, "low": one / BINS, "high": (one + 1) / BINS, "count": int(inside.sum()),
         "confidence": float(sure[inside].mean()), "accuracy": float(right[inside].mean())}
        for one in range(BINS) if (inside := which == one).any()
    ]  # fmt: skip
    # Not torchmetrics': it gives probabilities that round to 1 a bin of their own.
    apart = [bin["count"] * abs(bin["accuracy"] - bin["confidence"]) for bin in bins]
    own = np.maximum(shares[np.arange(len(true)), true].astype(np.float64), 1e-12)
    return {
        "ece": float(sum(apart) / max(len(true), 1)), "nll": float(-np.log(own).mean()),
        "accuracy": float(right.mean()),
        "confidence": float(sure.mean()), "items": len(true), "bins": bins,
    }  # fmt: skip


def binned(shares: Floats) -> npt.NDArray[np.int64]:
    """Which bin of the reliability diagram each item is in (N,), by the probability of what is
    said."""
    which: npt.NDArray[np.int64] = np.ceil(shares.max(1) * BINS).astype(np.int64) - 1
    return which.clip(0, BINS - 1)


def fitted(found: Judged) -> Temperature:
    """The temperature with the least negative log-likelihood (Guo et al. 2017, section 4.2),
    between `COOLEST` and `HOTTEST`. BadInput where that is no number.

    The likelihood is convex in 1/T, so that there is one minimum, and Brent's method finds it.
    """
    from scipy.optimize import minimize_scalar  # takes half a second: only when it is asked

    assert found.logits is not None
    assert found.true is not None
    logits = torch.from_numpy(found.logits.astype(np.float32)).double()
    true = torch.from_numpy(found.true)

    def loss(log: float) -> float:
        return float(F.cross_entropy(logits / math.exp(log), true))

    if not math.isfinite(loss(0)):
        raise BadInput("Some answers of this run aren't numbers: no temperature mends that")
    best = minimize_scalar(
        loss, method="bounded", bounds=(math.log(COOLEST), math.log(HOTTEST)),
        options={"xatol": 1e-6, "maxiter": 200},
    )  # fmt: skip
    return Temperature(value=min(max(math.exp(best.x), COOLEST), HOTTEST), step=found.step)


# --- what is kept with a run ----------------------------------------------------------------


def temperature_of(home: Home, run: int) -> Temperature | None:
    """The one that was fitted for the run's best checkpoint, in use or not."""
    try:
        text = _path(home, run).read_text("utf-8")
        found = Temperature.model_validate_json(text)
    except (OSError, ValueError):
        return None
    entry = checkpoint.entries(home.checkpoints(run)).get("best")
    return found if entry is not None and entry.step == found.step else None


def in_use(home: Home, run: int) -> float:
    """What the run's logits are divided by when it is asked: 1 where nothing is in use."""
    found = temperature_of(home, run)
    return found.value if found is not None and found.on else 1.0


def keep(home: Home, run: int, found: Temperature) -> None:
    """Put it beside the run's checkpoints."""
    with replacing(_path(home, run)) as beside:
        beside.write_text(found.model_dump_json(), encoding="utf-8")


def _path(home: Home, run: int) -> Path:
    return home.run(run) / "temperature.json"


# --- thresholds -----------------------------------------------------------------------------


def precisions(shares: Floats, true: Rows, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The average precision of each class that an item is of, against all others; where there are
    very many, None for each: it is told with the curve."""
    from sklearn.metrics import average_precision_score  # takes a second: only when it is asked

    few = len(classes) <= MANY
    return [
        {"class": name, "items": int(own.sum()),
         "average_precision": float(average_precision_score(own, shares[:, one])) if few else None}
        for one, name in enumerate(classes) if (own := true == one).any()
    ]  # fmt: skip


def apart(shares: Floats, true: Rows, which: int) -> dict[str, Any]:
    """One class against all others: its precision–recall curve, and at each threshold how many
    items are found, missed, falsely said and rightly left.

    BadInput when no item is of the class, or all are.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    own, score = true == which, shares[:, which]
    if not own.any() or own.all():
        raise BadInput("Every item of this split is of this class, or none: there is nothing to "
                       "tell apart")  # fmt: skip
    precision, recall, _ = precision_recall_curve(own, score)
    few = np.unique(np.linspace(0, len(recall) - 1, CURVE).astype(int))
    thresholds = np.linspace(0, 1, STEPS + 1)

    def over(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        return len(scores) - np.searchsorted(np.sort(scores), thresholds, "left")

    found, false = over(score[own]), over(score[~own])
    return {
        "curve": {"recall": recall[few].tolist(), "precision": precision[few].tolist()},
        "thresholds": thresholds.tolist(), "found": found.tolist(), "false": false.tolist(),
        "missed": (int(own.sum()) - found).tolist(), "left": (int((~own).sum()) - false).tolist(),
        "average_precision": float(average_precision_score(own, score)),
    }  # fmt: skip


def shown(home: Home, run: int, test: Judged, validation: Judged | None) -> dict[str, Any]:
    """All that a page shows of a run's calibration: on the test split as the model gives it, and
    over the temperature that fits the validation split, where there is one."""
    if test.true is None:
        raise BadInput("This run says no classes: there is nothing to be sure of")
    known = temperature_of(home, run)
    fits = known or (fitted(validation) if validation is not None else None)
    return {
        "bins": BINS, "before": measured(test.shares(), test.true),
        "after": None if fits is None else measured(test.shares(fits.value), test.true),
        "temperature": None if fits is None else fits.value,
        "on": known is not None and known.on,
    }  # fmt: skip


def switched(home: Home, run: int, found: Temperature, *, on: bool) -> dict[str, Any]:
    """Use a temperature when the run is asked, or no longer."""
    keep(home, run, found.model_copy(update={"on": on}))
    return json.loads(found.model_dump_json()) | {"on": on}  # type: ignore[no-any-return]
