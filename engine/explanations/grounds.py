"""What importance lies on: the places of a picture, a sequence, a spectrum or a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import BadInput
from engine.data.batches import Batch, Data
from engine.data.items import Images
from engine.data.options import Kind
from engine.data.recorded import Recorded
from engine.data.tokens import EOS, UNK
from engine.explanations.words import joined
from engine.models import Model, Standardize
from engine.pictures import png
from engine.tasks import inside

STRETCHES = 28
"""Parts into which a recording's samples are cut, to be removed at a time."""
CELLS = 14
"""A map is cut into so many rows and columns of cells that are removed at a time."""
MOST_STEPS = 400
"""Steps of a sequence that a page is told of one by one; of a longer one, means."""


class Ground(ABC):
    """One item as a model takes it, and how parts of it are taken away."""

    name: ClassVar[str]
    """Under which its values stand among a model's inputs."""
    most: ClassVar[int]
    """The longest side of an item that is looked into: it is asked about hundreds of times, and
    whoever asks next waits."""
    unit: ClassVar[str]
    """What those are."""
    deep: ClassVar[int] = 1
    """Numbers that a network makes of each of its values, as far as memory is concerned."""

    def __init__(
        self, batch: Batch, model: Model, data: Data, seen: Mapping[str, Any]
    ) -> None:  # fmt: skip
        self.given, self.model, self.data, self.seen = batch.inputs, model, data, seen
        self.values = self.given[self.name]
        assert len(self.values) == 1, "one item at a time is explained"
        if max(self.places) > self.most:
            raise BadInput(f"This is too long to be looked into: {max(self.places):,} {self.unit}. "
                           f"Give a part of it, of {self.most:,} at most")  # fmt: skip

    @property
    @abstractmethod
    def places(self) -> tuple[int, ...]:
        """The shape of a map of importance."""

    @property
    @abstractmethod
    def nothing(self) -> Tensor:
        """The item with all of it taken away: what stands where nothing is told."""

    @property
    @abstractmethod
    def cells(self) -> Tensor:
        """(places), which of the cells that are removed at a time each belongs to, −1 for none."""

    @abstractmethod
    def removed(self, gone: Tensor) -> Tensor:
        """The item as often as there are masks (n, places), without what they are true at."""

    @abstractmethod
    def shown(self, importance: Tensor, *, signed: bool) -> dict[str, Any]:
        """Importance (places) as a page shows it."""

    @abstractmethod
    def summed(self, attributions: Tensor) -> Tensor:
        """Attributions to each number of the values (1, …) as importance (places)."""

    def real(self, importance: Tensor) -> Tensor:
        """The same with nothing on padding."""
        return importance

    def inputs(self, values: Tensor) -> dict[str, Tensor]:
        """A model's arguments for several variants (n, …) of the item."""
        others = {
            name: one.expand(len(values), *one.shape[1:])
            for name, one in self.given.items() if name != self.name
        }  # fmt: skip
        return {**others, self.name: values}


class Picture(Ground):
    """A picture: places are pixels, taken away by what lies along the edges of the pictures that
    were learned from."""

    name = "images"
    most, unit = 4096, "pixels"

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(self.values.shape[2:])

    @property
    def nothing(self) -> Tensor:
        items = self.data.items
        assert isinstance(items, Images)
        return torch.full_like(self.values, 0.5 if items.border is None else items.border)

    @property
    def cells(self) -> Tensor:
        return grid(*self.places)

    def removed(self, gone: Tensor) -> Tensor:
        found = torch.where(gone[:, None], self.nothing, self.values)
        return found.contiguous(memory_format=torch.channels_last)

    def summed(self, attributions: Tensor) -> Tensor:
        return attributions[0].sum(0)

    def shown(self, importance: Tensor, *, signed: bool) -> dict[str, Any]:
        return {"heat": painted(importance), "input": png(self.values[0, :3])}


class Steps(Ground):
    """A sequence: places are (step, feature), taken away by the feature's mean in training."""

    name = "values"
    most, unit, deep = 20_000, "steps", 16

    @property
    def length(self) -> int:
        return int(self.given["lengths"][0])

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(self.values.shape[1:])

    @property
    def nothing(self) -> Tensor:
        found = torch.zeros_like(self.values)
        for module in self.model.modules():
            if isinstance(module, Standardize):
                found = found + module.mean
                break
        return torch.where(self._inside, found, self.values)

    @property
    def _inside(self) -> Tensor:
        """(L, 1), false on padding."""
        return inside(self.given["lengths"], self.values.shape[1])[0][:, None]

    @property
    def cells(self) -> Tensor:
        return self._beyond(grid(*self.places))

    def _beyond(self, cells: Tensor) -> Tensor:
        return cells.masked_fill(~self._inside, -1)

    def removed(self, gone: Tensor) -> Tensor:
        return torch.where(gone, self.nothing, self.values)

    def summed(self, attributions: Tensor) -> Tensor:
        return attributions[0]

    def real(self, importance: Tensor) -> Tensor:
        return importance * self._inside

    def shown(self, importance: Tensor, *, signed: bool) -> dict[str, Any]:
        found, values = importance[: self.length], self.values[0, : self.length]
        most = float(found.abs().max().clamp(min=1e-12))
        span = -(-self.length // MOST_STEPS)
        return {
            "strip": [[round(x / most, 3) for x in row] for row in pooled(found, span).tolist()],
            "values": pooled(values, span).double().round(decimals=4).tolist(),
            "steps": self.length, "span": span, "most": most,
            "features": list(getattr(self.data.items, "names", ())),
        }  # fmt: skip


class Spectrum(Steps):
    """A recording's spectrum: places are (frame, band), taken away by the band's mean."""

    unit, deep = "frames", 4

    def shown(self, importance: Tensor, *, signed: bool) -> dict[str, Any]:
        frames = self.values[0, : self.length]
        low, high = frames.min(), frames.max()
        seen = ((frames - low) / (high - low).clamp(min=1e-6)).T.flip(0)
        return {
            "heat": painted(importance[: self.length].T.flip(0)), "input": png(seen[None]),
            "seconds": self.seen.get("seconds"), "stretch": True,
        }  # fmt: skip


class Sound(Steps):
    """A recording's samples: places are samples, taken away by silence."""

    @property
    def nothing(self) -> Tensor:
        return torch.zeros_like(self.values)

    @property
    def cells(self) -> Tensor:
        """Stretches of time: samples by themselves are nothing to be heard."""
        long = max(-(-self.length // STRETCHES), 1)
        places = torch.arange(self.places[0])
        return torch.where(places < self.length, places // long, -1)

    def real(self, importance: Tensor) -> Tensor:
        return importance.masked_fill(torch.arange(len(importance)) >= self.length, 0.0)

    def shown(self, importance: Tensor, *, signed: bool) -> dict[str, Any]:
        items = self.data.items
        assert isinstance(items, Recorded)
        frames = items.frames(self.given, 0)
        seen = (frames - frames.min()) / (frames.max() - frames.min()).clamp(min=1e-6)
        told = F.adaptive_avg_pool1d(importance[None, : self.length], len(frames))
        return {
            "heat": painted(told.expand(frames.shape[1], -1)), "input": png(seen.T.flip(0)[None]),
            "seconds": self.seen.get("seconds"), "stretch": True,
        }  # fmt: skip


class Words(Ground):
    """A text: places are tokens, taken away by making them unknown."""

    name = "tokens"
    most, unit, deep = 5_000, "tokens", 64

    @property
    def length(self) -> int:
        lengths = self.given.get("lengths")
        return self.values.shape[1] if lengths is None else int(lengths[0])

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(self.values.shape[1:])

    @property
    def nothing(self) -> Tensor:
        # The end of a source is no word of it.
        return torch.where((self._places < self.length) & (self.values != EOS), UNK, self.values)

    @property
    def _places(self) -> Tensor:
        return torch.arange(self.values.shape[1], device=self.values.device)

    @property
    def cells(self) -> Tensor:
        there = (self._places < self.length) & (self.values[0] != EOS)
        return torch.where(there, self._places, -1).cpu()

    def removed(self, gone: Tensor) -> Tensor:
        return torch.where(gone, self.nothing, self.values)

    def summed(self, attributions: Tensor) -> Tensor:
        return attributions[0]

    def real(self, importance: Tensor) -> Tensor:
        return importance.masked_fill(self._places.cpu() >= self.length, 0.0)

    def shown(self, importance: Tensor, *, signed: bool) -> dict[str, Any]:
        tokenizer = self.data.items.tokenizer  # type: ignore[attr-defined]
        tokens = [token for token in self.values[0, : self.length].tolist() if token != EOS]
        words = joined(str(self.seen.get("text", "")), tokens, tokenizer)
        told = importance[: len(tokens)].tolist()
        most = max(map(abs, told), default=0.0) or 1.0
        found = [
            {"before": before, "text": text, "value": round(sum(told[i] for i in of) / most, 4),
             "tokens": [[tokenizer.spell(tokens[i]), round(told[i] / most, 4)] for i in of]}
            for before, text, of in words
        ]  # fmt: skip
        # A word of several tokens may weigh more than any token.
        top = max((abs(word["value"]) for word in found), default=0.0) or 1.0
        return {"words": [word | {"value": round(word["value"] / top, 4)} for word in found],
                "most": most * top}  # fmt: skip


def heard(batch: Batch, model: Model, data: Data, seen: Mapping[str, Any]) -> Ground:
    """A recording in the form in which a model is fed it."""
    kind = Spectrum if model.hears is None else Sound
    return kind(batch, model, data, seen)


GROUNDS: Mapping[Kind, Callable[[Batch, Model, Data, Mapping[str, Any]], Ground]] = {
    "images": Picture, "sequences": Steps, "sound": heard, "text": Words, "pairs": Words,
}  # fmt: skip


def grid(rows: int, columns: int) -> Tensor:
    """(rows, columns) int64: the number of the cell that each place belongs to."""
    high, wide = (max(-(-side // CELLS), 1) for side in (rows, columns))
    across = -(-columns // wide)
    return (torch.arange(rows) // high)[:, None] * across + torch.arange(columns) // wide


def pooled(values: Tensor, span: int) -> Tensor:
    """(L, D) as the means of every `span` steps."""
    if span == 1:
        return values
    return torch.stack([part.mean(0) for part in torch.split(values, span)])


def painted(importance: Tensor) -> str:
    """Importance (H, W) as a grey PNG: the middle, 128, is none, white the most for the answer,
    black the most against it."""
    most = importance.abs().max().clamp(min=1e-12)
    return png((importance / most * 127 + 128)[None] / 255)
