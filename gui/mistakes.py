"""What a run's page asks about single items: a POST each, answered with lines of JSON.

==========================================  ====================================================
POST /api/runs/{id}/look/judged             a page of a split's items, the worst first
POST /api/runs/{id}/look/calibration        how sure the answers are, and how right
POST /api/runs/{id}/look/apart              what a threshold on a class costs
POST /api/runs/{id}/look/temperature        use the fitted temperature, or no longer
POST /api/runs/{id}/look/suspects           items whose labels look wrong
POST /api/runs/{id}/approve                 keep the labels of some of them, or suspect them again
==========================================  ====================================================

The lines are ``{"progress": {"done", "total"}}`` as it goes, then ``{"answer"}`` or ``{"error"}``.
Whoever goes away takes the question back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from engine.recipe import Recipe
from gui import form
from gui.answering import awaits, carried_out, in_lines, lines
from gui.replies import Refusal, asking, check_origin, check_text, read_body, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal

SPLITS = ("train", "validation", "test")
MOST_ITEMS = 200
MOST_ROWS = 100_000
MOST_FOLDS = 20
LONGEST_CLASS = 255


def routes(anneal: Anneal) -> list[Route]:
    """Every address above."""
    mistakes = Mistakes(anneal)
    one = "/api/runs/{id:int}"
    return [
        Route(f"{one}/look/{{question}}", mistakes.look, methods=["POST"]),
        Route(f"{one}/approve", awaits(mistakes.approve), methods=["POST"]),
    ]


class Mistakes:
    """The handlers."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal

    async def look(self, request: Request) -> Response:
        """How far an answer is, line by line, and at last the answer."""
        try:
            check_origin(request)
            body = await read_body(request)
            check_text(body)
            question, number = request.path_params["question"], int(request.path_params["id"])
            if question not in ASKED:
                raise Refusal(text("reply.nothing"), 404)
            payload = ASKED[question](body)
            if self.anneal.readonly and (question in WRITING or payload.get("way") == TRAINING):
                raise Refusal(text("readonly"), 403)
            dataset = await run_in_threadpool(self.dataset, number)
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)
        if question in SHOWING:
            payload["today"] = dataset["today"]
        return in_lines(lines(self.anneal, question, {"dataset": dataset}, run=number, **payload))

    async def approve(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The labels of these items are right, whatever they look like."""
        if self.anneal.readonly:
            raise Refusal(text("readonly"), 403)
        rows, back = body.get("rows"), body.get("back", False)
        if not isinstance(rows, list) or len(rows) > MOST_ROWS or not isinstance(back, bool):
            raise Refusal(text("server.malformed"))
        number, chosen = int(request.path_params["id"]), [_whole(row) for row in rows]
        await run_in_threadpool(self.dataset, number)
        # Not by the process for what takes long: it may be training folds for the next hour.
        return await carried_out(self.anneal, "approve", run=number, rows=chosen, back=back)

    def dataset(self, number: int) -> dict[str, Any]:
        """What the run's data are, and in which version they are by now; `id` and versions are
        None of what comes along with Anneal, and of what has been removed."""
        with asking():
            run = self.anneal.history.run(number)
            made = Recipe.from_json(run.recipe)
            key, version = made.data.name, made.data.settings.get(form.VERSION)
            nothing = {"id": None, "key": key, "name": "", "version": version, "today": None}
            if run.dataset is None:
                return nothing
            try:
                row = self.anneal.history.dataset(run.dataset)
            except LookupError:
                return nothing
        return {
            "id": row.id, "key": f"{row.card}:{row.id}", "name": row.name,
            "version": version, "today": form.version_of(row),
        }  # fmt: skip


def _judged(body: Mapping[str, Any]) -> dict[str, Any]:
    threshold = body.get("threshold")
    if threshold is not None:
        if not isinstance(threshold, dict) or threshold.get("which") not in ("missed", "false"):
            raise Refusal(text("server.malformed"))
        threshold = {"class": _name(threshold.get("class")), "which": threshold["which"],
                     "threshold": _share(threshold.get("threshold"))}  # fmt: skip
    return {
        "split": _split(body), "wrong": body.get("wrong") is True, "threshold": threshold,
        **{name: _name(body[name]) for name in ("true", "said") if body.get(name) is not None},
        **({"bin": _whole(body["bin"])} if body.get("bin") is not None else {}),
        **({"rows": _rows(body["rows"])} if body.get("rows") is not None else {}),
        **_page(body),
    }  # fmt: skip


def _apart(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": _name(body.get("class")), "split": _split(body)}


def _suspects(body: Mapping[str, Any]) -> dict[str, Any]:
    way, folds = body.get("way", "head"), _whole(body.get("folds", 5))
    if not isinstance(way, str) or not 2 <= folds <= MOST_FOLDS:
        raise Refusal(text("server.malformed"))
    return {"way": way, "folds": folds, **_page(body)}


def _temperature(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"on": body.get("on") is True}


ASKED: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "judged": _judged, "calibration": lambda body: {}, "apart": _apart,
    "temperature": _temperature, "suspects": _suspects,
}  # fmt: skip
"""What a question takes from what a page sends."""
SHOWING = ("judged", "suspects")
"""Questions whose answers show items, as they are in the dataset's newest version too."""
WRITING = ("temperature",)
"""Questions that change something."""
TRAINING = "whole"
"""The way to find wrong labels that trains the run's recipe."""


def _page(body: Mapping[str, Any]) -> dict[str, int]:
    return {"offset": _whole(body.get("offset", 0)),
            "count": min(_whole(body.get("count", 24)), MOST_ITEMS)}  # fmt: skip


def _rows(value: object) -> list[int]:
    if not isinstance(value, list) or len(value) > MOST_ITEMS:
        raise Refusal(text("server.malformed"))
    return [_whole(row) for row in value]


def _split(body: Mapping[str, Any]) -> str:
    split = body.get("split", "test")
    if split not in SPLITS:
        raise Refusal(text("server.malformed"))
    return str(split)


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value.encode()) > LONGEST_CLASS:
        raise Refusal(text("server.malformed"))
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Refusal(text("server.malformed"))
    return float(value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise Refusal(text("server.malformed"))
    return value
