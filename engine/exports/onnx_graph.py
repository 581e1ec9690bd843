"""ONNX, for every other runtime."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from engine.catalog import BadInput
from engine.exports import UNDRAWN, Export
from engine.exports.graph import LONG, drawn, first
from engine.exports.leaving import Answer, Arrays, Leaving
from engine.exports.recurrent import Native
from engine.exports.rounded import Whole

APART = 1_500_000_000
"""Bytes of weights from which they lie in a file of their own: a message holds two gigabytes."""


class Onnx(Export, label="ONNX", fits={"any"}, rank=20, unheard=UNDRAWN):
    """One file for onnxruntime and other runtimes, browsers and phones: checked against the model.

    Batches of any size and, where items have a length, of any length.
    """

    stages = 3

    def make(self, leaving: Leaving, folder: Path) -> Iterator[str]:
        yield "Drawing the graph"
        yield from onnx_of(leaving, folder / f"{leaving.name}.onnx")


def onnx_of(leaving: Leaving, path: Path) -> Iterator[str]:
    """Write the model there and check it with onnxruntime."""
    program = drawn(leaving, Native, Whole)
    yield "Translating it to ONNX"
    portable, large = leaving.portable, leaving.model.parameter_count() * 4 > APART
    quiet = contextlib.redirect_stdout(io.StringIO())  # it tells of each step it takes
    try:
        with quiet, warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            made: Any = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=list(portable.takes),
                output_names=list(portable.gives),
            )  # fmt: skip
            for name, value in zip(portable.takes, made.model.graph.inputs, strict=True):
                free = ["batch", *([LONG[name]] if name in LONG else [])]
                value.shape = type(value.shape)([*free, *list(value.shape)[len(free) :]])
            for value in made.model.graph.outputs:
                value.shape = type(value.shape)(["batch", *list(value.shape)[1:]])
            made.model.metadata_props.update({
                "run": str(leaving.run), "tells": portable.tells,
                "facts": json.dumps(dict(portable.facts), ensure_ascii=False),
            })  # fmt: skip
            made.save(path, external_data=large)
    except Exception as problem:
        raise BadInput(
            f"This {leaving.setup.model.card.label} can't be said in ONNX ({first(problem)}): take "
            "its weights away instead"
        ) from problem
    yield "Comparing it with the model"
    leaving.compare(by_onnxruntime(path))
    leaving.facts |= {
        "takes": described(made.model.graph.inputs),
        "gives": described(made.model.graph.outputs),
    }


def described(values: Any) -> list[str]:
    """``images float32 [batch, 3, 32, 32]``"""
    return [f"{value.name} {str(value.dtype).lower()} "
            f"[{', '.join(str(one) for one in value.shape)}]" for value in values]  # fmt: skip


def by_onnxruntime(path: Path) -> Answer:
    """Asks the file's model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        path, sess_options=options, providers=["CPUExecutionProvider"]
    )
    wanted = [given.name for given in session.get_inputs()]

    def answer(batch: Arrays) -> Sequence[npt.NDArray[Any]]:
        given = {name: array for name, array in batch.items() if name in wanted}
        return session.run(None, given)  # type: ignore[no-any-return]

    return answer
