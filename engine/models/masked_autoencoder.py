"""A Transformer that sees a few patches of a picture and draws the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from engine.catalog import Advanced, Help, Range
from engine.layers.transformer import Block
from engine.models.vit import PatchReader, WavePlaces, glorot


class Decoder(nn.Module):
    """Draws every patch from what was read of some."""

    def __init__(
        self, grid: tuple[int, int], read: int, width: int, layers: int, heads: int, pixels: int
    ) -> None:
        """Of `grid` rows and columns, from states of `read` numbers to patches of `pixels`."""
        super().__init__()
        self.inwards = nn.Linear(read, width)
        self.blank = nn.Parameter(torch.randn(width) * 0.02)
        self.places = WavePlaces(*grid, width)
        self.blocks = nn.ModuleList(Block(width, heads, rotary=False) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.outwards = nn.Linear(width, pixels)

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        """All patches (B, N, pixels), from the states (B, K, read) of those `seen` (B, K)."""
        known = self.inwards(states)
        every = self.blank.to(known.dtype).expand(len(known), len(self.places.vectors), -1)
        every = every.scatter(1, seen[:, :, None].expand(-1, -1, known.shape[2]), known)
        drawn = self.places(every)
        for block in self.blocks:
            drawn, _ = block(drawn)
        return self.outwards(self.norm(drawn))  # type: ignore[no-any-return]


class MaskedAutoencoder(
    PatchReader, label="Masked autoencoder", fits={"image"}, provides={"masked image"}, rank=13,
    suggests={"method.epochs": 50, "method.batch_size": 128, "method.learning_rate": 1.5e-3,
              "method.weight_decay": 0.05, "method.clip": 1.0},
    thorough={"model.width": 192, "model.layers": 12, "model.heads": 3, "model.drawn_width": 128,
              "model.drawn_layers": 4, "method.epochs": 800, "method.batch_size": 1024,
              "method.schedule": "cosine", "method.warmup": 0.05},
):  # fmt: skip
    """Reads a few patches of a picture and draws the others: it starts a Vision Transformer.

    He et al. 2022. A quarter of the patches is read, so that reading takes less than a quarter of
    the time; drawing is left to a smaller Transformer. A vision Transformer of the same settings
    takes over all that reads.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        drawn_width: Annotated[
            int, Range(8, 1024, step=8),
            Help("Numbers that stand for a patch while it is drawn", label="Decoder's width",
                 unit="units"),
        ] = 32,
        drawn_layers: Annotated[
            int, Range(1, 16), Advanced(),
            Help("Blocks that draw: more leave less of the work to those that read",
                 label="Decoder's layers"),
        ] = 1,
        drawn_heads: Annotated[
            int, Range(1, 32), Advanced(),
            Help("Places that a patch can look at at once while it is drawn",
                 label="Decoder's heads"),
        ] = 4,
        **reading: Any,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs, **reading)
        pixels = self.patch**2 * shape[2]
        self.decoder = Decoder(
            self.grid, self.norm.normalized_shape[0], drawn_width, drawn_layers, drawn_heads, pixels
        )
        glorot(self)

    def complete(self, images: Tensor, seen: Tensor) -> Tensor:
        """Every patch as it is drawn (B, N, pixels), from the patches `seen` (B, K) alone."""
        states = self.read(images, seen)
        return self.decoder(states[:, -seen.shape[1] :], seen)  # type: ignore[no-any-return]

    def forward(self, images: Tensor, seen: Tensor) -> Tensor:
        """As `complete`."""
        return self.complete(images, seen)
