"""Predict: try a run's best checkpoint on a picture, a text, a recording or a sequence."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
import orjson
from starlette.responses import StreamingResponse
from starlette.routing import Route

from engine.catalog import BadInput, Card, Catalog
from gui import assets
from gui.answering import LONGEST_QUESTION, answer, awaits, pieces
from gui.form import drawn
from gui.replies import (
    Refusal,
    check_origin,
    check_text,
    options_of,
    plain,
    read_body,
    reads,
    reply,
)
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import Run

OFFERED = 500
"""Runs looked through for checkpoints: the newest ones."""
ASKED = {"name": str, "file": str, "column": str | None, "header": bool | None}
"""What is said of a file of many texts."""
GIVEN = ("png", "text", "file", "sound", "seed")
"""What a page may send. Nothing else reaches the predictor, which could also open files."""
MOST_INPUTS = 1000
LONGEST_TEXT = 5_000_000
"""Characters of one input."""
ITEMS = ("image", "text", "pair", "audio", "sequence")
"""What data is made of; the other words of a card say what belongs to an item."""


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that predict.js fills."""
    gr.HTML(
        html_template='<div class="an-page an-predict" id="an-main" tabindex="-1"></div>',
        js_on_load=assets.mount("predict.js"),
        apply_default_css=False,
    )


def routes(anneal: Anneal) -> list[Route]:
    """Which runs can be asked, and what one answers, as a whole or piece by piece."""
    page = Predict(anneal)
    return [
        Route("/api/predict", reads(page.runs), methods=["GET"]),
        Route("/api/predict", awaits(page.predict), methods=["POST"]),
        Route("/api/predict/stream", page.stream, methods=["POST"]),
        Route("/api/predict/explain", page.explain, methods=["POST"]),
        Route("/api/predict/texts", awaits(page.texts), methods=["POST"]),
    ]


class Predict:
    """The page's addresses."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal

    def runs(self, request: Request) -> Response:
        """Runs with a checkpoint, newest first; ``?run=14`` is among them however old it is."""
        found, _ = self.anneal.history.runs(limit=OFFERED)
        wanted = request.query_params.get("run", "")
        if wanted.isdecimal() and int(wanted) not in [run.id for run in found]:
            with contextlib.suppress(LookupError):  # the page says that it shows another one
                found.append(self.anneal.history.run(int(wanted)))
        return reply(plain({
            "runs": [described(run, self.anneal.catalog)
                     for run in found if run.saved_step is not None],
            "settings": {
                card.name: [drawn(f, "why", card, f.default, {}) for f in card.fields
                            if not f.hidden]
                for card in self.anneal.catalog.of("explanation")
            },
        }))  # fmt: skip

    async def predict(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """What the model makes of ``input``, or of each of ``inputs``."""
        several = body["inputs"] if "inputs" in body else [body.get("input")]
        if not isinstance(several, list) or not several:
            raise Refusal(text("server.malformed"))
        if len(several) > MOST_INPUTS:
            raise Refusal(text("predict.too_many", most=f"{MOST_INPUTS:,}"))
        run, inputs, options = _run(body), [_given(one) for one in several], options_of(body)
        try:
            return await answer(
                request, self.anneal, "predict", run=run, inputs=inputs, options=options
            )
        except BadInput as problem:
            raise Refusal(str(problem)) from None

    async def texts(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The texts of a file that holds many: ``name``, ``file`` in base64, and, where they are
        chosen, the ``column`` and whether there is a ``header``."""
        asked = {key: body.get(key) for key in ASKED}
        if not all(isinstance(asked[key], kind) for key, kind in ASKED.items()):
            raise Refusal(text("server.malformed"))
        check_text({key: value for key, value in asked.items() if isinstance(value, str)})
        try:
            return await answer(request, self.anneal, "texts", **asked)
        except BadInput as problem:
            raise Refusal(str(problem)) from None

    async def stream(self, request: Request) -> Response:
        """Lines of JSON: ``{"part": text}`` as they come, then ``{"answer"}`` or ``{"error"}``."""
        try:
            check_origin(request)
            body = await read_body(request, LONGEST_QUESTION)
            run, given, options = _run(body), _given(body.get("input")), options_of(body)
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)
        return self.streamed("stream", run=run, given=given, options=options)

    async def explain(self, request: Request) -> Response:
        """Why ``run`` answers so to ``input``: lines as `stream` gives, whose parts are shares of
        what is done. ``how`` names an explanation, with its ``settings``; without it the answer
        holds those that there are. ``target`` is the number that is explained, ``against`` the one
        that is taken off it, ``other`` a second input."""
        try:
            check_origin(request)
            body = await read_body(request, LONGEST_QUESTION)
            how, settings = body.get("how"), body.get("settings") or {}
            numbers = {name: body.get(name) for name in ("target", "against")}
            if not (isinstance(how, str | None) and isinstance(settings, dict) and all(
                one is None or (isinstance(one, int) and not isinstance(one, bool))
                for one in numbers.values()
            )):  # fmt: skip
                raise Refusal(text("server.malformed"))
            check_text([how or "", settings])
            other = None if body.get("other") is None else _given(body["other"])
            payload = {"run": _run(body), "given": _given(body.get("input")), "how": how,
                       "settings": settings, "other": other, **numbers}  # fmt: skip
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)
        return self.streamed("explain", **payload)

    def streamed(self, question: str, **payload: Any) -> Response:
        """The answer to a question, line by line."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        lines = self.lines(question, **payload)
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)

    async def lines(self, question: str, **payload: Any) -> AsyncIterator[bytes]:
        """Each piece of an answer as a line, then its end."""
        try:
            async with contextlib.aclosing(pieces(self.anneal, question, **payload)) as coming:
                async for piece in coming:
                    said = {"part": piece} if isinstance(piece, str) else {"answer": plain(piece)}
                    yield orjson.dumps(said) + b"\n"
        except (BadInput, Refusal) as problem:
            yield orjson.dumps({"error": str(problem)}) + b"\n"


def _run(body: Mapping[str, Any]) -> int:
    run = body.get("run")
    if not isinstance(run, int) or isinstance(run, bool):
        raise Refusal(text("server.malformed"))
    return run


def _given(given: Any) -> dict[str, str]:
    """One input, of the one kind that it says."""
    if not isinstance(given, dict):
        raise Refusal(text("server.malformed"))
    found = {kind: given[kind] for kind in GIVEN if isinstance(given.get(kind), str)}
    if len(found) != 1:
        raise Refusal(text("server.malformed"))
    check_text(found)
    if len(found.get("text", "")) > LONGEST_TEXT:
        raise Refusal(text("predict.text.too_long", most=f"{LONGEST_TEXT:,}"))
    return found


def described(run: Run, catalog: Catalog) -> dict[str, Any]:
    """A run as the page offers it: what it takes, what it can be tried with, how it answers."""
    data, model, task = (
        _card(catalog, kind, name)
        for kind, name in (("data", run.data), ("model", run.model), ("task", run.task))
    )
    provides = data.provides if data else frozenset[str]()
    return {
        "id": run.id, "name": run.name, "state": run.state,
        "model": model.label if model else run.model,
        "task": task.label if task else run.task,
        "takes": "seed" if task and task.invents
        else next((item for item in ITEMS if item in provides), "image"),
        "gives": sorted(task.fits) if task else [],
        "tries": [drawn(f, "try", task, f.default, {}) for f in task.tries] if task else [],
        "streams": bool(task and task.streams),
        "data": None if data and data.hidden and run.dataset is None else
        run.data if run.dataset is None else f"{run.data}:{run.dataset}",
        "step": run.best_step if run.best_step is not None else run.saved_step,
    }  # fmt: skip


def _card(catalog: Catalog, kind: Any, name: str) -> Card | None:
    """None when it is from a time when there was another card."""
    try:
        return catalog.card(kind, name)
    except BadInput:
        return None
