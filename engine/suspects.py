"""Which labels look wrong: confident learning from predictions on items held out of training."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from engine import checkpoint, judging, session
from engine.catalog import BadInput, chosen
from engine.checkpoint import Checkpoints
from engine.data.batches import Data, Feed
from engine.data.splits import SPLITS, Rows
from engine.datasets import Dataset
from engine.events import Progress
from engine.home import Home, replacing
from engine.judging import AT_ONCE, Floats, Judged, device_of, judge, reopened
from engine.judging import STEPS as MOST_STEPS
from engine.loop import Diverged
from engine.methods import Bench
from engine.models import Headed
from engine.progress import Answering, progress
from engine.recipe import Recipe
from engine.session import Setup
from engine.starts import Start

FOLDS = 5
FEWEST = 2
"""Items of a class, below which nothing can be learned of it without one."""
LARGE = 2**24
"""Numbers of features, above which only so many principal components of them are kept, so that a
head is learned in seconds."""
WIDEST = 128
HELD = 10
"""Every so many-th of the items that a fold learns from chooses its best weights."""

Way = Literal["head", "whole"]
"""What is trained for each fold: a linear layer over what the run's own network sees of items, in
seconds; or the run's whole recipe anew, which takes as long as the run each time and has seen no
label of the items that it judges."""


@dataclass(frozen=True)
class Suspects:
    """Items whose label looks wrong, the surest first."""

    rows: Rows
    """(K,) which items of the dataset."""
    given: Rows
    """(K,) the class that each is labelled with."""
    suggested: Rows
    """(K,) the class that it looks like."""
    sure: Floats
    """(K,) the probability of that class when the item was held out."""
    estimated: float
    """How many labels are wrong in all, by the confident joint."""


def confident_joint(shares: Floats, labels: Rows) -> Rows:
    """How many items are labelled i and confidently of class j: (classes, classes).

    An item counts for the likeliest class among those whose probability is at least what it is on
    average over the items labelled so (Northcutt et al. 2021, equations 1 and 2). `shares` are
    out-of-fold probabilities (N, classes), `labels` given classes (N,).
    """
    classes = shares.shape[1]
    confident = classed(shares, labels)
    known = confident >= 0
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[known], confident[known]), 1)
    return joint


def classed(shares: Floats, labels: Rows) -> Rows:
    """The class that each item is confidently of (N,), −1 where it is of none."""
    classes = shares.shape[1]
    # Of a class with one item, whoever was asked about that item had never seen the class: what was
    # said of it is no measure for others.
    least = np.array([
        shares[labels == one, one].mean() if (labels == one).sum() >= FEWEST else np.inf
        for one in range(classes)
    ])  # fmt: skip
    # A mean of equal numbers may round to a little more than they are.
    over = shares >= least - 1e-6
    found: Rows = np.where(over.any(1), np.where(over, shares, -1.0).argmax(1), -1)
    return found


def suspected(rows: Rows, shares: Floats, labels: Rows) -> Suspects:
    """The items off the diagonal of the confident joint, ranked by how much likelier the suggested
    class is than the given one (Northcutt et al. 2021, section 3.2); those of which the given class
    is as likely as that are only counted."""
    confident = classed(shares, labels)
    places = np.flatnonzero((confident >= 0) & (confident != labels))
    margin = shares[places, confident[places]] - shares[places, labels[places]]
    order = np.argsort(-margin, kind="stable")
    places = places[order[margin[order] > 0]]
    joint = confident_joint(shares, labels).astype(np.float64)
    counts = np.bincount(labels, minlength=shares.shape[1])
    # Each row made to add up to the items that are labelled so (equation 3).
    sums = joint.sum(1, keepdims=True)
    joint = np.divide(joint, sums, out=np.zeros_like(joint), where=sums > 0) * counts[:, None]
    return Suspects(
        rows=rows[places], given=labels[places], suggested=confident[places],
        sure=shares[places, confident[places]].astype(np.float32),
        estimated=float(joint.sum() - np.trace(joint)),
    )  # fmt: skip


# --- predictions on what was held out -------------------------------------------------------


def held_out(home: Home, run: int, way: Way, folds: int = FOLDS) -> Answering[Judged]:
    """Out-of-fold probabilities of every labelled item of the run's data, as `Judged` whose logits
    are their logarithms: as they are kept, else found now and kept, fold by fold.

    Left half way, it goes on from the last whole fold. BadInput says why it can't be.
    """
    entry, _ = checkpoint.find(home.checkpoints(run), "best")
    folder = home.run(run) / "suspects" / f"{way}-{folds}"
    if (known := _kept(folder / "all.safetensors", entry.step)) is not None:
        return known
    yield progress(0, 0)
    setup = reopened(home, run)
    data = setup.data
    if setup.task.card.judges != "classes" or data.labels is None:
        raise BadInput("Wrong labels can be suspected only where a run learned classes from them")
    rows = np.sort(np.concatenate([data.splits[split] for split in SPLITS]))
    rows = rows[data.labels[rows] >= 0]
    # What a model has made of an item would tell its label to the fold that holds it out.
    dataset: Dataset = chosen("data", setup.recipe.data.name)(**setup.recipe.data.settings)
    if (stored := dataset.stored(home)) is not None:
        rows = rows[~stored.synthetic[rows]]
    labels = data.labels[rows]
    common = int(np.bincount(labels).max(initial=0))
    if len(np.unique(labels)) < FEWEST or common < folds:
        raise BadInput(f"There are too few items for {folds} folds: two classes are needed, and "
                       f"{folds} items of one")  # fmt: skip
    shares = yield from WAYS[way](setup, home, run, rows, labels, folds, folder, entry.step)
    found = Judged(
        rows=rows, errors=(1 - shares[np.arange(len(rows)), labels]).astype(np.float32),
        step=entry.step, classes=data.classes, true=labels,
        logits=np.log(np.maximum(shares, 1e-9)).astype(np.float32),
    )  # fmt: skip
    judging.keep(folder / "all.safetensors", found)
    for part in folder.glob("fold-*"):
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    return found


def divided(labels: Rows, folds: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Places to learn from and places held out, each place held out once, every class in the same
    proportion as far as it has items enough."""
    from sklearn.model_selection import StratifiedKFold  # takes a second: only when it is asked

    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    counts = np.bincount(labels)
    # Of classes with fewer items than folds, scikit-learn warns; they are dealt out all the same.
    rare = np.isin(labels, np.flatnonzero(counts < folds))
    coded = np.where(rare, len(counts), labels)
    if 0 < rare.sum() < folds:
        coded = np.where(rare, counts.argmax(), labels)
    yield from parts.split(np.zeros(len(labels)), coded)


def by_heads(
    setup: Setup, home: Home, run: int, rows: Rows, labels: Rows, folds: int, folder: Path,
    step: int,
) -> Answering[Floats]:  # fmt: skip
    """Probabilities (N, classes) of logistic regressions over the run's own features, each item's
    by the one that hasn't learned from it."""
    from sklearn.decomposition import PCA  # seconds: only when they are wanted
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    model = setup.model
    if not isinstance(model, Headed):
        raise BadInput(f"{setup.task.card.label} with this model has no features below a last "
                       "layer: train the folds whole")  # fmt: skip
    _, weights = checkpoint.newest(home.checkpoints(run), "best")
    checkpoint.load_weights(model, model.translated(weights))
    features = yield from _features(setup, model, rows)
    if features.size > LARGE and features.shape[1] > WIDEST:
        features = PCA(WIDEST, svd_solver="randomized", random_state=0).fit_transform(features)
    shares = np.zeros((len(rows), len(setup.data.classes)), np.float32)
    for number, (learned, held) in enumerate(divided(labels, folds, setup.recipe.seed), 1):
        if len(known := np.unique(labels[learned])) < FEWEST:
            shares[held, known[0]] = 1.0
            continue
        scale = StandardScaler().fit(features[learned])
        layer = LogisticRegression(C=0.1, max_iter=300)
        with warnings.catch_warnings():
            # Not quite settled after so many steps, it tells classes apart all the same.
            warnings.simplefilter("ignore", ConvergenceWarning)
            layer.fit(scale.transform(features[learned]), labels[learned])
        shares[np.ix_(held, layer.classes_)] = layer.predict_proba(scale.transform(features[held]))
        yield progress(number, folds)
    return shares


def _features(setup: Setup, model: Headed, rows: Rows) -> Answering[Floats]:
    """(N, F) of these rows."""
    device = device_of(setup.recipe)
    model.to(device).eval()
    data = _only(setup.data, rows)
    feed = Feed(data, "test", batch_size=AT_ONCE, batch_tokens=MOST_STEPS, device=device)
    feed.ahead = False
    found: Floats | None = None
    done = 0
    for batch in feed.batches():
        assert batch.rows is not None
        with torch.inference_mode():
            seen = model.embed(**batch.inputs).float().flatten(1).cpu().numpy()
        if found is None:
            found = np.zeros((len(rows), seen.shape[1]), np.float32)
        found[np.searchsorted(rows, batch.rows)] = seen
        done += len(batch)
        yield progress(done, len(rows))
    assert found is not None
    return found


def by_recipes(
    setup: Setup, home: Home, run: int, rows: Rows, labels: Rows, folds: int, folder: Path,
    step: int,
) -> Answering[Floats]:  # fmt: skip
    """Probabilities (N, classes) of the run's recipe trained anew without each fold."""
    shares = np.zeros((len(rows), len(setup.data.classes)), np.float32)
    start = beginning(setup.recipe, home)
    if start is None and setup.method.card.adapts:
        raise BadInput(
            f"{setup.method.card.label} needs weights to start from, and this run's have learned "
            "from these very labels: look by the quick way, or train a run anew"
        )
    if setup.recipe.teacher is not None:
        raise BadInput(
            f"{setup.method.card.label} learns from a run that has seen these very labels: look by "
            "the quick way, or train a run anew"
        )
    for number, (learned, held) in enumerate(divided(labels, folds, setup.recipe.seed)):
        path = folder / f"fold-{number}.safetensors"
        found = _kept(path, step)
        if found is None:
            chooses = learned[::HELD]
            splits = {
                "train": rows[np.setdiff1d(learned, chooses)], "validation": rows[chooses],
                "test": rows[held],
            }  # fmt: skip
            data = replace(setup.data, splits=splits)  # type: ignore[arg-type]
            found = yield from _trained(
                setup, data, start, home, folder / f"fold-{number}", number, folds
            )
            judging.keep(path, replace(found, step=step))
        shares[held] = found.shares()
        yield progress(number + 1, folds)
    return shares


def beginning(recipe: Recipe, home: Home) -> Start | None:
    """The weights that folds start from: those that the run started from, unless a run before it
    has learned from the labels of the same data; then what the first that did had started from."""
    seen = earlier = recipe
    while earlier.parent is not None:
        try:
            earlier = judging.recipe_of(home, earlier.parent)
        except BadInput:  # it has been removed
            break
        if "label" in chosen("task", earlier.task.name).card.needs and _alike(earlier, recipe):
            seen = earlier
    return Start.of(seen, home)


def _alike(one: Recipe, other: Recipe) -> bool:
    """Whether they learn from the same data, in whatever version."""
    return one.data.name == other.data.name and (
        one.data.settings.get("id") == other.data.settings.get("id")
    )


def _trained(
    setup: Setup, data: Data, start: Start | None, home: Home, folder: Path, number: int, folds: int
) -> Answering[Judged]:
    """What the recipe's model, trained on the data's training split, says of its test split."""
    shutil.rmtree(folder, ignore_errors=True)
    fresh = session.make(setup.recipe, home, data=data, blueprint=setup.blueprint)
    fresh.fit_inputs()
    if start is not None:
        session.begin(fresh, start)
    fresh.task.prepare(data)
    with closing(Checkpoints(folder)) as kept:
        bench = Bench(
            device=device_of(setup.recipe), seed=setup.recipe.seed, kept=kept,
            wishes=lambda: None, home=home, made=[*setup.made, number, folds],
        )  # fmt: skip
        try:
            for event in fresh.method.run(fresh.model, fresh.task, data, bench):
                if isinstance(event, Progress) and event.steps:
                    yield progress(number * event.steps + event.step, folds * event.steps)
        except Diverged as problem:
            raise BadInput(
                f"Without part {number + 1} of the items: {problem}. Train the run anew with a "
                "lower learning rate, or look by the quick way"
            ) from None
        kept.flush()
    _, best = checkpoint.find(folder, "best")
    checkpoint.load_weights(fresh.model, fresh.model.translated(checkpoint.weights(best)))
    found = yield from judge(fresh, "test")
    shutil.rmtree(folder, ignore_errors=True)
    return found


WAYS = {"head": by_heads, "whole": by_recipes}


def _only(data: Data, rows: Rows) -> Data:
    """The same data with these rows as its test split."""
    empty = np.zeros(0, np.int64)
    return replace(data, splits={"train": empty, "validation": empty, "test": rows})


# --- what is kept with a run ----------------------------------------------------------------


def _kept(path: Path, step: int) -> Judged | None:
    """What was found for the same checkpoint."""
    found = judging.kept(path)
    return found if found is not None and found.step == step else None


def approved(home: Home, run: int) -> list[int]:
    """Items whose labels a person has looked at and keeps."""
    try:
        found = json.loads((home.run(run) / "suspects" / "kept.json").read_text("utf-8"))
        return [int(row) for row in found["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def approve(home: Home, run: int, rows: Sequence[int], *, back: bool = False) -> list[int]:
    """Keep the labels of these items, or suspect them again; all that are kept."""
    known = set(approved(home, run))
    known = known - set(rows) if back else known | set(rows)
    with replacing(home.run(run) / "suspects" / "kept.json") as beside:
        beside.write_text(json.dumps({"rows": sorted(known)}), encoding="utf-8")
    return sorted(known)


def told(found: Suspects, place: int, classes: Sequence[str]) -> dict[str, Any]:
    """One suspect as JSON values."""
    return {
        "row": int(found.rows[place]), "given": classes[int(found.given[place])],
        "suggested": classes[int(found.suggested[place])], "sure": float(found.sure[place]),
    }  # fmt: skip
