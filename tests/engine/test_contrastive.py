"""Learning from views: how they are made, what is compared, and what it is worth afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import checkpoint, session
from engine.augmentation.views import Views, blur
from engine.data.batches import Batch
from engine.events import Event, Finished, Point
from engine.home import Home
from engine.models.convnet import ConvNet
from engine.models.torchvision_models import TorchvisionModel
from engine.predict import Predictor
from engine.recipe import Recipe
from engine.tasks import contrastive
from engine.tasks.contrastive import Contrastive, PairMeter, alike, partners

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]
RESNET: dict[str, Any] = {"model": "ResNet", "model__depth": "8", "model__width": 8}
PLAIN = Views(smallest=1, jitter=0, grey=0)


def lots(count: int, **chosen: float) -> Tensor:
    """What decides so many views, all in the middle but for what is named."""
    names = ("area", "ratio", "down", "right", "mirror", "soft", "sigma",
             "chosen", "bright", "hard", "strong", "turned", "pale")  # fmt: skip
    values = dict.fromkeys(names, 0.5) | chosen
    return torch.tensor([[values[name] for name in names]]).expand(count, -1)


def pictures(count: int = 3, depth: int = 3, height: int = 8, width: int = 6) -> Tensor:
    return torch.rand(count, depth, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("depth", [1, 3])
def test_a_view_of_all_of_a_picture_is_the_picture(depth: int) -> None:
    images = pictures(depth=depth)
    assert torch.allclose(PLAIN(images, lots(3)), images, atol=1e-5)
    mirrored = Views(smallest=1, jitter=0, grey=0, flip=True)
    assert torch.allclose(mirrored(images, lots(3, mirror=0.4)), images.flip(3), atol=1e-5)
    assert torch.allclose(mirrored(images, lots(3, mirror=0.6)), images, atol=1e-5)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_crop_shows_its_part_of_the_picture_alone(down: int, right: int) -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[..., 4 * down : 4 * down + 4, 4 * right : 4 * right + 4] = 1
    quarter = Views(smallest=0.25, jitter=0, grey=0)
    seen = quarter(images, lots(1, area=0, ratio=0.5, down=down, right=right))
    # Half of each side: only between the last pixel of the quarter and the next is any grey.
    assert seen[..., 1:-1, 1:-1].min() == 1
    other = quarter(images, lots(1, area=0, ratio=0.5, down=1 - down, right=1 - right))
    assert other[..., 1:-1, 1:-1].max() == 0


def test_a_crop_is_as_large_as_was_drawn() -> None:
    ramp = torch.arange(16.0).expand(1, 1, 16, 16) / 16
    seen = Views(smallest=0.25, jitter=0, grey=0)(ramp, lots(1, area=0, ratio=0.5))
    step = seen[0, 0, 8, 2:-2].diff()
    assert torch.allclose(step, torch.full_like(step, 0.5 / 16), atol=1e-5)


def test_a_view_depends_on_its_own_picture_and_draw_alone() -> None:
    images, drawn = pictures(4), torch.rand(4, Views.LOTS)
    views = Views(flip=True, blur=0.5)
    together = views(images, drawn)
    for i in range(4):
        assert torch.allclose(views(images[i : i + 1], drawn[i : i + 1])[0], together[i], atol=1e-5)
    assert together.min() >= 0
    assert together.max() <= 1


def test_a_grey_view_keeps_how_bright_each_pixel_is() -> None:
    images = pictures()
    seen = Views(smallest=1, jitter=0, grey=0.2)(images, lots(3, pale=0.1))
    bright = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    for channel in seen.unbind(1):
        assert torch.allclose(channel, bright, atol=1e-3)


def test_hues_turn_about_the_grey_axis() -> None:
    images = 0.3 + 0.2 * pictures()
    grey = images[:, :1].expand_as(images)
    # Neither brighter nor harder, all hues turned as far as they go.
    most = lots(3, chosen=0, turned=0.999)
    turning = Views(smallest=1, jitter=1, grey=0)
    assert torch.allclose(turning(grey, most), grey, atol=1e-3)
    seen = turning(images, most)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    assert torch.allclose((seen * weights).sum(1), (images * weights).sum(1), atol=2e-3)
    assert (seen - images).abs().max() > 0.02


def test_brightness_and_contrast_are_about_the_mean() -> None:
    images = torch.full((1, 1, 4, 4), 0.4)
    images[..., 0] = 0.2
    jittered = Views(smallest=1, jitter=0.5, grey=0)
    brighter = jittered(images, lots(1, chosen=0, bright=1))
    assert torch.allclose(brighter, images * 1.4, atol=1e-5)
    harder = jittered(images, lots(1, chosen=0, hard=1))
    assert torch.allclose(harder, 0.35 + 1.4 * (images - 0.35), atol=1e-5)
    assert torch.allclose(jittered(images, lots(1, chosen=0.9, hard=1)), images, atol=1e-5)


def test_a_blur_keeps_the_light_and_spreads_it() -> None:
    flat = torch.full((2, 3, 16, 12), 0.7)
    assert torch.allclose(blur(flat, torch.tensor([0.0, 1.0])), flat, atol=1e-5)
    dot = torch.zeros(2, 1, 17, 17)
    dot[..., 8, 8] = 1
    little, much = blur(dot, torch.tensor([0.0, 1.0]))[:, 0]
    assert torch.allclose(little, dot[0, 0], atol=1e-4)
    assert float(much.sum()) == pytest.approx(1, abs=0.02)
    assert torch.allclose(much, much.T, atol=1e-6)
    assert much[8, 8] < 0.2


def test_the_loss_is_that_of_the_paper() -> None:
    """Chen et al. 2020, equation 1, written out."""
    codes = torch.randn(6, 5, generator=torch.Generator().manual_seed(2))
    temperature, unit = 0.3, codes / codes.norm(dim=1, keepdim=True)
    losses = []
    for i in range(6):
        j = (i + 3) % 6
        likeness = [math.exp(float(unit[i] @ unit[k]) / temperature) for k in range(6)]
        losses.append(-math.log(likeness[j] / sum(likeness[k] for k in range(6) if k != i)))

    class Said(torch.nn.Module):
        def forward(self, views: Tensor) -> Tensor:
            return codes

    step = Contrastive(temperature=temperature).step(Said(), Batch({"images": pictures(3)}))  # type: ignore[arg-type]
    assert float(step["loss"]) == pytest.approx(sum(losses) / 6, rel=1e-5)
    assert float(step["output"].diagonal().max()) == -math.inf


def test_a_single_picture_has_nothing_to_be_told_from() -> None:
    output = alike(torch.randn(2, 4))
    assert partners(output).tolist() == [1, 0]
    scores = scored(pictures_codes(1), batches=[1])
    assert (scores["loss"], scores["contrastive_accuracy"]) == (0.0, 1.0)


def pictures_codes(count: int) -> Tensor:
    """Of two views of each picture (2, count, 6), more alike than those of others."""
    chance = torch.Generator().manual_seed(5)
    own, each = (torch.randn(n, count, 6, generator=chance) for n in (1, 2))
    return own + each


def scored(codes: Tensor, batches: list[int], rows: Any = None) -> dict[str, Any]:
    """What is measured where batches are so large, and pictures come in this order."""
    rows = np.arange(codes.shape[1]) if rows is None else rows
    meter, at = PairMeter(0.3), 0
    for size in batches:
        some = rows[at : at + size]
        meter.update({"codes": codes[:, some].flatten(0, 1)},
                     Batch({"images": torch.zeros(size, 1)}, rows=some))  # fmt: skip
        at += size
    assert at == len(rows)
    return meter.compute()


def test_what_is_measured_depends_neither_on_batches_nor_on_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contrastive, "GROUP", 8)
    codes = pictures_codes(27)
    whole = scored(codes, [27])
    assert scored(codes, [5, 5, 5, 5, 5, 2]) == whole
    assert scored(codes, [20, 7], np.random.default_rng(1).permutation(27)) == whole
    assert "15 other views of a random group of 8" in whole["signatures"]["contrastive_accuracy"]
    # By hand: every picture counts once, the last three among five of a group before.
    order = np.random.default_rng(0).permutation(27)
    right, losses = [], []
    for begin in (0, 8, 16, 24):
        first = min(begin, 19)
        output = alike(codes[:, order[first : first + 8]].flatten(0, 1)) / 0.3
        for view in range(16):
            if first + view % 8 >= begin:
                partner = (view + 8) % 16
                right.append(int(output[view].argmax()) == partner)
                losses.append(float(output[view].logsumexp(0) - output[view, partner]))
    assert len(right) == 54
    assert whole["contrastive_accuracy"] == pytest.approx(np.mean(right))
    assert whole["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_split_smaller_than_a_group_is_one() -> None:
    codes = pictures_codes(20)
    output = alike(codes.flatten(0, 1)) / 0.3
    wanted = (output.argmax(1) == partners(output)).float().mean()
    scores = scored(codes, [6, 14])
    assert scores["contrastive_accuracy"] == pytest.approx(float(wanted))
    assert "39 other views" in scores["signatures"]["loss"]


def test_views_differ_in_training_and_stay_when_measured(home: Home, recipe: Make) -> None:
    setup = session.make(recipe(task="Contrastive", **RESNET), home)
    task, data = setup.task, setup.data
    rows = data.splits["validation"]
    feed = setup.method.judging(data, "validation", torch.device("cpu"))
    one, other = feed.batch(rows[:5]), feed.batch(rows[3:8])
    first, second = task.pair(one, fixed=True)
    assert not torch.equal(first, second)
    assert torch.equal(first, task.pair(one, fixed=True)[0])
    # A picture has its own views, whoever stands beside it.
    assert torch.allclose(first[3:5], task.pair(other, fixed=True)[0][:2], atol=1e-6)
    assert not torch.equal(task.pair(one, fixed=False)[0], task.pair(one, fixed=False)[0])


def test_views_are_mirrored_only_where_the_data_say_so(home: Home, recipe: Make) -> None:
    for flip in (False, True):
        setup = session.make(recipe(task="Contrastive", data__flip=flip, **RESNET), home)
        setup.task.prepare(setup.data)
        assert setup.task.views.flip is flip


@pytest.mark.parametrize("network", ["squeezenet1_0", "resnet18"])
def test_the_head_fits_any_features(network: str) -> None:
    model = TorchvisionModel((64, 64, 3), 7, network=network, side=64)
    Contrastive(dimensions=5, hidden=6).equip(model)
    assert model.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 5)


def test_the_head_is_made_without_a_trace_in_the_model() -> None:
    model = ConvNet((8, 8, 1), 3, channels=[4], hidden=[])
    before = {name: x.clone() for name, x in model.state_dict().items() if "head" not in name}
    Contrastive().equip(model)
    assert all(torch.equal(x, model.state_dict()[name]) for name, x in before.items())
    assert model.training


def test_what_was_learned_beats_chance_and_is_taken_over(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    how = {**RESNET, "task": "Contrastive", "method__threads": 1}
    *said, random = events(recipe(**how, method__epochs=1, method__learning_rate=1e-7), number=1)
    *_, learned = events(recipe(**how, method__epochs=15), number=2)
    assert isinstance(random, Finished)
    assert isinstance(learned, Finished)
    assert random.metrics["test/knn_accuracy"] < 0.85
    assert learned.metrics["test/knn_accuracy"] > random.metrics["test/knn_accuracy"] + 0.08
    assert learned.metrics["test/contrastive_accuracy"] > 0.05  # 1 of 511 by chance
    assert any(isinstance(e, Point) and e.series == "validation/knn_accuracy" for e in said)

    scores = []
    for start in (1, 2):
        *_, last = events(
            recipe(
                **RESNET, method="LinearProbe", method__epochs=10, method__threads=1, start=start
            ),
            number=10 + start,
        )
        assert isinstance(last, Finished)
        assert last.state == "finished", last.reason
        new = {row["name"] for row in last.metrics["start"]["new"]}
        assert new == {"head.weight", "head.bias"}
        scores.append(last.metrics["test/accuracy"])
    assert scores[1] > scores[0] + 0.1


def test_it_learns_the_same_whatever_the_labels_say(
    home: Home, recipe: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from engine.datasets.digits8 import Digits8x8

    whole = recipe(task="Contrastive", **RESNET, method__epochs=2, method__threads=1)
    first = events(whole, number=1)
    opened = Digits8x8.open

    def shuffled(self: Digits8x8, home: Home) -> Any:
        data = opened(self, home)
        assert data.labels is not None
        return replace(data, labels=(data.labels + 1 + data.labels % 7) % 10)

    monkeypatch.setattr(Digits8x8, "open", shuffled)
    second = events(whole, number=2)
    for series in ("train/loss", "validation/loss", "validation/contrastive_accuracy"):
        one, other = ([e.value for e in said if isinstance(e, Point) and e.series == series]
                      for said in (first, second))  # fmt: skip
        assert one == other, series
    one, other = (checkpoint.weights(checkpoint.find(home.checkpoints(n), "best")[1])
                  for n in (1, 2))  # fmt: skip
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_two_views_of_a_new_picture_can_be_seen(home: Home, recipe: Make, events: CarryOut) -> None:
    from engine.look import item

    whole = recipe(task="Contrastive", **RESNET, method__max_steps=1)
    events(whole)
    data = session.make(whole, home).data
    (answer,) = Predictor(home, 1).answer([{"png": item(data, 0, None)["png"]}])["results"]
    assert -1 <= answer["similarity"] <= 1
    assert len(set(answer["views"])) == 2
