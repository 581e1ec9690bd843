"""The values of every step: those to come, and clean ones of corrupted sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from engine import session
from engine.catalog import BadInput, Catalog
from engine.data.batches import Batch, Data
from engine.data.items import Sequences
from engine.events import Event, Finished, Sample
from engine.home import Home
from engine.models import Model, Standardize
from engine.models.gru import GRU
from engine.models.lstm import LSTM
from engine.models.sound_resnet import SoundResNet
from engine.models.tcn import TCN
from engine.predict import Predictor
from engine.recipe import Recipe, compose
from engine.starts import Start
from engine.tasks.next_step import NextStep
from engine.tasks.sound_denoising import SoundDenoising

CarryOut = Callable[..., list[Event]]
LENGTHS = [1, 4, 12, 7]
SMALL: dict[type[Model], dict[str, Any]] = {
    LSTM: {"widths": [6], "hidden": [5]}, GRU: {"widths": [6], "hidden": [5]},
    TCN: {"channels": [6, 6]},
}  # fmt: skip


def made(kind: type[Model], features: int = 3, outputs: int = 3) -> Any:
    torch.manual_seed(0)
    model = kind((features,), outputs, **SMALL[kind])
    model.fit_inputs([0.5] * features, [2.0] * features)
    return model.eval()


def batch(lengths: list[int] = LENGTHS, features: int = 3) -> Batch:
    torch.manual_seed(1)
    sequences = [torch.randn(length, features) for length in lengths]
    values = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    return Batch({"values": values, "lengths": torch.tensor(lengths)}, rows=np.arange(len(lengths)))


def mean_over_steps(task: Any, model: Any, items: Batch) -> float:
    """The loss as a person would add it up: sequence by sequence, step by step."""
    errors = []
    ahead = getattr(task, "ahead", 0)
    seen = task.read(items, model.standardize, fixed=True)
    for n, length in enumerate(items.inputs["lengths"].tolist()):
        alone = seen[n : n + 1, :length]
        told = model.steps(alone, torch.tensor([length])) + model.standardize(alone)
        true = model.standardize(items.inputs["values"][n : n + 1, :length])
        for place in range(length - ahead):
            errors.append((told[0, place] - true[0, place + ahead]).square().mean())
    return float(torch.stack(errors).mean().detach())


def listening(bands: int = 10) -> Any:
    torch.manual_seed(0)
    model = SoundResNet((bands,), 0, widths=[4, 6])
    model.fit_inputs([0.5] * bands, [2.0] * bands)
    return model.eval()


def test_a_cleaned_recording_knows_nothing_of_its_neighbours() -> None:
    for bands in (10, 17):
        items, model, task = batch(features=bands), listening(bands), SoundDenoising()
        step = task.step(model, items)
        assert step["output"].shape == items.inputs["values"].shape
        assert float(step["loss"].detach()) == pytest.approx(
            mean_over_steps(task, model, items), 1e-4
        )


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("task", [NextStep(), NextStep(ahead=3)])
def test_the_loss_counts_every_real_step_and_nothing_else(kind: type[Model], task: Any) -> None:
    model, items = made(kind), batch()
    step = task.step(model, items)
    assert float(step["loss"].detach()) == pytest.approx(mean_over_steps(task, model, items), 1e-4)
    ahead = getattr(task, "ahead", 0)
    assert int(task.weight(items)) == sum(max(length - ahead, 0) for length in LENGTHS)
    # What fills a batch up behind a sequence's end is no part of it.
    padded = torch.nn.functional.pad(items.inputs["values"], [0, 0, 0, 5])
    longer = {**items.inputs, "values": padded}
    again = task.step(model, Batch(longer, rows=items.rows))
    torch.testing.assert_close(step["loss"], again["loss"])


@pytest.mark.parametrize("kind", SMALL)
def test_no_step_knows_of_a_later_one(kind: type[Model]) -> None:
    model, items = made(kind), batch([9])
    values, lengths = items.inputs["values"], items.inputs["lengths"]
    changed = values.clone()
    changed[:, 5:] += 1
    before, after = model.steps(values, lengths), model.steps(changed, lengths)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize("kind", SMALL)
def test_a_batch_of_which_nothing_counts_has_a_loss_of_zero(kind: type[Model]) -> None:
    model = made(kind)
    loss = NextStep(ahead=2).step(model, batch([1, 2]))["loss"]
    loss.backward()
    assert float(loss.detach()) == 0


@pytest.mark.parametrize("kind", SMALL)
def test_what_has_read_sequences_starts_a_classifier(kind: type[Model]) -> None:
    before, after = made(kind), made(kind, outputs=4)
    taken = Start("run 1", dict(before.state_dict())).into(after, tuple("abcd"))
    assert {name for name, _ in taken.new} == {n for n in after.state_dict() if n[:5] == "head."}
    body = [name for name in before.state_dict() if not name.startswith("head.")]
    assert set(taken.loaded) == {*body}


def test_sequences_that_are_too_short_are_refused() -> None:
    data = Data(
        Sequences.of(np.zeros((12, 2), np.float32), np.array([0, 3, 6, 9, 12])), None, (),
        {"train": np.array([0, 1]), "validation": np.array([2]), "test": np.array([3])}, "x",
    )  # fmt: skip
    assert NextStep(ahead=2).view(data) is data
    with pytest.raises(BadInput, match="more than 3 steps") as problem:
        NextStep(ahead=3).view(data)
    assert problem.value.field == "task.ahead"


def test_a_stretch_of_time_and_a_run_of_bands_are_hidden() -> None:
    scale = Standardize(10, dim=-1)
    scale.fit([3.0] * 10, [1.0] * 10)
    items = batch([20, 40, 9], features=10)
    seen = SoundDenoising(noise=0.0, time=0.25, bands=0.3).read(items, scale, fixed=True)
    for n, length in enumerate([20, 40, 9]):
        hidden = seen[n, :length] == 3.0
        assert int(hidden.all(1).sum()) == round(0.25 * length)
        assert int(hidden.all(0).sum()) == 3
        for whole in (hidden.all(1), hidden.all(0)):
            places = whole.nonzero().flatten().tolist()
            assert places == list(range(places[0], places[-1] + 1))
        kept = ~hidden
        assert torch.equal(seen[n, :length][kept], items.inputs["values"][n, :length][kept])
    noisy = SoundDenoising(noise=0.5, time=0.0, bands=0.0)
    apart = noisy.read(items, scale, fixed=True) - items.inputs["values"]
    assert float(apart.std()) == pytest.approx(0.5, rel=0.1)
    single = batch([20], features=1)
    one = Standardize(1, dim=-1)
    same = SoundDenoising(noise=0.0, time=0.0, bands=0.3).read(single, one, fixed=True)
    assert torch.equal(same, single.inputs["values"])


def small(catalog: Catalog, task: str, data: str, **settings: Any) -> Recipe:
    return compose(catalog, names={"task": task, "data": data, "model": "TCN"}, settings={
        "model.channels": [16, 16, 16], "method.batch_size": 32, "method.threads": 1,
        "method.precision": "fp32", **{k.replace("__", "."): v for k, v in settings.items()},
    })  # fmt: skip


def test_the_next_step_is_told_better_than_by_the_last_and_goes_on(
    home: Home, catalog: Catalog, events: CarryOut
) -> None:
    wanted = small(catalog, "NextStep", "MackeyGlass", method__max_steps=150,
                   method__epochs=200, method__learning_rate=0.01)  # fmt: skip
    *_, last = events(wanted)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    baselines = last.metrics["baselines"]
    assert last.metrics["test/mse"] < 0.7 * baselines["the last value"]["mse"]
    data = session.make(wanted, home).data
    assert isinstance(data.items, Sequences)
    mean, std = (np.array(numbers) for numbers in data.items.statistics(data.splits["train"]))
    moves = [np.diff((data.items[int(row)] - mean) / std, axis=0) for row in data.splits["test"]]
    by_hand = float((np.concatenate(moves) ** 2).mean())
    assert baselines["the last value"]["mse"] == pytest.approx(by_hand, 1e-3)
    given = data.items[int(data.splits["test"][0])][:60]
    predictor = Predictor(home, 1)
    (few,) = predictor.answer([{"sequence": given.tolist()}], {"steps": 3})["results"]
    (more,) = predictor.answer([{"sequence": given.tolist()}], {"steps": 8})["results"]
    assert len(more["forecast"]) == 8
    np.testing.assert_allclose(few["forecast"], more["forecast"][:3], rtol=1e-4)


def test_sounds_are_cleaned_and_told_apart(home: Home, catalog: Catalog, events: CarryOut) -> None:
    names = {"data": "TelephoneKeys", "model": "SoundResNet"}
    settings = {"data.bands": 16, "model.widths": [8, 16], "method.batch_size": 32,
                "method.threads": 1, "method.precision": "fp32"}  # fmt: skip
    wanted = compose(
        catalog, names={"task": "SoundDenoising", **names},  # type: ignore[dict-item]
        settings={**settings, "method.max_steps": 80, "task.probe": "none"},
    )  # fmt: skip
    seen = events(wanted)
    last = seen[-1]
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert last.metrics["test/mse"] < last.metrics["baselines"]["the corrupted sound"]["mse"]
    assert last.metrics["baselines"]["always the mean"]["mse"] == pytest.approx(1, abs=0.2)
    drawn = [s for s in seen if isinstance(s, Sample) and s.name == "steps"]
    assert [row["label"] for row in drawn[-1].data["rows"]] == ["read", "truth", "told"]
    told = compose(
        catalog, names={"task": "Classification", "method": "LinearProbe", **names},  # type: ignore[dict-item]
        settings={**settings, "method.epochs": 15}, start=1,
    )  # fmt: skip
    *_, end = events(told, number=2)
    assert isinstance(end, Finished)
    assert end.state == "finished", end.reason
    assert {part["name"].split(".")[0] for part in end.metrics["start"]["new"]} == {"head"}
    assert {name.split(".")[0] for name in end.metrics["start"]["left"]} == {"back"}
