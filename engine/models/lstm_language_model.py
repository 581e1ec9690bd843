"""Stacked LSTMs that read from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help, Range
from engine.layers.recurrent import remember
from engine.models import Dropout, Model


class RecurrentLanguageModel(
    Model, label="LSTM language model", fits={"text"}, provides={"next token"}, rank=20,
    suggests={"method.learning_rate": 3e-3, "method.schedule": "cosine", "method.warmup": 0.05,
              "method.weight_decay": 0.01, "method.clip": 1.0},
    thorough={"model.layers": 3, "model.width": 512, "model.dropout": 0.3,
              "method.learning_rate": 2e-3},
):  # fmt: skip
    """Recurrent layers that carry all they have read in their state: say which token comes next.

    Hochreiter & Schmidhuber 1997; dropout between the layers, not in time (Zaremba et al. 2014);
    the output layer's weights are the embedding's (Press & Wolf 2017, Merity et al. 2018).
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        layers: Annotated[int, Range(1, 8), Help("Recurrent layers, one after another")] = 2,
        width: Annotated[int, Range(8, 4096), Help("Units of each layer", unit="units")] = 256,
        dropout: Dropout = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        self.embedding = nn.Embedding(outputs, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.LSTM(
            width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0
        )
        self.bias = nn.Parameter(self.embedding.weight.new_zeros(outputs))
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        remember(self.layers)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, outputs) of tokens (B, L)."""
        states, _ = self.layers(self.dropout(self.embedding(tokens)))
        return self._logits(states)

    def begin(self, longest: int | None = None) -> Memory:
        """Nothing is read yet. The memory has one size, however much it holds."""
        return Memory()

    def next(self, tokens: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        """Logits (B, outputs) after the last of the new tokens (B, n), and the new memory."""
        states, held = self.layers(self.dropout(self.embedding(tokens)), state.held)
        return self._logits(states[:, -1]), Memory(held)

    def _logits(self, states: Tensor) -> Tensor:
        return F.linear(self.dropout(states), self.embedding.weight, self.bias)


@dataclass(frozen=True)
class Memory:
    """Output and cell of each layer, (layers, B, width) each; None before the first token."""

    held: tuple[Tensor, Tensor] | None = None

    def select(self, rows: Tensor) -> Memory:
        """The memory of these rows of the batch, in that order."""
        if self.held is None:
            return self
        output, cell = self.held
        return Memory((output[:, rows], cell[:, rows]))
