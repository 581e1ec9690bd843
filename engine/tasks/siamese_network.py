"""Are these two of the same class?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.models import Headed
from engine.tasks.few_shot import FewShot


class SiameseNetwork(
    FewShot, label="Few-shot: Siamese network", fits={"features"}, needs={"label"}, rank=41,
    suggests={"data": "Glyphs", "model": "EmbeddingConvNet"},
):  # fmt: skip
    """Learns whether two items are of the same class; new ones are of the most similar example's.

    Koch, Zemel & Salakhutdinov 2015: the logit that two are of the same class is a weighted sum of
    the absolute differences of their features, with weights that are learned. All pairs of an
    episode are asked, those of the same class together counting as much as the others.
    """

    def equip(self, model: Headed) -> None:
        model.head = nn.Linear(model.feature_count(), 1)

    def compare(self, model: Headed, support: Tensor, queries: Tensor) -> Tensor:
        way, shots, _ = support.shape
        same = similar(model.head, queries, support.flatten(0, 1))
        return same.view(len(queries), way, shots).amax(2)

    def loss(self, model: Headed, features: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy of pairs of the same class, and that of the others, in equal
        parts."""
        first, second = torch.triu_indices(len(targets), len(targets), 1, device=targets.device)
        logits = similar(model.head, features, features)[first, second]
        same = targets[first] == targets[second]
        kinds = [
            F.binary_cross_entropy_with_logits(logits[kind], same[kind].float())
            for kind in (same, ~same) if kind.any()
        ]  # fmt: skip
        return torch.stack(kinds).mean() if kinds else features.sum() * 0.0


def similar(head: nn.Module, one: Tensor, other: Tensor) -> Tensor:
    """Logits (A, B) that of one (A, F) and other (B, F) two are of the same class:
    ``w·|a − b| + bias``.

    As two distances of features that are scaled, by the weights above zero and by those below: so
    the differences of all pairs are never held at once.
    """
    assert isinstance(head, nn.Linear)
    weight = head.weight[0].float()
    above, below = weight.clamp(min=0), (-weight).clamp(min=0)
    apart = [torch.cdist(one * w, other * w, p=1) for w in (above, below)]
    return apart[0] - apart[1] + head.bias
