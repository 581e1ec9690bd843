"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

OptimizerName = Literal["AdamW", "Adam", "SGD"]
ScheduleName = Literal["one-cycle", "cosine", "step", "constant", "plateau"]

# Fused: one pass over each parameter instead of a dozen; on a CPU 1.1–1.3 times as fast a step.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "AdamW": lambda groups, *, lr, momentum: torch.optim.AdamW(
        groups, lr=lr, betas=(momentum, 0.999), fused=True
    ),
    "Adam": lambda groups, *, lr, momentum: torch.optim.Adam(
        groups, lr=lr, betas=(momentum, 0.999), fused=True
    ),
    "SGD": lambda groups, *, lr, momentum: torch.optim.SGD(
        groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=True
    ),
}


def optimizer(
    model: nn.Module, name: str, *, learning_rate: float, weight_decay: float, momentum: float,
    share: Callable[[str], float] = lambda name: 1.0,
) -> torch.optim.Optimizer:  # fmt: skip
    """The optimizer over every trainable parameter; biases and norms are not decayed.

    `share` is how much of the learning rate a parameter gets, by its name.
    """
    # One group is one fused launch: several only where they differ.
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for path, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        # By what is larger than 1: the gains of weight norm have as many dimensions as the weights.
        matrix = sum(side > 1 for side in parameter.shape) > 1
        decay = weight_decay if matrix else 0.0
        groups.setdefault((share(path), decay), []).append(parameter)
    return OPTIMIZERS[name](
        [
            {"params": those, "weight_decay": decay, "lr": learning_rate * part}
            for (part, decay), those in sorted(
                groups.items(), key=lambda group: group[0], reverse=True
            )
        ],
        lr=learning_rate, momentum=momentum,
    )  # fmt: skip


class Schedule:
    """The learning rate's factor at each step, a pure function of the step.

    `total` is the number of steps of the whole run, `warmup` the share of them spent rising.
    """

    def __init__(
        self, name: str, *, total: int, warmup: float, steps_per_epoch: int, drop_every: int = 10
    ) -> None:
        self.curve = CURVES[name]
        self.total = max(total, 1)
        self.warmup = max(round(warmup * total), 1)
        self.drop_every = drop_every * steps_per_epoch
        self.watching = name in WATCHING
        self.reductions = 0
        self.best: float | None = None
        self.waited = 0

    def factor(self, step: int) -> float:
        """What the learning rate is multiplied with in step number `step`, counted from 0."""
        return self.curve(self, step) * 0.2**self.reductions

    def observe(self, loss: float, *, patience: int = 3) -> bool:
        """Tell the validation loss after an epoch; True when the rate was just reduced."""
        if not self.watching:
            return False
        if self.best is None or loss < self.best * (1 - 1e-4):
            self.best, self.waited = loss, 0
            return False
        self.waited += 1
        if self.waited <= patience:
            return False
        self.reductions, self.waited = self.reductions + 1, 0
        return True

    def state(self) -> dict[str, Any]:
        return {"reductions": self.reductions, "best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        self.reductions, self.best = state["reductions"], state["best"]
        self.waited = state["waited"]


def _rise(schedule: Schedule, step: int) -> float:
    return min(1.0, (step + 1) / schedule.warmup)


def _one_cycle(schedule: Schedule, step: int) -> float:
    """Smith & Topin 2018: from a 25th up to the peak and down to a 10,000th, both by cosine."""
    if step < schedule.warmup:
        return _cosine(1 / 25, 1.0, step / schedule.warmup)
    return _cosine(1.0, 1e-4, (step - schedule.warmup) / max(schedule.total - schedule.warmup, 1))


def _cosine_after_warmup(schedule: Schedule, step: int) -> float:
    """Linear warm-up, then half a cosine to zero: Loshchilov & Hutter 2017, without restarts."""
    if step < schedule.warmup:
        return _rise(schedule, step)
    return _cosine(1.0, 0.0, (step - schedule.warmup) / max(schedule.total - schedule.warmup, 1))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


CURVES: dict[str, Callable[[Schedule, int], float]] = {
    "one-cycle": _one_cycle,
    "cosine": _cosine_after_warmup,
    "step": lambda schedule, step: 0.1 ** (step // schedule.drop_every),
    "constant": lambda schedule, step: 1.0,
    "plateau": lambda schedule, step: 1.0,
}
WATCHING = {"plateau"}
