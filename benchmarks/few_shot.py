"""Characters told by one example each, after a few alphabets of others: Omniglot.

Lake, Salakhutdinov & Tenenbaum 2015: 105×105 drawings, 20 of each character by 20 people. The small
background set is five alphabets; the 20 runs are of ten others, 20 characters of an alphabet each.
"""

from __future__ import annotations

import csv
import io
import statistics
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from PIL import Image, ImageOps

from benchmarks import Options, Result
from engine import session
from engine.catalog import discover
from engine.data.imports import bring_in
from engine.data.options import ImportOptions
from engine.events import Finished
from engine.home import Home
from engine.recipe import Recipe, compose

SIDE, INK = 42, 36
"""Pixels of a picture, and of those the longer side of what is drawn on it."""
DRAWN = 105
"""Pixels of the drawings themselves."""
LARGEST = 4
"""Times that a dot is enlarged at most."""
VIEWS = 20
"""Of each picture, averaged."""
BLOCKS = 5
"""Of the network: they leave one place of such a picture."""
SEEDS = (0, 1, 2)
LEARN: dict[str, Any] = {
    "model.blocks": BLOCKS, "data.shift": 0, "data.flip": False, "task.turns": True,
    "task.distortion": 1.0,
    "task.together": False, "task.validation": 0.07, "task.way": 40,
    "task.shots": 1, "task.queries": 4, "task.test_way": 20, "method.epochs": 15,
    "task.episodes": 100, "method.learning_rate": 6e-3,
}  # fmt: skip
"""What differs from the defaults. Chosen with alphabets of the background, never with the runs."""

Rows = list[tuple[str, str, bytes]]
"""Class, split where it has one, and PNG."""


def characters(archive: Path) -> Rows:
    """Every drawing, with its class as Greek/character01."""
    with zipfile.ZipFile(archive) as source:
        names = sorted(name for name in source.namelist() if name.endswith(".png"))
        return [
            ("/".join(name.split("/")[-3:-1]), "", centred(source.read(name))) for name in names
        ]  # fmt: skip


def centred(png: bytes) -> bytes:
    """The drawing in the middle and equally large, as the digits of MNIST are (LeCun et al. 1998):
    where on its sheet a letter was drawn, and how large, says nothing of it."""
    with Image.open(io.BytesIO(png)) as picture:
        ink = ImageOps.invert(picture.convert("L"))
    left, top, right, bottom = ink.point(lambda grey: 255 * (grey > 127)).getbbox() or (
        0, 0, *ink.size
    )  # fmt: skip
    half = max(right - left, bottom - top, DRAWN / LARGEST) * SIDE / INK / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    # First larger, so that thin strokes keep their grey when it becomes small.
    large = ink.transform(
        (4 * SIDE, 4 * SIDE), Image.Transform.EXTENT, (x - half, y - half, x + half, y + half),
        Image.Resampling.BILINEAR,
    )  # fmt: skip
    out = io.BytesIO()
    ImageOps.invert(large.resize((SIDE, SIDE), Image.Resampling.BOX)).save(out, "PNG")
    return out.getvalue()


def packed(rows: Rows, into: Path) -> Path:
    """An archive of pictures with a table of their classes and splits: rows (class, split, PNG)."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "label", "split"])
    with zipfile.ZipFile(into, "w") as out:
        for number, (label, split, png) in enumerate(rows):
            name = f"{number:05}.png"
            out.writestr(name, png)
            writer.writerow([name, label, split])
        out.writestr("pictures.csv", table.getvalue())
    return into


def brought_in(home: Home, number: int, rows: Rows) -> int:
    """The number of the dataset that was imported from these rows."""
    with tempfile.TemporaryDirectory() as folder:
        archive = packed(rows, Path(folder, "pictures.zip"))
        # Without splits of their own all are there to learn from: the task keeps classes aside.
        split: Literal["given", "none"] = "given" if any(row[1] for row in rows) else "none"
        options = ImportOptions(size=SIDE, split=split)
        for _ in bring_in(archive, home.dataset(number), kind="images", options=options):
            pass
    return number


def carried_out(home: Home, number: int, recipe: Recipe) -> dict[str, Any]:
    """What a run measured."""
    *_, last = session.run(recipe, home, number)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    return last.metrics


def learned(home: Home, number: int, data: int, seed: int, **changed: Any) -> dict[str, Any]:
    """A prototypical network of that dataset's characters, as a run of that number."""
    return carried_out(home, number, compose(
        discover(), names={"task": "PrototypicalNetwork", "data": "ImportedImages",
                           "model": "EmbeddingConvNet"},
        settings={"data.id": data, **LEARN, **changed}, seed=seed,
    ))  # fmt: skip


def one_shot_runs(archive: Path) -> Iterator[Rows]:
    """Lake's runs: 20 pictures to learn from, one a class, and 20 to tell."""
    with zipfile.ZipFile(archive) as source:
        for name in sorted(source.namelist()):
            if not name.endswith("class_labels.txt"):
                continue
            rows, seen = [], {}
            for line in source.read(name).decode().splitlines():
                item, example = line.split()
                seen[example] = Path(example).stem
                rows.append((Path(example).stem, "test", centred(source.read(item))))
            yield [
                (label, "train", centred(source.read(file)))
                for file, label in sorted(seen.items())
            ] + rows  # fmt: skip


def omniglot_runs(options: Options) -> Result:
    """One example each of 20 characters, after five other alphabets: error of Lake's 20 runs."""
    background = characters(options.file("omniglot", "images_background_small1.zip"))
    runs = list(one_shot_runs(options.file("omniglot", "all_runs.zip")))
    errors: list[float] = []
    peak, seconds = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder))
        brought_in(home, 1, background)
        asked = [brought_in(home, 100 + number, rows) for number, rows in enumerate(runs)]
        for seed in SEEDS:
            number = 1000 * (1 + seed)
            # Two of the background's characters are for a test that nobody asks for.
            metrics = learned(home, number, 1, seed,
                              **{"task.test": 0.02, "task.class_seed": seed})  # fmt: skip
            peak, seconds = max(peak, metrics["peak_memory"]), max(seconds, metrics["seconds"])
            shares = [told(home, number, number + run - 99, run) for run in asked]
            errors.append(1 - statistics.mean(shares))
    spread = statistics.stdev(errors)
    return Result(
        value=statistics.mean(errors), unit="error", reach=0.20, larger_is_better=False,
        peak_mb=peak / 2**20,
        note=f"seeds {', '.join(f'{e:.3f}' for e in errors)}, standard deviation {spread:.3f}; "
             f"{seconds:.0f} s of training a seed",
    )  # fmt: skip


def told(home: Home, start: int, number: int, data: int) -> float:
    """The accuracy of prototypes of a dataset's examples over what run `start` has learned."""
    recipe = compose(
        discover(), names={"task": "Classification", "data": "ImportedImages",
                           "model": "EmbeddingConvNet", "method": "Prototypes"},
        settings={"data.id": data, "model.blocks": BLOCKS, "method.views": VIEWS}, start=start,
    )  # fmt: skip
    return float(carried_out(home, number, recipe)["test/accuracy"])


def omniglot_5way(options: Options) -> Result:
    """Trained on four alphabets, asked about the fifth, each in turn: 5-way 1-shot accuracy."""
    background = characters(options.file("omniglot", "images_background_small1.zip"))
    found: dict[str, float] = {}
    peak, seconds = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder))
        data = brought_in(home, 1, background)
        alphabets = sorted({label.split("/")[0] for label, *_ in background})
        for number, alphabet in enumerate(alphabets, 1):
            metrics = learned(home, number, data, 0,
                              **{"task.tested": alphabet, "task.test_way": 5,
                                 "task.views": VIEWS, "method.epochs": 6})  # fmt: skip
            found[alphabet] = metrics["test/accuracy"]
            peak, seconds = max(peak, metrics["peak_memory"]), max(seconds, metrics["seconds"])
    listed = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    return Result(
        value=statistics.mean(found.values()), unit="test/accuracy", reach=0.93,
        larger_is_better=True, peak_mb=peak / 2**20,
        note=f"{listed}; {seconds:.0f} s of training each at most",
    )  # fmt: skip
