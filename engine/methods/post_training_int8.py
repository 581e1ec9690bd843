"""Weights and inputs of 8 bits, found after training."""

from __future__ import annotations

import copy
import time
from collections.abc import Generator
from typing import Annotated

from engine.catalog import Help, Range
from engine.compression.racing import told
from engine.compression.ranges import Ranges, fold, roundable
from engine.data.batches import Data, Feed
from engine.data.splits import evenly
from engine.events import Event, Notice
from engine.loop import Wish
from engine.methods import Bench
from engine.methods.converting import CONVERTED, Converting
from engine.models import Model
from engine.tasks import Task


class PostTrainingInt8(
    Converting, label="Post-training int8", fits=CONVERTED, adapts=True, shrinks=True, rank=61,
):  # fmt: skip
    """Keeps weights and inputs of a trained model's layers in 8 bits: a quarter of the size.

    Linear layers and convolutions over pictures are rounded, each with the ranges that some
    training items show (Jacob et al. 2018); batch norms are folded into the convolutions before
    them. Nothing is trained: it takes seconds. Whether whole numbers are faster depends on the
    processor, which is timed layer by layer.
    """

    splits = frozenset({"train"})

    def __init__(
        self,
        *,
        items: Annotated[
            int, Range(1, 100_000),
            Help("Training items that show which numbers reach each layer: a few hundred suffice",
                 label="Calibrated on", unit="items"),
        ] = 512,
    ) -> None:  # fmt: skip
        super().__init__()
        self.items = items

    def goes_through(self, feed: Feed) -> int:
        return min(self.items, len(feed.rows))

    def make(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, Wish | None]:
        original = copy.deepcopy(model)
        feed = self.judging(data, "train", bench.device)
        feed.rows = evenly(feed.rows, self.items)
        folded = fold(model, task, feed.some(self.batch_size))
        ranges = Ranges(model, roundable(model, task, feed.some(2)))
        for batch in feed.batches():
            task.step(model, batch)
            if (wish := bench.wishes()) in ("cancel", "pause"):
                return wish
        ranges.round()
        if folded:
            yield Notice(f"{folded} batch norms folded into the convolutions before them")
        started = time.perf_counter()
        said = told(original, model, task, feed)
        yield Notice(f"{said} (timed in {time.perf_counter() - started:.1f} s)")
        return None
