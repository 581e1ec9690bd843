"""A convolutional autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import nn

from engine.catalog import Help, Range
from engine.layers.coding import Coding
from engine.layers.convolutions import doubling, halved, halving
from engine.models import Activation


class ConvAutoencoder(
    Coding, label="Convolutional autoencoder", fits={"image"}, rank=55,
    provides={"reconstruction", "logits"},
    suggests={"task": "Reconstruction", "method.epochs": 20, "method.learning_rate": 3e-3,
              "method.weight_decay": 0.0},
    thorough={"model.channels": [64, 128, 256], "model.code": 128, "method.epochs": 200},
):  # fmt: skip
    """Squeezes a picture through a narrow code and back, looking at small neighbourhoods.

    Convolutions of stride 2 on the way down (Masci et al. 2011) and transposed ones on the way
    back, for pictures of any shape. Pretrained so, what leads to the code goes on to tell classes
    apart.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        channels: Annotated[
            Sequence[int], Range(1, 1024),
            Help("Channels of each convolution, which halves the picture; the way back mirrors "
                 "them"),
        ] = (32, 64),
        code: Annotated[int, Range(1, 4096), Help("Numbers that a picture is squeezed into")] = 32,
        activation: Activation = "ReLU",
    ) -> None:  # fmt: skip
        """With outputs it has a head, and no way back."""
        super().__init__(shape, outputs)
        height, width, depth = shape
        sides = halved(height, width, len(channels))
        self.encoder = nn.Sequential(
            *halving(depth, channels, activation=activation), nn.Flatten(),
            nn.Linear(channels[-1] * sides[-1][0] * sides[-1][1], code),
        )  # fmt: skip
        if outputs:
            self.head = nn.Linear(code, outputs)
        else:
            self.decoder = doubling(
                code, [*channels[::-1], depth], sides[::-1], activation=activation
            )
