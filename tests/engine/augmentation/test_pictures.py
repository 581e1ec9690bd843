"""How training pictures are varied and mixed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.augmentation.mixing import Mixing, blended
from engine.augmentation.pictures import PictureVariation, erased, mixed
from engine.augmentation.policies import Policy
from engine.augmentation.views import Views
from engine.data.batches import Batch, Data, Feed
from engine.data.items import Images

CPU = torch.device("cpu")
EVERYTHING = PictureVariation(
    shift=2, flip=True, views=Views(smallest=0.4, jitter=0.5, grey=0), policy=Policy("RandAugment"),
    erase=0.5, mixing=Mixing(mixup=0.4, cutmix=1.0),
)  # fmt: skip


def data(variation: PictureVariation, count: int = 40) -> Data:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 10, 3), dtype=np.uint8)
    rows = np.arange(count)
    return Data(
        items=Images(pixels, variation), labels=rows % 3, classes=("a", "b", "c"), fingerprint="x",
        splits={"train": rows[:30], "validation": rows[30:], "test": rows[30:]},
    )  # fmt: skip


def feed(variation: PictureVariation, seed: int = 3, **how: bool) -> Feed:
    return Feed(data(variation), "train", batch_size=8, device=CPU, seed=seed, shuffle=True,
                augment=True, **{"mix": True, **how})  # fmt: skip


def equal(one: Batch, other: Batch) -> bool:
    assert one.shares is not None
    assert other.shares is not None
    return torch.equal(one.inputs["images"], other.inputs["images"]) and \
        torch.equal(one.shares, other.shares)  # fmt: skip


def test_the_same_seed_gives_the_same_batches_and_another_gives_others() -> None:
    first, same, other = (list(feed(EVERYTHING, seed).batches(2)) for seed in (3, 3, 4))
    assert all(equal(a, b) for a, b in zip(first, same, strict=True))
    assert not any(equal(a, b) for a, b in zip(first, other, strict=True))
    assert not any(equal(a, b) for a, b in zip(first, feed(EVERYTHING).batches(1), strict=True))


def test_a_resumed_feed_gives_the_batches_it_still_owed() -> None:
    whole = list(feed(EVERYTHING).batches(5))
    rest = list(feed(EVERYTHING).batches(5, skip=2))
    assert all(equal(a, b) for a, b in zip(whole[2:], rest, strict=True))


def test_pictures_in_device_memory_are_varied_and_mixed_the_same() -> None:
    usual = feed(EVERYTHING)
    resident = feed(EVERYTHING)
    assert isinstance(resident.items, Images)
    resident.items = resident.items.to(CPU)
    for one, other in zip(usual.batches(1), resident.batches(1), strict=True):
        torch.testing.assert_close(one.inputs["images"], other.inputs["images"])


def test_what_is_not_trained_on_is_never_varied_or_mixed() -> None:
    plain = data(PictureVariation()).fed.gather(np.arange(30, 40), CPU, None)
    judged = Feed(data(EVERYTHING), "validation", batch_size=100, device=CPU).some(100)
    assert torch.equal(judged.inputs["images"], plain["images"])
    assert judged.shares is None


def test_batches_are_channels_last_whatever_is_done_to_them() -> None:
    for batch in feed(EVERYTHING).batches():
        images = batch.inputs["images"]
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert images.isfinite().all()
        assert images.min() >= 0
        assert images.max() <= 1 + 1e-5


@pytest.mark.parametrize("mixing", [Mixing(mixup=0.7), Mixing(cutmix=1.0), Mixing(0.4, 1.0)])
def test_labels_mix_as_much_as_pictures_do(mixing: Mixing) -> None:
    # Each picture is all of its own number: how much of it is left can be counted.
    values = torch.arange(16.0) / 16
    images = values[:, None, None, None].expand(16, 1, 12, 9).contiguous()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pairing = mixing.drawn(16, rng)
        found, kept = mixed(images, pairing, rng)
        own = torch.from_numpy(kept)
        partners = torch.from_numpy(pairing.partners)
        torch.testing.assert_close(
            found.mean((1, 2, 3)), own * values + (1 - own) * values[partners]
        )
        shares = blended(torch.arange(16), partners, own, 16)
        torch.testing.assert_close(shares.sum(1), torch.ones(16))
        torch.testing.assert_close(shares @ values, found.mean((1, 2, 3)))


def test_without_mixing_targets_are_classes() -> None:
    assert all(batch.shares is None for batch in feed(PictureVariation()).batches())
    assert all(batch.shares is None for batch in feed(EVERYTHING, mix=False).batches())


def test_a_part_of_the_pictures_has_one_black_rectangle_inside() -> None:
    images = torch.ones(400, 2, 20, 30)
    found = erased(images, 0.5, np.random.default_rng(0))
    hidden = (found == 0).float().mean((1, 2, 3))
    assert 0.4 < (hidden > 0).float().mean() < 0.6
    assert hidden.max() < 0.36
    for picture in found[hidden > 0]:
        black = picture[0] == 0
        rows, columns = black.any(1).sum(), black.any(0).sum()
        assert black.sum() == rows * columns
    assert torch.equal(erased(images, 0.0, np.random.default_rng(0)), images)
