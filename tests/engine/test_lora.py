"""Small matrices beside frozen layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from engine import checkpoint, session
from engine.catalog import BadInput
from engine.data.batches import Feed
from engine.estimate import estimate
from engine.events import Event, Finished
from engine.home import Home
from engine.methods.lora import LAYERS, LoRA, Where, called, merged, take_off
from engine.models import Model
from engine.models.resnet import ResNet
from engine.models.vit import VisionTransformer
from engine.pictures import png
from engine.predict import Predictor
from engine.recipe import Recipe

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]
VIT: dict[str, Any] = {
    "model": "VisionTransformer", "model__width": 16, "model__layers": 2, "model__heads": 2,
}  # fmt: skip


@pytest.fixture
def pretrained(recipe: Make, events: CarryOut) -> int:
    *_, last = events(recipe(**VIT, method__epochs=2), number=1)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    return 1


def weights(home: Home, run: int) -> dict[str, torch.Tensor]:
    return checkpoint.weights(checkpoint.find(home.checkpoints(run), "last")[1])


@pytest.mark.parametrize(
    ("where", "adapted"),
    [("attention", {"inwards", "outwards"}), ("linear layers", {"inwards", "outwards", "0", "2"})],
)
def test_only_the_chosen_layers_and_the_head_learn(
    home: Home, recipe: Make, events: CarryOut, pretrained: int, where: Where, adapted: set[str]
) -> None:
    *_, last = events(
        recipe(**VIT, method="LoRA", method__where=where, method__epochs=2, start=pretrained),
        number=2,
    )
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    before = checkpoint.weights(checkpoint.find(home.checkpoints(1), "best")[1])
    after = weights(home, 2)
    assert before.keys() == after.keys()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert {"head.weight", "head.bias"} < changed
    below = changed - {"head.weight", "head.bias"}
    assert all(name.startswith("blocks.") for name in below)
    assert {name.split(".")[-2] for name in below} == adapted
    for name in below:  # at most of the rank that was asked for
        assert torch.linalg.matrix_rank(after[name] - before[name], atol=1e-4) <= 8


def test_it_begins_as_it_was_and_is_kept_as_it_answers() -> None:
    torch.manual_seed(0)
    model = VisionTransformer((8, 8, 1), 3, width=16, layers=2, heads=2).eval()
    images = torch.rand(5, 1, 8, 8)
    before, names = model(images), list(model.state_dict())
    LoRA(r=2).adapt(model)
    torch.testing.assert_close(model(images), before)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    answer, kept = model(images), merged(model)
    assert not torch.allclose(answer, before, atol=1e-3)
    take_off(model)
    assert list(model.state_dict()) == names
    torch.testing.assert_close(model(images), before)
    model.load_state_dict(kept)
    torch.testing.assert_close(model(images), answer, atol=1e-5, rtol=1e-4)


def test_convolutions_can_be_adapted_and_norms_stay_still() -> None:
    model = ResNet((8, 8, 1), 3, depth="8", width=4)
    LoRA(r=2, where="linear layers and convolutions", adapter_dropout=0.5).adapt(model)
    still = {name: value.clone() for name, value in model.named_buffers()}
    model.train()
    model(torch.rand(6, 1, 8, 8)).sum().backward()
    learning = {name for name, p in model.named_parameters() if p.grad is not None}
    assert all(".lora_" in name or name.startswith("head.") for name in learning)
    assert any(name.startswith("stages.") for name in learning)
    for name, value in model.named_buffers():
        assert torch.equal(value, still[name]), name
    dropouts = [p for n, p in model.named_modules() if n.endswith("lora_dropout.adapter")]
    assert dropouts
    assert all(dropout.training for dropout in dropouts)
    model.eval()
    assert not any(dropout.training for dropout in dropouts)


def test_a_model_without_such_layers_says_so() -> None:
    with pytest.raises(BadInput, match="has no attention below its output") as problem:
        LoRA(where="attention").adapt(ResNet((8, 8, 1), 3, depth="8", width=4))
    assert problem.value.field == "method.where"


@pytest.mark.parametrize("average", [None, 0.9])
def test_a_run_that_was_paused_is_the_same_run(
    home: Home, recipe: Make, events: CarryOut, pretrained: int, average: float | None
) -> None:
    made = recipe(**VIT, method="LoRA", method__epochs=3, method__average=average,
                  start=pretrained)  # fmt: skip
    events(made, number=2)
    events(made, number=3, wishes={15: "pause"})
    *_, last = events(made, number=3, resume=True)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    for name, tensor in weights(home, 2).items():
        assert torch.equal(tensor, weights(home, 3)[name]), name


def test_it_answers_and_is_a_start_like_any_other(
    home: Home, recipe: Make, events: CarryOut, pretrained: int
) -> None:
    events(recipe(**VIT, method="LoRA", method__epochs=1, start=pretrained), number=2)
    data = session.make(recipe(**VIT), home).data
    picture = png(data.fed.gather(data.splits["test"][:1], torch.device("cpu"), None)["images"][0])
    found = Predictor(home, 2).answer([{"png": picture.rpartition(",")[2]}])
    assert len(found["results"][0]["classes"]) == 10
    *_, last = events(recipe(**VIT, method="LinearProbe", method__epochs=1, start=2), number=3)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert not last.metrics["start"]["new"]


def test_an_estimate_tells_how_little_learns(home: Home, recipe: Make, pretrained: int) -> None:
    found = estimate(recipe(**VIT, method="LoRA", method__r=4, method__where="attention",
                            start=pretrained), home)  # fmt: skip
    each = 4 * (16 + 48) + 4 * (16 + 16)
    assert found["trainable"] == 2 * each + 16 * 10 + 10


def test_weights_that_are_made_of_others_shared_or_never_called_are_left_alone() -> None:
    class Odd(Model):
        def __init__(self) -> None:
            super().__init__((4,), 2)
            self.table = nn.Embedding(7, 4)
            self.tied = nn.Linear(4, 7, bias=False)
            self.tied.weight = self.table.weight
            self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
            self.wide = nn.Conv1d(4, 4, 3, dilation=2)
            self.usual = nn.Conv1d(4, 4, 3)
            self.dense = nn.Linear(4, 4)
            self.head = nn.Linear(4, 2)

    assert set(LAYERS["linear layers and convolutions"](Odd())) == {"usual", "dense", "head"}


def test_a_layer_that_is_only_read_gets_no_matrices(home: Home, recipe: Make) -> None:
    network = {"model": "TorchvisionModel", "model__network": "swin_t", "model__side": 32}
    setup = session.make(recipe(**network), home)
    feed = Feed(setup.data, "train", batch_size=2, device=torch.device("cpu"))
    seen = called(setup.model, setup.task, feed)
    assert not any(name.endswith("attn.qkv") for name in seen)
    with pytest.raises(BadInput, match="has no attention below its output"):
        LoRA(where="attention").adapt(setup.model, seen)
    LoRA(where="linear layers").adapt(setup.model, seen)
    setup.model.eval()
    setup.task.step(setup.model, next(iter(feed.batches())))["loss"].backward()
    matrices = [p for name, p in setup.model.named_parameters() if "lora_B" in name]
    assert matrices
    assert all(matrix.grad is not None for matrix in matrices)
