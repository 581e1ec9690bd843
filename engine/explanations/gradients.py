"""Integrated gradients, for everything that a gradient reaches."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from engine.catalog import BadInput, Help, Range
from engine.explanations import Importance
from engine.explanations.grounds import Sound, Words
from engine.explanations.subject import Subject, plainly


class IntegratedGradients(
    Importance, label="Integrated gradients", fits={"image", "text", "audio", "sequence"},
    needs={"number"}, rank=20,
):  # fmt: skip
    """Adds up how the answer grows on the way from nothing to this item: exact in its sum.

    Sundararajan et al. 2017: the gradients along the straight line from a baseline, times the
    difference from it. Their sum is the difference of the two answers (completeness); how much is
    missing of it, for want of steps, is said. Nothing is, of a picture, what lies along the edges
    of the training pictures; of a sequence or spectrum, each feature's mean; of a text, unknown
    tokens, whose embeddings the gradients are of.
    """

    def __init__(
        self, *,
        steps: Annotated[
            int, Range(8, 300), Help("Places on the way: more is more exact, and slower")
        ] = 32,
    ) -> None:  # fmt: skip
        self.steps = steps

    @classmethod
    def suits(cls, subject: Subject) -> bool:
        # From silence on, samples are only louder and louder the same: a network that makes all
        # equally loud sees no way.
        if isinstance(subject.ground, Sound):
            return False
        return not isinstance(subject.ground, Words) or table(subject) is not None

    def importance(self, subject: Subject) -> tuple[Tensor, dict[str, Any]]:
        from captum import attr  # takes seconds: only when it is asked

        ground = subject.ground
        values, nothing = ground.values, ground.nothing
        subject.expect(self.steps + 3)
        how: dict[str, Any] = {
            "n_steps": self.steps, "internal_batch_size": subject.at_once,
            "return_convergence_delta": True,
        }  # fmt: skip
        with plainly(subject.model):
            if isinstance(ground, Words):
                layer = table(subject)
                assert layer is not None, "its `suits` says so"
                method = attr.LayerIntegratedGradients(partial(self._score, subject), layer)
                found, missing = method.attribute(values, nothing, **how)
                summed = _own(found[0].sum(1), subject, layer)
            else:
                found, missing = attr.IntegratedGradients(partial(self._score, subject)).attribute(
                    values.clone(), nothing, **how
                )
                summed = ground.summed(found)
        with torch.inference_mode():
            full, none = subject.score(values), subject.score(nothing)
        return summed, {
            "path": self.steps, "sum": float(full - none), "missing": float(missing.abs().max()),
        }  # fmt: skip

    def _score(self, subject: Subject, values: Tensor) -> Tensor:
        return subject.score(values)


def table(subject: Subject) -> nn.Embedding | None:
    """Where the tokens' vectors stand, None where there is no such layer: the first embedding that
    the model asks for as many rows as there are tokens."""
    found: list[nn.Embedding] = []
    (vocabulary,) = subject.data.shape

    def hook(module: nn.Module, *_: Any) -> None:
        if isinstance(module, nn.Embedding) and module.num_embeddings >= vocabulary:
            found.append(module)

    handles = [module.register_forward_hook(hook) for module in subject.model.modules()
               if isinstance(module, nn.Embedding)]  # fmt: skip
    try:
        with torch.inference_mode():
            subject.score(subject.ground.values)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _own(found: Tensor, subject: Subject, layer: nn.Embedding) -> Tensor:
    """Of the attributions to all vectors that are read (L',), those of the text's own tokens (L,):
    a model may set others before and behind, and may leave some out."""
    own = subject.ground.values[0]
    asked: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    try:
        with torch.inference_mode():
            subject.score(own[None])
    finally:
        handle.remove()
    read = asked[0][0]
    whole = torch.zeros(len(own))
    places = [(_alike(own, read[first:]), 0, first) for first in range(min(len(read), MARKS))]
    if len(read) < len(own):  # only its end is read
        places.append((_alike(own[-len(read) :], read), len(own) - len(read), 0))
    count, begin, first = max(places, key=lambda place: place[0])
    if not count:
        raise BadInput("This model doesn't read the text's tokens as they are: take occlusion")
    whole[begin : begin + count] = found[first : first + count].cpu()
    return whole


MARKS = 8
"""Tokens that a model sets before a text, at most."""


def _alike(own: Tensor, read: Tensor) -> int:
    """How many tokens are the same from the beginning on."""
    count = min(len(own), len(read))
    return int((own[:count] == read[:count]).long().cumprod(0).sum())
