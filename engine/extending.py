"""A dataset with more to learn from: pictures that a run has drawn, or texts that two runs have
translated there and back.

What a person brought in is never changed: the items become those of a new dataset, and what was
made is added to its training split, marked as synthetic.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, TypeAdapter, ValidationError

from engine.catalog import BadInput, Frozen, discover
from engine.data.arrays import Items, RaggedWriter, Stored
from engine.data.batches import Batch
from engine.data.imports import Imported, ImportOptions, Step, bring_in
from engine.data.items import Images
from engine.data.options import step
from engine.data.splits import SPLITS, Rows
from engine.data.upgrade import upgraded
from engine.home import Home
from engine.predict import Predictor
from engine.recipe import Recipe

MOST = 20_000
"""Items that are made at once."""
AT_ONCE = 64
TRIES = 20
"""So many times as many pictures are drawn at most, where only some are sure enough."""


class Draw(Frozen):
    """Pictures that a run has drawn, which has learned to from this dataset."""

    do: Literal["draw"] = "draw"
    dataset: int
    version: int
    run: int
    count: Annotated[int, Field(ge=1, le=MOST)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    labelled_by: int | None = None
    """A run that tells the classes apart: what is drawn has none by itself."""
    sure: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Only what that run gives such a probability at least is taken."""


class BackTranslate(Frozen):
    """Training texts as two runs say them, one translating there and the other back (Sennrich et
    al. 2016)."""

    do: Literal["back-translate"] = "back-translate"
    dataset: int
    version: int
    there: int
    back: int
    count: Annotated[int, Field(ge=1, le=MOST)]
    """Of so many training texts at most, drawn at random."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


Extension = Annotated[Draw | BackTranslate, Field(discriminator="do")]
_EXTENSION: TypeAdapter[Extension] = TypeAdapter(Extension)


def extended(said: Mapping[str, Any], into: Path, home: Home) -> Iterator[Step | Imported]:
    """Carry an extension out, given as JSON values, as `bring_in` does an import: into the new
    folder `into`. BadInput says what stands in its way."""
    try:
        wanted = _EXTENSION.validate_python(said)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"][1:])) or "do"
        raise BadInput(f"This can't be added: {where}: {first['msg']}") from None
    discover()
    folder = upgraded(home.dataset(wanted.dataset))
    stored = Stored(folder, wanted.version)

    def read(
        sources: Sequence[Path], partial: Path, scratch: Path, options: ImportOptions
    ) -> Generator[Step, None, Items]:
        if isinstance(wanted, Draw):
            return (yield from _drawn(wanted, stored, partial, home))
        return (yield from _translated(wanted, stored, partial, home))

    options = stored.manifest.options.model_copy(update={"group": None, "split": "given"})
    return bring_in(
        folder, into, kind=stored.kind, options=options, read=read,
        licence=stored.manifest.licence, called=f"dataset {wanted.dataset}, extended",
    )  # fmt: skip


# --- pictures -------------------------------------------------------------------------------------


def _drawn(wanted: Draw, stored: Stored, folder: Path, home: Home) -> Generator[Step, None, Items]:
    if stored.kind != "images":
        raise BadInput("Only pictures can be drawn: this dataset holds something else")
    drawer = asked(home, wanted.run)
    if drawer.setup.data.shape != stored.shape or learned_from(home, wanted.run) != wanted.dataset:
        raise BadInput(
            f"Run {wanted.run} hasn't learned from dataset {wanted.dataset}: choose a run that "
            "draws pictures like these", field="run",
        )  # fmt: skip
    draws = getattr(drawer.setup.model, "generate", None)
    if draws is None:
        raise BadInput(
            f"Run {wanted.run} draws nothing: choose one of a variational autoencoder or a DCGAN",
            field="run",
        )
    teller = _teller(wanted, stored, home)
    lots = torch.Generator().manual_seed(wanted.seed)
    pixels: list[npt.NDArray[np.uint8]] = []
    labels: list[str] = []
    seen = 0
    while len(pixels) < wanted.count and seen < TRIES * wanted.count:
        with torch.inference_mode():
            images = draws(AT_ONCE, lots).clamp(0, 1)
        some = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        said = [("", 1.0)] * len(some) if teller is None else _told(teller, some)
        for picture, (label, sure) in zip(some, said, strict=True):
            if sure >= (wanted.sure if teller else 0) and len(pixels) < wanted.count:
                pixels.append(picture)
                labels.append(label)
        seen += len(some)
        yield step(0.9 * len(pixels) / wanted.count, f"{len(pixels):,} drawn of {seen:,}")
    if not pixels:
        raise BadInput(
            f"Of {seen:,} drawn pictures run {wanted.labelled_by} is {wanted.sure:.0%} sure of "
            "none: ask for less", field="sure",
        )  # fmt: skip
    rows = np.flatnonzero(stored.splits >= 0)
    made = np.stack(pixels)
    images_file = np.lib.format.open_memmap(
        folder / "images.npy", mode="w+", dtype=np.uint8,
        shape=(len(rows) + len(made), *stored.shape),
    )  # fmt: skip
    for at in range(0, len(rows), 1024):
        images_file[at : at + 1024][: len(rows) - at] = stored.images[rows[at : at + 1024]]
    images_file[len(rows) :] = made
    images_file.flush()
    if stored.sizes is not None:
        own = np.full((len(made), 2), stored.shape[1::-1], np.int64)
        np.save(folder / "sizes.npy", np.concatenate([stored.sizes[rows], own]))
    items = _items(stored, rows, wanted, labels, f"drawn by run {wanted.run}")
    if len(made) < wanted.count:
        items.warnings.append(
            f"Only {len(made):,} of {seen:,} drawn pictures were sure enough to be taken"
        )
    return items


def _teller(wanted: Draw, stored: Stored, home: Home) -> Predictor | None:
    """What labels the drawn pictures; None where they need no label."""
    if not stored.classes:
        if wanted.labelled_by is not None:
            raise BadInput("This dataset has no classes: leave out who labels what is drawn",
                           field="labelled_by")  # fmt: skip
        return None
    if wanted.labelled_by is None:
        raise BadInput(
            "The items of this dataset have classes, and what is drawn has none: name a run that "
            "tells them apart, and how sure it must be", field="labelled_by",
        )  # fmt: skip
    teller = asked(home, wanted.labelled_by)
    data = teller.setup.data
    same = isinstance(data.items, Images) and data.shape == stored.shape
    if not same or set(data.classes) != set(stored.classes):
        raise BadInput(
            f"Run {wanted.labelled_by} doesn't tell the classes of this dataset apart: choose a "
            "classification run of it", field="labelled_by",
        )  # fmt: skip
    return teller


def _told(teller: Predictor, pixels: npt.NDArray[np.uint8]) -> list[tuple[str, float]]:
    """The most probable class of each picture (B, H, W, C), and its probability."""
    inputs = Images(pixels).gather(np.arange(len(pixels)), torch.device("cpu"), None)
    with torch.inference_mode():
        shown = teller.setup.task.show(
            teller.setup.model, Batch(inputs), teller.setup.data
        )  # fmt: skip
    best = [max(one["classes"], key=lambda found: found["probability"]) for one in shown]
    return [(one["label"], one["probability"]) for one in best]


# --- texts ----------------------------------------------------------------------------------------


def _translated(
    wanted: BackTranslate, stored: Stored, folder: Path, home: Home
) -> Generator[Step, None, Items]:
    if stored.kind != "text" or stored.manifest.running:
        raise BadInput("Only texts that stand for themselves are translated there and back: this "
                       "dataset holds something else")  # fmt: skip
    there, back = asked(home, wanted.there), asked(home, wanted.back)
    for run, field in ((there, "there"), (back, "back")):
        if getattr(run.setup.task, "written", "") != "translation":
            raise BadInput(f"Run {run.run} doesn't translate: choose a translation run",
                           field=field)  # fmt: skip
    texts = stored.ragged("text")
    learned = np.flatnonzero((stored.splits == SPLITS.index("train")) & ~stored.synthetic)
    chosen = np.random.default_rng(wanted.seed).permutation(learned)[: wanted.count]
    made: list[str] = []
    labels: list[str] = []
    for done, row in enumerate(np.sort(chosen).tolist(), 1):
        text = texts.text(row)
        other = _translation(back, _translation(there, text))
        if other.strip() and other.strip() != text.strip():
            made.append(other)
            if stored.labels is not None:
                labels.append(stored.classes[int(stored.labels[row])])
        yield step(0.9 * done / len(chosen), f"{done:,} texts translated there and back")
    if not made:
        raise BadInput("Every text came back as it was, or empty: there is nothing to add")
    rows = np.flatnonzero(stored.splits >= 0)
    with RaggedWriter(folder, "text") as out:
        for row in rows.tolist():
            out.add(texts[row])
        for text in made:
            out.add_text(text)
    said = f"translated by runs {wanted.there} and {wanted.back}"
    return _items(stored, rows, wanted, labels or [""] * len(made), said)


def _translation(run: Predictor, text: str) -> str:
    (result,) = run.answer([{"text": text}])["results"]
    return str(result["written"])


# --- both -----------------------------------------------------------------------------------------


def asked(home: Home, run: int) -> Predictor:
    """A run with its best weights. BadInput when it has kept none."""
    try:
        found = Predictor(home, run)
    except OSError:
        raise BadInput(f"There is no run {run} with kept weights", field="run") from None
    found.refresh()
    return found


def learned_from(home: Home, run: int) -> object:
    """The number of the imported dataset that a run has learned from; None for another one."""
    recipe = Recipe.from_json((home.run(run) / "recipe.json").read_text("utf-8"))
    return recipe.data.settings.get("id")


def _items(stored: Stored, rows: Rows, wanted: Frozen, labels: Sequence[str], said: str) -> Items:
    """The items of `rows` and behind them the made ones, which are `said` to be."""
    count = len(labels)
    groups = {
        column: [*(values[row] for row in rows.tolist()), *[said] * count]
        for column in stored.manifest.groups for values in [stored.group(column)]
    }  # fmt: skip
    own = None if stored.labels is None else \
        [stored.classes[code] for code in stored.labels[rows].tolist()]  # fmt: skip
    digest = hashlib.sha256(json.dumps([stored.version.fingerprint, wanted.model_dump()]).encode())
    return Items(
        kind=stored.kind, fingerprint=digest.hexdigest(),
        names=[*(stored.names[row] for row in rows.tolist()),
               *(f"{said}, {number}" for number in range(1, count + 1))],
        labels=None if own is None else [*own, *labels],
        splits=[*(SPLITS[code] for code in stored.splits[rows].tolist()),
                *(SPLITS[0] for _ in range(count))],
        groups=groups, shape=stored.shape, columns=stored.manifest.columns,
        synthetic=np.concatenate([stored.synthetic[rows], np.ones(count, bool)]),
    )  # fmt: skip
