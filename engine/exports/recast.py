"""Layers that can't be drawn as they are, exchanged for others that answer the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn

from engine.compression.int8 import Int8
from engine.exports.recurrent import Cell, Layers, unrollable
from engine.exports.rounded import Rounded


@contextmanager
def recast(model: nn.Module, cell: type[Cell], rounded: type[Rounded]) -> Iterator[None]:
    """While it is open, the model's recurrent layers are made of these cells, and its layers of
    whole numbers are these."""
    there: Mapping[nn.Module, nn.Module] = {
        layer: Layers(layer, cell) for layer in model.modules() if unrollable(layer)
    } | {layer: rounded(layer) for layer in model.modules() if isinstance(layer, Int8)}
    places = [
        (parent, name, child) for parent in list(model.modules())
        for name, child in parent.named_children() if child in there
    ]  # fmt: skip
    for parent, name, layer in places:
        setattr(parent, name, there[layer].train(layer.training))
    try:
        yield
    finally:
        for parent, name, layer in places:
            setattr(parent, name, layer)
