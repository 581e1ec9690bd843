"""Attention and its blocks: what each place may look at, alone, padded, and step by step."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.catalog import BadInput
from engine.layers.transformer import Block, CrossAttention, CrossBlock, SelfAttention, initialize

WIDTH, HEADS = 16, 4


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


def padded(lengths: list[int], longest: int) -> tuple[Tensor, Tensor]:
    """States with noise behind the real ones, and the mask of the real ones."""
    states = torch.randn(len(lengths), longest, WIDTH)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return states, mask[:, None, None]


def test_no_place_sees_the_future():
    block = Block(WIDTH, HEADS).eval()
    states = torch.randn(2, 9, WIDTH)
    whole, _ = block(states, causal=True)
    changed = states.clone()
    changed[:, 5:] = torch.randn(2, 4, WIDTH)
    after, _ = block(changed, causal=True)
    assert close(after[:, :5], whole[:, :5])
    assert not close(after[:, 5:], whole[:, 5:])


def test_every_place_sees_the_future_where_it_may():
    block = Block(WIDTH, HEADS).eval()
    states = torch.randn(1, 6, WIDTH)
    changed = states.clone()
    changed[:, 5] = torch.randn(WIDTH)
    assert not close(block(changed)[0][:, :5], block(states)[0][:, :5])


@pytest.mark.parametrize("causal", [False, True])
def test_padding_changes_no_state(causal):
    block = Block(WIDTH, HEADS).eval()
    lengths = [3, 7, 1]
    states, mask = padded(lengths, 7)
    together, _ = block(states, mask=mask, causal=causal)
    for row, length in enumerate(lengths):
        alone, _ = block(states[row : row + 1, :length], causal=causal)
        assert close(together[row : row + 1, :length], alone)


@pytest.mark.parametrize("parts", [[1] * 8, [3, 1, 4], [7, 1]])
def test_step_by_step_is_the_same_as_all_at_once(parts):
    block = Block(WIDTH, HEADS).eval()
    states = torch.randn(2, 8, WIDTH)
    whole, _ = block(states, causal=True)
    cache, first, found = None, 0, []
    for length in parts:
        new = states[:, first : first + length]
        out, cache = block(new, causal=True, cache=cache, first=first)
        found.append(out)
        first += length
    assert close(torch.cat(found, 1), whole)


def test_padding_in_the_cache_is_not_looked_at():
    block = Block(WIDTH, HEADS).eval()
    states, mask = padded([3, 5], 5)
    new = torch.randn(2, 2, WIDTH)
    _, cache = block(states, mask=mask, causal=True)
    wider = torch.cat([mask, torch.ones(2, 1, 1, 2, dtype=torch.bool)], -1)
    together, _ = block(new, mask=wider, causal=True, cache=cache, first=5)
    noise = states.clone()
    noise[0, 3:] = torch.randn(2, WIDTH)
    _, other = block(noise, mask=mask, causal=True)
    assert close(block(new, mask=wider, causal=True, cache=other, first=5)[0], together)


def test_only_the_distance_between_places_counts():
    attention = SelfAttention(WIDTH, HEADS).eval()
    states = torch.randn(2, 6, WIDTH)
    near, far = attention(states, causal=True)[0], attention(states, causal=True, first=700)[0]
    assert torch.allclose(near, far, atol=1e-4)
    turned = attention(states.flip(1))[0].flip(1)
    assert not close(turned, attention(states)[0])


def test_what_was_asked_first_can_be_trained_after():
    block = Block(WIDTH, HEADS)
    with torch.inference_mode():
        block(torch.randn(1, 3, WIDTH), causal=True)
    block(torch.randn(1, 3, WIDTH), causal=True)[0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())


def test_places_are_no_part_of_what_is_saved():
    block = Block(WIDTH, HEADS)
    block(torch.randn(1, 3, WIDTH))
    assert not dict(block.named_buffers())
    assert set(block.state_dict()) == {name for name, _ in block.named_parameters()}


def test_half_precision_says_nearly_the_same_and_finds_the_same_gradients():
    block = Block(WIDTH, HEADS)
    states = torch.randn(2, 6, WIDTH)
    gradients = []
    for autocast in (False, True):
        block.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out, _ = block(states, causal=True)
        out.float().square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in block.parameters()]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.999


def test_where_a_cross_attention_looked_is_a_distribution_over_real_places():
    cross = CrossAttention(WIDTH, HEADS).eval()
    source, mask = padded([2, 5], 5)
    memory, states = cross.remember(source), torch.randn(2, 3, WIDTH)
    told, looked = cross(states, memory, mask=mask, weights=True)
    quiet, nothing = cross(states, memory, mask=mask)
    assert nothing is None
    assert close(told, quiet)
    assert close(looked.sum(-1), torch.ones(2, 3))
    assert looked[0, :, 2:].abs().max() == 0
    assert looked[1].min() > 0


def test_padding_in_the_other_sequence_changes_no_state():
    block = CrossBlock(WIDTH, HEADS).eval()
    lengths = [2, 6]
    source, mask = padded(lengths, 6)
    states = torch.randn(2, 4, WIDTH)
    together, *_ = block(states, block.cross.remember(source), memory_mask=mask, causal=True)
    for row, length in enumerate(lengths):
        memory = block.cross.remember(source[row : row + 1, :length])
        alone, *_ = block(states[row : row + 1], memory, causal=True)
        assert close(together[row : row + 1], alone)


def test_dropout_is_for_training_only():
    block = Block(WIDTH, HEADS, dropout=0.5)
    states = torch.randn(2, 6, WIDTH)
    assert not close(block(states)[0], block(states)[0])
    block.eval()
    assert close(block(states)[0], block(states)[0])


@pytest.mark.parametrize(("width", "heads"), [(10, 3), (12, 4), (8, 8)])
def test_a_width_that_heads_cannot_share_is_refused(width, heads):
    with pytest.raises(BadInput, match=f"multiple of {2 * heads}"):
        Block(width, heads)


def test_weights_that_end_a_block_begin_smaller():
    block = Block(64, HEADS)
    initialize(block, 8)
    assert float(block.attention.inwards.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    for ends in (block.attention.outwards, block.dense[2]):
        assert float(ends.weight.detach().std()) == pytest.approx(0.02 / math.sqrt(16), rel=0.1)
        assert ends.bias.abs().max() == 0
