"""What models that read words have in common."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.data.tokens import UNK

WordDropout = Annotated[
    float, Range(0, 0.9, step=0.05),
    Help("The share of tokens made unknown at random while training: the model can't lean on one "
         "word", label="Word dropout"),
]  # fmt: skip


class UnknownWords(nn.Module):
    """Makes a share of the tokens (B, L) unknown at random while training."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, tokens: Tensor) -> Tensor:
        if not (self.training and self.share):
            return tokens
        gone = torch.rand(tokens.shape, device=tokens.device) < self.share
        return tokens.masked_fill(gone, UNK)
