"""From a model to a graph that any batch, and a sequence of any length, can go through."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from engine.catalog import BadInput
from engine.exports.leaving import Leaving
from engine.exports.recast import recast
from engine.exports.recurrent import Cell
from engine.exports.rounded import Rounded
from engine.tasks import Portable

BATCH = 3
"""Items of the batch that goes through while the graph is drawn."""
LONG = {"tokens": "length", "values": "length", "target_tokens": "target_length"}
"""Arguments whose second dimension is a length, and which."""


class Graph(nn.Module):
    """A model that takes and gives what its task carries away."""

    def __init__(self, model: nn.Module, portable: Portable) -> None:
        super().__init__()
        self.model, self.portable = model, portable

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        return self.portable.of(*given)


def drawn(leaving: Leaving, cell: type[Cell], rounded: type[Rounded]) -> ExportedProgram:
    """The graph, whose recurrent layers are made of those cells and whose layers of whole numbers
    are those. BadInput where there is none."""
    portable, batch = leaving.portable, leaving.random(BATCH)
    free: Any = Dim.DYNAMIC
    shapes = tuple({0: free, 1: free} if name in LONG else {0: free} for name in batch)
    graph = Graph(leaving.model, portable).eval()
    try:
        with recast(leaving.model, cell, rounded), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries about themselves
            return torch.export.export(
                graph, tuple(batch.values()), dynamic_shapes=(shapes,), strict=False
            )
    except Exception as problem:  # the tracer raises whatever a network stumbles upon
        raise BadInput(
            f"No graph can be drawn of this {leaving.setup.model.card.label} ({first(problem)}): "
            "take its weights away instead"
        ) from problem


def first(problem: BaseException) -> str:
    """The first line of what went wrong."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]


def shortest(program: ExportedProgram) -> int:
    """The fewest steps that a sequence must have: less is padded."""
    least = 1
    for spec, node in zip(
        program.graph_signature.user_inputs,
        (n for n in program.graph.nodes if n.op == "placeholder"
         and n.name in program.graph_signature.user_inputs), strict=True,
    ):  # fmt: skip
        del spec
        shape = node.meta["val"].shape
        if len(shape) > 1 and isinstance(shape[1], torch.SymInt):
            known = program.range_constraints.get(shape[1].node.expr)
            if known is not None:
                least = max(least, int(known.lower))
    return least
