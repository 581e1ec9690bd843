"""What the pages are given in tests: a small catalogue, and answers that nobody computes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.catalog import BadInput, Card, Catalog, Device, Field, Only, Range
from gui.shell import Anneal, Served, serve
from storage.history import History

# The smallest PNG: one black pixel.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def catalog() -> Catalog:
    """Two tasks, three datasets and one for imports, three models, one method."""
    widths = Field(name="widths", label="Widths", help="Units of each layer.", type="ints",
                   default=[32, 16], range=Range(1, 1024))  # fmt: skip
    dropout = Field(name="dropout", label="Dropout", help="Left out at random.", type="float",
                    default=0.0, range=Range(0, 0.9))  # fmt: skip
    flip = Field(name="flip", label="Mirror", help="Mirrors at random.", type="bool", default=False)
    number = Field(name="id", label="Dataset", type="int", required=True, hidden=True)
    cards = (
        Card(kind="task", name="Classification", label="Classification", help="Tells apart.",
             needs={"label"}, fits={"logits"},
             fields=(Field(name="label_smoothing", label="Label smoothing", help="Softer targets.",
                           type="float", default=0.0, range=Range(0, 0.5, 0.01), advanced=True),)),
        Card(kind="task", name="Reconstruction", label="Reconstruction", help="Draws it again.",
             fits={"reconstruction"}),
        Card(kind="data", name="Digits", label="Digits", help="Small handwritten digits.",
             provides={"image", "label"}, fields=(flip,)),
        Card(kind="data", name="Faces", label="Faces", help="Pictures without labels.",
             provides={"image"}),
        Card(kind="data", name="Rows", label="Rows", help="Digits, row by row.",
             provides={"sequence", "label"}),
        Card(kind="data", name="ImportedImages", label="Imported pictures", hidden=True,
             provides={"image", "label"}, fields=(number, flip)),
        Card(kind="model", name="ConvNet", label="ConvNet", help="Convolutions.", fits={"image"},
             provides={"logits", "features"}, suggests={"method.learning_rate": 0.002},
             fields=(widths, dropout)),
        Card(kind="model", name="Coder", label="Autoencoder", help="A code and back.",
             fits={"image"}, provides={"reconstruction", "features"},
             suggests={"method.epochs": 40}, fields=(widths,)),
        Card(kind="model", name="Recurrent", label="LSTM", help="Step by step.",
             fits={"sequence"}, provides={"logits", "features"}, fields=(widths,)),
        Card(kind="method", name="Training", label="Train all weights", help="The usual.",
             fits={"features"}, fields=(
                 Field(name="epochs", label="Epochs", help="Passes over the data.", type="int",
                       default=10, range=Range(1, 1000)),
                 Field(name="learning_rate", label="Learning rate", help="The size of a step.",
                       type="float", default=0.001, range=Range(1e-5, 10, log=True)),
                 Field(name="optimizer", label="Optimizer", help="AdamW first.", type="choice",
                       default="AdamW", choices=("AdamW", "SGD")),
                 Field(name="momentum", label="Momentum", help="Of SGD.", type="float", default=0.9,
                       range=Range(0, 0.999), only=Only("optimizer", "SGD")),
                 Field(name="patience", label="Early stopping", help="Empty is off.", type="int",
                       optional=True, range=Range(1, 100), advanced=True),
             )),
    )  # fmt: skip
    cpu = Device(id="cpu", name="A processor ${1+1} {{x}}", memory=16 * 2**30, free=8 * 2**30)
    return Catalog(cards=cards, devices=(cpu,))


class FakeAnswers:
    """Answers at once, or when `answer` is set by hand; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.futures: list[Future[dict[str, Any]]] = []
        self.slow = False
        self.failure: Exception | None = None

    def ask(self, question: str, **payload: Any) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        self.asked.append((question, payload))
        self.futures.append(future)
        if self.failure is not None:
            future.set_exception(self.failure)
        elif not self.slow:
            future.set_result(getattr(self, question)(**payload))
        return future

    def estimate(self, recipe: str) -> dict[str, Any]:
        return {"parameters": 1234567, "trainable": 1234567, "memory": 300 * 2**20, "seconds": 95.0,
                "seconds_per_epoch": 9.5, "steps": 320, "device": "cpu",
                "device_name": "A processor", "precision": "fp32", "note": ""}  # fmt: skip

    def predict(self, run: int, inputs: list[dict[str, str]]) -> dict[str, Any]:
        classes = [
            {"label": "seven", "probability": 0.9},
            {"label": "<b>one</b>", "probability": 0.1},
        ]
        return {"checkpoint": {"step": 300, "epoch": 7.5},
                "results": [{"classes": classes, "input": PIXEL} for _ in inputs]}  # fmt: skip

    def preview(self, data: dict[str, Any]) -> dict[str, Any]:
        items = [{"label": f"class {n % 2}", "png": PIXEL} for n in range(4)]
        return {"provides": ["image", "label"], "shape": [8, 8, 1],
                "classes": ["class 0", "class 1"],
                "counts": {"train": [80, 60], "validation": [10, 8], "test": [10, 8]},
                "samples": {"kind": "images", "items": items}, "fingerprint": "abc123",
                "licence": "CC0", "source": "somewhere", "help": "Pictures."}  # fmt: skip


class FakeImporter:
    """Starts nothing by itself; `history` gets the row, and a test says how the import goes on."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.started: list[tuple[Path, str, dict[str, Any], bytes]] = []
        self.failure: BadInput | None = None

    def start(
        self,
        path: Path,
        *,
        name: str,
        kind: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> int:
        if self.failure is not None:
            raise self.failure
        self.started.append((path, name, dict(options or {}), path.read_bytes()))
        return self.history.add_dataset(name=name, kind=kind or "images", source=path.name).id


def make(home: Path, *, readonly: bool = False) -> Anneal:
    """Everything that the pages need, over a history of its own."""
    home.mkdir(parents=True, exist_ok=True)
    history = History(home / "anneal.db")
    poked: list[float] = []
    return Anneal(
        catalog=catalog(), history=history, answers=FakeAnswers(), importer=FakeImporter(history),
        home=home, poke=lambda: poked.append(time.time()), readonly=readonly,
    )  # fmt: skip


@contextmanager
def served(anneal: Anneal, port: int = 0) -> Iterator[Served]:
    """The pages on a port of their own."""
    running = serve(anneal, port=port or 18000)
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


def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for it, and fail if it doesn't come."""
    end = time.monotonic() + seconds
    waiting = threading.Event()
    while not true():
        assert time.monotonic() < end, "it did not happen"
        waiting.wait(0.02)
