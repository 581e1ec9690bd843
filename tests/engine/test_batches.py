"""What a model is fed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.augmentation.pictures import PictureVariation
from engine.data.batches import Data, Feed
from engine.data.items import Images, Sequences

CPU = torch.device("cpu")


def pictures(count: int = 40, shift: int = 0, flip: bool = False) -> Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 256, (count, 6, 5, 3), dtype=np.uint8)
    return Images(pixels, PictureVariation(shift=shift, flip=flip))


def sequences(lengths: list[int]) -> Sequences:
    values = np.random.default_rng(0).normal(size=(sum(lengths), 2)).astype(np.float32)
    return Sequences.of(values, np.concatenate([[0], np.cumsum(lengths)]))


def data(items: Images | Sequences) -> Data:
    rows = np.arange(len(items))
    return Data(items=items, labels=rows % 3, classes=("a", "b", "c"), fingerprint="x",
                splits={"train": rows, "validation": rows[:5], "test": rows[:5]})  # fmt: skip


def test_pictures_come_as_floats_in_channels_last() -> None:
    images = pictures()
    batch = images.gather(np.array([3, 1]), CPU, None)["images"]
    assert batch.shape == (2, 3, 6, 5)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    expected = torch.from_numpy(images.pixels[[3, 1]]).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(batch, expected)


def test_a_shifted_picture_is_moved_and_zeros_move_in() -> None:
    images = pictures(shift=2, flip=True)
    rows = np.arange(30)
    batch = images.gather(rows, CPU, np.random.default_rng(5))["images"]
    moves, mirrored = images.variation.drawn(30, (6, 5), np.random.default_rng(5))
    assert {(-2, 2), (2, -2)} & {tuple(m) for m in moves.tolist()}
    assert 0 < mirrored.sum() < 30
    for i, ((dy, dx), mirror) in enumerate(zip(moves, mirrored, strict=True)):
        padded = np.pad(images.pixels[i], ((2, 2), (2, 2), (0, 0)))
        moved = padded[2 - dy : 8 - dy, 2 - dx : 7 - dx]
        seen = moved[:, ::-1] if mirror else moved
        expected = torch.from_numpy(seen.copy()).permute(2, 0, 1) / 255
        torch.testing.assert_close(batch[i], expected)


def test_a_shift_larger_than_the_picture_leaves_something_of_it() -> None:
    images = pictures(shift=30)
    assert (images.gather(np.arange(40), CPU, np.random.default_rng(0))["images"] > 0).any()


def test_batches_made_ahead_are_the_same_batches() -> None:
    feed = Feed(data(pictures(101, shift=1)), "train", batch_size=8, device=CPU, seed=3,
                shuffle=True, augment=True)  # fmt: skip
    usual = list(feed.batches(2, skip=3))
    feed.ahead = True
    ahead = list(feed.batches(2, skip=3))
    assert len(usual) == len(ahead) == len(feed) - 3
    for one, other in zip(usual, ahead, strict=True):
        assert torch.equal(one.inputs["images"], other.inputs["images"])


def test_pictures_in_device_memory_are_augmented_the_same() -> None:
    images = pictures(shift=2, flip=True)
    rows = np.array([7, 7, 0, 39, 12, 3, 8])
    from_memory = images.gather(rows, CPU, np.random.default_rng(1))
    from_device = images.to(CPU).gather(rows, CPU, np.random.default_rng(1))
    torch.testing.assert_close(from_memory["images"], from_device["images"])


def test_sequences_are_padded_to_the_longest_of_their_batch() -> None:
    items = sequences([3, 1, 5])
    batch = items.gather(np.array([1, 2]), CPU, None)
    assert batch["values"].shape == (2, 5, 2)
    assert batch["lengths"].tolist() == [1, 5]
    assert (batch["values"][0, 1:] == 0).all()
    np.testing.assert_array_equal(batch["values"][1].numpy(), items[2])


def test_an_epoch_has_every_item_once_whatever_the_lengths() -> None:
    rng = np.random.default_rng(2)
    for items in (pictures(101), sequences(rng.integers(1, 60, 1013).tolist())):
        feed = Feed(data(items), "train", batch_size=8, device=CPU, seed=3, shuffle=True)
        first, again, second = feed.order(0), feed.order(0), feed.order(1)
        assert sorted(np.concatenate(list(first))) == list(range(len(items)))
        assert [b.tolist() for b in first] == [b.tolist() for b in again]
        assert [b.tolist() for b in first] != [b.tolist() for b in second]
        assert len(first) == len(feed)


def test_unequal_lengths_are_bucketed() -> None:
    lengths = np.random.default_rng(2).integers(1, 100, 2048)
    feed = Feed(data(sequences(lengths.tolist())), "train", batch_size=16, device=CPU, shuffle=True)
    padded = sum(int(lengths[rows].max()) * len(rows) for rows in feed.order(0))
    assert padded < 1.1 * lengths.sum()


def test_a_budget_bounds_every_batch_and_every_epoch_has_as_many() -> None:
    lengths = np.random.default_rng(2).integers(1, 100, 997)
    lengths[5] = 700  # longer than a batch may be: it comes alone
    feed = Feed(data(sequences(lengths.tolist())), "train", batch_size=64, batch_tokens=512,
                device=CPU, seed=1, shuffle=True)  # fmt: skip
    first, second = feed.order(0), feed.order(1)
    assert len(first) == len(second) == len(feed)
    assert [b.tolist() for b in first] != [b.tolist() for b in second]
    assert sorted(np.concatenate(list(first))) == list(range(997))
    for rows in first:
        assert len(rows) <= 64
        assert len(rows) == 1 or int(lengths[rows].max()) * len(rows) <= 512
    padded = sum(int(lengths[rows].max()) * len(rows) for rows in first)
    assert padded < 1.1 * lengths.sum()


def test_a_budget_bounds_items_of_one_length_too() -> None:
    feed = Feed(data(sequences([10] * 95)), "train", batch_size=64, batch_tokens=100, device=CPU)
    assert [len(rows) for rows in feed.order(0)] == [10] * 9 + [5]


def test_some_items_are_spread_over_the_split_and_always_the_same() -> None:
    feed = Feed(data(pictures(40)), "train", batch_size=8, device=CPU, shuffle=True)
    rows = feed.some(5).rows
    assert rows is not None
    assert rows.tolist() == [0, 9, 19, 29, 39]
    assert len(feed.some(500)) == 40


def test_statistics_are_those_of_the_training_rows() -> None:
    images = pictures(50)
    rows = np.arange(10, 40)
    mean, std = images.statistics(rows)
    scaled = images.pixels[rows] / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 1, 2)))
    np.testing.assert_allclose(std, scaled.std((0, 1, 2)))
    items = sequences([4, 9, 2])
    mean, std = items.statistics(np.array([0, 2]))
    steps = np.concatenate([items[0], items[2]])
    np.testing.assert_allclose(mean, steps.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, steps.std(0), rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pictures_in_gpu_memory_are_augmented_the_same() -> None:
    gpu = torch.device("cuda:0")
    images = pictures(shift=2, flip=True)
    rows = np.arange(20)
    from_memory = images.gather(rows, CPU, np.random.default_rng(1))["images"]
    resident = images.to(gpu).gather(rows, gpu, np.random.default_rng(1))["images"]
    torch.testing.assert_close(from_memory, resident.cpu())
