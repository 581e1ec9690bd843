"""Texts as a model reads them: numbers of tokens, learned from the training split alone."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend
from torch import Tensor

from engine.augmentation.synonyms import Groups, Word, alike, with_capitals
from engine.augmentation.texts import TextVariation
from engine.catalog import BadInput
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.cached import cached
from engine.data.items import Fed, Pairs, Texts, Unequal, padded, spread
from engine.data.options import Kind
from engine.data.splits import Rows
from engine.home import Home

# Unsaid, tokenizers warns in every process that is forked from this one.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

TokenizerName = Literal["words", "WordPiece", "BPE", "characters"]

PAD, UNK, BOS, EOS, MASK = range(5)
SPECIAL = ("[PAD]", "[UNK]", "[BOS]", "[EOS]", "[MASK]")
"""What no text can say, the same in every vocabulary: padding, unknown, begin, end, blank."""
UNSAID = (PAD, UNK, BOS, MASK)
"""Those that no text is written with; EOS ends one."""
BLANK = re.compile(r"\[MASK\]|_{3,}")
"""How a person writes a blank to be filled."""

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}"
"""Scripts that set no spaces between words: each of their signs stands alone."""
UNSPACED_NAMES = ("CJK UNIFIED", "HIRAGANA", "KATAKANA")
"""How Unicode's names of them begin."""
CLITIC = r"(?i:n['’]t|['’](?:s|m|d|re|ve|ll))\b"
"""What English appends to a word, cut off as in the Penn Treebank: does|n't, film|'s."""
WORD = (
    rf"[{UNSPACED}]|{CLITIC}|(?:(?!{CLITIC})[\p{{L}}\p{{M}}\p{{N}}_&&[^{UNSPACED}]])+"
    r"|([^\s\p{L}\p{M}\p{N}_])\1*"
)
"""A word, or a sign that is none, repeated or not: “!!!”."""

CHUNK, CHUNK_BYTES = 4096, 2**20
"""Texts encoded at a time, and their bytes: few enough to stay small, enough for every core."""


class Tokenizer:
    """Cuts text into tokens of a fixed vocabulary, and joins them again."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        # A text that happens to hold “[EOS]” is a text like any other.
        backend.encode_special_tokens = True

    @classmethod
    def learned(
        cls, texts: Iterable[str], kind: TokenizerName, *, vocabulary: int, lowercase: bool = False
    ) -> Tokenizer:
        """A vocabulary of at most so many tokens, the most useful for these texts.

        The same texts give the same vocabulary, in any order of theirs. Byte-level BPE gives every
        text back exactly, and characters every text whose characters are known; words and WordPiece
        (Schuster & Nakajima 2012) forget how spaces were set. BPE (Sennrich 2016) works on bytes,
        so that no script has an unknown letter: all 256 are in its vocabulary, however small.
        """
        how = KINDS[kind]
        backend = Backend(models.BPE())
        steps: list[normalizers.Normalizer] = [*how.normalizers]
        if lowercase:
            steps.append(normalizers.Lowercase())
        backend.normalizer = normalizers.Sequence(steps)
        if how.cut is not None:
            backend.pre_tokenizer = how.cut
        backend.decoder = how.join
        how.learn(backend, texts, vocabulary)
        return cls(backend)

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        return cls(Backend.from_str(text))

    def to_json(self) -> str:
        return self.backend.to_str()

    def __len__(self) -> int:
        """Tokens of the vocabulary, the special ones included."""
        return self.backend.get_vocab_size()

    @property
    def lowercases(self) -> bool:
        """Whether capital letters are read as small ones."""
        normalizer = self.backend.normalizer
        return normalizer is not None and normalizer.normalize_str("A") == "a"

    @cached_property
    def bytewise(self) -> bool:
        """Whether tokens are made of bytes; the space before a word is part of it then."""
        return isinstance(self.backend.decoder, decoders.ByteLevel)

    @cached_property
    def begins(self) -> npt.NDArray[np.bool_]:
        """Whether a word begins with a token, (vocabulary,): where spaces belong to words, with one
        of those, or with a sign of a script that sets none."""
        pieces = [str(self.backend.id_to_token(token)) for token in range(len(self))]
        if isinstance(self.backend.decoder, decoders.WordPiece):
            return np.array([not piece.startswith("##") for piece in pieces])
        spaces = {"\u2581", *(sign for sign, byte in BYTES.items() if self.bytewise and
                              chr(byte).isspace())}  # fmt: skip
        return np.array([
            token < len(SPECIAL) or piece[:1] in spaces or piece[:1].isspace()
            or unicodedata.name(self.spell(token)[:1] or " ", "").startswith(UNSPACED_NAMES)
            for token, piece in enumerate(pieces)
        ])  # fmt: skip

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, without any special one but UNK."""
        return [found.ids for found in self.backend.encode_batch_fast(list(texts))]

    def alike(self, groups: Groups) -> Mapping[Word, tuple[Word, ...]]:
        """Of each word of the groups, as its tokens within a text, the others that mean the same.
        Words that the vocabulary can't say are left out."""
        every = with_capitals(groups)
        # Within a text a word stands behind a space, where its script sets any.
        said = iter(self.encode([
            word if unicodedata.name(word[:1], "").startswith(UNSPACED_NAMES) else f" {word}"
            for group in every for word in group
        ]))  # fmt: skip
        words = [[tuple(next(said)) for _ in group] for group in every]
        return alike([[None if UNK in word else word for word in group] for group in words])

    def encode_blanks(self, text: str) -> list[int]:
        """The tokens of a text in which “[MASK]” or “___” stands for a token to be filled in."""
        parts = BLANK.split(text)
        if self.bytewise:  # the word that is missing would bring its space along
            parts = [part.removesuffix(" ") for part in parts[:-1]] + parts[-1:]
        found = self.encode(parts)
        return [t for i, part in enumerate(found) for t in ([MASK] * (i > 0) + part)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these tokens; special ones are left out."""
        return self.backend.decode([i for i in ids if i >= len(SPECIAL)], skip_special_tokens=True)

    def decode_blanks(self, ids: Sequence[int]) -> str:
        """The text of these tokens with “[MASK]” for each blank, “[UNK]” for what is unknown."""
        text = self.backend.decode(
            [i for i in ids if i >= len(SPECIAL) or i in (UNK, MASK)], skip_special_tokens=False
        )
        return re.sub(r"(?<=[^\s\]])\[MASK\]", " [MASK]", text) if self.bytewise else text

    def spell(self, token: int) -> str:
        """One token as a person reads it: bytes that are no whole letter as “<E4 BD>”."""
        if token < len(SPECIAL):
            return SPECIAL[token]
        piece = str(self.backend.id_to_token(token))
        if not self.bytewise:
            return piece
        text = self.backend.decode([token])
        if "\ufffd" in text:
            raw = bytes(BYTES[sign] for sign in piece)
            if raw.decode("utf-8", "replace") != raw.decode("utf-8", "ignore"):
                return f"<{raw.hex(' ').upper()}>"
        return text


def _byte_signs() -> dict[str, int]:
    """The byte behind each sign by which byte-level BPE writes it (Radford et al. 2019)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(256 + i): byte for i, byte in enumerate(others)
    }


BYTES = _byte_signs()


# --- how each kind learns -------------------------------------------------------------------


def _learn_words(backend: Backend, texts: Iterable[str], vocabulary: int) -> None:
    backend.model = models.WordLevel(unk_token=SPECIAL[UNK])
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False
    )
    backend.train_from_iterator(iter(texts), trainer)


def _learn_bytes(backend: Backend, texts: Iterable[str], vocabulary: int) -> None:
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), min_frequency=2,
    )  # fmt: skip
    backend.train_from_iterator(iter(texts), trainer)


def _learn_pieces(backend: Backend, texts: Iterable[str], vocabulary: int) -> None:
    # Left to itself the trainer numbers the letters within words as its hash map has them, another
    # way each time, and keeps every letter, however small the vocabulary. So it is given them.
    pieces: list[str] = []
    room = vocabulary - len(SPECIAL)
    for sign, _ in _counted(backend, texts):
        both = [sign] if _alone(sign) else [sign, f"##{sign}"]
        if not sign.isspace() and len(pieces) + len(both) <= room:
            pieces += both
    single = sorted(piece for piece in pieces if not piece.startswith("##") or piece == "##")
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=[*SPECIAL, *sorted(pieces)], show_progress=False,
        initial_alphabet=single, limit_alphabet=len(single), min_frequency=2,
    )  # fmt: skip
    drawn = Backend(models.WordPiece())
    drawn.normalizer, drawn.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    drawn.train_from_iterator(iter(texts), trainer)
    backend.model = models.WordPiece(drawn.get_vocab(), unk_token=SPECIAL[UNK])
    backend.add_special_tokens(list(SPECIAL))


def _learn_characters(backend: Backend, texts: Iterable[str], vocabulary: int) -> None:
    kept = [sign for sign, _ in _counted(backend, texts)][: vocabulary - len(SPECIAL)]
    known = {sign: i for i, sign in enumerate([*SPECIAL, *sorted(kept)])}
    # BPE without a merge: four times as fast as words of one letter.
    backend.model = models.BPE(known, [], unk_token=SPECIAL[UNK])
    backend.add_special_tokens(list(SPECIAL))


def _counted(backend: Backend, texts: Iterable[str]) -> list[tuple[str, int]]:
    """The characters of the normalized texts, the most frequent first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(backend.normalizer.normalize_str(text))
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _alone(sign: str) -> bool:
    """Whether a character is always a word of its own: a Chinese one, or punctuation."""
    return unicodedata.category(sign)[0] == "P" or "CJK UNIFIED" in unicodedata.name(sign, "")


@dataclass(frozen=True)
class Recipe:
    """How one kind of tokenizer is made."""

    learn: Callable[[Backend, Iterable[str], int], None]
    """Gives the backend its vocabulary of at most so many tokens."""
    cut: pre_tokenizers.PreTokenizer | None
    join: decoders.Decoder
    normalizers: tuple[normalizers.Normalizer, ...] = ()


KINDS: dict[TokenizerName, Recipe] = {
    "words": Recipe(
        _learn_words, pre_tokenizers.Split(Regex(WORD), "removed", invert=True),
        decoders.WordPiece(prefix="##"), (normalizers.NFC(),),
    ),
    "WordPiece": Recipe(
        _learn_pieces, pre_tokenizers.BertPreTokenizer(), decoders.WordPiece(prefix="##"),
        # Chinese characters each stand alone, as in BERT.
        (normalizers.BertNormalizer(lowercase=False, strip_accents=False),),
    ),
    "BPE": Recipe(
        _learn_bytes, pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel(),
    ),
    "characters": Recipe(_learn_characters, None, decoders.Fuse()),
}  # fmt: skip


@dataclass(frozen=True)
class Tokens(Unequal, Fed):
    """Texts as tokens, end to end."""

    kind: ClassVar[Kind] = "text"

    ids: Ragged
    tokenizer: Tokenizer
    longest: int | None = None
    """Only this many tokens of a text are read, the first ones."""
    running: bool = False
    """The items are pieces of one text, in its order."""
    bytes: Rows | None = None
    """UTF-8 bytes of each text."""
    texts: Texts | None = None
    """As they were brought in: tokens may not say all of them."""
    blanks: bool = False
    """“[MASK]” or “___” in a new text stands for a token to be filled in."""
    variation: TextVariation = TextVariation()  # noqa: RUF009, it is frozen
    """How training texts are varied."""

    @cached_property
    def synonyms(self) -> Mapping[Word, tuple[Word, ...]]:
        """Which words mean the same, as tokens."""
        return self.tokenizer.alike(self.variation.synonyms)

    @property
    def main(self) -> Ragged:
        return self.ids

    @property
    def shape(self) -> tuple[int, ...]:
        """(vocabulary,)"""
        return (len(self.tokenizer),)

    def lengths(self, rows: Rows) -> Rows | None:
        return clipped(spread(self.ids, rows), self.longest)

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        tokens, lengths = padded(self.ids, rows, self.longest)
        # An empty text is read as one unknown token.
        tokens.numpy()[self.ids.offsets[rows + 1] == self.ids.offsets[rows], 0] = UNK
        if augment is not None and self.variation:
            # Where they are: to move words about in a few hundred tokens is no work for a GPU.
            tokens, lengths = map(torch.from_numpy, self.variation.of(
                tokens.numpy(), lengths.numpy(), self.tokenizer.begins, MASK, self.longest, augment,
                self.synonyms,
            ))  # fmt: skip
        return {"tokens": tokens.to(device).long(), "lengths": lengths.to(device)}

    def outline(self, rows: Rows) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer.to_json(), "longest": self.longest,
                "blanks": self.blanks}  # fmt: skip

    @classmethod
    def blank(cls, outline: Mapping[str, Any]) -> Self:
        tokenizer = Tokenizer.from_json(outline["tokenizer"])
        return cls(
            nothing(), tokenizer, outline["longest"], outline.get("running", False),
            blanks=outline.get("blanks", False),
        )  # fmt: skip


@dataclass(frozen=True)
class TokenPairs(Unequal, Fed):
    """Texts and what each becomes, as tokens of one vocabulary.

    A source ends with EOS; a target begins with BOS and ends with EOS, unless it is cut short.
    """

    kind: ClassVar[Kind] = "pairs"

    source: Ragged
    target: Ragged
    tokenizer: Tokenizer
    longest: int | None = None
    """Tokens kept of a text."""
    texts: Pairs | None = None
    """As they were brought in: references are compared as text, not as tokens."""

    @property
    def main(self) -> Ragged:
        return self.source

    @property
    def shape(self) -> tuple[int, ...]:
        """(vocabulary,)"""
        return (len(self.tokenizer),)

    @property
    def nbytes(self) -> int:
        return int(self.source.flat.nbytes + self.target.flat.nbytes)

    def lengths(self, rows: Rows) -> Rows | None:
        """Tokens of source and target together."""
        both = [np.minimum(side.offsets[rows + 1] - side.offsets[rows], self.longest or 2**31)
                for side in (self.source, self.target)]  # fmt: skip
        total: Rows = both[0] + both[1]
        return total if len(total) and np.ptp(total) else None

    def gather(
        self, rows: Rows, device: torch.device, augment: np.random.Generator | None
    ) -> dict[str, Tensor]:
        tokens, lengths = padded(self.source, rows, self.longest)
        tokens = tokens.long()
        # Also a source that is cut short ends as every source does.
        tokens.numpy()[np.arange(len(rows)), lengths.numpy() - 1] = EOS
        return {"tokens": tokens.to(device), "lengths": lengths.to(device)}

    def wanted(self, rows: Rows, device: torch.device) -> dict[str, Tensor]:
        tokens, lengths = padded(self.target, rows, self.longest)
        return {"target_tokens": tokens.to(device).long(), "target_lengths": lengths.to(device)}

    def outline(self, rows: Rows) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer.to_json(), "longest": self.longest}

    @classmethod
    def blank(cls, outline: Mapping[str, Any]) -> Self:
        tokenizer = Tokenizer.from_json(outline["tokenizer"])
        return cls(nothing(), nothing(), tokenizer, outline["longest"])


def clipped(lengths: Rows | None, longest: int | None) -> Rows | None:
    """No length above `longest`; None when all are equal then."""
    if lengths is None or longest is None:
        return lengths
    cut: Rows = np.minimum(lengths, longest)
    return cut if np.ptp(cut) else None


def nothing() -> Ragged:
    """No text."""
    return Ragged(np.zeros(0, np.uint16), np.zeros(1, np.int64))


# --- from text to tokens, once --------------------------------------------------------------


@dataclass(frozen=True)
class Tokenizing:
    """How a dataset's texts become tokens."""

    tokenizer: TokenizerName
    vocabulary: int
    lowercase: bool = False
    longest: int | None = None
    variation: TextVariation = TextVariation()  # noqa: RUF009

    def tokens(self, data: Data, home: Home, known: Tokenizer | None = None) -> Data:
        """The dataset with its texts, or both sides of its pairs, as tokens.

        The vocabulary is that of a `known` tokenizer, or learned from the training split only.
        All is kept in the home's cache for the next run on the same version with the same settings.
        """
        items = data.items
        assert isinstance(items, (Texts, Pairs))
        sides = [items.text] if isinstance(items, Texts) else [items.source, items.target]
        if not len(data.splits["train"]):
            raise BadInput("The train split is empty: add items or change the shares", field="data")
        tokenizer, found = cached(
            home.cache / "tokens",
            [FORMAT, data.learned_from, self.tokenizer, self.vocabulary, self.lowercase,
             items.kind] if known is None else [FORMAT, data.fingerprint, known.to_json(),
             items.kind],
            make=lambda folder: self._make(sides, data.splits["train"], folder, known),
            read=lambda folder: opened(folder, len(sides)), most=KEPT,
        )  # fmt: skip
        made: Fed
        if isinstance(items, Texts):
            # Where capitals are lost, the tokens don't say all that the bytes did.
            sizes = None if tokenizer.lowercases else np.diff(items.text.offsets)
            made = Tokens(found[0], tokenizer, self.longest, running=items.running, bytes=sizes,
                          texts=items, variation=self.variation)  # fmt: skip
        else:
            made = TokenPairs(found[0], found[1], tokenizer, self.longest, texts=items)
        return data.of(made)

    def _make(
        self, sides: Sequence[Ragged], train: Rows, folder: Path, known: Tokenizer | None
    ) -> None:
        tokenizer = known or Tokenizer.learned(
            TextsOf(sides, train), self.tokenizer, vocabulary=self.vocabulary,
            lowercase=self.lowercase,
        )  # fmt: skip
        (folder / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
        before = [[], [BOS]] if len(sides) == 2 else [[]]
        after = [EOS] if len(sides) == 2 else []
        for i, side in enumerate(sides):
            flat, offsets = encoded(tokenizer, side, before[i], after)
            np.save(folder / f"{i}.npy", flat)
            np.save(folder / f"{i}.offsets.npy", offsets)


FORMAT = 1
"""Of what is kept: another number makes all of it anew."""
KEPT = 32
"""Tokenized datasets kept in the cache."""


@dataclass(frozen=True)
class TextsOf:
    """The texts of these rows, one side after the other, as often as they are asked for."""

    sides: Sequence[Ragged]
    rows: Rows

    def __iter__(self) -> Iterator[str]:
        return (side.text(row) for side in self.sides for row in self.rows.tolist())


def opened(folder: Path, sides: int) -> tuple[Tokenizer, list[Ragged]]:
    """A tokenizer and the texts that it made tokens of. OSError or ValueError if it isn't whole."""
    tokenizer = Tokenizer.from_json((folder / "tokenizer.json").read_text("utf-8"))
    return tokenizer, [mapped(folder, str(side)) for side in range(sides)]


def mapped(folder: Path, name: str) -> Ragged:
    """The items that lie end to end in a file of that name."""
    offsets = np.load(folder / f"{name}.offsets.npy")
    # Nothing can't be mapped.
    return Ragged(np.load(folder / f"{name}.npy", mmap_mode="r" if offsets[-1] else None), offsets)


def encoded(
    tokenizer: Tokenizer, texts: Ragged, before: Sequence[int], after: Sequence[int]
) -> tuple[npt.NDArray[Any], Rows]:
    """All texts' tokens end to end, each between `before` and `after`, and the offsets."""
    kind: type[Any] = np.uint16 if len(tokenizer) <= 2**16 else np.int32
    parts: list[npt.NDArray[Any]] = []
    lengths: list[npt.NDArray[np.int64]] = []
    more, start = len(before) + len(after), 0
    while start < len(texts):
        # As many whole texts as the limits take, but one at least.
        most = int(np.searchsorted(texts.offsets, texts.offsets[start] + CHUNK_BYTES, "right")) - 1
        end = min(max(most, start + 1), start + CHUNK, len(texts))
        found = tokenizer.encode([texts.text(row) for row in range(start, end)])
        whole = [i for ids in found for i in (*before, *ids, *after)]
        parts.append(np.array(whole, kind))
        lengths.append(np.fromiter((len(ids) + more for ids in found), np.int64, len(found)))
        start = end
    flat = np.concatenate([np.zeros(0, kind), *parts])
    return flat, np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]))
