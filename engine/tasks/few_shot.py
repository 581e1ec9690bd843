"""Telling apart classes that were never seen, by a few examples: what its tasks have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.augmentation.distortions import Distortion, averaged
from engine.catalog import Advanced, BadInput, Help, Range
from engine.data.batches import Batch, Data, Feed
from engine.data.episodes import Episodes
from engine.data.items import Images
from engine.data.splits import Rows, Split, classes_apart
from engine.models import Headed
from engine.showing import pictures, texts
from engine.tasks import TAKES, Portable, Task
from engine.tasks.probing import plane, principal

OUTPUTS = 64
"""Features of the networks whose head can't be taken off."""
QUERIES = 15
"""Items of a class that are asked about in an episode of a test, at most."""
LOOKED = 150
"""Episodes of a validation."""
TESTED = 1000
"""Episodes of the final test."""
STANDARD = ((5, 1), (5, 5), (20, 1), (20, 5))
"""Ways and shots that papers report."""
SEEN = 28
"""Pixels along a side of what the baseline compares."""
MOST_SEEN = 20_000
"""Items of the test split that the baseline looks at."""
SHOWN = 5
"""Classes of a sample episode."""
DRAWN = 10
"""Classes of the view from above."""


class FewShot(Task):
    """Learns features in which an item lies near others of its class, whatever class that is.

    Trained in episodes: each asks, of some classes drawn anew, which of them the queries belong to,
    by the few examples in its support. Validation and test have classes of their own.
    """

    headline = "accuracy"
    augments = frozenset({"items", "label"})
    larger_is_better = True

    def __init__(
        self,
        *,
        way: Annotated[
            int, Range(2, 1000),
            Help("Classes of a training episode: more than in the test is harder, and better",
                 label="Ways in training", unit="classes"),
        ] = 20,
        shots: Annotated[
            int, Range(1, 50), Help("Examples of each class in a training episode's support")
        ] = 1,
        queries: Annotated[
            int, Range(1, 100),
            Help("Items of each class that a training episode asks about", unit="items"),
        ] = 5,
        episodes: Annotated[
            int, Range(1, 100_000), Help("So many make an epoch", label="Episodes an epoch")
        ] = 100,
        turns: Annotated[
            bool,
            Help("A picture turned by 90° is of another class: four times the classes to learn "
                 "from, right for letters, wrong for photographs", label="Turned classes"),
        ] = False,
        distortion: Annotated[
            float, Range(0, 3, step=0.1),
            Help("Training pictures are turned, slanted, stretched, moved and bent at random: 1 is "
                 "right for handwriting", label="Random distortion"),
        ] = 0.0,
        test_way: Annotated[
            int, Range(2, 1000), Advanced(),
            Help("Classes of the episodes that are measured", label="Measured ways",
                 unit="classes"),
        ] = 5,
        test_shots: Annotated[
            int, Range(1, 50), Advanced(),
            Help("Examples of each class in the episodes that are measured",
                 label="Measured shots"),
        ] = 1,
        views: Annotated[
            int, Range(1, 64), Advanced(),
            Help("Pictures that are measured, examples and those asked about, are looked at so "
                 "many times, each time turned, slanted, stretched and moved a little, and what is "
                 "seen is averaged: surer, and so many times slower", label="Measured views"),
        ] = 1,
        validation: Annotated[
            float, Range(0.02, 0.4, step=0.01), Advanced(),
            Help("The share of the classes kept aside to check progress",
                 label="Validation classes"),
        ] = 0.15,
        test: Annotated[
            float, Range(0.02, 0.5, step=0.01), Advanced(),
            Help("The share of the classes kept aside for the final test, where none are named",
                 label="Test classes"),
        ] = 0.3,
        tested: Annotated[
            str | None, Advanced(),
            Help("The classes of the final test by name, or groups of them (Greek), with commas "
                 "between them", label="Named test classes", empty="by the share"),
        ] = None,
        together: Annotated[
            bool, Advanced(),
            Help("Classes with names as Greek/omega are kept aside in whole groups"),
        ] = True,
        class_seed: Annotated[
            int, Range(0, 2**31 - 1), Advanced(),
            Help("Decides which classes are kept aside; keep it to compare runs"),
        ] = 0,
    ) -> None:  # fmt: skip
        self.way, self.shots, self.queries, self.episodes = way, shots, queries, episodes
        self.turns, self.test_way, self.test_shots = turns, test_way, test_shots
        self.views = views
        self.distortion = Distortion(
            turn=10 * distortion, scale=0.15 * distortion, slant=0.15 * distortion,
            shift=0.06 * distortion, bend=0.02 * distortion,
        )  # fmt: skip
        self.apart: dict[str, Any] = {
            "validation": validation, "test": test, "seed": class_seed, "together": together,
            "tested": [name for name in map(str.strip, (tested or "").split(",")) if name],
        }  # fmt: skip

    @abstractmethod
    def compare(self, model: Headed, support: Tensor, queries: Tensor) -> Tensor:
        """How well each query fits each class, (Q, W), larger is better: of support (W, shots, F)
        and queries (Q, F), as `embed` gave them."""

    def portable(self, model: Headed, data: Data) -> Portable:
        """The features by which items are compared."""
        return Portable(
            TAKES[data.items.kind], ("features",), lambda *given: (model.embed(*given),), "features"
        )

    @abstractmethod
    def loss(self, model: Headed, features: Tensor, targets: Tensor) -> Tensor:
        """How wrong features (B, F) are for items of these classes (B,)."""

    # --- what is learned from ---

    def splits(self, data: Data) -> dict[Split, Rows]:
        assert data.labels is not None
        return classes_apart(data.labels, data.classes, data.splits, **self.apart)

    def view(self, data: Data) -> Data:
        apt = sum(count > 1 for count in data.counts("train"))
        if apt < 2:
            raise BadInput(
                f"The training split has {apt} classes of two items or more, and an episode "
                "compares two: take more labels, or data with more items of each class",
                field="data",
            )
        return data

    def outputs(self, data: Data) -> int:
        return OUTPUTS

    def equip(self, model: Headed) -> None:
        model.head = nn.Identity()

    def feed(self, data: Data, split: Split, **how: Any) -> Feed:
        return Episodes(
            data, split, way=self.way, items=self.shots + self.queries, episodes=self.episodes,
            turns=self.turns, distortion=self.distortion, **how,
        )  # fmt: skip

    def step(self, model: Headed, batch: Batch) -> dict[str, Tensor]:
        """Any batch is an episode: the first items of each class are its support."""
        assert batch.targets is not None
        embed = model.embed if model.training else averaged(model.embed, self.views)
        features = embed(**batch.inputs).float()
        # Distances are differences of large numbers: half a precision leaves nothing of them.
        with torch.autocast(features.device.type, enabled=False):
            return {"loss": self.loss(model, features, batch.targets), "output": features}

    # --- what is measured ---

    def meter(self, model: Headed, data: Data, *, final: bool = False) -> EpisodeMeter:
        asked = [(self.test_way, self.test_shots)]
        if final:
            asked += [pair for pair in STANDARD if pair not in asked]
        return EpisodeMeter(self, model, asked, TESTED if final else LOOKED, final=final)

    def uncertainty(self, scores: Mapping[str, Any], items: int) -> float:
        interval: float = scores["interval"]
        return min(interval / 1.96, 0.01)

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        rows = data.splits["test"]
        assert data.labels is not None
        labels = torch.from_numpy(data.labels[rows])
        way = min(self.test_way, len(torch.unique(labels)))
        found = {"guessing": {"accuracy": 1 / way}}
        if isinstance(data.items, Images) and len(rows) <= MOST_SEEN:
            told = measured(seen(data.items, rows), labels, nearest, way, self.test_shots, TESTED)
            if told:
                found["nearest mean of the raw pixels"] = {"accuracy": told["accuracy"]}
        return found

    # --- what is shown ---

    def samples(
        self, model: Headed, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        """A view of some classes from above; an episode of one shot, with what was answered."""
        assert batch.targets is not None
        features = model.embed(**batch.inputs).float().cpu()
        targets = batch.targets.cpu()
        known, counts = torch.unique(targets, return_counts=True)
        known = known[counts > 1]
        if len(known) < 2:
            return
        some = known[torch.linspace(0, len(known) - 1, min(DRAWN, len(known))).long()]
        inside = torch.isin(targets, some)
        drawn = Batch(
            {"features": features[inside]}, torch.searchsorted(some, targets[inside]),
            rows=None if batch.rows is None else batch.rows[inside.numpy()],
        )  # fmt: skip
        called = replace(data, classes=tuple(data.classes[label] for label in some.tolist()))
        yield "features", "scatter", plane(principal(features[inside]), drawn, called)
        few = some[:: max(len(some) // SHOWN, 1)][:SHOWN]
        places = [(targets == label).nonzero()[:, 0].tolist() for label in few]
        support, asked = [own[0] for own in places], [own[-1] for own in places]
        device = batch.targets.device
        fits = self.compare(
            model, features[support][:, None].to(device), features[asked].to(device)
        ).argmax(1).tolist()  # fmt: skip
        names = [data.classes[label] for label in few.tolist()]
        if examples := pictures(batch, data, support):
            yield "episode", "images", {"shape": list(data.shape), "rows": [
                {"label": "support", "images": examples},
                {"label": "query", "images": pictures(batch, data, asked)},
                {"label": "said to be", "images": [examples[said] for said in fits]},
            ]}  # fmt: skip
        elif read := texts(batch, data, asked):
            yield "episode", "table", {
                "columns": ["query", "true", "said to be"],
                "rows": [[text, names[place], names[said]]
                         for place, (text, said) in enumerate(zip(read, fits, strict=True))],
                "wrong": [place != said for place, said in enumerate(fits)],
            }  # fmt: skip

    def show(self, model: Headed, batch: Batch, data: Data) -> list[dict[str, Any]]:
        """It knows no classes of its own: it compares with examples."""
        told = (
            "This run has learned to compare, and names no classes by itself. Start a run with the "
            "method “Prototypes of a few examples” from it, on data with some examples of each."
        )
        return [{"prompt": "", "written": told} for _ in range(len(batch))]


class EpisodeMeter:
    """Accuracy over many episodes drawn from a split's items, each of which goes through the model
    once."""

    def __init__(
        self, task: FewShot, model: Headed, asked: list[tuple[int, int]], episodes: int, *,
        final: bool,
    ) -> None:  # fmt: skip
        self.task, self.model, self.asked, self.episodes = task, model, asked, episodes
        self.final = final
        self.features: list[Tensor] = []
        self.labels: list[Tensor] = []

    def update(self, step: Mapping[str, Tensor], batch: Batch) -> None:
        assert batch.targets is not None
        self.features.append(step["output"].float())
        self.labels.append(batch.targets)

    def compute(self) -> dict[str, Any]:
        features, labels = torch.cat(self.features), torch.cat(self.labels).cpu()

        def compare(support: Tensor, queries: Tensor) -> Tensor:
            return self.task.compare(self.model, support, queries)

        (way, shots), *others = self.asked
        _, counts = torch.unique(labels, return_counts=True)
        most = int((counts > shots).sum())
        if most < 2:  # no two classes have an item beside their shots
            return {"loss": 0.0, "accuracy": 0.0, "interval": 1.0}
        # Of fewer classes than ways all are taken; what is reported besides is as papers have it,
        # or isn't there.
        asked = [(min(way, most), shots), *others]
        with torch.autocast(features.device.type, enabled=False):
            told = [measured(features, labels, compare, *pair, self.episodes) for pair in asked]
        rows = [row for row in told if row]
        first = rows[0]
        scores: dict[str, Any] = {name: first[name] for name in ("loss", "accuracy", "interval")}
        if not self.final:
            return scores
        said = "{way}-way {shots}-shot"
        for row in rows[1:]:
            name = said.format(**row).replace("-", "_").replace(" ", "_")
            scores[name] = row["accuracy"]
        what = f"{said.format(**first)}, mean over {first['episodes']} episodes of classes that "
        what += f"training never saw, {first['queries']} queries a class"
        scores["signatures"] = {
            "accuracy": what, "interval": "half of the 95 % interval of that mean, 1.96 · σ / √n",
        }  # fmt: skip
        scores["episodes"] = [
            {"way": row["way"], "shots": row["shots"], "accuracy": row["accuracy"],
             "interval": row["interval"], "episodes": row["episodes"], "queries": row["queries"]}
            for row in rows
        ]  # fmt: skip
        return scores


def measured(
    features: Tensor, labels: Tensor, compare: Any, way: int, shots: int, episodes: int
) -> dict[str, Any]:
    """Accuracy over so many episodes drawn from features (N, F) of items of these classes (N,), the
    same at each call; nothing where too few classes have so many items.

    `compare(support (W, shots, F), queries (Q, F)) -> (Q, W)`. The interval is half of the 95 % one
    of the mean over episodes; the loss is the cross-entropy of what `compare` gives.
    """
    members = [np.flatnonzero(labels.numpy() == label) for label in torch.unique(labels).tolist()]
    members = [rows for rows in members if len(rows) > shots]
    if len(members) < way:
        return {}
    asked = min(min(map(len, members)) - shots, QUERIES)
    rng = np.random.default_rng((way, shots))
    right, losses = [], []
    true = torch.arange(way, device=features.device).repeat_interleave(asked)
    for _ in range(episodes):
        drawn = np.stack([
            rng.choice(members[i], shots + asked, replace=False)
            for i in rng.choice(len(members), way, replace=False).tolist()
        ])  # fmt: skip
        items = features[torch.from_numpy(drawn).to(features.device)]
        fits = compare(items[:, :shots], items[:, shots:].flatten(0, 1))
        right.append((fits.argmax(1) == true).float().mean())
        losses.append(F.cross_entropy(fits, true))
    shares = torch.stack(right).cpu().double()
    return {
        "way": way, "shots": shots, "episodes": episodes, "queries": asked,
        "accuracy": float(shares.mean()), "loss": float(torch.stack(losses).mean()),
        "interval": 1.96 * float(shares.std()) / math.sqrt(episodes) if episodes > 1 else 1.0,
    }  # fmt: skip


def nearest(support: Tensor, queries: Tensor) -> Tensor:
    """Minus the squared distance of each query (Q, F) to each class's mean: (Q, W), but for a
    number of each query's own, which changes nothing."""
    means = support.mean(1)
    return 2 * queries @ means.T - means.square().sum(1)


def seen(items: Images, rows: Rows) -> Tensor:
    """Pictures as a row of pixels each, (N, F), made smaller where they are large."""
    parts = []
    for at in range(0, len(rows), 512):
        images = items.gather(rows[at : at + 512], torch.device("cpu"), None)["images"]
        height, width = (min(side, SEEN) for side in images.shape[2:])
        parts.append(F.adaptive_avg_pool2d(images, (height, width)).flatten(1))
    return torch.cat(parts)
