"""Stacked gated recurrent units."""

from __future__ import annotations

from torch import nn

from engine.layers.recurrent import Recurrent


class GRU(
    Recurrent, label="GRU", fits={"sequence", "audio"}, rank=52,
    provides={"logits", "forecast", "steps"},
    suggests={"method.epochs": 30, "method.learning_rate": 2e-3, "method.clip": 1.0,
              "model.dropout": 0.2},
    thorough={"model.widths": [256, 256, 128], "model.dropout": 0.3, "method.epochs": 100},
):  # fmt: skip
    """Like the LSTM with two gates in place of three: fewer weights, often as good.

    Cho et al. 2014.
    """

    cell = nn.GRU
