"""Training a model so that it can do with 8 bits."""

from __future__ import annotations

from collections.abc import Generator

import torch

from engine.compression.aware import put_beside, round_all, rounded
from engine.compression.ranges import fold, roundable
from engine.data.batches import Data, Feed
from engine.device import Numerics
from engine.events import Event
from engine.loop import Trainee, Wish
from engine.methods import Bench
from engine.methods.converting import CONVERTED
from engine.methods.training import Training
from engine.models import Model
from engine.tasks import Task


class QuantizationAware(
    Training, label="Quantization-aware training", fits=CONVERTED, adapts=True, shrinks=True,
    rank=62, suggests={
        "method.epochs": 2, "method.learning_rate": 1e-4, "method.optimizer": "AdamW",
        "method.schedule": "cosine", "method.warmup": 0.1, "method.clip": 1.0,
        "method.average": None, "method.weight_decay": 0.0,
    },
):  # fmt: skip
    """Goes on training with weights and inputs rounded to 8 bits, and keeps them so.

    Jacob et al. 2018: the model learns to make up for the rounding, where post-training int8 loses
    too much. Batch norms are folded into the convolutions before them first. What is kept is a
    model in whole numbers, a quarter of the size. A step costs about twice as much.
    """

    averages = False

    def trainee(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Trainee:
        model.to(bench.device)
        batch = feed.some(self.batch_size)
        fold(model, task, batch)
        put_beside(model, roundable(model, task, feed.some(2)))
        model.train()
        trainee = super().trainee(model, task, feed, bench)
        trainee.plain = rounded
        return trainee

    def run(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, tuple[Trainee, Wish | None]]:
        trainee, wish = yield from super().run(model, task, data, bench)
        round_all(trainee.model)  # which then takes the weights that were kept
        return trainee, wish

    def _numerics(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Numerics:
        """Float32: in bfloat16 what is rounded to 8 bits would be rounded once more."""
        if bench.resume is not None:
            return Numerics(**bench.resume[1]["numerics"])
        return Numerics(channels_last=model.convolutional,
                        threads=self.threads or torch.get_num_threads())  # fmt: skip
