"""Which items are trained on, which choose the best checkpoint, and which are kept for the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from engine.catalog import BadInput, Frozen
from engine.recipe import Amount

Rows = npt.NDArray[np.int64]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
NAMED = 10
"""Classes that a sentence names."""
FEWEST = 3
"""Items that a class needs so that each split can have one."""


class Rule(Frozen):
    """How a dataset is split."""

    how: Literal["given", "random", "grouped", "ordered", "none"] = "random"
    """As its source says; at random, every class in the same proportion; with the items of one
    group (a speaker, a patient) never in two splits; of series, what comes last held out; or not
    at all, everything to learn from."""
    column: str = ""
    """What the groups are called, where they are kept together."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    validation: Annotated[float, Field(gt=0, le=0.4)] = 0.1
    test: Annotated[float, Field(gt=0, le=0.4)] = 0.1


def evenly(rows: Rows, most: int) -> Rows:
    """At most so many of these rows, spread evenly over them: always the same ones, and of every
    class where classes lie one behind the other."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def stratified(
    labels: Rows, *, seed: int, validation: float = 0.1, test: float = 0.1
) -> dict[Split, Rows]:
    """Rows for each split, every class in the same proportion, the same for the same seed.

    A share above zero gives at least one item of each class that has `FEWEST` or more. Rows
    are in ascending order within a split.
    """
    parts: dict[Split, list[Rows]] = {split: [np.zeros(0, np.int64)] for split in SPLITS}
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.random.default_rng((seed, int(label))).permutation(len(rows))]
        held, tested = _share(len(rows), validation), _share(len(rows), test)
        tested = min(tested, max(0, len(rows) - held - 1))  # something is left to train on
        parts["test"].append(rows[:tested])
        parts["validation"].append(rows[tested : tested + held])
        parts["train"].append(rows[tested + held :])
    return {split: np.sort(np.concatenate(rows)) for split, rows in parts.items()}


def grouped(
    groups: Rows, *, seed: int, validation: float = 0.1, test: float = 0.1
) -> dict[Split, Rows]:
    """Rows for each split, no group in two of them, the shares as near as whole groups allow.

    `groups` (N,) numbers each item's group. Each split has at least one group. BadInput when there
    are fewer groups than splits.
    """
    codes, sizes = np.unique(groups, return_counts=True)
    wanted = {"validation": validation * len(groups), "test": test * len(groups)}
    parts = 1 + sum(size > 0 for size in wanted.values())
    if len(codes) < parts:
        raise BadInput(
            f"There are {len(codes)} groups, and {parts} are needed, one for each split: choose "
            "another column, or split at random"
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes)).tolist()
    where: dict[int, Split] = {}
    # Each takes what it needs and leaves at least one group for each split after it.
    kept: tuple[tuple[Split, int], ...] = (("validation", 2), ("test", 1))
    for split, left in kept:
        filled = 0.0
        for code in list(order):
            size = float(sizes[code])
            if filled >= wanted[split] or len(order) <= left:
                break
            if filled + size / 2 > wanted[split]:
                continue  # further above the share than it is below without this group
            where[int(codes[code])] = split
            filled += size
            order.remove(code)
        if wanted[split] and not filled:  # all are too large: the least that can be
            code = min(order, key=lambda code: sizes[code])
            where[int(codes[code])] = split
            order.remove(code)
    placed = np.array([SPLITS.index(where.get(code, "train")) for code in codes.tolist()])
    split_of = placed[np.searchsorted(codes, groups)]
    return {split: np.flatnonzero(split_of == i) for i, split in enumerate(SPLITS)}


def classes_apart(
    labels: Rows, classes: Sequence[str], splits: Mapping[Split, Rows], *, seed: int,
    validation: float = 0.1, test: float = 0.1, tested: Sequence[str] = (), together: bool = True,
) -> dict[Split, Rows]:  # fmt: skip
    """Rows for each split, no class in two of them.

    A class to learn from keeps what its items in the training split of `splits` are: what was held
    back there is learned from by nobody. One that is held back here has all of its items.

    The classes are shared out anew: whole groups of them where their names tell any, as
    “Greek/omega” does, and they are to stay `together`; one by one where not. `tested` are the
    groups or classes of the test, by their names; without any a share of all is taken. `labels`
    (N,). BadInput where there aren't two classes for each split.
    """
    rows = np.sort(np.concatenate(list(splits.values())))
    present = np.unique(labels[rows])
    groups = [classes[label].rpartition("/")[0] for label in present.tolist()]
    asked = np.array([
        group in tested or classes[label] in tested
        for group, label in zip(groups, present.tolist(), strict=True)
    ])  # fmt: skip
    if strange := {*tested} - {*groups} - {classes[label] for label in present.tolist()}:
        known = sorted({*groups} - {""}) or [classes[label] for label in present.tolist()]
        raise BadInput(
            f"There is no class or group of classes “{min(strange)}” (there is: "
            f"{', '.join(known[:NAMED])}{' …' * (len(known) > NAMED)})",
            field="task.tested",
        )
    # What is named is taken out first; the shares are of all classes.
    kept = np.flatnonzero(~asked)
    shares = {"validation": validation, "test": 0.0 if tested else test}
    numbers = numbered([groups[i] for i in kept.tolist()])
    if together and len(np.unique(numbers)) >= 2 + (not tested):
        shared = grouped(numbers, seed=seed, **shares)
    else:
        order = np.random.default_rng(seed).permutation(len(kept))
        held = max(round(len(kept) * validation), 2)
        ends = held, held + (0 if tested else max(round(len(kept) * test), 2))
        parts = np.split(order, ends)
        shared = dict(zip(("validation", "test", "train"), parts, strict=True))
    chosen = {split: present[kept[shared[split]]] for split in SPLITS}
    if tested:
        chosen["test"] = present[asked]
    learned = splits["train"][np.isin(labels[splits["train"]], chosen["train"])]
    chosen["train"] = np.unique(labels[learned])
    for split in SPLITS:
        if len(chosen[split]) < 2:
            raise BadInput(
                f"The {split} split would have {len(chosen[split])} classes, and two are needed "
                "to compare: take data with more classes, or change what is kept aside",
                field="data",
            )
    aside = {split: rows[np.isin(labels[rows], chosen[split])] for split in SPLITS[1:]}
    return {"train": learned, **aside}


def ordered(series: Rows, *, validation: float = 0.1, test: float = 0.1) -> dict[Split, Rows]:
    """Rows for each split: of each series what comes last for the test, what comes before that for
    validation. `series` (N,) numbers the one that each item is a piece of, in the order of time."""
    parts: dict[Split, list[Rows]] = {split: [np.zeros(0, np.int64)] for split in SPLITS}
    for code in np.unique(series):
        rows = np.flatnonzero(series == code)
        held, tested = _share(len(rows), validation), _share(len(rows), test)
        first = max(len(rows) - held - tested, 0)
        parts["train"].append(rows[:first])
        parts["validation"].append(rows[first : first + held])
        parts["test"].append(rows[first + held :])
    return {split: np.sort(np.concatenate(rows)) for split, rows in parts.items()}


def fewer(rows: Rows, amount: Amount, labels: Rows, *, seed: int) -> Rows:
    """Some of these rows: so many of each class, at random, the same for the same seed.

    `labels` (N,) has the class of every item, of which `rows` are some. A larger amount holds a
    smaller one of the same seed, so that only more labels tell the two apart; no class goes
    missing. The order stays.
    """
    chosen = np.zeros(len(rows), bool)
    of = labels[rows]
    for label in np.unique(of):
        places = np.flatnonzero(of == label)
        order = np.random.default_rng((seed, int(label) + 1, 2)).permutation(len(places))
        chosen[places[order[: amount.count(len(places))]]] = True
    return rows[chosen]


def latest(rows: Rows, amount: Amount, series: Rows) -> Rows:
    """The last of these rows of each series, as `fewer` takes some of each class: with gaps
    between them, nothing could be forecast. `series` (N,) numbers the one that each is a piece of.
    """
    of = series[rows]
    parts = [
        places[len(places) - amount.count(len(places)) :]
        for places in (np.flatnonzero(of == code) for code in np.unique(of))
    ]
    chosen: Rows = rows[np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))]
    return chosen


def whole(count: int) -> dict[Split, Rows]:
    """All of so many rows to learn from, none held back: for what learns without measuring."""
    nothing = np.zeros(0, np.int64)
    return {"train": np.arange(count), "validation": nothing, "test": nothing}


def numbered(values: Sequence[str]) -> Rows:
    """A number for each text, the same for the same text.

    By a dict: an array of texts would be as wide as the longest in every place.
    """
    known: dict[str, int] = {}
    return np.fromiter((known.setdefault(v, len(known)) for v in values), np.int64, len(values))


def _share(count: int, share: float) -> int:
    least = 1 if share > 0 and count >= FEWEST else 0
    return max(least, round(count * share))
