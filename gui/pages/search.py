"""Search: which settings do best, tried one after the other by a sampler that learns from them.

======================================  =========================================================
GET  /api/search                        every search, and how far it is
GET  /api/search/form                   the form; ``?clone=14`` has the settings of a run
POST /api/search/form                   the same for what is set on it
POST /api/search                        begin
GET  /api/search/{id}                   what a search has found so far, and its trials
POST /api/search/{id}/importance        how much each setting mattered
GET  /api/search/{id}.csv               a line a trial
POST /api/search/{id}/{action}          resume, pause, stop, delete
======================================  =========================================================
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from engine import comparisons, searches
from engine.catalog import KINDS, BadInput, Chosen, Frozen, Kind, Value
from engine.recipe import Recipe, compose, written
from engine.searches import Dimension, SearchPlan, Trial
from gui import assets, form
from gui.answering import answer, awaits
from gui.replies import Refusal, asking, changes, plain, reads, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request

    from gui.form import Option
    from gui.shell import Anneal
    from storage.values import Comparison, Run

PRUNERS: tuple[searches.PrunerName, ...] = ("median", "halving", "none")


class Asked(Frozen):
    """What a person has set on the page."""

    wanted: form.Wanted = form.Wanted()
    over: Mapping[str, str] = {}
    """What is searched, and where, as `searches.narrowed` reads it; by dotted names."""
    trials: int | str | None = searches.TRIALS
    metric: str = ""
    pruner: Literal["none", "median", "halving"] = "median"
    at_once: int | str | None = None
    sampler_seed: int | str | None = 0
    name: str = ""


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that search.js fills."""
    gr.HTML(
        html_template='<div class="an-page an-runs an-train an-starts an-search" id="an-main" '
                      'tabindex="-1"></div>',
        js_on_load=assets.mount("search.js"),
        apply_default_css=False,
    )  # fmt: skip


def routes(anneal: Anneal) -> list[Route]:
    """Every address above."""
    page = Search(anneal)

    def post(action: str, handler: Any) -> Route:
        endpoint = changes(handler, readonly=anneal.readonly)
        return Route(f"/api/search/{{id:int}}/{action}", endpoint, methods=["POST"])

    return [
        Route("/api/search", reads(page.all), methods=["GET"]),
        Route("/api/search", changes(page.begin, readonly=anneal.readonly), methods=["POST"]),
        Route("/api/search/form", reads(page.open), methods=["GET"]),
        Route("/api/search/form", awaits(page.change), methods=["POST"]),
        Route("/api/search/{id:int}.csv", reads(page.table), methods=["GET"]),
        Route("/api/search/{id:int}", reads(page.one), methods=["GET"]),
        Route("/api/search/{id:int}/importance", awaits(page.importance), methods=["POST"]),
        post("resume", page.resume),
        post("pause", page.pause),
        post("stop", page.stop),
        post("delete", page.delete),
    ]


class Search:
    """The page's addresses."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal
        self.catalog, self.history = anneal.catalog, anneal.history

    # --- the form -----------------------------------------------------------------------------

    def open(self, request: Request) -> Response:
        """The form as the page first shows it."""
        asked = Asked()
        said = request.query_params.get("clone", "")
        if said.isdecimal():
            with asking():
                run = self.history.run(int(said))
                made = Recipe.from_json(run.recipe)
                imported = self.history.datasets()
                asked = Asked(wanted=form.wanted_from(self.catalog, made, imported=imported))
        with asking():
            return reply(plain(self.plan(asked)))

    async def change(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The form for what is set on it now."""
        asked = read(body)
        with asking():
            return await run_in_threadpool(self.plan, asked)

    def plan(self, asked: Asked) -> dict[str, Any]:
        """What can be chosen and searched, and the problem in its way if there is one."""
        imported = self.history.datasets()
        held = form.chosen_options(self.catalog, asked.wanted, imported)
        drawn = form.plan(self.catalog, asked.wanted, imported=imported)
        cards: Chosen = {kind: option.card for kind, option in held.items()}
        names = {kind: option.key for kind, option in held.items()}
        space = self.space(asked, held)
        over = {name: said for name, said in asked.over.items() if name in space}
        metric = asked.metric if asked.metric in searches.metrics(cards["task"]) else ""
        settled = asked.model_copy(update={
            "wanted": asked.wanted.model_copy(update={"names": names}), "over": over,
            "metric": metric,
        })  # fmt: skip
        problem, made = None, None
        try:
            made = self.drawn_up(settled, held, space)
        except BadInput as trouble:
            problem = {"field": trouble.field, "text": str(trouble)}
        devices = [device.id for device in self.catalog.devices]
        return {
            "asked": settled.model_dump(mode="json"),
            "sections": drawn["sections"],
            "space": [
                {"setting": name, "said": over.get(name), "usual": str(one), "type": one.type,
                 "choices": [written(choice) for choice in one.choices], "log": one.log,
                 "low": one.low, "high": one.high}
                for name, one in space.items()
            ],
            "metrics": [*searches.metrics(cards["task"])],
            "pruners": list(PRUNERS),
            "at_once": searches.at_once(made, devices) if made else None,
            "automatic_name": form.automatic_name(held),
            "problem": problem,
            "searched": len(over),
            "trials": made.trials if made else None,
            "readonly": text("readonly") if self.anneal.readonly else None,
        }  # fmt: skip

    def space(self, asked: Asked, held: dict[Kind, Option]) -> dict[str, Dimension]:
        """What can be searched of the chosen cards, around what is set of them."""
        cards: Chosen = {kind: option.card for kind, option in held.items()}
        usual = self.catalog.defaults(cards) | form.settings_of(asked.wanted, held)
        found: dict[str, Dimension] = {}
        for kind in KINDS:
            values: dict[str, Value] = {
                name.partition(".")[2]: value for name, value in usual.items()
                if name.startswith(f"{kind}.")
            }  # fmt: skip
            found |= {one.setting: one for one in searches.offered(cards[kind], values, cards)}
        return found

    def drawn_up(
        self, asked: Asked, held: dict[Kind, Option], space: dict[str, Dimension]
    ) -> SearchPlan:
        """The plan of what is on the form. BadInput names the field at fault."""
        base = compose(
            self.catalog, names={kind: option.card.name for kind, option in held.items()},
            settings=form.settings_of(asked.wanted, held), start=asked.wanted.start,
            labels=asked.wanted.labels.strip() or None, device=asked.wanted.device,
        )  # fmt: skip
        over = [searches.narrowed(space[name], said) for name, said in asked.over.items()]
        return searches.drawn_up(
            self.catalog, base, over, trials=number(asked.trials, "trials") or searches.TRIALS,
            metric=asked.metric, pruner=asked.pruner, at_once=number(asked.at_once, "at_once"),
            seed=number(asked.sampler_seed, "sampler_seed") or 0,
        )  # fmt: skip

    def begin(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Write the search down: its process begins the trials. Its id, or the problem."""
        asked = read(body)
        try:
            held = form.chosen_options(self.catalog, asked.wanted, self.history.datasets())
            space = self.space(asked, held)
            if gone := [name for name in asked.over if name not in space]:
                raise BadInput(text("form.gone"), field=gone[0])
            made = self.drawn_up(asked, held, space)
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}
        name = " ".join(asked.name[:200].split()) or form.automatic_name(held)
        with asking():
            one = self.history.add_comparison(made.to_json(), name=name, open=True)
        self.anneal.poke()
        return {"search": one.id}

    # --- what there is ------------------------------------------------------------------------

    def all(self, request: Request) -> Response:
        """Every search, newest first."""
        states, told = self.history.states_of_comparisons(), []
        for one in self.history.comparisons():
            if comparisons.kind_of(one.plan) != searches.SEARCH:
                continue
            counts = states.get(one.id, {})
            total = SearchPlan.from_json(one.plan).trials
            done = sum(count for state, count in counts.items()
                       if searches.STATES[state] in searches.ENDED)  # fmt: skip
            state = "finished" if done >= total else "running" if one.open else "stopped"
            told.append({"id": one.id, "name": one.name, "created": one.created, "total": total,
                         "done": done, "state": state})  # fmt: skip
        return reply({"searches": told})

    def one(self, request: Request) -> Response:
        """What a search has found so far, and its trials."""
        one, plan, runs = self.found(request)
        trials = self.trials(plan, runs)
        best = searches.best_of(plan, trials)
        steps = {run.id: run for run in runs}
        count = {state: sum(t.state == state for t in trials) for state in searches.STATES.values()}
        failed = [text("search.failed", trial=t.number, run=t.run, reason=steps[t.run].reason)
                  for t in trials if t.state == "failed"]  # fmt: skip
        return reply(plain({
            "id": one.id, "name": one.name, "created": one.created, "open": one.open,
            "state": searches.state_of(plan, trials, going=one.open),
            "metric": plan.series, "larger": plan.larger, "total": plan.trials,
            "done": sum(trial.ended for trial in trials), "count": count, "pruner": plan.pruner,
            "space": [self.axis(plan, one_) for one_ in plan.space],
            "trials": [
                {**asdict(trial), "ticks": None, "best": trial == best,
                 "step": steps[trial.run].step, "steps": steps[trial.run].steps,
                 "run_state": steps[trial.run].state}
                for trial in trials
            ],
            "best": best and {"run": best.run, "number": best.number, "value": best.value},
            "notices": list(dict.fromkeys(failed))[:4], "readonly": self.anneal.readonly,
            "command": self.command(plan, one.name),
        }))  # fmt: skip

    def axis(self, plan: SearchPlan, one: Dimension) -> dict[str, Any]:
        """A dimension as the figure draws it."""
        card = plan.base.cards(self.catalog)[one.kind]
        return {"setting": one.setting, "label": card.field(one.name).label, "low": one.low,
                "high": one.high, "log": one.log, "type": one.type,
                "choices": list(one.choices), "said": str(one)}  # fmt: skip

    def command(self, plan: SearchPlan, name: str) -> str:
        """The line that repeats it."""
        home = self.anneal.home if self.anneal.home_is_named else None
        return searches.command(plan, form.command(self.catalog, plan.base, home=home), name=name)

    def trials(self, plan: SearchPlan, runs: list[Run]) -> list[Trial]:
        """A search's trials, as their runs tell them."""
        curves = {}
        for run in runs:
            found = self.history.curves(run.id, series=[plan.series])
            if plan.series in found:
                curves[run.id] = found[plan.series]
        return searches.trials_of(plan, runs, curves)

    async def importance(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """How much each setting mattered; nothing where too few trials went through."""

        def told() -> tuple[SearchPlan, list[Trial]]:
            _, plan, runs = self.found(request)
            return plan, self.trials(plan, runs)

        plan, trials = await run_in_threadpool(told)
        try:
            return await answer(
                request, self.anneal, "importance", plan=plan.to_json(),
                trials=[asdict(trial) for trial in trials if trial.state == "complete"],
            )  # fmt: skip
        except BadInput as problem:
            raise Refusal(str(problem)) from None

    def table(self, request: Request) -> Response:
        """A line a trial."""
        one, plan, runs = self.found(request)
        out = io.StringIO()
        lines = csv.writer(out)
        names = [dimension.setting for dimension in plan.space]
        lines.writerow(["trial", "run", "state", plan.series, "seconds", *names])
        for trial in self.trials(plan, runs):
            own = [written(trial.settings[name]) for name in names]
            value = "" if trial.value is None else trial.value
            lines.writerow([trial.number, trial.run, trial.state, value, trial.seconds, *own])
        named = {"Content-Disposition": f'attachment; filename="search-{one.id}.csv"'}
        return Response(out.getvalue(), media_type="text/csv", headers=named)

    # --- changing -----------------------------------------------------------------------------

    def resume(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Go on with it."""
        one, _, _ = self.found(request)
        with asking():
            searches.go_on(self.history, one.id)
        self.anneal.poke()
        return {}

    def pause(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Begin no more trials, and pause those under way."""
        one, _, _ = self.found(request)
        with asking():
            searches.leave(self.history, one.id, "pause")
        return {}

    def stop(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Begin no more trials, and cancel those under way."""
        one, _, _ = self.found(request)
        with asking():
            searches.leave(self.history, one.id, "cancel")
        return {}

    def delete(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Forget it with its runs and their files."""
        one, _, _ = self.found(request)
        with asking():
            gone = self.history.delete_comparison(one.id)
        for run in gone:
            shutil.rmtree(self.anneal.home / "runs" / str(run), ignore_errors=True)
        return {"deleted": len(gone)}

    def found(self, request: Request) -> tuple[Comparison, SearchPlan, list[Run]]:
        with asking():
            one = self.history.comparison(request.path_params["id"])
            if comparisons.kind_of(one.plan) != searches.SEARCH:
                raise LookupError(text("reply.nothing"))
            return one, SearchPlan.from_json(one.plan), self.history.runs_of(one.id)


def read(body: dict[str, Any]) -> Asked:
    """What the page sent. Refusal when it isn't what a page sends."""
    try:
        return Asked.model_validate(body)
    except ValueError:
        raise Refusal(text("server.malformed")) from None


def number(said: int | str | None, field: str) -> int | None:
    """A whole number, None where nothing is said. BadInput otherwise."""
    words = str(said if said is not None else "").strip().replace(",", "")
    if not words:
        return None
    if not (words.isascii() and words.isdecimal()):
        raise BadInput(text("search.bad_number"), field=field)
    return int(words)
