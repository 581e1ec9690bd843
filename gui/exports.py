"""What a run's page asks and does to take its model away.

===========================================  ===================================================
GET  /api/runs/{id}/exports                  every form, what was made, and what is being made
GET  /api/runs/{id}/exports/{form}           the file that was made
POST /api/runs/{id}/exports/{form}/make      make it; the page asks how far it is
POST /api/runs/{id}/exports/{form}/stop      leave off making it
POST /api/runs/{id}/exports/{form}/remove    delete the file
===========================================  ===================================================

Making goes on when the page is gone. It ends with the program, and leaves no half behind.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse
from starlette.routing import Route

from engine.catalog import BadInput
from engine.recipe import Recipe
from gui import serving
from gui.replies import Refusal, asking, changes, reads, reply
from gui.text import text

if TYPE_CHECKING:
    from concurrent.futures import Future

    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import Run


def routes(anneal: Anneal) -> list[Route]:
    """Every address above."""
    exports = Exports(anneal)
    all_, one = "/api/runs/{id:int}/exports", "/api/runs/{id:int}/exports/{form}"

    def post(action: str, handler: Any) -> Route:
        endpoint = changes(handler, readonly=anneal.readonly)
        return Route(f"{one}/{action}", endpoint, methods=["POST"])

    return [
        Route(all_, reads(exports.all)),
        Route(one, reads(exports.file)),
        post("make", exports.make),
        post("stop", exports.stop),
        post("remove", exports.remove),
    ]


@dataclass
class Making:
    """Something that is being made, or could not be."""

    reply: Future[dict[str, Any]] | None = None
    done: int = 0
    total: int = 0
    doing: str = ""
    problem: str = ""

    def hear(self, piece: str) -> None:
        said = json.loads(piece)
        self.done, self.total, self.doing = said["done"], said["total"], said["doing"]


class Exports:
    """The handlers."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal
        # Where there is one, a process of its own: nobody's prediction waits for these.
        self.slow = dataclasses.replace(anneal, answers=anneal.patient or anneal.answers)
        self.making: dict[tuple[int, str], Making] = {}
        self.lock = threading.Lock()

    def all(self, request: Request) -> Response:
        """``{"weights": where the model is, "folder", "formats": [{"name", "label", "help",
        "otherwise", "made", "old", "making", "problem"}]}``; `old` says by what the run is another
        since it was made: its “weights”, the “temperature” of its probabilities, or nothing."""
        run = self._run(request)
        folder = self._folder(run.id)
        forms = []
        for name, (label, help_, otherwise) in self._forms(run).items():
            made = self._made(folder, name)
            now = self.making.get((run.id, name))
            working = now is not None and now.reply is not None
            forms.append({
                "name": name, "label": label, "help": help_, "otherwise": otherwise,
                "made": made, "old": "" if made is None else self._old(made, run),
                "making": {"done": now.done, "total": now.total, "doing": now.doing}
                if working and now is not None else None,
                "problem": now.problem if now is not None else "",
            })  # fmt: skip
        return reply({
            "weights": self._weights(run.id), "folder": str(folder), "formats": forms,
            "calls": self._calls(run), "readonly": self.anneal.readonly,
        })  # fmt: skip

    def file(self, request: Request) -> Response:
        """What was made, as a download."""
        run = self._run(request)
        name = self._form(request, run)
        folder = self._folder(run.id)
        made = self._made(folder, name)
        if made is None:
            raise Refusal(text("reply.nothing"), 404)
        path = folder / made["file"]
        return FileResponse(
            path, filename=path.name, media_type="application/octet-stream",
            headers={"Cache-Control": "no-store"},
        )  # fmt: skip

    def make(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Begin to make it, if it isn't being made."""
        run = self._run(request)
        name = self._form(request, run)
        key = run.id, name
        with asking():
            known = self.anneal.history.portrait(run.id)
        with self.lock:
            now = self.making.get(key)
            if now is not None and now.reply is not None:
                return {"making": name}
            now = self.making[key] = Making()
            now.reply = self.slow.answers.ask(
                "export", heard=now.hear, run=run.id, name=name, portrait=known
            )
        now.reply.add_done_callback(partial(self._ended, key))
        return {"making": name}

    def _ended(self, key: tuple[int, str], done: Future[dict[str, Any]]) -> None:
        with self.lock:
            now = self.making.get(key)
            if now is None or now.reply is not done:
                return
            now.reply = None
            try:
                done.result()
                del self.making[key]
            except CancelledError:
                del self.making[key]
            except (BadInput, RuntimeError) as problem:
                now.problem = str(problem)

    def stop(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Leave off making it: at once for the page, and for the process before its next stage."""
        run = self._run(request)
        name = self._form(request, run)
        with self.lock:
            now = self.making.pop((run.id, name), None)
        if now is not None and now.reply is not None:
            self.slow.answers.take_back(now.reply)
        return {"stopped": name}

    def remove(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Delete what was made."""
        run = self._run(request)
        name = self._form(request, run)
        folder = self._folder(run.id)
        made = self._made(folder, name)
        if made is not None:
            with asking():
                (folder / f"{name}.json").unlink(missing_ok=True)
                (folder / made["file"]).unlink(missing_ok=True)
        return {"removed": name}

    def _calls(self, run: Run) -> dict[str, Any] | None:
        """How the run is served, and asked by programs; None where its cards are gone."""
        catalog, anneal = self.anneal.catalog, self.anneal
        try:
            task, data = catalog.card("task", run.task), catalog.card("data", run.data)
        except BadInput:
            return None
        serve = f"python app.py serve-model {run.id}"
        if anneal.home_is_named:
            serve += f' --home "{anneal.home}"'
        width = serving.width_of(anneal.home / "runs" / str(run.id))
        return {"serve": serve, **serving.calls(task, data, width=width)}

    # --- parts ------------------------------------------------------------------------------

    def _run(self, request: Request) -> Run:
        with asking():
            return self.anneal.history.run(request.path_params["id"])

    def _forms(self, run: Run) -> dict[str, tuple[str, str, str]]:
        """Every form's label, its help, and why this run hasn't got it."""
        catalog = self.anneal.catalog
        try:
            cards = Recipe.from_json(run.recipe).cards(catalog)
        except BadInput as problem:  # a card that the catalogue has no more
            return {card.name: (card.label, card.help, str(problem))
                    for card in catalog.of("export")}  # fmt: skip
        why = "" if run.best_step is not None else text("away.no_weights")
        return {card.name: (card.label, card.help, why or otherwise)
                for card, otherwise in catalog.exports(cards)}  # fmt: skip

    def _form(self, request: Request, run: Run) -> str:
        """The form that the address names: one of those there are."""
        name = str(request.path_params["form"])
        if name not in self._forms(run):
            raise Refusal(text("reply.nothing"), 404)
        return name

    def _folder(self, run: int) -> Path:
        runs = (self.anneal.home / "runs").resolve()
        folder = runs / str(int(run)) / "exports"
        if folder.resolve().parent.parent != runs:
            raise Refusal(text("run.folder"), 403)
        return folder

    def _made(self, folder: Path, name: str) -> dict[str, Any] | None:
        """What was told of a file when it was made; None where there is none."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads((folder / f"{name}.json").read_text("utf-8"))
            if Path(told["file"]).name == told["file"] and (folder / told["file"]).is_file():
                return dict(told)
        return None

    def _old(self, made: dict[str, Any], run: Run) -> str:
        """What of the run has changed since; nothing where it is the same."""
        if made["step"] != run.best_step:
            return "weights"
        told = made.get("temperature")  # forms that give logits, and files of before, don't say it
        return "temperature" if told is not None and told != self._temperature(run) else ""

    def _temperature(self, run: Run) -> float:
        """What the run's logits are divided by, as `engine.calibration` keeps it; 1 where nothing
        is in use."""
        path = self._folder(run.id).parent / "temperature.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_text("utf-8"))
            if kept["on"] and kept["step"] == run.best_step:
                return float(kept["value"])
        return 1.0

    def _weights(self, run: int) -> dict[str, Any] | None:
        """Where the best weights lie, and their bytes."""
        checkpoints = self._folder(run).parent / "checkpoints"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            best = json.loads((checkpoints / "index.json").read_text("utf-8"))["best"]
            path = checkpoints / Path(best["folder"]).name / "model.safetensors"
            return {"path": str(path), "bytes": path.stat().st_size, "step": best["step"]}
        return None
