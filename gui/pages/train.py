"""Train: choose a task, data, a model and how to train it; one click starts the run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from engine.catalog import KINDS, BadInput
from engine.recipe import Recipe
from gui import assets, form
from gui.answering import LONGEST_QUESTION, answer, awaits, in_lines, lines
from gui.replies import Refusal, asking, changes, check_origin, read_body, reads, reply
from gui.text import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import DatasetRow, Run

OFFERED_STARTS = 200
"""Earlier runs looked through for weights to start from: the newest ones."""
SHOWN, DRAWS = 4, 4
"""Items that show what augmentation does, and how often each is varied."""
MOST_SET = 20
"""Settings that an address may bring along."""


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that train.js fills from the form's plan."""
    gr.HTML(
        html_template='<div class="an-page an-train" id="an-main" tabindex="-1"></div>',
        js_on_load=assets.mount("train.js"),
        apply_default_css=False,
    )


def routes(anneal: Anneal) -> list[Route]:
    """The form's plan, an estimate of what is on it, what its augmentation does, values found for
    its settings, the start of a run, the queue's length."""
    page = Train(anneal)
    return [
        Route("/api/form", reads(page.open), methods=["GET"]),
        Route("/api/form", awaits(page.change), methods=["POST"]),
        Route("/api/estimate", awaits(page.estimate), methods=["POST"]),
        Route("/api/find/{question}", page.find, methods=["POST"]),
        Route("/api/preview", awaits(page.preview), methods=["POST"]),
        Route("/api/train", changes(page.train, readonly=anneal.readonly), methods=["POST"]),
        Route("/api/queue", reads(page.queue), methods=["GET"]),
    ]


class Train:
    """The page's addresses."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal
        self.catalog = anneal.catalog
        fields = [field for card in self.catalog.cards for field in card.fields]
        self.finders = {field.finder for field in fields if field.finder}

    def open(self, request: Request) -> Response:
        """``?clone=14``, ``?start=14`` or ``?data=3``: the form as the page first shows it.

        ``?task=Translation&data=NumberWords&model=AttentionGRU`` chooses cards by name, and
        ``&set=task.class_weights=balanced`` also sets a field of the chosen cards.
        """
        wanted, notices = form.Wanted(), []
        query = request.query_params
        imported = self.anneal.history.datasets()
        with asking():
            if clone := _number(query.get("clone")):
                run = self.anneal.history.run(clone)
                made = Recipe.from_json(run.recipe)
                wanted = form.wanted_from(self.catalog, made, name=run.name, imported=imported)
                missing = form.lost(made, wanted)
                notices.append(text("form.lost", run=run.id, names=", ".join(missing)) if missing
                               else text("train.cloned", run=run.id))  # fmt: skip
                newer = form.renewed(made, imported)
                notices += [newer] if newer else []
            if start := _number(query.get("start")):
                run = self.anneal.history.run(start)
                made = Recipe.from_json(run.recipe)
                wanted = form.wanted_from(self.catalog, made, imported=imported)
                wanted = wanted.model_copy(update={"start": run.id})
                notices.append(text("form.adopted", run=run.id))
        if data := _number(query.get("data")):
            keys = [o.key for o in form.options(self.catalog, "data", imported)
                    if o.dataset == data]  # fmt: skip
            wanted = wanted.model_copy(update={"names": {**wanted.names, "data": keys[0]}}) \
                if keys else wanted  # fmt: skip
            notices += [] if keys else [text("form.no_dataset", id=data)]
        named = {kind: query[kind] for kind in KINDS if query.get(kind) and not
                 (kind == "data" and data)}  # fmt: skip
        for kind, name in named.items():
            if name not in [o.key for o in form.options(self.catalog, kind, imported)]:
                notices.append(text("form.no_card", name=name[:80]))
        wanted = wanted.model_copy(update={"names": {**wanted.names, **named}})
        if settings := query.getlist("set")[:MOST_SET]:
            with asking():
                wanted, said = form.preset(self.catalog, wanted, settings, imported)
            notices += said
        return reply({**self.plan(wanted, imported), "notices": notices})

    async def change(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The plan for what is on the form now; ``adopt`` takes a starting run's settings over."""
        adopted = body.pop("adopt", None)
        wanted = read(body)
        notices = []
        if adopted is not None:
            with asking():
                run = await run_in_threadpool(self.anneal.history.run, int(adopted))
                wanted = form.adopt(self.catalog, wanted, Recipe.from_json(run.recipe))
                notices.append(text("form.adopted", run=run.id))
        elif (heir := await run_in_threadpool(self.heir, wanted)) is not None:
            wanted = heir
            notices.append(text("form.adopted", run=wanted.start))
        return {**await run_in_threadpool(self.plan, wanted), "notices": notices}

    def heir(self, wanted: form.Wanted) -> form.Wanted | None:
        """The form with another model that takes the starting run's weights, and its settings,
        where the task has just been changed to one that the run's model doesn't do."""
        if not isinstance(wanted.start, int) or "model" not in wanted.names:
            return None
        with contextlib.suppress(BadInput, LookupError):
            held = form.chosen_options(self.catalog, wanted, self.anneal.history.datasets())
            made = Recipe.from_json(self.anneal.history.run(wanted.start).recipe)
            card = held["model"].card
            if card.name != wanted.names["model"] and made.model.name in card.takes:
                names = {**wanted.names, "model": card.name}
                return form.adopt(self.catalog, wanted.model_copy(update={"names": names}), made)
        return None

    def plan(
        self, wanted: form.Wanted, imported: Sequence[DatasetRow] | None = None
    ) -> dict[str, Any]:
        """The form's plan from the catalogue and the history."""
        if imported is None:
            imported = self.anneal.history.datasets()
        return {
            **form.plan(
                self.catalog,
                wanted,
                imported=imported,
                earlier=earlier(self.anneal),
                home=self.anneal.home if self.anneal.home_is_named else None,
            ),
            "queue": self.waiting(),
            "readonly": text("readonly") if self.anneal.readonly else None,
        }

    async def estimate(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Parameters, memory and time of what is on the form, or the sentence why not."""
        wanted = read(body)
        imported = await run_in_threadpool(self.anneal.history.datasets)
        try:
            made = form.recipe(self.catalog, wanted, imported=imported)
            return await answer(request, self.anneal, "estimate", recipe=made.to_json())
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}

    async def find(self, request: Request) -> Response:
        """A value for a setting, measured with what is on the form: how far it is, line by line,
        and at last the answer. Whoever goes away takes the question back."""
        question = request.path_params["question"]
        try:
            check_origin(request)
            wanted = read(await read_body(request, LONGEST_QUESTION))
            if question not in self.finders:
                raise Refusal(text("reply.nothing"), 404)
            imported = await run_in_threadpool(self.anneal.history.datasets)
            made = form.recipe(self.catalog, wanted, imported=imported)
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)
        except BadInput as problem:
            return reply({"error": str(problem)}, 400)
        return in_lines(lines(self.anneal, question, recipe=made.to_json()))

    async def preview(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """What augmentation makes of some items, or the sentence why that can't be shown; ``salt``
        draws others."""
        salt = body.pop("salt", 0)
        wanted = read(body)
        if not isinstance(salt, int) or not 0 <= salt < 2**31:
            raise Refusal(text("server.malformed"))
        imported = await run_in_threadpool(self.anneal.history.datasets)
        try:
            made = form.recipe(self.catalog, wanted, imported=imported)
            return await answer(
                request, self.anneal, "preview", recipe=made.to_json(), items=SHOWN, draws=DRAWS,
                salt=salt,
            )  # fmt: skip
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}

    def train(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Queue the run; its id, or the problem and the field that has it."""
        wanted = read(body)
        imported = self.anneal.history.datasets()
        try:
            held = form.chosen_options(self.catalog, wanted, imported)
            made = form.recipe(self.catalog, wanted, imported=imported)
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}
        name = " ".join(wanted.name[:200].split()) or form.automatic_name(held)
        return {"run": enqueue(self.anneal, made, name)}

    def waiting(self) -> int:
        """How many runs come before the next one."""
        return waiting(self.anneal)

    def queue(self, request: Request) -> Response:
        """How many runs come before the next one."""
        return reply({"queue": self.waiting()})


def enqueue(anneal: Anneal, made: Recipe, name: str) -> int:
    """A checked recipe as a run at the end of the queue; the run's number."""
    imported = made.data.settings.get(form.IMPORTED)
    with asking():
        run = anneal.history.add_run(
            made.to_json(), name=name, task=made.task.name, data=made.data.name,
            model=made.model.name, method=made.method.name, parent=made.parent,
            dataset=imported if isinstance(imported, int) else None,
        )  # fmt: skip
    anneal.poke()
    return run.id


def waiting(anneal: Anneal) -> int:
    """How many runs come before the next one."""
    return len(anneal.history.queue()) + len(anneal.history.active())


def earlier(anneal: Anneal) -> list[Run]:
    """Runs whose weights can be started from, newest first."""
    runs, _ = anneal.history.runs(limit=OFFERED_STARTS)
    return [run for run in runs if run.saved_step is not None]


def read(body: dict[str, Any]) -> form.Wanted:
    """What the page sent. Refusal when it isn't what a page sends."""
    try:
        return form.Wanted.model_validate(body)
    except ValueError:
        raise Refusal(text("server.malformed")) from None


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isdecimal() else None
