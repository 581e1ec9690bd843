"""Which class is it?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Advanced, BadInput, Help, Range
from engine.data.batches import Batch, Data
from engine.models import Model
from engine.showing import pictures, texts
from engine.tasks import TAKES, Mean, Numbers, Portable, Task, Verdict, softmax

SHOWN = 12
"""Items that a sample shows."""
WORST = 30
"""Mistakes that a finished run tells."""
CLOSE = 5
"""A class among so many likeliest ones counts as close."""
AT_ONCE = 64
"""Items that a sample asks the model about at a time."""


class Classification(
    Task, label="Classification", fits={"logits", "names"}, needs={"label"}, rank=10,
    judges="classes",
):  # fmt: skip
    """Learns from labelled pictures, texts, sounds or sequences to tell the classes apart."""

    headline = "accuracy"
    larger_is_better = True
    watches = 250
    augments = frozenset({"items", "label", "shares"})

    def __init__(
        self,
        *,
        label_smoothing: Annotated[
            float, Range(0, 0.5, step=0.01), Advanced(),
            Help("Moves this much of the target from the true class to all: calmer probabilities"),
        ] = 0.0,
        class_weights: Annotated[
            Literal["none", "balanced"], Advanced(),
            Help("“balanced” makes each class count the same, however many items it has"),
        ] = "none",
    ) -> None:  # fmt: skip
        self.label_smoothing = label_smoothing
        self.balanced = class_weights == "balanced"
        self.weights: Tensor | None = None

    def classes(self, data: Data) -> tuple[str, ...]:
        return data.classes

    def prepare(self, data: Data) -> None:
        if len(data.classes) < 2:
            raise BadInput(
                "The dataset has one class only: there must be two at least to tell apart",
                field="data",
            )
        if self.balanced:
            counts = torch.tensor(data.counts("train"), dtype=torch.float32)
            # n / (classes · n_class): King & Zeng 2001; a class without items has no weight.
            weights = counts.sum() / (len(counts) * counts.clamp(min=1))
            self.weights = torch.where(counts > 0, weights, 0.0)

    def step(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        logits = model(**batch.inputs)
        assert batch.targets is not None
        targets = batch.targets if batch.shares is None else batch.shares
        loss = F.cross_entropy(
            logits.float(), targets, weight=self._weights(logits.device), reduction="sum",
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
        return {"loss": loss / self.weight(batch), "output": logits}

    def weight(self, batch: Batch) -> int | Tensor:
        """Items, or the sum of their classes' weights: what the loss is divided by. Of an item that
        is mixed, each class weighs as much as is in it."""
        assert batch.targets is not None
        weights = self._weights(batch.targets.device)
        if weights is None:
            return len(batch)
        # All of classes that no training item has: nothing counts, and is not divided by.
        each = weights[batch.targets] if batch.shares is None else batch.shares @ weights
        return each.sum().clamp(min=1e-12)

    def _weights(self, device: torch.device) -> Tensor | None:
        if self.weights is not None and self.weights.device != device:
            self.weights = self.weights.to(device)
        return self.weights

    def meter(self, model: Model, data: Data, *, final: bool = False) -> ConfusionMeter:
        return ConfusionMeter(self, data, worst=WORST if final else 0)

    def uncertainty(self, scores: Mapping[str, Any], items: int) -> float:
        share: float = scores["accuracy"]
        # With few items the error is wide: then only ties are open.
        return min(math.sqrt(share * (1 - share) / items), 0.01)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        counts = np.array(data.counts("test"))
        if not counts.sum():
            return {}
        majority = int(np.argmax(data.counts("train")))
        share = counts[majority] / counts.sum()
        f1 = 2 * share / (share + 1) / int((counts > 0).sum())
        return {"always the most frequent class": {"accuracy": float(share), "macro_f1": float(f1)}}

    def samples(
        self, model: Model, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        """The confusion matrix; the worst mistakes among pictures, sounds as spectra; the same few
        texts at each look, with what is said of them."""
        yield "confusion", "confusion", scores["confusion"]
        few = np.linspace(0, len(batch) - 1, min(SHOWN, len(batch))).astype(int).tolist()
        if read := texts(batch, data, few):
            answers = Answers.asked(model, batch, few)
            yield "predictions", "table", {
                "columns": ["text", "true", "predicted", "probability"],
                "rows": [[text, *answers.told(place, data.classes)]
                         for place, text in enumerate(read)],
                "wrong": [answers.wrong(place) for place in range(len(few))],
            }  # fmt: skip
        elif pictures(batch, data, few[:1]):
            answers = Answers.asked(model, batch, range(len(batch)))
            worst = answers.mistakes(SHOWN)
            rows: dict[str, list[str]] = {}
            for place, picture in zip(worst, pictures(batch, data, worst), strict=True):
                true, said, _ = answers.told(place, data.classes)
                rows.setdefault(f"{true} → {said}", []).append(picture)
            if not rows:  # all right: some of them, as they were told
                for place, picture in zip(few, pictures(batch, data, few), strict=True):
                    rows.setdefault(answers.told(place, data.classes)[0], []).append(picture)
            yield "mistakes" if worst else "examples", "images", {
                "shape": list(data.shape),
                "rows": [{"label": pair, "images": images} for pair, images in rows.items()],
            }  # fmt: skip

    def judge(self, model: Model, batch: Batch, data: Data) -> Verdict:
        assert batch.targets is not None
        logits = model(**batch.inputs).float()
        return Verdict(F.cross_entropy(logits, batch.targets, reduction="none"), logits)

    def show(self, model: Model, batch: Batch, data: Data) -> list[dict[str, Any]]:
        shares = (model(**batch.inputs).float() / self.temperature).softmax(1).cpu()
        return [
            {"classes": sorted(
                ({"label": label, "probability": float(p)}
                 for label, p in zip(data.classes, row, strict=True)),
                key=lambda c: -float(c["probability"]),
            )}
            for row in shares
        ]  # fmt: skip

    def numbers(self, model: Model, batch: Batch, data: Data) -> Numbers:
        """A logit for each class; the probabilities are those of `show`."""
        return Numbers(
            data.classes, lambda inputs: model(**inputs),
            lambda logits: softmax(logits / self.temperature),
        )  # fmt: skip

    def portable(self, model: Model, data: Data) -> Portable:
        facts = {"labels": list(data.classes), "temperature": self.temperature}
        return Portable(
            TAKES[data.items.kind], ("logits",), lambda *given: (model(*given),), "classes", facts
        )


@dataclass(frozen=True)
class Answers:
    """What a model said of some items, in main memory."""

    true: list[int]
    said: list[int]
    shares: list[float]
    """The probability of what was said."""
    losses: Tensor
    """(B,): how surprising the true class was."""

    @classmethod
    def of(cls, logits: Tensor, targets: Tensor) -> Answers:
        shares, said = logits.float().softmax(1).max(1)
        losses = F.cross_entropy(logits.float(), targets, reduction="none").cpu()
        return cls(targets.tolist(), said.tolist(), shares.tolist(), losses)

    @classmethod
    def asked(cls, model: Model, batch: Batch, places: Sequence[int]) -> Answers:
        """What the model says of the items at these places, numbered anew."""
        assert batch.targets is not None
        parts = [list(places[at : at + AT_ONCE]) for at in range(0, len(places), AT_ONCE)]
        logits = [model(**{name: tensor[part] for name, tensor in batch.inputs.items()})
                  for part in parts]  # fmt: skip
        return cls.of(torch.cat(logits), batch.targets[list(places)])

    def wrong(self, place: int) -> bool:
        return self.true[place] != self.said[place]

    def mistakes(self, most: int) -> list[int]:
        """Places of the items that were told wrong, the most surprising first."""
        order = self.losses.argsort(descending=True, stable=True).tolist()
        return [place for place in order if self.wrong(place)][:most]

    def told(self, place: int, classes: Sequence[str]) -> tuple[str, str, str]:
        """The true class, the one that was said, and how sure that was."""
        share = f"{self.shares[place]:.0%}"
        return classes[self.true[place]], classes[self.said[place]], share


class ConfusionMeter:
    """Loss and a confusion matrix, from which every other measure follows but top-5 accuracy.

    With `worst`, also so many texts on which the model was surest of a wrong class.
    """

    def __init__(self, task: Classification, data: Data, *, worst: int = 0) -> None:
        self.task, self.data, self.classes = task, data, data.classes
        self.counts: Tensor | None = None
        self.loss, self.close = Mean(), Mean()
        self.worst = worst
        self.mistakes: list[tuple[float, dict[str, str]]] = []

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        assert batch.targets is not None
        classes = len(self.classes)
        cells = batch.targets * classes + step["output"].argmax(1)
        counts = torch.bincount(cells, minlength=classes**2).view(classes, classes)
        self.counts = counts if self.counts is None else self.counts + counts
        self.loss.add(step["loss"], self.task.weight(batch))
        if len(self.classes) > CLOSE:
            likely = step["output"].topk(CLOSE).indices
            self.close.add((likely == batch.targets[:, None]).any(1).float().mean(), len(batch))
        if self.worst:
            self._remember(step["output"], batch)

    def _remember(self, logits: Tensor, batch: Batch) -> None:
        """Keep the worst mistakes so far, where they can be read."""
        assert batch.targets is not None
        answers = Answers.of(logits, batch.targets)
        places = answers.mistakes(self.worst)
        for place, text in zip(places, texts(batch, self.data, places), strict=False):
            true, said, probability = answers.told(place, self.classes)
            self.mistakes.append((
                float(answers.losses[place]),
                {"text": text, "true": true, "predicted": said, "probability": probability},
            ))  # fmt: skip
        self.mistakes = sorted(self.mistakes, key=lambda m: -m[0])[: self.worst]

    def compute(self) -> dict[str, Any]:
        assert self.counts is not None
        counts = self.counts.cpu().double()
        right, true, said = counts.diag(), counts.sum(1), counts.sum(0)
        recall, precision = right / true.clamp(min=1), right / said.clamp(min=1)
        f1 = 2 * right / (true + said).clamp(min=1)
        present = (true + said) > 0  # a class that never occurs has no F1 to average
        return {
            "loss": float(self.loss),
            "accuracy": float(right.sum() / true.sum()),
            **({"top5_accuracy": float(self.close)} if len(self.classes) > CLOSE else {}),
            "macro_f1": float(f1[present].mean()),
            "confusion": {
                "classes": list(self.classes),
                "counts": counts.long().tolist(),
            },
            "per_class": [
                {"class": name, "precision": float(p), "recall": float(r), "f1": float(f),
                 "items": int(n)}
                for name, p, r, f, n in zip(self.classes, precision, recall, f1, true, strict=True)
            ],
            **({"surest_mistakes": [m for _, m in self.mistakes]} if self.mistakes else {}),
        }  # fmt: skip
