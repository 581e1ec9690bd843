"""Stacked long short-term memory."""

from __future__ import annotations

from torch import nn

from engine.layers.recurrent import Recurrent


class LSTM(
    Recurrent, label="LSTM", fits={"sequence", "audio"}, provides={"logits", "forecast", "steps"},
    suggests={"method.epochs": 30, "method.learning_rate": 2e-3, "method.clip": 1.0,
              "model.dropout": 0.2},
    thorough={"model.widths": [256, 256, 128], "model.dropout": 0.3, "method.epochs": 100},
):  # fmt: skip
    """Three recurrent layers and three dense ones: reads a sequence of any length step by step.

    Hochreiter & Schmidhuber 1997. 193,098 parameters at 100 features with 10 classes
    (two bias vectors a gate).
    """

    cell = nn.LSTM
