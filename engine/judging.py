"""What a run's best weights say of each item of a split that the run knows, kept with the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch
from safetensors import SafetensorError
from torch import Tensor

from engine import checkpoint, session
from engine.catalog import BadInput, chosen
from engine.data.batches import Data, Feed
from engine.data.splits import SPLITS, Rows, Split, evenly
from engine.datasets.imported import Imported
from engine.device import is_out_of_memory, pick
from engine.home import Home, replacing
from engine.progress import Answering, progress
from engine.recipe import Recipe
from engine.session import Setup
from engine.starts import outline_of, tokenizer_in

FORMAT = 1
"""Of what is kept: another number judges anew."""
AT_ONCE = 64
"""Items that the model is asked about at a time."""
STEPS = 2**15
"""Steps of all of them together, padding included, at most."""
WIDE = 2**24
"""Numbers of logits above which they are kept in half precision."""

WINDOWS = 2000
"""Windows of a running text that are looked at, spread evenly over the split."""

Floats = npt.NDArray[np.float32]


class Empty(BadInput):
    """A split holds no item."""


@dataclass(frozen=True)
class Judged:
    """A split of N items, one by one, in the dataset's order."""

    rows: Rows
    """(N,) which items of the dataset they are."""
    errors: Floats
    """(N,) the larger the worse (`engine.tasks.Verdict`)."""
    step: int
    """Of the checkpoint that was asked."""
    classes: tuple[str, ...] = ()
    true: Rows | None = None
    """(N,) classes as they were labelled when the run was trained."""
    logits: Floats | None = None
    """(N, classes)"""
    texts: tuple[dict[str, str], ...] = ()

    @property
    def said(self) -> Rows:
        """(N,) the likeliest class of each."""
        assert self.logits is not None
        said: Rows = self.logits.argmax(1)
        return said

    def shares(self, temperature: float = 1.0) -> Floats:
        """(N, classes) probabilities: the softmax of the logits over a temperature."""
        assert self.logits is not None
        scaled = self.logits.astype(np.float32) / temperature
        scaled = np.exp(scaled - scaled.max(1, keepdims=True))
        found: Floats = scaled / scaled.sum(1, keepdims=True)
        return found


def recipe_of(home: Home, run: int) -> Recipe:
    """What a run was made of. BadInput when it isn't known any more."""
    try:
        return Recipe.from_json((home.run(run) / "recipe.json").read_text("utf-8"))
    except OSError:
        raise BadInput(f"Run {run} has left no recipe: train it again") from None


def learned_from(home: Home, run: int) -> Data:
    """The very data that a run was trained on, as its task cuts them. BadInput where they are
    gone."""
    recipe, outline = recipe_of(home, run), outline_of(run, home)
    data = chosen("data", recipe.data.name)(**recipe.data.settings)
    if isinstance(data, Imported) and not home.dataset(data.id).is_dir():
        raise BadInput(
            "The dataset that this run was trained on has been removed, so its items can't be "
            "looked at any more. The run can still be tried on new ones"
        )
    found = session.data_of(recipe, home, tokenizer_in(outline))
    if found.fingerprint != outline.get("fingerprint"):
        raise BadInput("The data aren't those that this run was trained on any more: train it "
                       "again to look at its items")  # fmt: skip
    return found


def reopened(home: Home, run: int) -> Setup:
    """A run's objects with the very data that it was trained on. BadInput where they are gone."""
    blueprint = outline_of(run, home).get("blueprint")
    return session.make(
        recipe_of(home, run), home, data=learned_from(home, run), blueprint=blueprint
    )


def judged(home: Home, run: int, split: str) -> Answering[Judged]:
    """What the run's best weights so far say of each item of a split: as it is kept, else found now
    and kept. BadInput says why it can't be."""
    if split not in SPLITS:
        raise BadInput(f"There is no split {split!r}")
    entry, _ = checkpoint.find(home.checkpoints(run), "best")
    path = home.run(run) / "judged" / f"{split}.safetensors"
    known = kept(path)
    if known is not None and known.step == entry.step:
        return known
    yield progress(0, 0)
    setup = reopened(home, run)
    if not setup.task.card.judges:
        raise BadInput(f"{setup.task.card.label} has nothing to say of single items")
    # Only now: while the data were opened, a run that trains may have found better ones.
    entry, weights = checkpoint.newest(home.checkpoints(run), "best")
    checkpoint.load_weights(setup.model, setup.model.translated(weights))
    found = yield from judge(setup, SPLITS[SPLITS.index(split)], entry.step)
    keep(path, found)
    return found


def device_of(recipe: Recipe) -> torch.device:
    """Where the run was trained, or the best there is here."""
    try:
        return pick(recipe.device)
    except BadInput:  # it was trained elsewhere
        return pick("auto")


def judge(setup: Setup, split: Split, step: int = 0) -> Answering[Judged]:
    """What the setup's model says of each item of a split, on the recipe's device."""
    device = device_of(setup.recipe)
    try:
        return (yield from _judge(setup, split, step, device))
    except (RuntimeError, MemoryError) as problem:
        if device.type == "cpu" or not is_out_of_memory(problem):
            raise
    return (yield from _judge(setup, split, step, torch.device("cpu")))  # beside a run that trains


def _judge(setup: Setup, split: Split, step: int, device: torch.device) -> Answering[Judged]:
    task, data = setup.task, setup.data
    if task.card.judges == "tokens":  # windows of a running text: some of each part say enough
        data = replace(data, splits={**data.splits, split: evenly(data.splits[split], WINDOWS)})
    model = setup.model.to(device).eval()
    feed = Feed(data, split, batch_size=AT_ONCE, batch_tokens=STEPS, device=device)
    feed.ahead = False  # it may be left half way
    rows: list[Rows] = []
    errors: list[Tensor] = []
    logits: list[Tensor] = []
    texts: list[Mapping[str, str]] = []
    done = 0
    for batch in feed.batches():
        with torch.inference_mode():
            verdict = task.judge(model, batch, data)
        assert batch.rows is not None
        rows.append(batch.rows)
        errors.append(verdict.errors.float().cpu())
        if verdict.logits is not None:
            logits.append(verdict.logits.float().cpu())
        texts += verdict.texts
        done += len(batch)
        yield progress(done, len(feed.rows))
    if not rows:
        raise Empty(f"The {split} split is empty: there is nothing to look at")
    every = np.concatenate(rows)
    order = np.argsort(every, kind="stable")
    found = torch.cat(logits).numpy()[order] if logits else None
    if found is not None and found.size > WIDE:
        found = found.astype(np.float16)
    return Judged(
        rows=every[order], errors=torch.cat(errors).numpy()[order], step=step,
        classes=task.classes(data) if found is not None else (),
        true=None if found is None or data.labels is None else data.labels[every[order]],
        logits=found, texts=tuple(dict(texts[place]) for place in order.tolist()) if texts else (),
    )  # fmt: skip


# --- on the disk ----------------------------------------------------------------------------


def keep(path: Path, found: Judged) -> None:
    """Write it whole or not at all."""
    told = {"format": FORMAT, "step": found.step, "classes": found.classes, "texts": found.texts}
    raw = np.frombuffer(json.dumps(told).encode(), np.uint8)
    arrays: dict[str, npt.NDArray[Any]] = {"rows": found.rows, "errors": found.errors, "told": raw}
    if found.logits is not None and found.true is not None:
        arrays |= {"logits": found.logits, "true": np.asarray(found.true, np.int64)}
    with replacing(path) as beside:
        safetensors.numpy.save_file(arrays, beside)


def kept(path: Path) -> Judged | None:
    """What was kept there; None when it is nothing of this format."""
    try:
        found = safetensors.numpy.load_file(path)
        told = json.loads(found["told"].tobytes())
        if told["format"] != FORMAT:
            return None
        return Judged(
            rows=found["rows"], errors=found["errors"], step=told["step"],
            classes=tuple(told["classes"]), true=found.get("true"), logits=found.get("logits"),
            texts=tuple(told["texts"]),
        )  # fmt: skip
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


# --- which of them --------------------------------------------------------------------------


def some(
    found: Judged, *, true: str | None = None, said: str | None = None, wrong: bool = False,
    apart: Mapping[str, Any] | None = None, temperature: float = 1.0,
) -> Rows:  # fmt: skip
    """Places among the items, the worst first: those of a class, those told to be of a class, those
    that were told wrong; or, `apart` by ``{"class", "threshold", "which"}``, those “missed” or
    “false” when a class is said from that probability on. BadInput when there is no such class."""
    places = np.ones(len(found.rows), bool)
    if found.true is not None:
        if true is not None:
            places &= found.true == place_of(true, found.classes)
        if said is not None:
            places &= found.said == place_of(said, found.classes)
        if wrong:
            places &= found.said != found.true
        if apart is not None:
            which = place_of(str(apart.get("class")), found.classes)
            over = found.shares(temperature)[:, which] >= float(apart.get("threshold", 0.5))
            missed = apart.get("which") == "missed"
            places &= (found.true == which) & ~over if missed else (found.true != which) & over
    order = np.argsort(-found.errors, kind="stable")
    return order[places[order]]


def place_of(name: str, classes: Sequence[str]) -> int:
    """A class's number. BadInput when there is none of that name."""
    if name not in classes:
        raise BadInput(f"There was no class {name[:80]!r} when this run was trained")
    return list(classes).index(name)


def told(found: Judged, place: int, temperature: float = 1.0) -> dict[str, Any]:
    """What is known of one item, as JSON values."""
    known: dict[str, Any] = {"row": int(found.rows[place]), "error": float(found.errors[place])}
    if found.logits is not None and found.true is not None:
        one = Judged(found.rows[:1], found.errors[:1], 0, logits=found.logits[place : place + 1])
        shares = one.shares(temperature)[0]
        said = int(shares.argmax())
        known |= {
            "true": found.classes[int(found.true[place])], "said": found.classes[said],
            "share": float(shares[said]), "own": float(shares[int(found.true[place])]),
            "wrong": said != int(found.true[place]),
        }  # fmt: skip
    if found.texts:
        known |= found.texts[place]
    if "pieces" in known:
        known["pieces"] = json.loads(known["pieces"])
    return known
