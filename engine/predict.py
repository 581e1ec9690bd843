"""What a run's newest checkpoint says of new inputs, also while the run trains."""

from __future__ import annotations

import binascii
import csv
import io
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine import checkpoint, session
from engine.catalog import BadInput
from engine.data.batches import Batch, Data, Images, Sequences
from engine.data.pixels import NotAnImage, decode
from engine.data.series import is_number
from engine.home import Home
from engine.pictures import png
from engine.recipe import Recipe


class Predictor:
    """A run's model with its best weights so far, read anew when a newer checkpoint is there."""

    def __init__(self, home: Home, run: int) -> None:
        self.folder = home.checkpoints(run)
        checkpoint.find(self.folder, "best")
        recipe = Recipe.from_json((home.run(run) / "recipe.json").read_text("utf-8"))
        # By its outline: the run can be asked even when its dataset has been removed.
        outline = json.loads((home.run(run) / "data.json").read_text("utf-8"))
        self.setup = session.make(recipe, home, data=Data.from_outline(outline))
        self.entry: checkpoint.Entry | None = None

    def refresh(self) -> None:
        """The newest best weights. BadInput when nothing was saved yet."""
        entry, folder = checkpoint.find(self.folder, "best")
        if entry != self.entry:
            try:
                weights = checkpoint.weights(folder)
            except BadInput:  # a better one has just taken its place
                entry, folder = checkpoint.find(self.folder, "best")
                weights = checkpoint.weights(folder)
            checkpoint.load_weights(self.setup.model, weights)
            self.setup.model.eval()
            self.entry = entry

    @torch.inference_mode()
    def answer(self, inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """One result an input, as the task shows it. BadInput names the one that can't be read."""
        self.refresh()
        assert self.entry is not None
        data, results = self.setup.data, []
        for number, given in enumerate(inputs, 1):
            try:
                batch, seen = read(given, data)
            except BadInput as problem:
                where = f"Input {number}: " if len(inputs) > 1 else ""
                raise BadInput(f"{where}{problem}") from None
            (shown,) = self.setup.task.show(self.setup.model, batch, data.classes)
            results.append(shown | seen)
        at = {"step": self.entry.step, "epoch": self.entry.epoch}
        return {"checkpoint": at, "results": results}


def read(given: Mapping[str, Any], data: Data) -> tuple[Batch, dict[str, Any]]:
    """A batch of one from what a person gave, and what the model sees of it.

    `given` is {"png": base64}, {"path": file}, {"sequence": rows} or {"text": CSV}.
    """
    items = data.items
    cpu = torch.device("cpu")
    one = np.zeros(1, np.int64)
    if isinstance(items, Images):
        if "path" not in given and "png" not in given:
            raise BadInput("This model takes a picture")
        try:
            raw = Path(given["path"]).read_bytes() if "path" in given else b64decode(given["png"])
            pixels = decode(raw, *data.shape)
        except binascii.Error:
            raise BadInput("The picture didn't arrive whole: send it again") from None
        except NotAnImage as problem:
            raise BadInput(f"The picture {problem}") from None
        pixels, note = like(pixels, data.border)
        inputs = Images(pixels[None]).gather(one, cpu, None)
        return Batch(inputs, None), {"input": png(inputs["images"][0]), "note": note}
    if "path" in given:
        try:
            given = {"text": Path(given["path"]).read_text("utf-8-sig")}
        except UnicodeDecodeError:
            raise BadInput("This isn't a text file in UTF-8: export the CSV as UTF-8") from None
    if "text" not in given and "sequence" not in given:
        raise BadInput("This model takes a sequence: rows of numbers, one row a step")
    values = given["sequence"] if "sequence" in given else rows(given["text"])
    array = sequence(values, *data.shape)
    gathered = Sequences.of(array, np.array([0, len(array)])).gather(one, cpu, None)
    return Batch(gathered, None), {"values": array.round(4).tolist()}


def rows(text: str) -> list[list[float]]:
    """Numbers from CSV text, one step a line, with or without a header. BadInput names the line.

    Columns named sequence, step and label, as in a dataset's file, are left out.
    """
    try:
        dialect: Any = csv.Sniffer().sniff(text[:4096], ",;\t ")
    except csv.Error:
        dialect = csv.excel
    lines = [(number, [cell.strip() for cell in cells])
             for number, cells in enumerate(csv.reader(io.StringIO(text), dialect), 1)
             if any(cell.strip() for cell in cells)]  # fmt: skip
    named: list[str] = []
    if lines and not any(map(is_number, lines[0][1])):
        named = [cell.lower() for cell in lines.pop(0)[1]]
    if "sequence" in named and len({cells[named.index("sequence")] for _, cells in lines}) > 1:
        raise BadInput("There are several sequences in this text: give the rows of one")
    # What a dataset's file says besides the features.
    left_out = {i for i, name in enumerate(named) if name in ("sequence", "step", "label")}
    found: list[list[float]] = []
    for number, cells in lines:
        kept = [cell for i, cell in enumerate(cells) if i not in left_out and cell]
        try:
            found.append([float(cell) for cell in kept])
        except ValueError:
            raise BadInput(f"Line {number} isn't all numbers: {', '.join(kept)[:60]}") from None
    return found


def like(pixels: npt.NDArray[np.uint8], border: float | None) -> tuple[npt.NDArray[np.uint8], str]:
    """A grey picture with the training data's background, and what was done to it.

    `border` is the training pictures' mean brightness along their edges, in 0…1.
    """
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if border is None or pixels.shape[2] != 1 or abs(edges.mean() / 255 - border) < 0.5:
        return pixels, ""
    return 255 - pixels, "Inverted: the training pictures are the other way round"


def sequence(values: Sequence[Sequence[float]], features: int) -> npt.NDArray[np.float32]:
    """The rows as float32 (steps, features). BadInput names the first that doesn't fit."""
    if not values:
        raise BadInput("There is no step in this sequence: give one line of numbers a step")
    for number, row in enumerate(values, 1):
        if len(row) != features:
            raise BadInput(f"Step {number} has {len(row)} numbers; this model takes {features} "
                           "a step")  # fmt: skip
    array = np.asarray(values, np.float32)
    if not np.isfinite(array).all():
        step = int(np.flatnonzero(~np.isfinite(array).all(1))[0]) + 1
        raise BadInput(f"Step {step} holds a number that isn't finite")
    return array
