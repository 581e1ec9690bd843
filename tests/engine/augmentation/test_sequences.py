"""How training sequences are varied: padding stays padding, whatever is done."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.augmentation.mixing import Mixing
from engine.augmentation.sequences import SequenceVariation, blended, warped

LENGTHS = torch.tensor([40, 1, 17, 2, 33, 40])


def sequences() -> Tensor:
    torch.manual_seed(0)
    values = torch.randn(6, 40, 3) * torch.tensor([1.0, 10.0, 0.0]) + 5
    return values * (torch.arange(40) < LENGTHS[:, None])[..., None]


@pytest.mark.parametrize("variation", [
    SequenceVariation(jitter=0.5), SequenceVariation(scale=0.3), SequenceVariation(warp=0.8),
    SequenceVariation(slice=0.3), SequenceVariation(0.1, 0.1, 0.3, 0.5),
])  # fmt: skip
def test_padding_is_never_touched_and_the_same_seed_gives_the_same(
    variation: SequenceVariation,
) -> None:
    for seed in range(20):
        values, lengths = variation.of(sequences(), LENGTHS, np.random.default_rng(seed))
        again, _ = variation.of(sequences(), LENGTHS, np.random.default_rng(seed))
        assert torch.equal(values, again)
        assert values.shape[1] == lengths.max()
        assert lengths.min() >= 1
        assert (lengths <= LENGTHS).all()
        assert values.isfinite().all()
        for item, length in zip(values, lengths, strict=True):
            assert not item[length:].any()


def test_what_is_padded_behind_a_sequence_changes_nothing_of_it() -> None:
    variation = SequenceVariation(jitter=0, scale=0.2, warp=0.5, slice=0.5)
    short = sequences()[:, :40]
    wide = torch.cat([short, torch.zeros(6, 25, 3)], 1)
    one, other = (variation.of(values, LENGTHS, np.random.default_rng(3))[0]
                  for values in (short, wide))  # fmt: skip
    torch.testing.assert_close(one, other)


def test_a_slice_is_a_window_of_the_sequence() -> None:
    values = torch.arange(1.0, 41)[None, :, None].repeat(200, 1, 1)
    found, lengths = SequenceVariation(slice=0.5).of(
        values, torch.full((200,), 40), np.random.default_rng(0)
    )
    assert 20 <= lengths.min() < 24
    assert lengths.max() > 36
    for item, length in zip(found, lengths.tolist(), strict=True):
        first = float(item[0])
        assert torch.equal(item[:length, 0], torch.arange(first, first + length))
    assert found[:, 0].min() == 1


def test_a_warp_keeps_the_ends_and_the_order() -> None:
    along = (torch.arange(50) / 49).repeat(30, 1)
    torch.manual_seed(0)
    places = warped(along, torch.randn(30, 4).exp())
    assert (places.diff(dim=1) >= 0).all()
    torch.testing.assert_close(places[:, [0, -1]], torch.tensor([[0.0, 1.0]]).repeat(30, 1))
    torch.testing.assert_close(warped(along, torch.ones(30, 4)), along)


def test_noise_is_as_strong_as_asked_in_each_feature() -> None:
    values = torch.randn(4, 3000, 3) * torch.tensor([1.0, 10.0, 0.0]) + 5
    found, _ = SequenceVariation(jitter=0.2).of(
        values, torch.full((4,), 3000), np.random.default_rng(0)
    )
    spread = (found - values).std(1)
    torch.testing.assert_close(spread, torch.tensor([[0.2, 2.0, 0.0]]).repeat(4, 1),
                               rtol=0.1, atol=1e-6)  # fmt: skip


def test_sequences_mix_with_what_is_made_as_long() -> None:
    values = sequences()
    pairing = Mixing(mixup=1).drawn(6, np.random.default_rng(0))
    found = blended(values, LENGTHS, pairing)
    for place, (partner, share) in enumerate(zip(pairing.partners, pairing.shares, strict=True)):
        length, theirs = int(LENGTHS[place]), int(LENGTHS[partner])
        assert not found[place, length:].any()
        rest = (found[place, 0] - share * values[place, 0]) / (1 - share)
        torch.testing.assert_close(rest, values[partner, 0], atol=1e-3, rtol=1e-3)
        if length > 1:
            rest = (found[place, length - 1] - share * values[place, length - 1]) / (1 - share)
            torch.testing.assert_close(rest, values[partner, theirs - 1], atol=1e-3, rtol=1e-3)
