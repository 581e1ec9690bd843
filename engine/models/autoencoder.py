"""A dense autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.layers.coding import Coding
from engine.models import Activation, Dropout, dense


class Autoencoder(
    Coding, label="Autoencoder", fits={"image"}, provides={"reconstruction", "logits"},
    suggests={"task": "Reconstruction", "method.epochs": 60, "method.learning_rate": 3e-3,
              "method.weight_decay": 0.0},
    thorough={"model.widths": [512, 256, 32], "method.epochs": 300},
):  # fmt: skip
    """Squeezes a picture through a narrow code and back: learns without labels.

    Dense 784–128–64–32–64–128–784 at 28×28×1 (222,384 parameters), for pictures of any shape.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        widths: Annotated[
            Sequence[int], Range(1, 8192), Help("Widths from the picture down to the code; the way "
                                            "back mirrors them")
        ] = (128, 64, 32),
        dropout: Dropout = 0.0,
        activation: Activation = "ReLU",
    ) -> None:  # fmt: skip
        """With outputs it has a head, and no way back."""
        super().__init__(shape, outputs)
        sizes = [math.prod(shape), *widths]
        self.encoder = dense(sizes, activation=activation, dropout=dropout)
        if outputs:
            self.head = nn.Linear(sizes[-1], outputs)
        else:
            self.decoder = dense(sizes[::-1], activation=activation, dropout=dropout)

    def encode(self, images: Tensor) -> Tensor:
        return super().encode(images.flatten(1))

    def decode(self, codes: Tensor) -> Tensor:
        height, width, depth = self.shape
        return super().decode(codes).view(-1, depth, height, width)
