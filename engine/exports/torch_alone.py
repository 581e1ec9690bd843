"""A ZIP that answers by itself, with torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.exports import READ, UNDRAWN, UNREAD, Export
from engine.exports.alone import beside
from engine.exports.leaving import Leaving
from engine.exports.torch_graph import graph_of


class TorchAlone(
    Export, label="PyTorch graph and script", fits=READ, rank=41, otherwise=UNREAD, unheard=UNDRAWN
):  # fmt: skip
    """A ZIP with predict.py, which prints JSON for files and needs little but PyTorch.

    Files are read as the run read them: with numpy, with Pillow for pictures, and with tokenizers
    for texts.
    """

    stages = 2 + 1

    def make(self, leaving: Leaving, folder: Path) -> Iterator[str]:
        yield "Drawing the graph"
        yield from graph_of(leaving, folder / "model.pt2")
        yield "Writing the script"
        beside(leaving, folder, "torch")
