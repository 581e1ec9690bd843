"""What every page of Anneal tells, whichever is open: the runs that have ended meanwhile.

GET /api/news?after=1764512345.6 answers the server's time, the runs that ended after that moment,
and whether nothing has been trained here yet; without `after`, no run.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from engine import ablations, comparisons, searches
from gui.comparing import WAITING
from gui.replies import Refusal, reads, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import Run, State

LONG = 20.0
"""Seconds: who waited for less saw it end."""
MOST = 10
ENDED: tuple[State, ...] = ("finished", "failed", "interrupted")
"""States that come by themselves; a run that a person stopped is no news to them."""
PAGES = {
    comparisons.STARTS: "/starts?id={id}", ablations.ABLATION: "/ablation?id={id}",
    searches.SEARCH: "/search?id={id}",
}  # fmt: skip
"""Where a comparison's result is seen, by what it compares; else it is in the list of runs."""


def routes(anneal: Anneal) -> list[Route]:
    """The address above."""
    return [Route("/api/news", reads(News(anneal).news))]


class News:
    """The address."""

    def __init__(self, anneal: Anneal) -> None:
        self.history = anneal.history

    def news(self, request: Request) -> Response:
        """What ended after a moment, oldest first."""
        said = request.query_params.get("after")
        try:
            after = float(said) if said else None
        except ValueError:
            raise Refusal(text("server.malformed")) from None
        now = time.time()
        ended = [] if after is None else self.ended(after)
        _, total = self.history.runs(limit=1)
        return reply({"now": now, "ended": ended, "fresh": not total})

    def ended(self, after: float) -> list[dict[str, Any]]:
        """The last runs that ended after that; of a comparison only the last one, as the whole."""
        newest, _ = self.history.runs(states=ENDED, sort="finished", limit=MOST)
        told: list[dict[str, Any]] = []
        for run in reversed(newest):
            if run.finished is None or run.finished <= after:
                continue
            one = self.alone(run) if run.comparison is None else self.whole(run.comparison, run)
            if one is not None:
                told.append(one)
        return told

    def alone(self, run: Run) -> dict[str, Any] | None:
        """A run; None when it was short."""
        if run.finished is None or run.finished - (run.started or run.created) < LONG:
            return None
        name = run.metrics.get("headline")
        value = run.metrics.get(name) if isinstance(name, str) else None
        number = value if isinstance(value, int | float) and value == value else None
        return {
            "id": f"run {run.id}", "name": run.name, "state": run.state, "reason": run.reason,
            "href": f"/run?id={run.id}", "measure": name if number is not None else None,
            "value": number,
        }  # fmt: skip

    def whole(self, id: int, last: Run) -> dict[str, Any] | None:
        """A comparison that ended with that run; None while more of it is to come."""
        parts = self.history.runs_of(id)
        latest = max(parts, key=lambda run: (run.finished or 0, run.id))
        if latest.id != last.id or any(run.state in WAITING for run in parts):
            return None
        if sum(run.seconds for run in parts) < LONG:
            return None
        one = self.history.comparison(id)
        page = PAGES.get(comparisons.kind_of(one.plan), "/runs?comparison={id}")
        good = all(run.state == "finished" for run in parts)
        return {
            "id": f"comparison {id}", "name": one.name, "state": "finished" if good else "failed",
            "reason": "" if good else last.reason, "href": page.format(id=id), "measure": None,
            "value": None,
        }  # fmt: skip
