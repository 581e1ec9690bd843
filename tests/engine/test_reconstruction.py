"""Drawing pictures again and mending them, and what that is worth as a start."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from engine import session
from engine.corruption import Corruption, CorruptionName
from engine.data.batches import Batch, Feed
from engine.events import Event, Finished, Sample
from engine.home import Home
from engine.models import Model
from engine.models.autoencoder import Autoencoder
from engine.models.conv_autoencoder import ConvAutoencoder
from engine.predict import Predictor
from engine.recipe import Recipe
from engine.starts import Start
from engine.tasks.reconstruction import Reconstruction

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]
NAMES: tuple[CorruptionName, ...] = ("Gaussian noise", "masking", "salt and pepper")


def corrupted(
    name: CorruptionName, strength: float, pictures: torch.Tensor, rows: Any = None
) -> torch.Tensor:
    """By chance, or as the numbers of the pictures say."""
    batch = Batch({"images": pictures}, rows=rows)
    return Corruption(name, strength).of(batch, fixed=rows is not None)


def finished(seen: list[Event]) -> Finished:
    last = seen[-1]
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    return last


# --- corruption -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_happens_to_a_picture_depends_on_its_number_alone(name: CorruptionName) -> None:
    pictures, rows = torch.rand(6, 3, 9, 14), np.array([4, 9, 2, 0, 7, 11])
    together = corrupted(name, 0.4, pictures, rows)
    assert torch.equal(together, corrupted(name, 0.4, pictures, rows))
    for place in range(6):
        alone = corrupted(name, 0.4, pictures[place : place + 1], rows[place : place + 1])
        assert torch.equal(alone[0], together[place])
    same = corrupted(name, 0.4, pictures[:1].repeat(2, 1, 1, 1), np.array([0, 1]))
    assert not torch.equal(same[0], same[1])
    assert 0 <= together.min() <= together.max() <= 1
    first, second = corrupted(name, 0.4, pictures), corrupted(name, 0.4, pictures)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("rows", [None, np.arange(50)])
def test_noise_has_the_deviation_that_was_asked_for(rows: Any) -> None:
    torch.manual_seed(0)
    grey = torch.full((50, 1, 20, 20), 0.5)
    noise = corrupted("Gaussian noise", 0.1, grey, rows) - grey
    assert abs(float(noise.mean())) < 0.003
    assert float(noise.std()) == pytest.approx(0.1, rel=0.03)
    assert float((noise.abs() < 0.1).float().mean()) == pytest.approx(0.683, abs=0.01)


def test_masking_hides_squares_of_large_pictures_and_pixels_of_small_ones() -> None:
    white = torch.ones(40, 3, 30, 45)
    hidden = corrupted("masking", 0.25, white) == 0
    assert float(hidden.float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(hidden[:, 0], hidden[:, 2])  # all the channels of a place together
    squares = hidden[:, 0, :28, :44].unfold(1, 4, 4).unfold(2, 4, 4).flatten(3).float().mean(3)
    assert set(squares.unique().tolist()) == {0.0, 1.0}
    small = corrupted("masking", 0.5, torch.ones(40, 1, 8, 8))
    assert float((small[:, :, 0, 0] != small[:, :, 0, 1]).float().mean()) > 0.2
    assert not corrupted("masking", 1.0, white).any()


def test_salt_and_pepper_are_as_much_of_each() -> None:
    grey = torch.full((40, 3, 20, 20), 0.5)
    salted = corrupted("salt and pepper", 0.3, grey)
    assert set(salted.unique().tolist()) == {0.0, 0.5, 1.0}
    for value in (0.0, 1.0):
        assert float((salted == value).float().mean()) == pytest.approx(0.15, abs=0.01)


# --- the task -------------------------------------------------------------------------------


def test_without_corruption_nothing_is_drawn_and_the_loss_is_the_cross_entropy() -> None:
    model, batch = Autoencoder((8, 8, 1), 0), Batch({"images": torch.rand(5, 1, 8, 8)})
    before = torch.random.get_rng_state()
    loss = Reconstruction().step(model, batch)["loss"]
    assert torch.equal(torch.random.get_rng_state(), before)
    images = batch.inputs["images"]
    logits = model.decode(model.encode(images))
    assert torch.equal(loss, F.binary_cross_entropy_with_logits(logits, images))


def test_the_clean_picture_is_what_is_asked_for() -> None:
    class Echo(torch.nn.Module):
        """Draws what it sees."""

        def encode(self, images: torch.Tensor) -> torch.Tensor:
            return images

        def decode(self, codes: torch.Tensor) -> torch.Tensor:
            return codes.logit(1e-6)

    task = Reconstruction(corruption="masking", strength=0.5, probe="none")
    images = torch.rand(4, 1, 8, 8)
    batch = Batch({"images": images}, rows=np.array([3, 1, 8, 5]))
    echo = Echo().eval()
    meter = task.meter(echo, None)  # type: ignore[arg-type]
    step = task.step(echo, batch)
    meter.update(step, batch)
    worse = corrupted("masking", 0.5, images, batch.rows)
    assert meter.compute()["mse"] == pytest.approx(float((worse - images).square().mean()), 1e-4)
    assert torch.equal(step["loss"], task.step(echo, batch)["loss"])  # the same in each epoch
    echo.train()
    assert task.step(echo, batch)["loss"] != task.step(echo, batch)["loss"]


def test_a_run_mends_pictures_better_than_it_gets_them(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    wanted = recipe(
        model="Autoencoder", task="Reconstruction", task__corruption="masking",
        task__strength=0.5, method__epochs=12, method__batch_size=32, method__threads=1,
    )  # fmt: skip
    seen = events(wanted)
    metrics = finished(seen).metrics
    setup = session.make(wanted, home)
    rows = setup.data.splits["test"]
    clean = Feed(setup.data, "test", batch_size=len(rows), device=torch.device("cpu"))
    images = next(clean.batches()).inputs["images"]
    masked = corrupted("masking", 0.5, images, rows)
    baselines = metrics["baselines"]
    assert baselines["the corrupted picture"]["mse"] == pytest.approx(
        float((masked - images).square().mean()), 1e-5
    )
    assert metrics["test/mse"] < 0.7 * baselines["the corrupted picture"]["mse"]
    shown = [event for event in seen if isinstance(event, Sample)]
    pictures = next(s for s in shown if s.name == "reconstructions").data["rows"]
    assert [row["label"] for row in pictures] == ["original", "corrupted", "reconstruction"]
    assert pictures[0]["images"] != pictures[1]["images"]
    given = {"png": pictures[0]["images"][0]}
    predictor = Predictor(home, 1)
    (as_it_is,) = predictor.answer([given])["results"]
    (worse,) = predictor.answer([given], {"corrupted": True})["results"]
    assert "corrupted" not in as_it_is
    assert worse["corrupted"] != worse["input"] == as_it_is["input"]
    assert worse["reconstruction"] != as_it_is["reconstruction"]


# --- the models -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(28, 28, 1), (30, 45, 3), (8, 8, 1), (1, 5, 1)])
def test_a_convolutional_autoencoder_gives_back_the_shape_it_was_given(
    shape: tuple[int, int, int],
) -> None:
    height, width, depth = shape
    images = torch.rand(3, depth, height, width)
    model = ConvAutoencoder(shape, 0, channels=[4, 6, 8], code=5)
    assert model.encode(images).shape == (3, 5)
    assert model.decode(model.encode(images)).shape == images.shape
    rebuilt = model(images)
    assert 0 <= rebuilt.min() <= rebuilt.max() <= 1
    classifier = ConvAutoencoder(shape, 7, channels=[4, 6, 8], code=5)
    assert classifier(images).shape == (3, 7)
    assert not any(name.startswith("decoder") for name, _ in classifier.named_parameters())


@pytest.mark.parametrize("make", [Autoencoder, ConvAutoencoder])
def test_what_leads_to_the_code_starts_a_classifier(make: type[Model]) -> None:
    before, after = make((8, 8, 1), 0), make((8, 8, 1), 10)
    taken = Start("run 1", dict(before.state_dict())).into(after, tuple("0123456789"))
    encoder = [name for name in before.state_dict() if name.startswith("encoder.")]
    assert list(taken.loaded) == encoder
    assert {name for name, _ in taken.new} == {"head.weight", "head.bias"}
    assert set(taken.left) == before.state_dict().keys() - {*encoder}
    for name in encoder:
        assert torch.equal(after.state_dict()[name], before.state_dict()[name])


@pytest.mark.parametrize("model", ["Autoencoder", "ConvAutoencoder"])
def test_pretrained_on_unlabelled_digits_it_is_probed_and_fine_tuned(
    recipe: Make, events: CarryOut, model: str
) -> None:
    mending = recipe(
        model=model, task="Reconstruction", task__corruption="masking", method__epochs=10,
        method__batch_size=32, method__threads=1,
    )  # fmt: skip
    finished(events(mending))
    probe = recipe(model=model, task="Classification", method="LinearProbe", start=1,
                   method__epochs=20, method__threads=1)  # fmt: skip
    probed = finished(events(probe, number=2)).metrics
    # Codes of chance, a probe of which knows less.
    chance = recipe(model=model, task="Reconstruction", method__max_steps=1,
                    method__learning_rate=1e-7, method__threads=1)  # fmt: skip
    finished(events(chance, number=3))
    other = probe.model_copy(update={"start": 3})
    assert probed["test/accuracy"] > finished(events(other, number=4)).metrics["test/accuracy"]
    assert all(name.startswith("decoder.") for name in probed["start"]["left"])
    tuned = recipe(model=model, task="Classification", start=1, method__max_steps=2,
                   method__threads=1)  # fmt: skip
    assert finished(events(tuned, number=5)).metrics["start"]["loaded"] == probed["start"]["loaded"]


def test_the_baselines_see_every_class_where_one_lies_behind_the_other() -> None:
    black_then_white = torch.cat([torch.zeros(4, 1, 2, 2), torch.ones(4, 1, 2, 2)])
    rows = np.arange(8)
    data: Any = SimpleNamespace(
        shape=(2**12, 2**12, 1),  # so large that only four are compared
        splits={"train": rows, "test": rows}, labels=None,
        fed=SimpleNamespace(gather=lambda rows, *_: {"images": black_then_white[rows]}),
    )  # fmt: skip
    assert Reconstruction().baselines(data)["the mean picture"]["mse"] == pytest.approx(0.25)
