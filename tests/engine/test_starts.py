"""What is taken over from an earlier run, what is made anew, and how texts are read then."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import checkpoint, export, session
from engine.catalog import BadInput, Catalog
from engine.events import Event, Finished, Notice, Sample
from engine.home import Home
from engine.models import Model, torchvision_models
from engine.models.autoencoder import Autoencoder
from engine.models.convnet import ConvNet
from engine.models.resnet import ResNet
from engine.models.tcn import TCN
from engine.models.torchvision_models import TorchvisionModel
from engine.models.transformer_encoder import TransformerEncoder
from engine.predict import Predictor
from engine.recipe import Recipe, compose
from engine.starts import Start, Taken, outline_of

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]
TEN = tuple("0123456789")


def resnet(outputs: int = 10, *, depth: int = 1, width: int = 4) -> ResNet:
    return ResNet((8, 8, depth), outputs, depth="8", width=width)


def started(model: Model, classes: Sequence[str] = TEN) -> Start:
    return Start("run 7", dict(model.state_dict()), classes, run=7)


def new(taken: Taken) -> dict[str, str]:
    return dict(taken.new)


def test_the_same_model_takes_everything_over() -> None:
    before, after = resnet(), resnet()
    taken = started(before).into(after, TEN)
    assert not taken.new
    assert not taken.left
    for name, tensor in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], tensor), name


def test_a_head_is_made_anew_where_the_classes_differ() -> None:
    before, after = resnet(), resnet()
    own = after.head.weight.detach().clone()
    taken = started(before).into(after, [f"digit {c}" for c in TEN])
    assert new(taken) == dict.fromkeys(("head.weight", "head.bias"), "other classes")
    assert torch.equal(after.head.weight, own)
    assert not taken.strange
    more = started(before).into(resnet(12), [*TEN, "x", "y"])
    assert set(new(more)) == {"head.weight", "head.bias"}


def test_a_count_of_batches_that_old_files_lack_is_not_missed() -> None:
    """torchvision's files of the first years hold no ``num_batches_tracked``."""
    before, after = resnet(), resnet()
    start = started(before)
    old = {name: one for name, one in start.weights.items() if "num_batches" not in name}
    assert len(old) < len(start.weights)
    taken = Start("old", old, TEN).into(after, TEN)
    assert not taken.new
    assert len(taken.loaded) == len(old)
    # But a norm of which nothing is there is made anew as a whole.
    norm = "stem.0.1."
    less = {name: one for name, one in old.items() if not name.startswith(norm)}
    assert {f"{norm}running_mean", f"{norm}num_batches_tracked"} <= new(
        Start("less", less, TEN).into(resnet(), TEN)
    ).keys()


@pytest.mark.parametrize("before", ["module.", "model.backbone."])
def test_names_may_differ_by_what_stands_before_all_of_them(before: str) -> None:
    theirs, ours = resnet(), resnet()
    weights = {before + name: one for name, one in theirs.state_dict().items()}
    taken = Start("file", weights, TEN).into(ours, TEN)
    assert not taken.new
    assert not taken.left
    assert torch.equal(ours.head.weight, theirs.head.weight)


def test_of_two_that_fit_alike_neither_is_taken() -> None:
    """A student and its teacher in one file: nobody says which is meant."""
    weights = {f"{who}.{name}": one for who in ("student", "teacher")
               for name, one in resnet().state_dict().items()}  # fmt: skip
    with pytest.raises(BadInput, match="Nothing of both fits"):
        Start("both", weights, TEN).into(resnet(), TEN)


def test_names_that_only_end_alike_are_of_another_model() -> None:
    """One block's names are not a whole network's."""
    block = {f"trunk.{name}": one for name, one in resnet().state_dict().items()
             if name.startswith("stages.0.")}  # fmt: skip
    with pytest.raises(BadInput, match="Nothing of block fits"):
        Start("block", block, TEN).into(resnet(), TEN)


def test_what_has_another_shape_stays_as_it_was_made() -> None:
    before, after = resnet(), resnet(depth=3)
    taken = started(before).into(after, TEN)
    assert new(taken)["stem.0.0.weight"] == "4×3×3×3 here, 4×1×3×3 there"
    assert set(taken.strange) == {*new(taken)} - {"head.weight", "head.bias"}
    assert "stages.0.first.0.weight" in taken.loaded


def test_weights_of_which_nothing_fits_are_refused() -> None:
    other = Autoencoder((8, 8, 1), 0)
    with pytest.raises(BadInput, match="Nothing of run 7 fits this model") as problem:
        started(other, ()).into(resnet(), TEN)
    assert problem.value.field == "start"


def test_a_pretrained_encoder_gets_a_head() -> None:
    """What was learned from blanks goes on to tell classes apart."""
    before = TransformerEncoder((40,), 0, width=8, layers=1, heads=2)
    after = TransformerEncoder((40,), 3, width=8, layers=1, heads=2)
    taken = started(before, ()).into(after, "abc")
    assert set(new(taken)) == {"head.weight", "head.bias"}
    back = TransformerEncoder((40,), 0, width=8, layers=1, heads=2)
    assert set(started(after, "abc").into(back, ()).left) == {"head.weight", "head.bias"}


def test_a_head_of_dense_layers_is_taken_whole_whatever_dropout_lies_between() -> None:
    before = ConvNet((8, 8, 1), 10, channels=[4], hidden=[16])
    after = ConvNet((8, 8, 1), 10, channels=[4], hidden=[16], dropout=0.3)
    taken = started(before).into(after, TEN)
    assert not taken.new
    assert not taken.left
    pictures = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(before.eval()(pictures), after.eval()(pictures))
    wider = ConvNet((8, 8, 1), 10, channels=[4], hidden=[8])
    assert {name for name, _ in started(before).into(wider, TEN).new} == {
        "head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias",
    }  # fmt: skip


def test_the_classes_of_a_network_without_a_linear_head_are_made_anew() -> None:
    before, after = (
        TorchvisionModel((64, 64, 3), 3, network="squeezenet1_1", side=64) for _ in range(2)
    )
    taken = started(before, "abc").into(after, "xyz")
    assert {name for name, _ in taken.new} == {
        "network.classifier.1.weight", "network.classifier.1.bias",
    }  # fmt: skip


def test_series_in_other_units_keep_their_own_scale(home: Home, catalog: Catalog) -> None:
    recipe = compose(catalog, names={"task": "Forecasting", "data": "MackeyGlass", "model": "TCN"},
                     settings={"model.channels": [4]})  # fmt: skip
    setup = session.make(recipe, home)
    model: Any = setup.model
    before = TCN((1,), setup.task.outputs(setup.data), channels=[4])
    before.fit_inputs([40_000.0], [5_000.0])
    model.fit_inputs(*setup.data.fed.statistics(setup.data.splits["train"]))
    own = model.standardize.mean.clone()
    session.begin(setup, started(before, ()))
    assert torch.equal(model.standardize.mean, own)


@pytest.mark.parametrize("said", ["[]", "null", "{", '{"tokenizer": 5}', '{"tokenizer": "x"}',
                                  '{"classes": 5}'])  # fmt: skip
def test_a_damaged_outline_is_a_sentence(
    home: Home, recipe: Make, events: CarryOut, said: str
) -> None:
    events(recipe(method__max_steps=1), number=1)
    (home.run(1) / "data.json").write_text(said, "utf-8")
    *_, last = events(recipe(method__max_steps=1, start=1), number=2)
    assert isinstance(last, Finished)
    assert last.state == "failed"
    assert "no weights to start from" in last.reason or "damaged" in last.reason


def test_a_run_begins_with_the_weights_of_another(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    events(recipe(model="ResNet", model__depth="8", model__width=4), number=1)
    begun = recipe(
        model="ResNet", model__depth="8", model__width=4, method__max_steps=1,
        method__learning_rate=1e-7, method__optimizer="SGD", method__momentum=0, start=1,
    )  # fmt: skip
    *said, last = events(begun, number=2)
    assert isinstance(last, Finished)
    assert last.state == "finished"
    assert any(isinstance(e, Notice) and "of run 1: all " in e.text for e in said)
    first, second = (
        checkpoint.weights(checkpoint.find(home.checkpoints(run), "best")[1]) for run in (1, 2)
    )
    torch.testing.assert_close(first["head.weight"], second["head.weight"], atol=1e-5, rtol=0)
    assert last.metrics["start"]["run"] == 1
    assert last.metrics["start"]["new"] == []


def test_a_run_goes_on_when_the_one_it_started_from_is_gone(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    how: dict[str, Any] = {"model": "ResNet", "model__depth": "8", "model__width": 4}
    events(recipe(**how), number=1)
    second = recipe(**how, start=1)
    events(second, number=2, wishes={3: "pause"})
    shutil.rmtree(home.run(1))
    *_, last = events(second, number=2, resume=True)
    assert isinstance(last, Finished)
    assert last.state == "finished"
    assert last.metrics["start"]["run"] == 1


def test_a_run_without_weights_is_no_start(recipe: Make, events: CarryOut) -> None:
    *_, last = events(recipe(start=5), number=6)
    assert isinstance(last, Finished)
    assert last.state == "failed"
    assert "Run 5 has kept no weights to start from" in last.reason


def test_weights_taken_away_start_a_run_with_their_tokenizer_and_classes(
    catalog: Catalog, home: Home, events: CarryOut, tmp_path: Path
) -> None:
    """From the folder that a run's weights left in; a bare file of texts' weights says nothing."""
    small = {"model.width": 16, "model.layers": 1, "model.heads": 2, "method.max_steps": 3,
             "method.threads": 1, "method.precision": "fp32"}  # fmt: skip
    names = {"task": "Classification", "data": "DocstringTopics", "model": "TransformerEncoder"}

    def made(start: str | None = None, **settings: Any) -> Recipe:
        return compose(catalog, names=names, settings={**small, **settings}, start=start)  # type: ignore[arg-type]

    events(made(**{"data.vocabulary": 500}), number=1)
    folder = tmp_path / "taken"
    steps = export.export(Predictor(home, 1), catalog, "Weights", out=folder)
    list(steps)
    other = {"data.vocabulary": 300}
    *_, last = events(made(str(folder), **other), number=2)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert outline_of(1, home)["tokenizer"] == outline_of(2, home)["tokenizer"]
    assert last.metrics["start"]["new"] == []  # the head too: the classes are the same
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(folder / "model.safetensors", bare / "weights.safetensors")
    *_, last = events(made(str(bare / "weights.safetensors"), **other), number=3)
    assert isinstance(last, Finished)
    assert last.state == "failed"
    assert "Nothing says which token each row of weights.safetensors stands for" in last.reason


@pytest.mark.parametrize("model", ["TransformerDecoder", "RecurrentLanguageModel"])
def test_what_says_the_next_token_goes_on_to_tell_texts_apart(
    catalog: Catalog, home: Home, events: CarryOut, model: str
) -> None:
    """As ULMFiT (Howard & Ruder 2018): a language model, then its classes, unfrozen bit by bit."""
    small = {"model.width": 16, "model.layers": 1, "method.max_steps": 4, "method.threads": 1,
             "method.precision": "fp32"}  # fmt: skip
    small |= {"model.heads": 2} if model == "TransformerDecoder" else {}

    def made(task: str, start: int | None = None, **settings: Any) -> Recipe:
        names = {"task": task, "data": "DocstringTopics", "model": model}
        names |= {"method": "GradualUnfreezing"} if start else {}
        return compose(catalog, names=names, settings={**small, **settings}, start=start)  # type: ignore[arg-type]

    said = events(made("LanguageModelling", **{"task.probe": "linear"}), number=1)
    last = said[-1]
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    # What it has made of whole texts was looked at, though it reads windows without labels.
    assert 0 <= last.metrics["test/probe_accuracy"] <= 1
    assert "token counts" in last.metrics["baselines"]
    drawn = [e for e in said if isinstance(e, Sample) and e.kind == "scatter"]
    assert {e.name for e in drawn} == {"embeddings", "embeddings by t-SNE"}
    assert {*drawn[0].data["label"]} <= {*range(len(drawn[0].data["classes"]))}
    *_, last = events(made("Classification", 1), number=2)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    taken = last.metrics["start"]
    assert {one["name"] for one in taken["new"]} == {"head.weight", "head.bias"}
    assert taken["left"] == (["bias"] if model == "RecurrentLanguageModel" else [])
    (result,) = Predictor(home, 2).answer([{"text": "Open a socket and send the bytes."}])[
        "results"
    ]
    assert sum(one["probability"] for one in result["classes"]) == pytest.approx(1, abs=1e-3)


def test_texts_are_read_with_the_tokenizer_that_the_weights_know(
    catalog: Catalog, home: Home, events: CarryOut
) -> None:
    """From blanks on one corpus to classes on it, with other settings of the text asked for."""
    small = {"model.width": 16, "model.layers": 1, "model.heads": 2, "method.max_steps": 4,
             "method.threads": 2, "method.precision": "fp32"}  # fmt: skip

    def made(task: str, start: int | None = None, **settings: Any) -> Recipe:
        names = {"task": task, "data": "DocstringTopics", "model": "TransformerEncoder"}
        return compose(catalog, names=names, settings={**small, **settings}, start=start)  # type: ignore[arg-type]

    events(made("MaskedLanguageModelling", **{"data.vocabulary": 500}), number=1)
    asked = made("Classification", 1, **{"data.tokenizer": "words", "data.vocabulary": 300})
    *_, last = events(asked, number=2)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert outline_of(1, home)["tokenizer"] == outline_of(2, home)["tokenizer"]
    taken = last.metrics["start"]
    assert {one["name"] for one in taken["new"]} == {"head.weight", "head.bias"}
    assert "embedding.weight" in taken["loaded"]
    (result,) = Predictor(home, 2).answer([{"text": "Open a socket and send the bytes."}])[
        "results"
    ]
    assert abs(sum(one["probability"] for one in result["classes"]) - 1) < 1e-3


def test_runs_that_read_grey_pictures_in_one_channel_are_still_of_use(
    home: Home, recipe: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As networks of torchvision once did."""
    small: dict[str, Any] = {
        "model": "TorchvisionModel", "model__network": "resnet18", "model__side": 40,
        "method__threads": 1, "method__max_steps": 2, "method__batch_size": 16,
    }  # fmt: skip
    with monkeypatch.context() as then:
        then.setattr(torchvision_models, "colours", lambda depth: depth)
        setup = session.make(recipe(**small), home)
        paused = events(recipe(**small), wishes={1: "pause"})[-1]
        _, folder = checkpoint.find(home.checkpoints(1), "best")
        old = checkpoint.weights(folder)
        assert old["network.conv1.weight"].shape[1] == old["standardize.std"].numel() == 1
        checkpoint.load_weights(setup.model, old)
    assert isinstance(paused, Finished)
    assert paused.state == "paused"
    predictor = Predictor(home, 1)
    predictor.refresh()
    pictures = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(
        predictor.setup.model(images=pictures), setup.model.eval()(images=pictures),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    taken = Start.of_run(1, home).into(
        session.make(recipe(**small), home).model, setup.data.classes
    )
    assert not taken.new
    last = events(recipe(**small), resume=True)[-1]
    assert isinstance(last, Finished)
    assert last.state == "failed"
    assert "start a new run from its weights" in last.reason
