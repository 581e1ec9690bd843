"""Which class is it?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name
from torchmetrics.functional.classification import multiclass_confusion_matrix

from engine.catalog import Advanced, BadInput, Help, Range
from engine.data.batches import Batch, Data
from engine.models import Model
from engine.tasks import Task


class Classification(Task, label="Classification", fits={"logits"}, needs={"label"}, rank=10):
    """Learns from labelled examples to tell the classes apart."""

    headline = "accuracy"
    larger_is_better = True

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
        if self.weights is not None and self.weights.device != logits.device:
            self.weights = self.weights.to(logits.device)
        assert batch.targets is not None
        loss = F.cross_entropy(
            logits.float(), batch.targets, weight=self.weights,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
        return {"loss": loss, "output": logits}

    def meter(self, data: Data) -> ConfusionMeter:
        return ConfusionMeter(data.classes)

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
        yield "confusion", "confusion", scores["confusion"]

    def show(self, model: Model, batch: Batch, classes: tuple[str, ...]) -> list[dict[str, Any]]:
        shares = model(**batch.inputs).float().softmax(1).cpu()
        return [
            {"classes": sorted(
                ({"label": label, "probability": float(p)}
                 for label, p in zip(classes, row, strict=True)),
                key=lambda c: -float(c["probability"]),
            )}
            for row in shares
        ]  # fmt: skip


class ConfusionMeter:
    """Loss and a confusion matrix, from which every other measure follows."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.counts: Tensor | None = None
        self.loss: Tensor | float = 0.0
        self.items = 0

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        assert batch.targets is not None
        counts = multiclass_confusion_matrix(
            step["output"].argmax(1), batch.targets, len(self.classes), validate_args=False
        )
        self.counts = counts if self.counts is None else self.counts + counts
        self.loss = self.loss + step["loss"].detach().float() * len(batch)
        self.items += len(batch)

    def compute(self) -> dict[str, Any]:
        assert self.counts is not None
        counts = self.counts.cpu().double()
        right, true, said = counts.diag(), counts.sum(1), counts.sum(0)
        recall, precision = right / true.clamp(min=1), right / said.clamp(min=1)
        f1 = 2 * right / (true + said).clamp(min=1)
        present = (true + said) > 0  # a class that never occurs has no F1 to average
        return {
            "loss": float(self.loss) / self.items,
            "accuracy": float(right.sum() / true.sum()),
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
        }  # fmt: skip
