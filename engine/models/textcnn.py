"""A convolution over words, and the strongest answer of each map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help, Range
from engine.layers.words import UnknownWords, WordDropout
from engine.models import Dropout, HeadedAfterDropout
from engine.tasks import inside


class TextCNN(
    HeadedAfterDropout, label="Text CNN", fits={"text"}, provides={"logits"}, rank=40,
    suggests={
        "data.tokenizer": "words", "data.vocabulary": 20_000, "data.lowercase": True,
        "method.epochs": 6, "method.batch_size": 50, "method.learning_rate": 1e-3,
    },
    thorough={"model.maps": 300, "method.epochs": 20, "method.patience": 4},
):  # fmt: skip
    """Looks for revealing phrases of a few words: small, fast, a good first choice for texts.

    Kim 2014: maps of several widths over the embedded tokens, the maximum of each over the text,
    dropout, one linear layer. The embeddings are learned from scratch.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        embedding: Annotated[
            int, Range(4, 1024), Help("Width of a token's vector", label="Embedding width")
        ] = 300,
        widths: Annotated[
            Sequence[int], Range(1, 16),
            Help("How many tokens the phrases have that are looked for", label="Phrase lengths"),
        ] = (3, 4, 5),
        maps: Annotated[
            int, Range(4, 1024), Help("Patterns looked for of each length")
        ] = 100,
        dropout: Dropout = 0.5,
        word_dropout: WordDropout = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        (vocabulary,) = shape
        self.embedding = nn.Embedding(vocabulary, embedding)
        # As Kim's: far smaller than PyTorch's own, so that what is learned outweighs the noise.
        nn.init.uniform_(self.embedding.weight, -0.25, 0.25)
        self.widths = tuple(widths)
        self.phrases = nn.ModuleList(
            # Zeros on both sides: a text shorter than the phrase still has a window.
            nn.Conv1d(embedding, maps, width, padding=width - 1) for width in widths
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.word_dropout = UnknownWords(word_dropout)
        self.head = nn.Linear(maps * len(self.phrases), outputs)

    def embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Each map's strongest answer to tokens (B, L), of which the first `lengths` (B,) are
        real: (B, maps of all lengths)."""
        tokens = self.word_dropout(tokens)
        real = inside(lengths, tokens.shape[1])
        states = (self.embedding(tokens) * real[..., None]).transpose(1, 2)
        found = []
        for width, phrase in zip(self.widths, self.phrases, strict=True):
            maps = phrase(states)
            # Windows that hold no real token would answer with their bias.
            beyond = ~inside(lengths + width - 1, maps.shape[2])
            found.append(maps.masked_fill(beyond[:, None], -torch.inf).amax(2))
        # The maximum of what is rectified is the rectified maximum, and cheaper.
        return F.relu(torch.cat(found, 1))

    def levels(self) -> list[tuple[str, ...]]:
        return [("embedding",), ("phrases",), ("head",)]  # the phrases stand side by side
