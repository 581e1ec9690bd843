"""Everything that the catalogue offers together really trains, and can be tried."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.catalog import Card, Catalog, Chosen, Field, Kind, Value, discover
from engine.catalog import chosen as in_reach
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.items import Images, Pairs, Sequences, Texts, Waves
from engine.events import Event, Finished, Point
from engine.explain import Explainer
from engine.home import Home
from engine.look import item, sound
from engine.predict import Predictor
from engine.recipe import compose

QUICK = {"IntegratedGradients": {"steps": 8}, "Occlusion": {"window": 0.5}}
"""Explanations that are made with fewer steps."""
FEW = 16
"""What a size is brought down to, where its range allows."""


def pairings() -> list[Chosen]:
    """Each task with each of its models once, and each dataset at least once."""
    found: dict[tuple[str, str], Chosen] = {}
    left: dict[str, Chosen] = {}
    for chosen in discover().combinations():
        found.setdefault((chosen["task"].name, chosen["model"].name), chosen)
        left.setdefault(chosen["data"].name, chosen)
    for chosen in found.values():
        left.pop(chosen["data"].name, None)
    return [*found.values(), *left.values()]


KINDS: tuple[Kind, ...] = ("task", "model", "data")


def name(chosen: Chosen) -> str:
    return "-".join(chosen[kind].name for kind in KINDS)


def marked() -> Iterator[Any]:
    """Those in which no card comes for the first time are long: they take ten minutes together."""
    seen: set[tuple[Kind, str]] = set()
    for chosen in pairings():
        cards = {(kind, chosen[kind].name) for kind in KINDS}
        known, seen = cards <= seen, seen | cards
        yield pytest.param(chosen, id=name(chosen), marks=[pytest.mark.long] if known else [])


def small(field: Field, default: Value) -> Value | None:
    """A size of a model brought down; None for what isn't one, or would be refused.

    Told by the field alone: whole numbers above sixteen, one or several.
    """
    low = int(field.range.low) if field.range else 1
    if field.type == "ints" and isinstance(default, list | tuple):
        return [int(max(low, min(int(n), FEW))) for n in default]
    if field.type == "int" and isinstance(default, int) and default > FEW:
        return max(low, FEW)
    return None


def reduced(card: Card, defaults: dict[str, Value]) -> Iterator[tuple[str, Value]]:
    for field in card.fields:
        value = small(field, defaults[f"{card.kind}.{field.name}"])
        if value is not None:
            yield f"{card.kind}.{field.name}", value


def fewer(data: Data) -> Data:
    """Some items of each split, spread over it: what is trained for two steps needs no more."""
    rows = {
        split: rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)]
        for (split, rows), count in zip(data.splits.items(), (32, 16, 16), strict=True)
    }
    kept = np.concatenate(list(rows.values()))
    ends = np.cumsum([0, *map(len, rows.values())])

    def some(value: Any) -> Any:
        match value:
            case Ragged():
                parts = [value[row] for row in kept.tolist()]
                offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
                return Ragged(np.concatenate(parts), offsets)
            case np.ndarray():
                return value[kept]
        return value

    changed = {field.name: some(getattr(data.items, field.name)) for field in fields(data.items)}
    return replace(
        data, items=type(data.items)(**changed), labels=some(data.labels),
        splits={split: np.arange(a, b) for split, a, b in zip(rows, ends, ends[1:], strict=False)},
        fingerprint=data.fingerprint + "-fewer",
    )  # fmt: skip


def given(data: Data) -> dict[str, Any]:
    """An item of the test split as a person would give it to a trained model."""
    row = int(data.splits["test"][0])
    items = data.items
    match items:
        case Images():
            return {"png": item(data, row, None)["png"]}
        case Sequences():
            return {"sequence": items[row].tolist()}
        case Texts():
            return {"text": items.text.text(row)[:200]}
        case Pairs():
            return {"text": items.source.text(row)[:200]}
        case Waves():
            return {"sound": sound(items, row)["wav"]}
    raise AssertionError(f"{type(items).__name__} can't be given")


@pytest.fixture(autouse=True)
def _hub(tiny_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_MIRROR", str(tiny_hub))


@pytest.mark.parametrize("chosen", list(marked()))
def test_two_steps_are_trained_tested_and_tried(
    catalog: Catalog, home: Home, events: Callable[..., list[Event]], chosen: Chosen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    dataset = in_reach("data", chosen["data"].name)
    whole = dataset.open
    monkeypatch.setattr(dataset, "open", lambda self, home: fewer(whole(self, home)))
    settings: dict[str, Any] = {
        "method.max_steps": 2, "method.batch_size": 4, "method.threads": 1,
        "method.precision": "fp32", "method.accumulate": 1, "method.batch_tokens": None,
    }  # fmt: skip
    known = {f"method.{field.name}" for field in chosen["method"].fields}
    settings = {name: value for name, value in settings.items() if name in known}
    start = "published" if chosen["method"].adapts else None
    names = {kind: card.name for kind, card in chosen.items()}
    # A model may refuse what is so small: then it is taken as it is.
    for sizes in (dict(reduced(chosen["model"], catalog.defaults(chosen))), {}):
        recipe = compose(catalog, names=names, settings={**settings, **sizes}, start=start)
        *seen, last = events(recipe)
        if isinstance(last, Finished) and last.state == "finished":
            break
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    losses = [e.value for e in seen if isinstance(e, Point) and e.series == "train/loss"]
    assert len(losses) == (2 if settings else 0)  # a head that is computed takes no step
    assert all(map(math.isfinite, losses))
    headline = last.metrics["headline"]
    assert math.isfinite(last.metrics[headline])
    # What is compared with the result is measured alike.
    for scores in last.metrics["baselines"].values():
        assert {f"test/{score}" for score in scores} <= last.metrics.keys()

    predictor = Predictor(home, 1)
    asked = given(dataset(**recipe.data.settings).open(home))
    if "masked token" in chosen["task"].fits:
        asked = {"text": "___ " + asked["text"]}
    (answer,) = predictor.answer([asked])["results"]
    assert answer
    if chosen["task"].streams:
        assert all(isinstance(piece, str) for piece in predictor.stream(asked))
    if chosen["task"].invents:
        return
    explainer = Explainer(predictor, home)
    for way in explainer.choices(asked)["ways"]:
        explained = explainer.explain(asked, way["name"], settings=QUICK.get(way["name"]))
        json.dumps(explained, allow_nan=False)
