"""Stacked LSTMs that read from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help, Range
from engine.layers.pooling import concatenated
from engine.layers.recurrent import remember
from engine.models import Dropout, HeadedAfterDropout


class RecurrentLanguageModel(
    HeadedAfterDropout, label="LSTM language model", fits={"text"}, rank=57,
    provides={"next token", "logits"},
    suggests={"method.learning_rate": 3e-3, "method.schedule": "cosine", "method.warmup": 0.05,
              "method.weight_decay": 0.01, "method.clip": 1.0},
    thorough={"model.layers": 3, "model.width": 512, "model.dropout": 0.3,
              "method.learning_rate": 2e-3},
):  # fmt: skip
    """Recurrent layers that carry all they have read: say what comes next, or tell texts apart.

    Hochreiter & Schmidhuber 1997; dropout between the layers, not in time (Zaremba et al. 2014);
    the output layer's weights are the embedding's (Press & Wolf 2017, Merity et al. 2018). Classes
    are told from the last, the greatest and the mean state (Howard & Ruder 2018).
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
        """With no outputs it has no head: it only says which token comes next."""
        super().__init__(shape, outputs)
        (vocabulary,) = shape
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.LSTM(
            width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0
        )
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        remember(self.layers)
        if outputs:
            self.head = nn.Linear(3 * width, outputs)
        else:
            self.bias = nn.Parameter(self.embedding.weight.new_zeros(vocabulary))

    def embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What tokens (B, L), the first `lengths` (B,) of which are real, say: (B, 3 · width)."""
        return concatenated(self._read(tokens), lengths)

    def follow(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, vocabulary) of tokens (B, L)."""
        return self._logits(self._read(tokens))

    def _read(self, tokens: Tensor) -> Tensor:
        states, _ = self.layers(self.dropout(self.embedding(tokens)))
        return states  # type: ignore[no-any-return]

    def begin(self, longest: int | None = None) -> Memory:
        """Nothing is read yet. The memory has one size, however much it holds."""
        return Memory()

    def next(self, tokens: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        """Logits (B, vocabulary) after the last of the new tokens (B, n), and the new memory."""
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
