"""Which class's mean is the nearest?"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help
from engine.models import Headed
from engine.tasks.few_shot import FewShot, nearest


class PrototypicalNetwork(
    FewShot, label="Few-shot: prototypical network", fits={"features"}, needs={"label"}, rank=40,
    suggests={"data": "Glyphs", "model": "EmbeddingConvNet"},
):  # fmt: skip
    """Learns to tell apart classes it has never seen, by the nearest mean of a few examples.

    Snell, Swersky & Zemel 2017: the logits of a query are minus its squared Euclidean distances to
    the means of the classes' supports, in the space of the model's features.
    """

    def __init__(
        self,
        *,
        exchange: Annotated[
            bool,
            Help("Every item of an episode takes its turn in the support: more is learned from the "
                 "same pictures", label="Exchanged supports"),
        ] = True,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(**how)
        self.exchange = exchange

    def compare(self, model: Headed, support: Tensor, queries: Tensor) -> Tensor:
        return nearest(support, queries)

    def loss(self, model: Headed, features: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy of the queries, over the classes that have one."""
        turns = 1
        if self.exchange:
            turns = math.ceil(int(torch.bincount(targets).max()) / self.shots)
        losses = []
        for turn in range(turns):
            means, queries, true = parted(features, targets, self.shots, turn)
            if len(true):
                losses.append(F.cross_entropy(nearest(means[:, None], queries), true))
        return torch.stack(losses).mean() if losses else features.sum() * 0.0


def parted(
    features: Tensor, targets: Tensor, shots: int, turn: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """The means (W, F) of `shots` items of each class, the others (Q, F), and which class of the W
    each of those is of.

    In the first turn the first items of a class are its support, in the next those that come after
    them, and after the last the first again. One item of a class at least is asked about; alone it
    is left out.
    """
    _, classes, counts = torch.unique(targets, return_inverse=True, return_counts=True)
    order = classes.argsort(stable=True)
    place = torch.empty_like(order)  # in its class
    place[order] = (
        torch.arange(len(order), device=order.device)
        - ((counts.cumsum(0) - counts)[classes[order]])
    )
    place = (place - turn * shots) % counts[classes]
    support = place < (counts - 1).clamp(max=shots)[classes]
    queries = ~support & (counts > 1)[classes]
    kept = counts > 1
    number = kept.cumsum(0) - 1  # without the classes that are left out
    sums = features.new_zeros(int(kept.sum()), features.shape[1])
    sums = sums.index_add(0, number[classes[support]], features[support])
    means = sums / (counts[kept] - 1).clamp(max=shots)[:, None]
    return means, features[queries], number[classes[queries]]
