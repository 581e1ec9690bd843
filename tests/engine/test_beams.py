"""Texts are written as the model's own probabilities say."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from engine.beams import Hypothesis, cap, penalty, write
from engine.data.tokens import BOS, EOS, UNSAID
from engine.models import Translator
from engine.models.recurrent_translator import AttentionGRU
from engine.models.transformer_translator import TransformerTranslator

VOCABULARY = 11
LETTERS = range(5, VOCABULARY)


@dataclass(frozen=True)
class Last:
    token: Tensor

    def select(self, rows: Tensor) -> Last:
        return Last(self.token[rows])


class Chain:
    """The next token's logits are a row of a table that the last token chooses."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def __call__(self, tokens: Tensor, lengths: Tensor, target_tokens: Tensor) -> Tensor:
        return self.table[target_tokens]

    def begin(self, tokens: Tensor, lengths: Tensor) -> Last:
        return Last(torch.full((len(tokens),), BOS))

    def next(self, target_tokens: Tensor, state: Last) -> tuple[Tensor, Last]:
        return self.table[target_tokens[:, -1]], Last(target_tokens[:, -1])

    def attention(self, state: Last) -> Tensor | None:
        return None


@pytest.fixture(params=[AttentionGRU, TransformerTranslator])
def model(request: pytest.FixtureRequest) -> Translator:
    torch.manual_seed(0)
    made = request.param((VOCABULARY,), VOCABULARY, width=16).eval()
    with torch.no_grad():  # decided enough to write texts of several lengths
        for weights in made.parameters():
            weights.mul_(1.5)
    return made  # type: ignore[no-any-return]


@pytest.fixture
def sources() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([2, 7, 4, 5, 1, 7])
    tokens = torch.randint(5, VOCABULARY, (6, 7), generator=generator)
    tokens[torch.arange(7) >= lengths[:, None]] = 0
    return tokens, lengths


def table(seed: int, *, ending: float = 0.0) -> Tensor:
    logits = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(seed))
    logits[:, EOS] += ending
    return logits


def one_source(length: int) -> tuple[Tensor, Tensor]:
    return torch.full((1, length), 5), torch.tensor([length])


@torch.no_grad()
def greedy(model: Translator, tokens: Tensor, lengths: Tensor, most: int) -> list[int]:
    """One source, written without any memory: the likeliest token after all that was written."""
    text = [BOS]
    while len(text) <= most:
        logits = model(tokens, lengths, torch.tensor([text]))[0, -1]
        logits[list(UNSAID)] = -math.inf
        text.append(int(logits.argmax()))
        if text[-1] == EOS:
            return text[1:-1]
    return text[1:]


@torch.no_grad()
def own_score(model: Translator, tokens: Tensor, lengths: Tensor, text: Hypothesis) -> float:
    """What the model says of a text when it is taught it."""
    target = torch.tensor([[BOS, *text.tokens, *[EOS] * text.ended]])
    logs = model(tokens, lengths, target[:, :-1]).float().log_softmax(-1)
    return float(logs.gather(2, target[:, 1:, None]).sum())


@pytest.mark.parametrize("beam", [1, 3])
def test_a_model_without_numbers_writes_nothing(
    model: Translator, sources: tuple[Tensor, Tensor], beam: int
) -> None:
    for parameter in model.parameters():  # type: ignore[attr-defined]
        parameter.data.fill_(math.nan)
    for (text,) in write(model, *sources, beam=beam):
        assert (text.tokens, text.ended) == ((), False)


def test_one_beam_is_the_greedy_choice(
    model: Translator, sources: tuple[Tensor, Tensor]
) -> None:  # fmt: skip
    tokens, lengths = sources
    found = write(model, tokens, lengths, beam=1)
    for row, most in enumerate(cap(lengths, None)):
        alone = tokens[row : row + 1, : lengths[row]]
        expected = greedy(model, alone, lengths[row : row + 1], most)
        assert [list(text.tokens) for text in found[row]] == [expected]


@pytest.mark.parametrize("beam", [1, 3])
def test_a_text_is_the_same_in_a_batch_and_alone(
    model: Translator, sources: tuple[Tensor, Tensor], beam: int
) -> None:  # fmt: skip
    tokens, lengths = sources
    together = write(model, tokens, lengths, beam=beam)
    for row, texts in enumerate(together):
        alone = tokens[row : row + 1, : lengths[row]]
        (expected,) = write(model, alone, lengths[row : row + 1], beam=beam)
        assert [text.tokens for text in texts] == [text.tokens for text in expected]
        assert [text.score for text in texts] == pytest.approx(
            [t.score for t in expected], abs=1e-4
        )


@pytest.mark.parametrize("beam", [1, 4])
def test_a_score_is_the_models_own(
    model: Translator, sources: tuple[Tensor, Tensor], beam: int
) -> None:  # fmt: skip
    tokens, lengths = sources
    for row, texts in enumerate(write(model, tokens, lengths, beam=beam, strength=0.8)):
        for text in texts:
            said = own_score(
                model, tokens[row : row + 1, : lengths[row]], lengths[row : row + 1], text
            )
            assert text.log_probability == pytest.approx(said, abs=1e-3)
            length = len(text.tokens) + text.ended
            assert text.score == pytest.approx(text.log_probability / penalty(length, 0.8))


@pytest.mark.parametrize("strength", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_beam_as_wide_as_the_tree_finds_the_best_text_of_all(seed: int, strength: float) -> None:
    model, longest = Chain(table(seed)), 3
    (found,) = write(model, *one_source(4), beam=1000, strength=strength, longest=longest)
    every = {
        text: own_score(model, *one_source(4), Hypothesis(text, 0, 0, True))
        / penalty(len(text) + 1, strength)
        for length in range(longest)
        for text in itertools.product(LETTERS, repeat=length)
    }
    best = max(every, key=every.__getitem__)
    assert found[0].tokens == best
    assert found[0].score == pytest.approx(every[best], abs=1e-4)
    assert len([text for text in found if text.ended]) == len(every)


@pytest.mark.parametrize("seed", range(5))
def test_such_a_beam_never_scores_lower_than_a_narrow_one(seed: int) -> None:
    model = Chain(table(seed, ending=1.0))
    scores = [write(model, *one_source(4), beam=beam, longest=3)[0][0].score
              for beam in (1, 1000)]  # fmt: skip
    assert scores[1] >= scores[0] - 1e-6


def test_a_text_that_does_not_end_is_cut_at_the_cap_and_says_so() -> None:
    model = Chain(table(0, ending=-50.0))
    (found,) = write(model, *one_source(3), beam=2)
    assert [len(text.tokens) for text in found] == [16, 16]
    assert not any(text.ended for text in found)
    (found,) = write(model, *one_source(3), beam=2, longest=7)
    assert [len(text.tokens) for text in found] == [7, 7]


def test_a_text_that_ended_comes_before_one_that_was_cut() -> None:
    model = Chain(table(3))
    (found,) = write(model, *one_source(1), beam=500, longest=2)
    ended = [text.ended for text in found]
    assert set(ended) == {True, False}
    assert ended == sorted(ended, reverse=True)


def test_a_model_that_only_ends_writes_nothing() -> None:
    model = Chain(table(0, ending=50.0))
    assert [text.tokens for text in write(model, *one_source(3), beam=1)[0]] == [()]


def test_no_special_token_is_ever_written() -> None:
    logits = table(0, ending=-2.0)
    logits[:, list(UNSAID)] = 20.0
    for texts in write(Chain(logits), *one_source(5), beam=4), write(Chain(logits), *one_source(5)):
        assert all(token in LETTERS for text in texts[0] for token in text.tokens)


def test_texts_come_best_first_and_differ() -> None:
    (found,) = write(Chain(table(4)), *one_source(5), beam=5)
    assert len(found) == 5
    assert [t.score for t in found] == sorted((t.score for t in found), reverse=True)
    assert len({(text.tokens, text.ended) for text in found}) == 5


def test_longer_texts_win_with_a_stronger_penalty() -> None:
    model = Chain(table(2, ending=0.5))
    lengths = [len(write(model, *one_source(9), beam=8, strength=s)[0][0].tokens)
               for s in (0.0, 2.0)]  # fmt: skip
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("beam", [1, 3])
def test_each_token_looks_at_the_source_with_shares_that_add_up_to_one(
    model: Translator, sources: tuple[Tensor, Tensor], beam: int
) -> None:  # fmt: skip
    tokens, lengths = sources
    for row, texts in enumerate(write(model, tokens, lengths, beam=beam, look=True)):
        for text in texts:
            looked = torch.tensor(text.looked)
            assert looked.shape == (len(text.tokens) + text.ended, tokens.shape[1])
            torch.testing.assert_close(looked.sum(1), torch.ones(len(looked)))
            assert not looked[:, lengths[row] :].any()


def test_what_a_beam_looked_at_is_its_own_path(
    model: Translator, sources: tuple[Tensor, Tensor]
) -> None:  # fmt: skip
    tokens, lengths = (part[:1, :2] if part.ndim > 1 else part[:1] for part in sources)
    for text in write(model, tokens, lengths, beam=3, look=True)[0]:
        state, rows = model.begin(tokens, lengths), []
        for token in [BOS, *text.tokens][: len(text.looked)]:
            _, state = model.next(torch.tensor([[token]]), state)
            rows.append(model.attention(state)[0])  # type: ignore[index]
        torch.testing.assert_close(torch.tensor(text.looked), torch.stack(rows))
