"""What can be wrong with the items themselves: pictures, sound, sequences and texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from engine.data import letters
from engine.data.archive import shown
from engine.data.arrays import PARTS, Ragged
from engine.data.findings import Finding, Subject, counted, percent, some
from engine.data.likeness import first_of, pieces, ragged_keys, spans
from engine.data.splits import FEWEST, Rows

SILENT = 32
"""Peak of int16 samples: −60 dB below full scale."""
LOUDEST, RUN, CLIPPED = 32_700, 3, 0.001
"""Sound is clipped when more than this share of it lies in runs of samples at full scale."""
FAR_LONGER, FAR_SHORTER = 10, 0.1
"""Against the median length of recordings and sequences."""
LONG_TEXT, LONG_CHARACTERS = 20, 2000
"""A text is absurdly long at so many times the median and so many characters."""
LOPSIDED = 9
"""Longer to shorter side of a pair, from which they are hardly translations (Moses' limit)."""
STRANGE = 0.1
"""Share of texts up to which those in another script are strays and not half of the dataset."""


# --- pictures, sound and sequences ----------------------------------------------------------


def constant_images(subject: Subject) -> Iterator[Finding]:
    if subject.stored.kind != "images" or not np.prod(subject.stored.shape[:2]) > 1:
        return
    images = subject.stored.images
    even = np.zeros(len(images), bool)
    for a, b in spans(len(images), images[:1].nbytes):
        block = images[a:b].reshape(b - a, -1, images.shape[-1])
        even[a:b] = (block == block[:, :1]).all(axis=(1, 2))
    yield from subject.spoiled(
        "constant", even, "is of one colour", "are of one colour",
        "there is nothing to see, and the model learns to guess",
    )  # fmt: skip


def sound(subject: Subject) -> Iterator[Finding]:
    if subject.stored.kind != "sound":
        return
    waves, rate = subject.stored.ragged("waves"), subject.stored.manifest.rate or 1
    peak = np.zeros(len(waves), np.int64)
    clipped = np.zeros(len(waves), np.int64)
    for begin, end in pieces(waves):
        offsets = np.asarray(waves.offsets[begin : end + 1])
        block = np.asarray(waves.flat[offsets[0] : offsets[-1]])
        offsets = offsets - offsets[0]
        peak[begin:end] = _peaks(block, offsets)
        clipped[begin:end] = _in_runs(block, offsets)
    empty = waves.lengths == 0
    yield from subject.spoiled(
        "silent", peak <= SILENT, "is silent", "are silent",
        "there is nothing to hear, and the model learns to guess",
    )  # fmt: skip
    yield from subject.spoiled(
        "clipped", clipped > CLIPPED * np.maximum(waves.lengths, 1), "is clipped", "are clipped",
        "it was recorded too loud, and the peaks that are cut off sound like a buzz. Record it "
        "again with less gain where you can",
    )  # fmt: skip
    seconds = waves.lengths[subject.here & ~empty] / rate
    usual = f"{np.median(seconds):.3g} s" if len(seconds) else ""
    yield from _odd_lengths(subject, waves.lengths, least=rate // 10, usual=usual)


def _peaks(block: npt.NDArray[np.int16], offsets: Rows) -> npt.NDArray[np.int64]:
    """The largest sample of each item, whichever its sign."""
    out = np.zeros(len(offsets) - 1, np.int64)
    filled = np.flatnonzero(np.diff(offsets))  # reduceat has no empty stretches
    if len(filled):
        high = np.maximum.reduceat(block, offsets[filled]).astype(np.int64)
        low = np.minimum.reduceat(block, offsets[filled]).astype(np.int64)
        out[filled] = np.maximum(high, -low)
    return out


def _in_runs(block: npt.NDArray[np.int16], offsets: Rows) -> npt.NDArray[np.int64]:
    """Samples of each item that lie in runs at full scale."""
    full = np.flatnonzero((block >= LOUDEST) | (block <= -LOUDEST))
    if not len(full):
        return np.zeros(len(offsets) - 1, np.int64)
    item = np.searchsorted(offsets, full, "right") - 1
    sign = block[full] > 0
    fresh = (np.diff(full) > 1) | (np.diff(item) > 0) | (sign[1:] != sign[:-1])
    run = np.concatenate([[0], np.cumsum(fresh)])
    long = np.bincount(run)[run] >= RUN
    return np.bincount(item[long], minlength=len(offsets) - 1)


def sequences(subject: Subject) -> Iterator[Finding]:
    if subject.stored.kind != "sequences":
        return
    values = subject.stored.ragged("values")
    width = int(np.prod(subject.stored.shape))
    broken = np.zeros(len(values), bool)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    for begin, end in pieces(values):
        offsets = np.asarray(values.offsets[begin : end + 1])
        block = np.asarray(values.flat[offsets[0] : offsets[-1]]).reshape(-1, width)
        row = np.repeat(np.arange(begin, end), np.diff(offsets))
        finite = np.isfinite(block).all(1)
        broken[row[~finite]] = True
        used = block[finite & subject.here[row]]
        if len(used):
            low, high = np.minimum(low, used.min(0)), np.maximum(high, used.max(0))
    yield from subject.spoiled(
        "not_finite", broken, "has values that are no numbers",
        "have values that are no numbers", "one of them in a batch and the model is lost",
    )  # fmt: skip
    yield from _odd_lengths(
        subject, values.lengths, least=1000,
        usual=f"{np.median(values.lengths[subject.here] if len(subject.rows) else [0]):g} steps",
    )  # fmt: skip
    still = np.flatnonzero(low == high).tolist()
    if still:
        names = subject.stored.manifest.features
        called = [shown(names[i]) if i < len(names) else f"number {i + 1}" for i in still]
        has = "features has" if len(still) == 1 else "features have"
        yield Finding(
            code="constant_features", harm="notice",
            text=f"{len(still):,} of {width:,} {has} the same value everywhere, {some(called)}: "
            "nothing can be learned from a column that never changes",
        )  # fmt: skip


def _odd_lengths(subject: Subject, lengths: Rows, *, least: int, usual: str) -> Iterator[Finding]:
    """Recordings or sequences far longer or shorter than the others."""
    here = lengths[subject.here]
    if len(here) < FEWEST:
        return
    median = float(np.median(here))
    yield from subject.spoiled(
        "long", (lengths > FAR_LONGER * median) & (lengths > least),
        f"is more than {FAR_LONGER} times as long as usual ({usual})",
        f"are more than {FAR_LONGER} times as long as usual ({usual})",
        "the others are filled up to the longest in their batch, which costs time and memory",
    )  # fmt: skip
    yield from subject.spoiled(
        "short", lengths < FAR_SHORTER * median,
        f"is less than a tenth as long as usual ({usual})",
        f"are less than a tenth as long as usual ({usual})",
        "little can be in so short a piece, it may have been cut off",
    )  # fmt: skip


# --- texts ----------------------------------------------------------------------------------


def text_lengths(subject: Subject) -> Iterator[Finding]:
    sizes = {name: letters.lengths(ragged) for name, ragged in subject.texts()}
    for name, size in sizes.items():
        here = size[subject.here]
        if not len(here):
            continue
        side = f" ({name})" if name != "text" else ""
        code = f":{name}" if side else ""
        median = max(1.0, float(np.median(here)))
        yield from subject.spoiled(
            f"long_texts{code}", (size > LONG_TEXT * median) & (size > LONG_CHARACTERS),
            f"is more than {LONG_TEXT} times as long as usual ({median:,.0f} characters){side}",
            f"are more than {LONG_TEXT} times as long as usual ({median:,.0f} characters){side}",
            "most of it is cut off in training, or it slows every batch that it is in",
        )  # fmt: skip
        if median > 1:
            yield from subject.spoiled(
                f"short_texts{code}", size <= 1, f"is of one character{side}",
                f"are of one character{side}", "there is nothing to learn from them",
            )  # fmt: skip
    if len(sizes) == 2:
        one, other = sizes.values()
        longer, shorter = np.maximum(one, other), np.maximum(1, np.minimum(one, other))
        yield from subject.spoiled(
            "lopsided", (longer > LOPSIDED * shorter) & (longer > 20),
            f"has one side more than {LOPSIDED} times as long as the other",
            f"have one side more than {LOPSIDED} times as long as the other",
            "they are hardly translations of one another, the lines may be shifted", "notice",
        )  # fmt: skip


def characters(subject: Subject) -> Iterator[Finding]:
    """Characters that training lacks, and texts in another script than most."""
    written: dict[str, tuple[list[str], Rows, int]] = {}
    for name, ragged in subject.texts():
        side = f" ({name})" if name != "text" else ""
        code = f":{name}" if side else ""
        counts = letters.census(ragged, subject.splits)
        if counts[0].any():
            yield from _unseen(subject, ragged, counts, code, side)
        seen = np.flatnonzero(counts.sum(0))
        scripts, of = letters.scripts(ragged, seen)
        here = of[subject.here & (of >= 0)]
        shares = np.bincount(here, minlength=len(scripts)) / max(1, len(here))
        if not shares.any():
            continue
        main = int(shares.argmax())
        written[name] = scripts, of, main
        strays = subject.here & (of >= 0) & (of != main)
        if 0 < strays.sum() <= STRANGE * len(here):
            others = some([scripts[i] for i in np.argsort(-shares, kind="stable").tolist()
                            if i != main and shares[i]], most=5)  # fmt: skip
            yield from subject.spoiled(
                f"scripts{code}", strays, f"is not in {scripts[main]} letters{side} but {others}",
                f"are not in {scripts[main]} letters{side} but {others}",
                "it may be another language, of which the model sees too little to learn it",
                "notice",
            )  # fmt: skip
        elif strays.any():
            parts = [f"{scripts[i]} {percent(shares[i])}"
                     for i in np.argsort(-shares, kind="stable").tolist() if shares[i]]  # fmt: skip
            yield Finding(
                code=f"scripts{code}", harm="notice", rows=tuple(np.flatnonzero(strays).tolist()),
                text=f"The texts are in several scripts{side}: {some(parts, most=5)}: one model "
                "has to learn them all, which takes more items and more characters",
            )  # fmt: skip
    if subject.stored.kind == "pairs":
        yield from _swapped(subject, written)


def _unseen(
    subject: Subject, ragged: Ragged, counts: npt.NDArray[np.int64], code: str, side: str
) -> Iterator[Finding]:
    strange = (counts[0] == 0) & (counts[1:].sum(0) > 0)
    if not strange.any():
        return
    rows = np.flatnonzero(letters.having(ragged, strange) & (subject.splits > 0))
    points = np.flatnonzero(strange)
    often = points[np.argsort(-counts[1:, points].sum(0), kind="stable")]
    held = int((subject.splits > 0).sum())
    one = len(points) == 1
    yield Finding(
        code=f"unseen_characters{code}", harm="notice", rows=tuple(rows.tolist()),
        text=f"{counted(len(points), 'character', 'characters')} of validation and test "
        f"{'is' if one else 'are'} never in train{side}, "
        f"{some([_character(point) for point in often.tolist()], most=8)}, in "
        f"{subject.many(len(rows))} ({percent(len(rows) / max(1, held))}): a tokenizer made from "
        f"train can't spell {'it' if one else 'them'}",
    )  # fmt: skip


def _swapped(
    subject: Subject, written: dict[str, tuple[list[str], Rows, int]]
) -> Iterator[Finding]:
    """Pairs whose sides are in each other's script."""
    if len(written) < 2:
        return
    (ours, source, left), (theirs, target, right) = written.values()
    if ours[left] == theirs[right] or theirs[right] not in ours or ours[left] not in theirs:
        return
    swapped = (source == ours.index(theirs[right])) & (target == theirs.index(ours[left]))
    yield from subject.spoiled(
        "swapped", swapped, "has source and target the wrong way round",
        "have source and target the wrong way round",
        f"the source is in {theirs[right]} letters and the target in {ours[left]}, the other way "
        "than usual, and the model would learn both directions at once",
    )  # fmt: skip


def pairs(subject: Subject) -> Iterator[Finding]:
    if subject.stored.kind != "pairs":
        return
    source, target = (subject.stored.ragged(name) for name in PARTS["pairs"])
    one, other = ragged_keys(source), ragged_keys(target)
    yield from subject.spoiled(
        "untranslated", one == other, "has the same source and target",
        "have the same source and target",
        "the model learns to copy what it should change", "notice",
    )  # fmt: skip
    first = first_of(one, subject.here)
    firsts = np.where(subject.here, other[first], 0)
    several = np.unique(first[subject.here & (other != firsts)])
    rows = np.flatnonzero(subject.here & np.isin(first, several))
    if len(rows):
        rows = rows[np.lexsort((rows, first[rows]))]
        yield subject.finding(
            "several_targets", "notice", rows, "share a source but not the target",
            "share a source but not the target",
            "each may be right, but the model can give only one answer",
        )  # fmt: skip


def _character(point: int) -> str:
    """“ß”, or U+200B for what can't be seen."""
    character = chr(point)
    visible = unicodedata.category(character)[0] not in "CZM"
    return f"“{character}”" if visible else f"U+{point:04X}"
