"""What augmentation makes of a dataset's items, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Catalog, chosen
from engine.data.arrays import Ragged
from engine.data.batches import Batch, Data, Feed
from engine.data.items import Images, Items, Sequences, Texts, Waves
from engine.data.recorded import Recorded
from engine.data.splits import SPLITS, Rows
from engine.data.tokens import Tokens
from engine.datasets import Dataset
from engine.home import Home
from engine.look import varied
from engine.pictures import png
from engine.recipe import Recipe
from engine.showing import spectrum

CPU = torch.device("cpu")
MOST = 12
"""Items and draws that are shown."""
LONGEST = 60
"""Seconds of recordings, thousands of steps, of an item that is varied to be shown."""
LOOKED_AT, EACH = 20, 30
"""Classes whose pictures are mirrored to see whether their classes stay, and pictures of each."""
SIDE = 16
"""Pixels to which those are made smaller."""
AT_ONCE = 16
"""Pictures that are made smaller together."""
NOTED = 0.1
"""Of the pictures that change their class."""


def preview(
    recipe: Recipe, home: Home, catalog: Catalog, *, items: int = 4, draws: int = 3, salt: int = 0
) -> dict[str, Any]:
    """Some training items as they are, and as they may be seen in training, drawn several times.

    ``{"kind", "items": [{"label", "before", "draws": [{"label", …}]}], "mirror"}``; `salt` draws
    others. `mirror` says how many pictures are nearest to one of their class, as they are and
    mirrored, where that is much less; None elsewhere. No item where there is nothing to vary.
    BadInput when the dataset can't be opened.
    """
    cards = recipe.cards(catalog)
    task = chosen("task", recipe.task.name)
    dataset: Dataset = chosen("data", recipe.data.name)(**recipe.data.settings)
    data = dataset.open(home)
    rows = np.array(varied(data, min(items, MOST)), np.int64)
    kind = data.items.kind
    fields = [f for f in cards["data"].fields if f.augments and f.matters(cards)]
    if not len(rows) or not fields or "items" not in task.augments:
        return {"kind": kind, "items": [], "mirror": None}
    some = Data(
        items=few(data.items, rows), labels=None if data.labels is None else data.labels[rows],
        classes=data.classes, splits={split: np.arange(len(rows)) for split in SPLITS},
        fingerprint="a few",
    )  # fmt: skip
    with TemporaryDirectory(dir=home.tmp) as beside:
        # What is learned of so few texts is not for the cache.
        fed = dataset.ready(some, Home.find(Path(beside)), rate=cards["model"].hears)
        every = np.arange(len(rows))
        plain = Feed(fed, "train", batch_size=len(rows), device=CPU).batch(every)
        feed = Feed(fed, "train", batch_size=len(rows), device=CPU, seed=recipe.seed, augment=True,
                    mix="shares" in task.augments)  # fmt: skip
        drawn = [feed.batch(every, salt, number) for number in range(min(draws, MOST))]
    return {
        "kind": kind,
        "items": [
            {"row": int(row), "label": labels(plain, place, fed.classes),
             "before": seen(plain, fed, place, plain),
             "draws": [{"label": labels(batch, place, fed.classes),
                        **seen(batch, fed, place, plain)} for batch in drawn]}
            for place, row in enumerate(rows)
        ],
        "mirror": mirrored(data) if isinstance(data.items, Images) and
        data.items.variation.flip else None,
    }  # fmt: skip


def few(items: Items, rows: Rows) -> Items:
    """Those items alone, in memory, cut where they are very long."""
    match items:
        case Images():
            return replace(items, pixels=items.pixels[rows])
        case Sequences():
            return replace(items, values=cut(items.values, rows, 1000 * LONGEST), series=None)
        case Texts():
            return replace(items, text=cut(items.text, rows, 1000 * LONGEST), running=False)
        case Waves():
            said = items.transcripts and cut(items.transcripts, rows, 1000 * LONGEST)
            waves = cut(items.waves, rows, items.rate * LONGEST)
            return replace(items, waves=waves, transcripts=said)
    return items


def cut(ragged: Ragged, rows: Rows, most: int) -> Ragged:
    """These items, each at most so long."""
    parts = [ragged[row][:most] for row in rows.tolist()]
    return Ragged(np.concatenate(parts), np.cumsum([0, *map(len, parts)]))


def labels(batch: Batch, place: int, classes: Sequence[str]) -> list[dict[str, Any]]:
    """An item's classes with their shares, the largest first."""
    if batch.targets is None or not classes:
        return []
    if batch.shares is None:
        return [{"name": classes[int(batch.targets[place])], "share": 1.0}]
    shares = batch.shares[place]
    order = shares.argsort(descending=True)[:2].tolist()
    return [{"name": classes[one], "share": float(shares[one])} for one in order
            if shares[one] > 0.005]  # fmt: skip


def seen(batch: Batch, data: Data, place: int, plain: Batch) -> dict[str, Any]:
    """What one item of a batch looks like, and what is new in it beside the plain one."""
    match data.items:
        case Images():
            return {"png": png(batch.inputs["images"][place])}
        case Sequences():
            steps = batch.inputs["values"][place, : batch.inputs["lengths"][place]]
            thumbnail = steps[:: max(len(steps) // 200, 1), :8].double().numpy().round(4).tolist()
            return {"values": thumbnail, "steps": len(steps)}
        case Recorded() as items:
            first = items.frames(plain.inputs, place)
            low, high = float(first.min()), float(first.max())
            return {"png": spectrum(items.frames(batch.inputs, place), low, high)}
        case Tokens():
            return {"words": marked(*(written(one, data.items, place) for one in (plain, batch)))}
    return {}


def written(batch: Batch, items: Tokens, place: int) -> list[str]:
    """An item's words."""
    tokens = batch.inputs["tokens"][place, : batch.inputs["lengths"][place]].tolist()
    return items.tokenizer.decode_blanks(tokens).split()


def marked(before: Sequence[str], after: Sequence[str]) -> list[dict[str, Any]]:
    """The words after, in runs: ``same``, ``new`` at their place, or ``gone`` from there."""
    runs = []
    for what, a, b, c, d in SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        if what == "equal":
            runs.append({"text": " ".join(after[c:d]), "is": "same"})
            continue
        runs += [{"text": " ".join(before[a:b]), "is": "gone"}] if b > a else []
        runs += [{"text": " ".join(after[c:d]), "is": "new"}] if d > c else []
    return runs


def mirrored(data: Data) -> dict[str, float] | None:
    """The share of training pictures whose nearest other picture is of their class, as they are
    and mirrored; None where mirrors hardly change it.

    By the nearest neighbour in small grey pictures: digits and letters become others, animals stay.
    """
    assert isinstance(data.items, Images)
    if data.labels is None or len(data.classes) < 2:
        return None
    train = data.splits["train"]
    found, counts = np.unique(data.labels[train], return_counts=True)
    able = found[counts > 1]
    of = able[np.unique(np.linspace(0, len(able) - 1, LOOKED_AT).astype(int))] if len(able) else []
    rows = np.concatenate([train[data.labels[train] == one][:EACH] for one in of] or [train[:0]])
    if len(rows) < 2 * LOOKED_AT:
        return None
    rows = np.sort(rows)
    labels = torch.from_numpy(data.labels[rows])
    # A few at a time: hundreds of large ones would be gigabytes.
    parts = [rows[at : at + AT_ONCE] for at in range(0, len(rows), AT_ONCE)]
    grey = torch.cat([small(data.items.pixels[part]) for part in parts])
    shares = []
    for asked in (grey, grey.flip(3)):
        far = torch.cdist(asked.flatten(1), grey.flatten(1)).fill_diagonal_(torch.inf)
        shares.append(float((labels[far.argmin(1)] == labels).float().mean()))
    plain, turned = shares
    return {"plain": plain, "mirrored": turned} if plain - turned > NOTED else None


def small(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Pictures (B, H, W, C), grey and of so many pixels a side (B, 1, SIDE, SIDE)."""
    whole = torch.from_numpy(np.ascontiguousarray(pixels))
    return F.adaptive_avg_pool2d(whole.float().mean(3)[:, None], SIDE)
