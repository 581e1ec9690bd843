"""What a run's page asks about smaller and faster forms of a model.

==================================  ============================================================
GET  /api/runs/{id}/smaller         the original and all that was made of it, and ways to make more
POST /api/runs/{id}/smaller         make one of them at once: ``{"method"}``
POST /api/runs/{id}/measure         time them side by side, answered with lines of JSON
==================================  ============================================================
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from engine.catalog import KINDS, BadInput, Card, Catalog, Kind
from engine.recipe import Choice, Recipe
from gui.answering import in_lines, lines
from gui.pages.train import enqueue
from gui.replies import Refusal, asking, changes, check_origin, plain, reads, reply
from gui.run_routes import Labels, headline
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import Run

MOST = 30
"""Forms of a model that are listed, the newest of each."""


def routes(anneal: Anneal) -> list[Route]:
    """Every address above."""
    smaller = Smaller(anneal)
    one = "/api/runs/{id:int}"
    make = changes(smaller.make, readonly=anneal.readonly)
    return [
        Route(f"{one}/smaller", reads(smaller.forms), methods=["GET"]),
        Route(f"{one}/smaller", make, methods=["POST"]),
        Route(f"{one}/measure", smaller.measure, methods=["POST"]),
    ]


class Smaller:
    """The handlers."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal
        self.catalog: Catalog = anneal.catalog

    def forms(self, request: Request) -> Response:
        """``{"original", "runs": […], "ways": […]}``."""
        with asking():
            family = self.family(int(request.path_params["id"]))
        labels = Labels(self.anneal)
        return reply({
            "original": family[0].id,
            "runs": [
                {
                    "id": run.id, "name": run.name, "state": run.state, "saved": run.best_step,
                    "method": labels.of("method", run), "model": labels.of("model", run),
                    "test": headline(run.metrics, "test"), "measured": plain(self.measured(run)),
                }
                for run in family
            ],
            "ways": self.ways(family[0]),
            "readonly": self.anneal.readonly,
        })  # fmt: skip

    def family(self, number: int) -> list[Run]:
        """The original of a run, then every smaller form of it, the oldest first."""
        original = self.anneal.history.run(number)
        while self.shrunk(original) and original.parent is not None:
            original = self.anneal.history.run(original.parent)
        found, open_ = [original], [original.id]
        while open_ and len(found) < MOST:
            _, children = self.anneal.history.family(open_.pop(0), most=MOST)
            made = [run for run in children if self.shrunk(run)]
            found += made
            open_ += [run.id for run in made]
        return [found[0], *sorted(found[1:], key=lambda run: run.id)][:MOST]

    def shrunk(self, run: Run) -> bool:
        """Whether its method makes another run smaller."""
        try:
            return self.catalog.card("method", run.method).shrinks
        except BadInput:
            return False

    def ways(self, original: Run) -> list[dict[str, Any]]:
        """What can be made of a run: at once, or on the Train page, where settings can be chosen
        first."""
        try:
            cards = Recipe.from_json(original.recipe).cards(self.catalog)
        except BadInput:
            return []
        found = []
        for card in self.catalog.of("method"):
            if card.shrinks and not self.catalog.obstacle({**cards, "method": card}):
                found.append({
                    "method": card.name, "label": card.label, "help": card.help,
                    "at_once": at_once(card), "href": address(card, original.id),
                })  # fmt: skip
        return found

    def measured(self, run: Run) -> dict[str, Any] | None:
        """What it was measured to be, unless it has other weights by now."""
        path = self.anneal.home / "runs" / str(run.id) / "measured.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if run.best_step in (None, found.get("step")) else None

    def make(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Queue a run that makes one of them; its number."""
        name = body.get("method")
        with asking():
            original = self.anneal.history.run(int(request.path_params["id"]))
            try:
                card = self.catalog.card("method", str(name))
                if not (card.shrinks and at_once(card)):
                    raise Refusal(text("server.malformed"))
                made = converted(Recipe.from_json(original.recipe), card, original.id, self.catalog)
            except BadInput as problem:
                raise Refusal(str(problem)) from None
        return {"run": enqueue(self.anneal, made, f"{original.name[:150]} · {card.label}")}

    async def measure(self, request: Request) -> Response:
        """How far the timing is, line by line, and at last what was found."""
        try:
            check_origin(request)
            if self.anneal.readonly:
                raise Refusal(text("readonly"), 403)
            with asking():
                family = await run_in_threadpool(self.family, int(request.path_params["id"]))
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)
        runs = [run.id for run in family if run.best_step is not None and run.state == "finished"]
        return in_lines(lines(self.anneal, "measure", runs=runs or [family[0].id]))


def at_once(card: Card) -> bool:
    """Whether there is nothing to train, so that its defaults will do."""
    return not any(field.name == "epochs" for field in card.fields)


def address(card: Card, run: int) -> str:
    """The Train page with that method; a student has a model of its own to choose."""
    if any(field.name == "teacher" for field in card.fields):
        said = {"clone": run, "method": card.name, "set": f"method.teacher={run}"}
    else:
        said = {"start": run, "method": card.name}
    return f"/?{urlencode(said)}"


def converted(made: Recipe, card: Card, run: int, catalog: Catalog) -> Recipe:
    """The recipe of a run that changes how another's weights are kept. BadInput when it can't."""
    cards: dict[Kind, Card] = {kind: made.cards(catalog)[kind] for kind in KINDS}
    cards["method"] = card
    # Nothing is learned from varied items.
    off = {
        field.name: field.augments.off for field in cards["data"].fields
        if field.augments and not field.matters(cards)
    }  # fmt: skip
    data = Choice(name=made.data.name, settings={**made.data.settings, **off})
    changed = {"method": Choice(name=card.name), "data": data, "start": run}
    return made.model_copy(update=changed).checked(catalog)
