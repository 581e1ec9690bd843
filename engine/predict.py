"""What a run's newest checkpoint says of new inputs, also while the run trains."""

from __future__ import annotations

import binascii
import csv
import json
from base64 import b64decode
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine import checkpoint, session
from engine.calibration import in_use
from engine.catalog import BadInput
from engine.data import sound
from engine.data.batches import Batch, Data
from engine.data.decimals import decimal_commas, with_points
from engine.data.items import Images, Sequences
from engine.data.limits import LIMITS
from engine.data.options import Kind
from engine.data.outlines import without_items
from engine.data.pixels import NotAnImage, decode
from engine.data.recorded import Recorded
from engine.data.series import is_number
from engine.data.stamps import stamps_in
from engine.data.text import decoded
from engine.data.tokens import EOS, UNK, TokenPairs, Tokens
from engine.home import Home
from engine.look import spectrogram
from engine.pictures import png
from engine.recipe import Recipe

Read = tuple[dict[str, torch.Tensor], dict[str, Any]]
CPU = torch.device("cpu")
ONE = np.zeros(1, np.int64)


class Predictor:
    """A run's model with its best weights so far, read anew when a newer checkpoint is there."""

    def __init__(self, home: Home, run: int, which: checkpoint.Which = "best") -> None:
        self.home, self.run, self.which = home, run, which
        self.folder = home.checkpoints(run)
        checkpoint.find(self.folder, which)
        recipe = Recipe.from_json((home.run(run) / "recipe.json").read_text("utf-8"))
        # By its outline: the run can be asked even when its dataset has been removed.
        outline = json.loads((home.run(run) / "data.json").read_text("utf-8"))
        self.setup = session.make(
            recipe, home, data=without_items(outline), blueprint=outline.get("blueprint", "")
        )
        self.entry: checkpoint.Entry | None = None

    def refresh(self) -> None:
        """The newest best weights, or the last. BadInput when nothing was saved yet."""
        entry, _ = checkpoint.find(self.folder, self.which)
        if entry != self.entry:
            entry, weights = checkpoint.newest(self.folder, self.which)
            model = self.setup.model
            checkpoint.load_weights(model, model.translated(weights))
            self.setup.model.eval()
            self.entry = entry
        self.setup.task.temperature = in_use(self.home, self.run)

    @torch.inference_mode()
    def answer(
        self, inputs: Sequence[Mapping[str, Any]], options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One result an input, as the task shows it. BadInput names the one that can't be read.

        `options` are the task's own settings of a trial (`engine.catalog.Card.tries`).
        """
        self.refresh()
        task, data, results = self.setup.task, self.setup.data, []
        checked = task.card.try_with(options or {})
        for number, given in enumerate(inputs, 1):
            try:
                batch, seen = (seed if task.card.invents else read)(given, data)
                (shown,) = task.show(self.setup.model, batch, data, **checked)
            except BadInput as problem:
                where = f"Input {number}: " if len(inputs) > 1 else ""
                raise BadInput(f"{where}{problem}") from None
            results.append(shown | seen)
        return {"checkpoint": self.checkpoint(), "results": results}

    @torch.inference_mode()
    def together(
        self, inputs: Sequence[Mapping[str, Any]], options: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """One result an input, the model asked about all of them at once; ``{"problem"}`` of one
        that can't be read. BadInput where an option is wrong."""
        self.refresh()
        task, data = self.setup.task, self.setup.data
        checked = task.card.try_with(options or {})
        results: list[dict[str, Any]] = []
        readable: list[tuple[int, Batch, dict[str, Any]]] = []
        for place, given in enumerate(inputs):
            results.append({})
            try:
                readable.append((place, *(seed if task.card.invents else read)(given, data)))
            except BadInput as problem:
                results[place] = {"problem": str(problem)}
        if readable:
            shown = self._shown([batch for _, batch, _ in readable], checked)
            for (place, _, seen), answer in zip(readable, shown, strict=True):
                results[place] = answer | seen
        return results

    def _shown(self, batches: Sequence[Batch], checked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Each item's answer as the task shows it; where one alone makes trouble, its problem."""
        model, task, data = self.setup.model, self.setup.task, self.setup.data
        try:
            return task.show(model, joined(batches), data, **checked)
        except BadInput:  # of one of them: the others have answers all the same
            found: list[dict[str, Any]] = []
            for batch in batches:
                try:
                    found += task.show(model, batch, data, **checked)
                except BadInput as problem:
                    found.append({"problem": str(problem)})
            return found

    def stream(
        self, given: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> Generator[str, None, dict[str, Any]]:
        """The answer to one input, piece by piece; returns what it was an answer to.

        BadInput when the run's task gives its answers whole.
        """
        self.refresh()
        task, data = self.setup.task, self.setup.data
        if not task.card.streams:
            raise BadInput(f"{task.card.label} gives its answer as a whole: ask for it so")
        checked = task.card.try_with(options or {})
        batch, seen = read(given, data)
        with torch.inference_mode():
            yield from task.tell(self.setup.model, batch, data, **checked)
        return {"checkpoint": self.checkpoint(), **seen}

    def checkpoint(self) -> dict[str, Any]:
        """Which of the run's checkpoints answers."""
        assert self.entry is not None
        known = {"step": self.entry.step, "epoch": self.entry.epoch}
        temperature = self.setup.task.temperature
        return known if temperature == 1 else known | {"temperature": temperature}


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches as one, with zeros behind the shorter ones' items."""
    inputs = {}
    for name in batches[0].inputs:
        parts = [batch.inputs[name] for batch in batches]
        if name in ("values", "tokens"):
            longest = max(part.shape[1] for part in parts)
            parts = [
                torch.cat([part, part.new_zeros(1, longest - part.shape[1], *part.shape[2:])], 1)
                for part in parts
            ]
        inputs[name] = torch.cat(parts)
    return Batch(inputs)


def read(given: Mapping[str, Any], data: Data) -> tuple[Batch, dict[str, Any]]:
    """A batch of one from what a person gave, and what the model sees of it.

    `given` is {"png": base64}, {"sequence": rows}, {"text": a text, or CSV for a sequence},
    {"file": base64 of such a text in any encoding}, {"sound": base64 of an audio file} or
    {"path": a file of such content}. BadInput says what the model takes instead.
    """
    inputs, seen = READERS[data.items.kind](given, data)
    return Batch(inputs), seen


def seed(given: Mapping[str, Any], data: Data) -> tuple[Batch, dict[str, Any]]:
    """A batch of one seed, for a task that takes nothing else: {"seed": its digits}, else 0."""
    said = str(given.get("seed", 0))
    if not (said.isascii() and said.isdecimal() and int(said) < 2**63):
        raise BadInput("A seed is a whole number below 9,223,372,036,854,775,808")
    return Batch({"seeds": torch.tensor([int(said)])}), {}


def read_picture(given: Mapping[str, Any], data: Data) -> Read:
    items = data.items
    assert isinstance(items, Images)
    if "path" not in given and "png" not in given:
        raise BadInput("This model takes a picture")
    try:
        pixels = decode(content(given, "png"), *data.shape)
    except NotAnImage as problem:
        raise BadInput(f"The picture {problem}") from None
    pixels, note = like(pixels, items.border)
    inputs = Images(pixels[None]).gather(ONE, CPU, None)
    return inputs, {"input": png(inputs["images"][0]), "note": note}


def read_sequence(given: Mapping[str, Any], data: Data) -> Read:
    if not given.keys() & {"path", "file", "text", "sequence"}:
        raise BadInput("This model takes a sequence: rows of numbers, one row a step")
    values = given["sequence"] if "sequence" in given else rows(written(given), *data.shape)
    array = sequence(values, *data.shape)
    inputs = Sequences.of(array, np.array([0, len(array)])).gather(ONE, CPU, None)
    return inputs, {"values": array.round(4).tolist()}


def read_text(given: Mapping[str, Any], data: Data) -> Read:
    items = data.items
    assert isinstance(items, (Tokens, TokenPairs))
    if not given.keys() & {"path", "file", "text"}:
        raise BadInput("This model takes a text")
    text = written(given)
    end = [EOS] if isinstance(items, TokenPairs) else []  # as every source
    if isinstance(items, Tokens) and items.blanks:
        ids = items.tokenizer.encode_blanks(text)
    else:
        (ids,) = items.tokenizer.encode([text])
    kept = ids if items.longest is None else ids[: items.longest - len(end)]
    note = "" if kept == ids else f"Only the first {len(kept)} of its {len(ids)} tokens are read"
    # An empty text has no token to show: its model reads one unknown one.
    tokens = torch.tensor([[*kept, *end] or [UNK]])
    return {"tokens": tokens, "lengths": torch.tensor([tokens.shape[1]])}, {
        "text": text, "tokens": [items.tokenizer.spell(i) for i in kept], "note": note,
    }  # fmt: skip


def read_sound(given: Mapping[str, Any], data: Data) -> Read:
    items = data.items
    assert isinstance(items, Recorded)
    if not given.keys() & {"path", "sound"}:
        raise BadInput("This model takes a recording: a WAV, FLAC, OGG or MP3 file")
    file = content(given, "sound")
    if len(file) > LIMITS.file_bytes:
        raise BadInput(f"The recording is larger than {LIMITS.file_bytes // 2**20} MB: "
                       "cut it into shorter ones")  # fmt: skip
    rate = items.rate
    try:
        wave = sound.decode(file, rate)
    except sound.NotSound as problem:
        raise BadInput(f"The recording {problem}") from None
    return items.alone(wave).gather(ONE, CPU, None), {
        "spectrogram": spectrogram(wave, rate), "seconds": round(len(wave) / rate, 3),
    }  # fmt: skip


def content(given: Mapping[str, Any], name: str) -> bytes:
    """The bytes of the file, or of what came in base64 under that name."""
    try:
        return Path(given["path"]).read_bytes() if "path" in given else b64decode(given[name])
    except binascii.Error:
        raise BadInput("The file didn't arrive whole: send it again") from None


def written(given: Mapping[str, Any]) -> str:
    """The text, or what the file says, in whatever encoding."""
    if "text" in given:
        said: str = given["text"]
        return said
    try:
        return decoded(content(given, "file"), None)
    except UnicodeError:
        raise BadInput("This isn't a text file: save or export it as UTF-8") from None


READERS: dict[Kind, Callable[[Mapping[str, Any], Data], Read]] = {
    "images": read_picture, "sequences": read_sequence, "text": read_text, "pairs": read_text,
    "sound": read_sound,
}  # fmt: skip


SEPARATORS = ("\t", ";", "|", ",", "")
"""What may stand between numbers; the last is any blanks."""

Lines = list[tuple[int, list[str]]]


def rows(text: str, features: int | None = None) -> list[list[float]]:
    """Numbers from CSV text, one step a line, with or without a header. BadInput names the line.

    What separates them is what leaves most cells numbers, and gives so many `features` a step: so
    decimal commas are told from others. Columns named sequence, step and label, as in a dataset's
    file, are left out, and those of time stamps, by which the lines are put in order.
    """
    either = [separated(text, separator) for separator in SEPARATORS]

    def merit(lines: Lines) -> tuple[float, bool, int]:
        cells = [cell for _, cells in lines for cell in cells]
        width = len(lines[-1][1]) if lines else 0
        return sum(map(is_number, cells)) / max(len(cells), 1), width == features, width

    lines = max(either, key=merit)
    named: list[str] = []
    if lines and not any(map(is_number, lines[0][1])) and not stamps_in(lines[0][1][:1], ""):
        named = [cell.lower() for cell in lines.pop(0)[1]]
    if "sequence" in named and len({cells[named.index("sequence")] for _, cells in lines}) > 1:
        raise BadInput("There are several sequences in this text: give the rows of one")
    # What a dataset's file says besides the features.
    left_out = {i for i, name in enumerate(named) if name in ("sequence", "step", "label")}
    for i in range(len(lines[0][1]) if lines else 0):
        column = [cells[i] if i < len(cells) else "" for _, cells in lines]
        if i not in left_out and (stamps := stamps_in(column, f"column {i + 1}")):
            left_out.add(i)
            when = [stamps.seconds(cell) for cell in column]
            if None not in when:
                lines = [lines[n] for n in np.argsort(np.array(when), kind="stable").tolist()]
    found: list[list[float]] = []
    for number, cells in lines:
        kept = [cell for i, cell in enumerate(cells) if i not in left_out and cell]
        try:
            found.append([float(cell) for cell in kept])
        except ValueError:
            line = text.splitlines()[number - 1].strip()
            raise BadInput(f"Line {number} isn't all numbers: {line[:60]}") from None
    return found


def separated(text: str, separator: str) -> Lines:
    """The cells of each line that holds any, with its number, decimal commas made points where no
    comma separates."""
    whole = text.splitlines()
    try:
        cut = csv.reader(whole, delimiter=separator) if separator else map(str.split, whole)
        lines = [(number, [cell.strip() for cell in cells]) for number, cells in enumerate(cut, 1)]
    except csv.Error as problem:
        raise BadInput(f"This isn't a table of numbers: {problem}") from None
    lines = [line for line in lines if any(line[1])]
    commas = () if separator == "," else decimal_commas([cells for _, cells in lines])
    return [(number, with_points(cells, commas)) for number, cells in lines]


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
    try:
        array = np.asarray(values, np.float32)
    except (OverflowError, TypeError, ValueError):  # whole numbers of hundreds of digits
        raise BadInput("These rows aren't all numbers that can be computed with") from None
    if not np.isfinite(array).all():
        step = int(np.flatnonzero(~np.isfinite(array).all(1))[0]) + 1
        raise BadInput(f"Step {step} holds a number that isn't finite")
    return array
