"""A text as windows: every token is wanted once, and no window reaches into another split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from engine.catalog import BadInput
from engine.data.arrays import Ragged
from engine.data.batches import Data, Feed
from engine.data.outlines import without_items
from engine.data.splits import SPLITS
from engine.data.tokens import EOS, PAD, Tokenizer, TokenizerName, Tokens, encoded
from engine.data.windows import Windows

CPU = torch.device("cpu")


def tokens(
    texts: Sequence[str], *, running: bool = False, kind: TokenizerName = "characters",
    longest: int | None = None,
) -> Tokens:  # fmt: skip
    raw = [text.encode() for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in raw], dtype=np.int64)])
    flat = np.frombuffer(b"".join(raw), np.uint8)
    tokenizer = Tokenizer.learned(iter(texts), kind, vocabulary=400)
    ids = Ragged(*encoded(tokenizer, Ragged(flat, offsets), [], []))
    return Tokens(ids, tokenizer, longest, running, np.diff(offsets))


def windows(items: Tokens, block: int, *cuts: Sequence[int]) -> Data:
    """The texts of these rows as train, validation and test split."""
    rows = {split: np.array(cut, np.int64) for split, cut in zip(SPLITS, cuts, strict=True)}
    data = Data(items=items, labels=None, classes=(), splits=rows, fingerprint="f")
    return Windows.of(data, block)


def wanted(data: Data, split: str) -> list[int]:
    """Every token that a split's windows want, in the order of the windows."""
    feed = Feed(data, split, batch_size=3, device=CPU)  # type: ignore[arg-type]
    found: list[int] = []
    for batch in feed.batches():
        for row, length in zip(
            batch.inputs["tokens"].tolist(), batch.inputs["lengths"].tolist(), strict=True
        ):
            assert PAD not in row[: length + 1]
            assert set(row[length + 1 :]) <= {PAD}
            found += row[1 : length + 1]
    return found


TEXTS = [f"text {i} " + "abc" * (i % 7) for i in range(20)]
CUTS = range(12), range(12, 17), range(17, 20)


@pytest.mark.parametrize("block", [4, 8, 11, 1000])
@pytest.mark.parametrize("running", [False, True])
def test_every_token_is_wanted_exactly_once(block, running):
    items = tokens(TEXTS, running=running)
    data = windows(items, block, *CUTS)
    for split, rows in zip(SPLITS, CUTS, strict=True):
        found, text = wanted(data, split), [TEXTS[row] for row in rows]
        if running:
            assert items.tokenizer.decode(found) == "".join(text)
            assert found.count(EOS) == 1
        else:
            expected = [t for ids in items.tokenizer.encode(text) for t in [*ids, EOS]]
            assert found == expected
        assert len(data.splits[split]) == -(-len(found) // block)


def test_the_first_token_of_a_split_is_asked_after_an_end():
    data = windows(tokens(TEXTS), 8, *CUTS)
    for split in SPLITS:
        first = data.fed.gather(data.splits[split][:1], CPU, None)["tokens"]
        assert first[0, 0] == EOS


def test_pieces_of_a_running_text_that_are_no_neighbours_are_kept_apart():
    items = tokens(["ab", "cd", "ef", "gh", "ij"], running=True)
    data = windows(items, 50, [0, 1, 3], [2], [4])
    a, b, c, d, g, h = (items.tokenizer.encode([x])[0][0] for x in "abcdgh")
    assert wanted(data, "train") == [a, b, c, d, EOS, g, h, EOS]


def test_training_windows_begin_anywhere_and_stay_in_their_split():
    block = 8
    items = tokens(TEXTS)
    data = windows(items, block, *CUTS)
    assert isinstance(data.items, Windows)
    whole = data.items.stream("train").tolist()
    rows, seen = data.splits["train"], np.zeros(len(whole))
    starts = set()
    for epoch in range(300):
        batch = data.fed.gather(rows, CPU, np.random.default_rng(epoch))
        assert (batch["lengths"] == block).all()
        for row in batch["tokens"].tolist():
            start = next(
                i for i in range(len(whole) - block) if whole[i : i + block + 1] == row
            )  # fmt: skip
            starts.add(start % block)
            seen[start + 1 : start + block + 1] += 1 / 300
    assert starts == set(range(block))
    assert seen[block:-block].mean() == pytest.approx(1, abs=0.1)


def test_the_same_generator_cuts_the_same_windows():
    data = windows(tokens(TEXTS), 8, *CUTS)
    feeds = [Feed(data, "train", batch_size=4, device=CPU, seed=3, shuffle=True, augment=True)
             for _ in range(2)]  # fmt: skip
    one, other = ([b.inputs["tokens"] for b in feed.batches(5)] for feed in feeds)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    later = [batch.inputs["tokens"] for batch in feeds[0].batches(6)]
    assert not all(torch.equal(a, b) for a, b in zip(one, later, strict=True))


def test_a_text_shorter_than_a_window_is_one_window_with_padding():
    data = windows(tokens(["ab", "cd", "ef"]), 16, [0], [1], [2])
    for augment in (None, np.random.default_rng(0)):
        batch = data.fed.gather(data.splits["train"], CPU, augment)
        assert batch["lengths"].tolist() == [3]  # a, b, EOS
        assert (batch["tokens"][0, 4:] == PAD).all()


@pytest.mark.parametrize("kind", ["characters", "BPE"])
def test_bytes_to_a_token_are_those_of_the_text(kind):
    texts = [text + "日本 ü" for text in TEXTS]
    data = windows(tokens(texts, kind=kind), 8, *CUTS)
    assert isinstance(data.items, Windows)
    for split, rows in zip(SPLITS, CUTS, strict=True):
        size = sum(len(texts[row].encode()) for row in rows)
        per_token = data.items.bytes_per_token(int(data.splits[split][-1]))
        assert per_token * len(wanted(data, split)) == pytest.approx(size)


@pytest.mark.parametrize(("kind", "longest"), [("words", None), ("WordPiece", None),
                                               ("characters", 5)])  # fmt: skip
def test_bits_a_byte_are_not_told_where_tokens_do_not_say_all(kind, longest):
    items = tokens([f"some  words,\nthe {i}th text" for i in range(6)], kind=kind, longest=longest)
    data = windows(items, 8, range(4), [4], [5])
    assert isinstance(data.items, Windows)
    assert data.items.bytes_per_token(0) == 0


def test_a_token_budget_counts_a_windows_tokens():
    data = windows(tokens(TEXTS), 8, *CUTS)
    feed = Feed(data, "train", batch_size=100, batch_tokens=24, device=CPU)
    assert {len(batch) for batch in feed.batches()} == {3, len(data.splits["train"]) % 3 or 3}


def test_a_split_without_a_token_is_refused():
    with pytest.raises(BadInput, match="validation split holds no text"):
        windows(tokens(["ab", "", "ef"]), 8, [0], [1], [2])


@pytest.mark.parametrize("running", [False, True])
def test_a_finished_run_can_read_a_text(running):
    data = windows(tokens(TEXTS, running=running), 8, *CUTS)
    blank = without_items(data.outline()).items
    assert isinstance(blank, Tokens)
    assert blank.tokenizer.encode(["text 3"]) == data.items.tokenizer.encode(["text 3"])
    assert blank.running == running
    assert blank.longest is None
