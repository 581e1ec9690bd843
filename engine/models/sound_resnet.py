"""A small residual network over spectra."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.models import Dropout, HeadedAfterDropout, Standardize
from engine.tasks import inside


class SoundResNet(
    HeadedAfterDropout, label="Sound ResNet", fits={"audio"}, provides={"logits", "spectra"},
    rank=20,
    suggests={"method.epochs": 25, "method.batch_size": 32, "method.learning_rate": 3e-3,
              "method.clip": 5.0},
    thorough={"model.widths": [64, 128, 256], "data.bands": 64, "method.epochs": 80},
):  # fmt: skip
    """Residual convolutions over time and frequency: knows short sounds and key words.

    He et al. 2016, as Tang & Lin 2018 hear key words: one block a width, each but the first of
    which halves both axes. What is left of a recording is averaged.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        widths: Annotated[
            Sequence[int], Range(4, 1024), Help("Channels of each residual block")
        ] = (16, 32, 64),
        dropout: Dropout = 0.2,
    ) -> None:  # fmt: skip
        """With no outputs it has no head, but a layer that gives spectra again."""
        super().__init__(shape, outputs)
        (bands,) = shape
        self.standardize = Standardize(bands, dim=-1)
        self.stem = Normed(1, widths[0], stride=2)
        strides = [1] + [2] * (len(widths) - 1)
        self.blocks = nn.ModuleList(
            Residual(width, wider, stride=stride)
            for (width, wider), stride in zip(
                pairwise([widths[0], *widths]), strides, strict=True
            )
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.halvings = len(widths)
        if outputs:
            self.head = nn.Linear(widths[-1], outputs)
        else:
            left = -(-bands // 2**self.halvings)
            self.back = nn.Linear(widths[-1] * left, 2**self.halvings * bands)

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """What is heard in spectra (B, T, bands), of whose frames the first `lengths` are real:
        (B, channels)."""
        states, lengths = self.maps(values, lengths)
        mean: Tensor = states.sum(2).mean(2) / lengths[:, None]  # all is zero behind the end
        return mean

    def steps(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Frames (B, T, bands) again, several from each place of the last maps."""
        states, _ = self.maps(values, lengths)
        told: Tensor = self.back(states.transpose(1, 2).flatten(2))
        return told.reshape(values.shape[0], -1, values.shape[2])[:, : values.shape[1]]

    def maps(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The last maps (B, channels, T', bands') and the recordings' lengths in them."""
        states = self.standardize(values)
        # No recording is louder than another: what it is lies in the differences within it.
        real = inside(lengths, values.shape[1])[..., None]
        count = lengths[:, None, None] * values.shape[2]
        states = states - (states * real).sum((1, 2), keepdim=True) / count
        states, lengths = self.stem((states * real)[:, None], lengths)
        states = states.relu()
        for block in self.blocks:
            states, lengths = block(states, lengths)
        return states, lengths


class Normed(nn.Module):
    """A 3×3 convolution and batch normalization, zero behind each recording's end.

    With zeros there, a recording's frames are what they would be if it were alone.
    """

    def __init__(self, channels: int, wider: int, *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(channels, wider, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(wider)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, C, T, bands) and the recordings' lengths in them, both before and after."""
        states = self.norm(self.convolution(states))
        lengths = torch.div(lengths - 1, self.stride, rounding_mode="floor") + 1
        return states * inside(lengths, states.shape[2])[:, None, :, None], lengths


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int, wider: int, *, stride: int) -> None:
        super().__init__()
        self.first = Normed(channels, wider, stride=stride)
        self.second = Normed(wider, wider)
        self.stride = stride
        self.around = nn.Identity() if channels == wider else nn.Conv2d(channels, wider, 1)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As `Normed`."""
        found, shorter = self.first(states, lengths)
        found, _ = self.second(found.relu(), shorter)
        around = self.around(states[:, :, :: self.stride, :: self.stride])
        kept = inside(shorter, found.shape[2])[:, None, :, None]
        return (found + around).relu() * kept, shorter
