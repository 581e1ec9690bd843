"""Pictures told apart by what their classes are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.datasets import load_sample_image
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Catalog
from engine.events import Event, Finished, Notice
from engine.home import Home
from engine.models.conse import ConSE, definitions
from engine.pictures import png
from engine.predict import Predictor
from engine.recipe import compose


def photograph(name: str) -> npt.NDArray[np.uint8]:
    picture: npt.NDArray[np.uint8] = load_sample_image(name)
    return picture


def small(**settings: Any) -> ConSE:
    torch.manual_seed(0)
    model = ConSE((64, 64, 3), 2, side=64, **settings).eval()
    model.known.copy_(torch.randn(1000, 384))
    return model


def test_a_pictures_meaning_is_that_of_its_likeliest_things_by_probability() -> None:
    model = small(names=3, softness=2.0)
    logits = torch.full((2, 1000), -50.0)
    logits[0, [5, 10, 20, 30]] = torch.tensor([4.0, 2.0, 0.0, -2.0])
    logits[1, 7] = 10.0
    model.sees.forward = lambda images: logits  # type: ignore[method-assign]
    found = model.embed(torch.zeros(2, 3, 64, 64))
    shares = torch.tensor([2.0, 1.0, 0.0]).exp()
    first = F.normalize((shares[:, None] * model.known[[5, 10, 20]]).sum(0), dim=0)
    torch.testing.assert_close(found[0], first * 384**0.5)
    torch.testing.assert_close(found[1], F.normalize(model.known[7], dim=0) * 384**0.5)


def test_definitions_tell_things_apart() -> None:
    said = definitions()
    assert len(set(said)) == 1000
    assert said[985].startswith("daisy: ")


def test_photographs_get_the_class_whose_name_fits(
    catalog: Catalog, home: Home, events: Callable[..., list[Event]], tmp_path: Path
) -> None:
    """Typed names, and no picture to learn from; the checkpoint answers by itself."""
    names: Any = {"task": "Classification", "data": "TypedPictureLabels", "model": "ConSE"}
    made = compose(catalog, names=names, start="published", settings={
        "data.labels": "flower: a flower in bloom\nbuilding: a building or temple\nvehicle: a car",
    })  # fmt: skip
    assert made.method.name == "ZeroShot"
    *said, last = events(made)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    notices = [e.text for e in said if isinstance(e, Notice)]
    assert any("ConSE with EfficientNet-Lite0 and MiniLM" in notice for notice in notices)
    asked = [
        {"png": png(torch.from_numpy(photograph(name).copy()).permute(2, 0, 1) / 255)}
        for name in ("flower.jpg", "china.jpg")
    ]
    results = Predictor(home, 1).answer(asked)["results"]
    assert [result["classes"][0]["label"] for result in results] == ["flower", "building"]
    assert sum(one["probability"] for one in results[0]["classes"]) == pytest.approx(1)
