"""Few examples: a model from the names of classes, or a few examples of each, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from engine.catalog import BadInput
from gui import assets, few
from gui.answering import awaits
from gui.pages.train import earlier, enqueue, waiting
from gui.replies import Refusal, asking, changes, check_text, reads, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that few.js fills from its plan."""
    gr.HTML(
        html_template='<div class="an-page an-train an-few" id="an-main" tabindex="-1"></div>',
        js_on_load=assets.mount("few.js"),
        apply_default_css=False,
    )


def routes(anneal: Anneal) -> list[Route]:
    """What can be chosen for what is on the page, and the start of its run."""
    page = Few(anneal)
    return [
        Route("/api/few", reads(page.open), methods=["GET"]),
        Route("/api/few", awaits(page.change), methods=["POST"]),
        Route("/api/few/make", changes(page.make, readonly=anneal.readonly), methods=["POST"]),
    ]


class Few:
    """The page's addresses."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal

    def open(self, request: Request) -> Response:
        """The page as it is first shown; ``?clone=14`` as it was for that run, ``?start=14`` with
        that run's eyes."""
        asked, notices = few.Asked(), []
        clone, start = (request.query_params.get(name, "") for name in ("clone", "start"))
        with asking():
            if clone.isdecimal():
                run = self.anneal.history.run(int(clone))
                asked = few.asked_from(
                    self.anneal.catalog, run, self.anneal.history.datasets()
                ).model_copy(update={"name": ""})
                notices.append(text("train.cloned", run=run.id))
            elif start.isdecimal():
                run = self.anneal.history.run(int(start))
                asked = few.seen_by(self.anneal.catalog, run)
        return reply({**self.plan(asked), "notices": notices})

    async def change(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The plan for what is on the page now."""
        return {**await run_in_threadpool(self.plan, read(body)), "notices": []}

    def plan(self, asked: few.Asked) -> dict[str, Any]:
        """The page's plan from the catalogue and the history."""
        anneal = self.anneal
        return {
            **few.plan(
                anneal.catalog, asked, imported=anneal.history.datasets(),
                earlier=earlier(anneal), home=anneal.home if anneal.home_is_named else None,
                runs=anneal.home / "runs",
            ),
            "queue": waiting(anneal),
            "readonly": text("readonly") if anneal.readonly else None,
        }  # fmt: skip

    def make(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Queue the run; its number, or the problem and the field that has it."""
        asked = read(body)
        anneal = self.anneal
        imported = anneal.history.datasets()
        try:
            made = few.recipe(anneal.catalog, asked, imported=imported, earlier=earlier(anneal))
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}
        data = next((o for o in few.datasets(anneal.catalog, asked.item, imported)
                     if o.key == asked.data), None)  # fmt: skip
        name = " ".join(asked.name[:200].split()) or few.automatic_name(asked, data)
        return {"run": enqueue(anneal, made, name)}


def read(body: dict[str, Any]) -> few.Asked:
    """What the page sent. Refusal when it isn't what a page sends."""
    check_text(body)
    try:
        return few.Asked.model_validate(body)
    except ValueError:
        raise Refusal(text("server.malformed")) from None
