"""Where a convolutional network looks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.compression.int8 import Conv2d
from engine.explanations import Importance
from engine.explanations.attention import attentions
from engine.explanations.subject import Subject, plainly


class GradCam(
    Importance, label="Grad-CAM", fits={"image", "audio"}, needs={"number"}, rank=10,
):  # fmt: skip
    """Where the last convolutions found what speaks for the answer: quick, and coarse.

    Selvaraju et al. 2017: the last maps, each weighted by the mean of its gradients, added up and
    cut at zero.
    """

    signed = False

    @classmethod
    def suits(cls, subject: Subject) -> bool:
        convolutions = [one for one in subject.model.modules() if isinstance(one, Conv2d)]
        if not convolutions:
            return False
        # Where attention mixes all places, the last map says nothing of where it came from.
        return len(convolutions) > 1 or not attentions(subject)

    def importance(self, subject: Subject) -> tuple[Tensor, dict[str, Any]]:
        subject.expect(1)
        name, maps, gradients = last_maps(subject)
        weights = gradients.mean((2, 3), keepdim=True)
        found = (weights * maps).sum(1, keepdim=True).relu()
        places = subject.ground.places
        whole = functional.interpolate(found, places, mode="bilinear")
        return whole[0, 0], {"layer": name, "map": list(found.shape[2:])}


def last_maps(subject: Subject) -> tuple[str, Tensor, Tensor]:
    """The maps (1, C, h, w) of the place where a network has convolved for the last time and not
    yet made them smaller, that place's name, and the gradients of the explained number there."""
    told: list[tuple[str, nn.Module, Tensor]] = []
    names = {module: name for name, module in subject.model.named_modules()}

    def hook(module: nn.Module, _: Any, given: Any) -> None:
        maps = given[0] if isinstance(given, tuple) and given else given
        if isinstance(maps, Tensor) and maps.ndim == 4 and min(maps.shape[2:]) > 1:
            told.append((names[module], module, maps))

    handles = [module.register_forward_hook(hook) for module in names if names[module]]
    try:
        with plainly(subject.model):
            values = subject.ground.values.clone().requires_grad_()
            score = subject.score(values).sum()
    finally:
        for handle in handles:
            handle.remove()
    last = max(i for i, (_, module, _) in enumerate(told) if isinstance(module, Conv2d))
    side = told[last][2].shape[2:]
    often = Counter(id(module) for _, module, _ in told)
    name, _, maps = next(
        one
        for one in reversed(told[last:])
        if one[2].shape[2:] == side and often[id(one[1])] == 1 and one[2].requires_grad
    )
    (gradients,) = torch.autograd.grad(score, maps, allow_unused=True, materialize_grads=True)
    return name, maps.detach(), gradients
