"""A graph of PyTorch's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from engine.exports import UNDRAWN, Export
from engine.exports.graph import drawn, shortest
from engine.exports.leaving import Answer, Arrays, Leaving
from engine.exports.recurrent import Stepwise
from engine.exports.rounded import Widened


class TorchGraph(
    Export, label="PyTorch graph (torch.export)", fits={"any"}, rank=30, unheard=UNDRAWN
):  # fmt: skip
    """One .pt2 file that PyTorch loads without any code of ours: checked against the model.

    Batches of any size and, where items have a length, of any length. Recurrent layers go step by
    step in it, which is slow: ONNX has them whole.
    """

    stages = 2
    calibrated = False  # it gives logits

    def make(self, leaving: Leaving, folder: Path) -> Iterator[str]:
        yield "Drawing the graph"
        yield from graph_of(leaving, folder / f"{leaving.name}.pt2")


def graph_of(leaving: Leaving, path: Path) -> Iterator[str]:
    """Write the model there and check it."""
    program = drawn(leaving, Stepwise, Widened)
    torch.export.save(program, path)
    leaving.facts["shortest"] = shortest(program)
    yield "Comparing it with the model"
    leaving.compare(by_torch(path, leaving.facts["shortest"]))


def by_torch(path: Path, least: int) -> Answer:
    """Asks the file's model; a sequence of fewer steps than `least` is padded."""
    model = torch.export.load(path).module()

    def answer(batch: Arrays) -> Sequence[npt.NDArray[Any]]:
        given = []
        for name, array in batch.items():
            tensor = torch.from_numpy(array)
            if name != "images" and tensor.ndim > 1 and tensor.shape[1] < least:
                more = tensor.new_zeros(tensor.shape[0], least - tensor.shape[1], *tensor.shape[2:])
                tensor = torch.cat([tensor, more], 1)
            given.append(tensor)
        with torch.inference_mode():
            return [told.numpy() for told in model(*given)]

    return answer
