"""Recurrent layers in graphs: PyTorch's own can only be traced for one length."""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

PLACES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
"""Where the gates that ONNX names in its order stand in PyTorch's weights: input, output, forget,
cell; update, reset, hidden."""


class Cell(nn.Module):
    """One layer of a recurrent one, read forwards; an LSTM from nothing, a GRU from any state."""

    def __init__(self, layer: nn.RNNBase, number: int) -> None:
        super().__init__()
        self.kind, self.units = layer.mode, layer.hidden_size
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            # Each a copy: a layer's weights may be parts of one tensor, which a loop can't take.
            own = getattr(layer, f"{name}_l{number}").detach().clone()
            self.register_buffer(name, own)

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor


class Stepwise(Cell):
    """As a loop over the steps, for torch.export."""

    def forward(self, values: Tensor, before: Tensor | None = None) -> Tensor:
        """States (B, L, units) of values (B, L, D), after the state `before` (B, units)."""
        from torch._higher_order_ops.scan import scan

        read = F.linear(values, self.weight_ih, self.bias_ih).transpose(0, 1)
        nothing = values.new_zeros(values.shape[0], self.units)
        weight, bias = self.weight_hh, self.bias_hh

        def lstm(held: tuple[Tensor, Tensor], given: Tensor) -> tuple[Any, Tensor]:
            state, cell = held
            into, forget, new, out = (given + F.linear(state, weight, bias)).chunk(4, 1)
            cell = forget.sigmoid() * cell + into.sigmoid() * new.tanh()
            state = out.sigmoid() * cell.tanh()
            return (state, cell), state.clone()

        def gru(state: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
            reset, keep, new = given.chunk(3, 1)
            own_reset, own_keep, own_new = F.linear(state, weight, bias).chunk(3, 1)
            keep = (keep + own_keep).sigmoid()
            new = (new + (reset + own_reset).sigmoid() * own_new).tanh()
            state = (1 - keep) * new + keep * state
            return state, state.clone()

        if self.kind == "LSTM":
            _, states = scan(lstm, (nothing, nothing.clone()), read)
        else:
            _, states = scan(gru, nothing if before is None else before, read)
        return states.transpose(0, 1)  # type: ignore[no-any-return]


class Native(Cell):
    """As the operator that ONNX has for it."""

    def __init__(self, layer: nn.RNNBase, number: int) -> None:
        super().__init__(layer, number)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            gates = getattr(self, name).chunk(len(PLACES[self.kind]))
            setattr(self, name, torch.cat([gates[place] for place in PLACES[self.kind]]))

    def forward(self, values: Tensor, before: Tensor | None = None) -> Tensor:
        """As `Stepwise`."""
        given = values.transpose(0, 1)
        # As cuDNN has it, the reset gate comes after the matrix.
        order: dict[str, Any] = {} if self.kind == "LSTM" else {"linear_before_reset": 1}
        states = torch.onnx.ops.symbolic(
            self.kind,
            (given, self.weight_ih[None], self.weight_hh[None],
             torch.cat([self.bias_ih, self.bias_hh])[None],
             None, None if before is None else before[None]),
            {"hidden_size": self.units, **order}, dtype=given.dtype,
            shape=(given.shape[0], 1, given.shape[1], self.units),
        )  # fmt: skip
        return states[:, 0].transpose(0, 1)


class Layers(nn.Module):
    """All layers of a recurrent one; called as it is, but for the state of an LSTM."""

    def __init__(self, layer: nn.RNNBase, cell: type[Cell]) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cell(layer, number) for number in range(layer.num_layers))

    def forward(self, values: Tensor, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """States of the last layer (B, L, units), and the last of all layers (layers, B, units)."""
        last = []
        for number, cell in enumerate(self.cells):
            values = cell(values, None if before is None else before[number])
            last.append(values[:, -1])
        return values, torch.stack(last)


def unrollable(layer: nn.Module) -> TypeGuard[nn.RNNBase]:
    """Whether it is one that `Layers` stands for."""
    return (isinstance(layer, (nn.LSTM, nn.GRU)) and layer.batch_first and layer.bias
            and not layer.bidirectional and not layer.proj_size)  # fmt: skip
