"""What do the numbers of a code mean?"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor

from engine.catalog import BadInput, Help, Hidden, Range
from engine.explanations import Explanation
from engine.explanations.subject import Subject
from engine.explanations.training import known
from engine.pictures import png

LEARNED = 2000
"""Training items from whose codes the directions are learned."""
FAR = 3.0
"""Standard deviations that a slider reaches."""


class LatentWalk(
    Explanation, label="Walk the latent space", fits={"reconstruction", "latent code"},
    needs={"image", "features"}, rank=15,
):  # fmt: skip
    """Turn the numbers of this item's code, and see what is drawn from it.

    The sliders are the directions in which the training items' codes differ the most (their
    principal components), in standard deviations. A second item makes a way from the one to the
    other.
    """

    def __init__(
        self, *,
        directions: Annotated[int, Range(1, 32), Help("Sliders that are shown")] = 8,
        moves: Annotated[
            str | None, Hidden(),
            Help("How far along each direction, in standard deviations: 1.5, 0, −2"),
        ] = None,
        share: Annotated[
            float, Range(0, 1), Hidden(),
            Help("How far on the way to the second item, if there is one"),
        ] = 0.0,
    ) -> None:  # fmt: skip
        self.directions, self.share = directions, share
        try:
            self.moves = [float(x.replace("−", "-")) for x in (moves or "").split(",") if x.strip()]
        except ValueError:
            self.moves = [math.nan]
        if not all(map(math.isfinite, self.moves)):
            raise BadInput("Moves are numbers between commas: 1.5, 0, -2")

    def of(self, subject: Subject) -> dict[str, Any]:
        model: Any = subject.model
        middle, ways = principal(subject)
        ways = ways[: self.directions]
        moves = torch.tensor((self.moves + [0.0] * len(ways))[: len(ways)]).clamp(-FAR, FAR)
        with torch.inference_mode():
            own = model.encode(subject.batch.inputs["images"]).float()
            code = own
            if subject.other is not None:
                there = model.encode(subject.other.inputs["images"]).float()
                code = own + self.share * (there - own)
            code = code + (moves @ ways).to(code.device)
            drawn = model.decode(code).float().sigmoid()
        spread = ways.norm(dim=1)
        at = ((own.cpu()[0] - middle) @ ways.T) / spread.square().clamp(min=1e-12)
        return {"walk": {
            "drawn": png(drawn[0]), "input": png(subject.batch.inputs["images"][0]),
            "spreads": [round(float(x), 4) for x in spread],
            "shares": self._shares(subject)[: len(ways)],
            "at": [round(float(x), 3) for x in at], "moves": moves.tolist(), "far": FAR,
            "share": self.share,
            "code": code.shape[1],
        }}  # fmt: skip

    def _shares(self, subject: Subject) -> list[float]:
        """Of all variance, each direction's."""
        variances = principal(subject)[1].square().sum(1)
        total = float(subject.known["variance"]) or 1.0
        return [round(float(one) / total, 4) for one in variances]


def principal(subject: Subject) -> tuple[Tensor, Tensor]:
    """The codes' mean (code,) and the directions (n, code) in which they differ, those of the
    largest variance first, each one standard deviation long."""
    if "principal" not in subject.known:
        codes = known(subject, LEARNED).features
        middle = codes.mean(0)
        _, spread, ways = torch.linalg.svd(codes - middle, full_matrices=False)
        lengths = spread / max(len(codes) - 1, 1) ** 0.5
        subject.known["variance"] = float(lengths.square().sum())
        subject.known["principal"] = middle, ways * lengths[:, None]
    middle, found = subject.known["principal"]
    return middle, found
