"""Keeping a trained model in another form, without training it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from engine.compression.int8 import shaped_as
from engine.data.batches import Feed
from engine.loop import Trainee
from engine.methods import Bench
from engine.methods.at_once import AtOnce
from engine.models import Model
from engine.tasks import Task

CONVERTED = {
    "logits", "features", "reconstruction", "latent code", "adversary", "next token",
    "masked token", "masked image", "target text", "frames", "forecast", "steps", "spectra",
}  # fmt: skip
"""What a model that can be kept in another form gives: anything that is trained."""


class Converting(AtOnce):
    """Changes how a model's numbers are kept. A subclass says how, in `make`."""

    takes_all = True

    def ready(self, model: Model, bench: Bench) -> None:
        model.freeze(())

    def trainee(self, model: Model, task: Task, feed: Feed, bench: Bench) -> Trainee:
        # The optimizer, which takes no step, is that of the model before it is converted.
        trainee = super().trainee(model, task, feed, replace(bench, resume=None))
        if bench.resume is not None:
            weights, state = bench.resume
            shaped_as(model, weights)
            trainee.restore(weights, state)
        return trainee


def smaller(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The same with its fractions in another precision."""
    return {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }  # fmt: skip
