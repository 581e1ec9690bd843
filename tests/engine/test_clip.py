"""CLIP by name, tried on one that is tiny and lies in a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import BadInput, Catalog
from engine.events import Event, Finished, Notice
from engine.home import Home
from engine.models.clip import MEAN, STD, Clip
from engine.pictures import png
from engine.predict import Predictor
from engine.recipe import Recipe, compose
from engine.starts import Start
from tests.engine import tiny_clip

CarryOut = Callable[..., list[Event]]
NAMES = ["a photo of a cat", "a red dog", "circle " * 20]
IDS = [[2, 4, 5, 6, 4, 7, 3], [2, 4, 9, 8, 3], [2, *[11] * 10, 3]]
"""As its text half reads them, the last cut to twelve tokens."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    tiny_clip.save(path)
    return path


def which(folder: Path) -> dict[str, str]:
    return {"name": str(folder), "revision": "main"}


def started(folder: Path, home: Home, outputs: int = 3) -> Clip:
    model = Clip((32, 32, 3), outputs, Clip.blueprint(home, **which(folder)), name=str(folder))
    theirs = Clip.published(home, **which(folder))
    taken = Start(theirs.name, theirs.weights).into(model, ())
    assert {name for name, _ in taken.new} == {"head.weight", "head.bias"}
    assert not taken.left
    return model.eval()


def test_it_says_what_the_library_says(folder: Path, home: Home) -> None:
    """The scaled cosines of pictures and names, against the whole model on the same files."""
    import transformers

    theirs = transformers.CLIPModel.from_pretrained(folder, local_files_only=True).eval()
    images = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (MEAN, STD))
    with torch.no_grad():
        expected = torch.cat([
            theirs(
                input_ids=torch.tensor([ids]), pixel_values=(images - mean) / std
            ).logits_per_image
            for ids in IDS
        ], 1)  # fmt: skip
    model = started(folder, home)
    nothing: Any = None
    model.name([[name] for name in NAMES], nothing, home)
    with torch.no_grad():
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)
    assert model.works_with == f"CLIP {folder}"


def test_pictures_of_another_size_are_scaled_and_grey_ones_taken(folder: Path, home: Home) -> None:
    model = started(folder, home)
    grey = torch.rand(2, 1, 50, 20)
    with torch.no_grad():
        features = model.embed(grey)
        torch.testing.assert_close(model.embed(grey.expand(-1, 3, -1, -1)), features)
    torch.testing.assert_close(features.norm(dim=1), torch.full((2,), 12**0.5))


def test_levels_hold_every_parameter_once(folder: Path, home: Home) -> None:
    model = started(folder, home)
    parts = [part for level in model.levels() for part in level]
    for name, _ in model.named_parameters():
        assert sum(name == part or name.startswith(f"{part}.") for part in parts) == 1, name
    assert model.levels()[-1] == ("head",)


def typed(catalog: Catalog, name: str) -> Recipe:
    names: Any = {"task": "Classification", "data": "TypedPictureLabels", "model": "Clip",
                  "method": "ZeroShot"}  # fmt: skip
    return compose(catalog, names=names, start="published", settings={
        "data.labels": "cat\ndog", "data.side": 32, "model.name": name,
        "method.template": "a photo of a {}",
    })  # fmt: skip


def test_a_checkpoint_answers_when_its_weights_are_gone(
    folder: Path, catalog: Catalog, home: Home, events: CarryOut, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    *said, last = events(typed(catalog, str(tmp_path / "copy")))
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    notices = [e.text for e in said if isinstance(e, Notice)]
    assert any(f"Zero-shot by CLIP {tmp_path / 'copy'}." in notice for notice in notices)
    shutil.rmtree(tmp_path / "copy")
    picture = torch.rand(3, 32, 32)
    (result,) = Predictor(home, 1).answer([{"png": png(picture)}])["results"]
    assert {one["label"] for one in result["classes"]} == {"cat", "dog"}
    model = started(folder, home, 2)
    nothing: Any = None
    model.name([["a photo of a cat"], ["a photo of a dog"]], nothing, home)
    seen = picture.mul(255).round().div(255)[None]
    shares = F.softmax(model(seen), 1)[0].tolist()
    told = {one["label"]: one["probability"] for one in result["classes"]}
    assert [told["cat"], told["dog"]] == pytest.approx(shares, abs=1e-4)


def test_without_a_network_one_sentence_says_so(
    catalog: Catalog, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("engine.data.fetch.PAUSE", 0.0)
    *_, last = events(typed(catalog, "openai/clip-vit-base-patch32"))
    assert isinstance(last, Finished)
    assert last.state == "failed"
    assert "config.json" in last.reason
    assert "\n" not in last.reason


def test_what_is_no_clip_is_refused(folder: Path, home: Home, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    path = tmp_path / "other" / "config.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "model_type": "bert"}))
    with pytest.raises(BadInput, match="can't be used here: it is no CLIP but bert") as problem:
        Clip.blueprint(home, **which(tmp_path / "other"))
    assert problem.value.field == "model.name"
    path.write_text(json.dumps(whole))
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    safetensors.torch.save_file(weights, tmp_path / "other" / "model.safetensors")
    with pytest.raises(BadInput, match=r"its weights lack visual_projection\.weight"):
        Clip.published(home, **which(tmp_path / "other"))
