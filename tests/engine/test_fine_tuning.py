"""Adapting what was learned: what moves, what stays, what is computed once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import checkpoint, features, session
from engine.catalog import BadInput, Card, Catalog, chosen, discover
from engine.checkpoint import Checkpoints
from engine.device import Numerics
from engine.estimate import estimate
from engine.events import Event, Finished, Point
from engine.features import Features, Store, room
from engine.home import Home
from engine.loop import Wish
from engine.methods import Bench
from engine.methods.fine_tuning import groups
from engine.models import Headed, Model, is_of
from engine.models.convnet import ConvNet
from engine.models.resnet import ResNet
from engine.models.text_lstm import TextLSTM
from engine.models.torchvision_models import TorchvisionModel
from engine.recipe import Recipe
from engine.starts import Start

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]
RESNET: dict[str, Any] = {"model": "ResNet", "model__depth": "8", "model__width": 4}


@pytest.fixture
def pretrained(recipe: Make, events: CarryOut) -> int:
    *_, last = events(recipe(**RESNET, method__epochs=2), number=1)
    assert isinstance(last, Finished)
    assert last.state == "finished"
    return 1


def weights(home: Home, run: int, which: Any = "last") -> dict[str, Tensor]:
    return checkpoint.weights(checkpoint.find(home.checkpoints(run), which)[1])


def moved(home: Home, run: int, start: int = 1) -> set[str]:
    """The levels of a run's model that aren't as they were at its start."""
    before, after = weights(home, start, "best"), weights(home, run)
    levels = [name for (name,) in ResNet((8, 8, 1), 10, depth="8", width=4).levels()]
    return {
        next(level for level in levels if is_of(name, level))
        for name in after
        if not name.startswith("standardize.") and not torch.equal(before[name], after[name])
    }


def test_levels_lead_from_the_input_to_the_head() -> None:
    model = ConvNet((8, 8, 1), 10, channels=[4, 8], hidden=[16])
    assert model.levels() == [("features.0",), ("features.3",), ("head",)]
    assert TextLSTM((20,), 2, layers=2).levels() == [
        ("embedding",), ("forwards.0", "backwards.0"), ("forwards.1", "backwards.1"), ("head",),
    ]  # fmt: skip


SHAPES = {"image": (32, 32, 3), "text": (50,), "pair": (50,), "sequence": (3,), "audio": (16,)}


@pytest.mark.parametrize("card", discover().of("model"), ids=lambda card: card.name)
def test_every_parameter_is_in_one_level_and_every_level_holds_some(
    card: Card, home: Home, tiny_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNEAL_MIRROR", str(tiny_hub))
    kind = chosen("model", card.name)
    told = kind.blueprint(home, **{field.name: field.default for field in card.fields})
    model: Model = kind(SHAPES[min(card.fits)], 5, *([told] if told else []))
    parts = [name for level in model.levels() for name in level]
    for name, _ in model.named_parameters():
        assert sum(is_of(name, part) for part in parts) == 1, name
    for part in parts:
        assert any(is_of(name, part) for name, _ in model.named_parameters()), part
    if "logits" in card.provides:
        assert model.levels()[-1] == ("head",)


@pytest.mark.parametrize("network", ["squeezenet1_0", "vit_b_32", "vgg11_bn", "mobilenet_v2"])
def test_so_it_is_in_torchvisions_networks(network: str) -> None:
    model = TorchvisionModel((64, 64, 3), 5, network=network, side=64)
    parts = [name for level in model.levels() for name in level]
    for name, _ in model.named_parameters():
        assert sum(is_of(name, part) for part in parts) == 1, name
    outputs = [p for name, p in model.named_parameters() if is_of(name, model.output)]
    assert {len(parameter) for parameter in outputs} == {5}


def test_what_is_frozen_has_no_gradient_and_keeps_its_statistics() -> None:
    model = ResNet((8, 8, 1), 10, depth="8", width=4)
    model.freeze(model.levels()[:-1])
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(torch.rand(16, 1, 8, 8)).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {
        "head.weight", "head.bias",
    }  # fmt: skip
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    model.freeze(())
    assert all(p.requires_grad for p in model.parameters())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("method", ["LinearProbe", "HeadFirst", "GradualUnfreezing"])
def test_a_method_that_adapts_asks_for_a_start(recipe: Make, method: str) -> None:
    with pytest.raises(BadInput, match="choose a run or published weights") as problem:
        recipe(**RESNET, method=method)
    assert problem.value.field == "start"


def test_a_probe_moves_the_head_alone(
    home: Home, recipe: Make, events: CarryOut, pretrained: int
) -> None:
    *said, last = events(
        recipe(**RESNET, method="LinearProbe", method__epochs=20, start=pretrained), number=2
    )
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert moved(home, 2) == {"head"}
    losses = [e.value for e in said if isinstance(e, Point) and e.series == "validation/loss"]
    assert losses[-1] < losses[0]


def test_a_probe_sees_each_item_once(
    home: Home, catalog: Catalog, recipe: Make, pretrained: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = session.make(recipe(**RESNET, method="LinearProbe", start=pretrained), home)
    assert isinstance(setup.model.eval(), Headed)
    seen: list[int] = []
    feed = Features(setup.model, setup.data, "train", batch_size=100, shuffle=True,
                    device=torch.device("cpu"), numerics=Numerics())  # fmt: skip
    embed = setup.model.embed

    def counting(images: Tensor) -> Tensor:
        seen.append(len(images))
        return embed(images)

    monkeypatch.setattr(setup.model, "embed", counting)
    for epoch in range(3):
        for batch in feed.batches(epoch):
            assert batch.inputs.keys() == {"features"}
            assert batch.rows is not None
            with torch.no_grad():
                pictures = setup.data.fed.gather(batch.rows, torch.device("cpu"), None)
                expected = embed(**pictures)
            torch.testing.assert_close(batch.inputs["features"], expected)
            assert batch.targets is not None
            assert setup.data.labels is not None
            np.testing.assert_array_equal(batch.targets, setup.data.labels[batch.rows])
    assert sum(seen) == len(setup.data.splits["train"])
    assert feed.some(5).inputs.keys() == {"images"}


def test_a_probe_that_was_paused_is_the_same_probe(
    home: Home, recipe: Make, events: CarryOut, pretrained: int
) -> None:
    made = recipe(**RESNET, method="LinearProbe", method__epochs=4, method__batch_size=100,
                  start=pretrained)  # fmt: skip
    events(made, number=2)
    asked = 0

    def pause_in_mid_run() -> Wish | None:
        nonlocal asked
        asked += 1
        return "pause" if asked == 30 else None

    *_, paused = session.run(made, home, 3, wishes=pause_in_mid_run)
    assert isinstance(paused, Finished)
    assert paused.state == "paused"
    events(made, number=3, resume=True)
    for name, tensor in weights(home, 2).items():
        assert torch.equal(tensor, weights(home, 3)[name]), name


def test_the_next_run_finds_the_features_of_the_same_weights(
    home: Home, recipe: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Weights that no other test has: all tests share a cache.
    events(recipe(**RESNET, method__epochs=1, seed=77), number=1)
    seen: list[int] = []
    embed = ResNet.embed

    def counting(self: ResNet, images: Tensor) -> Tensor:
        seen.append(len(images))
        return embed(self, images)

    monkeypatch.setattr(ResNet, "embed", counting)
    probe = dict(RESNET, method="LinearProbe", method__epochs=1)
    shown = 179  # of the validation split, as points on a map

    def computed(number: int, start: int = 1, **how: Any) -> int:
        seen.clear()
        *_, last = events(recipe(**probe, start=start, **how), number=number)
        assert isinstance(last, Finished)
        assert last.state == "finished", last.reason
        return sum(seen) - shown

    items = 1797  # those that it is tested on too
    assert computed(2) == items
    assert computed(3, method__learning_rate=0.1) == 0
    assert computed(4, method__deterministic=True) == items
    events(recipe(**RESNET, method__epochs=1, seed=78), number=5)
    assert computed(6, start=5) == items  # other weights, other features
    for part in (home.cache / "features").glob("*/*.safetensors"):
        part.write_bytes(part.read_bytes()[:1000])
    assert computed(7) == items


def test_probes_that_go_on_read_the_features_of_their_own_start(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    kept: dict[int, Tensor] = {}
    for start in (1, 2):
        events(recipe(**RESNET, method__epochs=1, seed=80 + start), number=start)
        made = recipe(**RESNET, method="LinearProbe", method__epochs=2, start=start)
        events(made, number=10 + start)
        events(made, number=20 + start, wishes={15: "pause"})
        events(made, number=20 + start, resume=True)
        kept[start] = weights(home, 20 + start)["head.weight"]
        assert torch.equal(kept[start], weights(home, 10 + start)["head.weight"])
    assert not torch.equal(kept[1], kept[2])


def test_of_some_rows_only_those_that_are_missing_are_computed(
    home: Home, recipe: Make, pretrained: int
) -> None:
    setup = session.make(recipe(**RESNET, method="LinearProbe", start=pretrained), home)
    assert isinstance(setup.model.eval(), Headed)
    store = Store(home.cache / "features" / "x")
    rows = setup.data.splits["train"]
    marked = np.full((7, 16), 3.0, np.float32)
    store.add(rows[:7], marked)
    feed = Features(setup.model, setup.data, "train", batch_size=100, numerics=Numerics(),
                    device=torch.device("cpu"), find=lambda: store)  # fmt: skip
    found = feed.inputs(rows[:10], 0, 0)["features"]
    np.testing.assert_array_equal(found[:7], marked)
    assert not (found[7:] == 3).any()


def test_features_take_a_bounded_part_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.zeros((100, 10), np.float32)
    rows = np.arange(100)
    monkeypatch.setattr(features, "ROOM", 12_000)  # two of about 5 kB, but not three

    def add(name: str) -> None:
        Store(tmp_path / name).add(rows, values)

    add("first")
    add("second")
    os.utime(tmp_path / "first", (1, 1))
    os.utime(tmp_path / "second", (2, 2))
    assert list(Store(tmp_path / "first").parts())  # used: now the other one is the oldest
    add("third")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "third"]
    monkeypatch.setattr(features, "ROOM", 10)  # the last one stays, however large it is
    add("fourth")
    assert [path.name for path in tmp_path.iterdir()] == ["fourth"]


def test_a_disk_without_room_for_features_costs_no_training(
    home: Home, recipe: Make, events: CarryOut, pretrained: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, rows: Any, values: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "add", full)
    *_, last = events(recipe(**RESNET, method="LinearProbe", start=pretrained), number=2)
    assert isinstance(last, Finished)
    assert last.state == "finished"


def test_features_that_do_not_fit_into_memory_are_refused() -> None:
    with pytest.raises(BadInput, match=r"would take 4000\.0 GB of memory"):
        room(10**9, 1000)


def test_a_start_that_lacks_parts_below_the_head_is_no_start_for_a_probe(
    recipe: Make, events: CarryOut, pretrained: int
) -> None:
    deeper = recipe(model="ResNet", model__depth="14", model__width=4, method="LinearProbe",
                    start=pretrained)  # fmt: skip
    *_, last = events(deeper, number=2)
    assert isinstance(last, Finished)
    assert last.state == "failed"
    assert "Linear probe keeps what lies below the head" in last.reason


def test_a_recipe_for_a_gpu_keeps_what_a_method_that_adapts_suggests(catalog: Catalog) -> None:
    cards = {"task": "Classification", "data": "Digits8x8", "model": "ResNet",
             "method": "GradualUnfreezing"}  # fmt: skip
    chosen = {kind: catalog.card(kind, name) for kind, name in cards.items()}  # type: ignore[arg-type]
    best = catalog.defaults(chosen, thorough=True)  # type: ignore[arg-type]
    assert best["method.optimizer"] == "AdamW"
    assert best["method.learning_rate"] == 1e-3
    assert best["model.depth"] == "18"


def test_the_head_comes_first_then_all(
    home: Home, recipe: Make, events: CarryOut, pretrained: int
) -> None:
    how = dict(RESNET, method="HeadFirst", method__epochs=4, start=pretrained)
    first = recipe(**how, method__alone=4)
    events(first, number=2)
    assert moved(home, 2) == {"head"}
    events(recipe(**how, method__alone=2), number=3)
    assert moved(home, 3) == {"stem.0", "stages.0", "stages.1", "stages.2", "head"}


def test_levels_thaw_from_the_head_downwards(
    home: Home, recipe: Make, events: CarryOut, pretrained: int
) -> None:
    how = dict(RESNET, method="GradualUnfreezing", start=pretrained)
    events(recipe(**how, method__epochs=2), number=2)
    assert moved(home, 2) == {"stages.2", "head"}
    setup = session.make(recipe(**how, method__slower=2.0), home)
    share = setup.method.share(setup.model)  # type: ignore[attr-defined]
    assert [share(f"{level}.x") for (level,) in setup.model.levels()] == [
        1 / 16, 1 / 8, 1 / 4, 1 / 2, 1,
    ]  # fmt: skip
    assert [len(group) for group in groups(ResNet((8, 8, 1), 10, depth="20", width=4))] == [
        2, 2, 2, 2, 2, 1,
    ]  # fmt: skip


def test_a_thaw_resumes_where_it_stopped(
    home: Home, recipe: Make, events: CarryOut, pretrained: int
) -> None:
    made = recipe(**RESNET, method="GradualUnfreezing", method__epochs=3, start=pretrained)
    events(made, number=2)
    events(made, number=3, wishes={15: "pause"})
    events(made, number=3, resume=True)
    for name, tensor in weights(home, 2).items():
        assert torch.equal(tensor, weights(home, 3)[name]), name


def test_an_estimate_counts_what_goes_once_through_what_is_frozen(
    home: Home, recipe: Make, pretrained: int
) -> None:
    """With few labels most of a probe's time is the features of what it is judged and tested by."""
    few = recipe(**RESNET, method="LinearProbe", method__epochs=2, start=pretrained).model_copy(
        update={"labels": "2"}
    )
    setup = session.make(few, home)
    items = {split: len(rows) for split, rows in setup.data.splits.items()}
    assert items["train"] < items["validation"] + items["test"]
    bench = Bench(device=torch.device("cpu"), seed=0, kept=Checkpoints(home.tmp), home=home,
                  wishes=lambda: None, made=setup.made)  # fmt: skip
    session.begin(setup, Start.of_run(pretrained, home))
    feeds = setup.method.feeds(setup.model, setup.task, setup.data, bench)
    assert [feed.missing() for feed in feeds] == [items["train"], items["validation"]]  # type: ignore[attr-defined]
    before = estimate(few, home)["seconds"]
    for feed in (*feeds, setup.method.judging(setup.data, "test", torch.device("cpu"))):
        list(feed.batches())
        assert feed.missing() == 0  # type: ignore[attr-defined]
    assert estimate(few, home)["seconds"] < before


def test_an_estimate_tells_what_learns(home: Home, recipe: Make, pretrained: int) -> None:
    probe = estimate(recipe(**RESNET, method="LinearProbe", start=pretrained), home)
    head = 16 * 10 + 10
    assert probe["trainable"] == head
    gradual = dict(RESNET, method="GradualUnfreezing", start=pretrained)
    part = estimate(recipe(**gradual, method__epochs=2), home)
    assert head < part["trainable"] < part["parameters"]
    whole = estimate(recipe(**gradual, method__epochs=5), home)
    assert whole["trainable"] == whole["parameters"] == probe["parameters"]
    assert probe["seconds"] > 0
