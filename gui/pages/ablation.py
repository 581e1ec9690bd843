"""Does the augmentation help? The same run with and without it, over several seeds.

=====================================  ==========================================================
GET  /api/ablations                    every ablation, and how far it is
POST /api/ablations/plan               what would be left out of a form's or a run's recipe
POST /api/ablations/estimate           about how long that takes
POST /api/ablations                    begin
GET  /api/ablations/{id}               what an ablation says so far, and its runs
POST /api/ablations/{id}/{action}      resume, stop, delete
=====================================  ==========================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from engine import ablations, comparisons
from engine.ablations import ABLATION, WITH, AblationPlan
from engine.catalog import BadInput, Frozen
from engine.recipe import Recipe
from gui import assets, form, verdict
from gui.answering import answer, awaits
from gui.comparing import Comparing
from gui.replies import Refusal, asking, plain, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import Comparison


class Asked(Frozen):
    """What a person has set: on Train's form, or by naming a run."""

    wanted: form.Wanted | None = None
    run: int | None = None
    seeds: int = comparisons.SEEDS
    each: bool = False


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that ablation.js fills."""
    gr.HTML(
        html_template='<div class="an-page an-runs an-starts" id="an-main" tabindex="-1"></div>',
        js_on_load=assets.mount("ablation.js"),
        apply_default_css=False,
    )


def routes(anneal: Anneal) -> list[Route]:
    """Every address above."""
    page = Ablations(anneal)
    return [
        *page.routes(),
        Route("/api/ablations", awaits(page.begin), methods=["POST"]),
        Route("/api/ablations/plan", awaits(page.plan), methods=["POST"]),
        Route("/api/ablations/estimate", awaits(page.estimate), methods=["POST"]),
    ]


class Ablations(Comparing[AblationPlan]):
    """The page's addresses."""

    address, kind = "/api/ablations", ABLATION

    def read(self, one: Comparison) -> AblationPlan:
        return AblationPlan.from_json(one.plan)

    # --- the dialog ---------------------------------------------------------------------------

    async def plan(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """What would be left out, and how many runs that makes, or the problem in the way."""
        asked = read(body)
        try:
            made, _ = await run_in_threadpool(self.drawn_up, asked)
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}
        card = self.catalog.card("data", made.whole.data.name)
        return {
            "out": [{"label": field.label, "value": made.whole.data.settings[field.name],
                     "unit": field.unit}
                    for field in (card.field(one.setting) for one in made.chosen)],
            "runs": len(made.cells()),
            "readonly": self.anneal.readonly,
        }  # fmt: skip

    async def estimate(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """About how long all of it takes: each run as long as the one with the augmentation."""
        asked = read(body)
        try:
            made, _ = await run_in_threadpool(self.drawn_up, asked)
            found = await answer(request, self.anneal, "estimate", recipe=made.whole.to_json())
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}
        return {"seconds": found["seconds"] * len(made.cells()),
                "device_name": found["device_name"]}  # fmt: skip

    def drawn_up(self, asked: Asked) -> tuple[AblationPlan, str]:
        """The plan, and what it is called. BadInput names the field at fault."""
        imported = self.history.datasets()
        if asked.run is not None:
            with asking():
                run = self.history.run(asked.run)
                made, name = Recipe.from_json(run.recipe), run.name
        elif asked.wanted is not None:
            made = form.recipe(self.catalog, asked.wanted, imported=imported)
            held = form.chosen_options(self.catalog, asked.wanted, imported)
            name = " ".join(asked.wanted.name[:200].split()) or form.automatic_name(held)
        else:
            raise Refusal(text("server.malformed"))
        return ablations.drawn_up(self.catalog, made, seeds=asked.seeds, each=asked.each), name

    async def begin(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Queue the runs; the ablation's id, or the problem."""
        if self.anneal.readonly:
            raise Refusal(text("readonly"), 403)
        asked = read(body)
        try:
            made, name = await run_in_threadpool(self.drawn_up, asked)
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}
        return await run_in_threadpool(self.queue, made, name)

    # --- what one says ------------------------------------------------------------------------

    def one(self, request: Request) -> Response:
        """What an ablation says so far, and its runs."""
        one, plan, runs = self.found(request)
        found = ablations.findings(plan, runs)
        placed = comparisons.placed(plan, runs)
        card = self.catalog.card("data", plan.whole.data.name)
        better = {gap.arm: gap for gap in found.differences}
        scores = {arm.arm: arm for arm in found.arms}
        arms = list(plan.arms)
        return reply(plain({
            **self.about(one, placed),
            "measure": found.measure.rpartition("/")[2],
            "share": verdict.is_share(found.measure),
            "said": verdict.of_ablation(plan, found, card),
            "arms": [
                {"label": verdict.arm_name(arm, card),
                 **self.numbers(found.measure, scores.get(arm), better.get(arm))}
                for arm in arms
            ],
            "whole": arms.index(WITH),
            "cells": [
                {"arm": arms.index(cell.arm), "seed": cell.seed, "run": run and run.id,
                 "state": run.state if run else None, "step": run.step if run else 0,
                 "steps": run.steps if run else 0}
                for cell, run in placed.items()
            ],
            "command": self.command(plan, one.name),
        }))  # fmt: skip

    def numbers(
        self, measure: str, score: ablations.ArmScore | None, gap: ablations.Difference | None
    ) -> dict[str, Any]:
        """A row of the table, and the points of the figure."""
        return {
            "score": verdict.spread(measure, score.score) if score else None,
            "mean": score.score.mean if score else None,
            "deviation": score.score.deviation if score else None,
            "values": [{"seed": seed, "value": value} for seed, value in score.values.items()]
            if score else [],
            "seconds": score.seconds if score else None,
            "better": verdict.step(measure, gap.better) if gap else None,
            "interval": verdict.interval(measure, gap.better) if gap else None,
            "sure": gap.better.sure if gap else 0,
        }  # fmt: skip

    def command(self, plan: AblationPlan, name: str) -> str:
        """The line that repeats it."""
        more = ["--seeds", str(plan.seeds), *(["--each"] if plan.each else [])]
        return form.command(
            self.catalog, plan.whole, verb="ablate", name=name, more=more,
            home=self.anneal.home if self.anneal.home_is_named else None,
        )  # fmt: skip


def read(body: dict[str, Any]) -> Asked:
    """What the page sent. Refusal when it isn't what a page sends."""
    try:
        return Asked.model_validate(body)
    except ValueError:
        raise Refusal(text("server.malformed")) from None
