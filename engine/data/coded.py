"""Texts of many items in little memory: each different one once, and a number for every place."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import overload


class Coded(Sequence[str]):
    """Texts of which few differ, as labels do: 4 bytes for each that was there before."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.different: list[str] = []
        self.codes = array("i")

    def append(self, text: str) -> None:
        """The next one."""
        code = self.known.get(text)
        if code is None:
            code = self.known[text] = len(self.different)
            self.different.append(text)
        self.codes.append(code)

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self.different[code] for code in self.codes[place]]
        return self.different[self.codes[place]]


class Names(Sequence[str]):
    """Names that are a word and a number, as “row 5”: written out when one is asked for."""

    def __init__(self) -> None:
        self.words = Coded()
        self.numbers = array("q")

    def append(self, word: str, number: int | None = None) -> None:
        """The next one; `word` alone where it has no number."""
        self.words.append(word)
        self.numbers.append(-1 if number is None else number)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        word, number = self.words[place], self.numbers[place]
        return word if number < 0 else f"{word} {number}"
