"""Laws of training: what must hold for every run, however it is interrupted."""

from __future__ import annotations

import contextlib
import errno
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine import checkpoint, loop, session
from engine.catalog import Catalog
from engine.data.batches import Feed
from engine.events import Event, Finished, Notice, Point, Progress, Sample, Saved
from engine.home import Home
from engine.methods import Bench
from engine.optimizers import Schedule, optimizer
from engine.recipe import Recipe, compose
from engine.starts import outline_of
from engine.tasks.classification import Classification

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]


def end(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def curve(events: list[Event], series: str) -> list[tuple[int, float]]:
    return [(e.step, e.value) for e in events if isinstance(e, Point) and e.series == series]


def last_weights(home: Home, number: int) -> dict[str, Tensor]:
    return checkpoint.weights(checkpoint.find(home.checkpoints(number), "last")[1])


def test_a_run_learns_and_says_all_that_it_does(recipe: Make, events: CarryOut) -> None:
    said = events(recipe(method__epochs=6, method__learning_rate=0.01))
    finished = end(said)
    assert finished.state == "finished"
    assert finished.metrics["test/accuracy"] > 0.8
    assert finished.metrics["headline"] == "test/accuracy"
    assert finished.metrics["baselines"]["always the most frequent class"]["accuracy"] < 0.2
    assert len(finished.metrics["confusion"]["counts"]) == 10
    assert sum(map(sum, finished.metrics["confusion"]["counts"])) == 179
    losses = curve(said, "train/loss")
    assert [step for step, _ in losses] == list(range(1, 6 * 12 + 1))
    assert losses[-1][1] < losses[0][1] / 2
    assert len(curve(said, "validation/accuracy")) == 6
    assert {type(e) for e in said} == {Point, Progress, Notice, Saved, Sample, Finished}


def test_same_seed_gives_the_same_curve(recipe: Make, events: CarryOut) -> None:
    make = {"method__epochs": 1, "model__dropout": 0.3, "data__shift": 1}
    first = events(recipe(seed=3, **make), number=1)
    second = events(recipe(seed=3, **make), number=2)
    other = events(recipe(seed=4, **make), number=3)
    assert curve(first, "train/loss") == curve(second, "train/loss")
    assert curve(first, "validation/loss") == curve(second, "validation/loss")
    assert curve(first, "train/loss") != curve(other, "train/loss")


HARD: dict[str, Any] = {
    "model__dropout": 0.3, "data__shift": 2, "method__average": 0.9, "method__accumulate": 2,
    "method__batch_size": 64, "method__schedule": "plateau", "method__clip": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 11, 12, 13, 30, 35])
@pytest.mark.parametrize("wish", ["pause", "stop"])
def test_resume_equals_never_stopping(
    recipe: Make, events: CarryOut, home: Home, step: int, wish: loop.Wish
) -> None:
    whole = recipe(method__epochs=3, **HARD)
    straight = events(whole, number=1)
    before = events(whole, number=2, wishes={step: wish})
    assert end(before).state == {"pause": "paused", "stop": "stopped"}[wish]
    after = events(whole, number=2, resume=True)
    assert end(after).state == "finished"

    for name, tensor in last_weights(home, 1).items():
        assert torch.equal(tensor, last_weights(home, 2)[name]), name
    joined = curve(before, "train/loss") + curve(after, "train/loss")
    assert joined == curve(straight, "train/loss")
    assert end(after).metrics["test/loss"] == end(straight).metrics["test/loss"]


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        ({"model": "Autoencoder", "task": "Reconstruction"}, {"model__dropout": 0.1}),
        ({"model": "LSTM", "data": "MnistRows"}, {"model__dropout": 0.1}),
        ({"model": "ConvNet", "task": "Contrastive"}, {"method__threads": 1}),
        (
            {"model": "MaskedAutoencoder", "task": "MaskedImages"},
            {"model__patch": 2, "model__width": 16, "model__layers": 1},
        ),
        ({}, {"method__optimizer": "SGD", "method__schedule": "cosine"}),
        ({}, {"method__precision": "bf16"}),
    ],
    ids=["autoencoder", "lstm", "contrastive", "masked", "sgd", "bf16"],
)
def test_resume_is_exact_for_every_model_and_optimizer(
    recipe: Make, events: CarryOut, home: Home, names: dict[str, str], settings: dict[str, Any]
) -> None:
    if settings.get("method__precision") == "bf16" and not loop.devices.cpu_has_bf16():
        pytest.skip("this processor doesn't compute bfloat16")
    whole = recipe(**names, **settings, method__max_steps=9)
    events(whole, number=1)
    events(whole, number=2, wishes={4: "pause"})
    events(whole, number=2, resume=True)
    for name, tensor in last_weights(home, 1).items():
        assert torch.equal(tensor, last_weights(home, 2)[name]), name


def test_validation_is_measured_as_often_as_asked(recipe: Make, events: CarryOut) -> None:
    whole = recipe(method__epochs=2, method__check_every=5)  # 12 steps an epoch
    steps = [step for step, _ in curve(events(whole), "validation/loss")]
    assert steps == [5, 10, 12, 15, 20, 24]


def test_epochs_shorter_than_that_are_not_each_looked_after(
    recipe: Make, events: CarryOut, home: Home
) -> None:
    short = recipe(  # two steps an epoch
        labels="5", method__epochs=20, method__max_steps=19, method__check_every=8,
        method__batch_size=25, method__schedule="plateau",
    )  # fmt: skip
    straight = events(short, number=1)
    steps = [step for step, _ in curve(straight, "validation/loss")]
    assert steps == [8, 16, 19]
    before = events(short, number=2, wishes={10: "pause"})  # between two epochs
    after = events(short, number=2, resume=True)
    joined = curve(before, "validation/loss") + curve(after, "validation/loss")
    assert joined == curve(straight, "validation/loss")
    for name, tensor in last_weights(home, 1).items():
        assert torch.equal(tensor, last_weights(home, 2)[name]), name


@pytest.mark.parametrize("step", [4, 5, 6, 12])
def test_a_pause_loses_no_look_at_validation(
    recipe: Make, events: CarryOut, home: Home, step: int
) -> None:
    whole = recipe(method__epochs=2, method__check_every=5, method__schedule="plateau")
    straight = events(whole, number=1)
    before = events(whole, number=2, wishes={step: "pause"})
    after = events(whole, number=2, resume=True)
    joined = curve(before, "validation/loss") + curve(after, "validation/loss")
    assert joined == curve(straight, "validation/loss")
    for name, tensor in last_weights(home, 1).items():
        assert torch.equal(tensor, last_weights(home, 2)[name]), name


def test_a_diverging_run_fails_with_the_mend_and_keeps_its_checkpoint(
    recipe: Make, events: CarryOut, home: Home
) -> None:
    said = events(recipe(method__optimizer="SGD", method__schedule="step", method__drop_every=1,
                         method__learning_rate=1e-3, method__epochs=1))  # fmt: skip
    assert end(said).state == "finished"
    good = last_weights(home, 1)
    said = events(recipe(
        method__optimizer="SGD", method__schedule="constant", method__learning_rate=10.0,
        method__momentum=0.999, method__epochs=30,
    ))  # fmt: skip
    assert end(said).state == "failed"
    assert "The loss became" in end(said).reason
    assert "Lower the learning rate" in end(said).reason
    kept = last_weights(home, 1)
    assert kept.keys() == good.keys()
    assert all(tensor.isfinite().all() for tensor in kept.values())


def test_out_of_memory_and_a_full_disk_end_with_a_sentence(
    recipe: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(loop, "step", no_memory)
        assert "smaller batch size" in end(events(recipe())).reason

    def no_space(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.torch, "save", no_space)
        finished = end(events(recipe(), number=2))
    assert finished.state == "failed"
    assert "No space left" in finished.reason


def test_what_the_libraries_say_of_memory_and_disk_is_understood(
    recipe: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate "
                           "memory: you tried to allocate 99 bytes")  # fmt: skip

    with monkeypatch.context() as patched:
        patched.setattr(loop, "step", no_memory)
        assert "smaller batch size" in end(events(recipe())).reason

    def unwritten(*_: Any) -> Any:
        raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.torch, "save", unwritten)
        assert "No space left" in end(events(recipe(), number=2)).reason


def test_validation_that_is_no_number_saves_nothing_more(
    recipe: Make, events: CarryOut, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, losses = loop.evaluate, iter([0.5, math.nan])
    monkeypatch.setattr(loop, "evaluate", lambda *given: real(*given) | {"loss": next(losses)})
    said = events(recipe(method__epochs=5))
    assert end(said).state == "failed"
    assert "validation loss became nan" in end(said).reason
    assert {entry.step for entry in checkpoint.entries(home.checkpoints(1)).values()} == {12}


def test_a_stop_at_the_last_step_judges_its_epoch_first(
    recipe: Make, events: CarryOut, home: Home
) -> None:
    straight = events(recipe(), number=1)
    for number, wish in enumerate(("stop", "pause"), 2):
        said = events(recipe(), number=number, wishes={24: wish})
        assert end(said).state == "finished"
        assert end(said).metrics["test/loss"] == end(straight).metrics["test/loss"]


def test_a_child_goes_on_when_its_parent_is_gone(
    recipe: Make, events: CarryOut, home: Home
) -> None:
    events(recipe(), number=1)
    child = recipe(start=1)
    events(child, number=2, wishes={5: "pause"})
    shutil.rmtree(home.run(1))
    assert end(events(child, number=2, resume=True)).state == "finished"


def test_a_wish_to_cancel_keeps_nothing(recipe: Make, events: CarryOut, home: Home) -> None:
    said = events(recipe(), wishes={3: "cancel"})
    assert end(said).state == "stopped"
    assert "nothing was kept" in end(said).reason
    assert not checkpoint.entries(home.checkpoints(1))


@pytest.mark.parametrize("wish", ["cancel", "pause"])
def test_a_wish_is_heard_in_the_final_test(
    recipe: Make, events: CarryOut, home: Home, wish: loop.Wish
) -> None:
    whole = recipe(method__epochs=1)  # 12 steps, and then the test
    said = events(whole, wishes={13: wish})
    if wish == "cancel":
        assert end(said).reason == "Cancelled at step 12: nothing was kept"
        assert not checkpoint.entries(home.checkpoints(1))
        return
    assert end(said).state == "paused"
    resumed = events(whole, resume=True)
    assert end(resumed).state == "finished"
    assert (
        end(resumed).metrics["test/accuracy"]
        == end(events(whole, number=2)).metrics["test/accuracy"]
    )


def test_a_wish_to_save_saves_at_once(recipe: Make, events: CarryOut, home: Home) -> None:
    said = events(recipe(method__epochs=1), wishes={2: "save", 4: "pause"})
    assert 4 in [e.step for e in said if isinstance(e, Saved)]
    assert end(said).state == "paused"


def test_early_stopping_stops(
    recipe: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, given_scores = loop.evaluate, iter([0.5, 0.9, 0.89, 0.9, 0.7])
    monkeypatch.setattr(
        loop, "evaluate", lambda *given: real(*given) | {"accuracy": next(given_scores)}
    )
    said = events(recipe(method__epochs=50, method__patience=2))
    assert [score for _, score in curve(said, "validation/accuracy")] == [0.5, 0.9, 0.89, 0.9]
    assert any(isinstance(e, Notice) and "no gain for 2" in e.text for e in said)


def test_the_best_epoch_is_tested_not_the_last(
    recipe: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second is the best; the third is within its standard error, the fourth is not.
    real, given_scores = loop.evaluate, iter([0.5, 0.9, 0.89, 0.8, 0.7])

    def faked(*given: Any) -> dict[str, Any]:
        return real(*given) | {"accuracy": next(given_scores)}

    monkeypatch.setattr(loop, "evaluate", faked)
    said = events(recipe(method__epochs=4))
    assert end(said).metrics["best_epoch"] == 3
    assert end(said).metrics["best_step"] == 36


def test_accumulated_batches_equal_one_large_batch(
    recipe: Make, home: Home, tmp_path: Path
) -> None:
    gradients = []
    for settings in ({"method__batch_size": 40, "method__accumulate": 3},
                     {"method__batch_size": 120}):  # fmt: skip
        setup = session.make(recipe(**settings, method__weight_decay=0.0), home)
        kept = checkpoint.Checkpoints(tmp_path / f"{len(gradients)}")
        bench = Bench(torch.device("cpu"), 0, kept, lambda: None, home)
        feed, _ = setup.method.feeds(setup.model, setup.task, setup.data, bench)
        trainee = setup.method.trainee(setup.model, setup.task, feed, bench)
        group = [
            b for b, _ in zip(feed.batches(), range(setup.method.plan.accumulate), strict=False)
        ]
        loss = loop.step(trainee, setup.task, group, setup.method.plan)
        gradients.append((loss, [p.detach().clone() for p in setup.model.parameters()]))
        kept.close()
    torch.testing.assert_close(gradients[0][0], gradients[1][0])
    torch.testing.assert_close(gradients[0][1], gradients[1][1], rtol=1e-3, atol=1e-5)


def test_accumulated_batches_count_by_their_weight(
    recipe: Make, home: Home, tmp_path: Path
) -> None:
    # Plain gradient descent: how far the weights go is the gradient itself.
    setup = session.make(
        recipe(method__optimizer="SGD", method__momentum=0.0, method__learning_rate=1.0,
               method__weight_decay=0.0, method__batch_size=120),
        home,
    )  # fmt: skip
    with contextlib.closing(checkpoint.Checkpoints(tmp_path)) as kept:
        bench = Bench(torch.device("cpu"), 0, kept, lambda: None, home)
        feed, _ = setup.method.feeds(setup.model, setup.task, setup.data, bench)
        trainee = setup.method.trainee(setup.model, setup.task, feed, bench)
    rows = feed.order(0)[0]
    start = loop.copied(setup.model.state_dict())
    moved = []
    for parts in ([rows], [rows[:7], rows[7:]]):
        setup.model.load_state_dict(start)
        loop.step(trainee, setup.task, [feed.batch(part) for part in parts], setup.method.plan)
        after = setup.model.state_dict()
        moved.append({name: after[name] - tensor for name, tensor in start.items()})
    assert max(float(change.abs().max()) for change in moved[0].values()) > 1e-3
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-3, atol=1e-6)


def test_biases_are_not_decayed() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    for name in ("AdamW", "Adam", "SGD"):
        learner = optimizer(model, name, learning_rate=0.1, weight_decay=0.5, momentum=0.9)
        decayed = {
            tuple(p.shape) for g in learner.param_groups if g["weight_decay"] for p in g["params"]
        }
        spared = {
            tuple(p.shape)
            for g in learner.param_groups
            if not g["weight_decay"]
            for p in g["params"]
        }
        assert decayed == {(4, 3)}
        assert spared == {(4,)}


def test_schedules_rise_and_fall_as_their_papers_say() -> None:
    def factors(name: str, **settings: Any) -> list[float]:
        schedule = Schedule(name, total=100, warmup=0.3, steps_per_epoch=10, **settings)
        return [schedule.factor(step) for step in range(100)]

    one = factors("one-cycle")
    assert one[0] == pytest.approx(1 / 25)
    assert max(one) == one[30] == pytest.approx(1)
    assert one[-1] < 0.01
    cosine = factors("cosine")
    assert cosine[0] == pytest.approx(1 / 30)
    assert cosine[29] == pytest.approx(1)
    assert cosine[-1] < 0.01
    steps = factors("step", drop_every=4)
    assert [steps[i] for i in (0, 39, 40, 80)] == pytest.approx([1, 1, 0.1, 0.01])
    assert set(factors("constant")) == {1.0}


def test_a_plateau_lowers_the_rate() -> None:
    schedule = Schedule("plateau", total=100, warmup=0.1, steps_per_epoch=10)
    reduced = [schedule.observe(loss) for loss in (1.0, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6)]
    assert reduced == [False] * 5 + [True, False]
    assert schedule.factor(0) == pytest.approx(0.2)


def test_balanced_weights_make_classes_count_the_same(recipe: Make, home: Home) -> None:
    setup = session.make(recipe(task__class_weights="balanced"), home)
    setup.task.prepare(setup.data)
    counts = torch.tensor(setup.data.counts("train"), dtype=torch.float32)
    per_class = counts * setup.task.weights
    torch.testing.assert_close(per_class, torch.full_like(counts, float(counts.sum()) / 10))


def test_the_moving_average_is_judged_and_kept(recipe: Make, events: CarryOut, home: Home) -> None:
    events(recipe(method__average=0.99, method__epochs=1))
    _, folder = checkpoint.find(home.checkpoints(1), "last")
    averaged, raw = checkpoint.weights(folder), checkpoint.state(folder)["raw"]
    assert not all(torch.equal(averaged[name], raw[name]) for name in raw)


def test_training_goes_on_from_an_earlier_runs_weights(
    recipe: Make, events: CarryOut, home: Home
) -> None:
    events(recipe(method__epochs=8, method__learning_rate=0.01), number=1)
    said = events(recipe(start=1, method__epochs=1, method__learning_rate=1e-4), number=2)
    assert curve(said, "train/loss")[0][1] < 1.0
    other = recipe(start=1, model__hidden=[17], method__max_steps=1)
    taken = end(events(other, number=3)).metrics["start"]
    assert {one["name"].split(".")[0] for one in taken["new"]} == {"head"}


def test_weights_come_with_the_vocabulary_that_they_know(
    catalog: Catalog, events: CarryOut, home: Home
) -> None:
    def reading(start: int | None, **settings: Any) -> Recipe:
        small = {"model.embedding": 16, "model.maps": 4, "method.max_steps": 1, **settings}
        names = {"data": "DocstringTopics", "model": "TextCNN"}
        return compose(catalog, names=names, settings=small, start=start)  # type: ignore[arg-type]

    assert end(events(reading(None), number=1)).state == "finished"
    # By itself it would learn another one, of the same size, from other texts.
    assert end(events(reading(1, **{"data.split_seed": 1}), number=2)).state == "finished"
    assert end(events(reading(None, **{"data.split_seed": 1}), number=3)).state == "finished"
    first, second, third = (outline_of(run, home)["tokenizer"] for run in (1, 2, 3))
    assert first == second != third


def test_a_resumed_feed_gives_the_batches_it_still_owed(recipe: Make, home: Home) -> None:
    data = session.make(recipe(data__shift=2), home).data
    feed = Feed(data, "train", batch_size=50, device=torch.device("cpu"), seed=1, shuffle=True,
                augment=True)  # fmt: skip
    whole = list(feed.batches(4))
    for skip in (0, 1, 7, len(whole)):
        rest = list(feed.batches(4, skip=skip))
        assert len(rest) == len(whole) - skip
        for one, other in zip(whole[skip:], rest, strict=True):
            assert torch.equal(one.inputs["images"], other.inputs["images"])
            assert torch.equal(one.targets, other.targets)  # type: ignore[arg-type]


@pytest.mark.parametrize(("labels", "each"), [("2", 2), ("1%", 1), ("100%", None)])
def test_a_run_learns_from_so_many_labels_and_from_nothing_else(
    recipe: Make, home: Home, labels: str, each: int | None
) -> None:
    setup = session.make(recipe(labels=labels), home)
    whole = session.make(recipe(), home)
    assert setup.data.counts("train") == ([each] * 10 if each else whole.data.counts("train"))
    for split in ("validation", "test"):
        assert setup.data.splits[split].tolist() == whole.data.splits[split].tolist()
    mean = setup.data.fed.statistics(setup.data.splits["train"])
    assert (mean == whole.data.fed.statistics(whole.data.splits["train"])) == (each is None)
    setup.task.prepare(setup.data)


def test_a_run_says_how_few_labels_it_had(recipe: Make, events: CarryOut) -> None:
    said = events(recipe(labels="3", method__epochs=1))
    assert end(said).metrics["training_items"] == 30
    told = [e.text for e in said if isinstance(e, Notice)]
    assert "Learning from 30 items of the training split (3 items of each class)" in told


def test_words_are_learned_from_the_labels_used_alone(catalog: Catalog, home: Home) -> None:
    def words(labels: str | None) -> int:
        made = compose(
            catalog,
            names={"task": "Classification", "data": "DocstringTopics", "model": "TextCNN"},
            settings={"data.tokenizer": "words"}, labels=labels,
        )  # fmt: skip
        return int(session.make(made, home).data.shape[0])

    assert words("1") < words("10") < words(None)


def test_looking_takes_but_a_share_of_the_time(
    recipe: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an epoch is a blink, and a look is not."""
    now = [0.0]

    def clock() -> float:
        now[0] += 0.01
        return now[0]

    def slow(*_: Any) -> Iterator[tuple[str, str, Any]]:
        now[0] += 10.0
        yield "looked", "text", {"prompt": "", "text": ""}

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr(Classification, "samples", slow)
    said = events(recipe(method__epochs=40))
    looks = [event for event in said if isinstance(event, Sample)]
    assert end(said).state == "finished"
    # The first that is due, and the best weights at the end; not one for each epoch.
    assert 1 <= len(looks) <= 3
