"""What leaves: a run's best weights with what is known of them, and real items to try them on."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine import checkpoint, judging
from engine.catalog import BadInput
from engine.compression.int8 import rounded_layers
from engine.data.batches import Data
from engine.data.items import Images
from engine.data.splits import evenly
from engine.data.tokens import BOS
from engine.models import Model
from engine.predict import Predictor
from engine.session import Setup
from engine.tasks import TAKES, Portable

if TYPE_CHECKING:
    from engine.home import Home

ITEMS = 16
"""That an export is compared with its original on."""
ALONE = 3
"""Of these, so many are asked about one by one too: another batch, another length."""
TOLERANCE = 1e-3
"""Of the largest number that is answered, or of 1: further off, an export is refused."""
STEP = 0.02
"""The same of layers of whole numbers: one on the edge between two can fall on either side."""
STEPS = 17
"""Of a random item: neither 0 nor 1, which graphs are specialized to, nor a usual width."""

Arrays = Mapping[str, npt.NDArray[Any]]
Answer = Callable[[Arrays], Sequence[npt.NDArray[Any]]]
"""What an exported model gives of what it takes, both as `engine.tasks.Portable` names them."""


@dataclass
class Leaving:
    """A run whose model is taken away."""

    predictor: Predictor
    portrait: Mapping[str, Any]
    """What is remembered of the run (`storage.portrait`); may be empty."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What is to be known of what was made, as JSON values."""

    @property
    def home(self) -> Home:
        return self.predictor.home

    @property
    def run(self) -> int:
        return self.predictor.run

    @property
    def setup(self) -> Setup:
        return self.predictor.setup

    @property
    def data(self) -> Data:
        """The outline of what the run has learned from: no item."""
        return self.setup.data

    @cached_property
    def outline(self) -> dict[str, Any]:
        """The same as it is kept with the run."""
        text = (self.home.run(self.run) / "data.json").read_text("utf-8")
        return dict(json.loads(text))

    @property
    def name(self) -> str:
        """What files of it are called."""
        return f"run-{self.run}"

    @cached_property
    def kept(self) -> dict[str, Tensor]:
        """The best weights by name, in the types that the run keeps them in: of 16 bits or whole
        numbers, where its method has made them so. BadInput where they can't be read."""
        predictor = self.predictor
        assert predictor.entry is not None
        try:
            found = checkpoint.weights(predictor.folder / predictor.entry.folder)
        except BadInput:  # a run that trains has put better ones in their place
            predictor.refresh()
            found = checkpoint.weights(predictor.folder / predictor.entry.folder)
        return dict(self.setup.model.translated(found))

    @cached_property
    def model(self) -> Model:
        """A copy with the best weights, on the CPU, that nothing more is learned by."""
        model = copy.deepcopy(self.setup.model).cpu().float().eval()
        return model.requires_grad_(False)

    @cached_property
    def portable(self) -> Portable:
        """Its answers as tensors alone."""
        return self.setup.task.portable(self.model, self.data)

    @cached_property
    def items(self) -> tuple[dict[str, Tensor], str]:
        """Some items as the model takes them, and which these are: of the run's test split or, if
        that is empty, another; random ones where its data have been removed since."""
        names = self.portable.takes
        if self.portable.drawn is not None:
            torch.manual_seed(0)
            return dict(zip(names, self.portable.drawn(ITEMS), strict=True)), "random"
        try:
            data = judging.learned_from(self.home, self.run)
        except BadInput:
            return self.random(ITEMS), "random"
        for split in ("test", "validation", "train"):
            rows = data.splits.get(split)
            if rows is not None and len(rows):
                some, cpu = evenly(rows, ITEMS), torch.device("cpu")
                found = data.fed.gather(some, cpu, None)
                if not found.keys() >= set(names):  # texts that are written from others
                    found |= data.fed.wanted(some, cpu)
                return {name: found[name] for name in names}, split
        return self.random(ITEMS), "random"

    def random(self, count: int, steps: int = STEPS) -> dict[str, Tensor]:
        """Items of chance, as the model takes them."""
        torch.manual_seed(0)
        if self.portable.drawn is not None:
            return dict(zip(self.portable.takes, self.portable.drawn(count), strict=True))
        shape = self.data.shape
        if isinstance(self.data.items, Images):
            return {"images": torch.rand(count, shape[2], *shape[:2])}
        # The first is whole: a batch is as long as its longest.
        lengths = torch.randint(2, steps + 1, (count,)).index_fill(0, torch.tensor([0]), steps)
        inside = torch.arange(steps) < lengths[:, None]
        if "tokens" in TAKES[self.data.items.kind]:
            words = torch.randint(5, max(shape[0], 6), (2, count, steps))
            target = words[1, :, : steps - 1].index_fill(1, torch.tensor([0]), BOS)
            found = {"tokens": words[0] * inside, "target_tokens": target}
        else:
            found = {"values": torch.randn(count, steps, *shape) * inside[..., None]}
        found["lengths"] = lengths
        return {name: found[name] for name in self.portable.takes}

    def compare(self, answer: Answer) -> None:
        """Ask both the original and what was made of it about the same items, together and one by
        one, and keep among the facts how far they are apart. BadInput where that is too far."""
        items, split = self.items
        portable = self.portable
        asked = [items, *(one(items, place) for place in range(min(ALONE, count(items))))]
        apart = most = 0.0
        agreed = []
        for batch in asked:
            with torch.inference_mode():
                wanted = [given.numpy() for given in portable.of(*batch.values())]
            told = answer({name: given.numpy() for name, given in batch.items()})
            for ours, theirs in zip(wanted, told, strict=True):
                if ours.shape != theirs.shape:
                    raise BadInput(f"What was made answers in the shape {theirs.shape}, the model "
                                   f"in {ours.shape}: it can't be taken away so")  # fmt: skip
                apart = max(apart, distance(ours, theirs))
                most = max(most, float(np.abs(ours[np.isfinite(ours)]).max(initial=0)))
            if portable.tells == "classes":
                agreed += (wanted[0].argmax(-1) == told[0].argmax(-1)).tolist()
        self.facts["check"] = {
            "difference": apart, "largest": most, "items": count(items), "of": split,
            "batches": [count(batch) for batch in asked],
            **({"agreed": sum(agreed), "asked": len(agreed)} if agreed else {}),
        }  # fmt: skip
        allowed = STEP if rounded_layers(self.model) else TOLERANCE
        if not apart <= allowed * max(most, 1.0):
            raise BadInput(f"What was made answers otherwise than the model, by up to {apart:.3g}: "
                           "it can't be taken away so. Take its weights instead")  # fmt: skip


def distance(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> float:
    """How far two answers of one shape are apart where they are farthest: infinitely where a number
    is finite in one only. The same infinity in both agrees, and so does NaN."""
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        apart = np.abs(ours.astype(np.float64) - theirs)  # whole numbers have no infinity
    apart[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0
    # Python's max keeps what it has against NaN, which would say that all is well.
    apart[np.isnan(apart)] = np.inf
    return float(apart.max(initial=0))


def count(batch: Mapping[str, Tensor]) -> int:
    return next(iter(batch.values())).shape[0]


def one(batch: Mapping[str, Tensor], place: int) -> dict[str, Tensor]:
    """One item of a batch, without what it was padded by."""
    alone = {name: given[place : place + 1] for name, given in batch.items()}
    if "lengths" in alone:
        long = int(alone["lengths"][0])
        alone = {name: given if name == "lengths" else given[:, :long]
                 for name, given in alone.items()}  # fmt: skip
    return alone


def written(path: Path, value: Any) -> None:
    """A file of JSON that a person can read."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
