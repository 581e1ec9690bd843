"""Writing by copying: a distribution over the vocabulary and the words of the source."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from engine.catalog import Help

Copy = Annotated[
    bool,
    Help("May copy words of the source: for summaries, names and numbers; not between languages"),
]
TINY = 1e-9
"""Added to each probability before its logarithm, so that none is minus infinity."""


class Pointer(nn.Module):
    """Chooses at each place between writing from the vocabulary and copying from the source.

    The pointer-generator of See et al. 2017, equation 9, over one vocabulary for both texts: a
    probability p, from what is known at the place, weighs the softmax of the logits against the
    attention, which is added up on the tokens that it looks at.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 1)

    def forward(self, states: Tensor, logits: Tensor, looked: Tensor, source: Tensor) -> Tensor:
        """Log-probabilities (B, T, vocabulary), float32.

        `states` (B, T, width) decide p; `looked` (B, T, S) is the attention on the tokens `source`
        (B, S), zero on padding.
        """
        write = self.gate(states).float().sigmoid()
        probabilities = write * logits.float().softmax(-1)
        where = source[:, None].expand(-1, looked.shape[1], -1)
        probabilities = probabilities.scatter_add(2, where, (1 - write) * looked.float())
        return torch.log(probabilities + TINY)
