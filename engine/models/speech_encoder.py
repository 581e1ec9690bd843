"""Convolutions that shorten a spectrum, and layers that read it from both ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from engine.catalog import Help, Only, Range
from engine.layers.transformer import Block, heads_fit
from engine.models import Dropout, Model, Standardize
from engine.tasks import inside

LayerName = Literal["GRU", "LSTM", "Transformer"]


class SpeechEncoder(
    Model, label="Speech encoder", fits={"audio"}, provides={"frames"}, rank=10,
    suggests={"method.epochs": 30, "method.batch_size": 32, "method.learning_rate": 4e-3,
              "method.clip": 5.0},
    thorough={"model.width": 384, "model.depth": 4, "model.channels": 32, "data.bands": 80,
              "method.epochs": 100, "method.learning_rate": 1e-3},
):  # fmt: skip
    """Convolutions and recurrent or Transformer layers: writes what it hears, letter by letter.

    As Deep Speech 2 (Amodei et al. 2016): each frame that it gives says how likely each character
    is there, or none (Graves et al. 2006).
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        layers: Annotated[
            LayerName, Help("GRU learns fastest from little; Transformers want much speech")
        ] = "GRU",
        depth: Annotated[int, Range(1, 24), Help("How many of these layers")] = 1,
        width: Annotated[
            int, Range(16, 1024), Help("Units of a layer, of both directions together")
        ] = 128,
        heads: Annotated[
            int, Range(1, 16), Only("layers", "Transformer"), Help("Heads of attention")
        ] = 4,
        channels: Annotated[
            int, Range(4, 256), Help("Channels of the convolutions before")
        ] = 16,
        halvings: Annotated[
            int, Range(0, 3),
            Help("How often the number of frames is halved first: faster, but fewer letters fit in "
                 "a second"),
        ] = 1,
        dropout: Dropout = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        (bands,) = shape
        self.standardize = Standardize(bands, dim=-1)
        self.strides = [2] * halvings + [1] * (2 - halvings)
        self.convolutions = nn.ModuleList()
        for number, stride in enumerate(self.strides):
            before = channels if number else 1
            self.convolutions.append(nn.Conv2d(before, channels, 3, (stride, 2), 1))
            bands = (bands - 1) // 2 + 1
        self.inwards = nn.Linear(channels * bands, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = LAYERS[layers](width, depth, heads, dropout)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T', outputs) of spectra (B, T, bands) whose first `lengths` frames are real,
        and how many of the T' are: ⌈T / 2⌉ for each halving."""
        real = inside(lengths, values.shape[1])[..., None]
        states = self.standardize(values)
        # Each recording about its own mean, band by band: microphones differ in it.
        states = (states - (states * real).sum(1, keepdim=True) / lengths[:, None, None]) * real
        states = states[:, None]
        for convolution, stride in zip(self.convolutions, self.strides, strict=True):
            states = convolution(states).relu()
            lengths = torch.div(lengths - 1, stride, rounding_mode="floor") + 1
            # Zero behind the end, where a recording that is alone has the convolution's padding.
            states = states * inside(lengths, states.shape[2])[:, None, :, None]
        batch, channels, steps, bands = states.shape
        states = states.permute(0, 2, 1, 3).reshape(batch, steps, channels * bands)
        states = self.layers(self.dropout(self.inwards(states)), lengths)
        return self.head(self.norm(states)), lengths


class BothWays(nn.Module):
    """Recurrent layers that read from both ends (Schuster & Paliwal 1997), each added to what it
    read.

    Backwards means from a recording's own end: it is turned round there, so that no padding is
    read before it.
    """

    cell: type[nn.GRU] | type[nn.LSTM]

    def __init__(self, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        half = width // 2
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.forwards, self.backwards = (
            nn.ModuleList(self.cell(width, half, batch_first=True) for _ in range(depth))
            for _ in range(2)
        )
        self.mixtures = nn.ModuleList(nn.Linear(2 * half, width) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, L, width) after all layers."""
        turn = turned(lengths, states.shape[1])[..., None]
        for norm, forwards, backwards, mixture in zip(
            self.norms, self.forwards, self.backwards, self.mixtures, strict=True
        ):
            read = norm(states)
            ahead, _ = forwards(read)
            back, _ = backwards(read.gather(1, turn.expand_as(read)))
            back = back.gather(1, turn.expand_as(back))
            states = states + self.dropout(mixture(torch.cat([ahead, back], -1)))
        return states


def turned(lengths: Tensor, longest: int) -> Tensor:
    """(B, longest): where each place of an item comes from when its real steps are reversed."""
    places = torch.arange(longest, device=lengths.device).expand(lengths.shape[0], longest)
    return torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)


class BothWaysGRU(BothWays):
    """Of gated recurrent units (Cho et al. 2014)."""

    cell = nn.GRU


class BothWaysLSTM(BothWays):
    """Of long short-term memory (Hochreiter & Schmidhuber 1997)."""

    cell = nn.LSTM


class Attending(nn.Module):
    """Transformer blocks, each frame looking at all real ones."""

    def __init__(self, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        heads_fit(width, heads)
        self.blocks = nn.ModuleList(Block(width, heads, dropout=dropout) for _ in range(depth))

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, L, width) after all blocks."""
        mask = inside(lengths, states.shape[1])[:, None, None, :]
        for block in self.blocks:
            states, _ = block(states, mask=mask)
        return states


LAYERS: dict[LayerName, type[BothWaysGRU] | type[BothWaysLSTM] | type[Attending]] = {
    "GRU": BothWaysGRU, "LSTM": BothWaysLSTM, "Transformer": Attending,
}  # fmt: skip
