"""The weights, and all that is needed to build their model again."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch

from engine.exports import Export
from engine.exports.leaving import Leaving, written

LOADER = '''\
"""Loads the model beside this file: run it in Anneal's folder, or with that on PYTHONPATH."""
import json, pathlib, safetensors.torch
from engine import catalog, checkpoint, home, recipe, session
from engine.data.outlines import without_items

here = pathlib.Path(__file__).resolve().parent
catalog.discover()
outline = json.loads((here / "data.json").read_text("utf-8"))
made = recipe.Recipe.from_json((here / "recipe.json").read_text("utf-8"))
data, blueprint = without_items(outline), outline["blueprint"]
setup = session.make(made, home.Home(here), data=data, blueprint=blueprint)
checkpoint.load_weights(setup.model, safetensors.torch.load_file(here / "model.safetensors"))
model = setup.model.eval()  # takes images, tokens and lengths, or values and lengths
'''


class Weights(Export, label="Weights (safetensors)", fits={"any"}, rank=10):
    """The tensors by name, the recipe that built their network, labels, and a loader.

    Any program reads the file of tensors; the loader builds the model with Anneal's own code.
    """

    stages = 2

    def make(self, leaving: Leaving, folder: Path) -> Iterator[str]:
        yield "Writing the weights"
        # Not the model's, which computes in float32 whatever the run keeps. Clones: what shares
        # memory isn't written.
        tensors = {name: one.contiguous().clone() for name, one in leaving.kept.items()}
        safetensors.torch.save_file(
            tensors, folder / "model.safetensors", metadata={"format": "pt"}
        )
        yield "Writing what belongs to them"
        written(folder / "recipe.json", json.loads(leaving.setup.recipe.to_json()))
        written(folder / "data.json", {"blueprint": ""} | leaving.outline)
        if leaving.outline.get("tokenizer"):
            (folder / "tokenizer.json").write_text(leaving.outline["tokenizer"], encoding="utf-8")
        written(folder / "about.json", about(leaving))
        (folder / "load.py").write_text(LOADER, encoding="utf-8")
        (folder / "README.md").write_text(readme(leaving), encoding="utf-8")
        leaving.facts |= {"tensors": len(tensors),
                          "parameters": leaving.setup.model.parameter_count()}  # fmt: skip


def about(leaving: Leaving) -> dict[str, Any]:
    """What a reader of the tensors wants to know: labels, shapes, what its inputs are scaled by."""
    setup, outline = leaving.setup, leaving.outline
    scale = {name: one.tolist() for name, one in setup.model.state_dict().items()
             if name.endswith(("standardize.mean", "standardize.std"))}  # fmt: skip
    return {
        "run": leaving.run, "task": setup.task.card.label, "model": setup.model.card.label,
        "kind": outline["kind"], "shape": list(setup.data.shape),
        "labels": list(setup.task.classes(setup.data)), "normalization": scale,
        "temperature": setup.task.temperature,
    }  # fmt: skip


def readme(leaving: Leaving) -> str:
    card = leaving.setup.model.card
    return inspect.cleandoc(f"""
        # Run {leaving.run}: {card.label}

        - `model.safetensors`: the weights, by name; the numbers that inputs are scaled by are
          among them
        - `recipe.json`: the settings of task, data, model and method
        - `data.json`: what the model must know of its data, as Anneal keeps it
        - `about.json`: labels, the shape of an item and the scaling, for people
        - `tokenizer.json`, for texts: read by the `tokenizers` library
        - `load.py`: builds the model again; run it in Anneal's folder

        Pictures are fed as numbers in 0…1, channels first; sequences in the units of the data. All
        else is done by the model itself.
    """) + "\n"  # fmt: skip
