"""What can be wrong with any dataset: its splits, its classes, items that are there twice."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.data.archive import one_line, shown
from engine.data.findings import (
    Finding,
    Harm,
    Setting,
    Subject,
    Which,
    counted,
    listed,
    percent,
    some,
    spelling,
)
from engine.data.splits import FEWEST, SPLITS, Rows, Rule, Split, numbered
from engine.data.versions import Divide, Merge, MergeAll

UNEQUAL = 10
"""Largest to smallest class from which the model is told to count them the same."""
SMALL = 50
"""Training items below which little can be learned from scratch."""
FEW_COPIES = 0.001
"""Share of the items below which copies within a split are only worth knowing."""
SURE = 0.05
"""Half the width of a test accuracy's 95 % interval that is small enough."""

# --- whether it can be learned from at all --------------------------------------------------


def empty_splits(subject: Subject) -> Iterator[Finding]:
    lacking = [split for i, split in enumerate(SPLITS) if not (subject.splits == i).any()]
    if not lacking:
        return
    uses: dict[Split, str] = {
        "train": "the model has nothing to learn from",
        "validation": "there is nothing to choose the best checkpoint by",
        "test": "there is nothing to measure the model on",
    }
    mend: dict[str, Any] = {}
    if len(subject.rows) >= FEWEST:
        rule = _at_random(subject.stored.version.rule)
        mend = {"mend": Divide(rule=rule), "button": "Split again at random"}
    text = f"Nothing is in {listed(lacking)}: {listed([uses[split] for split in lacking])}"
    harm: Harm = "stops"
    if subject.stored.version.rule.how == "none" and "train" not in lacking:
        # So it was wanted: what learns at once needs neither.
        harm, text = (
            "notice",
            (
                "Everything is to learn from, and nothing is held back: right for learning at once "
                "from a few examples. To train on it, split it again"
            ),
        )
    yield Finding(code="empty_splits", harm=harm, text=text, **mend)


def one_class(subject: Subject) -> Iterator[Finding]:
    if subject.labels is None or (subject.counts.sum(0) > 0).sum() != 1:
        return
    name = subject.classes[int(subject.counts.sum(0).argmax())]
    # What is said can be learned without classes.
    harm: Harm = "notice" if subject.stored.manifest.transcribed else "stops"
    yield Finding(
        code="one_class", harm=harm,
        text=f"All items are of one class, {shown(name)}: there is nothing to tell apart. Add "
        "items of another class, or label some of them differently",
    )  # fmt: skip


def untrained_classes(subject: Subject) -> Iterator[Finding]:
    if subject.labels is None or not (subject.splits == 0).any():
        return
    trained, everywhere = subject.counts[0], subject.counts.sum(0)
    lacking = np.flatnonzero(trained == 0)
    if not len(lacking):
        return
    rows = np.flatnonzero(subject.here & np.isin(subject.labels, lacking))
    mend: dict[str, Any] = {}
    rule = subject.stored.version.rule
    if rule.how != "given" and (everywhere[lacking] >= FEWEST).all():
        mend = {"mend": Divide(rule=_at_random(rule)), "button": "Split again at random"}
    elif len(rows):
        mend = subject.leave_out(rows)
    names = some([shown(subject.classes[i]) for i in lacking.tolist()])
    has, are = ("has", "is") if len(lacking) == 1 else ("have", "are")
    yield Finding(
        code="untrained_classes", harm="stops", rows=tuple(rows.tolist()), **mend,
        text=f"{names} {has} no item in train: the model can't learn what {are} never shown to it",
    )  # fmt: skip


# --- the same item twice --------------------------------------------------------------------


def copies(subject: Subject) -> Iterator[Finding]:
    """The same item in two splits."""
    usable = subject.here & ~subject.contradicting
    for split in ("test", "validation"):
        held = usable & (subject.splits == SPLITS.index(split))
        trained = usable & (subject.splits == 0)
        shared = np.intersect1d(subject.same[held], subject.same[trained])
        told = np.isin(subject.same, shared)
        yield from _leak(subject, split, held & told, trained & told, subject.same, near=False)


def near_copies(subject: Subject) -> Iterator[Finding]:
    """Nearly the same item in two splits."""
    if not len(subject.near):
        return
    usable = subject.here & ~subject.contradicting
    one, other = subject.near[:, 0], subject.near[:, 1]
    beside = np.full(len(subject.splits), -1, np.int64)
    for split in ("test", "validation"):
        held = usable & (subject.splits == SPLITS.index(split))
        trained = usable & (subject.splits == 0)
        # By content: one may lie in train as well as in test, and is no near copy then.
        tested, learned = _contents(subject, held), _contents(subject, trained)
        crossing = [(one, other), (other, one)]
        found = [(a[which], b[which]) for a, b in crossing
                 if (which := tested[a] & ~learned[a] & learned[b]).any()]  # fmt: skip
        if not found:
            continue
        tests = np.concatenate([a for a, _ in found])
        trains = np.concatenate([b for _, b in found])
        beside[:] = subject.same
        beside[trains] = tests  # side by side with one of those it is like
        order = np.where(subject.here, beside[subject.same], -1)
        in_test = held & np.isin(subject.same, tests)
        in_train = trained & np.isin(subject.same, trains)
        yield from _leak(subject, split, in_test, in_train, order, near=True)


def _leak(
    subject: Subject, split: Split, held: Which, trained: Which, order: Rows, *, near: bool
) -> Iterator[Finding]:
    if not held.any():
        return
    rows = np.flatnonzero(held | trained)
    # Each next to what it is a copy of, those of the other split before those of train.
    rows = rows[np.lexsort((rows, trained[rows], order[rows]))]
    share = held.sum() / (subject.splits == SPLITS.index(split)).sum()
    count = int(held.sum())
    verb = "is" if count == 1 else "are"
    how = f"{verb} in {split} and nearly the same in train" if near else (
        f"{verb} in train and again in {split}"
    )  # fmt: skip
    so = {
        "test": "the test score would look better than it is",
        "validation": "the checkpoint that remembers best would be chosen, not the one that has "
        "understood",
    }[split]
    which = np.flatnonzero(trained)
    mend = subject.leave_out(which)
    if mend:
        copies = "1 copy" if len(which) == 1 else f"{len(which):,} copies"
        mend["button"] = f"Leave {copies} out of train"
    yield Finding(
        code=f"{'near_' if near else ''}copies_in_{split}", harm="harms",
        text=f"{subject.many(count)} {how} ({percent(share)} of {split}), such as "
        f"{listed([shown(subject.stored.names[row]) for row in rows[:2].tolist()])}: {so}",
        rows=tuple(rows.tolist()), **mend,
    )  # fmt: skip


def contradictions(subject: Subject) -> Iterator[Finding]:
    rows = np.flatnonzero(subject.contradicting)
    if not len(rows):
        return
    assert subject.labels is not None
    rows = rows[np.lexsort((rows, subject.same[rows]))]
    first = rows[subject.same[rows] == subject.same[rows[0]]]
    names = [shown(subject.classes[i]) for i in np.unique(subject.labels[first]).tolist()]
    yield Finding(
        code="contradictions", harm="harms", rows=tuple(rows.tolist()),
        text=f"{subject.many(len(rows))} are the same as another with a different label"
        f"{subject.such(rows[:2])} ({listed(names)}): the model is told that both are right",
        **subject.leave_out(rows),
    )  # fmt: skip


def repeated(subject: Subject) -> Iterator[Finding]:
    """The same item, or nearly the same, twice within a split."""
    usable = subject.here & ~subject.contradicting
    rows = np.flatnonzero(usable)
    within = subject.same[rows] * len(SPLITS) + subject.splits[rows]
    _, first, which, size = np.unique(
        within, return_index=True, return_inverse=True, return_counts=True
    )
    again = rows[first[which] != np.arange(len(rows))]
    if len(again):
        shared = rows[size[which] > 1]
        shared = shared[np.lexsort((shared, subject.splits[shared], subject.same[shared]))]
        yield Finding(
            code="duplicates", harm=_harm_of(subject, again), rows=tuple(shared.tolist()),
            text=f"{subject.many(len(again))} {'is' if len(again) == 1 else 'are'} in the same "
            f"split a second time{subject.such(shared[:2])}: what is there twice counts twice",
            **_copies(subject, again),
        )  # fmt: skip
    yield from _near_repeated(subject, usable)


def _near_repeated(subject: Subject, usable: Which) -> Iterator[Finding]:
    if not len(subject.near):
        return
    # The first item of each content in each split stands for it.
    stands = np.full((len(SPLITS), len(usable)), -1, np.int64)
    for row in np.flatnonzero(usable)[::-1].tolist():
        stands[subject.splits[row], subject.same[row]] = row
    dropped: dict[int, int] = {}
    for split in range(len(SPLITS)):
        pairs = np.sort(stands[split][subject.near], axis=1)
        for a, b in sorted(pairs[pairs[:, 0] >= 0].tolist()):  # in order: the earlier one is kept
            if a not in dropped:
                dropped.setdefault(b, a)
    if not dropped:
        return
    order = sorted(dropped.items(), key=lambda pair: (pair[1], pair[0]))
    rows = np.array(list(dict.fromkeys(row for b, a in order for row in (a, b))), np.int64)
    again = np.array(sorted(dropped), np.int64)
    yield Finding(
        code="near_duplicates", harm=_harm_of(subject, again), rows=tuple(rows.tolist()),
        text=f"{subject.many(len(again))} {'is' if len(again) == 1 else 'are'} nearly the same as "
        f"another in the same split{subject.such(rows[:2])}: they teach little, and count twice",
        **_copies(subject, again),
    )  # fmt: skip


def _harm_of(subject: Subject, again: Rows) -> Harm:
    """A few copies in train change nothing; in the test split each is counted twice."""
    few = len(again) < FEW_COPIES * len(subject.rows)
    return "notice" if few and (subject.splits[again] != SPLITS.index("test")).all() else "harms"


def _copies(subject: Subject, rows: Rows) -> dict[str, Any]:
    return subject.leave_out(rows, "copy" if len(rows) == 1 else "copies")


def _contents(subject: Subject, which: Which) -> Which:
    """Which contents, by their first items, those items have."""
    out = np.zeros(len(which), bool)
    out[subject.same[which]] = True
    return out


# --- classes --------------------------------------------------------------------------------


def spellings(subject: Subject) -> Iterator[Finding]:
    merges = _merges(subject)
    if not merges:
        return
    assert subject.labels is not None
    names = [f"{listed([shown(name) for name in merge.classes])} and {shown(merge.into)}"
             for merge in merges]  # fmt: skip
    codes = [subject.classes.index(name) for merge in merges for name in merge.classes]
    rows = np.flatnonzero(subject.here & np.isin(subject.labels, codes))
    yield Finding(
        code="spellings", harm="harms", rows=tuple(rows.tolist()),
        text=f"Labels that differ only in how they are written: {some(names, '; ')}: the model "
        "is asked to tell apart what is one class",
        mend=MergeAll(merges=merges),
        button=f"Make them {shown(merges[0].into)}" if len(merges) == 1
        else f"Merge {len(merges)} classes and their other spellings",
    )  # fmt: skip


def _merges(subject: Subject) -> tuple[Merge, ...]:
    """Classes that one name was meant for, into the spelling that most items have."""
    if subject.labels is None:
        return ()
    groups: dict[str, list[int]] = defaultdict(list)
    counts = subject.counts.sum(0)
    for i, name in enumerate(subject.classes):
        if counts[i]:
            groups[spelling(name)].append(i)
    merges = []
    for codes in groups.values():
        if len(codes) > 1:
            into = max(codes, key=lambda code: (counts[code], -code))
            others = tuple(subject.classes[code] for code in codes if code != into)
            merges.append(Merge(classes=others, into=subject.classes[into]))
    return tuple(merges)


def small_classes(subject: Subject) -> Iterator[Finding]:
    if subject.labels is None or subject.stored.version.rule.how == "none":
        return
    counts = subject.counts.sum(0)
    merged = {name for merge in _merges(subject) for name in (*merge.classes, merge.into)}
    few = [i for i in np.flatnonzero((counts > 0) & (counts < FEWEST)).tolist()
           if subject.classes[i] not in merged]  # fmt: skip
    if not few:
        return
    rows = np.flatnonzero(subject.here & np.isin(subject.labels, few))
    others = int((counts > 0).sum()) - len(few)
    mend = {}
    if others >= 2:
        mend = subject.leave_out(rows)
        if mend:
            mend["button"] = f"Leave out {counted(len(few), 'class', 'classes')}"
    names = some([f"{shown(subject.classes[i])} ({counts[i]})" for i in few])
    yield Finding(
        code="small_classes", harm="harms", rows=tuple(rows.tolist()), **mend,
        text=f"{counted(len(few), 'class has', 'classes have')} fewer than {FEWEST} items, "
        f"{names}: not enough for one in each split, and hardly anything to learn them from",
    )  # fmt: skip


def imbalance(subject: Subject) -> Iterator[Finding]:
    if subject.labels is None:
        return
    counts = subject.counts[0]
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return
    most, least = present[counts[present].argmax()], present[counts[present].argmin()]
    times = counts[most] / counts[least]
    if times <= UNEQUAL:
        return
    large, small = shown(subject.classes[most]), shown(subject.classes[least])
    yield Finding(
        code="imbalance", harm="harms",
        text=f"{large} has {counted(int(counts[most]), 'training item', 'training items')} and "
        f"{small} {counts[least]:,}, {times:,.0f} times as few: the model may learn to answer "
        f"{large} too often",
        mend=Setting(name="task.class_weights", value="balanced"),
        button="Count every class the same",
    )  # fmt: skip


# --- the splits -----------------------------------------------------------------------------


def groups(subject: Subject) -> Iterator[Finding]:
    """Columns whose values (speakers, patients) are in train and in another split."""
    rule = subject.stored.version.rule
    for column in subject.stored.manifest.groups:
        values = subject.stored.group(column)
        codes = numbered(values)[subject.rows]
        _, first, group = np.unique(codes, return_index=True, return_inverse=True)
        if not 3 <= len(first) <= len(subject.rows) / 2:
            continue
        splits = subject.splits[subject.rows]
        shared = np.intersect1d(group[splits == 0], group[splits > 0])
        if not len(shared):
            continue
        rows = subject.rows[(splits > 0) & np.isin(group, shared)]
        mend: dict[str, Any] = {}
        if _divisible(subject, group):
            again = rule.model_copy(update={"how": "grouped", "column": column})
            mend = {
                "mend": Divide(rule=again),
                "button": f"Keep each {one_line(column)[:40]} in one split",
            }
        count = len(shared)
        names = sorted(values[row] for row in subject.rows[first[shared]].tolist())
        yield Finding(
            code=f"groups:{column}", harm="notice", rows=tuple(rows.tolist()), **mend,
            text=f"{count:,} of {len(first):,} values of {shown(column)} "
            f"{'is' if count == 1 else 'are'} in train and in validation or test, "
            f"{some(list(map(shown, names)))}: the score says how well "
            "the model does on those it knows, not on new ones",
        )  # fmt: skip


def _divisible(subject: Subject, group: Rows) -> bool:
    """Whether each class can be in every split when groups are kept together."""
    if subject.labels is None:
        return True
    pairs = np.unique(np.stack([subject.labels[subject.rows], group]), axis=1)
    return bool(np.unique(pairs[0], return_counts=True)[1].min() >= len(SPLITS))


def sizes(subject: Subject) -> Iterator[Finding]:
    trained, tested = (int((subject.splits == i).sum()) for i in (0, 2))
    unlabelled_text = subject.stored.kind == "text" and subject.labels is None  # a few long ones
    # Of a series the steps count, not the pieces that it is cut to.
    if subject.stored.series is not None:
        lengths = subject.stored.ragged("values").lengths[subject.rows]
        steps = int(lengths[subject.splits == 0].sum())
        if steps < SMALL:
            yield Finding(
                code="small_dataset",
                harm="notice",
                text=f"There are only {steps} steps to train on: add more of the series",
            )
        return
    if 0 < trained < SMALL and not unlabelled_text:
        yield Finding(
            code="small_dataset", harm="notice",
            text=f"There {'is' if trained == 1 else 'are'} only {subject.many(trained)} to train "
            "on: start from a pretrained model, or add more",
        )  # fmt: skip
    # The widest interval is that of an accuracy of one half.
    unsure = 1.96 * math.sqrt(0.25 / tested) if tested else 0
    if subject.labels is not None and unsure > SURE:
        yield Finding(
            code="small_test", harm="notice",
            text=f"The test split has {subject.many(tested)}: an accuracy measured on so few is "
            f"only known to within about ±{min(50, unsure * 100):.0f} points",
        )  # fmt: skip


def _at_random(rule: Rule) -> Rule:
    return rule.model_copy(update={"how": "random", "column": ""})
