"""Taking away the weights that matter least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from engine.catalog import BadInput, Help, Range
from engine.data.batches import Feed
from engine.loop import Trainee
from engine.methods import Bench
from engine.methods.converting import CONVERTED
from engine.methods.fine_tuning import GENTLE
from engine.methods.training import Training
from engine.models import Model
from engine.tasks import Task

What = Literal["single weights", "whole channels"]
Way = Callable[[Sequence[Tensor], float], Sequence[Tensor]]
UPDATES = 100
"""How often more is taken away, at most."""


class Pruning(
    Training, label="Pruning, then fine-tuning", fits=CONVERTED, adapts=True, shrinks=True, rank=63,
    suggests={**GENTLE, "method.epochs": 5, "method.learning_rate": 3e-4,
              "method.average": None, "method.weight_decay": 0.0},
):  # fmt: skip
    """Sets the smallest weights to zero, a few more at each step, and trains what is left.

    How many are zero rises with the third power (Zhu & Gupta 2017), then the rest recovers. Zeros
    make a compressed file smaller; they don't make it faster, since dense kernels multiply zeros
    like anything else.
    """

    averages = False

    def __init__(
        self,
        *,
        sparsity: Annotated[
            float, Range(0.05, 0.99, step=0.05),
            Help("The share of weights that become zero: most models hardly notice half of them")
        ] = 0.7,
        what: Annotated[
            What,
            Help("The smallest weights of all layers together, or in each layer the channels whose "
                 "weights are smallest", label="What is taken away"),
        ] = "single weights",
        ramp: Annotated[
            float, Range(0, 0.9, step=0.05),
            Help("The share of the run in which weights are taken away; then the rest recovers",
                 label="Taken away over"),
        ] = 0.5,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.sparsity, self.what, self.ramp = sparsity, what, ramp
        self.plan = replace(self.plan, settled=ramp)

    def trainee(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Trainee:
        trainee = super().trainee(model, task, feed, bench)
        pruned = Pruned(prunable(model, self.what), WAYS[self.what])
        over = max(round(self.ramp * trainee.schedule.total), 1)
        every = max(over // UPDATES, 1)

        def after(*_: object) -> None:
            step = min(trainee.position.step + 1, over)
            if step == over or step % every == 0:
                pruned.raise_to(self.sparsity * (1 - (1 - step / over) ** 3))
            pruned.apply()

        trainee.optimizer.register_step_post_hook(after)
        return trainee


class Pruned:
    """Weights of which some are held at zero."""

    def __init__(self, weights: Sequence[Tensor], way: Way) -> None:
        self.weights, self.way = weights, way
        # What is zero already stays so: that is how a run that goes on knows what it took away.
        self.left: Sequence[Tensor] = [weight.detach() != 0 for weight in weights]
        self.share = 0.0

    @torch.no_grad()
    def raise_to(self, share: float) -> None:
        """Take away so much of all, what is zero counted."""
        if share > self.share:
            self.left = self.way(self.weights, share)
            self.share = share

    @torch.no_grad()
    def apply(self) -> None:
        for weight, left in zip(self.weights, self.left, strict=True):
            weight.mul_(left)


def prunable(model: Model, what: What) -> list[Tensor]:
    """The weights of its linear layers and convolutions, each once; of whole channels, not those of
    the classes themselves. BadInput when there is none."""
    found: dict[int, Tensor] = {}
    for part in model.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d) and not is_parametrized(part):
            last = isinstance(part, nn.Linear) and part.out_features == model.outputs
            if part.weight.requires_grad and not (last and what == "whole channels"):
                found[id(part.weight)] = part.weight
    if not found:
        raise BadInput(f"{model.card.label} has no linear layer or convolution whose weights could "
                       "be taken away", field="method")  # fmt: skip
    return list(found.values())


def smallest(weights: Sequence[Tensor], share: float) -> list[Tensor]:
    """What is left of each when the smallest of all together are gone."""
    every = torch.cat([weight.detach().abs().flatten() for weight in weights])
    gone = round(share * every.numel())
    if not gone:
        return [torch.ones_like(weight, dtype=torch.bool) for weight in weights]
    bound = every.kthvalue(gone).values
    return [weight.detach().abs() > bound for weight in weights]


def weakest(weights: Sequence[Tensor], share: float) -> list[Tensor]:
    """What is left of each when the output channels of the smallest norm are gone; at least one of
    a layer stays."""
    kept = []
    for weight in weights:
        norms = weight.detach().flatten(1).norm(dim=1)
        gone = min(round(share * len(norms)), len(norms) - 1)
        left = torch.ones_like(norms, dtype=torch.bool)
        left[norms.argsort(stable=True)[:gone]] = False
        kept.append(left.view(-1, *[1] * (weight.ndim - 1)))
    return kept


WAYS: dict[What, Way] = {"single weights": smallest, "whole channels": weakest}
