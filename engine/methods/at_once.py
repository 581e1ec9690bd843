"""Making a model able to answer without training it: its head is computed, not learned."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Generator
from typing import ClassVar

import torch

from engine.data.batches import Data, Feed
from engine.data.splits import Split
from engine.device import Numerics, about
from engine.events import Event, Notice, Point
from engine.loop import Interrupted, Plan, Trainee, Wish, evaluate
from engine.methods import Bench, Method
from engine.methods.linear_probe import with_head
from engine.models import Model
from engine.optimizers import Schedule, optimizer
from engine.tasks import Task


class AtOnce(Method):
    """Computes a model's head; everything below stays as the start has it.

    A subclass says how, in `make`. Validation and test are measured where there are such items.
    """

    splits: ClassVar[frozenset[Split]] = frozenset()
    augments = frozenset[str]()
    batch_size = 64

    def __init__(self) -> None:
        self.plan = Plan(epochs=0)

    @abstractmethod
    def make(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, Wish | None]:
        """Put the head's weights into the model, which is on its device and in eval mode; returns
        a wish to cancel or to pause that came before it was done."""

    def ready(self, model: Model, bench: Bench) -> None:
        """Give the model the form in which a checkpoint has it, and hold what stays as it is."""
        model.freeze(with_head(model).levels()[:-1])

    def feeds(self, model: Model, task: Task, data: Data, bench: Bench) -> tuple[Feed, Feed]:
        train = self.judging(data, "train", bench.device)
        return train, self.judging(data, "validation", bench.device)

    def judging(self, data: Data, split: Split, device: torch.device) -> Feed:
        return Feed(data, split, batch_size=self.batch_size, device=device)

    def trainee(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Trainee:
        # Float32, since it is done once; pictures pass in the order that convolutions like best.
        numerics = Numerics(
            threads=torch.get_num_threads(), channels_last=model.convolutional,
        )  # fmt: skip
        numerics.place(model, bench.device)
        self.ready(model, bench)
        trainee = Trainee(
            model=model, device=bench.device, numerics=numerics,
            # Neither takes a step: a checkpoint has them.
            optimizer=optimizer(model, "SGD", learning_rate=1.0, weight_decay=0.0, momentum=0.0),
            schedule=Schedule("constant", total=1, warmup=0.0, steps_per_epoch=1),
        )  # fmt: skip
        if bench.resume is not None:
            trainee.restore(*bench.resume)
        return trainee

    def run(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, tuple[Trainee, Wish | None]]:
        training, validation = self.feeds(model, task, data, bench)
        trainee = self.trainee(model, task, training, bench)
        yield Notice(f"Computing in {trainee.numerics} on {about(bench.device).name}")
        started = time.perf_counter() - trainee.position.seconds
        if bench.resume is None:
            trainee.model.eval()
            with torch.no_grad():
                wish = yield from self.make(model, task, data, bench)
            if wish in ("cancel", "pause"):
                return trainee, wish
        if len(validation.rows):
            try:
                scores = evaluate(trainee, task, data, validation, wishes=bench.wishes)
            except Interrupted as asked:
                return trainee, asked.wish
            numbers = {name: value for name, value in scores.items() if isinstance(value, float)}
            trainee.position.best_scores = numbers
            trainee.position.seconds = time.perf_counter() - started
            for name, value in numbers.items():
                yield Point(f"validation/{name}", 0, 0.0, trainee.position.seconds, value)
        trainee.position.seconds = time.perf_counter() - started
        bench.kept.save(trainee.snapshot(), best=True)
        return trainee, None
