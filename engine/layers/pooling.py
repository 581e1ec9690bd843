"""One vector for a whole text, from what was read of it from left to right."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.layers.recurrent import last
from engine.tasks import inside


def concatenated(states: Tensor, lengths: Tensor) -> Tensor:
    """The last, the greatest and the mean of states (B, L, F), of which the first `lengths` (B,)
    are real: (B, 3 · F). Howard & Ruder 2018, section 3.3 (concat pooling): the last alone has
    forgotten much of a long text."""
    real = inside(lengths, states.shape[1])[..., None]
    return torch.cat([
        last(states, lengths),
        states.masked_fill(~real, -torch.inf).amax(1),
        (states * real).sum(1) / lengths[:, None],
    ], 1)  # fmt: skip
