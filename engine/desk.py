"""Answers the pages' questions, one at a time: the far end of `engine.answers`."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from engine import session
from engine.catalog import BadInput, Catalog, discover
from engine.data.batches import Images, Sequences
from engine.data.splits import SPLITS
from engine.device import is_out_of_memory
from engine.estimate import estimate
from engine.home import Home
from engine.pictures import png
from engine.predict import Predictor
from engine.recipe import Choice, Recipe

KEPT = 4
"""Models kept in memory for the next prediction."""


class Desk:
    """What can be asked, a method each."""

    def __init__(self, home: Home, catalog: Catalog) -> None:
        self.home, self.catalog = home, catalog
        self.predictors: dict[int, Predictor] = {}

    def predict(self, *, run: int, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Answers of the run's best checkpoint so far."""
        if run not in self.predictors:
            while len(self.predictors) >= KEPT:
                self.predictors.pop(next(iter(self.predictors)))
            self.predictors[run] = Predictor(self.home, run)
        return self.predictors[run].answer(inputs)

    def estimate(self, *, recipe: str) -> dict[str, Any]:
        """Size and time of a recipe."""
        return estimate(Recipe.from_json(recipe).checked(self.catalog), self.home)

    def preview(self, *, data: dict[str, Any], count: int = 24) -> dict[str, Any]:
        """What a dataset looks like: some items of each class, and how many there are."""
        choice = Choice.model_validate(data)
        card = self.catalog.card("data", choice.name)
        opened = session.open_choice(
            Choice(name=card.name, settings=card.check(choice.settings)), self.home
        )
        rows = opened.splits["train"]
        labels = opened.labels
        if labels is not None:  # as many of each class as there is room for, class after class
            by_class = [rows[labels[rows] == c] for c in range(len(opened.classes))]
            turns = [
                group[turn] for turn in range(count) for group in by_class if turn < len(group)
            ]
            rows = np.array(turns[:count], np.int64)
        items = []
        for row in rows[:count].tolist():
            label = "" if labels is None else opened.classes[int(labels[row])]
            items.append({"label": label, **shown(opened.items, row)})
        return {
            "provides": sorted(card.provides), "shape": list(opened.shape),
            "classes": list(opened.classes),
            "counts": {split: opened.counts(split) for split in SPLITS},
            "samples": {"kind": "images" if isinstance(opened.items, Images) else "sequences",
                        "items": items},
            "fingerprint": opened.fingerprint, "licence": opened.licence,
            "source": opened.source, "help": card.help,
        }  # fmt: skip


def shown(items: Images | Sequences, row: int) -> dict[str, Any]:
    """One item for the page."""
    if isinstance(items, Images):
        pixels = np.ascontiguousarray(items.pixels[row])
        return {"png": png(torch.from_numpy(pixels).permute(2, 0, 1) / 255)}
    steps = items[row]
    every = max(len(steps) // 200, 1)  # a thumbnail has no room for more
    return {"values": steps[::every, :8].astype(float).round(4).tolist(), "steps": len(steps)}


def serve(home: Home) -> None:
    """Read questions from standard input until it ends; write answers to standard output."""
    # Whatever a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    desk = Desk(home, discover())
    known: dict[str, Callable[..., dict[str, Any]]] = {
        "predict": desk.predict, "estimate": desk.estimate, "preview": desk.preview,
    }  # fmt: skip
    for line in sys.stdin:
        asked = json.loads(line)
        question = asked.pop("question")
        reply: dict[str, Any]
        try:
            reply = {"answer": known[question](**asked)}
        except BadInput as problem:
            reply = {"problem": str(problem), "field": problem.field, "defect": False}
        except Exception as problem:
            reply = {"problem": f"This could not be computed: {type(problem).__name__}: {problem}",
                     "field": None, "defect": True}  # fmt: skip
            if is_out_of_memory(problem):
                reply = {"problem": "Out of memory: take a smaller batch size or model",
                         "field": "method.batch_size", "defect": False}  # fmt: skip
            traceback.print_exc()
        answers.write(json.dumps(reply) + "\n")
