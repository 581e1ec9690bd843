"""Drawing covered patches: how pictures are cut, what is covered, what is handed on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import checkpoint, session
from engine.data.batches import Batch, Data
from engine.data.items import Images
from engine.events import Event, Finished, Sample
from engine.home import Home
from engine.layers.patches import cut, paste
from engine.look import item
from engine.models.masked_autoencoder import MaskedAutoencoder
from engine.models.vit import VisionTransformer
from engine.predict import Predictor
from engine.recipe import Recipe
from engine.tasks import masked_images
from engine.tasks.masked_images import MaskedImages

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]
READING: dict[str, Any] = {"patch": 2, "width": 16, "layers": 2, "heads": 2}
CODER: dict[str, Any] = {
    "task": "MaskedImages", "model": "MaskedAutoencoder", "model__drawn_width": 16,
    "method__threads": 1, **{f"model__{name}": value for name, value in READING.items()},
}  # fmt: skip


def pictures(count: int = 3, depth: int = 3, height: int = 7, width: int = 6) -> Tensor:
    return torch.rand(count, depth, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("height", "width", "side"), [(8, 8, 2), (7, 6, 3), (5, 8, 4), (4, 4, 1)])
def test_patches_are_cut_row_by_row_and_pasted_again(height: int, width: int, side: int) -> None:
    images = pictures(height=height, width=width)
    patches = cut(images, side)
    across = -(-width // side)
    assert patches.shape == (3, -(-height // side) * across, 3 * side**2)
    # The second patch of the second row, if there is one; else the second patch.
    row, column = (1, 1) if height >= 2 * side and width >= 2 * side else (0, 1)
    part = images[:, :, row * side : (row + 1) * side, column * side : (column + 1) * side]
    assert torch.equal(patches[:, row * across + column].view(part.shape), part)
    assert torch.equal(paste(patches, (height, width, 3), side), images)


def model(**more: Any) -> MaskedAutoencoder:
    torch.manual_seed(0)
    return MaskedAutoencoder((7, 6, 3), 0, **{**READING, "drawn_width": 16, **more}).eval()


@pytest.mark.parametrize("read", ["mean", "class token"])
def test_what_is_covered_is_not_seen_and_the_order_doesnt_matter(read: str) -> None:
    coder, images = model(read=read), pictures()  # 4 × 3 patches
    seen = torch.tensor([[0, 5, 11], [2, 3, 4], [8, 1, 7]])
    drawn = coder.complete(images, seen)
    assert drawn.shape == (3, 12, 12)
    assert torch.allclose(coder.complete(images, seen.flip(1)), drawn, atol=1e-5)

    patches = cut(images, 2)
    covered = torch.ones(3, 12, dtype=torch.bool).scatter(1, seen, False)
    patches[covered] = 0.123
    changed = paste(patches, (7, 6, 3), 2)
    assert torch.allclose(coder.complete(changed, seen), drawn, atol=1e-5)
    patches[:, 5] = 0.9  # seen in the first picture alone
    other = coder.complete(paste(patches, (7, 6, 3), 2), seen)
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(other, drawn, strict=True)]
    assert same == [False, True, True]


def test_reading_all_patches_is_reading_the_picture() -> None:
    coder, images = model(), pictures()
    whole = coder.read(images)
    assert torch.allclose(coder.read(images, torch.arange(12).expand(3, -1)), whole, atol=1e-6)


@pytest.mark.parametrize("read", ["mean", "class token"])
@pytest.mark.parametrize("places", ["sin-cos", "learned"])
def test_all_that_reads_is_named_as_a_vision_transformers(read: str, places: str) -> None:
    how = {**READING, "read": read, "places": places}
    ours = dict(MaskedAutoencoder((7, 6, 3), 0, **how).named_parameters())
    theirs = dict(VisionTransformer((7, 6, 3), 4, **how).named_parameters())
    shared = {name for name in ours if not name.startswith("decoder.")}
    assert shared == {name for name in theirs if not name.startswith("head.")}
    assert all(ours[name].shape == theirs[name].shape for name in shared)


@pytest.mark.parametrize(
    ("share", "patches", "seen"), [(0.75, 16, 4), (0.75, 49, 12), (0.95, 4, 1), (0.1, 2, 1)]
)
def test_so_many_patches_are_covered_each_once(share: float, patches: int, seen: int) -> None:
    batch = Batch({"images": pictures(5)}, rows=np.arange(10, 15))
    task = MaskedImages(share=share)
    for fixed in (True, False):
        shown, covered = task.seen(batch, patches, fixed=fixed)
        assert shown.shape == (5, seen)
        both = torch.cat([shown, covered], 1).sort(1).values
        assert torch.equal(both, torch.arange(patches).expand(5, -1))
    again, _ = task.seen(batch, patches, fixed=True)
    alone = Batch({"images": pictures(1)}, rows=np.array([12]))
    assert torch.equal(task.seen(alone, patches, fixed=True)[0][0], again[2])
    if patches > 4:
        assert not torch.equal(*(task.seen(batch, patches, fixed=False)[0] for _ in range(2)))


class Blind:
    """Draws the same in every patch."""

    patch = 2

    def __init__(self, drawn: Tensor) -> None:
        self.drawn = drawn

    def complete(self, images: Tensor, seen: Tensor) -> Tensor:
        return self.drawn


def test_the_loss_is_over_what_is_covered_alone() -> None:
    images = pictures(2, 1, 4, 4)
    batch, task = Batch({"images": images}, rows=np.arange(2)), MaskedImages(normalized=False)
    _, covered = task.seen(batch, 4, fixed=True)
    true = cut(images, 2)
    wrong = true.scatter_add(1, covered[:, :, None].expand(-1, -1, 4), torch.full((2, 3, 4), 0.2))
    task.equip(Blind(wrong))  # type: ignore[arg-type]
    assert float(task.step(Blind(wrong), batch)["loss"]) == pytest.approx(0.04, rel=1e-4)
    right_there = true + 5
    right_there.scatter_(
        1,
        covered[:, :, None].expand(-1, -1, 4),
        true.gather(1, covered[:, :, None].expand(-1, -1, 4)),
    )
    assert float(task.step(Blind(right_there), batch)["loss"]) == pytest.approx(0, abs=1e-9)


def test_normalized_patches_have_no_mean_and_one_deviation() -> None:
    task, true = MaskedImages(), cut(pictures(), 2)
    wanted, mean, deviation = task.wanted(true)
    assert torch.allclose(wanted.mean(2), torch.zeros(3, 12), atol=1e-5)
    rough = true.var(2, correction=0) > 0.02
    assert torch.allclose(
        wanted.var(2, correction=0)[rough], torch.ones(int(rough.sum())), atol=0.02
    )
    assert torch.allclose(wanted * deviation + mean, true, atol=1e-6)
    flat, *_ = task.wanted(torch.full((1, 1, 4), 0.7))
    assert torch.allclose(flat, torch.zeros(1, 1, 4), atol=1e-3)


def test_a_vision_transformer_starts_from_what_it_learned(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    *said, last = events(recipe(**CODER, method__epochs=3), number=1)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert last.metrics["test/loss"] < 1.2
    assert {"the mean of each patch", "raw pixels"} <= last.metrics["baselines"].keys()
    rows = next(e.data["rows"] for e in said if isinstance(e, Sample) and e.kind == "images")
    assert [row["label"] for row in rows] == ["original", "masked", "filled in"]
    assert all(len(set(three)) == 3 for three in zip(*(row["images"] for row in rows), strict=True))

    reading = {name: value for name, value in CODER.items() if name.split("__")[-1] in READING}
    *_, last = events(recipe(
        model="VisionTransformer", **reading, method="LinearProbe", method__epochs=1, start=1,
    ), number=2)  # fmt: skip
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert {row["name"] for row in last.metrics["start"]["new"]} == {"head.weight", "head.bias"}
    before, after = (
        checkpoint.weights(checkpoint.find(home.checkpoints(run), "best")[1]) for run in (1, 2)
    )
    for name, tensor in after.items():
        assert name.startswith("head.") or torch.equal(tensor, before[name]), name


def test_drawing_a_few_digits_can_be_learned_by_heart(home: Home, recipe: Make) -> None:
    """The picture that is covered has to come from somewhere: from what is seen of it."""
    setup = session.make(recipe(**CODER, task__share=0.5), home)
    coder, task, data = setup.model, setup.task, setup.data
    feed = setup.method.judging(data, "train", torch.device("cpu"))
    batch = feed.batch(data.splits["train"][:4])
    learner = torch.optim.AdamW(coder.parameters(), 3e-3)
    losses = []
    for _ in range(150):
        coder.eval()  # the same patches every time
        loss = task.step(coder, batch)["loss"]
        loss.backward()
        learner.step()
        learner.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_a_new_picture_is_shown_covered_and_filled_in(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    whole = recipe(**CODER, method__max_steps=1)
    events(whole)
    data = session.make(whole, home).data
    (answer,) = Predictor(home, 1).answer([{"png": item(data, 0, None)["png"]}])["results"]
    assert len({answer["input"], answer["masked"], answer["reconstruction"]}) == 3
    assert 0 < answer["error"] < 1


def test_the_baseline_sees_every_class_where_one_lies_behind_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = np.full((8, 4, 4, 1), 128, np.uint8)
    pixels[4:, ::2] = 255  # the other class has stripes
    rows = np.arange(8)
    data = Data(Images(pixels), None, (), {"train": rows, "validation": rows, "test": rows}, "")
    task = MaskedImages(normalized=False)
    task.side = 2
    whole = task.baselines(data)["the mean of each patch"]["loss"]
    monkeypatch.setattr(masked_images, "COMPARED", 4)
    assert task.baselines(data)["the mean of each patch"]["loss"] == pytest.approx(whole, 1e-5)
    assert whole > 0.01
