"""A variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from engine.catalog import Help, Only, Range
from engine.layers.coding import Coding
from engine.layers.convolutions import doubling, halved, halving
from engine.models import Activation, dense


class VariationalAutoencoder(
    Coding, label="Variational autoencoder", fits={"image"}, rank=56,
    provides={"latent code", "logits"},
    suggests={"task": "VariationalInference", "method.epochs": 40, "method.learning_rate": 3e-3,
              "method.weight_decay": 0.0},
    thorough={"model.channels": [64, 128], "model.code": 32, "method.epochs": 300},
):  # fmt: skip
    """Learns a space of codes in which every place is a picture: so it can draw new ones.

    Kingma & Welling 2014: a picture becomes a normal distribution of codes, kept close to the
    standard one, from which new codes are drawn.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        layers: Annotated[
            Literal["convolutional", "dense"],
            Help("Dense ones know nothing of neighbourhoods: for very small pictures"),
        ] = "convolutional",
        channels: Annotated[
            Sequence[int], Range(1, 1024), Only("layers", "convolutional"),
            Help("Channels of each convolution, which halves the picture; the way back mirrors "
                 "them"),
        ] = (32, 64),
        widths: Annotated[
            Sequence[int], Range(1, 8192), Only("layers", "dense"),
            Help("Widths from the picture down; the way back mirrors them"),
        ] = (400,),
        code: Annotated[
            int, Range(1, 1024), Help("Numbers of the code: with two, the whole space can be seen")
        ] = 16,
        activation: Activation = "ReLU",
    ) -> None:  # fmt: skip
        """With outputs it has a head over the mean, and no way back."""
        super().__init__(shape, outputs)
        height, width, depth = shape
        pixels = math.prod(shape)
        if layers == "dense":
            self.encoder = nn.Sequential(
                nn.Flatten(), *dense([pixels, *widths, 2 * code], activation=activation)
            )
        else:
            sides = halved(height, width, len(channels))
            flat = channels[-1] * math.prod(sides[-1])
            self.encoder = nn.Sequential(
                *halving(depth, channels, activation=activation), nn.Flatten(),
                nn.Linear(flat, 2 * code),
            )  # fmt: skip
        self.code = code
        if outputs:
            self.head = nn.Linear(code, outputs)
        elif layers == "dense":
            self.decoder = nn.Sequential(
                *dense([code, *widths[::-1], pixels], activation=activation),
                nn.Unflatten(1, (depth, height, width)),
            )
        else:
            self.decoder = doubling(
                code, [*channels[::-1], depth], sides[::-1], activation=activation
            )

    def distribution(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance (B, code) of each picture's codes."""
        mean, log_variance = super().encode(images).float().chunk(2, 1)
        # Far beyond what is ever right: a first step that is too large must not become infinite.
        return mean, log_variance.clamp(-20, 20)

    def encode(self, images: Tensor) -> Tensor:
        """The mean of the codes."""
        return self.distribution(images)[0]

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        """Pictures of codes that are drawn from the standard normal distribution."""
        codes = torch.randn(count, self.code, generator=generator)
        codes = codes.to(self.device)
        return self.decode(codes).float().sigmoid()
