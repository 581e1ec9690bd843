"""Learning a language from blanks: what is hidden, what is measured, how a blank is filled."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.catalog import BadInput, Catalog
from engine.chance import scattered
from engine.data.arrays import Ragged
from engine.data.batches import Batch, Data, Feed
from engine.data.imports import bring_in
from engine.data.tokens import MASK, PAD, SPECIAL, UNK, Tokenizer, Tokens
from engine.events import Event, Finished, Sample
from engine.home import Home
from engine.models.transformer_encoder import TransformerEncoder
from engine.predict import Predictor
from engine.recipe import compose
from engine.tasks.masked_language_modelling import (
    SHOWN,
    MaskedLanguageModelling,
    counted,
)

CPU = torch.device("cpu")
VOCABULARY = 40
LENGTHS = [1, 3, 7, 20, 40, 0, 12, 33]


def dataset(lengths: list[int] = LENGTHS, *, longest: int | None = None, seed: int = 0) -> Data:
    """Texts of known words, each of that many tokens, all in every split."""
    words = [f"w{i:02}" for i in range(VOCABULARY - len(SPECIAL))]
    tokenizer = Tokenizer.learned([" ".join(words)], "words", vocabulary=VOCABULARY)
    rng = np.random.default_rng(seed)
    flat = rng.integers(len(SPECIAL), VOCABULARY, sum(lengths)).astype(np.uint16)
    ids = Ragged(flat, np.cumsum([0, *lengths]))
    rows = np.arange(len(lengths))
    return Data(
        Tokens(ids, tokenizer, longest), None, ("a", "b"),
        {"train": rows, "validation": rows, "test": rows}, "",
    )  # fmt: skip


def batch_of(data: Data, rows: list[int]) -> Batch:
    return Feed(data, "train", batch_size=99, device=CPU).batch(np.array(rows))


def task_on(data: Data, **settings: Any) -> tuple[MaskedLanguageModelling, Data]:
    task = MaskedLanguageModelling(**settings)
    view = task.view(data)
    task.prepare(view)
    return task, view


class Certain(torch.nn.Module):
    """Says the same token everywhere, or what was there if it was told."""

    def __init__(self, answers: Tensor) -> None:
        super().__init__()
        self.answers = answers

    def fill(self, tokens: Tensor, lengths: Tensor, places: Tensor | None = None) -> Tensor:
        answers = self.answers.expand_as(tokens)
        if places is not None:
            answers = answers.gather(1, places)
        return torch.nn.functional.one_hot(answers, VOCABULARY).float() * 50


@pytest.mark.parametrize("fixed", [True, False])
def test_hiding_leaves_padding_and_special_tokens_alone(fixed: bool) -> None:
    task, data = task_on(dataset(), share=0.5)
    batch = batch_of(data, list(range(len(LENGTHS))))
    tokens = batch.inputs["tokens"].clone()
    tokens[3, ::2] = UNK
    tokens[4, 1::2] = MASK
    batch.inputs["tokens"] = tokens
    for _ in range(5):
        hidden = task.hide(batch, fixed=fixed)
        moved = hidden.tokens != tokens
        assert not moved[tokens < len(SPECIAL)].any()
        assert (tokens.gather(1, hidden.places)[hidden.counts] >= len(SPECIAL)).all()
        elsewhere = torch.ones_like(moved).scatter(1, hidden.places, ~hidden.counts)
        assert not (moved & elsewhere).any()
        assert (hidden.tokens[tokens == PAD] == PAD).all()


def test_every_text_has_its_share_hidden_and_one_token_at_least() -> None:
    task, data = task_on(dataset(), share=0.15)
    batch = batch_of(data, list(range(len(LENGTHS))))
    assert task.hidden(batch).tolist() == [max(round(0.15 * n), 1) if n else 0 for n in LENGTHS]
    hidden = task.hide(batch, fixed=False)
    assert torch.equal(hidden.counts.sum(1), task.hidden(batch))
    assert int(task.weight(batch)) == int(hidden.counts.sum())
    for places, counts in zip(hidden.places, hidden.counts, strict=True):
        chosen = places[counts].tolist()
        assert len(set(chosen)) == len(chosen)


@pytest.mark.parametrize("fixed", [True, False])
def test_hidden_tokens_are_blanked_replaced_and_kept_as_in_bert(fixed: bool) -> None:
    torch.manual_seed(0)
    task, data = task_on(dataset([100] * 300), share=0.5)
    batch = batch_of(data, list(range(300)))
    hidden = task.hide(batch, fixed=fixed)
    true = batch.inputs["tokens"].gather(1, hidden.places)[hidden.counts]
    said = hidden.tokens.gather(1, hidden.places)[hidden.counts]
    blank = float((said == MASK).float().mean())
    kept = float((said == true).float().mean())
    assert blank == pytest.approx(0.8, abs=0.02)
    assert kept == pytest.approx(0.1 + 0.1 / (VOCABULARY - len(SPECIAL)), abs=0.02)
    others = said[(said != MASK) & (said != true)]
    assert int(others.min()) == len(SPECIAL)
    assert int(others.max()) == VOCABULARY - 1
    # No place of a text is spared.
    everywhere = torch.bincount(hidden.places[hidden.counts], minlength=100)
    assert 0.6 * 150 < int(everywhere.min()) <= int(everywhere.max()) < 1.4 * 150


def test_what_is_hidden_to_measure_depends_on_no_batch() -> None:
    task, data = task_on(dataset())
    together = batch_of(data, [4, 1, 7])
    apart = batch_of(data, [1])
    many, one = task.hide(together, fixed=True), task.hide(apart, fixed=True)
    length = LENGTHS[1]
    assert torch.equal(many.tokens[1, :length], one.tokens[0, :length])
    torch.manual_seed(1)
    again = task.hide(together, fixed=True)
    assert torch.equal(again.tokens, many.tokens)
    assert torch.equal(again.places[again.counts], many.places[many.counts])


def test_what_is_hidden_in_training_changes_and_repeats_with_the_random_state() -> None:
    task, data = task_on(dataset())
    batch = batch_of(data, [4, 7])
    torch.manual_seed(5)
    first, second = (task.hide(batch, fixed=False).tokens for _ in range(2))
    torch.manual_seed(5)
    assert torch.equal(task.hide(batch, fixed=False).tokens, first)
    assert not torch.equal(first, second)


def test_scattered_numbers_fill_the_unit_interval_evenly() -> None:
    draws = scattered(torch.arange(1000), 100, 1)
    assert 0 <= float(draws.min()) < 0.001
    assert 0.999 < float(draws.max()) < 1
    assert torch.histc(draws, 10).sub(10_000).abs().max() < 500
    columns = torch.corrcoef(draws[:, :20].T) - torch.eye(20)
    assert float(columns.abs().max()) < 0.15
    assert not torch.equal(draws, scattered(torch.arange(1000), 100, 2))


def test_the_loss_is_over_hidden_tokens_alone() -> None:
    task, data = task_on(dataset())
    batch = batch_of(data, [4, 7, 0, 5])
    model = Certain(batch.inputs["tokens"]).eval()
    found = task.step(model, batch)  # type: ignore[arg-type]
    assert float(found["loss"]) < 1e-6
    meter = task.meter(model, data)  # type: ignore[arg-type]
    meter.update(found, batch)
    assert meter.compute()["masked_accuracy"] == 1
    assert meter.compute()["perplexity"] == pytest.approx(1)


def test_the_test_split_gives_texts_that_were_filled_in() -> None:
    task, data = task_on(dataset())
    torch.manual_seed(0)
    model = TransformerEncoder((VOCABULARY,), 0, width=8, layers=1, heads=2).eval()
    meter = task.meter(model, data, final=True)
    with torch.inference_mode():
        for batch in Feed(data, "test", batch_size=3, device=CPU).batches():
            meter.update(task.step(model, batch), batch)
    outputs = meter.compute()["outputs"]
    assert len(outputs) == min(SHOWN, len(data.splits["test"]))
    for one in outputs:
        assert 0 <= one["right"] <= one["blanks"]
        assert one["with_blanks"].count("___") <= one["blanks"]  # some stay, some are replaced
        assert (one["filled_in"] == one["as_it_was"]) or one["right"] < one["blanks"]


def test_a_batch_of_empty_texts_has_no_loss_and_no_weight() -> None:
    task, data = task_on(dataset())
    batch = batch_of(data, [5, 5])
    model = TransformerEncoder((VOCABULARY,), 0, width=8, layers=1, heads=2)
    assert float(task.step(model, batch)["loss"].detach()) == 0
    assert int(task.weight(batch)) == 0


def test_loss_and_accuracy_do_not_depend_on_how_items_are_batched() -> None:
    task, data = task_on(dataset())
    torch.manual_seed(0)
    model = TransformerEncoder((VOCABULARY,), 0, width=8, layers=1, heads=2).eval()
    found = []
    for size in (1, 3, 8):
        meter = task.meter(model, data)
        with torch.inference_mode():
            for batch in Feed(data, "test", batch_size=size, device=CPU).batches():
                meter.update(task.step(model, batch), batch)
        found.append(meter.compute())
    for each in found[1:]:
        assert each == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize("longest", [None, 20, 5])
def test_long_texts_are_cut_to_pieces_that_hold_all_that_is_read(longest: int | None) -> None:
    data = dataset(longest=longest)
    _, view = task_on(data, window=8)
    before, after = data.items, view.items
    assert isinstance(before, Tokens)
    assert isinstance(after, Tokens)
    rows = view.splits["train"]
    assert after.ids.lengths[rows].max() <= 8
    read = np.concatenate([before.ids[row][:longest] for row in range(len(LENGTHS))])
    assert np.concatenate([after.ids[row] for row in rows]).tolist() == read.tolist()


def test_pieces_of_a_text_stay_in_its_split() -> None:
    data = dataset([30, 9, 50, 3])
    apart = {"train": np.array([2, 0]), "validation": np.array([1]), "test": np.array([3])}
    _, view = task_on(data.of(data.items, splits=apart), window=8)
    assert isinstance(view.items, Tokens)
    assert isinstance(data.items, Tokens)
    for split, rows in apart.items():
        held = np.sort(np.concatenate([view.items.ids[r] for r in view.splits[split]]))  # type: ignore[index]
        assert held.tolist() == np.sort(np.concatenate([data.items.ids[r] for r in rows])).tolist()
    assert not set(view.splits["train"]) & set(view.splits["test"])


def test_texts_without_a_known_word_are_told() -> None:
    data = dataset([3, 4])
    assert isinstance(data.items, Tokens)
    data.items.ids.flat[:] = UNK
    with pytest.raises(BadInput, match="no token to guess"):
        task_on(data)


def test_the_baselines_are_what_the_frequencies_say() -> None:
    data = dataset([4, 4])
    assert isinstance(data.items, Tokens)
    data.items.ids.flat[:] = [7, 7, 7, 9, 7, 9, 9, UNK]
    apart = {"train": np.array([0]), "validation": np.array([1]), "test": np.array([1])}
    task, view = task_on(data.of(data.items, splits=apart))
    found = task.baselines(view)
    assert found["always the most frequent token"] == {"masked_accuracy": pytest.approx(1 / 3)}
    others = VOCABULARY - len(SPECIAL) + 4
    loss = -(math.log(4 / others) + 2 * math.log(2 / others)) / 3
    assert found["each token as often as in training"] == {
        "loss": pytest.approx(loss), "perplexity": pytest.approx(math.exp(loss)),
    }  # fmt: skip
    assert counted(view.items.ids, view.splits["train"], VOCABULARY).sum() == 4  # type: ignore[attr-defined]


def test_blanks_are_filled_with_the_likeliest_tokens() -> None:
    task, data = task_on(dataset())
    assert isinstance(data.items, Tokens)
    ids = data.items.tokenizer.encode_blanks("w03 ___ w05 [MASK]")
    inputs = {"tokens": torch.tensor([ids]), "lengths": torch.tensor([4])}
    model = Certain(torch.tensor([[8, 9, 10, 11]])).eval()
    (shown,) = task.show(model, Batch(inputs), data, top=3)  # type: ignore[arg-type]
    said = [data.items.tokenizer.spell(i) for i in (9, 11)]
    assert [blank["place"] for blank in shown["blanks"]] == [1, 3]
    assert [blank["choices"][0]["token"] for blank in shown["blanks"]] == said
    assert [len(blank["choices"]) for blank in shown["blanks"]] == [3, 3]
    assert shown["blanks"][0]["choices"][0]["probability"] == pytest.approx(1)
    assert shown["filled"] == f"w03 {said[0]} w05 {said[1]}"


def test_no_special_token_is_ever_filled_in() -> None:
    task, data = task_on(dataset())
    inputs = {"tokens": torch.tensor([[8, MASK]]), "lengths": torch.tensor([2])}
    model = Certain(torch.tensor([[UNK, UNK]])).eval()
    (shown,) = task.show(model, Batch(inputs), data, top=20)  # type: ignore[arg-type]
    assert not {c["token"] for c in shown["blanks"][0]["choices"]} & set(SPECIAL)


def test_a_text_without_a_blank_is_told_how_to_write_one() -> None:
    task, data = task_on(dataset())
    inputs = {"tokens": torch.tensor([[8, 9]]), "lengths": torch.tensor([2])}
    with pytest.raises(BadInput, match="write ___ or"):
        task.show(Certain(torch.tensor([[8]])), Batch(inputs), data)  # type: ignore[arg-type]


def test_a_run_learns_shows_and_answers(
    home: Home, catalog: Catalog, events: Callable[..., list[Event]], tmp_path: Path
) -> None:
    lines = [
        f"{who} {does} the {what}"
        for who in ("she", "he", "nobody")
        for does in ("sees", "likes", "buys")
        for what in ("house", "film", "tree", "sea")
    ]
    table = tmp_path / "texts.csv"
    table.write_text("text\n" + "\n".join(lines * 3) + "\n", encoding="utf-8")
    for _ in bring_in(table, home.dataset(1)):
        pass
    recipe = compose(
        catalog,
        names={"task": "MaskedLanguageModelling", "model": "TransformerEncoder",
               "data": "ImportedText", "method": "Training"},
        settings={
            "data.id": 1, "data.tokenizer": "words", "model.width": 16, "model.layers": 1,
            "method.max_steps": 2, "method.batch_size": 16, "method.precision": "fp32",
            "method.threads": 1,
        },
    )  # fmt: skip
    said = events(recipe)
    end = said[-1]
    assert isinstance(end, Finished)
    assert end.state == "finished", end.reason
    assert {"test/loss", "test/perplexity", "test/masked_accuracy"} <= end.metrics.keys()
    tables = [e.data for e in said if isinstance(e, Sample) and e.name == "fill-ins"]
    assert len(tables[-1]["rows"][0]) == len(tables[-1]["columns"]) == 4
    (result,) = Predictor(home, 1).answer([{"text": "she sees the ___"}], {"top": 2})["results"]
    assert result["blanks"][0]["place"] == 3
    assert result["tokens"][-1] == "[MASK]"
    assert result["filled"].startswith("she sees the ")
