"""What a dataset's page is given: its items, how they are spread, what can be done with it."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from engine.catalog import BadInput, Catalog
from engine.data.arrays import RaggedWriter, Stored, empty_array
from engine.data.batches import Feed
from engine.data.imports import Items, finish
from engine.data.options import ImportOptions
from engine.desk import Desk
from engine.home import Home
from engine.session import open_choice

CARDS = {
    "images": "ImportedImages", "text": "ImportedText", "pairs": "ImportedPairs",
    "sound": "ImportedSound", "sequences": "ImportedSequences",
}  # fmt: skip
WORDS = ["good morning", "guten Tag", "", "доброе утро", "早上好", "bonjour à tous"]


def ragged(folder: Path, name: str, items: list[Any], shape: tuple[int, ...] = ()) -> None:
    with RaggedWriter(folder, name, shape) as out:
        for item in items:
            out.add_text(item) if isinstance(item, str) else out.add(item)


def write(folder: Path, kind: str, count: int) -> dict[str, Any]:
    """The arrays of a small dataset of that kind; what else its `Items` need."""
    rng = np.random.default_rng(0)
    match kind:
        case "images":
            begin = empty_array(folder / "images.npy", np.uint8, (count, 6, 5, 3))
            with (folder / "images.npy").open("r+b") as out:
                out.seek(begin)
                out.write(rng.integers(0, 256, (count, 6, 5, 3), np.uint8).tobytes())
            np.save(folder / "sizes.npy", rng.integers(5, 50, (count, 2)))
            return {"shape": (6, 5, 3)}
        case "text":
            ragged(folder, "text", [WORDS[i % 6] + f" {i}" for i in range(count)])
            return {}
        case "pairs":
            for name in ("source", "target"):
                ragged(folder, name, [WORDS[i % 6] + name for i in range(count)])
            return {"columns": {"source": "en", "target": "de"}}
        case "sound":
            waves = [rng.integers(-9000, 9000, 400 + 30 * i).astype(np.int16) for i in range(count)]
            ragged(folder, "waves", waves)
            ragged(folder, "transcripts", [f"number {i}" for i in range(count)])
            return {"rate": 8000, "transcribed": True}
    values = [rng.normal(size=(1 + i, 2)).astype(np.float32) for i in range(count)]
    ragged(folder, "values", values, (2,))
    return {"shape": (2,), "features": ("x", "y")}


@pytest.fixture
def brought(home: Home) -> Callable[..., dict[str, Any]]:
    """``brought("text")``: a dataset of 30 items and two classes, as a choice of data."""

    def brought(kind: str, *, count: int = 30, labelled: bool = True) -> dict[str, Any]:
        number = len(list(home.datasets.iterdir())) + 1
        folder = home.dataset(number)
        folder.mkdir()
        more = write(folder, kind, count)
        labels = [("left", "right")[i % 2] for i in range(count)] if labelled else None
        items = Items(kind, "f00", [f"item {i}" for i in range(count)], labels,  # type: ignore[arg-type]
                      groups={"speaker": [f"s{i % 5}" for i in range(count)]}, **more)  # fmt: skip
        list(finish(items, folder, source="file", options=ImportOptions(), origin="", licence=""))
        return {"name": CARDS[kind], "settings": {"id": number, "version": 1}}

    return brought


@pytest.fixture
def desk(home: Home, catalog: Catalog) -> Desk:
    return Desk(home, catalog)


@pytest.mark.parametrize("kind", CARDS)
def test_a_dataset_of_every_kind_can_be_looked_at(desk, brought, kind):
    said = desk.details(data=brought(kind), count=8)
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["kind"] == said["samples"]["kind"] == kind
    assert said["items"] == 30
    assert sum(map(sum, said["counts"].values())) == 30
    shown = said["samples"]["items"]
    assert [item["label"] for item in shown] == ["left"] * 4 + ["right"] * 4
    assert all(item["split"] == "train" for item in shown)
    assert shown[0]["name"] == f"item {shown[0]['row']}"
    assert said["version"] == 1
    assert said["groups"] == ["speaker"]
    assert said["histograms"]
    for histogram in said["histograms"]:
        assert sum(histogram["counts"]) == 30
        assert len(histogram["edges"]) == len(histogram["counts"]) + 1


@pytest.mark.parametrize("kind", CARDS)
def test_batches_of_every_kind_hold_each_item_once_with_its_padding(home, brought, kind):
    import torch

    from engine.recipe import Choice

    data = open_choice(Choice.model_validate(brought(kind)), home)
    feed = Feed(data, "train", batch_size=7, device=torch.device("cpu"), shuffle=True)
    batches = list(feed.batches())
    assert sum(map(len, batches)) == len(data.splits["train"])
    assert len({tuple(b.targets.tolist()) for b in batches if b.targets is not None}) > 0
    for batch in batches:
        if "lengths" not in batch.inputs:
            continue
        name = next(n for n in ("tokens", "values", "waves") if n in batch.inputs)
        for row, length in zip(batch.inputs[name], batch.inputs["lengths"].tolist(), strict=True):
            assert not row[length:].any()
            assert name != "tokens" or row[:length].all()  # ids of bytes begin at 1


def test_items_are_found_by_split_class_and_number(desk, brought):
    data = brought("text")
    everything = desk.items(data=data, count=100)
    assert everything["total"] == 30
    right = desk.items(data=data, label=1, count=100)["items"]
    assert {item["label"] for item in right} == {"right"}
    tested = desk.items(data=data, split="test")
    assert {item["split"] for item in tested["items"]} == {"test"}
    page = desk.items(data=data, offset=25, count=10)
    assert [item["row"] for item in page["items"]] == [25, 26, 27, 28, 29]
    found = desk.details(data=data)["findings"]
    (groups,) = [one for one in found if one["code"].startswith("groups")]
    about = desk.items(data=data, finding=groups["code"], count=100)
    assert about["total"] == groups["count"]
    assert [item["row"] for item in about["items"]][:24] == groups["rows"]
    assert desk.items(data=data, finding="nothing")["total"] == 0
    with pytest.raises(BadInput, match="no split"):
        desk.items(data=data, split="exam")


@pytest.mark.parametrize("kind", CARDS)
def test_an_item_is_given_to_a_model_as_it_is(desk, brought, home, kind):
    from engine import predict
    from engine.data import sound
    from engine.recipe import Choice

    choice = brought(kind)
    data = desk.opened(Choice.model_validate(choice).model_dump())[1]
    given = desk.given(data=choice, row=7)
    match kind:
        case "images":
            back = np.asarray(Image.open(io.BytesIO(b64decode(given["png"]))))
            assert (back == data.items.pixels[7]).all()
        case "sequences":
            back = np.array(predict.rows(given["text"]), np.float32)
            assert (back == data.items[7]).all()
        case "sound":
            back = sound.decode(b64decode(given["sound"]), 8000)
            assert len(back) == len(data.items.waves[7])
        case "text":
            assert given == {"text": data.items.text.text(7)}
        case "pairs":
            assert given == {"text": data.items.source.text(7)}
    with pytest.raises(BadInput, match="no such item"):
        desk.given(data=choice, row=30)


def test_a_recording_can_be_listened_to_sample_by_sample(desk, brought, home):
    data = brought("sound")
    raw = b64decode(desk.sound(data=data, row=3)["wav"])
    samples, rate = soundfile.read(io.BytesIO(raw), dtype="int16")
    assert rate == 8000
    assert np.array_equal(samples, Stored(home.dataset(1)).ragged("waves")[3])
    with pytest.raises(BadInput, match="no such recording"):
        desk.sound(data=data, row=30)
    shown = desk.items(data=data, offset=3, count=1)["items"][0]
    assert shown["transcript"] == "number 3"
    assert Image.open(io.BytesIO(b64decode(shown["spectrogram"]))).height > 50


def test_a_change_is_made_from_the_page_and_left_out_items_can_be_seen(desk, brought, home):
    data = brought("images")
    made = desk.change(dataset=1, version=1, change={"do": "exclude", "rows": [4, 7]})
    assert made["version"] == 2
    assert made["meta"]["left_out"] == 2
    after = {**data, "settings": {"id": 1, "version": 2}}
    assert desk.details(data=after)["items"] == 28
    assert [i["row"] for i in desk.items(data=after, split="left_out")["items"]] == [4, 7]
    assert desk.details(data=data)["items"] == 30  # the old version stays
    with pytest.raises(BadInput, match="There is no finding"):
        desk.change(dataset=1, version=2, finding="nothing")


def test_without_labels_there_is_nothing_to_classify(desk, brought, catalog):
    said = desk.details(data=brought("images", labelled=False))
    tasks = [task["task"] for task in said["tasks"]]
    assert tasks[0] == "Reconstruction"
    assert "Classification" not in tasks
    labelled = desk.details(data=brought("images"))
    assert "Classification" in [task["task"] for task in labelled["tasks"]]
