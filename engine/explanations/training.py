"""The items that a run has learned from, and what its model sees in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import session
from engine.catalog import BadInput, chosen
from engine.data.batches import Data, Feed
from engine.data.splits import Rows, evenly
from engine.datasets import Dataset
from engine.explanations.subject import Subject
from engine.features import Store, quickest
from engine.models import Headed

MOST = 20_000
"""Training items that are looked through, spread evenly."""
PART = 1024
"""Items whose features are kept at a time: of what is taken back half way, the first half is."""
AT_ONCE = 32


@dataclass(frozen=True)
class Known:
    """Training items and their features."""

    raw: Data
    """As they were brought in."""
    names: tuple[str, ...]
    rows: Rows
    """(N,), of the raw items."""
    features: Tensor
    """(N, F) float32"""
    whole: bool
    """Whether it is the whole training split."""


def known(subject: Subject, most: int = MOST) -> Known:
    """The training split with its features, computed once for these weights and kept in the home's
    cache. BadInput when the data can't be had any more, or features are none."""
    if f"training {most}" not in subject.known:
        subject.known[f"training {most}"] = _computed(subject, most)
    found: Known = subject.known[f"training {most}"]
    return found


def _computed(subject: Subject, most: int) -> Known:
    setup, model = subject.setup, subject.model
    assert isinstance(model, Headed), "its card says that it provides features"
    recipe, method = setup.recipe, setup.method
    dataset: Dataset = chosen("data", recipe.data.name)(**recipe.data.settings)
    raw = dataset.open(subject.home)
    tokenizer = getattr(setup.data.items, "tokenizer", None)
    data = session.open_choice(
        recipe.data, subject.home, tokenizer, method.splits, recipe.labels, recipe.seed, setup.task,
        model.hears,
    )  # fmt: skip
    train = data.splits["train"]
    rows = np.sort(evenly(train, most)) if len(train) > most else np.sort(train)
    if not len(rows):
        raise BadInput("This run has learned from no item: there is none to be like")
    device = model.device
    numerics = quickest(model, device)
    store = Store.of(model, setup.made, data, numerics, subject.home.cache)
    found: dict[int, Tensor] = {}
    wanted = set(rows.tolist())
    for some, values in store.parts():
        for row, value in zip(some.tolist(), values, strict=True):
            if row in wanted:
                found[row] = torch.from_numpy(value)
    missing = np.array([row for row in rows.tolist() if row not in found], np.int64)
    feed = Feed(data, "train", batch_size=AT_ONCE, device=device)
    subject.expect(len(missing))
    for at in range(0, len(missing), PART):
        part = missing[at : at + PART]
        these: list[Tensor] = []
        for first in range(0, len(part), AT_ONCE):
            some = part[first : first + AT_ONCE]
            these.append(features(model, feed.inputs(some, 0, 0), numerics))
            subject.tick(len(some))
        together = torch.cat(these)
        store.add(part, together.numpy())
        found.update(zip(part.tolist(), together, strict=True))
    stored = dataset.stored(subject.home)
    names: Any = stored.names if stored else ()
    return Known(raw, names, rows, torch.stack([found[row] for row in rows.tolist()]),
                 len(rows) == len(train))  # fmt: skip


@torch.inference_mode()
def features(model: Headed, inputs: dict[str, Tensor], numerics: Any) -> Tensor:
    """(B, F) in main memory."""
    with numerics.autocast(model.device):
        return model.embed(**inputs).float().cpu().clone()
