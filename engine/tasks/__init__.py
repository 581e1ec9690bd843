"""Tasks: what is asked of a model, how wrong it is, and how its answers are shown."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from engine.catalog import Choosable
from engine.data.batches import Batch, Data, Feed
from engine.data.splits import Rows, Split


class Meter(Protocol):
    """Adds up a split's measures, batch by batch."""

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        """Take in what `Task.step` gave for a batch. Waits for no device where it can."""

    def compute(self) -> dict[str, Any]:
        """The measures: numbers by name, and tables by name (lists, dicts) for the run's page.

        ``signatures`` among the tables is ``{measure: how a library computed it}``, and a list of
        rows (dicts of the same keys) becomes a table.
        """


@dataclass(frozen=True)
class Verdict:
    """What was answered to each item of a batch, and how wrong that is."""

    errors: Tensor
    """(B,), the larger the worse: a loss, or what of a text is wrong."""
    logits: Tensor | None = None
    """(B, classes), where one of them is said."""
    texts: Sequence[Mapping[str, str]] = ()
    """``{"reference", "written"}`` of each item, and ``source``, where a text is the answer."""


@dataclass(frozen=True)
class Numbers:
    """Numbers of the answer to one item, of which it can be asked what in the item made them so."""

    names: tuple[str, ...]
    of: Callable[[Mapping[str, Tensor]], Tensor]
    """(B, numbers) of a model's arguments by name: logits, or values."""
    shares: Callable[[Tensor], Tensor] | None = None
    """Probabilities (B, numbers) of them; None where the numbers are no matter of probability."""


@dataclass(frozen=True)
class Portable:
    """A model's answers as tensors alone, which can be carried to where nothing of this is."""

    takes: tuple[str, ...]
    """The names of what it is given: a model's arguments, as `engine.data.batches.Batch` has
    them."""
    gives: tuple[str, ...]
    """The names of what it answers."""
    of: Callable[..., tuple[Tensor, ...]]
    """What it gives of what it takes, both in order; computed of shapes, never of `len`."""
    tells: str
    """What its first answer is: logits of “classes”, a “picture”, a “forecast”, the “steps” of a
    sequence, “letters” of frames, the next “tokens” of a text, a “text” from another, a “drawing”,
    “fillings” of blanks, or “features”."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is to be known to read the answer, as JSON values."""
    drawn: Callable[[int], tuple[Tensor, ...]] | None = None
    """What it takes of so many items, where that comes from no dataset."""


TAKES: Mapping[str, tuple[str, ...]] = {
    "images": ("images",), "text": ("tokens", "lengths"), "pairs": ("tokens", "lengths"),
    "sequences": ("values", "lengths"), "sound": ("values", "lengths"),
}  # fmt: skip
"""A model's arguments, by the kind of its data."""


def softmax(logits: Tensor) -> Tensor:
    return logits.softmax(1)


class Task(Choosable, kind="task"):
    """What is asked of a model. A task owns its loss and its metrics.

    `headline` names the measure to show first; `larger_is_better` says in which direction.
    """

    headline: ClassVar[str]
    larger_is_better: ClassVar[bool]
    augments: ClassVar[frozenset[str]] = frozenset({"items"})
    """What the training split is fed with: “items” varied as the dataset says; also such variations
    as only keep the “label” of the whole item; items mixed to “shares” of several labels."""
    watches: ClassVar[int] = 500
    """Items of the validation split that `samples` gets."""
    temperature: float = 1.0
    """What logits are divided by before `show` makes probabilities of them, where it does
    (`engine.calibration`)."""

    def splits(self, data: Data) -> Mapping[Split, Rows]:
        """Which rows are learned from, judged by and tested on, where the task draws another line
        than the data. Asked before labels are cut and before any word or mean is learned.

        No row of the data's own test is learned from. BadInput when the data can't be shared out.
        """
        return data.splits

    def view(self, data: Data) -> Data:
        """The data as this task cuts it: a text to windows, a series to past and future.

        BadInput when nothing can be made of it. The splits stay apart.
        """
        return data

    def classes(self, data: Data) -> tuple[str, ...]:
        """What the outputs stand for one by one, where that is the data's to say."""
        return ()

    def outputs(self, data: Data) -> int:
        """How many numbers a model gives at a place: a logit for each class, each token …"""
        return len(data.classes)

    def equip(self, model: Any) -> None:
        """Change what lies over a model's features, where the task wants another head there than
        the model's own. Weights that a run starts from, and its checkpoints, come after it."""

    def feed(self, data: Data, split: Split, **how: Any) -> Feed:
        """What is learned from, as batches: the items of a split in random order, where the task
        does not draw them otherwise. `how` is what `Feed` takes."""
        return Feed(data, split, **how)

    def prepare(self, data: Data) -> None:
        """Learn what the task must know of the training data, class frequencies say."""

    @abstractmethod
    def step(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """``{"loss": scalar, the mean over the batch, "output": what the model gave}``."""

    def weight(self, batch: Batch) -> int | Tensor:
        """Of how many things the loss of `step` is a mean: items, or tokens that aren't padding."""
        return len(batch)

    @abstractmethod
    def meter(self, model: Any, data: Data, *, final: bool = False) -> Meter:
        """A fresh meter. One whose measures need whole answers, a translation say, lets the model
        give some in validation and all in the `final` test."""

    def uncertainty(self, scores: Mapping[str, Any], items: int) -> float:
        """How far apart two epochs' headlines are still the same, measured over so many items."""
        return 0.0

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """What no model, or a classical one, reaches on the test split: ``{name: {metric: x}}``."""
        return {}

    def samples(
        self, model: Any, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        """Things worth seeing after an epoch: fixed items of the validation split, its scores.

        Yields (name, kind, data) as `engine.events.Sample` takes them.
        """
        yield from ()

    def closing(self, model: Any, batch: Batch, data: Data) -> Iterator[tuple[str, str, Any]]:
        """As `samples`, what is worth its time only once, of the best weights at the run's end."""
        yield from ()

    @abstractmethod
    def show(self, model: Any, batch: Batch, data: Data) -> list[dict[str, Any]]:
        """One JSON object an item: the model's answer as a person wants to see it.

        Keyword-only arguments of a task's own `show` are what can be set when a model is tried
        (a beam's width, a temperature), read as the form's settings are.
        """

    def judge(self, model: Any, batch: Batch, data: Data) -> Verdict:
        """What each item of a batch was answered, for the tasks whose card says ``judges``: its own
        loss, where a task doesn't know more."""
        losses = [self.step(model, batch.at([place]))["loss"] for place in range(len(batch))]
        return Verdict(torch.stack(losses).float())

    def numbers(self, model: Any, batch: Batch, data: Data) -> Numbers | None:
        """What of the answer to a batch of one item can be explained; None where it can't be put
        as a number. Asked without gradients; what it gives is asked with them."""
        return None

    @abstractmethod
    def portable(self, model: Any, data: Data) -> Portable:
        """The model's answers as tensors alone."""

    def tell(self, model: Any, batch: Batch, data: Data, **options: Any) -> Iterator[str]:
        """The answer to one item piece by piece, for the tasks whose card says ``streams``; the
        pieces joined are the text that `show` gives."""
        raise NotImplementedError


def spoken(measure: str) -> str:
    """A measure's name in a sentence: ``macro_f1`` → macro F1, ``mae`` → MAE."""
    return SPOKEN.get(measure, measure.replace("_", " "))


SPOKEN = {
    "bleu": "BLEU", "chrf": "chrF", "rouge_1": "ROUGE-1", "rouge_2": "ROUGE-2",
    "rouge_l": "ROUGE-L", "wer": "WER", "cer": "CER", "mae": "MAE", "mse": "MSE", "rmse": "RMSE",
    "macro_f1": "macro F1", "contrastive_accuracy": "contrastive top-1",
    "knn_accuracy": "k-NN accuracy", "probe_accuracy": "linear probe accuracy",
    "negative_elbo": "negative ELBO", "kl": "KL divergence",
    "frechet": "Fréchet distance",
}  # fmt: skip
"""Measures whose names are abbreviations."""


class Mean:
    """The mean of a loss over batches of unequal weight, added up on the device."""

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0
        self.weight: Tensor | float = 0.0

    def add(self, value: Tensor, weight: int | Tensor) -> None:
        self.total = self.total + value.detach().float() * weight
        self.weight = self.weight + weight

    def __float__(self) -> float:
        return float(self.total) / max(float(self.weight), 1e-12)


def inside(lengths: Tensor, longest: int) -> Tensor:
    """(B, longest), true where an item of that length still has a step."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]
