"""The Transformer as it was first used: an encoder and a decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, cast

import torch
from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.layers.copying import Copy, Pointer
from engine.layers.transformer import Block, Cache, CrossBlock, heads_fit
from engine.models import Dropout, Model
from engine.tasks import inside


@dataclass(frozen=True)
class Read:
    """A source that was read, and what was written to it."""

    source: Tensor
    """Its tokens (B, S)."""
    real: Tensor
    """(B, 1, 1, S), false on padding."""
    memories: tuple[Cache, ...]
    """Each decoder layer's keys and values of the source."""
    caches: tuple[Cache, ...] = ()
    """Each decoder layer's keys and values of what was written."""
    place: int = 0
    """How many tokens were written."""
    looked: Tensor | None = None
    """Where in the source the last step looked (B, S)."""

    def select(self, rows: Tensor) -> Read:
        return Read(
            self.source[rows], self.real[rows],
            tuple((keys[rows], values[rows]) for keys, values in self.memories),
            tuple((keys[rows], values[rows]) for keys, values in self.caches),
            self.place, None if self.looked is None else self.looked[rows],
        )  # fmt: skip


class TransformerTranslator(
    Model, label="Transformer", fits={"pair"}, provides={"target text"}, rank=30,
    suggests={"method.learning_rate": 2e-3, "method.clip": 1.0, "method.epochs": 6},
    thorough={
        "model.width": 256, "model.heads": 4, "model.layers": 4, "model.dropout": 0.3,
        "method.epochs": 60, "method.learning_rate": 1e-3, "method.average": 0.999,
    },
):  # fmt: skip
    """Attention reads and attention writes: the best translations where there is time or a GPU.

    Vaswani et al. 2017, with the norms before each part (Xiong et al. 2020), places turned into
    the queries and keys (Su et al. 2021), and one embedding for source, target and output.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        width: Annotated[int, Range(8, 2048), Help("Width of each token's vector")] = 128,
        heads: Annotated[
            int, Range(1, 32), Help("Attentions side by side; the width is dealt out to them")
        ] = 4,
        layers: Annotated[
            int, Range(1, 24), Help("Blocks that read, and as many that write")
        ] = 2,
        copy: Copy = False,
        dropout: Dropout = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        heads_fit(width, heads)
        (vocabulary,) = shape
        self.embedding = nn.Embedding(vocabulary, width)
        self.encoder = nn.ModuleList(Block(width, heads, dropout=dropout) for _ in range(layers))
        self.after_encoder = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(
            CrossBlock(width, heads, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        self.pointer = Pointer(width) if copy else None
        self.dropout = nn.Dropout(dropout)
        for name, part in self.named_modules():
            if isinstance(part, nn.Linear):
                # Glorot & Bengio 2010, smaller where a way around ends. A fixed size of weights, as
                # in language models, leaves narrow attention even for hundreds of steps.
                ends = name.endswith(("outwards", "dense.2"))
                nn.init.xavier_uniform_(part.weight, gain=1 / math.sqrt(2 * layers) if ends else 1)
                nn.init.zeros_(part.bias)
        # Scaled by √width below: words of size one, and logits of size one where they are tied.
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(width))
        if outputs == vocabulary:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, lengths: Tensor, target_tokens: Tensor) -> Tensor:
        """Logits (B, T, outputs) at each place of the target, which begins with BOS."""
        # To learn, nobody needs to see where it looks, unless it copies.
        return self._decode(
            target_tokens, self.begin(tokens, lengths), look=self.pointer is not None
        )[0]

    def begin(self, tokens: Tensor, lengths: Tensor) -> Read:
        """The source (B, S) is read, nothing is written."""
        real = inside(lengths, tokens.shape[1])[:, None, None]
        states = self._embedded(tokens)
        for block in self.encoder:
            states, _ = block(states, mask=real)
        states = self.after_encoder(states)
        return Read(tokens, real, tuple(
            cast(CrossBlock, block).cross.remember(states) for block in self.decoder
        ))  # fmt: skip

    def next(self, target_tokens: Tensor, state: Read) -> tuple[Tensor, Read]:
        """Logits (B, outputs) after the last of the new tokens (B, n), and the new memory."""
        logits, read = self._decode(target_tokens, state, look=True)
        assert read.looked is not None
        return logits[:, -1], replace(read, looked=read.looked[:, -1])

    def attention(self, state: Read) -> Tensor | None:
        """Where in the source the last step looked, in the last layer: (B, S)."""
        return state.looked

    def _embedded(self, tokens: Tensor, first: int = 0) -> Tensor:
        # Turned queries and keys tell how far apart two places of one text are. Where a place of
        # the source is, which the other text looks for, is added as Vaswani et al. do.
        width = self.embedding.embedding_dim
        states = self.embedding(tokens) * math.sqrt(width)
        return self.dropout(states + waves(first, tokens.shape[1], width, tokens.device))  # type: ignore[no-any-return]

    def _decode(self, target_tokens: Tensor, read: Read, *, look: bool) -> tuple[Tensor, Read]:
        """Logits (B, n, outputs) at each new place, and the memory after them; with `look`, also
        where they all looked: (B, n, S)."""
        states, caches, looked = self._embedded(target_tokens, read.place), [], None
        last = len(self.decoder) - 1
        for i, block in enumerate(self.decoder):
            states, cache, looked = block(
                states, read.memories[i], memory_mask=read.real, weights=look and i == last,
                causal=True, cache=read.caches[i] if read.caches else None, first=read.place,
            )  # fmt: skip
            caches.append(cache)
        states = self.norm(states)
        logits: Tensor = self.head(states)
        if self.pointer is not None:
            assert looked is not None
            logits = self.pointer(states, logits, looked, read.source)
        return logits, replace(
            read, caches=tuple(caches), place=read.place + target_tokens.shape[1], looked=looked
        )


def waves(first: int, count: int, width: int, device: torch.device) -> Tensor:
    """Sines and cosines (count, width) of the places from the first on, slower and slower."""
    speed = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    angle = torch.arange(first, first + count, device=device)[:, None] * speed
    return torch.cat([angle.sin(), angle.cos()], 1)
