"""What features are worth, measured beside the training that makes them without labels.

A task that learns without labels inherits from `Probed`, says with `features` what it has made of
a batch, and wraps its meter: ``return self.probed(MyMeter(), model, data, final=final)``. Labels
are read here, to measure; they never reach a loss, nor the choice of the weights that are kept.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Advanced, Help
from engine.data.batches import Batch, Data, Feed
from engine.data.splits import Rows, Split
from engine.tasks import TAKES, Meter, Portable, Task

ProbeName = Literal["none", "k-NN", "linear"]
ViewName = Literal["PCA", "t-SNE"]

KNOWN = 2000
"""Labelled training items that a probe knows, at most."""
FEWEST = 500
"""Of a small training split it knows a quarter, or so many: a probe is to be cheap."""
ASKED: dict[Split, int] = {"train": 1000, "validation": 1000, "test": 10_000}
"""Items of a split that a probe is asked about, at most."""
AT_ONCE = 256
"""Items whose features are computed at a time."""
NEIGHBOURS = 20
TEMPERATURE = 0.07
"""Of the weights of neighbours (Wu et al. 2018, section 3.4)."""
PENALTIES = np.logspace(-2, 4, 7)
"""Of the linear probe, from which each output's own is chosen."""
SMALL = 32
"""Pictures are compared as they are with sides of so many pixels, at most."""


class Probed(Task):
    """A task without labels whose features are looked at: what they are worth, how they lie.

    Where the data have labels, a probe tells the classes of a part of a split apart, from the
    features of a part of the training split: its accuracy is a measure beside the loss, and the
    same probe on the items themselves is its baseline.
    """

    points: ClassVar[str] = "embeddings"
    """What its features are called."""
    untouched: ClassVar[str] = "raw pixels"
    """What `raw` gives."""

    def __init__(
        self,
        *,
        probe: Annotated[
            ProbeName,
            Help("After each validation, how well the features tell classes apart, where the data "
                 "have any: by the classes of the nearest neighbours, or by a linear layer. "
                 "Labels only measure, nothing learns from them"),
        ] = "k-NN",
        view: Annotated[
            ViewName, Advanced(),
            Help("How features are drawn as points: by their two principal axes; “t-SNE” adds at "
                 "the end of the run a map that keeps neighbours together", label="Map"),
        ] = "t-SNE",
    ) -> None:  # fmt: skip
        self.probe = PROBES[probe]
        self.drawn_at_end = view == "t-SNE"
        self.beside: dict[str, float] | None = None
        """What is reached on the validation split without the features."""

    @abstractmethod
    def features(self, model: Any, batch: Batch) -> Tensor:
        """(B, F) of a batch, as the model sees it now."""

    def raw(self, batch: Batch) -> Tensor:
        """(B, F) of a batch as it is, which features should do better than."""
        images = batch.inputs["images"]
        height, width = images.shape[2:]
        return F.adaptive_avg_pool2d(images, (min(height, SMALL), min(width, SMALL))).flatten(1)

    def whole(self, data: Data) -> Data:
        """The items that are looked at, with their labels."""
        return data

    def probed(self, meter: Meter, model: Any, data: Data, *, final: bool = False) -> Meter:
        """A task's own meter, which measures with the probe too where there are labels."""
        whole = self.whole(data)
        if self.probe is None or not labelled(whole):
            return meter
        split: Split = "test" if final else "validation"
        return ProbedMeter(self, self.probe, meter, model, whole, split)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        whole = self.whole(data)
        if self.probe is None or not labelled(whole) or not len(whole.splits["test"]):
            return {}
        found = self.without_features(self.probe, whole, "test")
        return {name: {self.probe.measure: share} for name, share in found.items()}

    def without_features(self, probe: Probe, data: Data, split: Split) -> dict[str, float]:
        """The accuracies of the probe on items as they are, and of the most frequent class."""
        assert data.labels is not None
        known, asked = (data.labels[rows] for rows in parts(data, split))
        majority = np.bincount(known, minlength=len(data.classes)).argmax()
        return {
            self.untouched: probe.accuracy(self.raw, data, split, torch.device("cpu")),
            "always the most frequent class": float((asked == majority).mean()),
        }

    def samples(
        self, model: Any, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        """The features on their two principal axes, and the probe's accuracy beside what it
        reaches without them."""
        yield self.points, "scatter", plane(principal(self.features(model, batch)), batch, data)
        if self.probe is None or self.probe.measure not in scores:
            return
        if self.beside is None:
            self.beside = self.without_features(self.probe, data, "validation")
        reached = {f"these {self.points}": scores[self.probe.measure], **self.beside}
        yield "probe", "table", {
            "columns": ["Classes are told from", "Accuracy"],
            "rows": [[name, f"{share:.1%}"] for name, share in reached.items()],
            "wrong": None,
        }  # fmt: skip

    def portable(self, model: Any, data: Data) -> Portable:
        """Its features, where a task has nothing better to give."""
        takes = TAKES[data.items.kind]

        def of(*given: Tensor) -> tuple[Tensor, ...]:
            return (self.features(model, Batch(dict(zip(takes, given, strict=True)))),)

        return Portable(takes, ("features",), of, "features")

    def closing(self, model: Any, batch: Batch, data: Data) -> Iterator[tuple[str, str, Any]]:
        if self.drawn_at_end:
            places = neighbourly(self.features(model, batch))
            yield f"{self.points} by t-SNE", "scatter", plane(places, batch, data)


@dataclass(frozen=True)
class Probe:
    """A simple way to tell classes from features, that shows what these are worth."""

    measure: str
    tell: Callable[[Tensor, Tensor, Tensor, int], Tensor]
    """From features (N, F) and classes (N,) of the known, to the classes (M,) of features (M, F);
    the last is how many classes there are."""

    def accuracy(
        self, see: Callable[[Batch], Tensor], data: Data, split: Split, device: torch.device
    ) -> float:
        """The share of a split's part whose classes are told right from what is seen in it."""
        known, asked = parts(data, split)
        assert data.labels is not None
        feed = Feed(data, "train", batch_size=AT_ONCE, device=device)
        theirs, ours = (
            torch.cat([see(feed.batch(rows[at : at + AT_ONCE])).float()
                       for at in range(0, len(rows), AT_ONCE)])
            for rows in (known, asked)
        )  # fmt: skip
        classes = torch.from_numpy(data.labels[known]).to(theirs.device)
        with torch.autocast(device.type, enabled=False):
            told = self.tell(theirs, classes, ours, len(data.classes)).cpu().numpy()
        return float((told == data.labels[asked]).mean())


def nearest(theirs: Tensor, classes: Tensor, ours: Tensor, count: int) -> Tensor:
    """The class with the most weight among the nearest neighbours by the cosine (Wu et al. 2018).

    A neighbour of cosine c weighs exp(c / 0.07).
    """
    cosines = F.normalize(ours) @ F.normalize(theirs).T
    near, which = cosines.topk(min(NEIGHBOURS, len(theirs)), 1)
    # Less the nearest's, which changes no order and keeps exp from overflowing.
    weights = ((near - near[:, :1]) / TEMPERATURE).exp()
    votes = torch.zeros(len(ours), count, device=ours.device)
    return votes.scatter_add_(1, classes[which], weights).argmax(1)


def linear(theirs: Tensor, classes: Tensor, ours: Tensor, count: int) -> Tensor:
    """What a linear layer tells: ridge regression to each class, of standardized features.

    The penalty is chosen among seven by leaving out each of the known items in turn, for which
    there is a formula (Golub et al. 1979).
    """
    from sklearn.linear_model import RidgeClassifierCV  # takes a second: only when it is chosen

    if bool((classes == classes[0]).all()):
        return classes[:1].expand(len(ours))
    spread, mean = torch.std_mean(theirs, 0, correction=0)
    spread = torch.where(spread > 1e-6, spread, 1.0)
    known, asked = (((x - mean) / spread).cpu().double().numpy() for x in (theirs, ours))
    layer = RidgeClassifierCV(alphas=PENALTIES).fit(known, classes.cpu().numpy())
    return torch.from_numpy(layer.predict(asked))


PROBES: dict[ProbeName, Probe | None] = {
    "none": None,
    "k-NN": Probe("knn_accuracy", nearest),
    "linear": Probe("probe_accuracy", linear),
}


class ProbedMeter:
    """A meter of a split, and what a probe makes of the features in it."""

    def __init__(
        self, task: Probed, probe: Probe, meter: Meter, model: Any, data: Data, split: Split
    ) -> None:
        self.task, self.probe, self.meter = task, probe, meter
        self.model, self.data, self.split = model, data, split
        self.accuracy: float | None = None

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        if self.accuracy is None:  # here, where the precision is that of training
            device = next(iter(batch.inputs.values())).device
            self.accuracy = self.probe.accuracy(
                lambda batch: self.task.features(self.model, batch), self.data, self.split, device
            )
        self.meter.update(step, batch)

    def compute(self) -> dict[str, Any]:
        return {**self.meter.compute(), self.probe.measure: self.accuracy}


def labelled(data: Data) -> bool:
    """Whether there are classes to be told apart."""
    return data.labels is not None and len(data.classes) > 1


def parts(data: Data, split: Split) -> tuple[Rows, Rows]:
    """The training items that a probe knows, and those that it is asked about: of every run on the
    same data the same ones."""
    train = data.splits["train"]
    known = some(train, min(KNOWN, max(len(train) // 4, FEWEST)))
    return known, some(data.splits[split], ASKED[split])


def some(rows: Rows, most: int) -> Rows:
    """At most so many of these rows, in order, always the same ones."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), most, replace=False))]


# --- points in a plane ----------------------------------------------------------------------


def principal(features: Tensor) -> Tensor:
    """Places (B, 2) of features (B, F) on their two principal axes.

    The sign of each axis is fixed, so that epochs can be compared.
    """
    features = features.cpu().double()
    centred = features - features.mean(0)
    axes = torch.linalg.svd(centred, full_matrices=False)[2][:2]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    places = centred @ axes.T
    return F.pad(places, (0, 2 - places.shape[1]))  # a single feature has one axis


def neighbourly(features: Tensor) -> Tensor:
    """Places (B, 2) of features (B, F) by t-SNE (van der Maaten & Hinton 2008), which keeps near
    what is near; how far groups lie from each other says nothing."""
    from sklearn.manifold import TSNE  # takes a second: only when it is wanted

    features = features.float().cpu()
    if len(features) < 4:  # nobody has neighbours
        return principal(features)
    # As many neighbours as the paper suggests, fewer where there are few points.
    perplexity = min(30.0, (len(features) - 1) / 3)
    start = principal(features)
    start = start / start.std(0).clamp(min=1e-9) * 1e-4
    told = TSNE(init=start.float().numpy(), perplexity=perplexity, random_state=0)
    return torch.from_numpy(told.fit_transform(features.numpy()))


def plane(places: Tensor, batch: Batch, data: Data) -> dict[str, Any]:
    """Points as `engine.events.Sample` takes a scatter, coloured by class where there are any."""
    known = batch.targets is not None and bool(data.classes)
    x, y = (axis.round(decimals=4).tolist() for axis in places.cpu().double().unbind(1))
    return {
        "x": x, "y": y,
        "label": batch.targets.tolist() if known and batch.targets is not None
        else [None] * len(x),
        "classes": list(data.classes),
        # So that a point leads to its item.
        **({} if batch.rows is None else {"rows": batch.rows.tolist()}),
    }  # fmt: skip
