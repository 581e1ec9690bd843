"""What happens when a part is covered?"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor

from engine.catalog import Help, Range
from engine.explanations import Importance
from engine.explanations.grounds import Picture, Words
from engine.explanations.subject import Subject


class Occlusion(
    Importance, label="Occlusion", fits={"image", "text", "pair", "audio", "sequence"},
    needs={"number"}, rank=30,
):  # fmt: skip
    """Covers one part after the other and looks how far the answer falls: slow, and plain.

    Zeiler & Fergus 2014. A window moves over the picture, the spectrum or the sequence by half its
    size; each place gets the mean fall of the windows that covered it. Of a text each token is
    made unknown in turn.
    """

    def __init__(
        self, *,
        window: Annotated[
            float, Range(0.02, 0.5, step=0.01),
            Help("Side of what is covered, as a share of the whole: small ones see finer, and miss "
                 "what only counts together", label="Window"),
        ] = 0.15,
    ) -> None:  # fmt: skip
        self.window = window

    def importance(self, subject: Subject) -> tuple[Tensor, dict[str, Any]]:
        from captum import attr  # takes seconds: only when it is asked

        ground = subject.ground
        if isinstance(ground, Words):
            subject.expect(len(ground.values[0]))
            with torch.no_grad():
                found = attr.FeatureAblation(subject.score).attribute(
                    ground.values, ground.nothing, perturbations_per_eval=subject.at_once
                )
            return ground.summed(found.float()), {}
        sides = [max(1, round(self.window * side)) for side in ground.places]
        if not isinstance(ground, Picture) and len(sides) > 1 and ground.places[1] <= FEW:
            sides[1] = 1  # features that stand for themselves are covered one by one
        strides = [max(1, side // 2) for side in sides]
        # All channels of a pixel at once.
        deep = (ground.values.shape[1],) if isinstance(ground, Picture) else ()
        subject.expect(math.prod(
            1 + math.ceil(max(whole - side, 0) / stride)
            for whole, side, stride in zip(ground.places, sides, strides, strict=True)
        ))  # fmt: skip
        with torch.no_grad():
            found = attr.Occlusion(subject.score).attribute(
                ground.values, (*deep, *sides), (*deep, *strides), ground.nothing,
                perturbations_per_eval=subject.at_once,
            )  # fmt: skip
        return ground.summed(found) / (deep[0] if deep else 1), {"window": sides}


FEW = 12
"""Features of a sequence that are each a thing of its own; of more, neighbours belong together."""
