"""Predict: try a run's best checkpoint on a drawing, a picture or a sequence."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.routing import Route

from engine.catalog import BadInput, Catalog
from gui import assets
from gui.answering import answer, awaits
from gui.replies import Refusal, plain, reads, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import Run

OFFERED = 500
"""Runs looked through for checkpoints: the newest ones."""
GIVEN = ("png", "text")
"""What a page may send. Nothing else reaches the predictor, which could also open files."""


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that predict.js fills."""
    gr.HTML(
        html_template='<div class="an-page an-predict" id="an-main" tabindex="-1"></div>',
        js_on_load=assets.mount("predict.js"),
        apply_default_css=False,
    )


def routes(anneal: Anneal) -> list[Route]:
    """Which runs can be asked, and what one answers."""
    page = Predict(anneal)
    return [
        Route("/api/predict", reads(page.runs), methods=["GET"]),
        Route("/api/predict", awaits(page.predict), methods=["POST"]),
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
        }))  # fmt: skip

    async def predict(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The classes with their probabilities, or what the model made of the input."""
        run, given = body.get("run"), body.get("input")
        if not isinstance(run, int) or not isinstance(given, dict):
            raise Refusal(text("server.malformed"))
        inputs = [{kind: given[kind]} for kind in GIVEN if isinstance(given.get(kind), str)]
        if len(inputs) != 1:
            raise Refusal(text("server.malformed"))
        try:
            return await answer(request, self.anneal, "predict", run=run, inputs=inputs)
        except BadInput as problem:
            raise Refusal(str(problem)) from None


def described(run: Run, catalog: Catalog) -> dict[str, Any]:
    """A run as the page offers it; `takes` is what its data is made of."""
    try:
        provides = catalog.card("data", run.data).provides
        model = catalog.card("model", run.model).label
    except BadInput:  # from a time when there was another card
        provides, model = frozenset(), run.model
    return {
        "id": run.id, "name": run.name, "state": run.state, "model": model,
        "takes": next(iter(sorted(provides - {"label"})), "image"),
        "data": run.data if run.dataset is None else f"{run.data}:{run.dataset}",
        "step": run.best_step if run.best_step is not None else run.saved_step,
    }  # fmt: skip
