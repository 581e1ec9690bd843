"""What the pages are given in tests: a small catalogue, and answers that nobody computes."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
import time
import wave
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.batchfile import texts_in
from engine.catalog import Augments, BadInput, Card, Catalog, Device, Field, Only, Range
from engine.comparisons import ComparisonPlan
from engine.recipe import Amount
from gui.shell import Anneal, Served, serve
from storage.history import History

# The smallest PNG: one black pixel.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)

# And a white one.
WHITE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)


LIMIT = 64 * 2**20

PORT = 18000 + 200 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Where servers begin to look for a port: tests that run side by side don't race for the same."""


def catalog() -> Catalog:
    """A few tasks, datasets and models, and one method."""
    widths = Field(name="widths", label="Widths", help="Units of each layer.", type="ints",
                   default=[32, 16], range=Range(1, 1024))  # fmt: skip
    dropout = Field(name="dropout", label="Dropout", help="Left out at random.", type="float",
                    default=0.0, range=Range(0, 0.9))  # fmt: skip
    flip = Field(name="flip", label="Mirror", help="Mirrors at random.", type="bool", default=False,
                 augments=Augments(off=False))  # fmt: skip
    mixup = Field(name="mixup", label="MixUp", help="Blends two.", type="float", default=0.0,
                  range=Range(0, 4, 0.1), augments=Augments(0.0, "shares"))  # fmt: skip
    number = Field(name="id", label="Dataset", type="int", required=True, hidden=True)
    version = Field(name="version", label="Version", type="int", default=1, hidden=True)
    cards = (
        Card(kind="task", name="Classification", label="Classification", help="Tells apart.",
             needs={"label"}, fits={"logits"}, augments={"items", "label", "shares"},
             fields=(Field(name="label_smoothing", label="Label smoothing", help="Softer targets.",
                           type="float", default=0.0, range=Range(0, 0.5, 0.01), advanced=True),)),
        Card(kind="task", name="Reconstruction", label="Reconstruction", help="Draws it again.",
             fits={"reconstruction"}),
        Card(kind="task", name="Invention", label="Invention", help="Draws what never was.",
             needs={"image"}, fits={"reconstruction"}, invents=True, rank=90),
        Card(kind="task", name="Writing", label="Language modelling", help="Writes on.",
             needs={"text"}, fits={"next token"}, streams=True, rank=60, tries=(
                 Field(name="temperature", label="Temperature", help="Higher is bolder.",
                       type="float", default=0.8, range=Range(0, 2, 0.1)),
                 Field(name="top_k", label="Top k", help="Of so many tokens.", type="int",
                       default=None, optional=True, empty="all", range=Range(1, 1000)),
             )),
        Card(kind="task", name="Translation", label="Translation", help="From one to the other.",
             needs={"pair"}, fits={"target text"}, rank=60, tries=(
                 Field(name="beam", label="Beam width", help="1 is greedy.", type="int",
                       default=1, range=Range(1, 10, 1)),
             )),
        Card(kind="task", name="Transcription", label="Speech recognition", help="Writes down.",
             needs={"audio", "transcript"}, fits={"frames"}, rank=60),
        Card(kind="task", name="Forecasting", label="Forecasting", help="What comes next.",
             needs={"sequence"}, fits={"forecast"}, rank=60),
        Card(kind="data", name="Digits", label="Digits", help="Small handwritten digits.",
             provides={"image", "label"}, fields=(flip, mixup)),
        Card(kind="data", name="Faces", label="Faces", help="Pictures without labels.",
             provides={"image"}),
        Card(kind="data", name="Rows", label="Rows", help="Digits, row by row.",
             provides={"sequence", "label"}),
        Card(kind="data", name="Reviews", label="Reviews", help="Texts with stars.",
             provides={"text", "label"}, rank=60),
        Card(kind="data", name="Sentences", label="Sentences", help="In two languages.",
             provides={"pair", "target"}, rank=60),
        Card(kind="data", name="Words", label="Words", help="Spoken, with transcripts.",
             provides={"audio", "label", "transcript"}, rank=60),
        Card(kind="data", name="ImportedImages", label="Imported pictures", hidden=True,
             provides={"image", "label"}, fields=(number, version, flip)),
        Card(kind="data", name="TypedTextLabels", label="Typed labels", hidden=True,
             provides={"text", "label"}, fields=(
                 Field(name="labels", label="Labels", type="str", required=True, lines=True),
             )),
        Card(kind="model", name="ConvNet", label="ConvNet", help="Convolutions.", fits={"image"},
             provides={"logits", "features"}, suggests={"method.learning_rate": 0.002},
             fields=(widths, dropout)),
        Card(kind="model", name="Successor", label="Successor", help="What an autoencoder sees by.",
             fits={"image"}, provides={"logits", "features"}, rank=80, takes={"Coder"},
             fields=(widths, dropout)),
        Card(kind="model", name="Coder", label="Autoencoder", help="A code and back.",
             fits={"image"}, provides={"reconstruction", "features"},
             suggests={"method.epochs": 40}, fields=(widths,)),
        Card(kind="model", name="Recurrent", label="LSTM", help="Step by step.",
             fits={"sequence"}, provides={"logits", "features"}, fields=(widths,)),
        Card(kind="model", name="Writer", label="Decoder", help="A token after the other.",
             fits={"text"}, provides={"next token", "features"}, rank=60,
             suggests={"method.epochs": 4}, thorough={"method.epochs": 60},
             fields=(widths, Field(
                 name="kernel", label="Kernel", type="choice", default="kernel 01",
                 choices=tuple(f"kernel {n:02}" for n in range(40)),
             ))),
        Card(kind="model", name="Translator", label="Encoder and decoder", help="Reads, writes.",
             fits={"pair"}, provides={"target text", "features"}, rank=60),
        Card(kind="model", name="Listener", label="Listener", help="Hears frames.",
             fits={"audio"}, provides={"frames", "logits", "features"}, rank=60),
        Card(kind="model", name="Forecaster", label="Forecaster", help="Goes on.",
             fits={"sequence"}, provides={"forecast", "features"}, rank=60),
        Card(kind="method", name="Training", label="Train all weights", help="The usual.",
             augments={"items", "label", "shares"},
             fits={"logits", "reconstruction", "next token", "target text", "frames", "forecast"},
             fields=(
                 Field(name="epochs", label="Epochs", help="Passes over the data.", type="int",
                       default=10, range=Range(1, 1000)),
                 Field(name="learning_rate", label="Learning rate", help="The size of a step.",
                       type="float", default=0.001, range=Range(1e-5, 10, log=True), finder="rate"),
                 Field(name="optimizer", label="Optimizer", help="AdamW first.", type="choice",
                       default="AdamW", choices=("AdamW", "SGD")),
                 Field(name="momentum", label="Momentum", help="Of SGD.", type="float", default=0.9,
                       range=Range(0, 0.999), only=Only("optimizer", "SGD")),
                 Field(name="patience", label="Early stopping", help="Empty is off.", type="int",
                       optional=True, range=Range(1, 100), advanced=True),
             )),
        Card(kind="method", name="ZeroShot", label="Zero-shot", help="By names.", fits={"logits"},
             adapts=True, rank=70, fields=(
                 Field(name="template", label="Template", type="str", default="{}"),
                 Field(name="wording", label="Wording", type="str", optional=True, lines=True),
             )),
        Card(kind="method", name="Prototypes", label="Prototypes", help="By examples.",
             fits={"logits"}, adapts=True, rank=70, fields=(
                 Field(name="distance", label="Distance", type="choice", default="Euclidean",
                       choices=("Euclidean", "cosine")),
             )),
    )  # fmt: skip
    cpu = Device(id="cpu", name="A processor ${1+1} {{x}}", memory=16 * 2**30, free=8 * 2**30)
    return Catalog(cards=cards, devices=(cpu,))


def seeing() -> Catalog:
    """The same with models whose weights others have published."""
    known = catalog()
    return known.model_copy(update={"cards": (
        *known.cards,
        Card(kind="model", name="Reader", label="Published reader", help="Knows what texts mean.",
             fits={"text"}, provides={"logits", "features", "names"}, published=True, rank=70),
        Card(kind="model", name="Far", label="Far eye", help="Fetched once.", fits={"image"},
             provides={"logits", "features"}, published=True, rank=60),
        Card(kind="model", name="Eye", label="Published eye", help="Knows photographs.",
             fits={"image"}, provides={"logits", "features"}, published=True, bundled=True,
             rank=70, fields=(
                 Field(name="side", label="Side", type="int", default=224, range=Range(64, 512)),
             )),
    )})  # fmt: skip


class FakeAnswers:
    """Answers at once, or when `answer` is set by hand; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.futures: list[Future[dict[str, Any]]] = []
        self.slow = False
        self.failure: Exception | None = None
        self.pieces = ["Once", " upon", " a <b>time</b>"]
        self.held = threading.Event()
        self.held.set()
        self.memory = 300 * 2**20
        self.kind = "images"
        self.states: dict[int, list[FakeVersion]] = {}

    def ask(
        self, question: str, *, heard: Callable[[str], None] | None = None, **payload: Any
    ) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        self.asked.append((question, payload))
        self.futures.append(future)
        if self.failure is not None:
            future.set_exception(self.failure)
        elif heard is not None:
            told = (heard, future, question, payload)
            threading.Thread(target=self.tell, args=told, daemon=True).start()
        elif not self.slow:
            try:
                future.set_result(getattr(self, question)(**payload))
            except BadInput as problem:
                future.set_exception(problem)
        return future

    def take_back(self, reply: Future[dict[str, Any]]) -> None:
        reply.cancel()

    def estimate(self, recipe: str) -> dict[str, Any]:
        return {"parameters": 1234567, "trainable": 1234567, "memory": self.memory, "seconds": 95.0,
                "seconds_per_epoch": 9.5, "steps": 320, "device": "cpu",
                "device_name": "A processor", "precision": "fp32", "note": ""}  # fmt: skip

    def preview(self, recipe: str, items: int, draws: int, salt: int) -> dict[str, Any]:
        """Pictures; mixed ones are also of the other class."""
        said = json.loads(recipe)["data"]["settings"]
        mixed = [{"name": "cat", "share": 0.7}, {"name": "dog", "share": 0.3}]
        own = [{"name": "cat", "share": 1.0}]
        draw = {"png": PIXEL, "label": mixed if said.get("mixup") else own}
        return {
            "kind": "images",
            "items": [{"row": row, "label": own, "before": {"png": PIXEL}, "draws": [draw] * draws}
                      for row in range(items)],
            "mirror": {"plain": 0.83, "mirrored": 0.37} if said.get("flip") else None,
        }  # fmt: skip

    def rate(self, recipe: str) -> dict[str, Any]:
        """Falls, then rises."""
        rates = [10.0 ** (n / 10 - 6) for n in range(60)]
        losses = [abs(n - 40) / 20 for n in range(60)]
        return {"rates": rates, "losses": losses, "smoothed": losses, "suggestion": 0.0031,
                "lowest": 0.01, "seconds": 1.0, "device_name": "A processor"}  # fmt: skip

    def importance(self, plan: str, trials: list[dict[str, Any]]) -> dict[str, Any]:
        return {"importance": {"method.learning_rate": 0.8, "model.dropout": 0.2}}

    def count(self, plan: str) -> dict[str, Any]:
        """A plan over a hundred training items of two classes, counted."""
        made = ComparisonPlan.from_json(plan)
        items = {amount: 2 * Amount.of(amount).count(50) for amount in made.amounts}
        return {"plan": made.counted(items, catalog()).to_json()}

    def foretell(self, plan: str) -> dict[str, Any]:
        ready = ComparisonPlan.from_json(self.count(plan)["plan"])
        return {"plan": ready.to_json(), "runs": len(ready.cells()), "steps": ready.steps,
                "items": ready.items, "seconds": 95.0, "starts": {},
                "device_name": "A processor"}  # fmt: skip

    def tell(
        self, heard: Callable[[str], None], future: Future[dict[str, Any]], question: str,
        payload: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """The pieces one after the other; the end only when `held` lets it."""
        step = {"done": 1, "total": 2, "rate": 1e-6, "loss": 2.0}
        told = {"stream": self.pieces, "rate": [json.dumps(step)]}
        for piece in told.get(question, ["0.5"]):
            heard(piece)
            time.sleep(0.02)
        self.held.wait(30)
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(getattr(self, question)(**payload))
            except AttributeError:  # nothing is known of it here
                future.set_exception(RuntimeError(f"Nobody answers {question}"))

    def stream(self, **_: Any) -> dict[str, Any]:
        return {"checkpoint": {"step": 300, "epoch": 7.5}, "text": "", "note": ""}

    def explain(
        self, *, run: int, given: Mapping[str, str], how: str | None, settings: Mapping[str, Any],
        target: int | None, against: int | None, other: Mapping[str, str] | None,
    ) -> dict[str, Any]:  # fmt: skip
        """One white pixel that speaks wholly for the answer, or a text of two words."""
        checkpoint = {"step": 300, "epoch": 7.5}
        names = ["seven", "<b>one</b>"]
        if how is None:
            ways = [("GradCam", "Grad-CAM", True), ("NearestItems", "It looks like these", False)]
            return {"checkpoint": checkpoint, "ways": [
                {"name": name, "label": label, "help": f"{label} helps.", "targeted": targeted}
                for name, label, targeted in ways
            ], "numbers": [{"index": i, "name": name, "value": 0.9 - 0.8 * i}
                           for i, name in enumerate(names)]}  # fmt: skip
        curve = {"removed": [0, 0.5, 1], "explained": [0.9, 0.2, 0.1], "random": [0.9, 0.7, 0.1],
                 "low": [0.9, 0.6, 0.1], "high": [0.9, 0.8, 0.1], "area": 0.35,
                 "random_area": 0.6, "beaten": 8, "draws": 8, "moves": False}  # fmt: skip
        told: dict[str, Any] = {"how": how, "checkpoint": checkpoint, "signed": True}
        if how == "NearestItems":
            return told | {"neighbours": {
                "kind": "images", "looked_through": 1200, "whole": True,
                "items": [{"row": 3, "name": "3.png", "label": "<i>dog</i>", "png": PIXEL,
                           "cosine": 0.987}],
            }}  # fmt: skip
        told |= {"of": names[target or 0], "target": target, "sanity": curve}
        if "text" in given:
            return told | {"words": [
                {"before": "", "text": "<b>good</b>", "value": 1.0, "tokens": [["good", 1.0]]},
                {"before": "  ", "text": "bad", "value": -0.5, "tokens": [["bad", -0.5]]},
                {"before": " ", "text": "the", "value": 0.01, "tokens": [["the", 0.01]]},
            ]}  # fmt: skip
        return told | {"heat": WHITE, "input": PIXEL, "layer": "features.7", "map": [7, 7]}

    result: dict[str, Any] | None = None
    """What `predict` answers, instead of two classes."""

    def predict(
        self, run: int, inputs: list[dict[str, str]], options: dict[str, Any]
    ) -> dict[str, Any]:
        if self.result is not None:
            results = [dict(self.result) for _ in inputs]
            return {"checkpoint": {"step": 300, "epoch": 7.5}, "results": results}
        classes = [
            {"label": "seven", "probability": 0.9},
            {"label": "<b>one</b>", "probability": 0.1},
        ]
        return {"checkpoint": {"step": 300, "epoch": 7.5},
                "results": [{"classes": classes, "input": PIXEL} for _ in inputs]}  # fmt: skip

    def texts(
        self, name: str, file: str, column: str | None, header: bool | None
    ) -> dict[str, Any]:
        return texts_in(b64decode(file), name, column=column, header=header)

    # --- datasets: a small one that can be changed -------------------------------------------

    inspection: dict[str, Any] | None = None
    """Instead of the usual one."""

    def inspect(
        self, paths: list[str], kind: str | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        if self.inspection is not None:
            return self.inspection
        if all(Path(path).suffix == ".zip" for path in paths):
            return INSPECTED | {"kind": kind or "images", "kinds": ["images", "sound"],
                                "items": 24, "classes": ["cat", "dog"],
                                "class_count": 2}  # fmt: skip
        if Path(paths[0]).name == "odd.csv" and "text" not in options.get("columns", {}):
            raise BadInput("odd.csv has no column text (it has: “a”, “b”)", field="columns")
        if options.get("encoding") == "utf-16":
            raise BadInput("reviews.csv isn't UTF-16: choose another encoding", field="encoding")
        label = options.get("columns", {}).get("label", "stars")
        delimiter = options.get("delimiter", ",")
        return INSPECTED | {
            "kind": kind or "text", "kinds": ["text", "pairs", "sequences"],
            "encoding": options.get("encoding", "cp1252"), "delimiter": delimiter,
            "columns": ["review", "stars", "critic"] if delimiter == "," else ["review;stars"],
            "roles": {"text": "review", "label": label} if label else {"text": "review"},
            "rows": [["good <b>film</b>", "5", "Ann"], ["d\u00e9j\u00e0 vu", "2", "Bob"]],
            "groups": ["critic"], "items": 200, "class_count": 2 if label else 0,
            "classes": ["2", "5"] if label else [], "notes": ["1 row is empty and is left out."],
        }  # fmt: skip

    def details(self, data: dict[str, Any]) -> dict[str, Any]:
        settings = data["settings"]
        state = self.state(settings.get("id"), settings.get("version"))
        found = {
            "provides": ["image", "label"], "kind": state.kind, "shape": [8, 8, 1],
            "classes": state.classes, "counts": state.counts(), "items": len(state.labels),
            "samples": {"kind": state.kind, "items": [state.item(r) for r in range(4)]},
            "histograms": [{"title": "width", "unit": "pixels", "edges": [8, 16, 24],
                            "counts": [3, 9], "low": 8, "high": 23, "median": 17}],
            "characters": None, "fingerprint": "abc123", "licence": "CC0", "source": "somewhere",
            "help": "Pictures.", "labelled": True,
            "tasks": [{"task": "Classification", "models": ["ConvNet"]}],
        }  # fmt: skip
        if state.kind == "text":
            found["characters"] = {"different": 2, "letters": [["e", 12], ["\u6587", 3]],
                                   "scripts": [["Latin", 0.8], ["Cjk", 0.2]]}  # fmt: skip
            found["tasks"] = []
        if "id" in settings:
            found |= {
                "origin": "", "warnings": [], "version": state.number, "left_out": state.left_out,
                "rule": {"how": "random", "column": "", "seed": 0, "validation": 0.1, "test": 0.1},
                "versions": self.past(settings["id"]), "groups": ["animal"], "columns": {},
                "features": ["holiday", "load"] if state.kind == "sequences" else [],
                "rate": 8000 if state.kind == "sound" else None, "options": {},
                "findings": state.findings(),
            }  # fmt: skip
        return found

    def items(self, data: dict[str, Any], split: str | None, label: int | None,
              finding: str | None, offset: int, count: int) -> dict[str, Any]:  # fmt: skip
        state = self.state(data["settings"].get("id"), data["settings"].get("version"))
        rows = next((one["rows"] for one in state.findings() if one["code"] == finding), None)
        chosen = [
            row for row in (range(len(state.labels)) if rows is None else rows)
            if (split is None or (state.splits[row] or "left_out") == split)
            and (label is None or state.labels[row] == state.classes[label])
        ]  # fmt: skip
        page = chosen[offset : offset + count]
        return {"total": len(chosen), "items": [state.item(row) for row in page]}

    def sound(self, data: dict[str, Any], row: int) -> dict[str, Any]:
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(1600))
        return {"wav": b64encode(out.getvalue()).decode()}

    def given(self, data: dict[str, Any], row: int) -> dict[str, str]:
        return {
            "images": {"png": PIXEL},
            "text": {"text": f"<i>Text</i> {row}, whole"},
            "pairs": {"text": f"Satz {row}, whole"},
            "sound": {"sound": self.sound(data, row)["wav"]},
            "sequences": {"text": "0,1\n1,0.5\n2,0.2"},
        }[self.kind]  # fmt: skip

    def change(self, dataset: int, version: int, change: dict[str, Any] | None = None,
               finding: str | None = None) -> dict[str, Any]:  # fmt: skip
        made = deepcopy(self.state(dataset, version))
        if finding is not None:
            change = {"do": "exclude", "rows": [3]}
        assert change is not None
        made.parent, made.said = version, made.apply(change, self.states[dataset])
        made.number = len(self.states[dataset]) + 1
        self.states[dataset].append(made)
        meta = {"version": made.number, "versions": self.past(dataset), "classes": made.classes,
                "counts": made.counts(), "doctor": {"stops": 0, "harms": 0}}  # fmt: skip
        return {"version": made.number, "change": made.said, "meta": meta}

    def state(self, dataset: int | None, version: int | None = None) -> FakeVersion:
        if dataset is None:
            return FakeVersion(kind=self.kind)
        states = self.states.setdefault(dataset, [FakeVersion(kind=self.kind)])
        return states[min(version or len(states), len(states)) - 1]

    def past(self, dataset: int) -> list[dict[str, Any]]:
        return [{"number": s.number, "parent": s.parent, "made": 1.7e9 + s.number,
                 "change": s.said} for s in self.states[dataset]]  # fmt: skip


INSPECTED: dict[str, Any] = {
    "kind": "images", "kinds": ["images"], "encoding": "", "delimiter": "", "columns": [],
    "roles": {}, "rows": [], "groups": [], "items": None, "classes": [], "class_count": 0,
    "splits": {}, "notes": [],
}  # fmt: skip


@dataclass
class FakeVersion:
    """Twelve items of two classes."""

    kind: str = "images"
    number: int = 1
    parent: int | None = None
    said: str = "Imported"
    labels: list[str] = field(default_factory=lambda: ["cat", "dog"] * 6)
    splits: list[str | None] = field(
        default_factory=lambda: ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
    )

    @property
    def classes(self) -> list[str]:
        return sorted(set(self.labels))

    @property
    def left_out(self) -> int:
        return self.splits.count(None)

    def counts(self) -> dict[str, list[int]]:
        return {
            split: [list(zip(self.labels, self.splits, strict=True)).count((name, split))
                    for name in self.classes]
            for split in ("train", "validation", "test")
        }  # fmt: skip

    def item(self, row: int) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "images": {"png": PIXEL},
            "text": {"text": f"<i>Text</i> {row}"},
            "pairs": {"source": f"Satz {row}", "target": f"Sentence {row}"},
            "sound": {"seconds": 0.1, "rate": 8000, "wave": [[-0.5, 0.5], [-1, 1]],
                      "spectrogram": PIXEL, "transcript": f"word {row}"},
            "sequences": {"values": [[0.0, 700.0], [1.0, 900.0], ["NaN", 1000.0]], "steps": 3},
        }  # fmt: skip
        return {"row": row, "name": f"{self.labels[row]}/{row}.png", "label": self.labels[row],
                "split": self.splits[row], **shown[self.kind]}  # fmt: skip

    def findings(self) -> list[dict[str, Any]]:
        found = [{"code": "imbalance", "harm": "harms", "text": "cat has most of the items.",
                  "rows": [], "count": 0, "button": "Weigh the classes", "mend": "setting",
                  "setting": {"name": "task.label_smoothing", "value": 0.1}}]  # fmt: skip
        if self.splits[3] is not None:
            found.insert(0, {
                "code": "copies", "harm": "notice", "text": "dog/3.png is a copy of dog/1.png.",
                "rows": [1, 3], "count": 2, "button": "Leave out 1 copy", "mend": "change",
                "setting": None,
            })  # fmt: skip
        return found

    def apply(self, change: dict[str, Any], states: list[FakeVersion]) -> str:
        rows = change.get("rows", [])
        match change["do"]:
            case "exclude":
                for row in rows:
                    self.splits[row] = None
                return f"{len(rows)} items left out"
            case "move":
                for row in rows:
                    self.splits[row] = change["split"]
                return f"{len(rows)} items moved to {change['split']}"
            case "relabel":
                for row in rows:
                    self.labels[row] = change["label"]
                return f"{len(rows)} items labelled {change['label']}"
            case "merge":
                gone = change["classes"]
                self.labels = [change["into"] if n in gone else n for n in self.labels]
                return f"{', '.join(gone)} became {change['into']}"
            case "split":
                return f"Split {change['rule']['how']} with seed {change['rule']['seed']}"
            case "restore":
                then = states[change["version"] - 1]
                self.labels, self.splits = list(then.labels), list(then.splits)
                return f"As in version {change['version']}"
        raise BadInput("This is no change of a dataset")


class FakeImporter:
    """Starts nothing by itself; `history` gets the row, and a test says how the import goes on."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.started: list[tuple[list[Path], str, dict[str, Any], list[bytes]]] = []
        self.kinds: list[str | None] = []
        self.fetched: list[tuple[str, str, dict[str, Any]]] = []
        self.extended: list[tuple[dict[str, Any], str]] = []
        self.retried: list[tuple[int, dict[str, Any]]] = []
        self.failure: BadInput | None = None

    def start(
        self,
        paths: Sequence[Path],
        *,
        name: str,
        kind: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> int:
        if self.failure is not None:
            raise self.failure
        read = [path.read_bytes() for path in paths]
        self.started.append((list(paths), name, dict(options or {}), read))
        self.kinds.append(kind)
        source = ", ".join(path.name for path in paths)
        return self.history.add_dataset(name=name, kind=kind or "", source=source).id

    def get(self, origin: str, *, name: str = "", options: Mapping[str, Any] | None = None) -> int:
        if self.failure is not None:
            raise self.failure
        self.fetched.append((origin, name, dict(options or {})))
        return self.history.add_dataset(name=name or origin, kind="", source=origin).id

    def extend(self, extension: Mapping[str, Any], *, name: str, source: str) -> int:
        self.extended.append((dict(extension), name))
        return self.history.add_dataset(name=name, kind="", source=source).id

    def retry(self, id: int, options: Mapping[str, Any]) -> int:
        row = self.history.dataset(id)
        self.retried.append((id, dict(options)))
        made = self.history.add_dataset(name=row.name, kind=row.kind, source=row.source).id
        self.history.delete_dataset(id)
        return made

    def remove(self, id: int) -> None:
        row = self.history.dataset(id)
        self.history.delete_dataset(id)
        for path in row.meta.get("retry", {}).get("paths", ()):
            Path(path).unlink(missing_ok=True)

    def ready(self, id: int, **meta: Any) -> None:
        """The import has gone well."""
        meta = {"classes": ["cat", "dog"], "counts": {"train": [4, 4]}, "version": 1} | meta
        self.history.dataset_ready(
            id, card="ImportedImages", provides=["image", "label"], meta=meta, bytes=3 * 2**20,
            fingerprint="f",
        )  # fmt: skip


OFFERS = (
    {"origin": "sample:tiny", "label": "Tiny Shakespeare", "help": "Plays <i>as</i> one text.",
     "kind": "text", "item": "text", "licence": "public domain", "homepage": "https://example.org/tiny",
     "bytes": 1_115_394},
    {"origin": "torchvision:CIFAR10", "label": "CIFAR-10", "help": "Small photographs.",
     "kind": "images", "item": "image", "licence": "unknown",
     "homepage": "javascript:alert(1)", "bytes": None},
)  # fmt: skip


def make(home: Path, *, readonly: bool = False) -> Anneal:
    """Everything that the pages need, over a history of its own."""
    home.mkdir(parents=True, exist_ok=True)
    history = History(home / "anneal.db")
    poked: list[float] = []
    return Anneal(
        catalog=catalog(), history=history, answers=FakeAnswers(), importer=FakeImporter(history),
        home=home, poke=lambda: poked.append(time.time()), readonly=readonly, offers=OFFERS,
        upload_limit=LIMIT,
    )  # fmt: skip


def renew(anneal: Anneal) -> None:
    """As if it had just been made; only the numbers of runs and datasets go on."""
    history = anneal.history
    for run in history.runs(limit=10_000)[0]:
        history.interrupt(run.id, "The test is over")
        history.delete_run(run.id)
    for row in history.datasets():
        history.delete_dataset(row.id)
    for one in history.comparisons():
        history.delete_comparison(one.id)
    assert isinstance(anneal.answers, FakeAnswers)
    assert isinstance(anneal.importer, FakeImporter)
    for folder in ("runs", "tmp/uploads"):
        shutil.rmtree(anneal.home / folder, ignore_errors=True)
    vars(anneal.answers).clear()
    vars(anneal.importer).clear()
    anneal.answers.__init__()  # type: ignore[misc]
    anneal.importer.__init__(history)  # type: ignore[misc]


@contextmanager
def served(anneal: Anneal) -> Iterator[Served]:
    """The pages on a port of their own."""
    running = serve(anneal, port=PORT)
    try:
        yield running
    finally:
        running.close()
        anneal.history.close()


def add_run(history: History, *, saved: bool = True, ended: bool = True, **names: str) -> int:
    """A run with a checkpoint, finished unless told otherwise."""
    from engine.recipe import compose

    name = names.pop("name", "A run")
    settings = {key: value for key, value in names.items() if "." in key}
    cards: Any = {key: value for key, value in names.items() if "." not in key}
    made = compose(catalog(), names=cards, settings=settings)
    run = history.add_run(
        made.to_json(), name=name, task=made.task.name, model=made.model.name,
        data=made.data.name, method=made.method.name,
    )  # fmt: skip
    if saved:
        history.claim(run.id, device=f"device {run.id}", pid=1, pid_started=1.0)
        history.record(run.id, saved=(300, 300), progress={
            "step": 300, "steps": 400, "epoch": 7.5, "epochs": 10, "seconds": 9.0,
            "remaining": 3.0, "rate": 1000.0, "learning_rate": 0.001, "memory": 1,
        })  # fmt: skip
        if ended:
            history.end(run.id, state="finished", reason="All epochs done")
    return run.id


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for it, and fail if it doesn't come."""
    end = time.monotonic() + seconds
    waiting = threading.Event()
    while not true():
        assert time.monotonic() < end, "it did not happen"
        waiting.wait(0.02)
