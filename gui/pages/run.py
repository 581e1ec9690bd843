"""One run: its curves while it trains, what it measured, and what can be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from gui import assets, exports, mistakes, run_routes, smaller

if TYPE_CHECKING:
    from starlette.routing import Route

    from gui.shell import Anneal


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that run.js fills."""
    gr.HTML(
        html_template='<div class="an-page an-runs" id="an-main" tabindex="-1"></div>',
        js_on_load=assets.mount("run.js"),
        apply_default_css=False,
    )


def routes(anneal: Anneal) -> list[Route]:
    """The addresses that all three pages about runs share, and those about a run's items, about
    what makes it smaller and about taking its model away."""
    return [
        *run_routes.routes(anneal), *mistakes.routes(anneal), *smaller.routes(anneal),
        *exports.routes(anneal),
    ]  # fmt: skip
