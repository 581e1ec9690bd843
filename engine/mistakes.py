"""What a run's page shows of single items: which were told wrong, how sure it was, which labels are
doubtful. Answers that take long come with how far they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine import calibration as measures
from engine import judging, look
from engine import suspects as doubts
from engine.calibration import in_use, precisions
from engine.catalog import BadInput, Card, chosen
from engine.data.arrays import UNKNOWN, Stored
from engine.data.batches import Data
from engine.data.splits import SPLITS
from engine.data.upgrade import upgraded
from engine.datasets import Dataset
from engine.errors_in_text import compared
from engine.home import Home
from engine.judging import Judged
from engine.progress import Answer, Answering

Opened = Callable[[dict[str, Any]], tuple[Card, Data, Stored | None]]


def judged(
    home: Home, opened: Opened, *, run: int, split: str = "test", true: str | None = None,
    said: str | None = None, wrong: bool = False, threshold: dict[str, Any] | None = None,
    bin: int | None = None, rows: Sequence[int] | None = None,
    offset: int = 0, count: int = 24, today: int | None = None,
) -> Answer:  # fmt: skip
    """A page of a split's items, the worst first, as the run told them; `true`, `said`, `wrong` and
    `threshold` choose among them (`engine.judging.some`), `bin` those that it was so sure of
    (`engine.calibration.binned`), `rows` those items. `today` is the dataset's newest version,
    whose labels are named where they are others by now.

    Of a task that has nothing to say of single items, those `rows` are shown as they are."""
    if rows is not None and not _judges(home, run):
        return unjudged(home, opened, run, rows[max(offset, 0) : max(offset, 0) + count], today)
    found = yield from judging.judged(home, run, split)
    temperature = in_use(home, run)
    places = judging.some(
        found, true=true, said=said, wrong=wrong, apart=threshold, temperature=temperature
    )
    if bin is not None and found.logits is not None:
        places = places[measures.binned(found.shares(temperature))[places] == bin]
    if rows is not None:
        places = places[np.isin(found.rows[places], np.array(rows, np.int64))]
    page = places[max(offset, 0) : max(offset, 0) + count].tolist()
    told = [judging.told(found, place, temperature) for place in page]
    known = {
        "total": len(places), "of": len(found.rows), "step": found.step,
        "classes": list(found.classes), "temperature": temperature,
    }  # fmt: skip
    if told and "pieces" in told[0]:
        return known | passages(told, split)
    for one in told:
        if "written" in one:
            one["compared"] = compared(one["reference"], one["written"])
    return known | shown(home, opened, run, told, today)


def _judges(home: Home, run: int) -> bool:
    return bool(chosen("task", judging.recipe_of(home, run).task.name).card.judges)


def unjudged(
    home: Home, opened: Opened, run: int, rows: Sequence[int], today: int | None
) -> dict[str, Any]:
    """Items of a run's data of which nothing is said."""
    _, data, _ = opened(judging.recipe_of(home, run).data.model_dump())
    told = [{"row": row} for row in rows if row < len(data.items)]
    return {
        "total": len(told), "of": len(data.items), "step": None, "classes": [], "temperature": 1.0,
        **shown(home, opened, run, told, today),
    }  # fmt: skip


def passages(told: Sequence[dict[str, Any]], split: str) -> dict[str, Any]:
    """Windows of a running text, which are no items of the dataset: nothing of them is changed."""
    return {
        "kind": "text", "labels": [], "features": [], "version": None, "now_classes": [],
        "items": [
            one | {"name": str(one["row"]), "label": "", "split": split, "text": ""}
            for one in told
        ],
    }  # fmt: skip


def shown(
    home: Home, opened: Opened, run: int, told: Sequence[dict[str, Any]], today: int | None
) -> dict[str, Any]:
    """Items with what they look like, and what they are in the dataset's newest version."""
    recipe = judging.recipe_of(home, run)
    _, data, stored = opened(recipe.data.model_dump())
    newest = None
    if stored is not None and today is not None:
        newest = Stored(upgraded(stored.folder), today)
    items = []
    for one in told:
        known = look.item(data, one["row"], stored) | one
        if newest is not None:
            known["now"] = now(newest, one["row"])
        items.append(known)
    return {
        "kind": data.items.kind, "items": items, "labels": list(data.classes),
        "features": list(getattr(data.items, "names", ())),
        "version": None if stored is None else stored.version.number,
        "now_classes": list(data.classes if newest is None else newest.classes),
    }  # fmt: skip


def now(stored: Stored, row: int) -> dict[str, Any]:
    """An item's class and split in that version; no split where it was left out."""
    place = int(stored.splits[row])
    code = UNKNOWN if stored.labels is None else int(stored.labels[row])
    return {"split": SPLITS[place] if place >= 0 else None,
            "label": stored.classes[code] if code >= 0 else ""}  # fmt: skip


# --- how sure ---------------------------------------------------------------------------------


def calibration(home: Home, run: int) -> Answer:
    """The test split's calibration and the average precision of each class."""
    test = yield from judging.judged(home, run, "test")
    validation = yield from _validation(home, run)
    answer = measures.shown(home, run, test, validation)
    assert test.true is not None
    shares = test.shares(in_use(home, run))
    return answer | {
        "step": test.step, "classes": precisions(shares, test.true, test.classes),
        "fitted_on": None if validation is None else len(validation.rows),
    }  # fmt: skip


def temperature(home: Home, run: int, *, on: bool) -> Answer:
    """Fit a temperature on the validation split and use it from now on, or no longer."""
    if not on and (known := measures.temperature_of(home, run)) is not None:
        # Nothing is asked of the data, which may have been removed since.
        return measures.switched(home, run, known, on=False)
    validation = yield from _validation(home, run)
    if validation is None:
        raise BadInput("There are no validation items to fit a temperature to")
    if validation.true is None:
        raise BadInput("This run says no classes: there is nothing to be sure of")
    return measures.switched(home, run, measures.fitted(validation), on=on)


def _validation(home: Home, run: int) -> Answering[Judged | None]:
    try:
        return (yield from judging.judged(home, run, "validation"))
    except judging.Empty:
        return None


def apart(home: Home, *, run: int, name: str, split: str = "test") -> Answer:
    """A class against all others at every threshold, by the probabilities that Predict gives."""
    found = yield from judging.judged(home, run, split)
    if found.true is None:
        raise BadInput("This run says no classes: there is no threshold to set")
    which = judging.place_of(name, found.classes)
    return measures.apart(found.shares(in_use(home, run)), found.true, which)


# --- doubtful labels --------------------------------------------------------------------------


def suspects(
    home: Home, opened: Opened, *, run: int, way: str = "head", folds: int = doubts.FOLDS,
    offset: int = 0, count: int = 24, today: int | None = None,
) -> Answer:  # fmt: skip
    """A page of the items whose labels look wrong and that nobody has settled since: relabelled,
    left out, or kept."""
    found = yield from unsettled(home, run, way, folds, today)
    listed = found.pop("suspects")
    return {
        "total": len(listed), **found,
        **shown(home, opened, run, listed[offset : offset + count], today),
    }  # fmt: skip


def unsettled(home: Home, run: int, way: str, folds: int, today: int | None) -> Answer:
    """All of them without what they look like, and how many there are and seem to be."""
    found, classes = yield from suspected(home, run, way, folds)
    approved = set(doubts.approved(home, run))
    since = _since(home, run, today)
    told = [doubts.told(found, place, classes) for place in range(len(found.rows))]
    return {
        "suspects": [
            one for one in told
            if one["row"] not in approved
            and not (since and _settled(*since, one["row"], one["given"], one["suggested"]))
        ],
        "suspected": len(found.rows), "kept": len(approved), "estimated": found.estimated,
        "way": way, "folds": folds,
    }  # fmt: skip


def suspected(
    home: Home, run: int, way: str, folds: int = doubts.FOLDS
) -> Answering[tuple[doubts.Suspects, tuple[str, ...]]]:
    """All of them, and what the classes are called."""
    if way not in doubts.WAYS:
        raise BadInput(f"There is no way {way!r} to find wrong labels")
    held = yield from doubts.held_out(home, run, way, folds)  # type: ignore[arg-type]
    assert held.true is not None
    return doubts.suspected(held.rows, held.shares(), held.true), held.classes


def _since(home: Home, run: int, today: int | None) -> tuple[Stored, dict[str, str]] | None:
    """The run's dataset in the version of `today`, and what the run's classes are called there,
    as far as they are; None where it has no versions."""
    recipe = judging.recipe_of(home, run)
    dataset: Dataset = chosen("data", recipe.data.name)(**recipe.data.settings)
    before = None if today is None else dataset.stored(home)
    if before is None:
        return None
    newest = Stored(before.folder, today)
    called: dict[str, str] = {}
    if before.labels is not None and newest.labels is not None:
        # A class that was renamed or merged took its items along, whatever became of a few.
        known = (before.labels >= 0) & (newest.labels >= 0)
        both = before.labels[known] * len(newest.classes) + newest.labels[known]
        pairs, counts = np.unique(both, return_counts=True)
        for pair in pairs[np.lexsort((-pairs, counts))].tolist():  # what most became comes last
            old, new = divmod(pair, len(newest.classes))
            called[before.classes[old]] = newest.classes[new]
    return newest, called


def _settled(newest: Stored, called: dict[str, str], row: int, given: str, suggested: str) -> bool:
    """Whether an item was left out or relabelled by itself, or its two classes have become one."""
    said = now(newest, row)
    own, other = (called.get(name, name) for name in (given, suggested))
    return said["split"] is None or said["label"] != own or own == other


def approve(home: Home, run: int, rows: Sequence[int], *, back: bool = False) -> list[int]:
    """Keep the labels of these items, or suspect them again."""
    return doubts.approve(home, run, rows, back=back)
