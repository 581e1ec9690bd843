"""Adapting all weights, the head before the rest."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any

from engine.catalog import Help, Range, Value
from engine.methods.linear_probe import with_head
from engine.methods.training import Training
from engine.models import Model, is_of

GROUPS = 5
"""Below the head, at most."""
GENTLE: dict[str, Value] = {
    "method.epochs": 10, "method.warmup": 0.3, "method.clip": 1.0, "method.optimizer": "AdamW",
}  # fmt: skip
"""What spares weights that have learned something."""


class HeadFirst(
    Training, label="Head first, then all", fits={"logits"}, adapts=True, rank=21,
    suggests={**GENTLE, "method.learning_rate": 5e-4},
):  # fmt: skip
    """Trains the new head alone until it makes sense, then everything: spares what was learned.

    A head of random weights would at first send large, senseless gradients through the features
    (Kumar et al. 2022).
    """

    def __init__(
        self,
        *,
        alone: Annotated[
            int, Range(1, 1000),
            Help("The rest stays as it is for so many epochs", label="Head alone", unit="epochs"),
        ] = 2,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.alone = alone

    def thaw(self, model: Model) -> Callable[[int], None]:
        *below, _ = with_head(model).levels()
        return lambda epoch: model.freeze(below if epoch < self.alone else ())


class GradualUnfreezing(
    Training, label="Gradual unfreezing", fits={"logits"}, adapts=True, rank=22,
    suggests={**GENTLE, "method.learning_rate": 1e-3},
):  # fmt: skip
    """Thaws the model from its head downwards, lower layers learning more slowly (ULMFiT).

    Howard & Ruder 2018: after each epoch another group of layers learns too, five below the head,
    and each learns at a rate 2.6 times smaller than the one above it.
    """

    def __init__(
        self,
        *,
        each: Annotated[
            int, Range(1, 1000),
            Help("Another group of layers is thawed after so many", label="Thaw every",
                 unit="epochs"),
        ] = 1,
        slower: Annotated[
            float, Range(1, 10, step=0.1),
            Help("A group's learning rate is so many times smaller than that of the one above it",
                 label="Slower by"),
        ] = 2.6,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.each, self.slower = each, slower

    def thaw(self, model: Model) -> Callable[[int], None]:
        *below, _ = groups(model)

        def thaw(epoch: int) -> None:
            still = below[: max(len(below) - epoch // self.each, 0)]
            model.freeze(level for group in still for level in group)

        return thaw

    def share(self, model: Model) -> Callable[[str], float]:
        depths = {
            name: depth
            for depth, group in enumerate(reversed(groups(model)))
            for level in group for name in level
        }  # fmt: skip
        return lambda name: next(
            self.slower**-depth for part, depth in depths.items() if is_of(name, part)
        )


def groups(model: Model) -> list[list[tuple[str, ...]]]:
    """A model's levels in a few groups, from the input to the output, the head by itself: with one
    for each layer of a deep network, the lowest would learn at a rate of nothing."""
    *below, head = with_head(model).levels()
    count = min(len(below), GROUPS)
    edges = [round(i * len(below) / count) for i in range(count + 1)]
    return [*(below[a:b] for a, b in pairwise(edges)), [head]]
