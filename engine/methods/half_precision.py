"""Weights of 16 bits."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Literal

import torch

from engine.catalog import BadInput, Help
from engine.data.batches import Data, Feed
from engine.device import DTYPES
from engine.events import Event, Notice
from engine.loop import Trainee, Wish
from engine.methods import Bench
from engine.methods.converting import CONVERTED, Converting, smaller
from engine.models import Model
from engine.tasks import Task

Half = Literal["fp16", "bf16"]


class HalfPrecision(
    Converting, label="16-bit weights", fits=CONVERTED, adapts=True, shrinks=True, rank=60,
):  # fmt: skip
    """Keeps a trained model's numbers in 16 bits instead of 32: half the size, the same answers.

    They are computed with in float32, so it is neither faster nor slower than the original.
    """

    def __init__(
        self,
        *,
        kept_as: Annotated[
            Half,
            Help("fp16 keeps three decimal digits of numbers below 65,504; bf16 two, of any size",
                 label="Kept as"),
        ] = "fp16",
    ) -> None:  # fmt: skip
        super().__init__()
        self.dtype = DTYPES[kept_as]

    def trainee(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Trainee:
        trainee = super().trainee(model, task, feed, bench)
        trainee.plain = lambda judged: smaller(judged.state_dict(), self.dtype)
        return trainee

    def make(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, Wish | None]:
        """Round them, so that what is measured is what is kept."""
        farthest = 0.0
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            rounded = tensor.to(self.dtype).float()
            if not torch.isfinite(rounded).all() and torch.isfinite(tensor).all():
                raise BadInput(f"{name} holds a number that is too large for fp16: take bf16",
                               field="method.kept_as")  # fmt: skip
            farthest = max(farthest, float((rounded - tensor).abs().max()) if len(tensor.shape)
                           and tensor.numel() else 0.0)  # fmt: skip
            tensor.copy_(rounded)
        yield Notice(f"Rounded to 16 bits: no weight is farther than {farthest:.2g} from what it "
                     "was")  # fmt: skip
        return bench.wishes()
