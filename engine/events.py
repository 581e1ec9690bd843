"""All that a run says, in the order it says it. A run yields these and calls nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

End = Literal["finished", "stopped", "paused", "failed"]


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value of one curve.

    `series` is ``split/metric`` (``train/loss``, ``validation/accuracy``), `epoch` counts
    passes over the training data (2.5 is halfway through the third), and `seconds` is training
    time, pauses left out.
    """

    series: str
    step: int
    epoch: float
    seconds: float
    value: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run stands."""

    step: int
    steps: int
    epoch: float
    epochs: int
    seconds: float
    """Training time so far, pauses left out."""
    remaining: float | None
    """Expected seconds to the end; None until it can be told."""
    rate: float | None
    """Items trained on per second."""
    learning_rate: float
    memory: int
    """Bytes: of the process on a CPU, of the device elsewhere; the highest so far."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Something to look at: `data` is JSON whose shape `kind` decides.

    ============ ===============================================================================
    kind         data
    ============ ===============================================================================
    images       {"rows": [{"label": "original", "images": [PNG as base64, …]}, …], "shape": […]}
    scatter      {"x": […], "y": […], "label": [class index or None, …], "classes": [name, …],
                 "rows": [item of the dataset, …] or absent}
    confusion    {"classes": [name, …], "counts": [[true → predicted, …], …]}
    table        {"columns": [name, …], "rows": [[text, …], …], "wrong": [bool a row, …] or None}
    text         {"prompt": text, "text": what was written after it}
    lines        {"plots": [{"title": text, "lines": [{"label": name, "x": […], "y": […]}, …]}, …]}
    ============ ===============================================================================
    """

    name: str
    kind: Literal["images", "scatter", "confusion", "table", "text", "lines"]
    step: int
    epoch: float
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the person who watches."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is on disk, whole."""

    step: int
    best: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event: how the run ended, why, and what it measured."""

    state: End
    reason: str
    metrics: dict[str, Any] = field(default_factory=dict)
    """Flat numbers (``test/accuracy``) and, under ``per_class``, ``baselines`` …, small tables."""


Event = Point | Progress | Sample | Notice | Saved | Finished
