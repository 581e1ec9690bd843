"""Residual networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help, Range
from engine.layers.convolutions import kaiming, large_enough, normed, strides
from engine.models import Dropout, HeadedAfterDropout, Standardize

Depth = Literal["8", "14", "20", "32", "44", "56", "110", "10", "18", "34", "50", "101", "152"]
StemName = Literal["small pictures", "medium pictures", "ImageNet"]


class Subsample(nn.Module):
    """A way around a block that learns nothing: every second pixel, and channels of zeros."""

    def __init__(self, depth: int, channels: int, stride: int) -> None:
        super().__init__()
        self.more, self.stride = channels - depth, stride

    def forward(self, maps: Tensor) -> Tensor:
        return F.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))


def project(depth: int, channels: int, stride: int) -> nn.Module:
    """A way around a block through a 1×1 convolution."""
    return normed(depth, channels, 1, stride=stride)


class Basic(nn.Module):
    """Two 3×3 convolutions and a way around them."""

    widening = 1

    def __init__(self, depth: int, width: int, stride: int, around: nn.Module) -> None:
        super().__init__()
        self.first = normed(depth, width, 3, stride=stride)
        self.second = normed(width, width, 3)
        self.around = around

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(maps))) + self.around(maps))


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions, narrow in the middle, and a way around them."""

    widening = 4

    def __init__(self, depth: int, width: int, stride: int, around: nn.Module) -> None:
        super().__init__()
        self.first = normed(depth, width, 1)
        self.middle = normed(width, width, 3, stride=stride)
        self.second = normed(width, 4 * width, 1)
        self.around = around

    def forward(self, maps: Tensor) -> Tensor:
        inner = F.relu(self.middle(F.relu(self.first(maps))))
        return F.relu(self.second(inner) + self.around(maps))


@dataclass(frozen=True)
class Plan:
    """How a network of one depth is built."""

    block: type[Basic] | type[Bottleneck]
    blocks: tuple[int, ...]
    """Blocks of each stage; each but the first halves the picture and doubles the channels."""
    width: int
    """Channels of the first stage."""
    around: Callable[[int, int, int], nn.Module]
    """What leads around a block that changes the shape."""


def _for_cifar(depth: int) -> Plan:
    """He et al. 2016, section 4.2: 6n + 2 layers in three stages, with shortcuts A."""
    return Plan(Basic, ((depth - 2) // 6,) * 3, 16, Subsample)


PLANS: dict[str, Plan] = {
    **{str(depth): _for_cifar(depth) for depth in (8, 14, 20, 32, 44, 56, 110)},
    # He et al. 2016, table 1, with shortcuts B; 10 is the same with one block a stage.
    "10": Plan(Basic, (1, 1, 1, 1), 64, project),
    "18": Plan(Basic, (2, 2, 2, 2), 64, project),
    "34": Plan(Basic, (3, 4, 6, 3), 64, project),
    "50": Plan(Bottleneck, (3, 4, 6, 3), 64, project),
    "101": Plan(Bottleneck, (3, 4, 23, 3), 64, project),
    "152": Plan(Bottleneck, (3, 8, 36, 3), 64, project),
}


@dataclass(frozen=True)
class Entrance:
    """What stands before the first stage."""

    make: Callable[[int, int], nn.Module]
    halves: int
    """A side is so many times shorter behind it."""
    smallest: int
    mend: str
    field: str | None = None


STEMS: dict[str, Entrance] = {
    "small pictures": Entrance(
        lambda depth, channels: nn.Sequential(normed(depth, channels, 3), nn.ReLU()),
        halves=1, smallest=2, mend="bring in larger ones",
    ),
    "medium pictures": Entrance(
        lambda depth, channels: nn.Sequential(
            normed(depth, channels, 3), nn.ReLU(), nn.MaxPool2d(2)
        ),
        halves=2, smallest=4, mend="take the stem for small pictures", field="model.stem",
    ),
    "ImageNet": Entrance(
        lambda depth, channels: nn.Sequential(
            normed(depth, channels, 7, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        ),
        halves=4, smallest=32, mend="take the stem for small pictures", field="model.stem",
    ),
}  # fmt: skip


class ResNet(
    HeadedAfterDropout, label="ResNet", fits={"image"}, provides={"logits"}, rank=11,
    suggests={"method.epochs": 20, "method.batch_size": 128, "method.learning_rate": 5e-3,
              "method.weight_decay": 0.05},
    thorough={"model.depth": "18", "model.width": 64, "method.epochs": 100,
              "method.batch_size": 128, "method.optimizer": "SGD", "method.learning_rate": 0.1,
              "method.weight_decay": 5e-4, "method.average": 0.998,
              "task.label_smoothing": 0.1},
):  # fmt: skip
    """Convolutions with shortcuts around them, so that depth helps: strong on pictures of any size.

    He et al. 2016; the last norm of each block starts at zero (Goyal et al. 2017). 0.27 million
    parameters at depth 20 for CIFAR-10, 11,689,512 at depth 18 for ImageNet.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        depth: Annotated[
            Depth, Help("Layers: 8 to 56 and 110 are the slim ones for small pictures, 10, 18, "
                        "34, 50 and above the wide ones for photographs")
        ] = "14",
        width: Annotated[
            int | None, Range(4, 512),
            Help("Channels of the first stage; each further stage has twice as many",
                 unit="channels", empty="as published"),
        ] = None,
        stem: Annotated[
            StemName,
            Help("What stands before the first stage: “small pictures” keeps every pixel, “medium "
                 "pictures” halves each side, four times as fast, “ImageNet” quarters it"),
        ] = "small pictures",
        dropout: Dropout = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        large_enough(shape, STEMS[stem].smallest, STEMS[stem].mend, field=STEMS[stem].field)
        height, across, depth_in = shape
        plan = PLANS[depth]
        channels = width or plan.width
        self.standardize = Standardize(depth_in, dim=1)
        self.stem = STEMS[stem].make(depth_in, channels)
        halvings = strides(min(height, across) // STEMS[stem].halves)
        reached, stages = channels, []
        for stage, blocks in enumerate(plan.blocks):
            inner = channels * 2**stage
            for block in range(blocks):
                stride = next(halvings) if stage and not block else 1
                wider = inner * plan.block.widening
                around = (nn.Identity() if (reached, stride) == (wider, 1)
                          else plan.around(reached, wider, stride))  # fmt: skip
                stages.append(plan.block(reached, inner, stride, around))
                reached = wider
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(reached, outputs)
        kaiming(self)
        for each in stages:
            norm = each.second[1]
            assert isinstance(norm, nn.BatchNorm2d)
            nn.init.zeros_(norm.weight)

    def embed(self, images: Tensor) -> Tensor:
        """What is seen in images (B, C, H, W) in 0…1: (B, channels)."""
        maps: Tensor = self.stages(self.stem(self.standardize(images)))
        return maps.mean((2, 3))
