"""Tasks: what is asked of a model, how wrong it is, and how its answers are shown."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

from torch import Tensor

from engine.catalog import Choosable
from engine.data.batches import Batch, Data


class Meter(Protocol):
    """Adds up a split's measures, batch by batch."""

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        """Take in what `Task.step` gave for a batch. Waits for no device."""

    def compute(self) -> dict[str, Any]:
        """The measures: numbers by name, and tables by name (lists, dicts) for the run's page."""


class Task(Choosable, kind="task"):
    """What is asked of a model. A task owns its loss and its metrics.

    `headline` names the measure to show first; `larger_is_better` says in which direction.
    """

    headline: ClassVar[str]
    larger_is_better: ClassVar[bool]
    augments: ClassVar[bool] = True
    """Whether the training split is fed with the dataset's augmentation."""

    def prepare(self, data: Data) -> None:
        """Learn what the task must know of the training data, class frequencies say."""

    @abstractmethod
    def step(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """``{"loss": scalar, the mean over the batch, "output": what the model gave}``."""

    @abstractmethod
    def meter(self, data: Data) -> Meter:
        """A fresh meter."""

    def uncertainty(self, scores: Mapping[str, Any], items: int) -> float:
        """How far apart two epochs' headlines are still the same, measured over so many items."""
        return 0.0

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """What no model, or a classical one, reaches on the test split: ``{name: {metric: x}}``."""
        return {}

    def samples(
        self, model: Any, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        """Things worth seeing after an epoch: a fixed batch of the validation split, its scores.

        Yields (name, kind, data) as `engine.events.Sample` takes them.
        """
        yield from ()

    @abstractmethod
    def show(self, model: Any, batch: Batch, classes: tuple[str, ...]) -> list[dict[str, Any]]:
        """One JSON object an item: the model's answer as a person wants to see it."""
