"""Every classifier of torchvision, by its name."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from torch import Tensor, nn

from engine.catalog import BadInput, Help, Range
from engine.data.fetch import Pinned
from engine.layers.pictures import colours, prepared
from engine.models import HEAD, Headed, Published, Standardize, is_of, learned, levels
from engine.published import got

if TYPE_CHECKING:
    from engine.home import Home

Network = Literal[
    "alexnet", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny", "densenet121",
    "densenet161", "densenet169", "densenet201", "efficientnet_b0", "efficientnet_b1",
    "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5", "efficientnet_b6",
    "efficientnet_b7", "efficientnet_v2_l", "efficientnet_v2_m", "efficientnet_v2_s", "googlenet",
    "inception_v3", "maxvit_t", "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
    "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_16gf", "regnet_x_1_6gf",
    "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf", "regnet_x_800mf", "regnet_x_8gf",
    "regnet_y_128gf", "regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf", "regnet_y_3_2gf",
    "regnet_y_400mf", "regnet_y_800mf", "regnet_y_8gf", "resnet101", "resnet152", "resnet18",
    "resnet34", "resnet50", "resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d",
    "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0",
    "squeezenet1_0", "squeezenet1_1", "swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s",
    "swin_v2_t", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32", "wide_resnet101_2",
    "wide_resnet50_2",
]  # fmt: skip

Settings = Callable[[int], dict[str, Any]]
WITHOUT_SECOND_OPINIONS: Settings = lambda side: {"aux_logits": False, "init_weights": False}  # noqa: E731
FAMILIES: Mapping[str, Settings] = {
    "googlenet": WITHOUT_SECOND_OPINIONS,
    "inception": WITHOUT_SECOND_OPINIONS,
    "vit": lambda side: {"image_size": side},
    "maxvit": lambda side: {"input_size": (side, side)},
}
"""What some families must be told, for pictures of that side."""
THREE = 3
"""Channels of coloured pictures."""
HALVES = ((0.5,) * 3, (0.5,) * 3)
SCALES: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "googlenet": HALVES, "inception": HALVES,
}  # fmt: skip
"""Means and deviations of the families whose published weights scale the pictures once more within
the network, which was trained elsewhere."""
NUMBERED = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=\d\.)")
"""How the DenseNets' layers are called in their files: norm.1 for norm1."""


class TorchvisionModel(
    Headed, label="torchvision network", fits={"image"}, provides={"logits"}, rank=15,
    published=True,
    suggests={"method.epochs": 6},
    thorough={"model.side": 224, "method.epochs": 90, "method.batch_size": 256,
              "method.optimizer": "SGD", "method.learning_rate": 0.1,
              "method.weight_decay": 1e-4, "task.label_smoothing": 0.1},
):  # fmt: skip
    """Any classifier of the torchvision library, by its name, also with its ImageNet weights.

    Grey pictures are fed to it in three colours, which are alike, so that these weights see what
    they know; its last layer gives as many classes as there are.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        network: Annotated[Network, Help("Its name in torchvision")] = "resnet18",
        side: Annotated[
            int | None, Range(16, 1024),
            Help("Pictures are scaled to squares of this side: these networks were made for about "
                 "224, most take 64. Published weights know most at 224", unit="pixels",
                 empty="as they are"),
        ] = 64,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        height, width, depth = shape
        self.size = (side, side) if side else (height, width)
        self.standardize = Standardize(colours(depth), dim=1)
        self.name = network
        try:
            self.network = made(network, self.size[0], outputs)
            self.first = f"network.{take(self.network, colours(depth))}.weight"
            tried(self.network, (1, colours(depth), *self.size))
            self.last = last(self.network)
            self.head = cut(self.network)
            if not learned(self.head):
                self.output = f"network.{self.last}"
        except (RuntimeError, ValueError, AssertionError) as problem:
            rows, columns = self.size
            raise BadInput(f"{network} can't take pictures of {rows}×{columns} pixels: set the "
                           "side to 224, which every network takes", field="model.side",
            ) from problem  # fmt: skip

    def levels(self) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = [(f"network.{level}",) for level in levels(self.network)]
        return found + [("head",)] * learned(self.head)

    def embed(self, images: Tensor) -> Tensor:
        """What the network makes of images (B, C, H, W) in 0…1 before its last layer: (B, F)."""
        return self.network(prepared(images, self.standardize, self.size))  # type: ignore[no-any-return]

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        """torchvision's latest weights of that network, under torchvision's names."""
        name = settings["network"]
        theirs = best(name)
        file = theirs.url.rpartition("/")[2]
        begin = re.search(r"-([0-9a-f]{8,})\.pth$", file)
        assert begin is not None, file
        pinned = Pinned(f"torchvision/weights/{file}", theirs.url, sha256=begin[1])
        (path,) = got([pinned], home)
        return Published(f"torchvision's {name}", read(path), tuple(theirs.meta["categories"]))

    def translated(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if any(is_of(name, "network") for name in weights):
            return self.coloured(weights)
        scale = SCALES.get(self.name.split("_")[0]) or (
            (told := best(self.name).transforms()).mean,
            told.std,
        )
        found = dict(zip(("standardize.mean", "standardize.std"), map(torch.tensor, scale),
                         strict=True))  # fmt: skip
        for name, tensor in weights.items():
            name = NUMBERED.sub(r"\1", name)
            inside = f"network.{name}"
            if is_of(name, self.last) and self.output == HEAD:
                inside = HEAD + name.removeprefix(self.last)
            found[inside] = tensor
        own = self.state_dict()
        if strange := [
            name for name, tensor in own.items()
            if name in found and not is_of(name, self.output) and found[name].shape != tensor.shape
        ]:  # fmt: skip
            side = best(self.name).transforms().crop_size[0]
            raise BadInput(
                f"The published weights of {self.name} are for grey or coloured pictures of "
                f"{side}×{side} pixels ({strange[0]} differs): set the side to {side}, or start "
                "from scratch",
                field="model.side",
            )
        return found

    def coloured(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A run's own weights. Earlier versions fed grey pictures in one channel: each of three
        alike gets a third of such a first convolution, so that the sum is what it was, at padded
        borders too."""
        first, scale = weights.get(self.first), weights.get("standardize.mean")
        if first is None or scale is None or scale.numel() != 1 or first.shape[1] != 1 \
                or self.standardize.mean.numel() != THREE:  # fmt: skip
            return weights
        scales = {
            name: weights[name].expand(THREE) for name in ("standardize.mean", "standardize.std")
        }
        third = first.expand(-1, THREE, -1, -1) / THREE
        return {**weights, **scales, self.first: third}


def made(name: str, side: int, outputs: int) -> nn.Module:
    """The network with random weights, for coloured pictures of that side."""
    from torchvision import models  # takes a second: only when it is chosen

    settings = FAMILIES.get(name.split("_")[0], lambda side: {})
    return models.get_model(name, weights=None, num_classes=outputs, **settings(side))  # type: ignore[no-any-return, no-untyped-call]


def best(name: str) -> Any:
    """What torchvision says of its latest weights of that network."""
    from torchvision import models

    return models.get_model_weights(name).DEFAULT


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of torchvision's; nothing in it is run."""
    try:
        # Old ones are no archives, of which parts could be read as they are needed.
        found: dict[str, Tensor] = torch.load(
            path, weights_only=True, mmap=zipfile.is_zipfile(path), map_location="cpu"
        )
    except (RuntimeError, EOFError, pickle.UnpicklingError) as problem:
        raise BadInput(f"{path} doesn't hold weights alone, and isn't read: {problem}",
                       field="start") from None  # fmt: skip
    return found


def take(network: nn.Module, depth: int) -> str:
    """Let the first convolution, whose name is given back, read so many channels."""
    path: str
    path, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if first.in_channels == depth:
        return path
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Conv2d(
        depth, first.out_channels, first.kernel_size, first.stride, first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    ))  # fmt: skip
    return path


def cut(network: nn.Module) -> nn.Module:
    """Take the last layer off and give it; one that does nothing where that isn't linear, as in
    the SqueezeNets, whose answer is the mean of maps."""
    path = last(network)
    layer = network.get_submodule(path)
    if not isinstance(layer, nn.Linear):
        return nn.Identity()
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Identity())
    return layer


def last(network: nn.Module) -> str:
    """The name of the last layer that holds weights."""
    layers: list[str] = [
        name for name, part in network.named_modules()
        if learned(part) and not any(map(learned, part.children()))
    ]  # fmt: skip
    return layers[-1]


def tried(network: nn.Module, shape: Sequence[int]) -> None:
    """Carry a batch of one through it, in training, without computing anything."""
    state = {name: tensor.to("meta") for name, tensor in network.state_dict().items()}
    torch.func.functional_call(network, state, torch.empty(shape, device="meta"))
