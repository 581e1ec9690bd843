"""A run's model in a form that can be taken away, kept with the run under ``exports/``."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.catalog import BadInput, Card, Catalog, chosen
from engine.exports import Export
from engine.exports.leaving import Leaving, written
from engine.home import Home, replacing
from engine.predict import Predictor
from engine.progress import Answer, progress
from engine.recipe import Recipe


def offered(recipe: Recipe, catalog: Catalog) -> list[tuple[Card, str]]:
    """Every form, with why a run of this recipe hasn't got it; empty where it has."""
    return list(catalog.exports(recipe.cards(catalog)))


def export(
    predictor: Predictor, catalog: Catalog, name: str, *,
    portrait: Mapping[str, Any] | None = None, out: Path | None = None,
) -> Answer:  # fmt: skip
    """Make the run's best model so far into the form of that name, whole or not at all.

    It is kept with the run as one file, several packed into a ZIP; with `out`, its files go into
    that folder instead. What is returned is also kept beside it: ``{"format", "label", "step",
    "made": seconds since 1970, "file", "bytes", "facts"}``, and the ``"temperature"`` at which the
    run was asked, where the form says it. `portrait` is what is remembered of the run. BadInput
    where it can't be had, or answers otherwise than the model.
    """
    predictor.refresh()
    assert predictor.entry is not None
    for card, otherwise in offered(predictor.setup.recipe, catalog):
        if card.name == name and otherwise:
            raise BadInput(otherwise)
    card = catalog.card("export", name)
    form: type[Export] = chosen("export", name)
    leaving = Leaving(predictor, portrait or {})
    place = exports(predictor.home, predictor.run) if out is None else out
    place.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=place, prefix=".making."))
    try:
        for done, doing in enumerate(form().make(leaving, partial)):
            yield progress(done, form.stages, doing=doing)
        yield progress(form.stages, form.stages, doing="")
        told = {
            "format": name, "label": card.label, "step": predictor.entry.step, "made": time.time(),
            "facts": leaving.facts,
        }  # fmt: skip
        if form.calibrated:
            told["temperature"] = leaving.setup.task.temperature
        if out is not None:
            return told | {"folder": str(out), "files": moved(partial, out)}
        # What was made before is gone from the list before its file is another's.
        (place / f"{name}.json").unlink(missing_ok=True)
        file = kept(partial, place, f"{leaving.name}-{name}")
        told |= {"file": file.name, "bytes": file.stat().st_size}
        with replacing(place / f"{name}.json") as beside:
            written(beside, told)
        return told
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def exports(home: Home, run: int) -> Path:
    """Where a run's are kept."""
    return home.run(run) / "exports"


def known(home: Home, run: int) -> list[dict[str, Any]]:
    """What has been made of a run, as it was told then."""
    found = []
    for path in sorted(exports(home, run).glob("*.json")):
        told = json.loads(path.read_text("utf-8"))
        if (path.parent / told["file"]).is_file():
            found.append(told)
    return found


def kept(folder: Path, place: Path, name: str) -> Path:
    """The one file of the folder, or all of them in a ZIP, moved to its place."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(files) == 1:
        target = place / f"{name}{files[0].suffix}"
        files[0].replace(target)
        return target
    target = place / f"{name}.zip"
    # Weights hardly get smaller (to 93 %), but with 70 % of zeros, as after pruning, to 40 %. The
    # usual level came to 36 %, and took twice as long; this one does 20–45 MB a second.
    with (
        replacing(target) as beside,
        zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
    ):
        for path in files:
            packed.write(path, Path(name) / path.relative_to(folder))
    return target


def moved(folder: Path, place: Path) -> list[str]:
    """Every file of the folder, moved to the same place in the other."""
    names = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        target = place / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        names.append(str(path.relative_to(folder)))
    return names
