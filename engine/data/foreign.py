"""Tokenizers that others have trained, with their special tokens where ours stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers
from torch import Tensor

from engine.catalog import BadInput
from engine.data.tokens import BOS, EOS, MASK, PAD, SPECIAL, UNK, Tokenizer

ABSENT = -1
"""In `Foreign.rows`: a special token of ours that the other vocabulary has no word for."""

SAID: Mapping[int, tuple[str, ...]] = {
    PAD: ("pad_token",), UNK: ("unk_token",), BOS: ("cls_token", "bos_token"),
    EOS: ("sep_token", "eos_token"), MASK: ("mask_token",),
}  # fmt: skip
"""What a ``tokenizer_config.json`` calls them."""
USUAL: Mapping[int, tuple[str, ...]] = {
    PAD: ("[PAD]", "<pad>", "<|padding|>"),
    UNK: ("[UNK]", "<unk>"),
    BOS: ("[CLS]", "[BOS]", "<s>", "<bos>", "<|startoftext|>", "<|begin_of_text|>"),
    EOS: ("[SEP]", "[EOS]", "</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>"),
    MASK: ("[MASK]", "<mask>"),
}
"""How they are written where nothing says what they are called."""
UNLIKELY = -1000.0
"""The score of a special token among unigrams: any other way to cut a text is likelier."""


@dataclass(frozen=True)
class Foreign:
    """A tokenizer of others as ours, and where its tokens stood."""

    tokenizer: Tokenizer
    rows: Tensor
    """int64 (vocabulary,): the place that each of our tokens had there; ABSENT for special ones
    that had none. One that does the work of several stands for each of them."""
    before: tuple[int, ...]
    """Tokens, by our numbers, that its model wants before a text: BOS for BERT's [CLS]."""
    after: tuple[int, ...]
    """Those that it wants after one."""

    def rearranged(self, table: Tensor) -> Tensor:
        """A table with a row for each of their tokens, or a bias, in our order.

        Tokens that it has no row for get the mean of all, which is likely nothing and says little
        (Hewitt 2021). BadInput when it is too short to be this vocabulary's.
        """
        if len(table) <= int(self.rows.max()):
            raise BadInput(
                f"The tokenizer has {int(self.rows.max()) + 1:,} tokens and the weights only "
                f"{len(table):,}: they don't belong together"
            )
        found = table[self.rows.clamp(min=0)]
        found[self.rows == ABSENT] = table.float().mean(0).to(table.dtype)
        return found


def adopted(text: str, said: Mapping[str, Any] | None = None) -> Foreign:
    """The tokenizer of a ``tokenizer.json``, its special tokens renamed and moved to our places.

    `said` is the content of the ``tokenizer_config.json`` beside it, which tells them apart where
    their names don't. What is done after cutting (cutting off, padding, [CLS] and [SEP]) is left
    out: texts are fed as they are, and a model adds what it wants. BadInput when it can't be read.
    """
    try:
        backend = Backend.from_str(text)
        backend.no_truncation()
        backend.no_padding()
        before, after = around(backend)
        whole = json.loads(backend.to_str())
        vocabulary = backend.get_vocab(with_added_tokens=True)
        roles = _roles(vocabulary, whole["model"], said or {}, before, after)
        rows = [roles.get(role, ABSENT) for role in range(len(SPECIAL))]
        rows += sorted({*vocabulary.values()} - {*rows})
        tokenizer = Tokenizer.from_json(json.dumps(_moved(whole, vocabulary, rows)))
    except Exception as problem:  # the library's own is no other
        raise BadInput(f"This tokenizer.json can't be read ({problem})") from None
    ours = {there: here for here, there in enumerate(rows)}
    return Foreign(
        tokenizer, torch.tensor(rows),
        # One token may be both the beginning and the end.
        tuple(BOS if i == rows[BOS] else ours[i] for i in before),
        tuple(EOS if i == rows[EOS] else ours[i] for i in after),
    )  # fmt: skip


def around(backend: Backend) -> tuple[list[int], list[int]]:
    """The tokens that it sets before and after every text."""
    found = backend.encode("a")
    inner = [i for i, added in enumerate(found.special_tokens_mask) if not added]
    if not inner:
        return [], []
    return found.ids[: inner[0]], found.ids[inner[-1] + 1 :]


def _roles(
    vocabulary: Mapping[str, int], model: Mapping[str, Any], said: Mapping[str, Any],
    before: Sequence[int], after: Sequence[int],
) -> dict[int, int]:  # fmt: skip
    """Which of their tokens does the work of each of our special ones, as far as any does."""
    roles: dict[int, int] = {}
    unknown = model.get("unk_token")
    if model.get("unk_id") is not None:
        unknown = model["vocab"][model["unk_id"]][0]
    for role in range(len(SPECIAL)):
        named = [said.get(name) for name in SAID[role]]
        named = [one.get("content") if isinstance(one, Mapping) else one for one in named]
        likely = [unknown, *named] if role == UNK else named
        known = [name for name in (*likely, *USUAL[role]) if isinstance(name, str)]
        found = [vocabulary[name] for name in known if name in vocabulary]
        # Of a begin of texts and a begin of answers, say, the one that texts are given.
        given = {BOS: before, EOS: after}.get(role, ())
        if found:
            roles[role] = next((i for i in found if i in given), found[0])
    return roles


def _moved(
    whole: dict[str, Any], vocabulary: Mapping[str, int], rows: Sequence[int]
) -> dict[str, Any]:
    """The tokenizer's description with its tokens in the order of `rows`."""
    model, names = whole["model"], [*SPECIAL]
    called = {i: name for name, i in vocabulary.items()}
    for there in rows[len(SPECIAL) :]:
        name = called[there]
        while name in SPECIAL or (name != called[there] and name in vocabulary):
            name += "'"  # its own name is another's now
        names.append(name)
    if isinstance(model["vocab"], list):
        scores = [score for _, score in model["vocab"]]
        model["vocab"] = [
            [name, scores[i] if len(SPECIAL) <= here and i < len(scores) else UNLIKELY]
            for here, (name, i) in enumerate(zip(names, rows, strict=True))
        ]
        model["unk_id"] = UNK
    else:
        model["vocab"] = {name: here for here, name in enumerate(names)}
        if model.get("unk_token") is not None:
            model["unk_token"] = SPECIAL[UNK]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
               "special": True}  # fmt: skip
    here = {there: i for i, there in enumerate(rows)}
    added = [
        one | {"id": here[one["id"]], "content": names[here[one["id"]]]}
        for one in whole["added_tokens"] if one["id"] not in rows[: len(SPECIAL)]
    ]  # fmt: skip
    named = [special | {"id": i, "content": name} for i, name in enumerate(SPECIAL)]
    return whole | {"added_tokens": [*named, *added], "post_processor": None}


def lettered(
    vocabulary: Mapping[str, Any], said: Mapping[str, Any], *, blank: int | None
) -> Foreign | None:
    """The letters of a ``vocab.json``, by which a network writes down what it hears; `blank` is the
    number of its “nothing new here”, which stands where padding does. None where its tokens aren't
    letters, one each.

    `said` is the content of the ``tokenizer_config.json`` beside it. Where it only knows capital
    letters, or only small ones, all are read as small ones.
    """
    if not all(isinstance(number, int) for number in vocabulary.values()):
        return None  # of several languages
    given = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>",
             "word_delimiter_token": "|", **said}  # fmt: skip
    called = {
        name: one.get("content") if isinstance(one, Mapping) else one
        for name, one in given.items()
    }  # fmt: skip
    roles = {
        role: vocabulary[name]
        for role, names in SAID.items() for one in names
        if isinstance(name := called.get(one), str) and name in vocabulary
    }  # fmt: skip
    if blank is not None:
        roles[PAD] = blank
    letters = {
        " " if letter == called["word_delimiter_token"] else letter: number
        for letter, number in vocabulary.items() if number not in roles.values()
    }  # fmt: skip
    if PAD not in roles or not letters or any(len(letter) != 1 for letter in letters):
        return None
    small = {letter.lower(): number for letter, number in letters.items()}
    # Where a letter comes in both cases, two of them have one small letter.
    one_case = len(small) == len(letters) and all(len(letter) == 1 for letter in small)
    letters = small if one_case else letters
    names = sorted(letters)
    backend = Backend(models.BPE(
        {name: i for i, name in enumerate([*SPECIAL, *names])}, [], unk_token=SPECIAL[UNK]
    ))  # fmt: skip
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase()] if one_case else [])
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(list(SPECIAL))
    rows = [roles.get(role, ABSENT) for role in range(len(SPECIAL))]
    return Foreign(
        Tokenizer(backend), torch.tensor([*rows, *(letters[name] for name in names)]), (), ()
    )
