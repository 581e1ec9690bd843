"""Models that read a text: what padding, order and length may and may not change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.catalog import BadInput, Catalog
from engine.data.imports import bring_in
from engine.data.tokens import SPECIAL
from engine.events import Event, Finished
from engine.home import Home
from engine.models import Model
from engine.models.text_lstm import TextLSTM, mirror
from engine.models.textcnn import TextCNN
from engine.models.transformer_encoder import TransformerEncoder
from engine.predict import Predictor
from engine.recipe import compose

VOCABULARY = 30
MODELS: list[Callable[[], Model]] = [
    lambda: TextCNN((VOCABULARY,), 3, embedding=8, widths=[1, 3, 5], maps=6),
    lambda: TextLSTM((VOCABULARY,), 3, embedding=8, width=6, layers=2),
    lambda: TransformerEncoder((VOCABULARY,), 3, width=16, layers=2, heads=2),
]
each_model = pytest.mark.parametrize("make", MODELS, ids=["cnn", "lstm", "transformer"])
LENGTHS = [1, 2, 9, 5]


def texts(seed: int = 0) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    return [torch.randint(len(SPECIAL), VOCABULARY, (n,), generator=drawn) for n in LENGTHS]


def side_by_side(sequences: list[Tensor], *, behind: int = 0) -> tuple[Tensor, Tensor]:
    padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=behind)
    return padded, torch.tensor([len(s) for s in sequences])


def alone(function: Callable[..., Tensor], sequences: list[Tensor]) -> list[Tensor]:
    return [function(s[None], torch.tensor([len(s)]))[0] for s in sequences]


@each_model
@pytest.mark.parametrize("behind", [0, 17])
def test_a_padded_batch_gives_the_logits_of_each_text_alone(
    make: Callable[[], Model], behind: int
) -> None:
    torch.manual_seed(0)
    model = make().eval()
    together = model(*side_by_side(texts(), behind=behind))
    torch.testing.assert_close(together, torch.stack(alone(model, texts())))


@pytest.mark.parametrize("behind", [0, 17])
def test_a_padded_batch_is_filled_as_each_text_alone(behind: int) -> None:
    torch.manual_seed(0)
    model = TransformerEncoder((VOCABULARY,), 0, width=16, layers=2, heads=2).eval()
    together = model.fill(*side_by_side(texts(), behind=behind))
    for row, single, length in zip(together, alone(model.fill, texts()), LENGTHS, strict=True):
        torch.testing.assert_close(row[:length], single)


@each_model
def test_every_token_of_a_text_counts_and_none_behind_it(make: Callable[[], Model]) -> None:
    """By the gradient of the embeddings: zero exactly where no text has the token."""
    torch.manual_seed(0)
    model: Any = make().eval()
    tokens = torch.tensor([[7, 8, 9, 10], [11, 12, 29, 29]])
    model(tokens, torch.tensor([4, 2])).square().sum().backward()
    moved = model.embedding.weight.grad.abs().sum(1)
    assert set(moved.nonzero().flatten().tolist()) == {7, 8, 9, 10, 11, 12}


@each_model
def test_the_order_of_tokens_matters(make: Callable[[], Model]) -> None:
    torch.manual_seed(0)
    model = make().eval()
    for parameter in model.parameters():  # far from the start, where little depends on anything
        parameter.data *= 5
    tokens = torch.arange(5, 15)[None]
    length = torch.tensor([10])
    assert (model(tokens, length) - model(tokens.flip(1), length)).abs().max() > 1e-4


@each_model
def test_word_dropout_is_for_training_only(make: Callable[[], Model]) -> None:
    torch.manual_seed(0)
    model: Any = make()
    model.dropout.p = model.word_dropout.share = 0.9
    batch = side_by_side(texts())
    model.eval()
    assert torch.equal(model(*batch), model(*batch))
    model.train()
    assert not torch.equal(model(*batch), model(*batch))


def test_a_sequence_is_turned_round_by_its_own_length() -> None:
    places = mirror(torch.tensor([4, 2, 1]), 4)
    assert places.tolist() == [[3, 2, 1, 0], [1, 0, 2, 3], [0, 1, 2, 3]]


def test_the_body_of_an_encoder_is_the_same_with_and_without_a_head() -> None:
    bodies = []
    for outputs in (0, 4):
        torch.manual_seed(3)
        bodies.append(TransformerEncoder((VOCABULARY,), outputs, width=16, heads=2).state_dict())
    pretrained, tuned = bodies
    assert {name.split(".")[0] for name in tuned.keys() - pretrained.keys()} == {"head"}
    assert all(torch.equal(tensor, tuned[name]) for name, tensor in pretrained.items())


def test_only_the_asked_places_are_filled() -> None:
    torch.manual_seed(0)
    model = TransformerEncoder((VOCABULARY,), 0, width=16, layers=1, heads=2).eval()
    tokens, lengths = side_by_side(texts())
    places = torch.tensor([[0, 0], [1, 0], [8, 3], [4, 2]])
    some, every = model.fill(tokens, lengths, places), model.fill(tokens, lengths)
    torch.testing.assert_close(some, every[torch.arange(4)[:, None], places])


def test_heads_that_do_not_fit_the_width_are_told() -> None:
    with pytest.raises(BadInput) as problem:
        TransformerEncoder((VOCABULARY,), 2, width=10, heads=4)
    assert problem.value.field == "model.heads"


@each_model
def test_a_text_of_one_token_has_finite_gradients(make: Callable[[], Model]) -> None:
    torch.manual_seed(0)
    model = make()
    model(torch.tensor([[6]]), torch.tensor([1])).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("model", "small"), [
    ("TextCNN", {"model.embedding": 8, "model.maps": 4}),
    ("TextLSTM", {"model.embedding": 8, "model.width": 4}),
    ("TransformerEncoder", {"model.width": 8, "model.layers": 1, "model.heads": 2}),
])  # fmt: skip
def test_each_model_learns_to_tell_texts_apart_and_is_asked(
    model: str, small: dict[str, Any], home: Home, catalog: Catalog, tmp_path: Path,
    events: Callable[..., list[Event]],
) -> None:  # fmt: skip
    table = tmp_path / "texts.csv"
    rows = [
        f"a{' very' * (i % 4)} {word} film,{word}" for i in range(20) for word in ("good", "bad")
    ]
    table.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    for _ in bring_in(table, home.dataset(1)):
        pass
    recipe = compose(
        catalog,
        names={"task": "Classification", "model": model, "data": "ImportedText",
               "method": "Training"},
        settings={"data.id": 1, "method.max_steps": 2, "method.precision": "fp32",
                  "method.threads": 1, **small},
    )  # fmt: skip
    end = events(recipe)[-1]
    assert isinstance(end, Finished)
    assert end.state == "finished", end.reason
    assert 0 <= end.metrics["test/accuracy"] <= 1
    results = Predictor(home, 1).answer([{"text": "a good film"}, {"text": ""}])["results"]
    assert [len(result["classes"]) for result in results] == [2, 2]
