"""What explanations must hold, whatever the model."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from engine import session
from engine.calibration import Temperature, keep
from engine.catalog import BadInput
from engine.data.batches import Batch
from engine.data.tokens import Tokenizer
from engine.events import Event
from engine.explain import Explainer, drawn, number_of, numbers, ways
from engine.explanations import Importance
from engine.explanations.attention import recorded
from engine.explanations.attention_maps import AttentionMaps
from engine.explanations.deletion import deletion
from engine.explanations.feature_maps import FeatureMaps
from engine.explanations.grad_cam import last_maps
from engine.explanations.gradients import IntegratedGradients
from engine.explanations.grounds import Steps, Words
from engine.explanations.latent_walk import LatentWalk
from engine.explanations.occlusion import Occlusion
from engine.explanations.rollout import AttentionRollout, rollout
from engine.explanations.subject import Subject, TakenBack, plainly
from engine.explanations.words import joined
from engine.home import Home
from engine.predict import Predictor, read
from engine.recipe import Recipe
from tests.engine.test_predict import png

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


def test_words_are_joined_and_padding_is_no_word(subject: Callable[..., Subject]) -> None:
    one = subject({"text": "Return the sorted list."}, data="DocstringTopics", model="TextLSTM",
                  model__embedding=8, model__width=8)  # fmt: skip
    tokens, lengths = one.batch.inputs["tokens"], one.batch.inputs["lengths"]
    padded = torch.cat([tokens, torch.zeros(1, 6, dtype=torch.long)], 1)
    inputs = {"tokens": padded, "lengths": lengths}
    longer = Subject(one.setup, one.home, Batch(inputs), one.seen)
    for how in (IntegratedGradients(steps=8), Occlusion()):
        alone, whole = how.of(one), how.of(longer)
        said = "".join(word["before"] + word["text"] for word in whole["words"])
        assert said == "Return the sorted list."
        for a, b in zip(alone["words"], whole["words"], strict=True):
            assert a["text"] == b["text"]
            assert a["value"] == pytest.approx(b["value"], abs=1e-3)
        assert len(whole["sanity"]["removed"]) <= int(lengths[0]) + 1


@pytest.mark.parametrize("kind", ["words", "WordPiece", "BPE", "characters"])
def test_tokens_of_a_word_are_brought_together(kind: Any) -> None:
    text = "Don't panic:  naïve 世界 cats"
    tokenizer = Tokenizer.learned([text, "cat"] * 4, kind, vocabulary=300)
    (tokens,) = tokenizer.encode([text])
    words = joined(text, tokens, tokenizer)
    assert "".join(before + word for before, word, _ in words) == text
    assert [place for _, _, places in words for place in places] == list(range(len(tokens)))
    said = {word for _, word, _ in words}
    assert {"panic", "naïve", "cats"} <= said
    # Signs of a script without spaces stand alone, unless one token is both.
    assert {"世", "界"} <= said or "世界" in said


# --- a finished run ------------------------------------------------------------------------


@pytest.fixture
def explainer(home: Home, recipe: Make, events: CarryOut) -> Callable[..., Explainer]:
    def make(**names: Any) -> Explainer:
        events(recipe(**names))
        return Explainer(Predictor(home, 1), home)

    return make


def digit(home: Home, explainer: Explainer, row: int) -> dict[str, str]:
    data = session.make(explainer.predictor.setup.recipe, home).data
    return {"png": png(data.items.pixels[row, :, :, 0])}


def test_a_training_item_looks_most_like_itself_and_is_computed_once(
    home: Home, explainer: Callable[..., Explainer]
) -> None:
    one = explainer()
    row = int(session.make(one.predictor.setup.recipe, home).data.splits["train"][5])
    given, said = digit(home, one, row), []
    first = one.explain(given, "NearestItems", say=said.append)["neighbours"]
    assert first["items"][0]["row"] == row
    assert first["items"][0]["cosine"] == pytest.approx(1, abs=1e-3)
    assert first["items"][0]["cosine"] >= first["items"][-1]["cosine"]
    assert said == sorted(said)
    said.clear()
    again = Explainer(one.predictor, home).explain(given, "NearestItems", say=said.append)
    assert again["neighbours"] == first
    assert not said  # nothing was left to compute


def test_the_probabilities_that_are_explained_are_those_that_predict_says(
    home: Home, explainer: Callable[..., Explainer]
) -> None:
    one = explainer()
    given = digit(home, one, 0)
    step = one.choices(given)["checkpoint"]["step"]
    keep(home, 1, Temperature(value=3.0, step=step))
    (said,) = one.predictor.answer([given])["results"]
    told = {number["name"]: number["value"] for number in one.choices(given)["numbers"]}
    for known in said["classes"]:
        assert told[known["label"]] == pytest.approx(known["probability"], abs=1e-5)
    found = one.explain(given, "GradCam")["sanity"]
    assert found["explained"][0] == pytest.approx(max(told.values()), abs=1e-4)


def test_progress_only_grows(home: Home, explainer: Callable[..., Explainer]) -> None:
    one, said = explainer(), list[float]()
    one.explain(digit(home, one, 0), "IntegratedGradients", say=said.append)
    assert said == sorted(said)
    assert said[-1] == pytest.approx(1, abs=0.1)


def test_a_book_is_not_looked_into(subject: Callable[..., Subject]) -> None:
    one = subject()
    for ground, name, most in ((Words, "tokens", 5_000), (Steps, "values", 20_000)):
        shape = (1, most + 1) if name == "tokens" else (1, most + 1, 2)
        inputs = {name: torch.zeros(shape), "lengths": torch.tensor([most + 1])}
        with pytest.raises(BadInput, match=f"of {most:,} at most"):
            ground(Batch(inputs), one.model, one.data, {})
        short = {name: inputs[name][:, 1:], "lengths": torch.tensor([most])}
        assert max(ground(Batch(short), one.model, one.data, {}).places) == most


def test_what_nobody_waits_for_ends_at_once(
    home: Home, explainer: Callable[..., Explainer]
) -> None:
    one = explainer()
    given = digit(home, one, 0)

    def say(share: float) -> None:
        raise TakenBack

    with pytest.raises(TakenBack):
        one.explain(given, "Occlusion", say=say)
    assert one.explain(given, "Occlusion")["sanity"]["draws"]


def test_what_is_asked_wrongly_is_a_sentence(
    home: Home, explainer: Callable[..., Explainer]
) -> None:
    one = explainer()
    given = digit(home, one, 0)
    subject = one.subject(given)
    assert number_of(subject, "7") == 7
    assert sum(number["value"] for number in numbers(subject)) == pytest.approx(1, abs=1e-4)
    with pytest.raises(BadInput, match="GradCam"):
        one.explain(given, "Magic")
    with pytest.raises(BadInput, match="10 numbers"):
        one.explain(given, "GradCam", target=10)
    with pytest.raises(BadInput, match="two different"):
        one.explain(given, "GradCam", target=3, against=3)
    with pytest.raises(BadInput, match="no 'seven'"):
        number_of(subject, "seven")
    found = one.explain(given, "GradCam", target=3, against=5)
    assert (found["of"], found["rather_than"]) == ("3", "5")
    assert drawn(found).startswith(b"\x89PNG")
    with pytest.raises(BadInput, match="JSON"):
        drawn(one.explain(given, "NearestItems"))


def test_a_walk_begins_at_the_item_and_ends_at_the_other(
    home: Home, explainer: Callable[..., Explainer]
) -> None:
    one = explainer(model="ConvAutoencoder", task="Reconstruction", model__channels=[4],
                    model__code=6, task__view="PCA", task__probe="none")  # fmt: skip
    here, there = digit(home, one, 0), digit(home, one, 1)

    def walk(**how: Any) -> dict[str, Any]:
        other = how.pop("other", None)
        return dict(one.explain(here, "LatentWalk", settings=how, other=other)["walk"])

    start = walk()
    (shown,) = one.predictor.answer([here])["results"]
    assert start["drawn"] == shown["reconstruction"]
    assert start["spreads"] == sorted(start["spreads"], reverse=True)
    assert sum(start["shares"]) == pytest.approx(1, abs=1e-2)
    assert walk(moves="2.5")["drawn"] != start["drawn"]
    assert walk(share=0.0, other=there)["drawn"] == start["drawn"]
    (target,) = one.predictor.answer([there])["results"]
    assert walk(share=1.0, other=there)["drawn"] == target["reconstruction"]
    with pytest.raises(BadInput, match="numbers"):
        walk(moves="up")
    with pytest.raises(BadInput, match="numbers"):
        LatentWalk(moves="0, nan")


def test_each_step_of_a_translation_looks_at_the_source(subject: Callable[..., Subject]) -> None:
    for model in ("TransformerTranslator", "AttentionGRU"):
        one = subject({"text": "twenty one"}, task="Translation", data="NumberWords", model=model,
                      model__width=16)  # fmt: skip
        found = AttentionMaps().of(one)["attended"]
        assert len(found["weights"]) == len(found["target"])
        for row in found["weights"]:
            assert len(row) == len(found["source"])
            assert sum(row) == pytest.approx(1, abs=1e-2)


def test_filters_of_steps_are_seen_as_those_of_pictures_are(
    subject: Callable[..., Subject],
) -> None:
    def maps(layer: int | None = None, **how: Any) -> dict[str, Any]:
        return dict(FeatureMaps(layer=layer).of(subject(**how))["maps"])

    steps = {"data": "MnistRows", "model": "TCN"}
    first, last = maps(**steps), maps(layer=99, **steps)
    width, height = size(first["filters"][0])
    assert height == 28  # a feature a row, and a step a column
    assert width < 28
    assert size(first["maps"][0]) == (28, 4)
    assert first["layer"] == 1
    assert last["layer"] == len(last["layers"])
    assert not last["filters"]
    assert maps()["filters"]
    assert size(maps()["maps"][0]) == (8, 8)


def size(picture: str) -> tuple[int, int]:
    """Width and height."""
    return Image.open(io.BytesIO(base64.b64decode(picture))).size


def test_only_what_a_run_can_have_is_offered(subject: Callable[..., Subject]) -> None:
    def names(**how: Any) -> set[str]:
        return {card.name for card in ways(subject(**how))}

    assert {"GradCam", "FeatureMaps", "NearestItems"} <= names()
    assert "AttentionRollout" not in names()
    small = {"model__width": 16, "model__layers": 1, "model__heads": 1}
    assert "AttentionRollout" in names(model="VisionTransformer", **small)
    assert "GradCam" not in names(model="VisionTransformer", **small)
    assert not {"GradCam", "FeatureMaps"} & names(data="MnistRows", model="LSTM")
    assert "FeatureMaps" in names(data="MnistRows", model="TCN")
    assert "LatentWalk" in names(model="Autoencoder", task="Reconstruction")
    assert "Occlusion" not in names(model="Autoencoder", task="Reconstruction")
