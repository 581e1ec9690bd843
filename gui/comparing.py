"""What every comparison of runs is asked, whatever its runs differ in: all of them and how far they
are, going on, stopping, deleting."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.routing import Route

from engine import comparisons
from engine.comparisons import Planned
from gui.replies import asking, changes, reads, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import Comparison, Run

WAITING = ("queued", "preparing", "running")

AnyPlan = TypeVar("AnyPlan", bound=Planned[Any])


class Comparing(Generic[AnyPlan]):
    """The addresses under `address` of all comparisons of a `kind` (`comparisons.kind_of`)."""

    address: str
    kind: str

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal
        self.catalog, self.history = anneal.catalog, anneal.history

    def read(self, one: Comparison) -> AnyPlan:
        """Its plan. BadInput when this version can't read it."""
        raise NotImplementedError

    def one(self, request: Request) -> Response:
        """What a comparison says so far, and its runs."""
        raise NotImplementedError

    def routes(self) -> list[Route]:
        """The addresses that are the same for all kinds."""

        def post(action: str, handler: Any) -> Route:
            endpoint = changes(handler, readonly=self.anneal.readonly)
            return Route(f"{self.address}/{{id:int}}/{action}", endpoint, methods=["POST"])

        return [
            Route(self.address, reads(self.all), methods=["GET"]),
            Route(f"{self.address}/{{id:int}}", reads(self.one), methods=["GET"]),
            post("resume", self.resume),
            post("stop", self.stop),
            post("delete", self.delete),
        ]

    def all(self, request: Request) -> Response:
        """Every comparison of this kind, newest first."""
        states, said = self.history.states_of_comparisons(), []
        for one in self.history.comparisons():
            if comparisons.kind_of(one.plan) != self.kind:
                continue
            counts = states.get(one.id, {})
            total = len(self.read(one).cells())
            done = counts.get("finished", 0)
            state = "finished" if done >= total else "stopped"
            if any(counts.get(one) for one in WAITING):
                state = "running" if done or counts.keys() & {*WAITING[1:]} else "queued"
            said.append({
                "id": one.id, "name": one.name, "created": one.created, "total": total,
                "done": done, "state": state,
            })  # fmt: skip
        return reply({"comparisons": said})

    def about(self, one: Comparison, placed: Mapping[Any, Run | None]) -> dict[str, Any]:
        """What is said of a comparison, whatever its runs differ in."""
        runs = [run for run in placed.values() if run is not None]
        return {
            "id": one.id, "name": one.name, "created": one.created,
            "state": comparisons.state_of(placed.values()), "total": len(placed),
            "done": sum(run.state == "finished" for run in runs),
            "notices": self.failed(runs), "readonly": self.anneal.readonly,
        }  # fmt: skip

    def failed(self, runs: Iterable[Run]) -> list[str]:
        """A sentence for each run that failed, the first few."""
        said = [text("comparison.failed", run=run.id, reason=run.reason)
                for run in runs if run.state == "failed"]  # fmt: skip
        return list(dict.fromkeys(said))[:6]

    def queue(self, plan: AnyPlan, name: str) -> dict[str, Any]:
        """Keep it, and queue all of its runs; its id."""
        with asking():
            one = self.history.add_comparison(plan.to_json(), name=name)
            comparisons.enqueue(self.history, one.id, plan, self.catalog, name=name)
        self.anneal.poke()
        return {"comparison": one.id}

    def resume(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Queue what is missing, stopped or failed."""
        one, plan, _ = self.found(request)
        with asking():
            queued = comparisons.enqueue(self.history, one.id, plan, self.catalog, name=one.name)
        self.anneal.poke()
        return {"queued": len(queued)}

    def stop(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Take its runs out of the queue, and pause the one under way."""
        _, _, runs = self.found(request)
        with asking():
            for run in sorted(runs, key=lambda run: run.state != "queued"):
                if run.state in WAITING:
                    self.history.wish(run.id, "pause")
        return {}

    def delete(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Forget it with its runs and their files."""
        self.found(request)
        with asking():
            gone = self.history.delete_comparison(request.path_params["id"])
        for run in gone:
            shutil.rmtree(self.anneal.home / "runs" / str(run), ignore_errors=True)
        return {"deleted": len(gone)}

    def found(self, request: Request) -> tuple[Comparison, AnyPlan, list[Run]]:
        """The comparison of that id, its plan and its runs. Refusal when there is none of this
        kind."""
        with asking():
            one = self.history.comparison(request.path_params["id"])
            if comparisons.kind_of(one.plan) != self.kind:
                raise LookupError(text("comparison.other", id=one.id))
            return one, self.read(one), self.history.runs_of(one.id)
