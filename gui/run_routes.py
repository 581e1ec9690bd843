"""What the Run, Runs and Compare pages ask for and change, as JSON beside Gradio's queue.

=====================================  ==========================================================
GET  /api/runs                         a page of the history, the queue and what is running
GET  /api/runs.csv                     the same rows as a table
GET  /api/runs/{id}                    everything about one run but its points
GET  /api/runs/{id}/curves             its points: those after the last one that a page has
GET  /api/runs/{id}/samples            one thing to look at
GET  /api/runs/{id}/log                the end of its log
GET  /api/runs/{id}/export.{csv,json}  all points, unthinned
GET  /api/compare                      what differs between runs
POST /api/runs/{id}/{action}           see `ACTIONS`
=====================================  ==========================================================
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from engine import ablations
from engine.catalog import KINDS, BadInput, Card, Catalog, Field, Kind, Value
from engine.recipe import Recipe, differences
from gui import curves
from gui.curves import Traces
from gui.few import METHODS
from gui.replies import Refusal, asking, changes, plain, reads, reply, whole_number
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request

    from gui.shell import Anneal
    from storage.history import History
    from storage.values import Run, State, Wish

ACTIVE = ("preparing", "running")
UNFINISHED = ("queued", "preparing", "running", "paused")
"""States after which a run can still say something new."""
KIN = 20
"""Runs of a run's family that its page shows, of those before and of those after it."""
PAGE = 100
LOG_TAIL = 64 << 10
COLUMNS = (
    "id", "name", "state", "reason", "task", "data", "model", "method", "created", "started",
    "finished", "seconds", "step", "steps", "epoch", "tags", "notes",
)  # fmt: skip
"""Of the exported table; the metrics follow."""
LOWER_IS_BETTER = {"loss", "error", "mse", "mae", "rmse", "perplexity", "cer", "wer",
                   "bits_per_byte"}  # fmt: skip
"""Metrics whose best value is the smallest; of all others it is the largest."""


def routes(anneal: Anneal) -> list[Route]:
    """Every address above."""
    runs = RunRoutes(anneal)
    one = "/api/runs/{id:int}"

    def post(action: str, handler: Callable[[Request, dict[str, Any]], Any]) -> Route:
        endpoint = changes(handler, readonly=anneal.readonly)
        return Route(f"{one}/{action}", endpoint, methods=["POST"])

    return [
        Route("/api/runs", reads(runs.page)),
        Route("/api/runs.csv", reads(runs.table)),
        Route("/api/compare", reads(runs.compare)),
        Route(one, reads(runs.one)),
        Route(f"{one}/curves", reads(runs.curves)),
        Route(f"{one}/samples", reads(runs.sample)),
        Route(f"{one}/log", reads(runs.log)),
        Route(f"{one}/export.csv", reads(runs.export_csv)),
        Route(f"{one}/export.json", reads(runs.export_json)),
        *(post(action, handler) for action, handler in runs.actions().items()),
    ]


class RunRoutes:
    """The handlers; each takes a request and returns a reply, or raises Refusal."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal
        self.history: History = anneal.history
        self.shelf = curves.Shelf()

    # --- reading ----------------------------------------------------------------------------

    def page(self, request: Request) -> Response:
        """A page of runs, with the queue and what is running now."""
        limit = whole_number(request, "limit", PAGE, low=1, high=500)
        offset = whole_number(request, "offset", 0, low=0, high=1 << 31)
        found, total = self._find(request, offset=offset, limit=limit)
        queue, active = self.history.queue(), self.history.active()
        labels = Labels(self.anneal)
        sparks = self.history.sparks([run.id for run in found])
        return reply({
            "runs": [self._row(run, labels) | {"spark": plain(sparks.get(run.id, []))}
                     for run in found],
            "total": total,
            "offset": offset,
            "limit": limit,
            "queue": [self._row(run, labels) for run in queue],
            "active": [self._row(run, labels) for run in active],
            "tags": self.history.tags(),
            "comparisons": [{"id": one.id, "name": one.name}
                            for one in self.history.comparisons()],
            "readonly": self.anneal.readonly,
        })  # fmt: skip

    def table(self, request: Request) -> Response:
        """Every run that the filters let through, as CSV."""
        found, _ = self._find(request, offset=0, limit=1_000_000)
        labels = Labels(self.anneal)
        metrics = sorted({name for run in found for name in numbers(run.metrics)})

        def cell(run: Run, column: str) -> Any:
            if column in KINDS:
                return labels.of(column, run)
            return ", ".join(run.tags) if column == "tags" else getattr(run, column)

        def rows() -> Iterator[list[Any]]:
            yield [*COLUMNS, *metrics]
            for run in found:
                own = (run.metrics.get(name) for name in metrics)
                yield [*(cell(run, column) for column in COLUMNS), *own]

        return _download(csv_lines(rows()), "runs.csv", "text/csv")

    def one(self, request: Request) -> Response:
        """Everything about one run but its points; ``?notices=`` is the last notice known."""
        run = self._run(request)
        since = whole_number(request, "notices", 0, low=0, high=1 << 62)
        labels = Labels(self.anneal)
        queued = [other.id for other in self.history.queue()] if run.state == "queued" else []
        with asking():
            ancestors, children = self.history.family(run.id, most=KIN)
        # Where the run that it began from was deleted, the nearest that is left is only kin.
        near = ancestors[-1] if ancestors else None
        from_it = near is not None and began(run) in (None, near.id)
        parent = {"id": near.id, "name": near.name} if near and from_it else None
        return reply({
            "family": {
                "ancestors": [self._row(other, labels) for other in ancestors],
                "children": [self._row(other, labels) for other in children],
            },
            "run": self._row(run, labels) | {
                "device": self._device(run.device),
                "parent": parent,
                "metrics": plain(run.metrics),
                "again": again(run),
                "varied": varied(run, self.anneal.catalog),
                "judges": judges(run, self.anneal.catalog),
                "saved_step": run.saved_step,
                "best_step": run.best_step,
                "ahead": queued.index(run.id) if run.id in queued else None,
                "behind": len(queued) - 1 - queued.index(run.id) if run.id in queued else None,
            },
            "queue": queued,
            "recipe": settings(run.recipe, self.anneal, data=labels.of("data", run)),
            "notices": [
                {"id": row.id, "time": row.time, "level": row.level, "text": row.text}
                for row in self.history.notices(run.id, since=since)
            ],
            "samples": self._versions(run),
            "readonly": self.anneal.readonly,
        })  # fmt: skip

    def curves(self, request: Request) -> Response:
        """The points of a run, at most ``points`` a series.

        ``after=train/loss:120,…`` gives only what came later; ``reset`` says that the points
        that the page has are no longer true, and that it gets all anew. ``x0`` and ``x1`` are
        steps: that part in full detail.
        """
        run = self._run(request)
        points = whole_number(request, "points", curves.POINTS, low=3, high=20_000)
        known = request.query_params.get("token", "")
        now = token(run, known)
        last_seen = _cursors(request.query_params.get("after", ""))
        low, high = _number(request, "x0"), _number(request, "x1")
        found: Traces | None = None
        if low is not None or high is not None:
            whole = self._traces(run)
            found = {name: curves.between(one, low, high) for name, one in whole.items()}
        elif last_seen and known == now:
            found = self._later(run, last_seen)
        reset = found is None and bool(last_seen)
        if found is None:
            found = self._traces(run)
        return reply({
            "token": now,
            "reset": reset,
            "run": progress(run),
            "series": {name: curves.packed(one, points) for name, one in found.items()},
        })  # fmt: skip

    def sample(self, request: Request) -> Response:
        """One sample: ``name`` and ``step``, or the newest of that name."""
        run = self._run(request)
        name, step = request.query_params.get("name", ""), _number(request, "step")
        found = self.history.sample(run.id, name, step=None if step is None else int(step))
        if found is None:
            raise Refusal(text("run.no_sample"), 404)
        return reply({"name": found.name, "kind": found.kind, "step": found.step,
                      "epoch": found.epoch, "data": plain(found.data)})  # fmt: skip

    def log(self, request: Request) -> Response:
        """The end of the run's log, at most ``tail`` bytes of it."""
        run = self._run(request)
        tail = whole_number(request, "tail", LOG_TAIL, low=1, high=1 << 20)
        path = self._folder(run.id) / "log.txt"
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - tail, 0))
                text = file.read(tail).decode("utf-8", errors="replace")
        except FileNotFoundError:
            return reply({"text": "", "size": 0, "cut": False})
        cut = size > tail
        if cut:
            text = text.partition("\n")[2]
        return reply({"text": text, "size": size, "cut": cut})

    def export_csv(self, request: Request) -> Response:
        """One line a point: series, step, epoch, seconds, value."""
        run = self._run(request)

        def rows() -> Iterator[Iterable[Any]]:
            yield ("series", "step", "epoch", "seconds", "value")
            for name, one in self._traces(run).items():
                columns = (column.tolist() for column in
                           (one.steps, one.epochs, one.seconds, one.values))  # fmt: skip
                for row in zip(*columns, strict=True):
                    yield (name, *row)

        return _download(csv_lines(rows()), f"run-{run.id}.csv", "text/csv")

    def export_json(self, request: Request) -> Response:
        """The recipe, the metrics and every point."""
        run = self._run(request)
        content = {
            "run": run.id, "name": run.name, "state": run.state, "reason": run.reason,
            "created": run.created, "started": run.started, "finished": run.finished,
            "tags": list(run.tags), "notes": run.notes,
            "recipe": json.loads(run.recipe), "metrics": plain(run.metrics),
            "series": {
                name: {"step": one.steps.tolist(), "epoch": one.epochs.tolist(),
                       "seconds": one.seconds.tolist(), "value": plain(one.values.tolist())}
                for name, one in self._traces(run).items()
            },
        }  # fmt: skip
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        return _download(iter([text]), f"run-{run.id}.json", "application/json")

    def compare(self, request: Request) -> Response:
        """``runs=12,14``: their rows, the settings that differ and their metrics side by side."""
        wanted = [int(part) for part in request.query_params.get("runs", "").split(",")
                  if part.strip().isdecimal()][:100]  # fmt: skip
        found, missing = [], []
        for id_ in dict.fromkeys(wanted):
            try:
                found.append(self.history.run(id_))
            except LookupError:
                missing.append(id_)
        labels = Labels(self.anneal)
        return reply({
            "runs": [self._row(run, labels) for run in found],
            "missing": missing,
            "differences": self._differences(found, labels),
            "metrics": side_by_side(
                {run.id: run.metrics for run in found}, {run.id: run.task for run in found}
            ),
        })  # fmt: skip

    # --- changing ---------------------------------------------------------------------------

    def actions(self) -> dict[str, Callable[[Request, dict[str, Any]], Any]]:
        """What can be done to a run, by the last part of the address."""

        def wish(kind: Wish) -> Callable[[int, dict[str, Any]], None]:
            return lambda id_, body: self.history.wish(id_, kind)

        plain_actions: dict[str, Callable[[int, dict[str, Any]], Any]] = {
            "stop": wish("stop"),
            "cancel": wish("cancel"),
            "pause": wish("pause"),
            "save": wish("save"),
            "resume": lambda id_, body: self.history.requeue(id_),
            "dequeue": lambda id_, body: self.history.dequeue(id_),
            "move": lambda id_, body: self.history.reorder(id_, before=_before(body)),
            "rename": lambda id_, body: self.history.rename(id_, _name(body)),
            "note": lambda id_, body: self.history.annotate(id_, notes=_notes(body)),
            "tag": lambda id_, body: self.history.tag(id_, _tags(body)),
        }

        def done(action: Callable[[int, dict[str, Any]], Any]) -> Any:
            def handler(request: Request, body: dict[str, Any]) -> Any:
                id_ = request.path_params["id"]
                with asking():
                    action(id_, body)
                    run = self.history.run(id_)
                self.anneal.poke()
                return {"run": self._row(run, Labels(self.anneal))}

            return handler

        return {name: done(action) for name, action in plain_actions.items()} | {
            "delete": self._delete
        }

    def _delete(self, request: Request, body: dict[str, Any]) -> Any:
        id_ = request.path_params["id"]
        folder = self._folder(id_)
        with asking():
            self.history.delete_run(id_)
        if folder.is_symlink() or not folder.exists():
            return {"deleted": id_}
        try:
            shutil.rmtree(folder)
        except OSError as problem:
            raise Refusal(text("run.leftover", problem=problem), 500) from None
        return {"deleted": id_}

    # --- parts ------------------------------------------------------------------------------

    def _run(self, request: Request) -> Run:
        with asking():
            return self.history.run(request.path_params["id"])

    def _folder(self, id_: int) -> Path:
        runs = (self.anneal.home / "runs").resolve()
        folder = runs / str(int(id_))
        if folder.resolve().parent != runs:
            raise Refusal(text("run.folder"), 403)
        return folder

    def _find(self, request: Request, *, offset: int, limit: int) -> tuple[list[Run], int]:
        asked = request.query_params
        with asking():
            return self.history.runs(
                search=asked.get("search", "")[:200],
                states=cast("list[State]", _list(asked.get("states", ""))),
                tags=_list(asked.get("tags", "")),
                comparison=_comparison(asked.get("comparison", "")),
                sort=asked.get("sort", "created"),
                descending=asked.get("order", "desc") != "asc",
                offset=offset,
                limit=limit,
            )

    def _row(self, run: Run, labels: Labels) -> dict[str, Any]:
        # A run that is under way, or was cut off, has no final measures: its newest ones then.
        measured = run.metrics or (self.history.last_points(run.id) if run.step else {})
        return progress(run) | {
            "id": run.id, "name": run.name, "tags": list(run.tags), "notes": run.notes,
            "created": run.created, "started": run.started, "finished": run.finished,
            "reason": run.reason, "position": run.position, "comparison": run.comparison,
            "validation": headline(measured, "validation"), "test": headline(measured, "test"),
            "task": labels.of("task", run), "data": labels.of("data", run),
            "model": labels.of("model", run), "method": labels.of("method", run),
        }  # fmt: skip

    def _device(self, id_: str | None) -> dict[str, Any] | None:
        if id_ is None:
            return None
        for device in self.anneal.catalog.devices:
            if device.id == id_:
                return {"id": id_, "name": device.name, "memory": device.memory}
        return {"id": id_, "name": id_, "memory": None}

    def _versions(self, run: Run) -> list[dict[str, Any]]:
        names: dict[str, dict[str, Any]] = {}
        for name, kind, step, epoch in self.history.sample_steps(run.id):
            entry = names.setdefault(name, {"name": name, "kind": kind, "versions": []})
            entry["versions"].append([step, epoch])
        return list(names.values())

    def _traces(self, run: Run) -> Traces:
        def read() -> Traces:
            return curves.traces(self.history.curves(run.id))

        if run.state in UNFINISHED:
            return read()
        return self.shelf.get((run.id, run.created, run.finished), read)

    def _later(self, run: Run, last_seen: Mapping[str, int]) -> Traces | None:
        """The points after those steps; None when a point that the page has is gone.

        A run that was resumed goes back to its checkpoint and says the steps since then again.
        Each series has a place of its own: validation may write step 100 after training wrote 110.
        """
        # From the page's last point on, that one too: it must still be there.
        since = {name: step - 1 for name, step in last_seen.items()}
        found = curves.traces(self.history.curves(run.id, since=since))
        later = {}
        for name in {**last_seen, **found}:
            one = found.get(name)
            if name in last_seen:
                if one is None or one.steps[0] != last_seen[name]:
                    return None
                one = one.take(slice(1, None))
            if one is not None and len(one):
                later[name] = one
        return later

    def _differences(self, runs: list[Run], labels: Labels) -> list[dict[str, Any]]:
        recipes: dict[int, Recipe] = {}
        spoken: dict[str, str] = {}
        for run in runs:
            try:
                recipes[run.id] = Recipe.from_json(run.recipe)
            except BadInput:
                continue
            spoken |= _field_labels(recipes[run.id], self.anneal)
        rows = differences(recipes)
        for kind in KINDS:
            hidden = _hidden(kind, recipes, self.anneal) & set(rows)
            unseen = [(spoken[name].lower(), rows.pop(name)) for name in sorted(hidden)]
            called = {run.id: labels.of(kind, run) for run in runs if run.id in recipes}
            told = {id_: _told_apart(id_, called, unseen) for id_ in called}
            if len(set(told.values())) > 1:
                rows[kind] = dict(told)
        # A choice stands before its settings, those of the run itself last.
        places = [*KINDS, "start", "labels", "device", "seed"]
        order = sorted(rows, key=lambda name: (places.index(name.partition(".")[0]), "." in name))
        return [
            {"name": name, "label": spoken.get(name, _words(name)),
             "values": {str(id_): plain(value) for id_, value in rows[name].items()}}
            for name in order
        ]  # fmt: skip


def _comparison(said: str) -> int | bool | None:
    """``3`` is one, ``none`` leaves out the runs of any; else it doesn't matter."""
    return False if said == "none" else int(said) if said.isdecimal() else None


class Labels:
    """What a person calls a run's task, data, model and method; the datasets are read once."""

    def __init__(self, anneal: Anneal) -> None:
        self.catalog = anneal.catalog
        self.datasets = {row.id: row.name for row in anneal.history.datasets()}

    def of(self, kind: Kind, run: Run) -> str:
        """The card's label, or the name that was given to imported data."""
        if kind == "data" and run.dataset in self.datasets:
            return self.datasets[run.dataset]
        name: str = getattr(run, kind)
        try:
            return self.catalog.card(kind, name).label
        except BadInput:
            return name


# --- values ---------------------------------------------------------------------------------


def token(run: Run, known: str = "") -> str:
    """Changes when the points that a page has may have: another process resumed the run.

    `known` is what the page was told last. A run that has ended forgets its process, and its
    points stay as they are.
    """
    itself, _, _ = known.partition("/")
    if run.pid_started is None:
        return known if itself == f"{run.created}" else f"{run.created}/"
    return f"{run.created}/{run.pid_started}"


def progress(run: Run) -> dict[str, Any]:
    """Where the run stands: what changes several times a second."""
    return {
        "state": run.state, "wish": run.wish, "step": run.step, "steps": run.steps,
        "epoch": run.epoch, "epochs": run.epochs, "seconds": run.seconds,
        "remaining": run.remaining, "rate": run.rate, "learning_rate": plain(run.learning_rate),
        "memory": run.memory,
    }  # fmt: skip


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Only the flat numbers: ``test/accuracy``, not the tables beside them."""
    return {
        name: value for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }  # fmt: skip


def headline(metrics: Mapping[str, Any], split: str) -> dict[str, Any] | None:
    """The number to show for a split: its task's headline, else the first that isn't the loss."""
    names = [name for name in numbers(metrics) if name.startswith(f"{split}/")]
    measure = str(metrics.get("headline", "")).rpartition("/")[2]
    names.sort(key=lambda name: (not name.endswith(f"/{measure}"), name.endswith("/loss")))
    return {"name": names[0], "value": plain(metrics[names[0]])} if names else None


def began(run: Run) -> int | None:
    """The run whose weights or answers it began with, as its recipe has it."""
    try:
        return Recipe.from_json(run.recipe).parent
    except BadInput:  # of another version
        return None


def varied(run: Run, catalog: Catalog) -> bool:
    """Whether it learned from items varied at random, which can be left out."""
    try:
        ablations.drawn_up(catalog, Recipe.from_json(run.recipe), seeds=1)
    except BadInput:
        return False
    return True


def again(run: Run) -> dict[str, str]:
    """Where a run's settings can be changed for another one, and what the way there is called."""
    for way, method in METHODS.items():
        if run.method == method:
            return {"href": f"/few?clone={run.id}", "words": text(f"run.again.{way}")}
    return {"href": f"/?clone={run.id}", "words": text("run.clone")}


def judges(run: Run, catalog: Catalog) -> str:
    """What can be told of single items of a run that is over (`engine.catalog.Card.judges`)."""
    if run.state in UNFINISHED or run.saved_step is None:
        return ""
    try:
        return catalog.card("task", run.task).judges
    except BadInput:
        return ""


def side_by_side(
    metrics: Mapping[int, Mapping[str, Any]], tasks: Mapping[int, str]
) -> list[dict[str, Any]]:
    """``[{"name", "values": {run: number}, "best": [run, …]}, …]`` over all runs.

    Only runs of the same task are rivals: the losses of two tasks have nothing in common.
    """
    flat = {id_: numbers(own) for id_, own in metrics.items()}
    # A task says of its headline which way is better; of the other measures the names tell.
    larger = {str(own["headline"]).rpartition("/")[2]: bool(own.get("larger_is_better", True))
              for own in metrics.values() if "headline" in own}  # fmt: skip
    table = []
    for name in dict.fromkeys(name for own in flat.values() for name in own):
        values = {id_: own[name] for id_, own in flat.items() if name in own}
        measure = name.rpartition("/")[2]
        upward = larger.get(measure, measure not in LOWER_IS_BETTER)
        best = []
        for task in dict.fromkeys(tasks.values()) if "/" in name else ():
            rivals = {id_: value for id_, value in values.items()
                      if tasks[id_] == task and value == value}  # fmt: skip
            if len(set(rivals.values())) > 1:
                top = max(rivals.values()) if upward else min(rivals.values())
                best += [id_ for id_, value in rivals.items() if value == top]
        table.append({
            "name": name,
            "values": {str(id_): plain(value) for id_, value in values.items()},
            "best": best,
        })  # fmt: skip
    return table


def settings(recipe: str, anneal: Anneal, *, data: str = "") -> list[dict[str, Any]]:
    """A recipe for reading: ``[{"kind", "label", "rows": [{"label", "value", "changed", …}]}]``.

    `changed` marks what isn't the default for this combination. Settings that don't matter here
    are left out. Cards that the catalogue no longer has are shown as the recipe names them, and
    `data` is what a person calls the dataset.
    """
    try:
        read = Recipe.from_json(recipe)
    except BadInput:
        return []
    catalog = anneal.catalog
    cards: dict[Kind, Card] = {}
    for kind in KINDS:
        try:
            cards[kind] = catalog.card(kind, read.choice(kind).name)
        except BadInput:
            continue
    defaults = catalog.defaults(cards) if len(cards) == len(KINDS) else {}
    groups = []
    for kind in KINDS:
        choice, card = read.choice(kind), cards.get(kind)
        fields = {field.name: field for field in card.fields} if card else {}
        rows = [
            _setting(f"{kind}.{name}", value, fields.get(name), defaults)
            for name, value in choice.settings.items()
            if _matters(fields.get(name), choice.settings)
        ]
        label = data if kind == "data" and data else card.label if card else choice.name
        if kind == "data" and isinstance(version := choice.settings.get("version"), int):
            rows.insert(
                0,
                {
                    "label": text("run.version"),
                    "value": version,
                    "unit": None,
                    "empty": None,
                    "help": "",
                    "default": None,
                    "changed": version > 1,
                },
            )
        groups.append({"kind": kind, "label": label, "rows": rows})
    general = [
        {
            "label": text("train.labels"),
            "value": read.labels or text("train.labels.all"),
            "changed": read.labels is not None,
        },
        {"label": "Device", "value": read.device, "changed": read.device != "auto"},
        {"label": "Seed", "value": read.seed, "changed": read.seed != 0},
    ]
    return [*groups, {"kind": "run", "label": "", "rows": general}]


def _setting(
    name: str, value: Any, field: Field | None, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    default = defaults.get(name)
    return {
        "label": field.label if field else _words(name),
        "value": plain(value),
        "unit": field.unit if field else None,
        "empty": field.empty if field else None,
        "help": field.help if field else "",
        "default": plain(default),
        "changed": name in defaults and value != default,
    }


def _matters(field: Field | None, given: Mapping[str, Any]) -> bool:
    if field is None:
        return True
    return not field.hidden and (
        field.only is None or given.get(field.only.field) in field.only.values
    )


def _field_labels(recipe: Recipe, anneal: Anneal) -> dict[str, str]:
    spoken: dict[str, str] = {kind: kind.capitalize() for kind in KINDS}
    spoken |= {"start": text("train.start"), "labels": text("train.labels")}
    for kind in KINDS:
        try:
            card = anneal.catalog.card(kind, recipe.choice(kind).name)
        except BadInput:
            continue
        spoken |= {f"{kind}.{field.name}": field.label for field in card.fields}
    return spoken


def _hidden(kind: Kind, recipes: Mapping[int, Recipe], anneal: Anneal) -> set[str]:
    """The settings of the recipes' cards that no form shows, ``data.version`` say."""
    names = {recipe.choice(kind).name for recipe in recipes.values()}
    cards = [card for card in anneal.catalog.of(kind) if card.name in names]
    return {f"{kind}.{field.name}" for card in cards for field in card.fields if field.hidden}


def _told_apart(
    id_: int, called: Mapping[int, str], unseen: Iterable[tuple[str, Mapping[int, Value]]]
) -> str:
    """What a run's choice is called, with the hidden settings in which its namesakes differ."""
    namesakes = [other for other, name in called.items() if name == called[id_]]
    differ = [f"{label} {row[id_]}" for label, row in unseen
              if any(row[other] != row[id_] for other in namesakes)]  # fmt: skip
    return " · ".join([called[id_], *differ])


def _words(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ").capitalize()


# --- what a request says --------------------------------------------------------------------


def _cursors(text: str) -> dict[str, int]:
    places = {}
    for part in text.split(",") if text else ():
        name, _, step = part.rpartition(":")
        try:
            places[name] = int(step)
        except ValueError:
            raise Refusal("after must be series:step, separated by commas.") from None
    return places


def _number(request: Request, name: str) -> float | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise Refusal(f"{name} must be a number.") from None


def _list(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


def _text(body: Mapping[str, Any], key: str, longest: int) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise Refusal(f"{key} must be a text.")
    if len(value) > longest:
        raise Refusal(text("run.too_long", count=f"{longest:,}"))
    return value.strip()


def _name(body: Mapping[str, Any]) -> str:
    name = " ".join(_text(body, "name", 200).split())
    if not name:
        raise Refusal(text("run.nameless"))
    return name


def _notes(body: Mapping[str, Any]) -> str:
    return _text(body, "notes", 10_000)


def _tags(body: Mapping[str, Any]) -> tuple[str, ...]:
    tags = body.get("tags")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Refusal("tags must be a list of texts.")
    # Commas separate tags in an address and in the box where they are typed.
    cleaned = [" ".join(tag.replace(",", " ").split())[:40] for tag in tags]
    return tuple(dict.fromkeys(tag for tag in cleaned if tag))[:20]


def _before(body: Mapping[str, Any]) -> int | None:
    before = body.get("before")
    if before is not None and (isinstance(before, bool) or not isinstance(before, int)):
        raise Refusal("before must be a run's number, or null for the end.")
    return before


# --- files ----------------------------------------------------------------------------------


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """CSV in pieces of a few thousand lines, safe to open in a spreadsheet."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for count, row in enumerate(rows, start=1):
        writer.writerow(_cell(value) for value in row)
        if count % 4000 == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    # A spreadsheet would run a text that starts like a formula; numbers are left as they are.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _download(pieces: Iterator[str], name: str, media: str) -> Response:
    return StreamingResponse(
        pieces,
        media_type=media,
        headers={"Content-Disposition": f'attachment; filename="{name}"',
                 "Cache-Control": "no-store"},
    )  # fmt: skip
