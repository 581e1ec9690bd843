"""What features are worth, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.data.batches import Batch, Data
from engine.data.items import Images
from engine.datasets.digits8 import Digits8x8
from engine.events import Event, Finished, Point, Sample
from engine.home import Home
from engine.recipe import Recipe
from engine.tasks.probing import (
    PROBES,
    linear,
    nearest,
    neighbourly,
    parts,
    plane,
    principal,
)
from engine.tasks.reconstruction import Reconstruction

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]
CPU = torch.device("cpu")
CODER: dict[str, Any] = {
    "model": "Autoencoder", "task": "Reconstruction", "model__widths": [16, 4],
}  # fmt: skip


@pytest.fixture
def digits(home: Home) -> Data:
    return Digits8x8().open(home)


def dataset(train: int, others: int, *, labels: Any = None) -> Data:
    count = train + 2 * others
    return Data(
        items=Images(np.zeros((count, 4, 4, 1), np.uint8)), labels=labels,
        classes=("a", "b"), fingerprint="zeros",
        splits={"train": np.arange(train), "validation": np.arange(train, train + others),
                "test": np.arange(train + others, count)},
    )  # fmt: skip


def test_near_neighbours_count_more_than_many_far_ones() -> None:
    theirs = torch.tensor([[1.0, 0], [0.6, 0.8], [0.6, 0.8], [0.6, 0.8]])
    classes = torch.tensor([1, 0, 0, 0])
    # exp(1 / 0.07) against 3 · exp(0.6 / 0.07)
    assert nearest(theirs, classes, torch.tensor([[5.0, 0]]), 2).tolist() == [1]
    # Halfway between, three of the same cosine outvote one.
    middle = torch.tensor([[2.0, 1.0]]) / 5**0.5
    assert nearest(theirs, classes, middle, 2).tolist() == [0]


def test_only_the_twenty_nearest_vote() -> None:
    angles = torch.cat([torch.full((20,), 0.3), torch.full((500,), 0.4)])
    theirs = torch.stack([angles.cos(), angles.sin()], 1)
    classes = torch.cat([torch.zeros(20), torch.ones(500)]).long()
    assert nearest(theirs, classes, torch.tensor([[1.0, 0]]), 2).tolist() == [0]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_a_linear_probe_reads_features_of_any_scale(scale: float) -> None:
    made = torch.Generator().manual_seed(0)
    features = torch.randn(300, 6, generator=made) * torch.tensor([1, 100, 0.01, 1, 1, 0])
    classes = (features[:, 0] + features[:, 2] * 100 > 0).long()
    told = linear(features[:200] * scale, classes[:200], features[200:] * scale, 2)
    assert float((told == classes[200:]).float().mean()) > 0.93


def test_a_linear_probe_that_knows_one_class_says_that() -> None:
    told = linear(torch.rand(5, 3), torch.full((5,), 2), torch.rand(4, 3), 3)
    assert told.tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("name", ["k-NN", "linear"])
def test_a_probe_tells_digits_by_their_pixels_and_nothing_by_noise(digits: Data, name: Any) -> None:
    probe = PROBES[name]
    assert probe is not None
    seen = Reconstruction(probe=name).raw
    assert probe.accuracy(seen, digits, "test", CPU) > 0.9

    def noise(batch: Batch) -> Tensor:
        return torch.rand(len(batch), 8, generator=torch.Generator().manual_seed(len(batch)))

    assert probe.accuracy(noise, digits, "test", CPU) < 0.25


@pytest.mark.parametrize(
    ("train", "others", "known", "asked"),
    [(40, 10, 40, 10), (1000, 10, 500, 10), (4000, 1500, 1000, 1000), (50_000, 20_000, 2000, 1000)],
)
def test_a_probe_is_cheap_and_asks_the_same_of_every_run(
    train: int, others: int, known: int, asked: int
) -> None:
    data = dataset(train, others)
    theirs, ours = parts(data, "validation")
    assert (len(theirs), len(ours)) == (known, asked)
    assert len(set(theirs.tolist())) == known
    assert set(theirs.tolist()) <= set(data.splits["train"].tolist())
    assert set(ours.tolist()) <= set(data.splits["validation"].tolist())
    assert parts(data, "validation")[0].tolist() == theirs.tolist()
    assert parts(data, "test")[0].tolist() == theirs.tolist()
    assert len(parts(data, "test")[1]) == min(others, 10_000)


@pytest.mark.parametrize(
    ("name", "measure"), [("k-NN", "knn_accuracy"), ("linear", "probe_accuracy")]
)
def test_the_probe_is_a_curve_and_stands_beside_its_baselines(
    recipe: Make, events: CarryOut, name: str, measure: str
) -> None:
    *said, last = events(recipe(**CODER, task__probe=name))
    values = [e.value for e in said if isinstance(e, Point) and e.series == f"validation/{measure}"]
    assert len(values) == 2
    assert isinstance(last, Finished)
    baselines = last.metrics["baselines"]
    assert baselines["raw pixels"][measure] > 0.9
    assert baselines["always the most frequent class"][measure] < 0.15
    assert "mse" in baselines["the mean picture"]
    table = next(e.data for e in reversed(said) if isinstance(e, Sample) and e.name == "probe")
    assert [name for name, _ in table["rows"]] == [
        "these codes", "raw pixels", "always the most frequent class",
    ]  # fmt: skip
    assert table["rows"][0][1] == f"{values[-1]:.1%}"


def test_without_labels_or_wish_nothing_is_probed(
    home: Home, recipe: Make, events: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    *said, last = events(recipe(**CODER, task__probe="none"))
    opened = Digits8x8.open
    monkeypatch.setattr(Digits8x8, "open", lambda self, home: replace(
        opened(self, home), labels=None, classes=()
    ))  # fmt: skip
    *more, other = events(recipe(**CODER), number=2)
    for each, end in ((said, last), (more, other)):
        assert isinstance(end, Finished)
        assert end.state == "finished", end.reason
        assert not [name for name in end.metrics if "knn" in name]
        assert "raw pixels" not in end.metrics["baselines"]
        assert {e.name for e in each if isinstance(e, Sample)} == {
            "reconstructions", "codes", "codes by t-SNE",
        }  # fmt: skip
    drawn = [e.data for e in more if isinstance(e, Sample) and e.kind == "scatter"]
    assert all(set(data["label"]) == {None} for data in drawn)


# --- points in a plane ----------------------------------------------------------------------


def test_principal_axes_are_in_order_and_keep_their_sign() -> None:
    made = torch.randn(200, 3, generator=torch.Generator().manual_seed(3))
    features = made * torch.tensor([1.0, 9.0, 3.0]) + 5
    places = principal(features)
    assert places[:, 0].std() > places[:, 1].std()
    expected = features[:, 1] - features[:, 1].mean()
    assert torch.corrcoef(torch.stack([places[:, 0].float(), expected]))[0, 1] > 0.99
    assert torch.allclose(principal(features + 100), places, atol=1e-3)


@pytest.mark.parametrize("count", [1, 3, 4, 9, 40])
def test_however_few_points_are_placed(count: int) -> None:
    features = torch.randn(count, 1 if count == 3 else 5)
    for places in (principal(features), neighbourly(features)):
        assert places.shape == (count, 2)
        assert places.isfinite().all()


def test_equal_points_have_a_place_too() -> None:
    assert neighbourly(torch.ones(12, 4)).isfinite().all()


def test_tsne_keeps_groups_together() -> None:
    made = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(3, 20, generator=made)
    which = torch.arange(60) % 3
    places = neighbourly(centres[which] + torch.randn(60, 20, generator=made))
    distances = torch.cdist(places, places).fill_diagonal_(torch.inf)
    assert (which[distances.argmin(1)] == which).float().mean() > 0.95


def test_points_without_labels_have_none() -> None:
    batch = Batch({"images": torch.zeros(3, 1, 2, 2)})
    drawn = plane(torch.tensor([[1.00001, 2], [3, 4], [5, 6]]), batch, dataset(3, 0))
    assert drawn["label"] == [None, None, None]
    assert drawn["x"] == [1.0, 3.0, 5.0]
    known = replace(batch, targets=torch.tensor([1, 0, 1]))
    assert plane(torch.zeros(3, 2), known, dataset(3, 0))["label"] == [1, 0, 1]
