"""What augmentation makes of items, shown before anything is trained."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.augmentation.pictures import PictureVariation
from engine.catalog import Catalog
from engine.data.batches import Data
from engine.data.items import Images
from engine.home import Home
from engine.preview import marked, mirrored, preview
from engine.recipe import Recipe, compose

Make = Callable[..., Recipe]


def pixels(shown: dict[str, Any]) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["png"]))))


def test_items_are_shown_as_they_are_and_as_they_may_be_seen(
    recipe: Make, home: Home, catalog: Catalog
) -> None:
    made = recipe(data__policy="TrivialAugment", data__mixup=1.0, seed=3)
    found = preview(made, home, catalog, items=4, draws=3)
    again = preview(made, home, catalog, items=4, draws=3)
    other = preview(made, home, catalog, items=4, draws=3, salt=1)
    assert found == again
    assert [item["row"] for item in found["items"]] == [item["row"] for item in other["items"]]
    assert found["items"] != other["items"]
    assert len({tuple(one["name"] for one in item["label"]) for item in found["items"]}) == 4
    for item in found["items"]:
        assert pixels(item["before"]).shape == (8, 8)
        assert item["label"][0]["share"] == 1
        assert len({draw["png"] for draw in item["draws"]}) == 3
        for draw in item["draws"]:
            assert sum(one["share"] for one in draw["label"]) == pytest.approx(1, abs=0.02)
    assert any(len(draw["label"]) == 2 for item in found["items"] for draw in item["draws"])


def test_without_augmentation_the_draws_are_the_item(
    recipe: Make, home: Home, catalog: Catalog
) -> None:
    for item in preview(recipe(), home, catalog)["items"]:
        assert all(draw["png"] == item["before"]["png"] for draw in item["draws"])


@pytest.mark.parametrize(("data", "settings", "key"), [
    ("MnistRows", {"data.warp": 0.4, "data.slice": 0.5}, "values"),
    ("DocstringTopics", {"data.swap": 0.2, "data.mask": 0.2}, "words"),
    ("TelephoneKeys", {"data.time_masks": 2, "data.background": 1.0}, "png"),
])  # fmt: skip
def test_every_kind_that_is_varied_can_be_seen(
    home: Home, catalog: Catalog, data: str, settings: dict[str, Any], key: str
) -> None:
    made = compose(catalog, names={"task": "Classification", "data": data}, settings=settings)
    kept = {file.name for file in home.cache.rglob("*")}
    found = preview(made, home, catalog, items=3, draws=2)
    assert len(found["items"]) == 3
    for item in found["items"]:
        assert all(draw[key] != item["before"][key] for draw in item["draws"])
    # What a few items teach isn't kept: a run would take it for what all of them do.
    folders = {file.name for file in home.cache.rglob("*") if file.is_dir()} - kept
    assert not any((home.cache / kind / name).exists() for kind in ("tokens", "spectra")
                   for name in folders)  # fmt: skip
    assert not list(home.tmp.iterdir())


def test_a_task_that_varies_nothing_has_nothing_to_show(
    recipe: Make, home: Home, catalog: Catalog
) -> None:
    assert preview(recipe(task="Reconstruction", model="Autoencoder"), home, catalog)["items"] == []


def pictures(turned: bool) -> Data:
    """Bright on the left or on the right, where that is the class; else bright above or below."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    found = rng.integers(0, 60, (120, 12, 12, 1))
    for picture, label in zip(found, labels, strict=True):
        half = slice(0, 6) if label else slice(6, 12)
        (picture[:, half] if turned else picture[half])[...] += 150
    rows = np.arange(120)
    items = Images(found.astype(np.uint8), PictureVariation(flip=True))
    return Data(items=items, labels=labels, classes=("a", "b"), fingerprint="x",
                splits={"train": rows, "validation": rows[:0], "test": rows[:0]})  # fmt: skip


def test_mirrors_that_change_the_class_are_told_from_the_pictures() -> None:
    told = mirrored(pictures(turned=True))
    assert told is not None
    assert told["plain"] > 0.9
    assert told["mirrored"] < 0.1
    assert mirrored(pictures(turned=False)) is None


def test_digits_are_told_to_change_and_only_where_they_are_mirrored(
    recipe: Make, home: Home, catalog: Catalog
) -> None:
    told = preview(recipe(data__flip=True), home, catalog)["mirror"]
    assert told is not None
    assert told["mirrored"] < told["plain"] - 0.2
    assert preview(recipe(data__flip=False), home, catalog)["mirror"] is None


def test_new_words_are_marked_where_they_are() -> None:
    found = marked(["a", "b", "c", "d"], ["a", "x", "c"])
    assert [(run["is"], run["text"]) for run in found] == [
        ("same", "a"), ("gone", "b"), ("new", "x"), ("same", "c"), ("gone", "d"),
    ]  # fmt: skip
