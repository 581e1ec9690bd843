"""Translation and summarization: the models' laws, the measures, and runs to their end."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
import torch
from rouge_score.tokenizers import DefaultTokenizer
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from engine import session
from engine.catalog import BadInput, Catalog
from engine.data.batches import Batch
from engine.data.imports import bring_in
from engine.data.options import ImportOptions
from engine.data.tokens import BOS, EOS
from engine.events import Event, Finished, Point, Sample
from engine.home import Home
from engine.models import Translator
from engine.models.recurrent_translator import AttentionGRU
from engine.models.transformer_translator import TransformerTranslator
from engine.predict import Predictor
from engine.recipe import Recipe, compose
from engine.session import Setup
from engine.tasks.summarization import Summarization, Words, lead, opening
from engine.tasks.translation import Translation, tokenization
from engine.writing import texts_of

CarryOut = Callable[..., list[Event]]

VOCABULARY = 23
NUMBERS = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four", "fünf": "five"}
DIGITS = {"1": "一", "2": "二", "3": "三", "4": "四"}


def pairs(words: dict[str, str], joined: tuple[str, str], most: int = 3) -> list[tuple[str, str]]:
    """Every text of up to so many words, and each of its words in the other language."""
    return [
        (joined[0].join(chosen), joined[1].join(words[word] for word in chosen))
        for length in range(1, most + 1)
        for chosen in product(words, repeat=length)
    ]


@pytest.fixture
def bring(home: Home, tmp_path: Path) -> Callable[[list[tuple[str, str]]], int]:
    """``bring(pairs)`` → the number of a dataset of them."""

    def bring(texts: list[tuple[str, str]]) -> int:
        table = tmp_path / "table.jsonl"
        table.write_text("".join(json.dumps({"source": a, "target": b}) + "\n" for a, b in texts))
        options = ImportOptions(columns={"source": "source", "target": "target"})
        for _ in bring_in(table, home.dataset(1), kind="pairs", options=options):
            pass
        return 1

    return bring


@pytest.fixture
def small(catalog: Catalog) -> Callable[..., Recipe]:
    """A recipe of a small model; settings as ``model__copy=True``."""

    def small(
        model: str = "AttentionGRU", task: str = "Translation", *, data: int = 1, **given: Any
    ) -> Recipe:
        settings = {
            "data.id": data, "data.tokenizer": "characters", "model.width": 32,
            "model.dropout": 0.0, "method.epochs": 2, "method.precision": "fp32",
            "method.threads": 1,
        } | {name.replace("__", "."): value for name, value in given.items()}  # fmt: skip
        return compose(
            catalog, names={"data": "ImportedPairs", "task": task, "model": model},
            settings=settings,
        )  # fmt: skip

    return small


@pytest.fixture
def setup(
    bring: Callable[[list[tuple[str, str]]], int], small: Callable[..., Recipe], home: Home
) -> Setup:
    bring(pairs(NUMBERS, (" ", " ")))
    return session.make(small(), home)


# --- the models -----------------------------------------------------------------------------

CASES = [
    (AttentionGRU, {}), (AttentionGRU, {"copy": True}), (AttentionGRU, {"attention": "additive"}),
    (AttentionGRU, {"encoder_layers": 2, "decoder_layers": 1}),
    (TransformerTranslator, {}), (TransformerTranslator, {"copy": True}),
]  # fmt: skip


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def model(request: pytest.FixtureRequest) -> Translator:
    kind, settings = request.param
    torch.manual_seed(0)
    return kind((VOCABULARY,), VOCABULARY, width=16, **settings).eval()  # type: ignore[no-any-return]


def texts(*lengths: int, first: int | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tokens (B, longest) with other numbers for padding than zero, and their lengths."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(5, VOCABULARY, (len(lengths), max(lengths)), generator=generator)
    if first is not None:
        tokens[:, 0] = first
    return tokens, torch.tensor(lengths)


@torch.no_grad()
def test_padding_changes_no_logit(model: Translator) -> None:
    sources, lengths = texts(6, 1, 9, 4)
    targets, target_lengths = texts(3, 7, 1, 5, first=BOS, seed=1)
    together = model(sources, lengths, targets)
    for i, (length, steps) in enumerate(
        zip(lengths.tolist(), target_lengths.tolist(), strict=True)
    ):
        alone = model(sources[i : i + 1, :length], lengths[i : i + 1], targets[i : i + 1, :steps])
        torch.testing.assert_close(together[i, :steps], alone[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_no_place_of_the_target_sees_what_comes_after_it(model: Translator) -> None:
    sources, lengths = texts(5, 3)
    targets, _ = texts(6, 6, first=BOS, seed=1)
    changed = targets.clone()
    changed[:, 4:] = 7
    before, after = (model(sources, lengths, t)[:, :4] for t in (targets, changed))
    torch.testing.assert_close(before, after)


@torch.no_grad()
@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1, 1), (2, 3, 1), (6,)])
def test_step_by_step_gives_the_logits_of_the_whole(
    model: Translator, pieces: tuple[int, ...]
) -> None:
    sources, lengths = texts(6, 1, 9, 4)
    targets, _ = texts(6, 6, 6, 6, first=BOS, seed=1)
    whole, state, done = model(sources, lengths, targets), model.begin(sources, lengths), 0
    for piece in pieces:
        logits, state = model.next(targets[:, done : done + piece], state)
        done += piece
        torch.testing.assert_close(logits, whole[:, done - 1], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_selected_rows_go_on_as_if_they_had_always_stood_there(model: Translator) -> None:
    sources, lengths = texts(6, 1, 9, 4)
    targets, _ = texts(4, 4, 4, 4, first=BOS, seed=1)
    rows = torch.tensor([2, 0, 2])
    _, state = model.next(targets[:, :3], model.begin(sources, lengths))
    logits, _ = model.next(targets[rows, 3:], state.select(rows))
    torch.testing.assert_close(
        logits, model(sources, lengths, targets)[rows, -1], atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
def test_attention_shares_the_real_source_out(model: Translator) -> None:
    sources, lengths = texts(6, 1, 9, 4)
    _, state = model.next(torch.full((4, 1), BOS), model.begin(sources, lengths))
    looked = model.attention(state)
    assert looked is not None
    torch.testing.assert_close(looked.sum(1), torch.ones(4))
    assert not looked[torch.arange(9) >= lengths[:, None]].any()


@torch.no_grad()
@pytest.mark.parametrize("kind", [AttentionGRU, TransformerTranslator])
def test_copying_gives_probabilities_and_those_of_the_sources_tokens_are_no_less(
    kind: type[Any],
) -> None:
    torch.manual_seed(0)
    model = kind((VOCABULARY,), VOCABULARY, width=16, copy=True).eval()
    sources, lengths = texts(6, 2)
    targets, _ = texts(4, 4, first=BOS, seed=1)
    shares = model(sources, lengths, targets).exp()
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 4))
    # Nearly always copying: all the probability lies on what the source says.
    model.pointer.gate.bias.fill_(-30.0)
    shares = model(sources, lengths, targets).exp()
    for row, length in enumerate(lengths.tolist()):
        own = sources[row, :length].unique()
        torch.testing.assert_close(shares[row][:, own].sum(-1), torch.ones(4))


@pytest.mark.parametrize("kind", [AttentionGRU, TransformerTranslator])
def test_one_embedding_serves_source_target_and_output(kind: type[Any]) -> None:
    model = kind((VOCABULARY,), VOCABULARY, width=16)
    assert model.head.weight is model.embedding.weight


def test_a_width_that_can_not_be_divided_is_refused() -> None:
    with pytest.raises(BadInput, match="halved"):
        AttentionGRU((9,), 9, width=15)
    with pytest.raises(BadInput, match="multiple of 8"):
        TransformerTranslator((9,), 9, width=18, heads=4)


# --- the loss and the measures --------------------------------------------------------------


def test_the_loss_is_the_mean_over_the_tokens_that_are_not_padding(setup: Setup) -> None:
    task, model = setup.task, setup.model.eval()
    assert isinstance(task, Translation)
    rows = setup.data.splits["train"][:6]
    inputs, wanted = (
        setup.data.fed.gather(rows, torch.device("cpu"), None),
        setup.data.fed.wanted(rows, torch.device("cpu")),
    )
    batch = Batch(inputs, wanted=wanted, rows=rows)
    total, count = 0.0, 0
    with torch.no_grad():
        for i in range(len(rows)):
            target = wanted["target_tokens"][i, : wanted["target_lengths"][i]]
            logits = model(inputs["tokens"][i : i + 1], inputs["lengths"][i : i + 1],
                           target[None, :-1])  # fmt: skip
            total += float(F.cross_entropy(logits[0], target[1:], reduction="sum"))
            count += len(target) - 1
            assert (target[0], target[-1]) == (BOS, EOS)
        loss = task.step(model, batch)["loss"]
        assert int(task.weight(batch)) == count
        assert float(loss) == pytest.approx(total / count, abs=1e-4)
        # Smoothing is for learning alone: what is reported is the plain loss.
        assert float(task.step(model.train(), batch)["loss"]) != pytest.approx(float(loss))


def test_bleu_and_chrf_are_sacrebleus() -> None:
    written = ["the cat sat on the mat", "a small dog", "", "hello, world!"]
    references = ["The cat sat on a mat.", "a small dog barks", "nothing here", "hello, world!"]
    scores, signatures = Translation().measures(written, references)
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(written, [references]).score)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(written, [references]).score)
    assert "tok:13a" in signatures["bleu"]
    assert f"version:{sacrebleu.__version__}" in signatures["chrf"]


@pytest.mark.parametrize(
    ("references", "name"),
    [
        (["The dog barks.", "Der Hund"], "13a"), (["一只狗在叫。", "两个 OK"], "zh"),
        (["犬が吠えている。"], "char"), (["강아지가 짖는다"], "13a"), (["", "12 34"], "13a"),
        (["สุนัขเห่า"], "char"), ([], "13a"),
    ],
)  # fmt: skip
def test_words_are_cut_as_the_script_of_the_references_asks(
    references: list[str], name: str
) -> None:
    assert tokenization(references) == name


def test_texts_that_are_all_empty_score_nothing() -> None:
    scores, _ = Translation().measures(["", ""], ["a dog", "two dogs"])
    assert scores == {"bleu": 0.0, "chrf": 0.0}
    scores, _ = Summarization().measures(["", ""], ["a dog", "two dogs"])
    assert scores == {"rouge_1": 0.0, "rouge_2": 0.0, "rouge_l": 0.0}


def test_rouge_cuts_plain_english_as_its_library_does() -> None:
    text = "The T-shirt, size 42, isn't Bob's_old ONE!  "
    assert Words().tokenize(text) == DefaultTokenizer().tokenize(text)


def test_rouge_counts_the_words_of_every_script() -> None:
    assert Words().tokenize("Größe 两只狗 Ёж") == ["größe", "两", "只", "狗", "ёж"]
    scores, signatures = Summarization().measures(["两只狗"], ["两只猫"])
    assert scores["rouge_1"] == pytest.approx(200 / 3)
    assert "rouge_score" in signatures["rouge_l"]


def test_a_lead_is_the_first_sentences() -> None:
    text = "Dr. Who came (at 3.5 m). Then he left! 他走了。再见。"
    assert lead("One here. Two here. Three.", 1) == "One here."
    assert lead("One here. Two here. Three.", 3) == "One here. Two here. Three."
    assert lead(text, 9) == text
    assert lead("他走了。再见。", 1) == "他走了。"
    assert opening("One, two; three four", 3) == "One, two; three"
    assert opening("他走了。再见。", 4) == "他走了。再"
    assert opening("one", 3) == "one"


# --- runs -----------------------------------------------------------------------------------


def last(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished)
    assert events[-1].state == "finished", events[-1].reason
    return events[-1]


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("task", ["Translation", "Summarization"])
@pytest.mark.parametrize("model", ["AttentionGRU", "TransformerTranslator"])
def test_every_combination_trains_and_is_judged(
    bring: Callable[..., int], small: Callable[..., Recipe], events: CarryOut, catalog: Catalog,
    model: str, task: str, copy: bool,
) -> None:  # fmt: skip
    bring(pairs(NUMBERS, (" ", " ")))
    happened = events(small(model, task, model__copy=copy, method__max_steps=2))
    metrics = last(happened).metrics
    headline = {"Translation": "bleu", "Summarization": "rouge_l"}[task]
    assert metrics["headline"] == f"test/{headline}"
    series = {event.series for event in happened if isinstance(event, Point)}
    assert {"validation/loss", "validation/perplexity", f"validation/{headline}"} <= series
    assert {f"test/{name}" for name in ("loss", "perplexity", headline)} <= set(metrics)
    assert "beam:4" in metrics["signatures"][headline]
    for scores in metrics["baselines"].values():
        assert {f"test/{name}" for name in scores} <= set(metrics)
    word = {"Translation": "translation", "Summarization": "summary"}[task]
    assert set(metrics["outputs"][0]) == {"source", "reference", word}
    (table, *_) = [event.data for event in happened if isinstance(event, Sample)]
    assert table["columns"] == ["source", "reference", word]
    assert len(table["rows"]) == 5


def test_a_check_writes_some_texts_and_the_test_all(setup: Setup) -> None:
    task = Translation(judged=4, beam=1)
    for final, count in ((False, 4), (True, len(setup.data.splits["test"]))):
        meter = task.meter(setup.model.eval(), setup.data, final=final)
        split = "test" if final else "validation"
        for start in range(0, len(setup.data.splits[split]), 8):
            rows = setup.data.splits[split][start : start + 8]
            cpu = torch.device("cpu")
            batch = Batch(setup.data.fed.gather(rows, cpu, None),
                          wanted=setup.data.fed.wanted(rows, cpu), rows=rows)  # fmt: skip
            with torch.no_grad():
                meter.update(task.step(setup.model, batch), batch)
        assert len(meter.written) == count
    assert "|greedy" in meter.compute()["signatures"]["bleu"]


def test_copying_the_source_is_the_baseline_of_translation(setup: Setup) -> None:
    sources, references = texts_of(setup.data, setup.data.splits["test"])
    expected = sacrebleu.corpus_bleu(sources, [references]).score
    (scores,) = setup.task.baselines(setup.data).values()
    assert scores["bleu"] == pytest.approx(expected)


@pytest.mark.parametrize("model", ["AttentionGRU", "TransformerTranslator"])
def test_chinese_is_learned_and_written(
    bring: Callable[..., int], small: Callable[..., Recipe], events: CarryOut, home: Home,
    model: str,
) -> None:  # fmt: skip
    bring(pairs(DIGITS, ("", ""), most=4))
    recipe = small(model, method__epochs=12, method__learning_rate=5e-3, method__batch_size=32)
    metrics = last(events(recipe)).metrics
    assert "tok:zh" in metrics["signatures"]["bleu"]
    assert metrics["test/bleu"] > 50 > metrics["baselines"]["the source itself"]["bleu"]
    (shown,) = Predictor(home, 1).answer([{"text": "3124"}])["results"]
    assert shown["written"] == "三一二四"
    assert shown["candidates"][0]["text"] == shown["written"]


def test_a_trial_says_candidates_and_where_each_token_looked(
    bring: Callable[..., int], small: Callable[..., Recipe], events: CarryOut, home: Home
) -> None:
    bring(pairs(NUMBERS, (" ", " ")))
    events(small(method__max_steps=2))
    predictor = Predictor(home, 1)
    for beam in (1, 3):
        (shown,) = predictor.answer([{"text": "zwei"}], {"beam": beam})["results"]
        assert len(shown["candidates"]) == beam
        looked = shown["attention"]
        assert looked["source"] == [*"zwei", "[EOS]"]
        assert len(looked["weights"]) == len(looked["target"])
        for row in looked["weights"]:
            assert sum(row) == pytest.approx(1, abs=1e-3)
    with pytest.raises(BadInput, match="Beam"):
        predictor.answer([{"text": "zwei"}], {"beam": 11})


def test_an_empty_source_is_answered(setup: Setup) -> None:
    batch = Batch({"tokens": torch.tensor([[EOS]]), "lengths": torch.tensor([1])})
    (shown,) = setup.task.show(setup.model.eval(), batch, setup.data)
    assert isinstance(shown["written"], str)


def test_a_stopped_run_goes_on_to_the_same_texts(
    bring: Callable[..., int], small: Callable[..., Recipe], events: CarryOut
) -> None:
    bring(pairs(NUMBERS, (" ", " ")))
    recipe = small(method__deterministic=True, model__dropout=0.1)
    whole = last(events(recipe, number=1)).metrics
    events(recipe, number=2, wishes={3: "pause"})
    resumed = last(events(recipe, number=2, resume=True)).metrics
    assert resumed["outputs"] == whole["outputs"]
    assert resumed["test/loss"] == whole["test/loss"]
