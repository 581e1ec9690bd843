"""A Transformer that reads from left to right: what is called a GPT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help, Range
from engine.layers.pooling import concatenated
from engine.layers.transformer import Block, Cache, heads_fit, initialize
from engine.models import Dropout, HeadedAfterDropout


class TransformerDecoder(
    HeadedAfterDropout, label="Transformer decoder (GPT)", fits={"text"}, rank=55,
    provides={"next token", "logits"},
    suggests={"method.learning_rate": 3e-3, "method.schedule": "cosine", "method.warmup": 0.05,
              "method.weight_decay": 0.1, "method.clip": 1.0},
    thorough={"model.layers": 6, "model.heads": 6, "model.width": 384, "model.dropout": 0.2,
              "method.learning_rate": 1e-3},
):  # fmt: skip
    """Attention over all that is before a place: says which token comes next, or tells texts apart.

    Radford et al. 2019, with rotary places (Su et al. 2021) in place of learned ones. The output
    layer's weights are the embedding's (Press & Wolf 2017). 802,304 parameters at 70 tokens.
    Classes are told from the last, the greatest and the mean state (Howard & Ruder 2018).
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        layers: Annotated[
            int, Range(1, 48), Help("Blocks of attention and dense layers, one after another")
        ] = 4,
        heads: Annotated[
            int, Range(1, 64),
            Help("Attention heads: parts of the width that look at different places"),
        ] = 4,
        width: Annotated[
            int, Range(8, 4096), Help("Width of each token's vector", unit="units")
        ] = 128,
        dropout: Dropout = 0.0,
    ) -> None:  # fmt: skip
        """With no outputs it has no head: it only says which token comes next."""
        super().__init__(shape, outputs)
        heads_fit(width, heads)
        (vocabulary,) = shape
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        initialize(self, layers)
        # Last, so that the weights before it are the same with and without it.
        if outputs:
            self.head = nn.Linear(3 * width, outputs)

    def embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What tokens (B, L), the first `lengths` (B,) of which are real, say: (B, 3 · width)."""
        return concatenated(self.norm(self._read(tokens)), lengths)

    def follow(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, vocabulary) of tokens (B, L)."""
        return self._logits(self._read(tokens))

    def _read(self, tokens: Tensor) -> Tensor:
        states = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            states, _ = block(states, causal=True)
        return states  # type: ignore[no-any-return]

    def begin(self, longest: int | None = None) -> Past:
        """Nothing is read yet; at most `longest` places are remembered."""
        return Past(longest=longest)

    def next(self, tokens: Tensor, state: Past) -> tuple[Tensor, Past]:
        """Logits (B, vocabulary) after the last of the new tokens (B, n), and the new memory."""
        tokens, past = state.room_for(tokens)
        states, caches = self.embedding(tokens), []
        for i, block in enumerate(self.blocks):
            cache = past.caches[i] if past.caches else None
            states, cache = block(states, causal=True, cache=cache, first=past.first)
            caches.append(cache)
        read = Past(tuple(caches), past.first + tokens.shape[1], state.longest)
        return self._logits(states[:, -1]), read

    def _logits(self, states: Tensor) -> Tensor:
        return F.linear(self.norm(states), self.embedding.weight)


@dataclass(frozen=True)
class Past:
    """Keys and values of the tokens read so far, by block."""

    caches: tuple[Cache, ...] = ()
    first: int = 0
    """The place of the next token."""
    longest: int | None = None
    """Places remembered: the oldest are forgotten first, for a model knows no longer past than it
    was trained with."""

    def select(self, rows: Tensor) -> Past:
        """The memory of these rows of the batch, in that order."""
        caches = tuple((key[rows], value[rows]) for key, value in self.caches)
        return Past(caches, self.first, self.longest)

    def room_for(self, tokens: Tensor) -> tuple[Tensor, Past]:
        """The newest of the tokens (B, n), and of the past so much that both aren't too long."""
        if self.longest is None:
            return tokens, self
        tokens = tokens[:, -self.longest :]
        left = self.longest - tokens.shape[1]
        if not self.caches or self.caches[0][0].shape[2] <= left:
            return tokens, self
        caches = tuple((key[:, :, -left:], value[:, :, -left:]) for key, value in self.caches)
        return tokens, Past(caches if left else (), self.first, self.longest)
