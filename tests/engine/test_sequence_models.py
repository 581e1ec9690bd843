"""Models that read sequences to their end: LSTM, GRU, temporal CNN."""

from __future__ import annotations

import pytest
import torch

from engine.models import Model
from engine.models.gru import GRU
from engine.models.lstm import LSTM
from engine.models.tcn import TCN

ALL = (LSTM, GRU, TCN)
SMALL = {LSTM: {"widths": [9, 7]}, GRU: {"widths": [9, 7]}, TCN: {"channels": [9, 7, 7]}}


def made(kind: type[Model], *, features: int = 5, outputs: int = 3) -> Model:
    torch.manual_seed(0)
    model = kind((features,), outputs, **SMALL[kind])
    model.fit_inputs([0.5] * features, [2.0] * features)
    return model.eval()


def test_the_models_have_the_size_their_docstrings_say() -> None:
    assert LSTM((100,), 10).parameter_count() == 193_098
    # A GRU layer has three quarters of an LSTM's weights.
    layers = [sum(p.numel() for p in kind((100,), 10).layers.parameters()) for kind in (LSTM, GRU)]
    assert layers[1] * 4 == layers[0] * 3


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("rubbish", [99.0, float("nan")])
def test_padding_changes_no_output(kind: type[Model], rubbish: float) -> None:
    model = made(kind)
    lengths = [1, 4, 40, 7]
    sequences = [torch.randn(length, 5) for length in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=rubbish)
    together = model(padded, torch.tensor(lengths))
    alone = torch.cat([model(s[None], torch.tensor([len(s)])) for s in sequences])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("kind", ALL)
def test_every_step_in_reach_counts_and_the_order_does(kind: type[Model]) -> None:
    model = made(kind)
    # Four steps back of a temporal CNN with three blocks are well within its 29.
    values, lengths = torch.randn(1, 5, 5), torch.tensor([5])
    output = model(values, lengths)
    for step in range(5):
        changed = values.clone()
        changed[0, step] += 1
        assert (model(changed, lengths) - output).abs().max() > 1e-6
    assert (model(values.flip(1), lengths) - output).abs().max() > 1e-6


def test_a_temporal_cnn_sees_as_far_as_it_says_and_no_further() -> None:
    model = TCN((1,), 1, channels=[4, 4], kernel=3).double().eval()
    reach = 1 + 2 * (3 - 1) * (2**2 - 1)
    values = torch.randn(1, 40, 1, dtype=torch.float64, requires_grad=True)
    model(values, torch.tensor([40])).sum().backward()
    assert values.grad is not None
    felt = values.grad[0, :, 0].abs() > 0
    assert not felt[: 40 - reach].any()
    assert felt[40 - reach :].any()


@pytest.mark.parametrize("kind", ALL)
def test_a_sequence_classifier_learns_from_a_few_easy_sequences(kind: type[Model]) -> None:
    """With the rate and the clipping that its card suggests."""
    torch.set_num_threads(1)  # what is so small is slowed by a second
    torch.manual_seed(1)
    suggested = kind.card.suggests
    model = kind((1,), 2, **SMALL[kind])
    values = torch.randn(60, 8, 1) * 0.3
    targets = torch.arange(60) % 2
    values += torch.linspace(-1, 1, 8)[:, None] * (targets * 2 - 1)[:, None, None]
    model.fit_inputs([0.0], [1.0])
    optimizer = torch.optim.AdamW(model.parameters(), lr=float(suggested["method.learning_rate"]))
    lengths = torch.full((60,), 8)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(model(values, lengths), targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), float(suggested["method.clip"]))
        optimizer.step()
    assert (model.eval()(values, lengths).argmax(1) == targets).float().mean() > 0.95
