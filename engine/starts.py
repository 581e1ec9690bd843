"""Where a run's weights come from, when not from chance: an earlier run, others, or a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from torch import Tensor

from engine import checkpoint
from engine.catalog import BadInput, chosen
from engine.data.archive import natural
from engine.data.tokens import Tokenizer
from engine.home import Home
from engine.models import Model, is_of
from engine.recipe import PUBLISHED, Recipe

ABSENT = "not in those weights"
NAMED = 6
"""Tensors that a sentence names."""


@dataclass(frozen=True)
class Start:
    """Weights that have learned something, and what they know of their data."""

    source: str
    """Whose they are, as a sentence goes on: “run 12”."""
    weights: Mapping[str, Tensor]
    classes: Sequence[str] = ()
    """What the outputs stand for."""
    tokenizer: Tokenizer | None = None
    """What its texts were read with: each row of its embeddings is one of these tokens."""
    run: int | None = None

    @classmethod
    def of(cls, recipe: Recipe, home: Home) -> Start | None:
        """What a checked recipe starts from, None for chance.

        BadInput when it can't be had, with what to do about it.
        """
        if recipe.start is None:
            return None
        if isinstance(recipe.start, int):
            return cls.of_run(recipe.start, home)
        if recipe.start != PUBLISHED:
            return cls.of_file(Path(recipe.start).expanduser())
        model: type[Model] = chosen("model", recipe.model.name)
        theirs = model.published(home, **recipe.model.settings)
        return cls(theirs.name, theirs.weights, theirs.classes, theirs.tokenizer)

    @classmethod
    def of_run(cls, run: int, home: Home) -> Start:
        """An earlier run's best weights. BadInput when it has kept none."""
        try:
            _, folder = checkpoint.find(home.checkpoints(run), "best")
            outline = outline_of(run, home)
        except BadInput:
            raise BadInput(
                f"Run {run} has kept no weights to start from: choose another run, or start from "
                "scratch",
                field="start",
            ) from None
        weights = checkpoint.weights(folder)
        if rounded(weights):
            raise BadInput(
                f"Run {run} is kept in 8-bit numbers, which can't learn any more: start from the "
                "run that it was made from",
                field="start",
            )
        classes = outline.get("outputs", outline.get("classes", ()))
        return cls(f"run {run}", weights, classes, tokenizer_in(outline), run)

    @classmethod
    def of_file(cls, path: Path) -> Start:
        """The tensors of a safetensors file, or of all those of a folder, and what Anneal has
        written beside them of texts and classes. BadInput if there are no tensors; no other format
        is read, since reading others may run what they hold."""
        files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise BadInput(f"There is no safetensors file at {path}", field="start")
        weights: dict[str, Tensor] = {}
        for file in files:
            try:
                weights |= safetensors.torch.load_file(file)
            except (SafetensorError, OSError) as problem:
                raise BadInput(f"{file.name} isn't a whole safetensors file ({problem}): only that "
                               "format is read", field="start") from None  # fmt: skip
        outline: dict[str, Any] = {}
        with suppress(OSError, ValueError):  # not every file was made here
            outline = outline_in(path if path.is_dir() else path.parent)
        if rounded(weights):
            raise BadInput(f"{path.name} holds 8-bit numbers, which can't learn any more: take the "
                           "weights that it was made from", field="start")  # fmt: skip
        return cls(path.name, weights, outline.get("outputs", ()), tokenizer_in(outline))

    def into(self, model: Model, classes: Sequence[str]) -> Taken:
        """Put into the model what has its names and shapes; the rest of it stays as it was made.

        What gives the outputs is taken over whole, and only for the very same `classes`: layer by
        layer, since dropout between them changes their names. BadInput when nothing else, or
        nothing at all, would be.
        """
        own = model.state_dict()
        weights = lined_up(model.translated(self.weights), own)
        found = {name: weights[name] for name in own if name in weights}
        reasons: dict[str, str] = {}
        there, here = (
            sorted((name for name in names if is_of(name, model.output)), key=natural)
            for names in (weights, own)
        )
        heads = {name: weights[other] for name, other in zip(here, there, strict=False)}
        same = len(here) == len(there) and all(
            own[name].shape == tensor.shape for name, tensor in heads.items()
        )
        if list(self.classes) != list(classes):
            reasons |= dict.fromkeys(here, "other classes")
        elif same:
            found |= heads
        else:
            reasons |= dict.fromkeys(here, "of another shape" if there else ABSENT)
        for name, tensor in own.items():
            if name not in found:
                if not counts_batches(name, found):
                    reasons.setdefault(name, ABSENT)
            elif found[name].shape != tensor.shape:
                reasons.setdefault(name, f"{sides(tensor)} here, {sides(found[name])} there")
        loaded = {name: found[name] for name in own if name in found and name not in reasons}
        parameters = {name for name, _ in model.named_parameters()} - {*here}
        if not parameters & loaded.keys():
            raise BadInput(
                f"Nothing of {self.source} fits this model: choose the same model, with the same "
                "widths, or start from scratch",
                field="start",
            )
        model.load_state_dict(loaded, strict=False)
        left = [name for name in weights if name not in own and name not in there]
        left += [name for name in there if not same and name not in own]
        return Taken(
            self.source, tuple(loaded), tuple((n, reasons[n]) for n in own if n in reasons),
            tuple(left), self.run, tuple(n for n in own if n in reasons and n not in here),
        )  # fmt: skip


def rounded(weights: Mapping[str, Tensor]) -> bool:
    """Whether some are whole numbers, which have no gradient."""
    return any(tensor.dtype == torch.int8 for tensor in weights.values())


def lined_up(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights by the names of a model's `own`, where theirs are the same but for what stands
    before all of them: “bert.” in a file of the transformers library, whose network is “network.”
    here. As they are where that isn't so of half the model's."""
    tops = {"", *(name.partition(".")[0] + "." for name in own)}
    direct = sum(name in own for name in weights)
    places = Counter({("", ""): direct})
    for here in sorted(tops):
        inner = {name.removeprefix(here): one.shape for name, one in own.items()
                 if name.startswith(here)}  # fmt: skip
        places.update(
            (name[:cut], here)
            for name, one in weights.items()
            for cut in (0, *(i + 1 for i, sign in enumerate(name) if sign == "."))
            if inner.get(name[cut:]) == one.shape and name[:cut] != here
        )
    (((there, here), most), *others) = places.most_common(2)
    # Two that fit alike, an encoder and its decoder say, leave it open which is meant.
    if most <= max(direct, len(own) // 2) or any(count == most for _, count in others):
        return weights
    return {
        here + name.removeprefix(there) if name.startswith(there) else name: tensor
        for name, tensor in weights.items()
    }


def counts_batches(name: str, found: Mapping[str, Tensor]) -> bool:
    """Whether a tensor only counts what a norm has seen, whose means are there: files from before
    PyTorch 0.4.1 don't hold it, and nothing depends on it."""
    norm, _, kind = name.rpartition(".")
    return kind == "num_batches_tracked" and f"{norm}.running_mean" in found


@dataclass(frozen=True)
class Taken:
    """What was made of the weights that a run started from, by the tensors' names."""

    source: str
    loaded: tuple[str, ...]
    new: tuple[tuple[str, str], ...]
    """Those of the model that were made anew, each with the reason."""
    left: tuple[str, ...]
    """Those of the weights that this model has no place for."""
    run: int | None = None
    strange: tuple[str, ...] = ()
    """Of the new ones, those that don't give the outputs: where there are any, it isn't only the
    head that starts from chance."""

    def __str__(self) -> str:
        said = f"Starting from the weights of {self.source}: "
        whole = f"all {len(self.loaded)} tensors" if not self.new else f"{len(self.loaded)} tensors"
        said += f"{whole} taken over"
        if self.new:
            named = ", ".join(f"{name} ({why})" for name, why in self.new[:NAMED])
            said += f", {len(self.new)} new: {named}" + " …" * (len(self.new) > NAMED)
        if self.left:
            named = ", ".join(self.left[:NAMED]) + " …" * (len(self.left) > NAMED)
            said += f"; {len(self.left)} left out: {named}"
        return said

    def asdict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "run": self.run, "source": self.source, "loaded": list(self.loaded),
            "new": [{"name": name, "why": why} for name, why in self.new],
            "left": list(self.left), "strange": list(self.strange),
        }  # fmt: skip


def outline_of(run: int, home: Home) -> dict[str, Any]:
    """What a run has learned from, as far as its weights must know it (`Data.outline`).

    BadInput when that is gone or damaged.
    """
    try:
        return outline_in(home.run(run))
    except (OSError, ValueError):
        raise BadInput(f"What run {run} has learned from isn't known any more") from None


def outline_in(folder: Path) -> dict[str, Any]:
    """The outline that a run's folder holds, or that which its weights were taken away to
    (`engine.exports.weights`). OSError or ValueError where there is none that can be read."""
    found = json.loads((folder / "data.json").read_text("utf-8"))
    Outline.model_validate(found)
    return found  # type: ignore[no-any-return]


class Outline(BaseModel):
    """What is read of it here; the rest is its data's own."""

    classes: list[str] = []
    outputs: list[str] = []
    tokenizer: str | None = None


def tokenizer_in(outline: Mapping[str, Any]) -> Tokenizer | None:
    """What a run's texts are read with, where there are any."""
    known = outline.get("tokenizer")
    try:
        return None if known is None else Tokenizer.from_json(known)
    except Exception:  # of the library's own, which is no other
        raise BadInput("The tokenizer of these weights is damaged", field="start") from None


def sides(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"
