"""Codes that are distributions, what they cost, and pictures that never were."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from engine import frechet
from engine.data.batches import Batch
from engine.events import Event, Finished, Point, Sample
from engine.frechet import Frechet, RandomFeatures, distance
from engine.home import Home
from engine.models.variational_autoencoder import VariationalAutoencoder
from engine.predict import Predictor
from engine.recipe import Recipe
from engine.session import make
from engine.starts import Start
from engine.tasks.variational_inference import VariationalInference, divergence

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]


def small(shape: tuple[int, int, int] = (8, 8, 1), outputs: int = 0, **how: Any) -> Any:
    torch.manual_seed(0)
    return VariationalAutoencoder(shape, outputs, **{"channels": [4, 8], "code": 3, **how})


def test_the_divergence_is_that_of_the_distributions() -> None:
    mean, log_variance = torch.randn(5, 4), torch.randn(5, 4)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, log_variance), expected)


def test_the_bound_is_in_nats_a_picture_whatever_the_batch() -> None:
    model = small((9, 14, 3)).eval()
    batch = Batch({"images": torch.rand(5, 3, 9, 14)}, rows=np.array([4, 1, 0, 9, 6]))
    step = VariationalInference().step(model, batch)
    told = Bernoulli(logits=step["output"], validate_args=False)
    nats = -told.log_prob(batch.inputs["images"]).flatten(1).sum(1)
    mean, log_variance = model.distribution(batch.inputs["images"])
    paid = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(step["loss"], (nats + paid).mean())
    torch.testing.assert_close(step["kl"], paid.mean())
    dearer = VariationalInference(beta=4.0).step(model, batch)
    torch.testing.assert_close(dearer["loss"], (nats + 4 * paid).mean())
    free = VariationalInference(free=100.0).step(model, batch)
    torch.testing.assert_close(free["loss"], nats.mean() + 3 * 100.0)
    assert torch.equal(step["loss"], VariationalInference().step(model, batch)["loss"])
    model.train()
    assert not torch.equal(step["loss"], VariationalInference().step(model, batch)["loss"])


def test_bits_are_told_where_pixels_are_black_or_white() -> None:
    task, model = VariationalInference(binary=True), small().eval()
    batch = Batch({"images": torch.rand(6, 1, 8, 8)}, rows=np.arange(6))
    seen = task.seen(batch, fixed=True)
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    chances = torch.stack([task.seen(batch, fixed=False) for _ in range(2000)]).mean(0)
    torch.testing.assert_close(chances, batch.inputs["images"], atol=0.06, rtol=0)
    data: Any = SimpleNamespace(shape=(8, 8, 1), labels=None, splits={"validation": np.arange(6)})
    meter = task.meter(model, data)
    meter.update(task.step(model, batch), batch)
    scores = meter.compute()
    assert scores["bits_per_pixel"] == pytest.approx(scores["negative_elbo"] / 64 / math.log(2))
    plain = VariationalInference().meter(model, data)
    plain.update(task.step(model, batch), batch)
    assert "bits_per_pixel" not in plain.compute()


@pytest.mark.parametrize("layers", ["convolutional", "dense"])
@pytest.mark.parametrize("shape", [(28, 28, 1), (30, 45, 3), (8, 8, 1)])
def test_pictures_of_any_shape_are_drawn_from_a_generator(
    shape: tuple[int, int, int], layers: str
) -> None:
    height, width, depth = shape
    model = small(shape, layers=layers, widths=[16])
    first, again, other = (
        model.generate(4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (4, depth, height, width)
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    classifier = small(shape, 5, layers=layers, widths=[16])
    taken = Start("run 1", dict(model.state_dict())).into(classifier, tuple("abcde"))
    assert set(taken.loaded) == {n for n in model.state_dict() if n.startswith("encoder.")}
    assert classifier(torch.rand(2, depth, height, width)).shape == (2, 5)


def test_the_bound_falls_and_new_pictures_come_nearer(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    wanted = recipe(
        model="VariationalAutoencoder", task="VariationalInference", method__epochs=12,
        method__batch_size=32, method__threads=1, model__channels=[8, 16], model__code=8,
        method__learning_rate=0.005,
    )  # fmt: skip
    seen = events(wanted)
    last = seen[-1]
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    bounds, apart = (
        [event.value for event in seen
         if isinstance(event, Point) and event.series == f"validation/{name}"]
        for name in ("negative_elbo", "frechet")
    )  # fmt: skip
    assert all(map(math.isfinite, bounds))
    assert bounds[-1] < bounds[0] - 2
    assert apart[-1] < 0.75 * apart[0]
    baselines = last.metrics["baselines"]
    average = baselines["each pixel as on average"]["negative_elbo"]
    assert last.metrics["test/negative_elbo"] < average
    # The average picture's own likelihood, by hand.
    data = make(wanted, home).data
    train, test = (
        torch.from_numpy(data.items.pixels[data.splits[split]]).float() / 255  # type: ignore[attr-defined]
        for split in ("train", "test")
    )
    share = (train.sum(0) + 1) / (len(train) + 2)
    by_hand = -Bernoulli(share, validate_args=False).log_prob(test).flatten(1).sum(1).mean()
    assert average == pytest.approx(float(by_hand), 1e-4)
    rows = [s.data["rows"] for s in seen if isinstance(s, Sample) and s.name == "drawn"]
    assert [len(row["images"]) for row in rows[-1]] == [10, 10, 10]

    given = {"png": rows[-1][0]["images"][0]}
    predictor = Predictor(home, 1)
    (few,) = predictor.answer([given], {"drawn": 3, "seed": 5})["results"]
    (more,) = predictor.answer([given], {"drawn": 4, "seed": 6})["results"]
    assert len(few["drawn"]) == 3
    assert not set(few["drawn"]) & set(more["drawn"])
    (none,) = predictor.answer([given], {"drawn": 0})["results"]
    assert none["drawn"] == []
    assert none["reconstruction"] == few["reconstruction"]


# --- how far apart pictures are -------------------------------------------------------------


def test_the_distance_of_two_normal_distributions_is_frechets() -> None:
    """For distributions whose numbers are independent it is ‖μ₁ − μ₂‖² + Σ (σ₁ − σ₂)²."""
    torch.manual_seed(0)
    first = torch.randn(200_000, 3) * torch.tensor([1.0, 2.0, 0.5])
    second = torch.randn(200_000, 3) * torch.tensor([2.0, 2.0, 1.0]) + torch.tensor([0.0, 1.0, 0.0])
    assert distance(first, second) == pytest.approx(1 + 0 + 0.25 + 1, rel=0.02)
    assert distance(first, first) == pytest.approx(0, abs=1e-6)
    assert math.isfinite(distance(first[:1], second[:1]))


def test_what_is_seen_is_the_same_in_every_run() -> None:
    pictures = torch.rand(3, 3, 9, 14)
    torch.manual_seed(1)
    first = RandomFeatures(3)(pictures)
    torch.manual_seed(2)
    assert torch.equal(first, RandomFeatures(3)(pictures))


def test_real_digits_are_nearer_than_blurred_or_gaussian_ones(home: Home, recipe: Make) -> None:
    data = make(recipe(data="Digits8x8", model="ConvNet"), home).data
    found = frechet.baselines(data)
    real = found["the training pictures themselves"]["frechet"]
    assert real < 0.5 * found["one normal distribution of pictures"]["frechet"]
    meter = Frechet(1, len(data.splits["test"]))
    images = torch.from_numpy(data.items.pixels[data.splits["test"]]).float() / 255  # type: ignore[attr-defined]
    images = images.permute(0, 3, 1, 2)
    meter.add(images)
    assert meter.between(torch.nn.functional.avg_pool2d(images, 3, 1, 1)) > 2 * real


def test_of_a_large_split_so_many_pictures_are_compared_as_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frechet, "MOST", 20)
    pictures = torch.rand(50, 1, 8, 8)
    pictures[25:] *= 0.2  # one class behind the other
    meter = Frechet(1, len(pictures))
    for batch in pictures.split(7):
        meter.add(batch)
    chosen = torch.linspace(0, 49, 20).long()
    assert meter.between(pictures[chosen]) == pytest.approx(0, abs=1e-4)
    drawn: list[int] = []

    class Generates:
        def generate(self, count: int, chance: torch.Generator) -> torch.Tensor:
            drawn.append(count)
            return torch.rand(count, 1, 8, 8, generator=chance)

    meter.of(Generates())  # type: ignore[arg-type]
    assert sum(drawn) == 20
