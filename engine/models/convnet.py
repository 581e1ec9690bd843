"""A plain convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor, nn

from engine.catalog import BadInput, Help, Range
from engine.models import ACTIVATIONS, Activation, Dropout, Headed, Standardize, dense


class ConvNet(
    Headed,
    label="Convolutional network",
    fits={"image"},
    provides={"logits"},
    rank=10,
    suggests={"method.epochs": 15},
    thorough={
        "model.channels": [64, 128, 256],
        "model.dropout": 0.4,
        "task.label_smoothing": 0.1,
        "method.epochs": 100,
        "method.batch_size": 256,
    },
):
    """Three convolutions and three dense layers: small, fast, a good first choice for pictures.

    Each convolution is 3×3 with same padding, then the activation and 2×2 max pooling.
    2,721,354 parameters at 32×32×3 with 10 classes.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        channels: Annotated[
            Sequence[int], Range(1, 1024),
            Help("Channels of each convolution; the picture is halved after each"),
        ] = (32, 64, 128),
        hidden: Annotated[
            Sequence[int], Range(1, 8192), Help("Widths of the dense layers before the classes",
                                            label="Dense widths")
        ] = (1024, 512),
        dropout: Dropout = 0.0,
        activation: Activation = "ReLU",
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        height, width, depth = shape
        if min(height, width) >> len(channels) < 1:
            raise BadInput(
                f"{len(channels)} halvings leave nothing of {height}×{width} pixels: take fewer "
                "convolutions or larger pictures", field="model.channels",
            )  # fmt: skip
        self.standardize = Standardize(depth, dim=1)
        blocks: list[nn.Module] = []
        for channel in channels:
            blocks += [nn.Conv2d(depth, channel, 3, padding="same"), ACTIVATIONS[activation](),
                       nn.MaxPool2d(2)]  # fmt: skip
            depth = channel
        self.features = nn.Sequential(*blocks)
        flat = depth * (height >> len(channels)) * (width >> len(channels))
        self.head = dense([flat, *hidden, outputs], activation=activation, dropout=dropout)

    def embed(self, images: Tensor) -> Tensor:
        """The last maps of images (B, C, H, W) in 0…1, end to end."""
        return self.features(self.standardize(images)).flatten(1)  # type: ignore[no-any-return]
