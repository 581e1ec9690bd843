"""Training nothing but the head, on features that are computed once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import device as devices
from engine.catalog import BadInput
from engine.data.batches import Batch, Data, Feed
from engine.data.splits import Rows, Split
from engine.events import Event, Notice
from engine.loop import Trainee, Wish
from engine.methods import Bench
from engine.methods.training import Training
from engine.models import Headed, Model, learned
from engine.tasks import Task

MOST = 0.5
"""Of the memory that is free, features may take this share."""


class LinearProbe(
    Training, label="Linear probe", fits={"logits"}, adapts=True, rank=20,
    suggests={
        "method.epochs": 30, "method.batch_size": 64, "method.learning_rate": 0.02,
        "method.weight_decay": 1e-4, "method.clip": None, "method.batch_tokens": None,
        "method.optimizer": "AdamW",
    },
):  # fmt: skip
    """Trains only the head, over features that stay as they are: seconds, and few labels suffice.

    Every item goes through the frozen part once, as it is, without random changes; from then on
    the head learns from what came out (Alain & Bengio 2016): one linear layer, or the dense ones
    that a model has instead. It shows what features are worth, and is the safest way to adapt
    where there are few labels.
    """

    def feeds(self, model: Model, task: Task, data: Data, bench: Bench) -> tuple[Feed, Feed]:
        headed = with_head(model)
        training = Features(
            headed, data, "train", batch_size=self.batch_size, batch_tokens=self.batch_tokens,
            device=bench.device, seed=bench.seed, shuffle=True,
        )  # fmt: skip
        checking = Features(
            headed, data, "validation", batch_size=4 * self.batch_size, device=bench.device,
            batch_tokens=self.batch_tokens and 2 * self.batch_tokens,
        )  # fmt: skip
        return training, checking

    def trainee(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Trainee:
        model.to(bench.device)
        model.freeze(model.levels()[:-1])
        return super().trainee(model, task, feed, bench)

    def before(self, feeds: Sequence[Feed], bench: Bench) -> Generator[Event, None, Wish | None]:
        """Compute all features."""
        started, items = time.perf_counter(), sum(len(feed.rows) for feed in feeds)
        yield Notice(f"Computing the features of {items:,} items, once")
        for feed in feeds:
            assert isinstance(feed, Features)
            if wish := feed.compute(bench.wishes):
                return wish
        yield Notice(f"Computed in {time.perf_counter() - started:.1f} s")
        return None


def with_head(model: Model) -> Headed:
    """The same model; BadInput where its last layer isn't a head that can be trained alone."""
    if not isinstance(model, Headed) or not learned(model.head):
        raise BadInput(
            f"{model.card.label} has no last layer that could be trained alone with these "
            "settings: train all weights",
            field="method",
        )
    return model


class Features(Feed):
    """A split as what a model's frozen part makes of it, computed once an item."""

    def __init__(self, model: Headed, data: Data, split: Split, **how: Any) -> None:
        super().__init__(data, split, **how)
        self.raw = Feed(data, split, **{**how, "shuffle": False})
        self.raw.ahead = self.ahead = False  # the model that trains is the one that is asked
        self.model = model
        self.places = np.full(int(self.rows.max(initial=-1)) + 1, -1)
        """Where each row's features are kept."""
        self.places[self.rows] = np.arange(len(self.rows))
        self.known = np.zeros(len(self.rows), bool)
        self.kept: Tensor | None = None

    def compute(self, wishes: Callable[[], Wish | None]) -> Wish | None:
        """All of them, always in the same batches, so that a run that was resumed has the same
        bits. Returns a wish to cancel or to pause. BadInput where they take too much memory."""
        for batch in self.raw.batches():
            assert batch.rows is not None
            self._keep(batch.rows, batch)
            wish = wishes()
            if wish in ("cancel", "pause"):
                return wish
        return None

    def inputs(self, rows: Rows, epoch: int, number: int) -> dict[str, Tensor]:
        missing = rows[~self.known[self.places[rows]]]
        if len(missing):  # nobody has asked for all of them: only some steps are timed
            self._keep(missing, self.raw.batch(missing))
        assert self.kept is not None
        return {"features": self.kept[torch.from_numpy(self.places[rows])].to(self.device)}

    def some(self, count: int) -> Batch:
        """At most so many items, as they are: to be looked at."""
        return self.raw.some(count)

    def _keep(self, rows: Rows, batch: Batch) -> None:
        """The features of these rows, in main memory."""
        training = self.model.training
        self.model.eval()
        # In float32, whoever asks: within a validation there may be another precision.
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            found = self.model.embed(**batch.inputs).float().cpu()
        self.model.train(training)
        if self.kept is None:
            room(len(self.rows), found.shape[1])
            self.kept = torch.empty(len(self.rows), found.shape[1])
        places = self.places[rows]
        self.kept[torch.from_numpy(places)] = found
        self.known[places] = True


def room(items: int, width: int) -> None:
    """BadInput where so many features of that width take too much of the memory that is free."""
    wanted = 4 * items * width
    if wanted > MOST * devices.about(torch.device("cpu")).free:
        raise BadInput(
            f"The features of {items:,} items would take {wanted / 1e9:.1f} GB of memory: train "
            "all weights, or take a model that leaves fewer numbers of an item",
            field="method",
        )
