"""What recurrent networks that read a sequence to its end have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.models import Activation, Dropout, Headed, Standardize, dense


class Recurrent(Headed):
    """Stacked recurrent layers, then dense ones on the state after the last step."""

    cell: ClassVar[type[nn.RNNBase]]
    """A gated one of PyTorch's, the second of whose gates keeps the old state when it is open."""

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        widths: Annotated[
            Sequence[int], Range(1, 2048),
            Help("Units of each recurrent layer", label="Recurrent widths"),
        ] = (128, 64, 32),
        hidden: Annotated[
            Sequence[int], Range(1, 8192), Help("Widths of the dense layers before the output",
                                            label="Dense widths")
        ] = (128, 64),
        dropout: Dropout = 0.0,
        activation: Activation = "ReLU",
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        (features,) = shape
        self.standardize = Standardize(features, dim=-1)
        layers = [
            self.cell(size, units, batch_first=True)  # type: ignore[arg-type, call-arg]
            for size, units in pairwise([features, *widths])
        ]
        for layer in layers:
            remember(layer)
        self.layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(dropout)
        self.head = dense([widths[-1], *hidden, outputs], activation=activation, dropout=dropout)

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """The state (B, width) after the last real step of values (B, longest, D)."""
        return last(self.states(values), lengths)

    def steps(self, values: Tensor, lengths: Tensor) -> Tensor:
        """What is said after each step: (B, longest, outputs)."""
        return self.answer(self.states(values))

    def states(self, values: Tensor) -> Tensor:
        """The state (B, longest, width) after each step."""
        states: Tensor = self.standardize(values)
        for layer in self.layers:
            states, _ = layer(self.dropout(states) if layer is not self.layers[0] else states)
        return states


def remember(layer: nn.RNNBase) -> None:
    """Make a gated layer remember by default: the second of its gates, which keeps the old state,
    starts open (Gers 2000, Jozefowicz 2015)."""
    units = layer.hidden_size
    for name, bias in layer.named_parameters():
        if name.startswith("bias_hh"):
            nn.init.constant_(bias.data[units : 2 * units], 1.0)


def mirror(lengths: Tensor, longest: int) -> Tensor:
    """Places (B, longest) that turn each sequence round within its own length; those of padding
    stay, so that it is read last both ways and no real step knows of it. Packing would do the
    same, which oneDNN's fused layers can't take."""
    places = torch.arange(longest, device=lengths.device)
    turned = lengths[:, None] - 1 - places
    return torch.where(turned >= 0, turned, places)


def turned(states: Tensor, places: Tensor) -> Tensor:
    """The states (B, L, D) in the order of those places (B, L)."""
    return states.gather(1, places[..., None].expand(-1, -1, states.shape[2]))


def last(states: Tensor, lengths: Tensor) -> Tensor:
    """The state (B, width) after each sequence's last real step, of states (B, longest, width).

    Where a state depends on no later step, padding can't reach a real one: taking each sequence's
    own last is exact, and spares packing, which oneDNN's fused LSTM can't take.
    """
    return states[torch.arange(lengths.shape[0], device=states.device), lengths - 1]
