"""A temporal convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name
from torch.nn.utils.parametrizations import weight_norm

from engine.catalog import Help, Range
from engine.layers.recurrent import last
from engine.models import ACTIVATIONS, Activation, Dropout, Headed, Standardize


class TCN(
    Headed, label="Temporal CNN", fits={"sequence", "audio"}, rank=54,
    provides={"logits", "forecast", "steps"},
    suggests={"method.epochs": 30, "method.learning_rate": 2e-3, "method.clip": 1.0,
              "model.dropout": 0.1},
    thorough={"method.epochs": 100, "model.channels": [128, 128, 128, 128, 128, 128]},
):  # fmt: skip
    """Convolutions that look back twice as far with each block: all steps at once, so it is fast.

    Bai, Kolter & Koltun 2018. With kernel k and n blocks the last step sees 1 + 2·(k − 1)·(2ⁿ − 1)
    steps.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        channels: Annotated[
            Sequence[int], Range(1, 2048),
            Help("Channels of each block; another block doubles how far back it sees"),
        ] = (32, 32, 32, 32, 32, 32),
        kernel: Annotated[
            int, Range(2, 16), Help("Steps that a convolution takes together", unit="steps")
        ] = 3,
        dropout: Dropout = 0.0,
        activation: Activation = "ReLU",
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        (features,) = shape
        self.standardize = Standardize(features, dim=-1)
        self.blocks = nn.Sequential(*(
            Block(*sizes, kernel=kernel, dilation=2**i, dropout=dropout, activation=activation)
            for i, sizes in enumerate(pairwise([features, *channels]))
        ))  # fmt: skip
        self.head = nn.Linear(channels[-1], outputs)

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """The last real step's channels of values (B, longest, D): (B, channels)."""
        return last(self.states(values), lengths)

    def steps(self, values: Tensor, lengths: Tensor) -> Tensor:
        """What is said after each step: (B, longest, outputs)."""
        return self.answer(self.states(values))

    def states(self, values: Tensor) -> Tensor:
        """The channels (B, longest, channels) after each step."""
        states: Tensor = self.blocks(self.standardize(values).transpose(1, 2))
        return states.transpose(1, 2)


class Block(nn.Module):
    """Two dilated convolutions that see no later step, and a way around them."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, dilation: int, dropout: float,
        activation: str,
    ) -> None:  # fmt: skip
        super().__init__()
        self.before = (kernel - 1) * dilation
        self.first = weight_norm(nn.Conv1d(inputs, outputs, kernel, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(outputs, outputs, kernel, dilation=dilation))
        self.around = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """(B, outputs, L) of states (B, inputs, L); place t depends on places up to t."""
        mixed = states
        for convolution in (self.first, self.second):
            # Zeros before the first step only: none comes in from behind.
            mixed = self.dropout(self.activation(convolution(F.pad(mixed, (self.before, 0)))))
        return self.activation(mixed + self.around(states))  # type: ignore[no-any-return]
