"""Layers that learn in float32 and answer as they will in whole numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.compression.int8 import MADE_OF, TOP, Int8, put, scales


class Aware(nn.Module):
    """Rounds a layer's inputs and weights on the way, as they will be in 8 bits.

    Gradients pass the rounding as if it weren't there (Bengio et al. 2013). The range of the inputs
    is a moving average while it is in training, and stays as it is in eval mode.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        from torchao.quantization.pt2e import FakeQuantize, MovingAverageMinMaxObserver

        self.layer = layer
        self.input = FakeQuantize(
            observer=MovingAverageMinMaxObserver, quant_min=0, quant_max=TOP, dtype=torch.uint8,
            qscheme=torch.per_tensor_affine,
        )  # fmt: skip

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.input.enable_observer(mode)
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        layer, weight = self.layer, self.layer.weight
        each = scales(weight)
        rounded = torch.fake_quantize_per_channel_affine(
            weight, each, torch.zeros_like(each, dtype=torch.int32), 0, -TOP, TOP
        )
        inputs = self.input(inputs)
        if isinstance(layer, nn.Conv2d):
            return layer._conv_forward(inputs, rounded, layer.bias)  # type: ignore[no-any-return]
        return F.linear(inputs, rounded, layer.bias)

    def rounded(self) -> Int8:
        """The layer of whole numbers that answers as this one."""
        scale, zero = self.input.calculate_qparams()
        return MADE_OF[type(self.layer)].of(self.layer, scale, zero)


def put_beside(model: nn.Module, names: Iterable[str]) -> None:
    """Make these layers learn to be rounded."""
    for name in names:
        put(model, name, Aware(model.get_submodule(name)))


def rounded(model: nn.Module) -> dict[str, Tensor]:
    """The weights of the model whose layers hold whole numbers, by its own names."""
    aware = {name: part for name, part in model.named_modules() if isinstance(part, Aware)}
    weights = {
        name: tensor for name, tensor in model.state_dict().items()
        if not any(name.startswith(f"{part}.") for part in aware)
    }  # fmt: skip
    for name, part in aware.items():
        weights |= {f"{name}.{key}": tensor for key, tensor in part.rounded().state_dict().items()}
    return weights


def round_all(model: nn.Module) -> None:
    """Give layers of whole numbers the places of those that have learned to be rounded."""
    for name, part in [*model.named_modules()]:
        if isinstance(part, Aware):
            put(model, name, part.rounded())
