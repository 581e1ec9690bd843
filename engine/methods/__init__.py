"""Methods: the ways of training, each a strategy over the one loop."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from engine.catalog import Choosable
from engine.checkpoint import Checkpoints
from engine.data.batches import Data, Feed
from engine.data.splits import Split
from engine.device import about
from engine.events import Event, Notice
from engine.home import Home
from engine.loop import Plan, Trainee, Wish, train
from engine.models import Model
from engine.tasks import Task


@dataclass(frozen=True)
class Bench:
    """What a method works with besides model, task and data."""

    device: torch.device
    seed: int
    kept: Checkpoints
    wishes: Callable[[], Wish | None]
    home: Home
    resume: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = None
    """Weights and state of the checkpoint to go on from."""
    made: Sequence[Any] = ()
    """What decides the model beside its weights, as JSON values: its name and settings."""


class Method(Choosable, kind="method"):
    """A way of training, over the one loop."""

    plan: Plan
    splits: ClassVar[frozenset[Split]] = frozenset({"train", "validation", "test"})
    """Those that must hold items."""

    augments: ClassVar[frozenset[str]] = frozenset({"items", "label", "shares"})
    """What it can learn from, as `Task.augments` says it."""

    takes_all: ClassVar[bool] = False
    """Whether every weight must come from the start: what was made by chance would never learn."""

    def equip(self, model: Model) -> None:
        """Change what lies over a model's features, where the method makes another head than the
        model's own; called as `Task.equip` is, after it."""

    @abstractmethod
    def feeds(self, model: Model, task: Task, data: Data, bench: Bench) -> tuple[Feed, Feed]:
        """The training and the validation split as batches."""

    def goes_through(self, feed: Feed) -> int:
        """Training items that are looked at where no step is taken (`Plan.epochs` of 0)."""
        return len(feed.rows)

    @abstractmethod
    def judging(self, data: Data, split: Split, device: torch.device) -> Feed:
        """A split as batches that nothing is learned from."""

    @abstractmethod
    def trainee(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Trainee:
        """What `run` trains with `feed`, ready for its first step."""

    def before(self, feeds: Sequence[Feed], bench: Bench) -> Generator[Event, None, Wish | None]:
        """What is done before the first step; returns a wish to end it, None to go on."""
        yield from ()
        return None

    def run(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, tuple[Trainee, Wish | None]]:
        """Train; returns what was trained and the wish that ended it, None at the plan's end."""
        feeds = self.feeds(model, task, data, bench)
        trainee = self.trainee(model, task, feeds[0], bench)
        yield Notice(f"Computing in {trainee.numerics} on {about(bench.device).name}")
        learning, whole = trainee.model.trainable_count(), trainee.model.parameter_count()
        if learning < whole:
            yield Notice(f"Training begins with {learning:,} of {whole:,} parameters")
        started = time.perf_counter()
        if wish := (yield from self.before(feeds, bench)):
            return trainee, wish
        trainee.position.seconds += time.perf_counter() - started
        wish = yield from train(trainee, task, data, feeds, self.plan, bench.kept, bench.wishes)
        return trainee, wish
