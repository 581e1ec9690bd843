"""From tokens back to the words of a text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.data.tokens import BLANK, MASK, Tokenizer

ALONE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Signs of the scripts that set no spaces: each is a word."""

Word = tuple[str, str, list[int]]
"""What stands before it, the word, and the places of its tokens."""


def joined(text: str, tokens: Sequence[int], tokenizer: Tokenizer) -> list[Word]:
    """The words of the text that these are the first tokens of.

    Where the tokens aren't those of the text, each is a word by itself.
    """
    found, spans = spans_of(text, tokenizer)
    if found[: len(tokens)] != list(tokens):
        return [(" " * (place > 0), tokenizer.spell(token), [place])
                for place, token in enumerate(tokens)]  # fmt: skip
    words: list[tuple[int, int, list[int]]] = []
    nowhere = {place for place, (start, end) in enumerate(spans) if start == end}
    for place, (start, end) in enumerate(spans[: len(tokens)]):
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if words and _within(text, words[-1][1], start):
            first, last, places = words[-1]
            words[-1] = (first, max(last, end), [*places, place])
        else:
            words.append((start, end, [place]))
    ends = [0, *(end for _, end, _ in words)]
    # A token of blanks alone is a word without a letter; one that stands nowhere is spelled.
    return [
        (text[end:start],
         tokenizer.spell(tokens[places[0]]) if {*places} <= nowhere else text[start:stop],
         places)
        for end, (start, stop, places) in zip(ends, words, strict=False)
    ]  # fmt: skip


def spans_of(text: str, tokenizer: Tokenizer) -> tuple[list[int], list[tuple[int, int]]]:
    """The tokens of a text, a blank as one, and where in it each begins and ends."""
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for blank in [*BLANK.finditer(text), None]:
        part = text[at : blank.start()] if blank else text[at:]
        if blank and tokenizer.bytewise:  # as `Tokenizer.encode_blanks`
            part = part.removesuffix(" ")
        told = tokenizer.backend.encode(part)
        ids += told.ids
        spans += [(at + start, at + end) for start, end in told.offsets]
        if blank:
            ids.append(MASK)
            spans.append(blank.span())
            at = blank.end()
    return ids, spans


def _within(text: str, end: int, start: int) -> bool:
    """Whether what begins at `start` goes on with the word that ended at `end`."""
    if start < end or not 0 < start < len(text):
        return start < end  # bytes of one letter
    before, after = text[start - 1], text[start]
    plain = before.isalnum() and after.isalnum()
    return start == end and plain and not (ALONE.match(before) or ALONE.match(after))
