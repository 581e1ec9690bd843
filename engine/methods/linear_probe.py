"""Training nothing but the head, on features that are computed once."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

import torch

from engine.catalog import BadInput
from engine.data.batches import Data, Feed
from engine.data.splits import Split
from engine.device import Numerics, PrecisionName
from engine.events import Event, Notice
from engine.features import Features, Store, quickest
from engine.loop import Trainee, Wish
from engine.methods import Bench
from engine.methods.training import Training
from engine.models import Headed, Model, learned
from engine.tasks import Task


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

    augments = frozenset[str]()  # features are computed once

    def feeds(self, model: Model, task: Task, data: Data, bench: Bench) -> tuple[Feed, Feed]:
        headed = with_head(model)
        numerics = quickest(headed, bench.device, self._asked())

        def find() -> Store:
            return Store.of(headed, bench.made, data, numerics, bench.home.cache)

        store = None if self.deterministic else find

        def features(split: Split, **how: Any) -> Features:
            return Features(headed, data, split, numerics=numerics, find=store, **how)

        self.features = features
        training = features(
            "train", batch_size=self.batch_size, batch_tokens=self.batch_tokens,
            device=bench.device, seed=bench.seed, shuffle=True,
        )  # fmt: skip
        return training, self.judging(data, "validation", bench.device)

    def judging(self, data: Data, split: Split, device: torch.device) -> Feed:
        return self.features(
            split, batch_size=4 * self.batch_size, device=device,
            batch_tokens=self.batch_tokens and 2 * self.batch_tokens,
        )  # fmt: skip

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
            if wish := (yield from feed.compute(bench.wishes)):
                return wish
        yield Notice(f"Computed in {time.perf_counter() - started:.1f} s")
        return None

    def _asked(self) -> PrecisionName:
        """The precision of the frozen part."""
        return "fp32" if self.deterministic and self.precision == "auto" else self.precision

    def _numerics(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Numerics:
        """The head learns in float32, which costs nothing; its features have their own."""
        if bench.resume is not None:
            return Numerics(**bench.resume[1]["numerics"])
        return Numerics(channels_last=model.convolutional,
                        threads=self.threads or torch.get_num_threads())  # fmt: skip


def with_head(model: Model) -> Headed:
    """The same model; BadInput where its last layer isn't a head that can be trained alone."""
    if not isinstance(model, Headed) or not learned(model.head):
        raise BadInput(
            f"{model.card.label} has no last layer that could be trained alone with these "
            "settings: train all weights",
            field="method",
        )
    return model
