"""How training texts are varied, word by word, whatever tokens they are made of."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.augmentation.synonyms import grouped
from engine.augmentation.texts import TextVariation
from engine.catalog import BadInput
from engine.data.tokens import MASK, Tokenizer, TokenizerName
from engine.datasets.docstrings import DocstringTopics

TEXTS = ["The quick brown fox jumps over the lazy dog again", "one two three four five six", "word"]


def varied(
    variation: TextVariation, kind: TokenizerName, seed: int = 0, longest: int | None = None
) -> list[str]:
    tokenizer = Tokenizer.learned(TEXTS, kind, vocabulary=300)
    ids = tokenizer.encode(TEXTS)
    lengths = np.array([len(text) for text in ids])
    tokens = np.zeros((3, lengths.max()), np.int64)
    for row, text in zip(tokens, ids, strict=True):
        row[: len(text)] = text
    found, kept = variation.of(tokens, lengths, tokenizer.begins, MASK, longest,
                               np.random.default_rng(seed),
                               tokenizer.alike(variation.synonyms))  # fmt: skip
    assert found.shape == (3, kept.max())
    assert kept.min() >= 1
    assert longest is None or kept.max() <= longest
    for row, length in zip(found, kept, strict=True):
        assert not row[length:].any()
        assert row[:length].all()
    return [tokenizer.decode_blanks(row[:length].tolist())
            for row, length in zip(found, kept, strict=True)]  # fmt: skip


@pytest.mark.parametrize("kind", ["words", "WordPiece", "BPE", "characters"])
def test_words_stay_whole(kind: TokenizerName) -> None:
    every = [Counter(text.split()) for text in TEXTS]
    moved = set()
    for seed in range(10):
        swapped = varied(TextVariation(swap=0.2), kind, seed)
        assert [Counter(text.split()) for text in swapped] == every
        moved.add(swapped[0])
        for text, whole in zip(varied(TextVariation(delete=0.4), kind, seed), every, strict=True):
            assert Counter(text.split()) <= whole
            assert text.strip()
        more = varied(TextVariation(insert=0.2), kind, seed)
        assert [len(text.split()) for text in more] == [12, 7, 1]
        assert all(set(text.split()) == set(whole) for text, whole in zip(more, every, strict=True))
    assert len(moved) > 5


def test_what_is_covered_is_blank_and_as_long() -> None:
    (covered, *_) = varied(TextVariation(mask=0.5), "words", 1)
    said = covered.split()
    assert len(said) == 10
    assert 0 < said.count("[MASK]") < 10


def test_no_text_becomes_longer_than_is_read() -> None:
    varied(TextVariation(insert=0.5), "BPE", 0, longest=12)


def test_a_script_without_spaces_is_varied_sign_by_sign() -> None:
    tokenizer = Tokenizer.learned(["天地玄黄宇宙洪荒"], "characters", vocabulary=50)
    tokens = np.array(tokenizer.encode(["天地玄黄宇宙洪荒"]))
    found, _ = TextVariation(swap=0.5).of(tokens, np.array([8]), tokenizer.begins, MASK, None,
                                          np.random.default_rng(0), {})  # fmt: skip
    assert sorted(found[0]) == sorted(tokens[0])
    assert found.tolist() != tokens.tolist()


GROUPS = grouped("# animals\nfox, dog\n\nquick,lazy , brown\ntwo, five six")


@pytest.mark.parametrize("kind", ["words", "WordPiece", "BPE", "characters"])
def test_words_become_those_that_mean_the_same(kind: TokenizerName) -> None:
    means = {word: group for group in GROUPS for word in group}
    seen = set()
    for seed in range(10):
        text, numbers, word = varied(TextVariation(substitute=0.3, synonyms=GROUPS), kind, seed)
        for now, before in zip(text.split(), TEXTS[0].split(), strict=True):
            assert now in means[before] if now != before else True
        assert sum(now != before for now, before in zip(text.split(), TEXTS[0].split(),
                                                        strict=True)) == 3  # fmt: skip
        assert numbers == "one five six three four five six"  # of several words, put in only
        assert word == "word"
        seen.add(text)
    assert len(seen) > 5


def test_what_comes_in_addition_is_a_synonym_where_one_is_listed() -> None:
    for seed in range(10):
        (_, numbers, _) = varied(
            TextVariation(insert=0.1, synonyms=grouped("\n".join(
                f"{word},lazy" for word in TEXTS[1].split()))), "BPE", seed,
        )  # fmt: skip
        assert Counter(numbers.split()) == Counter([*TEXTS[1].split(), "lazy"])


def test_synonyms_begin_sentences_with_capitals_and_are_words_that_can_be_said() -> None:
    tokenizer = Tokenizer.learned(["A film. Film it! Movie or movie?"], "words", vocabulary=50)
    film, movie = map(tuple, tokenizer.encode([" film", " movie"]))
    assert tokenizer.alike((("film", "movie", "flick"),))[film] == (movie,)
    large = {tuple(word) for word in tokenizer.encode([" Film", " Movie"])}
    assert large <= set(tokenizer.alike((("film", "movie"),)))


@pytest.mark.parametrize(
    ("listed", "why"), [("film", "Line 1"), ("a, b\nfilm, ,", "Line 2"), (f"a, {'b' * 101}", "100")]
)
def test_a_list_of_synonyms_that_says_nothing_is_refused(listed: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        grouped(listed)


def test_to_replace_words_takes_a_list() -> None:
    with pytest.raises(BadInput, match="list synonyms") as caught:
        DocstringTopics(substitute=0.1)
    assert caught.value.field == "data.synonyms"
