"""Attention and the blocks of Transformers: pre-norm, rotary places, a cache for generation.

Vaswani et al. 2017; norms before each part (Xiong et al. 2020); places turned into the queries and
keys (Su et al. 2021), so that no length is the longest.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import BadInput

Cache = tuple[Tensor, Tensor]
"""Keys and values (B, heads, steps, width of a head) of all that was read."""


def heads_fit(width: int, heads: int) -> None:
    """BadInput unless the width can be dealt out to the heads, an even part to each."""
    if width % heads or (width // heads) % 2:
        raise BadInput(f"{width} units can't be dealt out to {heads} heads: take a width that is a "
                       f"multiple of {2 * heads}", field="model.heads")  # fmt: skip


class Rotary:
    """Turns queries and keys by their places (Su et al. 2021).

    The tables of sines are made once and grow with the places. They are no buffers: nothing of
    them is learned, saved or averaged.
    """

    def __init__(self, width: int) -> None:
        """`width` is that of one head, an even number."""
        self.width, self.places = width, 0
        self.tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def __call__(self, heads: Tensor, first: int) -> Tensor:
        """Heads (…, L, D), turned by their places first, first + 1, …"""
        last = first + heads.shape[-2]
        if torch.compiler.is_exporting():  # into a graph for any length: tables are of one
            cos, sin = self._made(last, heads.device, heads.dtype)
            return torch.addcmul(heads * cos[first:], heads.roll(self.width // 2, -1), sin[first:])
        if last > self.places:
            self.places = max(256, 2 * last)
            self.tables.clear()
        kind = heads.device, heads.dtype
        if kind not in self.tables:
            self.tables[kind] = self._made(self.places, *kind)
        cos, sin = (table[first:last] for table in self.tables[kind])
        return torch.addcmul(heads * cos, heads.roll(self.width // 2, -1), sin)

    @torch.inference_mode(False)  # the next to need them may be training
    def _made(self, places: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        half = self.width // 2
        speed = torch.exp(torch.arange(half, device=device) * (-math.log(10_000.0) / half))
        # In float32 whatever the heads are in: bfloat16 can't tell place 256 from 257.
        angle = torch.arange(places, device=device)[:, None] * speed
        cos, sin = angle.cos(), angle.sin()
        return torch.cat([cos, cos], -1).to(dtype), torch.cat([-sin, sin], -1).to(dtype)


def attended(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None,
    causal: bool = False, dropout: float = 0.0,
) -> Tensor:  # fmt: skip
    """Values (B, heads, L, D) mixed by how well their keys fit the queries."""
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal, dropout_p=dropout
        )
    # The CPU's kernel takes five times as long in bfloat16 as in float32 to go back through small
    # heads (12 texts of 64 tokens, 4 heads of 32: 7.5 ms against 1.6 ms).
    with torch.autocast("cpu", enabled=False):
        mixed = F.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), attn_mask=mask, is_causal=causal,
            dropout_p=dropout,
        )  # fmt: skip
    return mixed.to(query.dtype)


class SelfAttention(nn.Module):
    """Each place looks at the others of its own sequence.

    Without `rotary` it can't tell places apart: the states must say where they are.
    """

    def __init__(
        self, width: int, heads: int, *, dropout: float = 0.0, rotary: bool = True
    ) -> None:
        super().__init__()
        heads_fit(width, heads)
        self.heads, self.dropout = heads, dropout
        self.inwards = nn.Linear(width, 3 * width)
        self.outwards = nn.Linear(width, width)
        self.rotary = Rotary(width // heads) if rotary else None

    def forward(
        self, states: Tensor, *, mask: Tensor | None = None, causal: bool = False,
        cache: Cache | None = None, first: int = 0,
    ) -> tuple[Tensor, Cache]:  # fmt: skip
        """States (B, L, width) after attention, and the keys and values for the next call.

        `cache` holds the S places that came before, and `first` is the place of the first state.
        `mask` (B, 1, 1, S + L) is true at places to look at; `causal` forbids the future.
        """
        batch, length, width = states.shape
        parts = self.inwards(states).view(batch, length, 3, self.heads, width // self.heads)
        parts = parts.permute(2, 0, 3, 1, 4)
        (query, key), value = parts[:2].unbind(), parts[2]
        if self.rotary is not None:
            query, key = self.rotary(parts[:2], first).unbind()
        if cache is not None:
            key, value = torch.cat([cache[0], key], 2), torch.cat([cache[1], value], 2)
        before = key.shape[2] - length
        if causal and length == 1:  # all there is lies in its past
            causal = False
        elif causal and (before or mask is not None):
            # Each of several new places sees the past and its own before it.
            seen = torch.ones(length, before + length, dtype=torch.bool, device=states.device)
            seen = seen.tril(before)
            mask, causal = seen if mask is None else mask & seen, False
        dropout = self.dropout if self.training else 0.0
        mixed = attended(query, key, value, mask=mask, causal=causal, dropout=dropout)
        return self.outwards(mixed.transpose(1, 2).reshape(batch, length, width)), (key, value)


class CrossAttention(nn.Module):
    """Each place of one sequence looks at those of another."""

    def __init__(self, width: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.memory = nn.Linear(width, 2 * width)
        self.outwards = nn.Linear(width, width)

    def remember(self, source: Tensor) -> Cache:
        """Keys and values of the other sequence (B, S, width): computed once."""
        batch, length, width = source.shape
        both = self.memory(source).view(batch, length, 2, self.heads, width // self.heads)
        key, value = both.permute(2, 0, 3, 1, 4)
        return key, value

    def forward(
        self, states: Tensor, memory: Cache, *, mask: Tensor | None = None, weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """States (B, L, width) after attention; with `weights`, also where they looked: (B, L, S),
        the mean over the heads."""
        batch, length, width = states.shape
        query = self.query(states).view(batch, length, self.heads, -1).transpose(1, 2)
        key, value = memory
        looked = None
        if weights:
            scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
            if mask is not None:
                scores = scores.masked_fill(~mask, float("-inf"))
            shares = scores.float().softmax(-1)
            looked = shares.mean(1)
            mixed = F.dropout(shares, self.dropout, self.training).to(value.dtype) @ value
        else:
            dropout = self.dropout if self.training else 0.0
            mixed = attended(query, key, value, mask=mask, dropout=dropout)
        return self.outwards(mixed.transpose(1, 2).reshape(batch, length, width)), looked


def feed_forward(width: int, wider: int, dropout: float) -> nn.Sequential:
    """Two linear layers over each place."""
    return nn.Sequential(
        nn.Linear(width, wider), nn.GELU(), nn.Linear(wider, width), nn.Dropout(dropout)
    )


class Block(nn.Module):
    """Self-attention and two linear layers, each with its norm before and a way around it."""

    def __init__(
        self, width: int, heads: int, *, dropout: float = 0.0, rotary: bool = True
    ) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, dropout=dropout, rotary=rotary)
        self.before_dense = nn.LayerNorm(width)
        self.dense = feed_forward(width, 4 * width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, **how: Any) -> tuple[Tensor, Cache]:
        """As `SelfAttention`."""
        mixed, cache = self.attention(self.before_attention(states), **how)
        states = states + self.dropout(mixed)
        return states + self.dense(self.before_dense(states)), cache


class CrossBlock(nn.Module):
    """A block that also looks at another sequence, between its own attention and its layers."""

    def __init__(self, width: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, dropout=dropout)
        self.before_cross = nn.LayerNorm(width)
        self.cross = CrossAttention(width, heads, dropout=dropout)
        self.before_dense = nn.LayerNorm(width)
        self.dense = feed_forward(width, 4 * width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: Tensor, memory: Cache, *, memory_mask: Tensor | None = None,
        weights: bool = False, **how: Any,
    ) -> tuple[Tensor, Cache, Tensor | None]:  # fmt: skip
        """States, the cache of its own attention, and where it looked in the other sequence."""
        mixed, cache = self.attention(self.before_attention(states), **how)
        states = states + self.dropout(mixed)
        mixed, looked = self.cross(
            self.before_cross(states), memory, mask=memory_mask, weights=weights
        )
        states = states + self.dropout(mixed)
        return states + self.dense(self.before_dense(states)), cache, looked


def initialize(model: nn.Module, layers: int) -> None:
    """Weights of 0.02, those that end a block smaller by √(2·layers): Radford et al. 2019."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            ends = name.endswith(("outwards", "dense.2"))
            nn.init.normal_(module.weight, std=0.02 / math.sqrt(2 * layers) if ends else 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
