"""Laws of classification's measures and of what it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.data.arrays import Ragged
from engine.data.batches import Batch, Data, Feed
from engine.data.items import Fed, Images, Sequences
from engine.data.spectra import Mel, Spectrograms
from engine.data.tokens import Tokenizer, Tokens
from engine.tasks.classification import SHOWN, Classification

CPU = torch.device("cpu")


class Told(nn.Module):
    """Says of each item what it was told to, whatever it is shown."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.at = logits, 0

    def forward(self, **inputs: Tensor) -> Tensor:
        many = len(next(iter(inputs.values())))
        self.at += many
        return self.logits[self.at - many : self.at]


def dataset(items: Fed, labels: list[int], classes: int) -> Data:
    rows = np.arange(len(labels))
    return Data(
        items=items, labels=np.array(labels), classes=tuple("abcdefgh"[:classes]),
        splits={"train": rows, "validation": rows, "test": rows}, fingerprint="made up",
    )  # fmt: skip


def pictures(labels: list[int], classes: int) -> Data:
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    return dataset(Images(np.broadcast_to(pixels, (len(labels), 4, 4, 1)).copy()), labels, classes)


def texts(words: list[str], labels: list[int], classes: int) -> Data:
    tokenizer = Tokenizer.learned(iter(words), "words", vocabulary=100)
    encoded = tokenizer.encode(words)
    flat = np.array([i for ids in encoded for i in ids], np.uint16)
    offsets = np.cumsum([0, *map(len, encoded)])
    return dataset(Tokens(Ragged(flat, offsets), tokenizer), labels, classes)


def whole(data: Data) -> Batch:
    return Feed(data, "validation", batch_size=1000, device=CPU).some(1000)


def measured(
    task: Classification, data: Data, logits: Tensor, size: int, *, final: bool = False
) -> dict[str, Any]:
    task.prepare(data)
    model: Any = Told(logits)
    meter = task.meter(model, data, final=final)
    for batch in Feed(data, "test", batch_size=size, device=CPU).batches():
        meter.update(task.step(model, batch), batch)
    return meter.compute()


@pytest.mark.parametrize("balance", ["none", "balanced"])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_measures_do_not_depend_on_the_batches(size: int, balance: Any) -> None:
    torch.manual_seed(0)
    labels = [0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 0, 0]
    data, logits = pictures(labels, 6), torch.randn(13, 6)
    task = Classification(class_weights=balance, label_smoothing=0.1)
    whole_split = measured(task, data, logits, 13)
    in_parts = measured(task, data, logits, size)
    assert in_parts["confusion"] == whole_split["confusion"]
    for name, value in whole_split.items():
        if isinstance(value, float):
            assert in_parts[name] == pytest.approx(value, rel=1e-5)


def test_accumulated_batches_weigh_what_their_classes_weigh() -> None:
    labels = [0, 0, 0, 1]
    data = pictures(labels, 2)
    task = Classification(class_weights="balanced")
    task.prepare(data)
    batches = [Feed(data, "train", batch_size=1, device=CPU).batch(np.array([i])) for i in (0, 3)]
    common, rare = (float(task.weight(batch)) for batch in batches)
    assert rare == pytest.approx(3 * common)


def test_top_five_counts_only_where_there_are_more_classes() -> None:
    logits = torch.arange(6.0).repeat(6, 1)  # class 5 is the likeliest, class 0 the sixth
    six = measured(Classification(), pictures([0, 1, 2, 3, 4, 5], 6), logits, 4)
    assert six["accuracy"] == pytest.approx(1 / 6)
    assert six["top5_accuracy"] == pytest.approx(5 / 6)
    assert "top5_accuracy" not in measured(
        Classification(), pictures([0, 1, 2, 3, 4], 5), logits[:5, :5], 4
    )


def samples(data: Data, logits: Tensor) -> dict[str, tuple[str, Any]]:
    task = Classification()
    scores = measured(task, data, logits, 1000)
    found = task.samples(Told(logits), whole(data), data, scores)  # type: ignore[arg-type]
    return {name: (kind, content) for name, kind, content in found}


def test_the_worst_mistakes_come_first_and_nothing_right_is_among_them() -> None:
    labels = [0, 0, 1, 1]
    logits = torch.tensor([[3.0, 0.0], [0.0, 1.0], [9.0, 0.0], [0.0, 2.0]])
    kind, content = samples(pictures(labels, 2), logits)["mistakes"]
    assert kind == "images"
    assert [row["label"] for row in content["rows"]] == ["b → a", "a → b"]
    assert [len(row["images"]) for row in content["rows"]] == [1, 1]


def test_mistakes_of_one_sort_share_a_row_and_are_few() -> None:
    wrong = torch.tensor([[0.0, 1.0]]).repeat(70, 1)
    _, content = samples(pictures([0] * 70, 2), wrong)["mistakes"]
    (row,) = content["rows"]
    assert row["label"] == "a → b"
    assert len(row["images"]) == SHOWN


def test_a_model_that_is_never_wrong_shows_examples() -> None:
    found = samples(pictures([0, 1], 2), torch.eye(2))
    assert "mistakes" not in found
    _, content = found["examples"]
    assert [row["label"] for row in content["rows"]] == ["a", "b"]


def test_texts_are_shown_with_what_is_said_of_them() -> None:
    data = texts(["good film", "bad film", "good"], [0, 1, 0], 2)
    logits = torch.tensor([[2.0, 0.0], [5.0, 0.0], [0.0, 0.0]])
    found = samples(data, logits)
    assert found.keys() == {"confusion", "predictions"}
    kind, content = found["predictions"]
    assert kind == "table"
    assert content["columns"] == ["text", "true", "predicted", "probability"]
    assert content["rows"] == [
        ["good film", "a", "a", "88%"], ["bad film", "b", "a", "99%"], ["good", "a", "a", "50%"],
    ]  # fmt: skip
    assert content["wrong"] == [False, True, False]


def test_a_finished_run_tells_its_worst_mistakes_on_texts() -> None:
    data = texts(["good film", "bad film", "good", "bad"], [0, 1, 0, 1], 2)
    # In the order of the batches: the shorter texts come first.
    logits = torch.tensor([[0.0, 1.0], [7.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
    worst = measured(Classification(), data, logits, 2, final=True)["surest_mistakes"]
    assert [row["text"] for row in worst] == ["bad", "bad film", "good"]
    assert worst[0] == {"text": "bad", "true": "b", "predicted": "a", "probability": "100%"}
    assert "surest_mistakes" not in measured(Classification(), data, logits, 2)
    assert "surest_mistakes" not in measured(
        Classification(), pictures([1], 2), logits[:1], 2, final=True
    )


def test_recordings_are_shown_as_spectra() -> None:
    frames = Ragged(np.random.default_rng(0).random((9, 5)).astype(np.float16), np.array([0, 4, 9]))
    data = dataset(Spectrograms(frames, Mel(8000, bands=5)), [0, 0], 2)
    _, content = samples(data, torch.tensor([[0.0, 1.0], [0.0, 2.0]]))["mistakes"]
    assert [len(row["images"]) for row in content["rows"]] == [2]


def test_sequences_have_a_confusion_matrix_alone() -> None:
    steps = Sequences.of(np.zeros((4, 2), np.float32), np.array([0, 2, 4]))
    assert samples(dataset(steps, [0, 1], 2), torch.eye(2)).keys() == {"confusion"}


def test_classes_that_were_never_trained_on_leave_the_loss_a_number() -> None:
    data = pictures([0, 0, 1, 2], 3)
    data = Data(**{**vars(data), "splits": {
        "train": np.arange(3), "validation": np.arange(4), "test": np.arange(4),
    }})  # fmt: skip
    logits = torch.zeros(4, 3)
    scores = measured(Classification(class_weights="balanced"), data, logits, 1)
    assert scores["loss"] == pytest.approx(float(F.cross_entropy(logits[:1], torch.tensor([0]))))


@pytest.mark.parametrize("balance", ["none", "balanced"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mixed_item_costs_what_its_parts_cost(balance: Any, smoothing: float) -> None:
    torch.manual_seed(0)
    data, logits = pictures([0, 0, 0, 1, 2, 2], 3), torch.randn(6, 3)
    task = Classification(class_weights=balance, label_smoothing=smoothing)
    task.prepare(data)
    batch = whole(data)
    assert batch.targets is not None
    sure = replace(batch, shares=torch.eye(3)[batch.targets])
    model: Any = Told(logits.repeat(5, 1))
    plain, mixed = (task.step(model, one)["loss"] for one in (batch, sure))
    torch.testing.assert_close(plain, mixed)
    torch.testing.assert_close(
        torch.as_tensor(task.weight(batch)).float(), torch.as_tensor(task.weight(sure)).float()
    )
    # λ of one label and 1 − λ of another: so much of either's loss.
    others = (batch.targets + 1) % 3
    shares = 0.3 * torch.eye(3)[batch.targets] + 0.7 * torch.eye(3)[others]
    parts = [replace(batch, shares=part) for part in
             (shares, torch.eye(3)[batch.targets], torch.eye(3)[others])]  # fmt: skip
    both, first, second = (
        task.step(model, one)["loss"] * torch.as_tensor(task.weight(one)) for one in parts
    )
    torch.testing.assert_close(both, 0.3 * first + 0.7 * second)
