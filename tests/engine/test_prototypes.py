"""Classes from a few examples: which head is computed, from which items, and that it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from engine import checkpoint, session
from engine.augmentation.distortions import averaged
from engine.catalog import BadInput, Catalog
from engine.data.batches import Data
from engine.data.splits import fewer
from engine.datasets.digits8 import Digits8x8
from engine.events import Event, Finished, Notice
from engine.home import Home
from engine.loop import Wish
from engine.methods import at_once
from engine.methods.prototypes import nearest_mean
from engine.predict import Predictor
from engine.recipe import Amount, Recipe, compose

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]
SMALL: dict[str, Any] = {"model": "ResNet", "model__depth": "8", "model__width": 8}


@pytest.fixture
def prototypes(catalog: Catalog) -> Make:
    """A recipe that starts from run 1; it has none of the settings of a training."""

    def make(model: str, labels: str | None = None, **settings: Any) -> Recipe:
        return compose(
            catalog, names={"data": "Digits8x8", "model": model, "method": "Prototypes"},
            settings={name.replace("__", "."): value for name, value in settings.items()}, start=1,
            labels=labels,
        )  # fmt: skip

    return make


def finished(events: list[Event]) -> dict[str, Any]:
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    return last.metrics


def unequal() -> tuple[torch.Tensor, torch.Tensor]:
    """Seven items of three classes that have four, one and two."""
    torch.manual_seed(0)
    return torch.randn(7, 5) + 3, torch.tensor([0, 2, 0, 1, 0, 2, 0])


def test_the_head_is_the_softmax_over_squared_distances() -> None:
    features, labels = unequal()
    weight, bias = nearest_mean(features, labels, 3, sharpness=4.0)
    means = torch.stack([features[labels == c].mean(0) for c in range(3)])
    new = torch.randn(20, 5) + 3
    apart = torch.cdist(means, means).square().sum() / 6
    expected = (-4.0 * torch.cdist(new, means).square() / apart).softmax(1)
    torch.testing.assert_close((new @ weight.T + bias).softmax(1), expected)


@pytest.mark.parametrize("distance", ["Euclidean", "cosine"])
def test_what_all_features_have_in_common_costs_no_precision(distance: Any) -> None:
    """Differences of a thousandth of the features' size, as behind a ReLU with a large bias."""
    torch.manual_seed(0)
    means = torch.randn(5, 64)
    labels = torch.arange(5).repeat_interleave(8)
    examples, new = ((1000 + means[labels] + torch.randn(40, 64) / 4) for _ in range(2))
    weight, bias = nearest_mean(examples, labels, 5, distance=distance)
    exact = examples.double().view(5, 8, 64).mean(1)
    logits = new @ weight.T + bias
    if distance == "Euclidean":
        expected = -10 * torch.cdist(new.double(), exact).square()
        expected = expected / (torch.cdist(exact, exact).square().sum() / 20)
        relative = (logits - logits[:, :1]).double() - (expected - expected[:, :1])
        assert relative.abs().max() < 0.01
    assert torch.equal(logits.argmax(1), labels)


def test_with_the_cosine_only_directions_count() -> None:
    features, labels = unequal()
    weight, bias = nearest_mean(features, labels, 3, distance="cosine")
    unit = features / features.norm(dim=1, keepdim=True)
    means = torch.stack([unit[labels == c].mean(0) for c in range(3)])
    new = torch.randn(50, 5)
    cosines = torch.cosine_similarity(new[:, None], means[None], dim=2)
    said = (new @ weight.T + bias).argmax(1)
    assert torch.equal(said, cosines.argmax(1))
    longer = features * torch.rand(7, 1).add(0.1)
    assert torch.equal((new @ nearest_mean(longer, labels, 3, distance="cosine")[0].T).argmax(1),
                       said)  # fmt: skip


def test_a_class_without_examples_is_never_said() -> None:
    features, labels = unequal()
    weight, bias = nearest_mean(features, labels, 4)
    for far in (1, 1e2, 1e4):
        assert (far * torch.randn(100, 5) @ weight.T + bias).argmax(1).max() < 3
    assert torch.isfinite(weight).all()


def test_features_that_tell_nothing_are_refused() -> None:
    with pytest.raises(BadInput, match="sees no difference") as problem:
        nearest_mean(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]), 2)
    assert problem.value.field == "start"


def test_features_are_averaged_over_views_that_are_the_same_for_every_picture() -> None:
    seen: list[torch.Tensor] = []

    def embed(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return images.flatten(1)

    pictures = torch.rand(3, 1, 9, 7)
    together = averaged(embed, 4)(images=pictures)
    assert torch.equal(seen[0], pictures)
    assert len(seen) == 4
    assert not torch.equal(seen[1], seen[2])
    torch.testing.assert_close(together, torch.stack(seen).mean(0).flatten(1))
    torch.testing.assert_close(averaged(embed, 4)(pictures[1:2]), together[1:2])
    texts = torch.rand(2, 5)
    assert torch.equal(averaged(lambda values: values, 4)(values=texts), texts)


def test_more_examples_tell_more_and_the_features_stay(
    home: Home, recipe: Make, prototypes: Make, events: CarryOut
) -> None:
    finished(events(recipe(**SMALL, method__epochs=3), number=1))
    scores = [
        finished(events(prototypes(**SMALL, labels=shots), number=number))["test/accuracy"]
        for number, shots in enumerate(["1", "30"], 2)
    ]
    assert 0.4 < scores[0] < scores[1]
    before, after = (
        checkpoint.weights(checkpoint.find(home.checkpoints(run), "best")[1]) for run in (1, 3)
    )
    assert {name for name in after if not torch.equal(before[name], after[name])} == {
        "head.weight", "head.bias",
    }  # fmt: skip


def test_one_example_a_class_and_nothing_else_is_enough(
    home: Home, recipe: Make, prototypes: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over a model that has dense layers of its own."""
    finished(events(recipe(), number=1))
    whole = Digits8x8.open

    def alone(self: Digits8x8, home: Home) -> Data:
        data = whole(self, home)
        assert data.labels is not None
        none, train = np.zeros(0, np.int64), data.splits["train"]
        one = fewer(train, Amount(each=1), data.labels, seed=0)
        return replace(data, splits={"train": one, "validation": none, "test": none})

    monkeypatch.setattr(Digits8x8, "open", alone)
    dense: dict[str, Any] = {"model__channels": [4, 8], "model__hidden": [16]}
    made = prototypes("ConvNet", **dense)
    said = events(made, number=2)
    metrics = finished(said)
    assert not any(name.startswith(("test/", "validation/")) for name in metrics)
    assert any("10 examples of 10 classes" in e.text for e in said if isinstance(e, Notice))
    setup = session.make(made, home)
    predictor = Predictor(home, 2)
    predictor.refresh()
    batch = setup.data.fed.gather(setup.data.splits["train"], torch.device("cpu"), None)
    assert setup.data.labels is not None
    with torch.no_grad():
        answers = predictor.setup.model(**batch).argmax(1)
    # An example is its own class's prototype.
    np.testing.assert_array_equal(answers, setup.data.labels[setup.data.splits["train"]])


@pytest.mark.parametrize(("wish", "said"), [("pause", "paused"), ("cancel", "stopped")])
def test_a_wish_while_validation_is_measured_ends_it(
    wish: Wish, said: str, home: Home, recipe: Make, prototypes: Make, events: CarryOut,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    finished(events(recipe(**SMALL, method__max_steps=1), number=1))
    measure, asked = at_once.evaluate, []

    def measured(*given: Any, **named: Any) -> dict[str, Any]:
        asked.append(wish)
        return measure(*given, **named)

    monkeypatch.setattr(at_once, "evaluate", measured)
    made = prototypes(**SMALL)
    last = list(session.run(made, home, 2, wishes=lambda: asked[-1] if asked else None))[-1]
    assert isinstance(last, Finished)
    assert last.state == said
    monkeypatch.undo()
    assert finished(events(made, number=2, resume=wish == "pause"))["test/accuracy"] > 0.2
