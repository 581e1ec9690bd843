"""The three founding models, exactly."""

from __future__ import annotations

import pytest
import torch

from engine.catalog import BadInput
from engine.models.autoencoder import Autoencoder
from engine.models.convnet import ConvNet
from engine.models.lstm import LSTM


def test_the_founding_models_have_their_published_size() -> None:
    assert Autoencoder((28, 28, 1), 0).parameter_count() == 222_384
    assert ConvNet((32, 32, 3), 10).parameter_count() == 2_721_354
    assert LSTM((100,), 10).parameter_count() == 193_098


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 14, 3), (8, 8, 1)])
def test_an_autoencoder_gives_back_the_shape_it_was_given(shape: tuple[int, int, int]) -> None:
    height, width, depth = shape
    images = torch.rand(3, depth, height, width)
    model = Autoencoder(shape, 0)
    rebuilt = model(images)
    assert rebuilt.shape == images.shape
    assert 0 <= rebuilt.min() <= rebuilt.max() <= 1
    assert model.encode(images).shape == (3, 32)


@pytest.mark.parametrize("shape", [(28, 28, 1), (33, 17, 3), (8, 8, 1)])
def test_a_convnet_takes_pictures_of_any_shape(shape: tuple[int, int, int]) -> None:
    height, width, depth = shape
    assert ConvNet(shape, 7)(torch.rand(2, depth, height, width)).shape == (2, 7)


def test_a_convnet_says_when_nothing_is_left_of_the_picture() -> None:
    with pytest.raises(BadInput, match="leave nothing of 4×4") as problem:
        ConvNet((4, 4, 1), 2)
    assert problem.value.field == "model.channels"


def test_padding_changes_nothing_for_an_lstm() -> None:
    torch.manual_seed(0)
    model = LSTM((5,), 3).eval()
    model.fit_inputs([0.5] * 5, [2.0] * 5)
    lengths = [1, 4, 11, 7]
    sequences = [torch.randn(length, 5) for length in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=99.0)
    together = model(padded, torch.tensor(lengths))
    alone = torch.cat([model(s[None], torch.tensor([len(s)])) for s in sequences])
    torch.testing.assert_close(together, alone)


def test_a_constant_feature_is_not_divided_by_nothing() -> None:
    model = ConvNet((8, 8, 1), 2, channels=[2], hidden=[])
    model.fit_inputs([0.3], [0.0])
    assert model(torch.full((1, 1, 8, 8), 0.3)).isfinite().all()


def test_the_scale_of_the_inputs_travels_with_the_weights() -> None:
    first, second = (ConvNet((8, 8, 1), 2, channels=[2], hidden=[4]) for _ in range(2))
    first.fit_inputs([0.2], [0.4])
    second.load_state_dict(first.state_dict())
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(first(images), second(images))


def test_widths_depths_dropout_and_activation_are_settings() -> None:
    model = ConvNet((16, 16, 1), 2, channels=[4], hidden=[8, 8, 8], dropout=0.5, activation="GELU")
    kinds = [type(module).__name__ for module in model.modules()]
    assert kinds.count("Conv2d") == 1
    assert kinds.count("Linear") == 4
    assert kinds.count("GELU") == 4
    assert kinds.count("Dropout") == 3
    assert Autoencoder((8, 8, 1), 0, widths=[16, 3]).encode(torch.rand(1, 1, 8, 8)).shape == (1, 3)
    assert LSTM((2,), 2, widths=[6])(torch.rand(1, 3, 2), torch.tensor([3])).shape == (1, 2)
