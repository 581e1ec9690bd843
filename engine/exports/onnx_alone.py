"""A ZIP that answers by itself, with onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.exports import READ, UNDRAWN, UNREAD, Export
from engine.exports.alone import beside
from engine.exports.leaving import Leaving
from engine.exports.onnx_graph import onnx_of


class OnnxAlone(
    Export, label="ONNX and script", fits=READ, rank=40, otherwise=UNREAD, unheard=UNDRAWN
):  # fmt: skip
    """A ZIP with predict.py, which prints JSON for files and needs little but onnxruntime.

    Files are read as the run read them: with numpy, with Pillow for pictures, and with tokenizers
    for texts.
    """

    stages = 3 + 1

    def make(self, leaving: Leaving, folder: Path) -> Iterator[str]:
        yield "Drawing the graph"
        yield from onnx_of(leaving, folder / "model.onnx")
        yield "Writing the script"
        beside(leaving, folder, "onnxruntime")
