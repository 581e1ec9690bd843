"""Layers of 8-bit numbers in graphs: what is fastest here, layer by layer, can't be traced."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.compression.int8 import TOP, Int8, Int8Conv2d, Int8Linear


class Rounded(nn.Module):
    """A layer of whole numbers whose numbers of the input are known when the graph is drawn."""

    int8: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: Int8) -> None:
        super().__init__()
        self.step, self.zero = float(layer.input_scale), int(layer.input_zero)
        for name in ("int8", "scale", "bias"):
            self.register_buffer(name, getattr(layer, name))
        if isinstance(layer, Int8Conv2d):
            self.how: tuple[Any, ...] | None = (
                layer.stride, layer.padding, layer.dilation, layer.groups
            )  # fmt: skip
        else:
            assert isinstance(layer, Int8Linear)
            self.how = None


class Widened(Rounded):
    """As PyTorch's own operators, in float32; the weights stay 8 bits in the file."""

    def forward(self, inputs: Tensor) -> Tensor:
        whole = (inputs.float() / self.step).round() + self.zero
        read = (whole.clamp(0, TOP) - self.zero) * self.step
        weight = self.int8.float() * self.scale.view(-1, *[1] * (self.int8.ndim - 1))
        if self.how is None:
            return F.linear(read, weight, self.bias)
        return F.conv2d(read, weight, self.bias, *self.how)


class Whole(Rounded):
    """As the operators that ONNX has for whole numbers, with weights of 8 bits."""

    unit: Tensor
    zeros: Tensor
    even: Tensor
    factor: Tensor

    def __init__(self, layer: Int8) -> None:
        super().__init__(layer)
        if self.how is None:
            self.int8 = self.int8.t().contiguous()
        each = (-1,) if self.how is None else (-1, 1, 1)
        self.register_buffer("unit", torch.tensor(self.step))
        self.register_buffer("zeros", torch.tensor(self.zero, dtype=torch.uint8))
        self.register_buffer("even", torch.tensor(0, dtype=torch.int8))
        self.register_buffer("factor", (self.scale * self.step).view(each))
        if self.bias is not None:
            self.bias = self.bias.view(each)

    def forward(self, inputs: Tensor) -> Tensor:
        # ONNX knows eight bits only: what is above the seventh is cut off before.
        read = inputs.float().clamp(-self.zero * self.step, (TOP - self.zero) * self.step)
        shape = tuple(inputs.shape)
        whole = torch.onnx.ops.symbolic(
            "QuantizeLinear", (read, self.unit, self.zeros), dtype=torch.uint8, shape=shape
        )
        with_zeros = (whole, self.int8, self.zeros, self.even)
        if self.how is None:
            told = torch.onnx.ops.symbolic(
                "MatMulInteger", with_zeros, dtype=torch.int32,
                shape=(*shape[:-1], self.int8.shape[1]),
            )  # fmt: skip
        else:
            stride, padding, dilation, groups = self.how
            kernel = tuple(self.int8.shape[2:])
            sides = [
                (side + 2 * pad - far * (long - 1) - 1) // step + 1
                for side, long, step, pad, far in zip(shape[2:], kernel, stride, padding, dilation,
                                                      strict=True)
            ]  # fmt: skip
            told = torch.onnx.ops.symbolic(
                "ConvInteger", with_zeros,
                {"strides": list(stride), "pads": [*padding, *padding],
                 "dilations": list(dilation), "group": groups, "kernel_shape": list(kernel)},
                dtype=torch.int32, shape=(shape[0], self.int8.shape[0], *sides),
            )  # fmt: skip
        answer: Tensor = told.float() * self.factor
        return answer if self.bias is None else answer + self.bias
