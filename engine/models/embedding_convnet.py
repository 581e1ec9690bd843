"""The small convolutional network that few-shot learning is usually tried with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.models import Headed, Standardize


class EmbeddingConvNet(
    Headed, label="Conv-4", fits={"image"}, provides={"logits"}, rank=15,
    suggests={"method.epochs": 15, "method.learning_rate": 5e-3},
):  # fmt: skip
    """Equal blocks of convolution, norm, ReLU and pooling: small, and made for comparing pictures.

    Vinyals et al. 2016, Snell et al. 2017. Four blocks make 64 features of 28×28 pixels. A block
    does not pool any more where one pixel is left. 111,680 parameters at 28×28×1 without a head.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        channels: Annotated[int, Range(4, 1024), Help("Channels of every convolution")] = 64,
        blocks: Annotated[
            int, Range(1, 8), Help("The picture is halved after each: fewer leave more features")
        ] = 4,
    ) -> None:
        super().__init__(shape, outputs)
        height, width, depth = shape
        self.standardize = Standardize(depth, dim=1)
        layers: list[nn.Module] = []
        for _ in range(blocks):
            # Without a bias: the norm takes it away.
            layers.append(nn.Sequential(
                nn.Conv2d(depth, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
                nn.ReLU(),
            ))  # fmt: skip
            if min(height, width) > 1:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            depth = channels
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels * height * width, outputs)

    def embed(self, images: Tensor) -> Tensor:
        """The last maps of images (B, C, H, W) in 0…1, end to end."""
        return self.layers(self.standardize(images)).flatten(1)  # type: ignore[no-any-return]
