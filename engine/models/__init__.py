"""Models: one file, one class, one choice on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Literal, Protocol

import torch
from torch import Tensor, nn

from engine.catalog import Advanced, Choosable, Help, Range

ActivationName = Literal["ReLU", "GELU", "SiLU", "Tanh", "LeakyReLU"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "ReLU": nn.ReLU, "GELU": nn.GELU, "SiLU": nn.SiLU, "Tanh": nn.Tanh, "LeakyReLU": nn.LeakyReLU,
}  # fmt: skip
Activation = Annotated[ActivationName, Advanced(), Help("The non-linear function between layers")]
Dropout = Annotated[
    float, Range(0, 0.9, step=0.05),
    Help("The share of units switched off at random while training, against overfitting"),
]  # fmt: skip


class Model(nn.Module, Choosable, kind="model"):
    """A network. It is made as ``cls(shape, classes, **settings)``.

    `shape` is that of one item without its length: (H, W, C) of an image, (D,) of a sequence's
    step. `classes` is 0 when the data has no labels.
    """

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.shape, self.classes = tuple(shape), classes

    @property
    def convolutional(self) -> bool:
        """Whether channels_last may make it faster."""
        return any(isinstance(module, nn.Conv2d) for module in self.modules())

    def fit_inputs(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Learn the scale of the training data, for the models that standardize their input."""
        for module in self.modules():
            if isinstance(module, Standardize):
                module.fit(mean, std)

    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())


class Coder(Protocol):
    """A model that gives back what it was given: ``decode(encode(images))``, then a sigmoid."""

    def __call__(self, images: Tensor) -> Tensor: ...

    def encode(self, images: Tensor) -> Tensor: ...

    def decode(self, codes: Tensor) -> Tensor: ...


class Standardize(nn.Module):
    """Inputs less their mean, over their standard deviation, along dimension `dim`.

    Both are buffers: they travel with the weights, so a saved model takes raw inputs.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: int, *, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    def fit(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean.copy_(torch.tensor(mean))
        # A constant feature has no scale: leave it at zero rather than divide by nothing.
        self.std.copy_(torch.tensor([s if s > 1e-6 else 1.0 for s in std]))

    def forward(self, inputs: Tensor) -> Tensor:
        shape = [1] * inputs.ndim
        shape[self.dim] = -1
        return (inputs - self.mean.view(shape)) / self.std.view(shape)


def dense(
    widths: Sequence[int], *, activation: str = "ReLU", dropout: float = 0.0
) -> nn.Sequential:
    """Linear layers of these widths, an activation and dropout after each but the last."""
    layers: list[nn.Module] = []
    for i, (width, wider) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(width, wider))
        if i < len(widths) - 2:
            layers.append(ACTIVATIONS[activation]())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
