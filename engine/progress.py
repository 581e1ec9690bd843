"""How far an answer is that takes its time: a generator's pieces, before what it returns."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

Found = TypeVar("Found")
Told = dict[str, Any]
"""``{"done", "total", …}``: parts done, and how many there are, 0 as long as nobody knows."""
Answering = Generator[Told, None, Found]
Answer = Answering[dict[str, Any]]


def progress(done: int, total: int, **said: Any) -> Told:
    """A piece of an answer that isn't there yet, and what else is said of it."""
    return {"done": done, "total": total} | said
