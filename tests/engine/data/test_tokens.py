"""Texts as tokens: what is learned, what comes back, and what is kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from engine.catalog import BadInput
from engine.data import tokens as module
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.items import Pairs, Texts
from engine.data.outlines import without_items
from engine.data.tokens import (
    BOS,
    EOS,
    MASK,
    PAD,
    SPECIAL,
    UNK,
    Tokenizer,
    TokenizerName,
    Tokenizing,
    TokenPairs,
    Tokens,
    encoded,
)
from engine.home import Home

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
ALL: tuple[TokenizerName, ...] = get_args(TokenizerName)
TEXTS = [
    "The film's plot doesn't hold – but it is good-natured.", "一部好电影，我喜欢它。",
    "mixed 混合 text, Ünïcödé and e\u0301 cafe\u0301", "😀 👩‍👩‍👧 flags 🇩🇪!!",
    "two  spaces\tand tabs", "line\r\nbreaks\nof all\rkinds", " begins and ends with a space ", "",
    "\u200bzero width\ufeff and a\u00a0hard space", "नमस्ते สวัสดี שלום مرحبا", "\x01\x7f\ufffd",
    "[MASK] [PAD] [EOS] ___ ##ing Ġ Ċ", "x" * 300,
]  # fmt: skip


def ragged(texts: Sequence[str]) -> Ragged:
    raw = [text.encode() for text in texts]
    flat = np.frombuffer(b"".join(raw), np.uint8)
    return Ragged(flat, np.cumsum([0, *map(len, raw)]))


def dataset(
    texts: Sequence[str], train: Sequence[int], *, targets: Sequence[str] | None = None,
    fingerprint: str = "f",
) -> Data:  # fmt: skip
    rest = [row for row in range(len(texts)) if row not in train]
    items = Texts(ragged(texts)) if targets is None else Pairs(ragged(texts), ragged(targets))
    splits: Any = {"train": np.array(train, np.int64), "validation": np.array(rest, np.int64),
                   "test": np.array(rest, np.int64)}  # fmt: skip
    return Data(items, None, (), splits, fingerprint)


def tokenizer(texts: Sequence[str], kind: TokenizerName = "words", **how: Any) -> Tokenizer:
    return Tokenizer.learned(texts, kind, **{"vocabulary": 1000, **how})


def spelled(tokenizer: Tokenizer, text: str) -> list[str]:
    (ids,) = tokenizer.encode([text])
    return [tokenizer.spell(token) for token in ids]


# --- text there and back --------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary", [64, 300, 1000])
def test_bytes_give_every_text_back_also_one_never_seen(vocabulary: int) -> None:
    learned = tokenizer(TEXTS[:1], "BPE", vocabulary=vocabulary)
    found = learned.encode(TEXTS)
    assert [learned.decode(ids) for ids in found] == TEXTS
    assert all(i >= len(SPECIAL) for ids in found for i in ids)


def test_characters_give_every_text_of_known_characters_back() -> None:
    learned = tokenizer(TEXTS, "characters")
    found = learned.encode(TEXTS)
    assert [learned.decode(ids) for ids in found] == TEXTS
    assert [len(ids) for ids in found] == [len(text) for text in TEXTS]
    assert learned.encode(["a字z"])[0].count(UNK) == 1


@pytest.mark.parametrize("kind", ALL)
def test_a_tokenizer_written_and_read_is_the_same(kind: TokenizerName) -> None:
    learned = tokenizer(TEXTS, kind, lowercase=True)
    again = Tokenizer.from_json(learned.to_json())
    assert again.encode(TEXTS) == learned.encode(TEXTS)
    assert again.to_json() == learned.to_json()
    assert len(again) == len(learned)


@pytest.mark.parametrize("kind", ALL)
def test_special_tokens_have_their_numbers_and_no_text_makes_one(kind: TokenizerName) -> None:
    learned = tokenizer([*TEXTS, *SPECIAL * 9], kind)
    for number, name in enumerate(SPECIAL):
        assert learned.backend.token_to_id(name) == number
        assert learned.spell(number) == name
        assert not {PAD, BOS, EOS, MASK} & set(learned.encode([f"a {name}b"])[0])
    assert learned.decode([BOS, *learned.encode(["hold"])[0], EOS, PAD, MASK]) == "hold"


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("vocabulary", [64, 300])
def test_no_vocabulary_is_larger_than_asked(kind: TokenizerName, vocabulary: int) -> None:
    many = ["".join(chr(0x4E00 + 50 * i + j) for j in range(50)) for i in range(20)] + TEXTS
    least = len(SPECIAL) + 256 if kind == "BPE" else 0
    assert len(tokenizer(many, kind, vocabulary=vocabulary)) <= max(vocabulary, least)


@pytest.mark.parametrize("kind", ALL)
def test_small_letters_can_stand_for_capital_ones(kind: TokenizerName) -> None:
    learned = tokenizer(["good film"], kind, lowercase=True)
    assert learned.encode(["GOOD Film"]) == learned.encode(["good film"])
    assert UNK not in learned.encode(["GOOD Film"])[0]


@pytest.mark.parametrize("kind", ALL)
def test_each_kind_reads_a_text_without_an_unknown_token_where_it_learned_it(
    kind: TokenizerName,
) -> None:
    plain = [text for text in TEXTS[:4] for _ in range(3)]
    learned = tokenizer(plain, kind)
    assert not any(UNK in ids for ids in learned.encode(plain))


# --- words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "words"), [
    ("it doesn't hold", ["it", "does", "n't", "hold"]),
    ("does n't the film 's", ["does", "n't", "the", "film", "'s"]),
    ("We’ll see: I'd say they're 'fine'!!!",
     ["We", "’ll", "see", ":", "I", "'d", "say", "they", "'re", "'", "fine", "'", "!!!"]),
    ("good-natured ... x_y 10.5", ["good", "-", "natured", "...", "x_y", "10", ".", "5"]),
    ("我爱 movies电影。", ["我", "爱", "movies", "电", "影", "。"]),
    ("カタ ひら", ["カ", "タ", "ひ", "ら"]), ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
    ("cafe\u0301", ["caf\u00e9"]), ("didnt isn'table", ["didnt", "isn", "'", "table"]),
])  # fmt: skip
def test_words_are_cut_where_a_reader_would(text: str, words: list[str]) -> None:
    assert spelled(tokenizer([text]), text) == words


def test_a_cut_off_ending_is_joined_again() -> None:
    text = "the film's plot doesn't hold, does it?"
    learned = tokenizer([text])
    assert learned.decode(learned.encode([text])[0]) == text


def test_the_most_frequent_words_are_kept_and_ties_are_settled_by_spelling() -> None:
    learned = tokenizer(["b b b c c a a d", "e"], vocabulary=len(SPECIAL) + 3)
    assert [learned.spell(i) for i in range(len(SPECIAL), len(learned))] == ["b", "a", "c"]


# --- what a person reads --------------------------------------------------------------------


def test_bytes_that_are_no_letter_are_spelled_as_numbers() -> None:
    learned = tokenizer(["ab"], "BPE", vocabulary=64)
    assert spelled(learned, "a 电\n") == ["a", " ", "<E7>", "<94>", "<B5>", "\n"]
    assert spelled(learned, "\ufffd") == ["<EF>", "<BF>", "<BD>"]
    whole = tokenizer(["电电电 \ufffd\ufffd\ufffd"] * 5, "BPE")
    assert "".join(spelled(whole, "电 \ufffd")) == "电 \ufffd"


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "text", ["the ___ is good", "[MASK] film", "a film[MASK]", "____", "___ ___ is", "good"]
)
def test_a_text_with_blanks_is_written_as_it_is_read(kind: TokenizerName, text: str) -> None:
    learned = tokenizer(["a good film is the film [] [MASK]"] * 3, kind)
    ids = learned.encode_blanks(text)
    assert ids.count(MASK) == text.count("[MASK]") + text.replace("____", "___").count("___")
    assert learned.encode_blanks(learned.decode_blanks(ids)) == ids


def test_a_blank_takes_the_space_of_the_word_that_is_missing() -> None:
    learned = tokenizer(["the good film"] * 9, "BPE")
    whole = learned.encode(["the good film"])[0]
    assert learned.encode_blanks("the ___ film") == [whole[0], MASK, whole[2]]


def test_what_is_unknown_is_shown_beside_blanks() -> None:
    learned = tokenizer(["the film"])
    assert learned.decode_blanks(learned.encode_blanks("the odd ___")) == "the [UNK] [MASK]"


# --- always the same ------------------------------------------------------------------------

SCRIPT = """
import hashlib, os, sys
from engine.data.tokens import KINDS, Tokenizer
texts = sys.stdin.read().split("|")
for kind in KINDS:
    learned = Tokenizer.learned(texts, kind, vocabulary=400)
    print(kind, hashlib.sha256(learned.to_json().encode()).hexdigest())
    learned.encode(texts * 50)
sys.stdout.flush()
if hasattr(os, "fork"):
    if not os.fork():
        os._exit(0)
    os.wait()
"""


def test_every_process_learns_the_same_and_none_warns_when_it_forks() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh电影"), rng.integers(1, 7))) for _ in range(300)]
    texts = [" ".join(rng.choice(words, 9)) for _ in range(200)]
    shown = [{k: hashlib.sha256(tokenizer(some, k, vocabulary=400).to_json().encode()).hexdigest()
              for k in ALL} for some in (texts, texts[::-1])]  # fmt: skip
    assert shown[0] == shown[1]
    kept = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input="|".join(texts), cwd=ROOT, capture_output=True,
        text=True, check=True, env=kept | {"PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert dict(line.split() for line in done.stdout.splitlines()) == shown[0]
    assert not done.stderr


# --- from texts to tokens -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_how_many_texts_are_encoded_at_a_time_changes_nothing(
    kind: TokenizerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = tokenizer(TEXTS, kind)
    flat, offsets = encoded(learned, ragged(TEXTS), [BOS], [EOS])
    for texts, size in ((1, 2**20), (3, 2**20), (99, 1), (99, 200)):
        monkeypatch.setattr(module, "CHUNK", texts)
        monkeypatch.setattr(module, "CHUNK_BYTES", size)
        again = encoded(learned, ragged(TEXTS), [BOS], [EOS])
        assert np.array_equal(again[0], flat)
        assert np.array_equal(again[1], offsets)
    for row, ids in enumerate(learned.encode(TEXTS)):
        assert flat[offsets[row] : offsets[row + 1]].tolist() == [BOS, *ids, EOS]


def test_no_text_at_all_is_no_token() -> None:
    flat, offsets = encoded(tokenizer(["a"]), ragged([]), [], [])
    assert (len(flat), offsets.tolist()) == (0, [0])


def test_the_vocabulary_is_of_the_train_split_alone(home: Home) -> None:
    data = dataset(["common seen", "common held out", "seen"], train=[0, 2])
    made = Tokenizing("words", 100).tokens(data, home)
    items = made.items
    assert isinstance(items, Tokens)
    assert made.shape == (len(SPECIAL) + 2,)
    assert items.ids[1].tolist()[1:] == [UNK, UNK]
    assert UNK not in items.ids[0]
    assert items.bytes is not None
    assert items.bytes.tolist() == [11, 15, 4]


def test_an_empty_train_split_is_told(home: Home) -> None:
    with pytest.raises(BadInput, match="train split is empty"):
        Tokenizing("words", 100).tokens(dataset(["a"], train=[]), home)


def test_only_the_first_tokens_of_a_long_text_are_read(home: Home) -> None:
    data = dataset(["a b c d e f", "a b", ""], train=[0, 1, 2])
    rows = np.arange(3)
    items = Tokenizing("words", 100, longest=4).tokens(data, home).fed
    batch = items.gather(rows, CPU, None)
    assert batch["lengths"].tolist() == [4, 2, 1]
    assert batch["tokens"].shape == (3, 4)
    assert batch["tokens"].dtype == torch.int64
    assert np.array_equal(items.lengths(rows), [4, 2, 0])  # type: ignore[arg-type]
    assert batch["tokens"][1, 2:].tolist() == [PAD, PAD]


def test_an_empty_text_is_read_as_one_unknown_token(home: Home) -> None:
    items = Tokenizing("BPE", 300).tokens(dataset(["", "a", ""], train=[0, 1]), home).fed
    assert items.gather(np.array([0, 1]), CPU, None)["tokens"][:, 0].tolist()[0] == UNK
    assert items.gather(np.array([2]), CPU, None)["lengths"].tolist() == [1]


def test_texts_that_are_all_empty_are_still_kept(home: Home) -> None:
    for _ in range(2):
        made = Tokenizing("words", 100).tokens(dataset(["", ""], train=[0]), home)
        assert made.shape == (len(SPECIAL),)


def test_a_source_ends_with_eos_also_where_it_is_cut(home: Home) -> None:
    data = dataset(["a b c d e", "a b", ""], train=[0, 1, 2], targets=["x y z w", "x", ""])
    items = Tokenizing("words", 100, longest=4).tokens(data, home).fed
    assert isinstance(items, TokenPairs)
    rows = np.arange(3)
    source, wanted = items.gather(rows, CPU, None), items.wanted(rows, CPU)
    ends = source["tokens"][torch.arange(3), source["lengths"] - 1]
    assert ends.tolist() == [EOS] * 3
    assert source["lengths"].tolist() == [4, 3, 1]
    assert wanted["target_tokens"][:, 0].tolist() == [BOS] * 3
    assert wanted["target_lengths"].tolist() == [4, 3, 2]
    assert wanted["target_tokens"][1, 2] == EOS
    assert items.lengths(rows).tolist() == [8, 6, 3]  # type: ignore[union-attr]


@pytest.mark.parametrize("targets", [None, ["ja", "nein"]])
def test_a_finished_run_reads_as_it_learned(home: Home, targets: list[str] | None) -> None:
    data = dataset(["yes", "no"], train=[0, 1], targets=targets)
    made = Tokenizing("BPE", 300, longest=7).tokens(data, home)
    blank: Any = without_items(json.loads(json.dumps(made.outline()))).items
    items: Any = made.items
    assert type(blank) is type(items)
    assert len(blank) == 0
    assert blank.longest == 7
    assert blank.tokenizer.encode(TEXTS) == items.tokenizer.encode(TEXTS)


def test_large_vocabularies_fit_their_numbers() -> None:
    many = [chr(0x20000 + i) for i in range(2**15)] + [chr(0xF0000 + i) for i in range(2**15)]
    learned = tokenizer(["".join(many)], "characters", vocabulary=100_000)
    flat, _ = encoded(learned, ragged(["".join(many)]), [], [])
    assert len(learned) > 2**16
    assert learned.decode(flat.tolist()) == "".join(many)


# --- kept in the cache ----------------------------------------------------------------------


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by one each time a vocabulary is learned."""
    told: list[str] = []
    before: Callable[..., Tokenizer] = Tokenizer.learned

    def learned(texts: Any, kind: TokenizerName, **how: Any) -> Tokenizer:
        told.append(kind)
        return before(texts, kind, **how)

    monkeypatch.setattr(Tokenizer, "learned", staticmethod(learned))
    return told


def flat(data: Data) -> list[int]:
    assert isinstance(data.items, Tokens)
    return data.items.ids.flat.tolist()  # type: ignore[no-any-return]


def folders(home: Home) -> list[Path]:
    return sorted((home.cache / "tokens").iterdir())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.find(tmp_path / "home")


def test_what_was_learned_once_is_read_the_next_time(home: Home, learning: list[str]) -> None:
    data = dataset(TEXTS, train=[0, 1, 2])
    first, second = (Tokenizing("BPE", 300).tokens(data, home) for _ in range(2))
    assert learning == ["BPE"]
    assert flat(first) == flat(second)
    # How much is read of each text is not what is kept.
    Tokenizing("BPE", 300, longest=5).tokens(data, home)
    assert len(learning) == len(folders(home)) == 1


def test_other_data_or_another_setting_learns_anew(home: Home, learning: list[str]) -> None:
    data = dataset(TEXTS, train=[0, 1, 2])
    other = dataset(TEXTS, train=[0, 1, 2], fingerprint="g")  # of another version, or split
    for tokenizing, what in (
        (Tokenizing("BPE", 300), data), (Tokenizing("BPE", 300), other),
        (Tokenizing("BPE", 301), data), (Tokenizing("words", 300), data),
        (Tokenizing("words", 300, lowercase=True), data),
    ):  # fmt: skip
        tokenizing.tokens(what, home)
    assert len(learning) == len(folders(home)) == 5


@pytest.mark.parametrize("gone", ["", "tokenizer.json", "0.npy", "0.offsets.npy"])
def test_what_was_taken_from_the_cache_is_made_again(
    home: Home, learning: list[str], gone: str
) -> None:
    data = dataset(TEXTS, train=[0, 1, 2])
    before = flat(Tokenizing("words", 300).tokens(data, home))
    (folder,) = folders(home)
    shutil.rmtree(folder) if not gone else (folder / gone).unlink()
    assert flat(Tokenizing("words", 300).tokens(data, home)) == before
    assert len(learning) == 2
    assert folders(home) == [folder]


def test_the_same_texts_split_otherwise_have_a_vocabulary_of_their_own(home: Home) -> None:
    first = dataset(TEXTS, train=[0, 1])
    other = replace(first, splits={**first.splits, "train": np.array([2])})
    known = [Tokenizing("words", 300).tokens(data, home).items for data in (first, other)]
    assert len(folders(home)) == 2
    assert len({items.tokenizer.to_json() for items in known}) == 2  # type: ignore[attr-defined]


def test_a_folder_that_vanishes_while_it_is_opened_is_made_again(
    home: Home, learning: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dataset(TEXTS, train=[0, 1, 2])
    before = flat(Tokenizing("words", 300).tokens(data, home))
    touch, times = os.utime, iter(range(9))

    def swept(folder: Path) -> None:
        if next(times) == 0:
            shutil.rmtree(folder)
        touch(folder)

    monkeypatch.setattr(os, "utime", swept)
    assert flat(Tokenizing("words", 300).tokens(data, home)) == before
    assert len(learning) == 2


def test_two_that_learn_at_once_leave_one_whole_folder(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dataset(TEXTS, train=[0, 1, 2])
    together, make = threading.Barrier(2, timeout=20), module.encoded

    def both(*given: Any) -> Any:
        together.wait()  # neither is there when the other looks
        return make(*given)

    monkeypatch.setattr(module, "encoded", both)
    found: list[list[int]] = []

    def learn() -> None:
        found.append(flat(Tokenizing("BPE", 300).tokens(data, home)))

    threads = [threading.Thread(target=learn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1]
    (folder,) = folders(home)
    assert len(list(folder.iterdir())) == 3


def test_the_longest_unused_is_swept_away(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    data = dataset(TEXTS, train=[0, 1, 2])
    Tokenizing("words", 300).tokens(data, home)
    (first,) = folders(home)
    Tokenizing("words", 301).tokens(data, home)
    (second,) = set(folders(home)) - {first}
    os.utime(second, (1, 1))
    Tokenizing("words", 300).tokens(data, home)
    Tokenizing("words", 302).tokens(data, home)
    assert first in folders(home)
    assert second not in folders(home)
    assert len(folders(home)) == 2


def test_nothing_half_made_is_left_when_learning_fails(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(module, "encoded", fails)
    with pytest.raises(MemoryError):
        Tokenizing("words", 300).tokens(dataset(TEXTS, train=[0]), home)
    assert not folders(home)
