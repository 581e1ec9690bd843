"""How training texts are varied, word by word, whatever tokens they are made of."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.augmentation.texts import TextVariation
from engine.data.tokens import MASK, Tokenizer, TokenizerName

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
                               np.random.default_rng(seed))  # fmt: skip
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
                                          np.random.default_rng(0))  # fmt: skip
    assert sorted(found[0]) == sorted(tokens[0])
    assert found.tolist() != tokens.tolist()
