"""Does pretraining help? Accuracy over labels from two or more starts.

=====================================  ==========================================================
GET  /api/starts                       every comparison, and how far it is
GET  /api/starts/form                  the form; ``?start=14`` has chosen a run to start from
POST /api/starts/form                  the same for what is set on it
POST /api/starts/estimate              how many runs, and about how long they take
POST /api/starts                       begin
GET  /api/starts/{id}                  what a comparison says so far, and its runs
GET  /api/starts/{id}.csv              a line a run
POST /api/starts/{id}/{action}         resume, stop, delete
=====================================  ==========================================================
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from engine import comparisons
from engine.catalog import BadInput, Card, Frozen, Kind, Value
from engine.comparisons import ComparisonPlan, Findings, Start
from engine.recipe import PUBLISHED, Recipe, is_path
from gui import assets, form, verdict
from gui.answering import answer, awaits
from gui.comparing import Comparing
from gui.replies import Refusal, asking, plain, reads, reply
from gui.text import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from gui.form import Option
    from gui.shell import Anneal
    from storage.values import Comparison, DatasetRow, Run

OFFERED = 200
"""Runs looked through for weights to start from: the newest ones."""
WORDS = {1: "sure", 0: "unsure", -1: "worse"}


class Asked(Frozen):
    """What a person has set on the page."""

    wanted: form.Wanted = form.Wanted()
    starts: tuple[Start, ...] | None = None
    """None before anybody has chosen: scratch, and the newest run that fits."""
    amounts: str = ", ".join(comparisons.AMOUNTS)
    seeds: int | str | None = comparisons.SEEDS
    adapt: str = ""
    steps: int | str | None = None
    name: str = ""


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that starts.js fills."""
    gr.HTML(
        html_template='<div class="an-page an-runs an-train an-starts" id="an-main" tabindex="-1">'
                      "</div>",
        js_on_load=assets.mount("starts.js"),
        apply_default_css=False,
    )  # fmt: skip


def routes(anneal: Anneal) -> list[Route]:
    """Every address above."""
    page = Starts(anneal)
    return [
        *page.routes(),
        Route("/api/starts", awaits(page.begin), methods=["POST"]),
        Route("/api/starts/form", reads(page.open), methods=["GET"]),
        Route("/api/starts/form", awaits(page.change), methods=["POST"]),
        Route("/api/starts/estimate", awaits(page.estimate), methods=["POST"]),
        Route("/api/starts/{id:int}.csv", reads(page.table), methods=["GET"]),
    ]


class Starts(Comparing[ComparisonPlan]):
    """The page's addresses."""

    address, kind = "/api/starts", comparisons.STARTS

    def read(self, one: Comparison) -> ComparisonPlan:
        return ComparisonPlan.from_json(one.plan)

    # --- the form -----------------------------------------------------------------------------

    def open(self, request: Request) -> Response:
        """The form as the page first shows it."""
        asked = Asked()
        said = request.query_params.get("start", "")
        if said.isdecimal():
            with asking():
                run = self.history.run(int(said))
                made = Recipe.from_json(run.recipe)
            names: dict[Kind, str] = {"model": made.model.name}
            asked = Asked(wanted=form.Wanted(names=names), starts=(None, run.id))
        with asking():
            return reply(plain(self.plan(asked)))

    async def change(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The form for what is set on it now."""
        asked = read(body)
        with asking():
            return await run_in_threadpool(self.plan, asked)

    def plan(self, asked: Asked) -> dict[str, Any]:
        """What can be chosen, and the plan that it makes or the problem in its way."""
        imported = self.history.datasets()
        held, asked, runs = self.settled(asked, imported)
        drawn = form.plan(self.catalog, asked.wanted, imported=imported)
        apt = [card for card in self.catalog.of("method") if card.adapts and self.goes(card, held)]
        problem, made = None, None
        try:
            made = self.drawn_up(asked, held, runs)
        except BadInput as trouble:
            problem = {"field": trouble.field, "text": str(trouble)}
        published = held["model"].card.published
        return {
            "asked": asked.model_dump(mode="json"),
            "sections": drawn["sections"],
            "starts": [
                {"id": None, "label": text("starts.scratch")},
                *([{"id": PUBLISHED, "label": text("starts.published")}] if published else []),
                *({"id": run.id, "label": text("starts.run", run=run.id, name=run.name)}
                  for run in runs),
            ],
            "adapt": [{"id": "", "label": text("starts.adapt.same")},
                      *({"id": card.name, "label": card.label} for card in apt)],
            "automatic_name": form.automatic_name(held),
            "problem": problem,
            "runs": len(made.cells()) if made else None,
            "grid": text("starts.plan.grid", starts=len(made.starts), amounts=len(made.amounts),
                         seeds=made.seeds) if made else None,
            "notices": self.known(made) if made else [],
            "readonly": text("readonly") if self.anneal.readonly else None,
        }  # fmt: skip

    def settled(
        self, asked: Asked, imported: Sequence[DatasetRow]
    ) -> tuple[dict[Kind, Option], Asked, list[Run]]:
        """Four options that go together, what is asked with them, and the runs to start from."""
        names = {kind: key for kind, key in asked.wanted.names.items() if kind != "method"}
        wanted = asked.wanted.model_copy(update={"names": names, "start": None})
        held = form.chosen_options(self.catalog, wanted, imported)
        every, _ = self.history.runs(limit=OFFERED, comparison=False)
        runs = [run for run in every
                if run.saved_step is not None
                and held["model"].card.starts_from(run.model)]  # fmt: skip
        there: list[Start] = [None, PUBLISHED]
        there += [run.id for run in runs]
        published = held["model"].card.published
        starts: list[Start]
        if asked.starts is None:
            starts = [None, *(run.id for run in runs[:1])]
            starts += [PUBLISHED] if published and not runs else []
        else:
            starts = [start for start in asked.starts if is_path(start) or start in there]
        starts.sort(key=lambda start: there.index(start) if start in there else len(there))
        keys = {kind: option.key for kind, option in held.items()}
        adapt = asked.adapt
        if adapt and not self.goes(self.catalog.card("method", adapt), held):
            adapt = ""
        return held, asked.model_copy(update={
            "wanted": wanted.model_copy(update={"names": keys}), "starts": tuple(starts),
            "adapt": adapt,
        }), runs  # fmt: skip

    def goes(self, card: Card, held: dict[Kind, Option]) -> bool:
        """Whether a method goes with the other choices."""
        cards = {kind: option.card for kind, option in held.items()}
        return self.catalog.obstacle({**cards, "method": card}) is None

    def drawn_up(self, asked: Asked, held: dict[Kind, Option], runs: list[Run]) -> ComparisonPlan:
        """The plan of what is on the form. BadInput names the field at fault."""
        names: dict[Kind, str] = {kind: option.card.name for kind, option in held.items()}
        settings: dict[str, Value] = {}
        # Weights go with the model's settings of the run that learned them.
        first = next((run for run in runs if run.id in (asked.starts or ())), None)
        if first is not None:
            made = held["model"].card.shared(Recipe.from_json(first.recipe).model.settings)
            settings |= {f"model.{name}": value for name, value in made.items()}
        return comparisons.drawn_up(
            self.catalog, names=names, settings=settings | form.settings_of(asked.wanted, held),
            starts=asked.starts or (), amounts=asked.amounts.split(","),
            seeds=number(asked.seeds, "seeds") or comparisons.SEEDS, adapt=asked.adapt,
            steps=number(asked.steps, "steps"), device=asked.wanted.device,
        )  # fmt: skip

    def known(self, plan: ComparisonPlan) -> list[str]:
        """What is to be said of starts that have seen the labels."""
        return verdict.warnings(plan, self.catalog, self.history.line)

    async def estimate(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """How many runs of how many steps, and about how long, or the sentence why not."""
        asked = read(body)
        try:
            made, _ = await run_in_threadpool(self.wanted, asked)
            return await answer(request, self.anneal, "foretell", plan=made.to_json())
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}

    def wanted(self, asked: Asked) -> tuple[ComparisonPlan, str]:
        """The plan of what is on the form, and what it is called when nobody says."""
        held, settled, runs = self.settled(asked, self.history.datasets())
        return self.drawn_up(settled, held, runs), form.automatic_name(held)

    async def begin(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Count the labels and queue the runs; the comparison's id, or the problem."""
        if self.anneal.readonly:
            raise Refusal(text("readonly"), 403)
        asked = read(body)
        try:
            made, usual = await run_in_threadpool(self.wanted, asked)
            counted = await answer(request, self.anneal, "count", plan=made.to_json())
            plan = ComparisonPlan.from_json(counted["plan"])
            for cell in plan.cells():
                plan.recipe(cell, self.catalog)  # that none is refused once some are queued
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}
        name = " ".join(asked.name[:200].split()) or usual
        return await run_in_threadpool(self.queue, plan, name)

    # --- what there is ------------------------------------------------------------------------

    def one(self, request: Request) -> Response:
        """What a comparison says so far, and its runs."""
        one, plan, runs = self.found(request)
        found = comparisons.findings(plan, runs)
        placed = comparisons.placed(plan, runs)
        home = self.anneal.home if self.anneal.home_is_named else None
        return reply(plain({
            **self.about(one, placed), "runs": len(runs),
            "measure": found.measure.rpartition("/")[2],
            "share": verdict.is_share(found.measure), "larger": found.larger,
            "steps": plan.steps, "seeds": plan.seeds,
            "fair": text("starts.fair", looks=comparisons.LOOKS),
            "starts": [self.start(plan, start, found) for start in plan.starts],
            "ticks": [{"items": plan.items[amount], "amount": amount} for amount in plan.amounts],
            "places": self.places(plan, found),
            "said": verdict.sentences(plan, found),
            "saved": self.saved(plan, found),
            "cells": [
                {"start": plan.starts.index(cell.start), "amount": cell.amount, "seed": cell.seed,
                 "run": run and run.id, "state": run.state if run else None,
                 "step": run.step if run else 0, "steps": plan.steps}
                for cell, run in placed.items()
            ],
            "knows": [*self.known(plan), *verdict.partial(found)],
            "command": comparisons.command(self.catalog, plan, name=one.name, home=home),
        }))  # fmt: skip

    def start(self, plan: ComparisonPlan, start: Start, found: Findings) -> dict[str, Any]:
        """A start with the time that it took, and the time before that."""
        runs = [place for place in found.places if place.start == start]
        before = None
        if isinstance(start, int):
            try:
                before = self.history.run(start).seconds
            except LookupError:
                before = None
        count = sum(place.score.count for place in runs)
        return {
            "label": verdict.start_name(start), "run": start if isinstance(start, int) else None,
            "method": self.catalog.card("method", plan.method(start).name).label,
            "all": found.seconds[start], "before": before,
            "each": sum(p.seconds * p.score.count for p in runs) / count if count else None,
        }  # fmt: skip

    def places(self, plan: ComparisonPlan, found: Findings) -> list[dict[str, Any]]:
        """The points of the figure."""
        return [
            {"start": plan.starts.index(place.start), "amount": place.amount, "items": place.items,
             "mean": place.score.mean, "half": place.score.half,
             "score": verdict.score(found.measure, place.score), "seconds": place.seconds,
             "labels": verdict.labels(place.amount, place.items),
             "values": [{"seed": seed, "value": value} for seed, value in place.values.items()],
             "runs": list(place.runs)}
            for place in found.places
        ]  # fmt: skip

    def saved(self, plan: ComparisonPlan, found: Findings) -> list[dict[str, Any]]:
        """The rows of the table of labels saved."""
        gaps = {(gap.start, gap.amount): gap for gap in found.gaps}
        places = {(place.start, place.amount): place for place in found.places}
        rows = []
        for one in found.savings:
            gap = gaps.get((one.start, one.amount))
            if one.needed is None:
                needs = text("starts.saved.more", most=f"{one.most:,}")
                saved = text("starts.saved.over", times=verdict.times(one.times))
            else:
                kind = "starts.saved.fewest" if one.fewest else ""
                needs = text(kind, needed=f"{one.needed:,.0f}") if kind else f"{one.needed:,.0f}"
                saved = text("starts.saved.upto" if one.fewest else "starts.saved.about",
                             times=verdict.times(one.times))  # fmt: skip
            sure = 0 if gap is None else gap.sure
            unsure = gap is None or gap.better.half is None
            rows.append({
                "start": plan.starts.index(one.start),
                "labels": verdict.labels(one.amount, one.items),
                "score": verdict.score(found.measure, places[one.start, one.amount].score),
                "better": verdict.score(found.measure, gap.better) if gap else "–",
                "sure": sure,
                "word": text(f"starts.saved.{'unknown' if unsure else WORDS[sure]}"),
                "needs": needs, "saved": saved,
            })  # fmt: skip
        return rows

    def table(self, request: Request) -> Response:
        """A line a run: start, labels, seed, the measure, seconds."""
        one, plan, runs = self.found(request)
        found = comparisons.findings(plan, runs)
        out = io.StringIO()
        lines = csv.writer(out)
        lines.writerow(["start", "labels", "items", "seed", "run", "state", "measure", "value",
                        "seconds"])  # fmt: skip
        for cell, run in comparisons.placed(plan, runs).items():
            done = run is not None and run.state == "finished"
            lines.writerow([
                comparisons.called(cell.start), cell.amount, plan.items[cell.amount], cell.seed,
                run.id if run else "", run.state if run else "", found.measure,
                run.metrics.get(found.measure, "") if run and done else "",
                run.seconds if run and done else "",
            ])  # fmt: skip
        named = {"Content-Disposition": f'attachment; filename="comparison-{one.id}.csv"'}
        return Response(out.getvalue(), media_type="text/csv", headers=named)


def read(body: dict[str, Any]) -> Asked:
    """What the page sent. Refusal when it isn't what a page sends."""
    try:
        return Asked.model_validate(body)
    except ValueError:
        raise Refusal(text("server.malformed")) from None


def number(said: int | str | None, field: str) -> int | None:
    """A whole number above zero, None where nothing is said. BadInput otherwise."""
    written = str(said if said is not None else "").strip().replace(",", "")
    if not written:
        return None
    if not (written.isascii() and written.isdecimal() and int(written)):
        raise BadInput(text("comparison.bad_number"), field=field)
    return int(written)
