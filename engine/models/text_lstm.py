"""Long short-term memory over a text, read in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.data.tokens import UNK
from engine.models import Dropout, Model
from engine.models.textcnn import WordDropout
from engine.tasks import inside


class TextLSTM(
    Model, label="Bidirectional LSTM", fits={"text"}, provides={"logits"}, rank=45,
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
        self.forwards = nn.ModuleList(memory(features, width) for features in wide)
        self.backwards = nn.ModuleList(memory(features, width) for features in wide)
        self.dropout = nn.Dropout(dropout)
        self.word_dropout = word_dropout
        self.head = nn.Linear(2 * width, outputs)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, outputs) of tokens (B, L), of which the first `lengths` (B,) are real."""
        if self.training and self.word_dropout:
            gone = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(gone, UNK)
        mirrored = mirror(lengths, tokens.shape[1])
        states = self.embedding(tokens)
        for there, back in zip(self.forwards, self.backwards, strict=True):
            states = self.dropout(states)
            ahead, _ = there(states)
            # Each text is turned round by its own length, so that padding stays behind it: exact,
            # without packing, which oneDNN's fused LSTM can't take.
            behind, _ = back(turned(states, mirrored))
            states = torch.cat([ahead, turned(behind, mirrored)], 2)
        real = inside(lengths, tokens.shape[1])
        most = states.masked_fill(~real[..., None], -torch.inf).amax(1)
        return self.head(self.dropout(most))  # type: ignore[no-any-return]


def memory(features: int, units: int) -> nn.LSTM:
    """One recurrent layer that remembers by default: its forget gate starts open."""
    layer = nn.LSTM(features, units, batch_first=True)
    nn.init.constant_(layer.bias_hh_l0[units : 2 * units], 1.0)  # type: ignore[index]
    return layer


def mirror(lengths: Tensor, longest: int) -> Tensor:
    """Places (B, longest) that turn each sequence round; those of padding stay."""
    places = torch.arange(longest, device=lengths.device)
    return torch.where(inside(lengths, longest), lengths[:, None] - 1 - places, places)


def turned(states: Tensor, places: Tensor) -> Tensor:
    """The states (B, L, D) in the order of those places (B, L)."""
    return states.gather(1, places[..., None].expand(-1, -1, states.shape[2]))
