"""Classes as a person types them: one a line, with sentences that describe it or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.catalog import BadInput

APART, BETWEEN = ":", "|"
"""After a class's name; and between several sentences of it."""
FEWEST, MOST = 2, 1000
"""Classes that can be typed."""
LONGEST_NAME, LONGEST = 100, 1000
"""Characters of a class's name, and of all its sentences."""


class Named(NamedTuple):
    """Classes, and the sentences that describe some of them."""

    classes: tuple[str, ...]
    described: Mapping[str, Sequence[str]]


def named(text: str) -> Named:
    """The classes of such lines: “cat”, or “cat: a small animal that purrs | a kitten”.

    BadInput names the line at fault, or says how many classes there may be.
    """
    found: dict[str, Sequence[str]] = {}
    for number, line in lines(text):
        name, _, rest = (part.strip() for part in line.partition(APART))
        if not name:
            raise BadInput(f"Line {number} has no name before the “{APART}”")
        if len(name) > LONGEST_NAME:
            raise BadInput(f"The name in line {number} has more than {LONGEST_NAME} characters: "
                           f"write “a short name{APART} what describes it”")  # fmt: skip
        if name in found:
            raise BadInput(f"Line {number} names “{name}” once more: each class has one line")
        found[name] = sentences(rest, number)
    if not FEWEST <= len(found) <= MOST:
        raise BadInput(f"There are {len(found):,} classes, and there can be {FEWEST} to {MOST:,}: "
                       "write one a line")  # fmt: skip
    return Named(tuple(found), {name: said for name, said in found.items() if said})


def meant(text: str, classes: Sequence[str]) -> dict[str, Sequence[str]]:
    """The sentences of each class that such lines describe, of known classes, whose names may hold
    a “:” themselves. BadInput names the line that describes none, or one twice."""
    found: dict[str, Sequence[str]] = {}
    for number, line in lines(text):
        fitting = [name for name in classes if line.startswith(f"{name}{APART}")]
        if not fitting:
            some = ", ".join(classes[:10]) + " …" * (len(classes) > 10)
            raise BadInput(f"Line {number} describes none of the classes ({some}): write “name"
                           f"{APART} a sentence”")  # fmt: skip
        name = max(fitting, key=len)
        if name in found:
            raise BadInput(f"Line {number} describes “{name}” once more: separate sentences of "
                           f"one class by “ {BETWEEN} ”")  # fmt: skip
        if said := sentences(line[len(name) + 1 :], number):
            found[name] = said
    return found


def lines(text: str) -> list[tuple[int, str]]:
    """Those that say something, with their numbers."""
    return [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]


def sentences(text: str, number: int) -> Sequence[str]:
    """The sentences of a line, of that number. BadInput if they are too long together."""
    if len(text) > LONGEST:
        raise BadInput(f"Line {number} describes its class in more than {LONGEST:,} characters: "
                       "a sentence or a few are enough")  # fmt: skip
    return tuple(part.strip() for part in text.split(BETWEEN) if part.strip())
