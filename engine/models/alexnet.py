"""The network that won ImageNet in 2012."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import BadInput, Help, Range
from engine.layers.convolutions import kaiming, large_enough
from engine.models import ACTIVATIONS, Activation, Dropout, Headed, Standardize, dense

LARGE = 63
"""The shortest side that the published stem and its three poolings leave something of."""
POOLED = 6
"""Sides of the last map, at most: 6 at 224 pixels, as published."""


class LocalResponse(nn.Module):
    """Each value over how loud the five channels around it are: Krizhevsky 2012, section 3.3."""

    def forward(self, maps: Tensor) -> Tensor:
        squares = F.pad(maps.square(), (0, 0, 0, 0, 2, 2))
        channels = maps.shape[1]
        loudness = squares[:, :channels]
        for beside in range(1, 5):
            loudness = loudness + squares[:, beside : beside + channels]
        return maps * (2.0 + 1e-4 * loudness).pow(-0.75)


class AlexNet(
    Headed, label="AlexNet", fits={"image"}, provides={"logits"}, rank=13,
    suggests={"method.epochs": 20},
    thorough={"model.channels": [96, 256, 384, 384, 256], "model.hidden": [4096, 4096],
              "method.epochs": 90, "method.batch_size": 128, "method.optimizer": "SGD",
              "method.learning_rate": 0.01, "method.weight_decay": 5e-4},
):  # fmt: skip
    """Five convolutions and three dense layers: the network with which deep learning took off.

    Krizhevsky 2012, with the two halves of its two graphics cards as groups of channels.
    60,965,224 parameters at 224×224×3 with its channels and widths and 1,000 classes. Pictures
    with a side below 63 pixels get a stem of 3×3 that reads every pixel.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        channels: Annotated[
            Sequence[int], Range(2, 1024),
            Help("Channels of the five convolutions, even numbers; published: "
                 "96, 256, 384, 384, 256"),
        ] = (24, 64, 96, 96, 64),
        hidden: Annotated[
            Sequence[int], Range(1, 8192),
            Help("Widths of the dense layers before the classes; published: 4096, 4096",
                 label="Dense widths"),
        ] = (512, 256),
        dropout: Dropout = 0.5,
        activation: Activation = "ReLU",
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        if len(channels) != 5 or any(channel % 2 for channel in channels):
            raise BadInput("AlexNet has five convolutions: give five even numbers of channels",
                           field="model.channels")  # fmt: skip
        large_enough(shape, 2, "bring in larger ones")
        height, width, depth = shape
        first, second, third, fourth, fifth = channels
        large = min(height, width) >= LARGE
        rectified = ACTIVATIONS[activation]
        # The padding keeps something of the smallest pictures; at 224 pixels none is needed.
        pool = nn.MaxPool2d(3, 2, 0 if large else 1)
        self.standardize = Standardize(depth, dim=1)
        self.features = nn.Sequential(
            nn.Conv2d(depth, first, 11, 4, 2) if large else nn.Conv2d(depth, first, 3, 1, 1),
            rectified(), LocalResponse(), pool,
            nn.Conv2d(first, second, 5, 1, 2, groups=2), rectified(), LocalResponse(), pool,
            nn.Conv2d(second, third, 3, 1, 1), rectified(),
            nn.Conv2d(third, fourth, 3, 1, 1, groups=2), rectified(),
            nn.Conv2d(fourth, fifth, 3, 1, 1, groups=2), rectified(), pool,
        )  # fmt: skip
        kaiming(self)
        with torch.no_grad():
            sides = self.features(torch.zeros(1, depth, height, width)).shape[2:]
        pooled = [min(side, POOLED) for side in sides]
        # On a GPU it has no deterministic gradient, so only where there is something to pool.
        self.pool: nn.Module = nn.AdaptiveAvgPool2d((pooled[0], pooled[1]))
        if tuple(pooled) == tuple(sides):
            self.pool = nn.Identity()
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            dense([fifth * pooled[0] * pooled[1], *hidden, outputs], activation=activation,
                  dropout=dropout),
        )  # fmt: skip

    def embed(self, images: Tensor) -> Tensor:
        """The last maps of images (B, C, H, W) in 0…1, end to end."""
        return self.pool(self.features(self.standardize(images))).flatten(1)  # type: ignore[no-any-return]
