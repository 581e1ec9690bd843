"""Depthwise separable convolutions all the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Tensor, nn

from engine.catalog import Help, Range
from engine.layers.convolutions import kaiming, large_enough, normed, strides
from engine.models import Dropout, HeadedAfterDropout, Standardize

StemName = Literal["small pictures", "ImageNet"]
STRIDES: dict[str, int] = {"small pictures": 1, "ImageNet": 2}
"""Of the first convolution, for each stem."""


def separable(depth: int, channels: int) -> nn.Sequential:
    """A 3×3 convolution of each channel by itself, then one that mixes them, then the norm."""
    return nn.Sequential(
        nn.Conv2d(depth, depth, 3, padding=1, groups=depth, bias=False),
        nn.Conv2d(depth, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


class Residual(nn.Module):
    """Some layers and a way around them: as it is, or through a 1×1 convolution."""

    def __init__(self, layers: Sequence[nn.Module], around: nn.Module) -> None:
        super().__init__()
        self.layers, self.around = nn.Sequential(*layers), around

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps) + self.around(maps)  # type: ignore[no-any-return]


def narrowing(depth: int, widths: tuple[int, int], stride: int, *, rectified: bool) -> Residual:
    """Two separable convolutions and a pooling that halves the picture."""
    first, second = widths
    layers = [separable(depth, first), nn.ReLU(), separable(first, second)]
    if rectified:
        layers.insert(0, nn.ReLU())
    return Residual([*layers, nn.MaxPool2d(3, stride, 1)], normed(depth, second, 1, stride=stride))


class Xception(
    HeadedAfterDropout, label="Xception", fits={"image"}, provides={"logits"}, rank=14,
    suggests={"method.epochs": 15, "method.batch_size": 128, "method.learning_rate": 5e-3},
    thorough={"model.width": 32, "model.middle": 8, "model.dropout": 0.5, "method.epochs": 100,
              "method.optimizer": "SGD", "method.learning_rate": 0.045,
              "method.weight_decay": 1e-5, "method.average": 0.999},
):  # fmt: skip
    """Looks at each channel by itself and then mixes them: does much with few weights.

    Chollet 2017. 22,855,952 parameters at its published width of 32 with 8 middle blocks and
    1,000 classes. Halves the picture as long as two pixels or more are left.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        width: Annotated[
            int, Range(4, 64, step=4),
            Help("Channels of the first convolution; all others grow with it; published: 32",
                 unit="channels"),
        ] = 8,
        middle: Annotated[
            int, Range(0, 16), Help("Blocks between the entry and the exit; published: 8",
                                    label="Middle blocks")
        ] = 2,
        stem: Annotated[
            StemName,
            Help("“small pictures” reads every pixel, for sides up to about 64; “ImageNet” halves "
                 "the picture at once, as published"),
        ] = "small pictures",
        dropout: Dropout = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        height, across, depth = shape
        shrinks = STRIDES[stem]
        large_enough(shape, 2, "bring in larger ones")
        halvings = strides(min(height, across) // shrinks)
        # Published: 32, 64, 128, 256, 728 at the entry, 728, 1024, 1536, 2048 at the exit.
        widths = [width * 728 // 32 if wide == 728 else width * wide // 32
                  for wide in (64, 128, 256, 728, 1024, 1536, 2048)]  # fmt: skip
        entry, second, third, inner, outer, late, last = widths
        self.standardize = Standardize(depth, dim=1)
        self.stem = nn.Sequential(
            normed(depth, width, 3, stride=shrinks), nn.ReLU(),
            normed(width, entry, 3), nn.ReLU(),
        )  # fmt: skip
        self.body = nn.Sequential(
            narrowing(entry, (second, second), next(halvings), rectified=False),
            narrowing(second, (third, third), next(halvings), rectified=True),
            narrowing(third, (inner, inner), next(halvings), rectified=True),
            *(
                Residual([part for _ in range(3) for part in (nn.ReLU(), separable(inner, inner))],
                         nn.Identity())
                for _ in range(middle)
            ),
            narrowing(inner, (inner, outer), next(halvings), rectified=True),
            separable(outer, late), nn.ReLU(), separable(late, last), nn.ReLU(),
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(last, outputs)
        kaiming(self)

    def embed(self, images: Tensor) -> Tensor:
        """The mean of the last maps of images (B, C, H, W) in 0…1: (B, channels)."""
        maps: Tensor = self.body(self.stem(self.standardize(images)))
        return maps.mean((2, 3))
