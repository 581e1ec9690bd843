"""Layers whose weights and inputs are 8-bit whole numbers.

A weight is ``int8 · scale``, with a scale for each output and −127…127 (symmetric); an input is
``(q − zero) · scale`` with one scale and 0…127 (Jacob et al. 2018, equation 1). Seven bits of the
input are used, because processors without VNNI add two products of 8 bits in 16, which eight bits
would overflow: answers would depend on the processor.

The whole numbers are multiplied by oneDNN where this processor is faster with them, which is timed
layer by layer at the first batches of a size; else the same arithmetic is done in float32.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

TOP = 127
"""The largest whole number, of weights and of inputs."""
RACED = 3
"""How often each way is timed."""
WEIGHT, SCALE = "int8", "scale"
"""What a layer's weights are called in a checkpoint, and their scales."""


def scales(weight: Tensor) -> Tensor:
    """(O,) the scale of each output of a weight (O, …), its largest number being 127."""
    from torchao.quantization.quant_primitives import MappingType, choose_qparams_affine

    found, _ = choose_qparams_affine(
        weight.detach().float(), MappingType.SYMMETRIC, (1, *weight.shape[1:]), torch.int8,
        quant_min=-TOP, quant_max=TOP, eps=1e-12,
    )  # fmt: skip
    flat: Tensor = found.flatten()
    return flat


class Int8(nn.Module):
    """A layer of 8-bit weights, whose inputs are rounded to 7 bits."""

    int8: Tensor
    scale: Tensor
    bias: Tensor | None
    input_scale: Tensor
    input_zero: Tensor
    _packed: Tensor | None
    _wide: Tensor | None
    _read: tuple[float, int] | None
    _faster: dict[int, Callable[[Tensor], Tensor]]

    def __init__(self, shape: Sequence[int], bias: bool) -> None:
        super().__init__()
        self.register_buffer("int8", torch.zeros(*shape, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(shape[0]))
        self.register_buffer("bias", torch.zeros(shape[0]) if bias else None)
        self.register_buffer("input_scale", torch.ones(()))
        self.register_buffer("input_zero", torch.zeros((), dtype=torch.int32))
        self._forget()

    @classmethod
    @abstractmethod
    def like(cls, layer: Any, bias: bool | None = None) -> Self:
        """A layer of that shape, its numbers not filled in."""

    @classmethod
    def of(cls, layer: Any, input_scale: Tensor, input_zero: Tensor) -> Self:
        """The layer rounded, its inputs having that scale and that zero."""
        made = cls.like(layer)
        weight, found = layer.weight.detach().float(), scales(layer.weight)
        each = found.view(-1, *[1] * (weight.ndim - 1))
        made.int8.copy_((weight / each).round().clamp(-TOP, TOP))
        made.scale.copy_(found)
        if made.bias is not None:
            made.bias.copy_(layer.bias.detach())
        made.input_scale.copy_(input_scale.reshape(()))
        made.input_zero.copy_(input_zero.reshape(()))
        return made.to(weight.device)

    @property
    def weight(self) -> Tensor:
        """The weight as it counts, in float32."""
        if self._wide is None:
            # Gradients may go through it later, also where it is asked for in inference mode first.
            with torch.inference_mode(False), torch.no_grad():
                each = self.scale.view(-1, *[1] * (self.int8.ndim - 1))
                self._wide = self.int8.float() * each
        return self._wide

    def count(self) -> int:
        """Numbers that were learned."""
        return self.int8.numel() + (0 if self.bias is None else self.bias.numel())

    def ways(self) -> list[str]:
        """What was faster so far, a word for each size of a batch: “int8” or “float32”."""
        return ["float32" if way == self.widened else "int8" for way in self._faster.values()]

    def forward(self, inputs: Tensor) -> Tensor:
        kind, inputs = inputs.dtype, inputs.float()
        with torch.autocast(inputs.device.type, enabled=False):
            return self._way(inputs)(inputs).to(kind)

    def _way(self, inputs: Tensor) -> Callable[[Tensor], Tensor]:
        """What is faster for inputs of this size, the rounded arithmetic being the same."""
        if not self._offered(inputs):
            return self.widened
        # Sizes within a factor of two are alike: texts of many lengths come.
        size = inputs.numel().bit_length()
        if size not in self._faster:
            seconds = {way: timed(way, inputs) for way in (self.multiplied, self.widened)}
            self._faster[size] = min(seconds, key=seconds.__getitem__)
        return self._faster[size]

    def _offered(self, inputs: Tensor) -> bool:
        """Whether oneDNN can be asked: on a processor, where no gradient is wanted."""
        return (
            inputs.device.type == "cpu"
            and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
            and hasattr(torch.ops.onednn, "qlinear_pointwise")
            and not (torch.is_grad_enabled() and inputs.requires_grad)
        )  # fmt: skip

    def widened(self, inputs: Tensor) -> Tensor:
        """In float32; gradients pass the rounding as if it weren't there, within its range."""
        scale, zero = self._numbers()
        return self._plain(torch.fake_quantize_per_tensor_affine(inputs, scale, zero, 0, TOP))

    def multiplied(self, inputs: Tensor) -> Tensor:
        """In whole numbers."""
        scale, zero = self._numbers()
        whole = inputs * (1 / scale)
        if zero:
            whole += zero
        return self._whole(whole.round_().clamp_(0, TOP).to(torch.uint8), scale, zero)

    @abstractmethod
    def _plain(self, inputs: Tensor) -> Tensor: ...

    @abstractmethod
    def _whole(self, inputs: Tensor, scale: float, zero: int) -> Tensor: ...

    def _numbers(self) -> tuple[float, int]:
        if self._read is None:
            self._read = float(self.input_scale), int(self.input_zero)
        return self._read

    def _forget(self) -> None:
        """What was made of the numbers, when these change."""
        self._packed = None
        self._wide = None
        self._read = None
        self._faster = {}

    def _load_from_state_dict(self, *args: Any, **how: Any) -> None:
        super()._load_from_state_dict(*args, **how)
        self._forget()

    def _apply(self, *args: Any, **how: Any) -> Self:
        self._forget()
        super()._apply(*args, **how)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, Any]:
        """What can be copied: the packed weights are the library's own."""
        return {**self.__dict__, "_packed": None, "_wide": None, "_faster": {}}


class Int8Linear(Int8):
    """A linear layer of 8-bit weights."""

    @classmethod
    def like(cls, layer: Any, bias: bool | None = None) -> Self:
        return cls(layer.weight.shape, layer.bias is not None if bias is None else bias)

    def _plain(self, inputs: Tensor) -> Tensor:
        return F.linear(inputs, self.weight, self.bias)

    def _whole(self, inputs: Tensor, scale: float, zero: int) -> Tensor:
        flat = inputs.reshape(-1, inputs.shape[-1])
        if self._packed is None:
            self._packed = torch.ops.onednn.qlinear_prepack(self.int8, None)
        found: Tensor = torch.ops.onednn.qlinear_pointwise(
            flat, scale, zero, self._packed, self.scale, self.int8.new_zeros(len(self.scale),
            dtype=torch.int64), self.bias, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return found.reshape(*inputs.shape[:-1], -1)


class Int8Conv2d(Int8):
    """A convolution over pictures of 8-bit weights."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def in_channels(self) -> int:
        return self.int8.shape[1] * self.groups

    @property
    def out_channels(self) -> int:
        return self.int8.shape[0]

    @property
    def kernel_size(self) -> tuple[int, ...]:
        return tuple(self.int8.shape[2:])

    @classmethod
    def like(cls, layer: Any, bias: bool | None = None) -> Self:
        made = cls(layer.weight.shape, layer.bias is not None if bias is None else bias)
        made.stride, made.dilation, made.groups = layer.stride, layer.dilation, layer.groups
        made.padding = around(layer)
        return made

    def _plain(self, inputs: Tensor) -> Tensor:
        return F.conv2d(
            inputs, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def _whole(self, inputs: Tensor, scale: float, zero: int) -> Tensor:
        how = list(self.stride), list(self.padding), list(self.dilation), self.groups
        if self._packed is None:
            self._packed = torch.ops.onednn.qconv_prepack(
                self.int8.contiguous(), self.scale, scale, zero, *how, None
            )
        found: Tensor = torch.ops.onednn.qconv2d_pointwise(
            inputs.contiguous(memory_format=torch.channels_last), scale, zero, self._packed,
            self.scale, self.int8.new_zeros(len(self.scale), dtype=torch.int64), self.bias, *how,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return found


Conv2d = nn.Conv2d | Int8Conv2d
"""A convolution over pictures, whatever its numbers are kept in."""
MADE_OF: dict[type[nn.Module], type[Int8]] = {nn.Linear: Int8Linear, nn.Conv2d: Int8Conv2d}
"""What a layer becomes. Subclasses do something else than their class, and stay as they are."""


def around(layer: nn.Conv2d) -> tuple[int, ...]:
    """Zeros at each side of a picture, where “same” is said instead of a number."""
    if isinstance(layer.padding, str):
        if layer.padding == "valid":
            return (0, 0)
        sides = zip(layer.dilation, layer.kernel_size, strict=True)
        return tuple(far * (long - 1) // 2 for far, long in sides)
    return layer.padding


def can_be_rounded(layer: nn.Module) -> bool:
    """Whether there is a layer of whole numbers that does the same."""
    if type(layer) is nn.Conv2d:
        uneven = layer.padding == "same" and any(
            far * (long - 1) % 2 for far, long in zip(layer.dilation, layer.kernel_size,
                                                      strict=True)
        )  # fmt: skip
        return layer.padding_mode == "zeros" and not uneven
    return type(layer) is nn.Linear


def put(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Give the layer that place in the model."""
    above, _, own = name.rpartition(".")
    setattr(model.get_submodule(above), own, layer.train(model.training))


def shaped_as(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model of float32 the layers that a checkpoint's tensors belong to: those of whole
    numbers, and nothing where a norm was folded into the convolution before it."""
    rounded = {
        name.removesuffix(f".{WEIGHT}") for name, tensor in tensors.items()
        if name.endswith(f".{WEIGHT}") and tensor.dtype == torch.int8
    }  # fmt: skip
    if not rounded:
        return
    for name, part in [*model.named_modules()]:
        if name in rounded and (kind := MADE_OF.get(type(part))):
            put(model, name, kind.like(part, f"{name}.bias" in tensors))
        elif isinstance(part, nn.BatchNorm2d) and f"{name}.running_mean" not in tensors:
            put(model, name, nn.Identity())


def rounded_layers(model: nn.Module) -> dict[str, Int8]:
    """Its layers of whole numbers, by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, Int8)}


@torch.no_grad()
def timed(way: Callable[[Tensor], Tensor], inputs: Tensor) -> float:
    """Seconds of its fastest call; the first builds kernels."""
    fastest = float("inf")
    for turn in range(1 + RACED):
        started = time.perf_counter()
        way(inputs)
        if turn:
            fastest = min(fastest, time.perf_counter() - started)
    return fastest
