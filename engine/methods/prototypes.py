"""Telling classes apart by one or a few examples of each."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from engine.augmentation.distortions import averaged
from engine.catalog import Advanced, BadInput, Help, Range
from engine.data.batches import Data
from engine.data.splits import Rows
from engine.events import Event, Notice
from engine.loop import Wish
from engine.methods import Bench
from engine.methods.at_once import AtOnce
from engine.methods.linear_probe import with_head
from engine.models import Model
from engine.tasks import Task

NAMED = 5
"""Classes that a sentence names."""
NEVER = -1e4
"""By how much the logit of a class without an example lies below that of one with some."""

Distance = Literal["Euclidean", "cosine"]


class Prototypes(AtOnce, label="Prototypes of a few examples", fits={"logits"}, adapts=True,
                 rank=30):  # fmt: skip
    """Learns classes from one or a few examples of each, at once: the nearest mean wins.

    The features of a class's examples are averaged into its prototype, and an item belongs to the
    class whose prototype its own features are nearest to (Snell et al. 2017, equation 8; for the
    cosine, Qi et al. 2018). Both are one linear layer over the features, which stay as the start
    has them.
    """

    def __init__(
        self,
        *,
        distance: Annotated[
            Distance,
            Help("“cosine” looks only at the direction of features: often better over published "
                 "weights; “Euclidean” suits networks that were trained to compare"),
        ] = "Euclidean",
        views: Annotated[
            int, Range(1, 64), Advanced(),
            Help("Pictures, examples and those to be told, are looked at so many times, each time "
                 "turned, slanted, stretched and moved a little, and what is seen is averaged: "
                 "surer, and so many times slower", label="Views of a picture"),
        ] = 1,
        sharpness: Annotated[
            float, Range(0.1, 1000, log=True), Advanced(),
            Help("How sure the answers are; which class is named does not depend on it"),
        ] = 10.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.distance, self.sharpness = distance, sharpness
        self.views = views

    def equip(self, model: Model) -> None:
        headed = with_head(model)
        if not isinstance(headed.head, nn.Linear) or headed.head.bias is None:
            headed.head = nn.Linear(headed.feature_count(), headed.outputs)
        if self.views > 1:
            headed.embed = averaged(headed.embed, self.views)

    def make(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, Wish | None]:
        assert data.labels is not None
        model = with_head(model)
        found: list[Tensor] = []
        seen: list[Rows] = []
        for batch in self.judging(data, "train", bench.device).batches():
            assert batch.rows is not None
            found.append(model.embed(**batch.inputs).float())
            seen.append(data.labels[batch.rows])
            if (wish := bench.wishes()) in ("cancel", "pause"):
                return wish
        features, labels = torch.cat(found), torch.from_numpy(np.concatenate(seen))
        weight, bias = nearest_mean(
            features, labels, len(data.classes), distance=self.distance,
            sharpness=self.sharpness,
        )  # fmt: skip
        assert isinstance(model.head, nn.Linear)
        model.head.weight.copy_(weight)
        model.head.bias.copy_(bias)
        yield Notice(f"Made from {len(labels):,} examples of {len(set(labels.tolist()))} classes")
        if unknown := [data.classes[i] for i in sorted({*range(len(data.classes))}
                                                       - {*labels.tolist()})]:  # fmt: skip
            named = ", ".join(unknown[:NAMED]) + " …" * (len(unknown) > NAMED)
            yield Notice(f"{len(unknown)} classes have no training item and are never said: "
                         f"{named}", "warning")  # fmt: skip
        return None


def nearest_mean(
    features: Tensor, labels: Tensor, classes: int, *, distance: Distance = "Euclidean",
    sharpness: float = 10.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Weight (classes, F) and bias (classes,) of the linear layer that finds the nearest mean.

    ``−‖f − c‖² = 2c·f − ‖c‖² − ‖f‖²``, whose last term is the same for every class. So is what the
    means have in common: it is taken off, or where features are far from zero, rounding would
    decide. Logits are in units of the mean squared distance between two means, times `sharpness`.
    With the cosine, means are those of features of length one, and lengths of new features are
    taken for the mean length. `features` (N, F), `labels` (N,), on any device; the result is on the
    CPU. BadInput where the features can't tell anything.
    """
    # On a CPU: not every device has float64.
    features, labels = features.cpu().double(), labels.cpu()
    lengths = features.norm(dim=1).clamp(min=1e-12)
    if distance == "cosine":
        features = features / lengths[:, None]
    counts = torch.bincount(labels, minlength=classes)
    means = features.new_zeros(classes, features.shape[1]).index_add_(0, labels, features)
    means = means / counts.clamp(min=1)[:, None]
    if distance == "cosine":
        means = means / means.norm(dim=1, keepdim=True).clamp(min=1e-12)
    known = counts > 0
    number = int(known.sum())
    middle = means[known].mean(0)
    aside = means - middle
    # Σᵢⱼ‖cᵢ − cⱼ‖², without the differences of all pairs.
    apart = 2 * number * aside[known].square().sum() / max(number * (number - 1), 1)
    if number > 1 and not apart > 1e-12 * means.square().sum(1).max():
        raise BadInput(
            "The start sees no difference between the examples of these classes: choose another "
            "start", field="start",
        )  # fmt: skip
    scale = sharpness / apart if number > 1 else torch.ones_like(apart)
    weight, bias = 2 * scale * aside, -scale * (aside * (means + middle)).sum(1)
    if distance == "cosine":
        weight, bias = weight / lengths.mean(), torch.zeros_like(bias)
    # Whatever an item's features are, the class that lends its place is said rather than these.
    lends = int(counts.argmax())
    weight[~known], bias[~known] = weight[lends].clone(), bias[lends] + NEVER
    return weight.float(), bias.float()
