"""Learning to compare: episodes, classes that are kept apart, and what is measured over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from engine import checkpoint, session
from engine.augmentation.distortions import Distortion, averaged
from engine.catalog import BadInput, Catalog
from engine.data.batches import Batch, Data
from engine.data.episodes import Episodes, turned
from engine.data.items import Images
from engine.data.splits import SPLITS, classes_apart
from engine.datasets.digits8 import Digits8x8
from engine.datasets.glyphs import EACH, Glyphs
from engine.events import Event, Finished, Notice, Sample
from engine.home import Home
from engine.models.embedding_convnet import EmbeddingConvNet
from engine.predict import Predictor
from engine.recipe import Recipe, compose
from engine.tasks.few_shot import EpisodeMeter, measured, nearest
from engine.tasks.prototypical_network import PrototypicalNetwork, parted
from engine.tasks.siamese_network import SiameseNetwork, similar

CarryOut = Callable[..., list[Event]]
Make = Callable[..., Recipe]
CPU = torch.device("cpu")


@pytest.fixture
def small(catalog: Catalog) -> Make:
    """A few short episodes of the 8×8 digits."""

    def make(*, task: str = "PrototypicalNetwork", seed: int = 0, **settings: Any) -> Recipe:
        given = {
            "model.channels": 8, "model.blocks": 2, "task.way": 4, "task.episodes": 6,
            "method.epochs": 2, "method.precision": "fp32", "method.threads": 1,
        } | {name.replace("__", "."): value for name, value in settings.items()}  # fmt: skip
        names = {"task": task, "data": "Digits8x8", "model": "EmbeddingConvNet"}
        return compose(catalog, names=names, settings=given, seed=seed)  # type: ignore[arg-type]

    return make


def finished(events: list[Event]) -> dict[str, Any]:
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    return last.metrics


# --- classes apart --------------------------------------------------------------------------


def shared(names: list[str], each: int = 4, **how: Any) -> dict[str, set[str]]:
    """The classes of each split, of so many items a class that were split across classes."""
    labels = np.repeat(np.arange(len(names)), each)
    rows = np.arange(len(labels))
    across = {"train": rows[::2], "validation": rows[1::4], "test": rows[3::4]}
    splits = classes_apart(labels, names, across, **{"seed": 0, **how})  # type: ignore[arg-type]
    # Of a class to learn from, what was kept aside is learned from by nobody; the others are whole.
    assert {*splits["train"].tolist()} <= {*across["train"].tolist()}
    for split, share in {"train": each // 2, "validation": each, "test": each}.items():
        assert {*np.unique(labels[splits[split]], return_counts=True)[1].tolist()} == {share}
    return {split: {names[label] for label in labels[rows]} for split, rows in splits.items()}


def test_no_class_is_in_two_splits() -> None:
    found = shared([f"class {i}" for i in range(20)], validation=0.2, test=0.3)
    assert [len(found[split]) for split in SPLITS] == [10, 4, 6]
    assert not found["train"] & found["validation"]
    assert not found["test"] & (found["train"] | found["validation"])
    assert found != shared([f"class {i}" for i in range(20)], validation=0.2, test=0.3, seed=1)


def test_groups_of_classes_stay_together_unless_they_need_not() -> None:
    names = [f"{group}/{i}" for group, size in zip("abcde", (9, 4, 7, 5, 6), strict=True)
             for i in range(size)]  # fmt: skip
    groups = {split: {name[0] for name in own} for split, own in shared(names).items()}
    assert sum(map(len, groups.values())) == 5
    mixed = {split: {name[0] for name in own}
             for split, own in shared(names, together=False, test=0.3).items()}  # fmt: skip
    assert sum(map(len, mixed.values())) > 5


def test_what_is_tested_can_be_named() -> None:
    names = [f"{group}/{i}" for group in "abcd" for i in range(5)]
    found = shared(names, tested=["b", "c/1"], together=False)
    assert found["test"] == {"b/0", "b/1", "b/2", "b/3", "b/4", "c/1"}
    with pytest.raises(BadInput, match=r"no class or group of classes “x” \(there is: a, b, c, d"):
        shared(names, tested=["x"])


def test_too_few_classes_are_refused() -> None:
    assert all(len(own) == 2 for own in shared(list("abcdef")).values())
    with pytest.raises(BadInput, match=r"train split would have 1 class"):
        shared(list("abcde"))


def test_a_class_that_was_only_tested_is_not_learned() -> None:
    labels = np.repeat(np.arange(12), 3)
    rows = np.arange(36)
    given = {"train": rows[:24], "validation": rows[24:27], "test": rows[27:]}
    splits = classes_apart(labels, [*"abcdefghijkl"], given, seed=0)  # type: ignore[arg-type]
    assert 0 < len(splits["train"]) < 24
    assert splits["train"].max() < 24
    given = {"train": rows[:3], "validation": rows[3:6], "test": rows[6:]}
    with pytest.raises(BadInput, match="train split would have"):
        classes_apart(labels, [*"abcdefghijkl"], given, seed=0)  # type: ignore[arg-type]


def test_no_test_item_of_a_classifier_is_learned_from(
    home: Home, small: Make, catalog: Catalog
) -> None:
    setup = session.make(small(), home)
    own = Digits8x8().open(home).splits
    assert {*setup.data.splits["train"].tolist()} <= {*own["train"].tolist()}
    assert {*setup.data.splits["test"].tolist()} & {*own["train"].tolist()}


def test_few_labels_are_few_of_what_is_learned_from_and_the_test_stays(
    home: Home, small: Make, events: CarryOut
) -> None:
    def splits(labels: str | None) -> Any:
        return session.make(small().model_copy(update={"labels": labels}), home).data

    whole, few = splits(None), splits("3")
    counts = [count for count in few.counts("train") if count]
    assert counts == [3] * sum(count > 0 for count in whole.counts("train"))
    assert {*few.splits["train"].tolist()} < {*whole.splits["train"].tolist()}
    for split in ("validation", "test"):
        np.testing.assert_array_equal(few.splits[split], whole.splits[split])
    said = events(small().model_copy(update={"labels": "3"}), number=1)
    assert finished(said)["training_items"] == sum(counts)
    (notice,) = [e.text for e in said if isinstance(e, Notice) and "Learning from" in e.text]
    assert f"from {sum(counts)} items" in notice
    with pytest.raises(BadInput, match="0 classes of two items or more"):
        splits("1")


# --- letters --------------------------------------------------------------------------------


def test_letters_are_all_there_and_no_two_are_alike(home: Home) -> None:
    data = Glyphs().open(home)
    assert isinstance(data.items, Images)
    pixels = data.items.pixels
    assert len(pixels) == EACH * len(data.classes)
    assert len(set(data.classes)) == len(data.classes) > 500
    # Nothing is empty, and nothing is the box that stands for a letter which a font lacks.
    assert pixels.reshape(len(pixels), -1).max(1).min() > 100
    assert not {"Greek/capital alpha Α", "Cyrillic/capital a А", "Latin/small o o"} & {
        *data.classes
    }  # fmt: skip
    assert {"Latin/capital a A", "Greek/small omega ω", "Mkhedruli/an ა"} <= {*data.classes}
    means = pixels.reshape(len(data.classes), EACH, -1).mean(1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.fill_diagonal(alike := means @ means.T, 0)
    assert np.mean(alike.max(1)) < 0.95
    first, other = (Glyphs().open(home).items for _ in range(2))
    assert isinstance(first, Images)
    assert isinstance(other, Images)
    np.testing.assert_array_equal(first.pixels, other.pixels)


# --- episodes -------------------------------------------------------------------------------


def episodes(home: Home, **how: Any) -> tuple[Episodes, Data]:
    data = Digits8x8().open(home)
    settings = {"way": 4, "items": 3, "episodes": 5, "batch_size": 64, "device": CPU, "seed": 1}
    return Episodes(data, "train", **{**settings, **how}), data  # type: ignore[arg-type]


def test_an_episode_has_so_many_items_of_so_many_classes(home: Home) -> None:
    feed, data = episodes(home)
    assert data.labels is not None
    found = list(feed.batches())
    assert len(found) == len(feed) == 5
    for batch in found:
        assert batch.targets is not None
        assert batch.rows is not None
        assert sorted(torch.unique(batch.targets, return_counts=True)[1].tolist()) == [3] * 4
        assert len(set(batch.rows.tolist())) == 12
        assert set(batch.rows.tolist()) <= {*data.splits["train"].tolist()}
        np.testing.assert_array_equal(batch.targets, data.labels[batch.rows])
    assert len({tuple(sorted(set(b.targets.tolist()))) for b in found}) > 1  # type: ignore[union-attr]


def test_more_ways_than_classes_are_all_of_them(home: Home) -> None:
    feed, _ = episodes(home, way=50, items=7)
    (batch, *_) = feed.batches()
    assert len(batch) == 70


def test_an_epoch_gone_on_with_has_the_same_episodes(home: Home) -> None:
    feed, _ = episodes(home, turns=True, distortion=Distortion(turn=10, bend=0.02))
    whole = [batch.inputs["images"] for batch in feed.batches(3)]
    rest = [batch.inputs["images"] for batch in feed.batches(3, skip=2)]
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], rest, strict=True))
    other = next(feed.batches(4)).inputs["images"]
    assert not torch.equal(whole[0], other)


def test_a_class_is_turned_as_one(home: Home) -> None:
    feed, data = episodes(home, turns=True)
    seen = set()
    for batch in feed.batches():
        assert batch.rows is not None
        assert batch.targets is not None
        raw = data.fed.gather(batch.rows, CPU, None)["images"]
        for label in torch.unique(batch.targets):
            own = batch.targets == label
            matches = [
                n
                for n in range(4)
                if torch.equal(raw[own].rot90(n, (2, 3)), batch.inputs["images"][own])
            ]
            assert matches
            seen.add(matches[0])
    assert len(seen) > 1


def test_turning_turns_each_by_its_own_number() -> None:
    images = torch.arange(8.0).view(2, 1, 2, 2)
    found = turned(images, torch.tensor([1, 0]))
    assert found[0, 0].tolist() == [[1, 3], [0, 2]]
    assert torch.equal(found[1], images[1])


def test_distortions_keep_what_is_even_and_move_what_is_not() -> None:
    rng = np.random.default_rng(0)
    every = Distortion(turn=10, scale=0.1, slant=0.1, shift=0.05, bend=0.02)
    even = torch.full((3, 1, 12, 9), 0.75)
    torch.testing.assert_close(every.apply(even, rng), even)
    dots = torch.zeros(200, 1, 21, 21)
    dots[:, :, 10, 10] = 1
    moved = Distortion(shift=0.2).apply(dots, rng)
    places = moved.flatten(1).argmax(1)
    far = (places // 21 - 10).abs().max()
    assert 3 <= far <= 5  # a fifth of 21 pixels
    torch.testing.assert_close(Distortion().apply(dots, rng), dots)
    assert not Distortion()


# --- loss and measures ----------------------------------------------------------------------


def test_the_first_of_each_class_are_its_support_and_a_single_one_is_left_out() -> None:
    targets = torch.tensor([7, 3, 7, 5, 3, 7, 7])
    features = torch.arange(7.0)[:, None] ** 2
    means, queries, true = parted(features, targets, 2)
    # Class 3 has two items: one to learn from; class 5 has one, and nothing to compare it with.
    assert means[:, 0].tolist() == [1.0, (0 + 4) / 2]
    assert queries[:, 0].tolist() == [16.0, 25.0, 36.0]
    assert true.tolist() == [0, 1, 1]


def test_every_item_takes_its_turn_in_the_support() -> None:
    targets = torch.tensor([0, 0, 0, 1, 1, 1])
    features = torch.tensor([1.0, 2, 3, 10, 20, 30])[:, None]
    supports = [parted(features, targets, 1, turn)[0][:, 0].tolist() for turn in range(3)]
    assert supports == [[1, 10], [2, 20], [3, 30]]
    assert parted(features, targets, 2, 1)[0][:, 0].tolist() == [2.0, 20.0]  # of 3 and 1, 30 and 10
    task, model = PrototypicalNetwork(exchange=True), EmbeddingConvNet((8, 8, 1), 5)
    each = []
    for turn in range(3):
        means, queries, true = parted(features, targets, 1, turn)
        each.append(F.cross_entropy(-torch.cdist(queries, means).square(), true))
    torch.testing.assert_close(task.loss(model, features, targets), torch.stack(each).mean())


def test_the_loss_is_that_of_softmax_over_squared_distances(
    home: Home, small: Make, catalog: Catalog
) -> None:
    setup = session.make(small(task__shots=2, task__queries=3, task__exchange=False), home)
    feed = setup.task.feed(setup.data, "train", batch_size=1, device=CPU, seed=0)
    batch = next(feed.batches())
    setup.model.eval()
    loss = setup.task.step(setup.model, batch)["loss"]
    features: Tensor = setup.model.embed(**batch.inputs)
    items = features.view(4, 5, -1)
    distances = torch.cdist(items[:, 2:].flatten(0, 1), items[:, :2].mean(1)).square()
    expected = F.cross_entropy(-distances, torch.arange(4).repeat_interleave(3))
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_what_is_measured_is_looked_at_several_times_and_what_is_learned_from_once() -> None:
    model = EmbeddingConvNet((1, 16, 16), 4, channels=4, blocks=2)
    task = PrototypicalNetwork(views=5)
    images = torch.rand(6, 1, 16, 16)
    batch = Batch({"images": images}, torch.tensor([0, 0, 1, 1, 2, 2]))
    with torch.no_grad():
        model.eval()
        found = task.step(model, batch)["output"]
        torch.testing.assert_close(found, averaged(model.embed, 5)(images))
        assert (found - model.embed(images)).abs().max() > 1e-3
        torch.testing.assert_close(
            PrototypicalNetwork().step(model, batch)["output"], model.embed(images)
        )
        model.train()
        torch.testing.assert_close(task.step(model, batch)["output"], model.embed(images))


def test_pairs_are_judged_by_weighted_differences() -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 1)
    one, other = torch.randn(4, 6), torch.randn(3, 6)
    expected = head((one[:, None] - other[None]).abs())[..., 0]
    torch.testing.assert_close(similar(head, one, other), expected)


def test_pairs_of_one_class_count_as_much_as_the_others() -> None:
    """Of four items three are of one class: three pairs are the same, three are not."""
    task = SiameseNetwork()
    model = EmbeddingConvNet((8, 8, 1), 5, channels=4)
    task.equip(model)
    features, targets = torch.randn(5, 4), torch.tensor([0, 1, 0, 0, 1])
    logits = similar(model.head, features, features)
    same = [logits[i, j] for i, j in ((0, 2), (0, 3), (2, 3), (1, 4))]
    other = [logits[i, j] for i in (0, 2, 3) for j in (1, 4)]
    expected = (F.softplus(-torch.stack(same)).mean() + F.softplus(torch.stack(other)).mean()) / 2
    torch.testing.assert_close(task.loss(model, features, targets), expected)
    assert torch.isfinite(task.loss(model, features[:1], targets[:1]))


def test_a_query_is_of_the_most_similar_examples_class() -> None:
    task = SiameseNetwork()
    model = EmbeddingConvNet((8, 8, 1), 5, channels=2)
    task.equip(model)
    with torch.no_grad():
        model.head.weight.fill_(-1)  # the nearer, the likelier
        support = torch.tensor([[[0.0, 0], [9, 9]], [[4, 4], [5, 5]]])
        fits = task.compare(model, support, torch.tensor([[8.0, 8], [1, 2], [4, 5]]))
    # By the means (4.5, 4.5) of both classes none could be told.
    assert fits.argmax(1).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("counts", "way", "shots", "measured_as"),
    [
        ([10, 10, 10, 10, 1], 5, 1, "4-way 1-shot"),  # of one item nothing can be asked
        ([10, 10, 10, 3, 3], 5, 5, "3-way 5-shot"),
        ([10, 10, 10, 10, 10], 5, 5, "5-way 5-shot"),
    ],
)
def test_classes_of_unequal_sizes_are_measured_in_as_many_ways_as_have_items(
    counts: list[int], way: int, shots: int, measured_as: str
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    features = F.one_hot(labels, len(counts)).float()
    model = EmbeddingConvNet((1, 8, 8), 4, channels=4, blocks=1)
    task = PrototypicalNetwork(test_way=way, test_shots=shots)
    meter = EpisodeMeter(task, model, [(way, shots), (5, 1), (2, 1)], 20, final=True)
    meter.update({"output": features}, Batch({}, labels))
    scores = meter.compute()
    assert scores["accuracy"] == 1
    assert scores["signatures"]["accuracy"].startswith(measured_as)


def test_what_was_asked_for_is_not_replaced_by_what_can_be_measured() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    task = PrototypicalNetwork(test_way=3, test_shots=5)
    model = EmbeddingConvNet((1, 8, 8), 4, channels=4, blocks=1)
    meter = EpisodeMeter(task, model, [(3, 5), (3, 1)], 20, final=True)
    meter.update({"output": F.one_hot(labels, 3).float()}, Batch({}, labels))
    assert meter.compute() == {"loss": 0.0, "accuracy": 0.0, "interval": 1.0}


def test_accuracy_over_episodes_has_an_interval() -> None:
    torch.manual_seed(0)
    labels = torch.arange(30).repeat_interleave(12)
    noise = torch.randn(360, 16)
    assert measured(noise, labels, nearest, 31, 1, 10) == {}
    guessed = measured(noise, labels, nearest, 5, 1, 1000)
    assert guessed["accuracy"] == pytest.approx(0.2, abs=3 * guessed["interval"])
    assert guessed["queries"] == 11
    # 55 queries an episode that are right by chance.
    assert guessed["interval"] == pytest.approx(1.96 * (0.16 / 55 / 1000) ** 0.5, rel=0.3)
    told = F.one_hot(labels).float() + 0.3 * F.pad(noise, (0, 14))
    one, five = (measured(told, labels, nearest, 5, shots, 200) for shots in (1, 5))
    assert guessed["accuracy"] < one["accuracy"] < five["accuracy"]


def test_conv_4_has_the_size_of_the_papers() -> None:
    model = EmbeddingConvNet((28, 28, 1), 5)
    assert model.parameter_count() - model.head.weight.numel() - 5 == 111_680
    assert model.embed(torch.rand(3, 1, 28, 28)).shape == (3, 64)
    assert EmbeddingConvNet((84, 84, 3), 5).feature_count() == 1600
    assert EmbeddingConvNet((3, 9, 1), 5).embed(torch.rand(2, 1, 3, 9)).shape[0] == 2


def test_a_run_says_what_was_measured_and_shows_an_episode(
    home: Home, small: Make, events: CarryOut
) -> None:
    *said, _ = seen = events(small(method__epochs=5), number=1)
    metrics = finished(seen)
    # The digits leave three classes for the test: there is neither a 5-way nor a 20-way.
    assert [(row["way"], row["shots"]) for row in metrics["episodes"]] == [(3, 1)]
    assert "3-way 1-shot, mean over 1000 episodes" in metrics["signatures"]["accuracy"]
    raw = metrics["baselines"]["nearest mean of the raw pixels"]["accuracy"]
    assert metrics["baselines"]["guessing"]["accuracy"] == 1 / 3 < raw
    assert metrics["test/accuracy"] > 0.5
    shown = {sample.name: sample.data for sample in said if isinstance(sample, Sample)}
    assert [row["label"] for row in shown["episode"]["rows"]] == ["support", "query", "said to be"]
    assert len(shown["features"]["x"]) == len(shown["features"]["label"])
    (answer,) = Predictor(home, 1).answer([{"png": shown["episode"]["rows"][0]["images"][0]}])[
        "results"
    ]
    assert "Prototypes of a few examples" in answer["written"]


@pytest.mark.parametrize("task", ["PrototypicalNetwork", "SiameseNetwork"])
def test_a_paused_run_is_the_same_run(home: Home, small: Make, events: CarryOut, task: str) -> None:
    made = small(task=task, task__turns=True, task__distortion=1.0)
    events(made, number=1)
    events(made, number=2, wishes={8: "pause"})
    finished(events(made, number=2, resume=True))
    first, second = (
        checkpoint.weights(checkpoint.find(home.checkpoints(run), "last")[1]) for run in (1, 2)
    )
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_what_has_learned_to_compare_learns_new_classes_from_one_example(
    home: Home, small: Make, events: CarryOut, catalog: Catalog
) -> None:
    finished(events(small(method__epochs=10), number=1))
    names = {"task": "Classification", "data": "Digits8x8", "model": "EmbeddingConvNet",
             "method": "Prototypes"}  # fmt: skip
    settings = {"model.channels": 8, "model.blocks": 2}
    recipe = compose(
        catalog, names=names, settings=settings, start=1, labels="1"  # type: ignore[arg-type]
    )  # fmt: skip
    assert finished(events(recipe, number=2))["test/accuracy"] > 0.5
