"""The history: every run in one table, and the queue above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from gui import assets

if TYPE_CHECKING:
    from starlette.routing import Route

    from gui.shell import Anneal


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that runs.js fills."""
    gr.HTML(
        html_template='<div class="an-page an-runs" id="an-main" tabindex="-1"></div>',
        js_on_load=assets.mount("runs.js"),
        apply_default_css=False,
    )


def routes(anneal: Anneal) -> list[Route]:
    """None of its own: see `gui.run_routes`."""
    return []
