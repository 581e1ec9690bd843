"""What explanations must hold, whatever the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine import session
from engine.data.batches import Batch
from engine.events import Event
from engine.explanations import Importance
from engine.explanations.attention import recorded
from engine.explanations.deletion import deletion
from engine.explanations.grad_cam import last_maps
from engine.explanations.gradients import IntegratedGradients
from engine.explanations.occlusion import Occlusion
from engine.explanations.rollout import AttentionRollout, rollout
from engine.explanations.subject import Subject, plainly
from engine.home import Home
from engine.predict import read
from engine.recipe import Recipe

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]


@pytest.fixture
def subject(home: Home, recipe: Make) -> Callable[..., Subject]:
    """One item before a model of chance, of the recipe's settings."""

    def make(given: dict[str, Any] | None = None, **names: Any) -> Subject:
        setup = session.make(recipe(**names), home)
        setup.model.eval()
        if given is None:
            batch = Batch(setup.data.fed.gather(setup.data.splits["test"][:1], CPU, None))
            return Subject(setup, home, batch, {})
        return Subject(setup, home, *read(given, setup.data))

    return make


CPU = torch.device("cpu")


class Linear(nn.Module):
    """Two numbers, each a weighted sum of all that it is given."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, *shape))
        self.dropout = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        return (images[:, None] * self.weight).flatten(2).sum(2)


class Corner(nn.Module):
    """Sure of the first class where the lower right corner is bright, and sees nothing else."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images[:, :, 5:, 5:].mean((1, 2, 3)) * 12 - 2
        return torch.stack([bright, -bright], 1)


def with_model(subject: Subject, model: nn.Module, picture: Tensor) -> Subject:
    """The same run as if its model were that one, and its item that picture."""
    object.__setattr__(subject.setup, "model", model.eval())
    return Subject(subject.setup, subject.home, Batch({"images": picture}), {})


# --- laws ----------------------------------------------------------------------------------


def test_integrated_gradients_of_a_linear_model_are_weights_times_inputs(
    subject: Callable[..., Subject],
) -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 1, 8, 8)
    one = with_model(subject(), Linear(1, 8, 8), picture)
    one.target = 1
    found, facts = IntegratedGradients(steps=8).importance(one)
    wanted = one.model.weight[1] * (picture - one.ground.nothing)[0]  # type: ignore[index, operator]
    torch.testing.assert_close(found, wanted[0].detach())
    assert facts["sum"] == pytest.approx(float(found.sum()), abs=1e-4)
    assert facts["missing"] < 1e-4


def test_why_one_rather_than_the_other_is_the_difference_of_both(
    subject: Callable[..., Subject],
) -> None:
    torch.manual_seed(0)
    one = with_model(subject(), Linear(1, 8, 8), torch.rand(1, 1, 8, 8))
    each = []
    for target in (0, 1):
        one.target = target
        each.append(IntegratedGradients(steps=8).importance(one)[0])
    one.against = 0
    torch.testing.assert_close(
        IntegratedGradients(steps=8).importance(one)[0], each[1] - each[0], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("how", [Occlusion(window=0.25), IntegratedGradients()])
def test_a_model_that_looks_at_one_corner_is_found_out(
    subject: Callable[..., Subject], how: Importance
) -> None:
    torch.manual_seed(0)
    one = with_model(subject(), Corner(), torch.rand(1, 1, 8, 8) / 2 + 0.5)
    found, _ = how.importance(one)
    row, column = divmod(int(found.argmax()), 8)
    assert min(row, column) >= 5
    assert found[:4, :4].abs().max() == 0
    told = deletion(one, found)
    assert told["beaten"] == told["draws"]
    assert told["area"] < told["random_area"]
    assert told["explained"][0] == told["random"][0]
    assert told["explained"][-1] == told["random"][-1]


def test_an_order_that_is_the_wrong_way_round_beats_no_draw(
    subject: Callable[..., Subject],
) -> None:
    one = with_model(subject(), Corner(), torch.ones(1, 1, 8, 8))
    wrong = torch.ones(8, 8)
    wrong[5:, 5:] = 0
    assert deletion(one, wrong)["beaten"] == 0


def test_grad_cam_is_that_of_captum(subject: Callable[..., Subject]) -> None:
    from captum.attr import LayerGradCam

    one = subject()
    name, maps, gradients = last_maps(one)
    ours = (gradients.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
    layer = one.model.get_submodule(name)
    with plainly(one.model):
        theirs = LayerGradCam(one.score, layer).attribute(
            one.ground.values.clone().requires_grad_(), relu_attributions=True
        )
    torch.testing.assert_close(ours, theirs.detach())


def test_what_was_written_over_in_place_is_so_again_afterwards() -> None:
    model = Linear(1, 2, 2)
    with plainly(model):
        assert not model.dropout.inplace
        assert not model.weight.requires_grad
    assert model.dropout.inplace
    assert model.weight.requires_grad


def test_rows_of_attention_and_of_its_rollout_add_up_to_one(
    subject: Callable[..., Subject],
) -> None:
    one = subject(model="VisionTransformer", model__width=16, model__layers=2, model__heads=2,
                  model__read="class token")  # fmt: skip
    layers = recorded(lambda: one.read())
    assert len(layers) == 2
    for shares in layers:
        assert shares.shape == (1, 2, 5, 5)  # four patches and the class token
        torch.testing.assert_close(shares.sum(-1), torch.ones(1, 2, 5))
    torch.testing.assert_close(rollout([one[0] for one in layers]).sum(1), torch.ones(5))
    found, facts = AttentionRollout().importance(one)
    assert found.shape == (8, 8)
    assert facts["map"] == [2, 2]


def test_what_is_recorded_is_what_attention_computes() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 5, 8)
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    mask[1, ..., 3:] = False
    attend = torch.nn.functional.scaled_dot_product_attention
    for how in ({}, {"is_causal": True}, {"attn_mask": mask}):
        told: list[Tensor] = []
        (shares,) = recorded(
            lambda how=how, told=told: told.append(attend(query, key, value, **how))
        )
        torch.testing.assert_close(shares @ value, told[0], atol=1e-5, rtol=1e-4)
        if "attn_mask" in how:
            assert shares[1, ..., 3:].max() == 0


@pytest.mark.parametrize("how", [IntegratedGradients(steps=8), Occlusion()])
@pytest.mark.parametrize("model", ["LSTM", "TCN"])
def test_padding_gets_no_importance_and_changes_none(
    subject: Callable[..., Subject], how: Importance, model: str
) -> None:
    one = subject(data="MnistRows", model=model)
    values = one.batch.inputs["values"][:, :9]
    lengths = torch.tensor([9])
    alone = Subject(one.setup, one.home, Batch({"values": values, "lengths": lengths}), {})
    padded = torch.cat([values, torch.full((1, 5, values.shape[2]), 7.0)], 1)
    longer = Subject(one.setup, one.home, Batch({"values": padded, "lengths": lengths}), {})
    whole = how.of(longer)
    assert whole["steps"] == len(whole["strip"]) == 9
    found = longer.ground.real(how.importance(longer)[0].detach().float())
    assert found[9:].abs().max() == 0
    if isinstance(how, IntegratedGradients):
        torch.testing.assert_close(found[:9], how.importance(alone)[0], atol=1e-5, rtol=1e-3)
