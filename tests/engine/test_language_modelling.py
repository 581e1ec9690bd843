"""Language models: what they see, how they write, and how their task measures and shows it."""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.answers import Answers
from engine.catalog import BadInput, Catalog
from engine.data.imports import bring_in
from engine.data.tokens import EOS, PAD, UNK, Tokenizer
from engine.decoding import Sampling, grown, pieces
from engine.events import Event, Finished, Point, Sample
from engine.home import Home
from engine.models import Model
from engine.models.gpt import TransformerDecoder
from engine.models.lstm_language_model import RecurrentLanguageModel
from engine.predict import Predictor
from engine.recipe import Recipe, compose
from engine.tasks.language_modelling import LanguageModelling, counted, measures

APP = Path(__file__).parents[2] / "app.py"
CPU = torch.device("cpu")
TOKENS = 23
MODELS: dict[str, Callable[[], Model]] = {
    "TransformerDecoder": lambda: TransformerDecoder(
        (TOKENS,), 0, layers=2, heads=2, width=16, dropout=0.2
    ),
    "RecurrentLanguageModel": lambda: RecurrentLanguageModel(
        (TOKENS,), 0, layers=2, width=16, dropout=0.2
    ),
}
SMALL = {
    "TransformerDecoder": {"model.layers": 2, "model.heads": 2, "model.width": 16},
    "RecurrentLanguageModel": {"model.layers": 1, "model.width": 16},
}
LINES = [
    f"The {colour} {animal} of number {i} is at home, but {['away', 'ill', '早上好'][i % 3]}.\n"
    for i, (colour, animal) in enumerate(
        itertools.product(["red", "green", "blue"], ["fox", "hare", "owl", "mouse", "bear"] * 6)
    )
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """For products this small a second thread only waits, and longer where it must share a core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    made = MODELS[request.param]()
    with torch.no_grad():  # larger than they begin: differences show
        for weights in made.parameters():
            weights.mul_(3)
    return made.eval()


def some(*shape: int) -> Tensor:
    return torch.randint(5, TOKENS, shape, generator=torch.Generator().manual_seed(1))


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


# --- models ---------------------------------------------------------------------------------


def test_no_place_sees_the_future(model):
    tokens = some(3, 12)
    changed = tokens.clone()
    changed[:, 7:] = tokens[:, 7:].flip(1) + 1
    before, after = model.follow(tokens), model.follow(changed.clamp(max=TOKENS - 1))
    assert close(before[:, :7], after[:, :7])
    assert not close(before[:, 7:], after[:, 7:])


def test_every_place_sees_all_of_the_past(model):
    tokens = some(1, 8)
    changed = tokens.clone()
    changed[:, 0] = (tokens[:, 0] - 4) % (TOKENS - 5) + 5
    assert not close(model.follow(tokens)[:, -1], model.follow(changed)[:, -1])


def test_padding_changes_no_logit(model):
    tokens, lengths = some(3, 9), [4, 9, 1]
    for row, length in enumerate(lengths):
        tokens[row, length:] = PAD
    together = model.follow(tokens)
    for row, length in enumerate(lengths):
        assert close(together[row, :length], model.follow(tokens[row : row + 1, :length])[0])


@pytest.mark.parametrize("parts", [[1] * 10, [4, 3, 1, 2], [1, 9], [10]])
def test_step_by_step_gives_the_same_logits_as_all_at_once(model, parts):
    tokens = some(2, 10)
    whole, state, at = model.follow(tokens), model.begin(), 0
    for length in parts:
        logits, state = model.next(tokens[:, at : at + length], state)
        at += length
        assert close(logits, whole[:, at - 1])


def test_a_memory_can_be_selected_and_goes_on_as_its_own(model):
    tokens = some(3, 6)
    assert model.begin().select(torch.tensor([0])) is not None  # before the first token
    _, state = model.next(tokens[:, :5], model.begin())
    rows = torch.tensor([2, 0, 0])
    logits, _ = model.next(tokens[rows][:, 5:], state.select(rows))
    assert close(logits, model.follow(tokens[rows])[:, -1])


def test_a_bounded_memory_stays_bounded_and_tells_the_newest():
    torch.manual_seed(0)
    model = MODELS["TransformerDecoder"]().eval()
    assert isinstance(model, TransformerDecoder)
    tokens, state = some(1, 40), model.begin(6)
    for at in range(40):
        _, state = model.next(tokens[:, at : at + 1], state)
        assert state.caches[0][0].shape[2] == min(at + 1, 6)
    # A prompt of several tokens, longer than what is remembered: as if it began later.
    long, after = model.next(tokens, model.begin(6))
    assert close(long, model.follow(tokens[:, -6:])[:, -1])
    assert after.caches[0][0].shape[2] == 6
    new, _ = model.next(some(1, 6), after)
    assert close(new, model.follow(some(1, 6))[:, -1])


def test_the_output_reads_the_embedding(model):
    matrices = [p for p in model.parameters() if TOKENS in p.shape and p.ndim == 2]
    assert len(matrices) == 1
    assert model.follow(some(2, 3)).shape == (2, 3, TOKENS)


def test_before_training_every_token_is_about_as_likely():
    torch.manual_seed(0)
    for make_one in MODELS.values():
        logits = make_one().eval().follow(some(4, 30)).flatten(0, 1)
        loss = nn.functional.cross_entropy(logits, some(4, 30).flip(1).flatten())
        assert float(loss.detach()) == pytest.approx(math.log(TOKENS), abs=0.15)


# --- sampling -------------------------------------------------------------------------------


LOGITS = torch.tensor([0.5, 2.0, 1.0, -1.0, 3.0, 0.0])


def test_temperature_sharpens_and_flattens():
    cool, warm = (Sampling(temperature=t).shares(LOGITS) for t in (0.5, 2.0))
    assert cool.max() > LOGITS.softmax(-1).max() > warm.max()
    assert torch.allclose(Sampling().shares(LOGITS), LOGITS.softmax(-1))
    assert Sampling(temperature=0).shares(LOGITS).tolist() == [0, 0, 0, 0, 1, 0]
    assert Sampling(temperature=1e-6).shares(LOGITS).tolist() == [0, 0, 0, 0, 1, 0]


def test_top_k_leaves_the_likeliest_in_their_proportions():
    shares = Sampling(top_k=2).shares(LOGITS)
    assert shares.nonzero().flatten().tolist() == [1, 4]
    assert float(shares.sum()) == pytest.approx(1)
    assert float(shares[4] / shares[1]) == pytest.approx(math.e)
    assert torch.allclose(Sampling(top_k=99).shares(LOGITS), LOGITS.softmax(-1))


@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.7, 0.9, 0.999])
def test_top_p_leaves_the_smallest_set_with_that_share(top_p):
    plain = LOGITS.softmax(-1)
    kept = Sampling(top_p=top_p).shares(LOGITS).nonzero().flatten()
    least = plain[kept].min()
    assert float(plain[kept].sum()) >= top_p
    assert float(plain[kept].sum() - least) < top_p
    assert all(plain[i] < least for i in set(range(6)) - set(kept.tolist()))


def write(model: Any, *, seed: int | None = 0, prompt: tuple[int, ...] = (7, 8), **how: Any):
    settings = {"length": 30, "longest": 8, "sampling": Sampling(), "device": CPU} | how
    with torch.inference_mode():
        return list(grown(model, prompt, seed=seed, **settings))


def test_the_same_seed_writes_the_same_and_disturbs_nobody(model):
    before = torch.get_rng_state()
    assert write(model) == write(model)
    assert write(model, seed=1) != write(model)
    assert len({tuple(write(model, seed=None)) for _ in range(4)}) > 1
    assert torch.equal(torch.get_rng_state(), before)


def test_the_likeliest_tokens_are_those_of_the_model_itself(model):
    longest, sampling = 100, Sampling(temperature=0)
    written = write(model, longest=longest, sampling=sampling, length=12)
    text = [7, 8]
    for token in written:
        logits = model.follow(torch.tensor([text]))[0, -1]
        logits[:5] = float("-inf")
        assert token == int(logits.argmax())
        text.append(token)


class Fixed:
    """A “model” that wants these tokens, one after another."""

    def __init__(self, wanted: list[int]) -> None:
        self.wanted = wanted

    def begin(self, longest: int | None = None) -> int:
        return 0

    def next(self, tokens: Tensor, state: int) -> tuple[Tensor, int]:
        logits = torch.zeros(1, 300)
        logits[0, self.wanted[state]] = 100.0
        logits[0, 77] = 50.0
        return logits, state + 1


def test_writing_ends_where_the_text_does_and_says_nothing_that_is_no_text():
    assert write(Fixed([10, 11, EOS, 12])) == [10, 11]
    assert write(Fixed([EOS, 10, EOS])) == [77, 10]  # there is a text, at least one token of it
    assert write(Fixed([10, PAD, UNK, 11, EOS])) == [10, 77, 77, 11]
    assert write(Fixed(list(range(10, 99))), length=5) == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("kind", ["characters", "BPE", "words", "WordPiece"])
def test_pieces_are_whole_characters_and_join_to_the_text(kind):
    text = "早上好, naïve 🦉 owls — über alles. The end"
    tokenizer = Tokenizer.learned(iter([text, "plain"]), kind, vocabulary=290)
    (ids,) = tokenizer.encode([text])
    for cut in range(1, len(ids)):
        prompt = tokenizer.decode(ids[:cut])
        told = list(pieces(tokenizer, ids[:cut], iter(ids[cut:])))
        if "\ufffd" in prompt:  # cut within a character: it is told whole
            assert prompt.rstrip("\ufffd") + "".join(told) == tokenizer.decode(ids)
        else:
            assert prompt + "".join(told) == tokenizer.decode(ids)
        assert all(piece and "\ufffd" not in piece for piece in told)


def test_bytes_that_never_become_a_character_are_told_at_the_end():
    tokenizer = Tokenizer.learned(iter(["ab"]), "BPE", vocabulary=261)
    (ids,) = tokenizer.encode(["a好"])
    assert list(pieces(tokenizer, ids[:1], iter(ids[1:3]))) == ["\ufffd"]


# --- the task, through a run ----------------------------------------------------------------


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home's dataset of one running text."""
    root = tmp_path_factory.mktemp("text")
    (root / "lines.txt").write_text("".join(LINES), encoding="utf-8")
    list(bring_in(root / "lines.txt", root / "1"))
    return root / "1"


Brought = Callable[..., Recipe]


@pytest.fixture
def brought(home: Home, text: Path, catalog: Catalog) -> Brought:
    """A recipe for a small model on the running text."""
    (home.datasets / "1").symlink_to(text)

    def recipe(model: str = "TransformerDecoder", **given: Any) -> Recipe:
        settings = {
            "data.id": 1, "task.block": 16, "method.max_steps": 2, "method.batch_size": 8,
            "method.threads": 1, "method.precision": "fp32", **SMALL[model],
        } | {k.replace("__", "."): v for k, v in given.items()}  # fmt: skip
        names = {"task": "LanguageModelling", "model": model, "data": "ImportedText"}
        return compose(catalog, names=names, settings=settings)  # type: ignore[arg-type]

    return recipe


def finished(said: list[Event]) -> dict[str, Any]:
    last = said[-1]
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    return last.metrics


def guesses(metrics: dict[str, Any]) -> list[dict[str, float]]:
    """The baselines of what comes next; others are of the probe of classes."""
    return [row for row in metrics["baselines"].values() if "loss" in row]


@pytest.mark.parametrize("tokenizer", ["characters", "BPE"])
@pytest.mark.parametrize("name", MODELS)
def test_a_run_measures_what_its_field_does_and_grows_texts(name, tokenizer, brought, events):
    said = events(brought(name, data__tokenizer=tokenizer, data__vocabulary=300))
    metrics = finished(said)
    loss = metrics["test/loss"]
    assert metrics["headline"] == "test/perplexity"
    assert metrics["test/perplexity"] == pytest.approx(math.exp(loss))
    assert 0 < metrics["test/bits_per_byte"] < 20
    if tokenizer == "BPE":  # a vocabulary of bytes knows every text
        assert loss == pytest.approx(math.log(300), rel=0.2)
    for baseline in guesses(metrics):
        assert baseline.keys() == {"loss", "perplexity", "bits_per_byte"}
    single, double = (row["loss"] for row in guesses(metrics))
    assert double < single < loss
    assert len(metrics["outputs"]) == 3
    assert all(row["written"] for row in metrics["outputs"])
    json.dumps(metrics, allow_nan=False)
    (sample,) = [event for event in said if isinstance(event, Sample) and event.kind == "text"]
    assert sample.data.keys() == {"prompt", "text"}
    joined = "".join(LINES)
    assert sample.data["prompt"].replace("\ufffd", "") in joined


def test_training_beats_the_baselines(brought, events):
    metrics = finished(events(brought(
        model__width=32, method__max_steps=150, task__block=32, method__learning_rate=0.01,
    )))  # fmt: skip
    assert metrics["test/loss"] < min(row["loss"] for row in guesses(metrics))


def test_the_baselines_are_distributions():
    text = np.array([5, 6, 7, 5, 6, 5, 6, 8, 6])
    single, following = counted(text, 10)
    everything = np.arange(10)
    assert single.sum() == pytest.approx(1)
    for first in everything:
        shares = following(np.full(10, first), everything)
        assert shares.sum() == pytest.approx(1)
        assert shares.min() > 0
    after = following(np.full(10, 5), everything)
    assert after.argmax() == 6  # nothing else came after it
    assert following(np.array([9]), np.array([6])) == pytest.approx(single[6])  # never seen


def test_a_stopped_run_goes_on_to_the_same_weights(brought, events, home):
    whole = brought(
        method__max_steps=7, method__check_every=3, model__dropout=0.1, method__average=0.9
    )  # fmt: skip
    straight = finished(events(whole, number=1))
    events(whole, number=2, wishes={4: "pause"})
    resumed = finished(events(whole, number=2, resume=True))
    for name, value in straight.items():
        if name.startswith(("test/", "validation/")) or name == "outputs":
            assert resumed[name] == value


def test_texts_of_their_own_are_learned_with_their_ends(brought, events, home, tmp_path):
    rows = [f'"{line.strip()}",{"ab"[i % 2]}' for i, line in enumerate(LINES)]
    (tmp_path / "apart.csv").write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    list(bring_in(tmp_path / "apart.csv", home.datasets / "2"))
    metrics = finished(events(brought(
        data__id=2, model__width=32, method__max_steps=150, task__block=32,
        method__learning_rate=0.01,
    )))  # fmt: skip
    assert metrics["test/loss"] < min(row["loss"] for row in guesses(metrics))
    options = {"length": 500, "seed": 0}
    for prompt in ("", "The red "):
        (told,) = Predictor(home, 1).answer([{"text": prompt}], options)["results"]
        assert 0 < len(told["written"]) < 500  # it ends by itself


def test_validation_counts_each_token_once_whatever_the_batches(brought, events):
    found = []
    for tokens in (None, 64):
        said = events(brought(method__batch_tokens=tokens, method__learning_rate=1e-7))
        found += [e.value for e in said if isinstance(e, Point) and e.series == "validation/loss"]
    assert found[0] == pytest.approx(found[1], abs=1e-3)


@pytest.fixture
def asked(brought, events, home) -> Predictor:
    finished(events(brought()))
    return Predictor(home, 1)


def test_a_prompt_is_written_on_with_the_settings_of_the_trial(asked):
    options = {"length": 20, "temperature": 0, "seed": 1}
    (one,) = asked.answer([{"text": "The red "}], options)["results"]
    assert one["prompt"] == "The red "
    assert len(one["written"]) == 20
    careful = asked.answer([{"text": "The red "}], options | {"seed": 2, "top_k": 5})["results"]
    assert careful[0]["written"] == one["written"]
    varied = [asked.answer([{"text": "The red "}], {"length": 20, "temperature": 2, "seed": seed})
              for seed in (1, 2, 1)]  # fmt: skip
    assert varied[0] == varied[2] != varied[1]
    with pytest.raises(BadInput, match="Temperature"):
        asked.answer([{"text": "The"}], {"temperature": -1})
    with pytest.raises(BadInput, match="1–2000"):
        asked.answer([{"text": "The"}], {"length": 10**6})


@pytest.mark.parametrize("prompt", ["", "x" * 500, "日本", "a\nb", "___"])
def test_any_prompt_is_taken(asked, prompt):
    (told,) = asked.answer([{"text": prompt}], {"length": 5})["results"]
    assert 0 < len(told["written"]) <= 5


def test_the_pieces_of_an_answer_are_the_answer(asked):
    options = {"length": 40, "temperature": 1.5, "seed": 5}
    parts = list(asked.stream({"text": "The "}, options))
    (whole,) = asked.answer([{"text": "The "}], options)["results"]
    assert "".join(parts) == whole["written"]
    assert len(parts) == len(whole["written"]) > 1  # of characters, each is a piece


def test_a_text_comes_piece_by_piece_through_the_answering_process(asked, home):
    process = Answers(
        [sys.executable, str(APP), "answer", "--home", str(home.root)], log=home.root / "a.log"
    )
    heard: list[str] = []
    whole_then: list[bool] = []

    def hear(piece: str) -> None:
        heard.append(piece)
        whole_then.append(reply.done())

    try:
        reply = process.ask("details", data={"name": "Digits8x8"})
        reply.result(100)
        options = {"length": 50, "seed": 3}
        reply = process.ask("stream", heard=hear, run=1, given={"text": "The "}, options=options)
        said = reply.result(100)
    finally:
        process.close()
    assert not any(whole_then)
    assert len(heard) > 1
    (same,) = asked.answer([{"text": "The "}], options)["results"]
    assert "".join(heard) == same["written"]
    assert said["text"] == "The "
    assert said["checkpoint"]["step"] == 2


def test_the_form_offers_what_a_trial_can_be_given(catalog):
    card = catalog.card("task", "LanguageModelling")
    assert card.streams
    assert [field.name for field in card.tries] == [
        "length", "temperature", "top_k", "top_p", "seed"
    ]  # fmt: skip
    assert card.try_with({})["seed"] is None


def test_smoothing_is_for_training_and_not_for_the_measure(brought, events):
    losses: list[Iterator[float]] = []
    for smoothing in (0.0, 0.3):
        said = events(brought(task__label_smoothing=smoothing, method__learning_rate=1e-7))
        losses.append(
            e.value for e in said if isinstance(e, Point) and e.series == "validation/loss"
        )
    assert list(losses[0]) == pytest.approx(list(losses[1]), abs=1e-4)


def test_perplexity_of_a_hopeless_model_is_a_number():
    assert math.isfinite(measures(10_000.0, 0)["perplexity"])
    assert measures(math.log(2), 0.5)["bits_per_byte"] == pytest.approx(2)
    assert "bits_per_byte" not in measures(1.0, 0)
    assert LanguageModelling.headline in measures(1.0, 0)
