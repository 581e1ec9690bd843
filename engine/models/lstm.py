"""Stacked long short-term memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, cast

import torch
from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.models import Activation, Dropout, Model, Standardize, dense


class LSTM(
    Model, label="LSTM", fits={"sequence"}, provides={"logits"},
    suggests={"method.epochs": 30, "method.learning_rate": 5e-3, "method.clip": 1.0,
              "model.dropout": 0.2},
):  # fmt: skip
    """Three recurrent layers and three dense ones: reads a sequence of any length step by step.

    Hochreiter & Schmidhuber 1997. 193,098 parameters at 100 features with 10 classes
    (two bias vectors a gate).
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        widths: Annotated[
            Sequence[int], Range(1, 2048),
            Help("Units of each recurrent layer", label="LSTM widths"),
        ] = (128, 64, 32),
        hidden: Annotated[
            Sequence[int], Range(1, 8192), Help("Widths of the dense layers before the classes",
                                            label="Dense widths")
        ] = (128, 64),
        dropout: Dropout = 0.0,
        activation: Activation = "ReLU",
    ) -> None:  # fmt: skip
        super().__init__(shape, classes)
        (features,) = shape
        self.standardize = Standardize(features, dim=-1)
        layers = [nn.LSTM(*size, batch_first=True) for size in pairwise([features, *widths])]
        for layer, units in zip(layers, widths, strict=True):
            # Remember by default: a forget gate that starts open (Gers 2000, Jozefowicz 2015).
            nn.init.constant_(cast(Tensor, layer.bias_hh_l0)[units : 2 * units], 1.0)
        self.layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(dropout)
        self.head = dense([widths[-1], *hidden, classes], activation=activation, dropout=dropout)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, classes) of values (B, longest, D) whose first `lengths` steps are real."""
        states = self.standardize(values)
        for layer in self.layers:
            states, _ = layer(self.dropout(states) if layer is not self.layers[0] else states)
        # Time runs one way, so padding can't reach a real step: taking each sequence's own last
        # step is exact, and spares packing, which oneDNN's fused LSTM can't take.
        last = states[torch.arange(len(lengths), device=states.device), lengths - 1]
        return self.head(last)  # type: ignore[no-any-return]
