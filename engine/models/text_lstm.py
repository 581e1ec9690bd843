"""Long short-term memory over a text, read in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

import torch
from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.layers.recurrent import mirror, remember, turned
from engine.layers.words import UnknownWords, WordDropout
from engine.models import Dropout, HeadedAfterDropout
from engine.tasks import inside


class TextLSTM(
    HeadedAfterDropout, label="Bidirectional LSTM", fits={"text"}, provides={"logits"}, rank=45,
    suggests={
        "data.tokenizer": "words", "data.vocabulary": 20_000, "data.lowercase": True,
        "method.epochs": 5, "method.batch_size": 50, "method.learning_rate": 2e-3,
        "method.clip": 1.0,
    },
    thorough={"model.width": 256, "model.layers": 2, "method.epochs": 12},
):  # fmt: skip
    """Reads a text word by word from both ends; the strongest answer of each unit decides.

    Graves & Schmidhuber 2005; the maximum over the text as in Conneau et al. 2017.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        embedding: Annotated[
            int, Range(4, 1024), Help("Width of a token's vector", label="Embedding width")
        ] = 128,
        width: Annotated[int, Range(4, 2048), Help("Units of each direction")] = 128,
        layers: Annotated[int, Range(1, 8), Help("Recurrent layers, one over the other")] = 1,
        dropout: Dropout = 0.5,
        word_dropout: WordDropout = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        (vocabulary,) = shape
        self.embedding = nn.Embedding(vocabulary, embedding)
        nn.init.uniform_(self.embedding.weight, -0.25, 0.25)
        wide = [embedding] + [2 * width] * (layers - 1)
        self.forwards, self.backwards = (
            nn.ModuleList(nn.LSTM(features, width, batch_first=True) for features in wide)
            for _ in range(2)
        )
        for layer in (*self.forwards, *self.backwards):
            remember(cast(nn.LSTM, layer))
        self.dropout = nn.Dropout(dropout)
        self.word_dropout = UnknownWords(word_dropout)
        self.head = nn.Linear(2 * width, outputs)

    def embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Each unit's strongest answer to tokens (B, L), of which the first `lengths` (B,) are
        real: (B, 2 · width)."""
        tokens = self.word_dropout(tokens)
        mirrored = mirror(lengths, tokens.shape[1])
        states = self.embedding(tokens)
        for there, back in zip(self.forwards, self.backwards, strict=True):
            states = self.dropout(states)
            ahead, _ = there(states)
            behind, _ = back(turned(states, mirrored))
            states = torch.cat([ahead, turned(behind, mirrored)], 2)
        real = inside(lengths, tokens.shape[1])
        most: Tensor = states.masked_fill(~real[..., None], -torch.inf).amax(1)
        return most

    def levels(self) -> list[tuple[str, ...]]:
        both = [(f"forwards.{i}", f"backwards.{i}") for i in range(len(self.forwards))]
        return [("embedding",), *both, ("head",)]
