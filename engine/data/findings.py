"""What the doctor says of a dataset, and how: its sentences, and the dataset as it asks for it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from engine.catalog import Frozen, Value
from engine.data.archive import shown
from engine.data.arrays import LEFT_OUT, PARTS, Ragged, Stored
from engine.data.likeness import likeness
from engine.data.options import Kind
from engine.data.splits import SPLITS, Rows
from engine.data.versions import Change, Exclude

Harm = Literal["stops", "harms", "notice"]
"""Training can't work; the model or its test score suffers; worth knowing."""
Which = npt.NDArray[np.bool_]

NAMED = 3
"""Items and classes that a sentence names."""
_NOUNS: dict[Kind, tuple[str, str]] = {
    "images": ("picture", "pictures"), "text": ("text", "texts"), "pairs": ("pair", "pairs"),
    "sound": ("recording", "recordings"), "sequences": ("sequence", "sequences"),
}  # fmt: skip


class Setting(Frozen):
    """A mend that is a setting of the run, not a change of the data."""

    do: Literal["setting"] = "setting"
    name: str
    """``task.class_weights``"""
    value: Value


class Finding(Frozen):
    """Something that is wrong, or may be."""

    code: str
    """Its kind, in one word or two, and which where there are several: ``groups:speaker``. No two
    findings of a dataset have the same."""
    harm: Harm
    text: str
    """A sentence that names the first items, and says what it does to training."""
    rows: tuple[int, ...] = ()
    """The items in question, all of them; those that belong together side by side."""
    mend: Change | Setting | None = None
    """What would put it right."""
    button: str = ""
    """What the mend does, in a few words: “Leave out 12 copies”."""


class Subject:
    """A dataset under examination: what several checks ask of it, and how its items are called."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.splits: npt.NDArray[np.int8] = np.array(stored.splits)
        self.here: Which = self.splits != LEFT_OUT
        self.rows: Rows = np.flatnonzero(self.here)
        self.labels: Rows | None = None if stored.labels is None else np.array(stored.labels)
        self.classes = stored.classes

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Items of each split and class: (splits, classes)."""
        assert self.labels is not None
        size = len(self.classes)
        return np.stack([
            np.bincount(self.labels[self.splits == i], minlength=size) for i in range(len(SPLITS))
        ])  # fmt: skip

    @cached_property
    def same(self) -> Rows:
        """For each item the first with the same content, −1 for what is left out."""
        return self._likeness[0]

    @cached_property
    def near(self) -> Rows:
        """Pairs of such first items that differ a little."""
        return self._likeness[1]

    @cached_property
    def _likeness(self) -> tuple[Rows, Rows]:
        found = likeness(self.stored)
        return found.same, found.near

    @cached_property
    def contradicting(self) -> Which:
        """Items that have the content of another and not its label."""
        out = np.zeros(len(self.splits), bool)
        if self.labels is not None:
            # Classes that are one but for how they are written don't contradict each other.
            known: dict[str, int] = {}
            plain = [known.setdefault(spelling(name), len(known)) for name in self.classes]
            meant = np.array([*plain, -1])[self.labels]
            same = self.same[self.rows]
            odd = np.unique(same[meant[self.rows] != meant[same]])
            out[self.rows] = np.isin(same, odd)
        return out

    def texts(self) -> Iterator[tuple[str, Ragged]]:
        """What is written in its items or said in them: ("source", …), ("target", …)."""
        if self.stored.kind in ("text", "pairs"):
            for name in PARTS[self.stored.kind]:
                yield name, self.stored.ragged(name)
        if self.stored.manifest.transcribed:
            yield "transcripts", self.stored.ragged("transcripts")

    # --- in words ---

    def many(self, count: int) -> str:
        """“12 pictures”"""
        return f"{count:,} {_NOUNS[self.stored.kind][count != 1]}"

    def such(self, rows: Rows) -> str:
        """“, such as “a.png”, “b.png” and “c.png””"""
        names = self.stored.names
        chosen = list(dict.fromkeys(shown(names[row]) for row in rows[:NAMED].tolist()))
        return f", {chosen[0]}" if len(rows) == 1 else f", such as {listed(chosen)}"

    def finding(
        self, code: str, harm: Harm, rows: Rows, one: str, more: str, so: str, **mend: Any
    ) -> Finding:
        """What is said of some items: “1 picture `one`” or “3 pictures `more`, such as …: `so`”."""
        said = f"{self.many(len(rows))} {one if len(rows) == 1 else more}{self.such(rows)}: {so}"
        return Finding(code=code, harm=harm, text=said, rows=tuple(rows.tolist()), **mend)

    def leave_out(self, rows: Rows, what: str = "") -> dict[str, Any]:
        """The mend that leaves items out, unless nothing would be left to train on."""
        left = self.here.copy()
        left[rows] = False
        if not (left & (self.splits == 0)).any():
            return {}
        button = f"Leave out {f'{len(rows):,} {what}' if what else self.many(len(rows))}"
        return {"mend": Exclude(rows=tuple(np.unique(rows).tolist())), "button": button}

    def spoiled(
        self, code: str, which: Which, one: str, more: str, so: str, harm: Harm = "harms"
    ) -> Iterator[Finding]:
        """The finding of items that had better be left out, if there are any."""
        if len(rows := np.flatnonzero(which & self.here)):
            yield self.finding(code, harm, rows, one, more, so, **self.leave_out(rows))


# --- in words -----------------------------------------------------------------------------


def listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def some(names: Sequence[str], between: str = ", ", most: int = NAMED) -> str:
    more = len(names) - most
    if more > 0:
        return f"{between.join(names[:most])} and {more:,} more"
    return listed(names) if between == ", " else between.join(names)


def counted(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


def percent(share: float) -> str:
    return "less than 0.1 %" if share < 0.001 else f"{share * 100:.2g} %" if share < 0.1 else (
        f"{share * 100:.0f} %"
    )  # fmt: skip


def spelling(name: str) -> str:
    """A label without case, width, spaces, hyphens and underscores; but −1 isn't 1, nor 1-2 12."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    text = re.sub(r"(?<![^\s_])-(?=\d)", "−", text.replace("‐", "-"))
    # Between two digits, what divides them means something.
    return re.sub(r"(?<=[^\W\d_])[\s_-]+|[\s_-]+(?=[^\W\d_])|[\s_]+$", "", text) or name
