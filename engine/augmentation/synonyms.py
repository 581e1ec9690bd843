"""Words that mean the same, as a person lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.catalog import BadInput

Word = tuple[int, ...]
"""A word's tokens."""
Groups = tuple[tuple[str, ...], ...]
MOST, LONGEST = 20_000, 100
"""Groups, and characters of a word."""


def grouped(text: str) -> Groups:
    """One group a line, with commas between; empty lines and those that begin with # say nothing.

    Single words of a text are replaced; what one becomes may be several words. BadInput where a
    line holds one word only, a word is too long, or there are too many lines.
    """
    groups: list[tuple[str, ...]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = [" ".join(word.split()) for word in line.replace("，", ",").split(",")]
        words = list(dict.fromkeys(word for word in words if word))
        if not words or line.lstrip().startswith("#"):
            continue
        if len(words) == 1:
            raise BadInput(
                f"Line {number} of the synonyms has one word only: write those that mean the same "
                "in one line, with commas between, as in “film, movie, picture”"
            )
        if max(map(len, words)) > LONGEST:
            raise BadInput(f"Line {number} of the synonyms has a word of more than {LONGEST} signs")
        groups.append(tuple(words))
    if len(groups) > MOST:
        raise BadInput(f"At most {MOST:,} lines of synonyms are read")
    return tuple(groups)


def with_capitals(groups: Groups) -> list[tuple[str, ...]]:
    """The groups, and each once more as it stands at the beginning of a sentence."""
    every = [*groups, *(tuple(word[:1].upper() + word[1:] for word in group) for group in groups)]
    return list(dict.fromkeys(every))


def alike(groups: Sequence[Sequence[Word | None]]) -> Mapping[Word, tuple[Word, ...]]:
    """Of each word the others of its groups; None is a word that the vocabulary can't say."""
    found: dict[Word, dict[Word, None]] = {}
    for group in groups:
        said = [word for word in group if word]
        for word in said:
            found.setdefault(word, {}).update((other, None) for other in said if other != word)
    return {word: tuple(others) for word, others in found.items() if others}
