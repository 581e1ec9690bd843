"""A recipe's first steps without a run: what is tried here leaves nothing behind."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import torch

from engine import device as devices
from engine import loop, session
from engine.catalog import BadInput
from engine.checkpoint import Checkpoints
from engine.data.batches import Batch, Feed
from engine.home import Home
from engine.loop import Plan, Trainee
from engine.methods import Bench
from engine.recipe import Recipe
from engine.session import Setup
from engine.starts import Start

SCALED = 1000
"""Items by which inputs are scaled here: of large pictures, those of a run take half a minute."""


@dataclass(frozen=True)
class Rehearsal:
    """A recipe's objects, ready for a first step."""

    setup: Setup
    bench: Bench
    feed: Feed
    validation: Feed
    trainee: Trainee

    @property
    def plan(self) -> Plan:
        return self.setup.method.plan

    def groups(self) -> Generator[list[Batch], None, None]:
        """The batches of a step, epoch after epoch without an end; none where there are no
        items."""
        for epoch in count():
            batches = self.feed.batches(epoch)
            some = False
            while group := list(islice(batches, self.plan.accumulate)):
                some = True
                yield group
            if not some:
                return

    def step(self, group: list[Batch]) -> float:
        """The loop's own step; its loss, for which the device is waited for."""
        loss = loop.step(self.trainee, self.setup.task, group, self.plan)
        self.trainee.position.step += 1
        return float(loss)


@contextmanager
def rehearsing(recipe: Recipe, home: Home) -> Iterator[Rehearsal]:
    """A checked recipe as its run would begin; the process and the home are left as they were.

    What a method computes before its first step, and keeps, isn't computed. The weights that learn
    are those that do in the last epoch, when the most do.
    """
    threads = torch.get_num_threads()
    try:
        with tempfile.TemporaryDirectory(dir=home.tmp) as folder:
            kept = Checkpoints(Path(folder))
            try:
                yield _ready(recipe, home, kept)
            finally:
                kept.close()
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _ready(recipe: Recipe, home: Home, kept: Checkpoints) -> Rehearsal:
    device = devices.pick(recipe.device)
    start = Start.of(recipe, home)
    setup = session.make(recipe, home, tokenizer=start.tokenizer if start else None)
    setup.task.prepare(setup.data)
    setup.fit_inputs(SCALED)
    if start is not None:
        session.begin(setup, start)
    bench = Bench(device=device, seed=recipe.seed, kept=kept, wishes=lambda: None, home=home,
                  made=setup.made)  # fmt: skip
    feed, validation = setup.method.feeds(setup.model, setup.task, setup.data, bench)
    trainee = setup.method.trainee(setup.model, setup.task, feed, bench)
    trainee.thaw(max(setup.method.plan.epochs - 1, 0))
    return Rehearsal(setup, bench, feed, validation, trainee)


def learns(rehearsal: Rehearsal, what: str) -> None:
    """BadInput where the method takes no steps of an optimizer."""
    if not rehearsal.plan.epochs or not len(rehearsal.feed):
        label = rehearsal.setup.method.card.label
        raise BadInput(f"“{label}” takes no steps, so it has no {what} to look for", field="method")
