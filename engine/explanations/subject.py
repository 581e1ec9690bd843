"""What is explained: one item, one number of a model's answer to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.data.batches import Batch, Data
from engine.explanations.grounds import GROUNDS, Ground
from engine.models import Model
from engine.tasks import Numbers

if TYPE_CHECKING:
    from engine.home import Home
    from engine.session import Setup

AT_ONCE = 64
"""Variants of an item that a model is asked about at a time, at most."""
NUMBERS = 2**21
"""Of the input, or of what it becomes, that are computed on at a time."""


class TakenBack(Exception):
    """Nobody wants the explanation any more."""


def silent(share: float) -> None:
    """Tells nobody."""


@dataclass
class Subject:
    """One item that a run has answered to."""

    setup: Setup
    home: Home
    batch: Batch
    seen: dict[str, Any]
    """What a page is told of the item (`engine.predict.read`)."""
    target: int = 0
    """Which number is explained."""
    against: int | None = None
    """And which is taken off it: why the one rather than the other."""
    other: Batch | None = None
    """A second item, where an explanation leads from the one to the other."""
    say: Callable[[float], None] = silent
    """Takes the share that is done; raises TakenBack when nobody waits any more."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What was found out about this item, for whoever asks next."""
    known: dict[str, Any] = field(default_factory=dict)
    """What was found out about these weights, kept for the next item."""
    done: int = 0
    expected: int = 0

    @property
    def model(self) -> Model:
        return self.setup.model

    @property
    def data(self) -> Data:
        """The outline of what the run has learned from: no item."""
        return self.setup.data

    @cached_property
    def ground(self) -> Ground:
        return GROUNDS[self.data.items.kind](self.batch, self.model, self.data, self.seen)

    @cached_property
    def numbers(self) -> Numbers | None:
        """What of the answer can be explained, if anything."""
        # Not in inference mode: what is made here is part of what gradients go through.
        with torch.no_grad():
            return self.setup.task.numbers(self.model, self.batch, self.data)

    def outputs(self, values: Tensor) -> Tensor:
        """(n, numbers) of variants (n, …) of the item."""
        assert self.numbers is not None
        self.tick(len(values))
        return self.numbers.of(self.ground.inputs(values)).float()

    def score(self, values: Tensor) -> Tensor:
        """(n,), the explained number of variants (n, …) of the item."""
        found = self.outputs(values)
        wanted = found[:, self.target]
        return wanted if self.against is None else wanted - found[:, self.against]

    def read(self) -> Tensor:
        """The item as the model sees it before it answers: features (1, F), or an answer."""
        if self.numbers is not None:
            return self.outputs(self.ground.values)
        found: Tensor = self.model.embed(**self.batch.inputs)  # type: ignore[operator]
        return found

    def expect(self, variants: int) -> None:
        """So many more variants are going to be asked about: for the progress."""
        self.expected += variants

    def tick(self, variants: int = 1) -> None:
        self.done += variants
        self.say(min(self.done / max(self.expected, self.done, 1), 1.0))

    @property
    def at_once(self) -> int:
        """Variants of the item that a model is asked about together."""
        numbers = self.ground.values[0].numel() * self.ground.deep
        return max(1, min(AT_ONCE, NUMBERS // max(numbers, 1)))

    @torch.inference_mode()
    def measured(self, masks: Sequence[Tensor]) -> tuple[Tensor, bool]:
        """(n,) of the item without what each mask is true at: the probability of what is
        explained (of the two, where it is explained against another), else how far its value moved
        from the first's. And whether it is the second."""
        assert self.numbers is not None
        found = []
        for at in range(0, len(masks), self.at_once):
            some = torch.stack(list(masks[at : at + self.at_once]))
            found.append(self.outputs(self.ground.removed(some.to(self.ground.values.device))))
        outputs = torch.cat(found).cpu()
        if self.numbers.shares is None:
            values = outputs[:, self.target]
            if self.against is not None:
                values = values - outputs[:, self.against]
            return (values - values[0]).abs(), True
        shares = self.numbers.shares(outputs)
        wanted = shares[:, self.target]
        if self.against is not None:
            wanted = wanted / (wanted + shares[:, self.against]).clamp(min=1e-12)
        return wanted, False


@contextmanager
def plainly(model: nn.Module) -> Iterator[None]:
    """While gradients are asked for: nothing is written over what they need, and layers whose
    fused form knows no way back in evaluation take the other one."""
    changed = [module for module in model.modules() if getattr(module, "inplace", False)]
    wanted = [one for one in model.parameters() if one.requires_grad]
    for module in changed:
        module.inplace = False  # type: ignore[assignment]
    for one in wanted:
        one.requires_grad_(False)  # only the input's gradient is wanted: half of the way back
    try:
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        for module in changed:
            module.inplace = True  # type: ignore[assignment]
        for one in wanted:
            one.requires_grad_(True)
