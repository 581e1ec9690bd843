"""A dataset with items that models have made: marked, and only to learn from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine import extending, look
from engine.catalog import BadInput
from engine.data import versions
from engine.data.arrays import Stored
from engine.data.batches import Batch
from engine.data.imports import bring_in
from engine.data.items import Images
from engine.datasets import imported
from engine.home import Home


@pytest.fixture
def digits(home: Home, tmp_path: Path) -> int:
    """200 of the 8×8 digits of two classes, brought in as dataset 1."""
    from sklearn.datasets import load_digits

    known = load_digits()
    some = np.flatnonzero(known.target < 2)[:200]
    path = tmp_path / "digits.npz"
    images = (known.images[some] * 15.9375).astype(np.uint8)
    np.savez(path, images=images, labels=known.target[some])
    list(bring_in([path], home.dataset(1), kind="images"))
    return 1


def extended(home: Home, into: int, **said: Any) -> Stored:
    list(extending.extended({"version": 1, **said}, home.dataset(into), home))
    return Stored(home.dataset(into))


class Drawer:
    """In the place of a run: it draws a bright half, and tells by it which class that is."""

    def __init__(self, stored: Stored, run: int) -> None:
        model: Any = object() if run == 2 else self
        data = SimpleNamespace(shape=stored.shape, items=Images(stored.images[:1]),
                               classes=stored.classes if run == 2 else ())  # fmt: skip
        self.run = run
        self.setup = SimpleNamespace(model=model, task=self, data=data)

    def generate(self, count: int, lots: torch.Generator) -> torch.Tensor:
        halves = torch.rand(count, 1, 1, 1, generator=lots) < 0.5
        return torch.where(halves, 0.9, 0.1).expand(count, 1, 8, 8)

    def show(self, model: Any, batch: Batch, data: Any) -> list[dict[str, Any]]:
        bright = batch.inputs["images"].mean((1, 2, 3)) > 0.5
        return [{"classes": [{"label": "1", "probability": 0.95 if one else 0.05},
                             {"label": "0", "probability": 0.05 if one else 0.95}]}
                for one in bright.tolist()]  # fmt: skip


def test_drawn_pictures_join_the_training_split_alone_and_are_marked(
    home: Home, digits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Stored(home.dataset(digits))
    monkeypatch.setattr(extending, "asked", lambda home, run: Drawer(known, run))
    monkeypatch.setattr(extending, "learned_from", lambda home, run: digits)
    asked = {"do": "draw", "dataset": digits, "run": 1, "count": 30}
    with pytest.raises(BadInput, match="what is drawn has none"):
        extended(home, 2, **asked)
    with pytest.raises(BadInput, match="draws nothing"):
        extended(home, 2, **asked | {"run": 2, "labelled_by": 2})
    with pytest.raises(BadInput, match="tell the classes"):
        extended(home, 2, **asked, labelled_by=1)
    with pytest.raises(BadInput, match="sure of none"):
        extended(home, 2, **asked, labelled_by=2, sure=0.99)
    assert not home.dataset(2).exists()

    before, made = Stored(home.dataset(1)), extended(home, 2, **asked, labelled_by=2, sure=0.9)
    assert made.synthetic is not None
    assert int(made.synthetic.sum()) == 30
    assert len(made) == len(before) + 30
    assert (made.images[: len(before)] == before.images).all()
    assert (made.splits[: len(before)] == before.splits).all()
    assert (made.splits[made.synthetic] == 0).all()
    assert made.labels is not None
    bright = made.images[made.synthetic].mean((1, 2, 3)) > 127
    assert (made.labels[made.synthetic] == bright).all()
    shown = look.item(imported.ImportedImages(id=2).data(made), len(made) - 1, made)
    assert shown["synthetic"]
    assert shown["name"] == "drawn by run 1, 30"
    # Nothing that was made can get to where models are tested.
    with pytest.raises(BadInput, match="made by a model"):
        versions.change(made.folder, versions.Move(rows=(len(made) - 1,), split="test"), parent=1)
    divide = versions.change_of({"do": "split", "rule": {
        "how": "random", "seed": 3, "validation": 0.3, "test": 0.3,
    }})  # fmt: skip
    versions.change(made.folder, divide, parent=1)
    assert (Stored(made.folder, 2).splits[made.synthetic] == 0).all()
    # The same seed draws the same pictures.
    again = extended(home, 3, **asked, labelled_by=2, sure=0.9)
    assert (again.images == made.images).all()


def test_texts_come_back_with_their_labels(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "texts.csv"
    lines = [f"good film number {n},good" for n in range(30)]
    lines += [f"bad film number {n},bad" for n in range(30)]
    table.write_text("text,label\n" + "\n".join(lines))
    list(bring_in(table, home.dataset(1), kind="text"))

    class Run:
        def __init__(self, number: int) -> None:
            self.run = number
            self.setup = type("Setup", (), {"task": type("Task", (), {"written": "translation"})})

    monkeypatch.setattr(extending, "asked", lambda home, run: Run(run))
    monkeypatch.setattr(
        extending, "_translation",
        lambda run, text: text.upper() if run.run == 7 else text.lower().replace("film", "movie"),
    )  # fmt: skip
    made = extended(home, 2, do="back-translate", dataset=1, there=7, back=8, count=10)
    assert made.synthetic is not None
    texts, labels = made.ragged("text"), made.labels
    assert labels is not None
    rows = np.flatnonzero(made.synthetic).tolist()
    assert len(rows) == 10
    known = Stored(home.dataset(1))
    trained = {known.ragged("text").text(row) for row in known.rows("train").tolist()}
    for row in rows:
        said = texts.text(row)
        assert said.replace("movie", "film") in trained
        assert said.split()[0] == made.classes[labels[row]]
    assert made.names[rows[0]] == "translated by runs 7 and 8, 1"
    dataset = imported.ImportedText(id=2, version=1)
    assert dataset.stored(home).synthetic.tolist() == made.synthetic.tolist()
    # No text is tested on that was learned from in other words.
    train, tested = made.rows("train")[:1].tolist(), made.rows("test")[:1].tolist()
    with pytest.raises(BadInput, match="in other words"):
        versions.change(made.folder, versions.Move(rows=train, split="test"), parent=1)
    versions.change(made.folder, versions.Move(rows=tested, split="validation"), parent=1)
    divide = versions.change_of({"do": "split", "rule": {
        "how": "random", "seed": 3, "validation": 0.2, "test": 0.2,
    }})  # fmt: skip
    said = versions.change(made.folder, divide, parent=2)
    assert (Stored(made.folder, 3).splits[made.synthetic] < 0).all()
    assert "10 items that were translated left out" in str(said)
