"""Datasets: the built-in ones and a person's own, brought in, looked at, changed and removed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from engine.catalog import BadInput
from gui import assets, form
from gui.answering import answer, awaits, carried_out
from gui.replies import (
    Refusal,
    asking,
    changes,
    check_origin,
    check_text,
    options_of,
    plain,
    reads,
    reply,
)
from gui.text import text
from gui.uploads import Uploads

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import DatasetRow, Run

LONGEST_NAME = 120
MOST_ITEMS = 200
"""On one page of the viewer."""
KINDS = ("images", "text", "pairs", "sound", "sequences")
LOOKED_THROUGH = 500
"""Runs among which those are looked for that can make more items: the newest ones."""
DRAW = {"latent code", "adversary"}
"""What a model provides that draws pictures."""
EXTENSION = ("do", "run", "count", "labelled_by", "sure", "there", "back", "seed")
"""What a person says of the items that are to be made."""
LONGEST_ID = 200
"""Of a dataset of the hub, with its configuration."""
HUB = re.compile(r"hub:\w[\w.-]*(/\w[\w.-]*)?(@\w[\w.,+-]*)?", re.ASCII)
"""A dataset of the Hugging Face hub, with or without one of its configurations."""


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that datasets.js fills."""
    kept = [path for row in anneal.history.datasets() for path in _kept(row)]
    Uploads(anneal.home, anneal.upload_limit).clear(kept)
    gr.HTML(
        html_template='<div class="an-page an-datasets" id="an-main" tabindex="-1"></div>',
        js_on_load=assets.mount("datasets.js"),
        apply_default_css=False,
    )


def routes(anneal: Anneal) -> list[Route]:
    """The list; files in, looked into and imported; a dataset's page, its items and its changes."""
    page = Datasets(anneal)

    def asks(path: str, handler: Any) -> Route:
        return Route(path, awaits(handler), methods=["POST"])

    def does(path: str, handler: Any) -> Route:
        return Route(path, changes(handler, readonly=anneal.readonly), methods=["POST"])

    return [
        Route("/api/datasets", reads(page.all), methods=["GET"]),
        Route("/api/uploads", page.upload, methods=["PUT"]),
        does("/api/uploads/drop", page.drop),
        asks("/api/datasets/inspect", page.inspect),
        does("/api/datasets", page.start),
        does("/api/datasets/get", page.get),
        asks("/api/datasets/details", page.details),
        asks("/api/datasets/items", page.items),
        asks("/api/datasets/sound", page.sound),
        asks("/api/datasets/given", page.given),
        asks("/api/datasets/{id:int}/change", page.change),
        Route("/api/datasets/{id:int}/makers", reads(page.makers), methods=["GET"]),
        does("/api/datasets/{id:int}/extend", page.extend),
        does("/api/datasets/{id:int}/retry", page.retry),
        does("/api/datasets/{id:int}/remove", page.remove),
    ]


class Datasets:
    """The page's addresses."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal
        self.uploads = Uploads(anneal.home, anneal.upload_limit)
        self.changing = asyncio.Lock()

    def all(self, request: Request) -> Response:
        """Built-in datasets, then the imported ones whatever their state, newest first."""
        built_in = [
            {"key": o.key, "name": o.card.label, "help": o.card.help, "state": "ready",
             "imported": False}
            for o in form.options(self.anneal.catalog, "data")
        ]  # fmt: skip
        offered = {offer["origin"] for offer in self.anneal.offers}
        own = [
            imported(row) | {"origin": row.source if row.source in offered else None}
            for row in self.anneal.history.datasets()
        ]
        return reply(plain({
            "datasets": [*built_in, *own], "offers": [dict(offer) for offer in self.anneal.offers],
            "upload_limit": self.anneal.upload_limit,
            "readonly": text("readonly") if self.anneal.readonly else None,
        }))  # fmt: skip

    # --- in ---------------------------------------------------------------------------------

    async def upload(self, request: Request) -> Response:
        """A file as the body; the token that it is asked for by, also by the files after it."""
        try:
            self._may_change()
            check_origin(request)
            # A form on another site can't send this type without asking first.
            if request.headers.get("content-type") != "application/octet-stream":
                raise Refusal(text("server.malformed"), 415)
            query = request.query_params
            announced = request.headers.get("content-length", "")
            token = await self.uploads.receive(
                request.stream(), size=int(announced) if announced.isdecimal() else 0,
                file=query.get("file", ""), token=query.get("token"),
            )  # fmt: skip
            return reply({"token": token})
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)
        except ClientDisconnect:
            return reply({"error": text("datasets.cancelled")}, 400)

    def drop(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The page doesn't want its upload any more."""
        self.uploads.drop(body.get("token"))
        return {}

    async def inspect(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """What the files hold, or what is wrong with them and which option would mend it."""
        paths = await run_in_threadpool(self._paths, body)
        kind = _kind(body)
        try:
            return await answer(
                request, self.anneal, "inspect",
                paths=[str(path) for path in paths], kind=kind, options=options_of(body),
            )  # fmt: skip
        except BadInput as problem:
            return {"problem": {"field": problem.field, "text": str(problem)}}

    def _paths(self, body: Mapping[str, Any]) -> list[Path]:
        """Of an upload, or of a failed import that has kept its files."""
        if "dataset" not in body:
            return self.uploads.files(body.get("token"))
        with asking():
            paths = _kept(self.anneal.history.dataset(_number(body["dataset"])))
        if not paths or not all(path.exists() for path in paths):
            raise Refusal(text("upload.gone"), 404)
        return paths

    def start(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Import an upload; the new dataset's id."""
        kind, options, token = _kind(body), options_of(body), body.get("token")
        name = _name(body) or Path(self.uploads.files(token)[0].name).stem
        with asking(), self.uploads.taken(token) as paths:
            number = self.anneal.importer.start(
                paths, name=name[:LONGEST_NAME], kind=kind, options=options
            )
        return {"dataset": number}

    def get(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Fetch one of the offers, or a dataset of the hub; the new dataset's id."""
        origin = body.get("origin")
        offered = {offer["origin"]: str(offer["label"]) for offer in self.anneal.offers}
        if not isinstance(origin, str) or (origin not in offered and not _on_the_hub(origin)):
            raise Refusal(text("datasets.no_origin"))
        name, options = _name(body) or offered.get(origin, ""), options_of(body)
        with asking():
            number = self.anneal.importer.get(origin, name=name, options=options)
        return {"dataset": number}

    def retry(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Import once more what failed, with other options; the new dataset's id."""
        options = options_of(body)
        with asking():
            number = self.anneal.importer.retry(int(request.path_params["id"]), options)
        return {"dataset": number}

    def makers(self, request: Request) -> Response:
        """Runs that can make more items for a dataset: those that draw like it and those that give
        what is drawn a class, or those that translate, by what it holds; newest first."""
        with asking():
            row = self.anneal.history.dataset(int(request.path_params["id"]))
        every, _ = self.anneal.history.runs(limit=LOOKED_THROUGH, comparison=False)
        kept = [run for run in every if run.saved_step is not None]
        own = [run for run in kept if run.dataset == row.id]
        named = [
            [{"id": run.id, "label": f"{run.id} · {run.name}"} for run in some]
            for some in (
                [run for run in own if self._provides(run) & DRAW],
                [run for run in own if "label" in self._needs(run) and "image" in row.provides],
                [run for run in kept if {"pair", "target"} <= self._needs(run)],
            )
        ]
        draw, label, translate = named
        return reply({
            "draw": draw if "image" in row.provides else [],
            "label": label if row.meta.get("classes") else [],
            "translate": translate if "text" in row.provides else [],
            "labelled": bool(row.meta.get("classes")),
        })  # fmt: skip

    def _provides(self, run: Run) -> frozenset[str]:
        cards = self.anneal.catalog.of("model")
        return next((card.provides for card in cards if card.name == run.model), frozenset())

    def _needs(self, run: Run) -> frozenset[str]:
        cards = self.anneal.catalog.of("task")
        return next((card.needs for card in cards if card.name == run.task), frozenset())

    def extend(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Make a dataset of this one and of what runs make; its id."""
        number = int(request.path_params["id"])
        with asking():
            row = self.anneal.history.dataset(number)
        if row.state != "ready":
            raise Refusal(text("datasets.gone"), 404)
        asked = {name: body[name] for name in EXTENSION if body.get(name) is not None}
        if not isinstance(asked.get("do"), str):
            raise Refusal(text("server.malformed"))
        check_text(asked)
        asked |= {"dataset": number, "version": form.version_of(row)}
        drawn = asked["do"] == "draw"
        kind = text("data.extend.drawn" if drawn else "data.extend.translated")
        with asking():
            made = self.anneal.importer.extend(
                asked, name=_name(body) or f"{row.name} + {kind}"[:LONGEST_NAME], source=kind
            )
        return {"dataset": made}

    def remove(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Forget a dataset and delete its files; an import that goes on is ended."""
        number = int(request.path_params["id"])
        with asking():
            self.anneal.importer.remove(number)
        return {"removed": number}

    # --- a dataset's page -------------------------------------------------------------------

    async def details(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Everything about one dataset, from the process that can open it."""
        option, row = await self._option(body)
        found = await self._ask(request, "details", data=_data(option, body))
        return {**found, "name": option.card.label, "key": option.key, "id": option.dataset,
                "today": option.version if row else None,
                "bytes": row.bytes if row else None, "file": row.source if row else None,
                "created": row.created if row else None}  # fmt: skip

    async def items(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """A page of its items: of a split, of a class, or those that a finding is about."""
        option, _ = await self._option(body)
        split, label, finding = (body.get(name) for name in ("split", "label", "finding"))
        texts = isinstance(split, str | None) and isinstance(finding, str | None)
        if not texts or not (label is None or _whole(label)):
            raise Refusal(text("server.malformed"))
        check_text([split, finding])
        return await self._ask(
            request, "items", data=_data(option, body), split=split, label=label, finding=finding,
            offset=_number(body.get("offset", 0)),
            count=min(_number(body.get("count", 24)), MOST_ITEMS),
        )  # fmt: skip

    async def sound(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """A recording to listen to."""
        option, _ = await self._option(body)
        data, row = _data(option, body), _number(body.get("row"))
        return await self._ask(request, "sound", data=data, row=row)

    async def given(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """An item as it is given to a model that is tried."""
        option, _ = await self._option(body)
        data, row = _data(option, body), _number(body.get("row"))
        return await self._ask(request, "given", data=data, row=row)

    async def change(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Make the next version; only from the newest, so that nobody's change is passed over."""
        self._may_change()
        number, version = int(request.path_params["id"]), _number(body.get("version"))
        wanted = {name: body[name] for name in ("change", "finding") if body.get(name) is not None}
        if len(wanted) != 1:
            raise Refusal(text("server.malformed"))
        _check_change(wanted)
        async with self.changing:
            with asking():
                row = await run_in_threadpool(self.anneal.history.dataset, number)
            if row.state != "ready" or version != form.version_of(row):
                raise Refusal(text("datasets.changed_meanwhile"), 409)
            with asking():
                made = await carried_out(
                    self.anneal, "change", dataset=number, version=version, **wanted
                )
                await run_in_threadpool(
                    self.anneal.history.dataset_changed, number, meta=made["meta"]
                )
        return {"version": made["version"], "change": made["change"]}

    async def _option(self, body: Mapping[str, Any]) -> tuple[form.Option, DatasetRow | None]:
        rows = await run_in_threadpool(self.anneal.history.datasets)
        offered = form.options(self.anneal.catalog, "data", rows)
        option = next((o for o in offered if o.key == body.get("key")), None)
        if option is None:
            raise Refusal(text("datasets.gone"), 404)
        return option, next((r for r in rows if r.id == option.dataset), None)

    async def _ask(self, request: Request, question: str, **payload: Any) -> dict[str, Any]:
        try:
            return await answer(request, self.anneal, question, **payload)
        except BadInput as problem:
            raise Refusal(str(problem)) from None

    def _may_change(self) -> None:
        if self.anneal.readonly:
            raise Refusal(text("readonly"), 403)


def imported(row: DatasetRow) -> dict[str, Any]:
    """An imported dataset as the list shows it."""
    kept = row.meta.get("retry")
    retry = {"field": kept.get("field"), "options": kept.get("options") or {},
             "kind": kept.get("kind"), "files": bool(_kept(row))} \
        if isinstance(kept, dict) else None  # fmt: skip
    return {
        "key": f"{row.card}:{row.id}" if row.state == "ready" else None,
        "id": row.id, "name": row.name, "state": row.state, "reason": row.reason,
        "help": form.imported_help(row), "kind": row.kind,
        "done": row.done, "total": row.total, "text": row.text, "bytes": row.bytes,
        "created": row.created, "file": row.source, "imported": True,
        "version": form.version_of(row),
        "retry": retry if row.state == "failed" else None,
    }  # fmt: skip


def _kept(row: DatasetRow) -> list[Path]:
    """The files that a failed import has kept for another try."""
    retry = row.meta.get("retry")
    paths = retry.get("paths") if isinstance(retry, dict) else None
    return [Path(str(path)) for path in paths] if isinstance(paths, list) else []


def _data(option: form.Option, body: Mapping[str, Any]) -> dict[str, Any]:
    """What to open: today's version, or the older one that was asked for."""
    settings: dict[str, Any] = option.settings
    if body.get("version") is not None and option.dataset is not None:
        settings = {**settings, form.VERSION: _number(body["version"])}
    return {"name": option.card.name, "settings": settings}


def _kind(body: Mapping[str, Any]) -> str | None:
    kind = body.get("kind") or None
    if kind not in (None, *KINDS):
        raise Refusal(text("server.malformed"))
    return kind


def _name(body: Mapping[str, Any]) -> str:
    name = body.get("name") or ""
    if not isinstance(name, str):
        raise Refusal(text("server.malformed"))
    check_text(name)
    return " ".join(name.split())[:LONGEST_NAME]


def _on_the_hub(origin: str) -> bool:
    return len(origin.removeprefix("hub:")) <= LONGEST_ID and bool(HUB.fullmatch(origin))


def _check_change(wanted: Mapping[str, Any]) -> None:
    """Refusal when it holds texts that are none, or rows that are no numbers."""
    check_text(dict(wanted))
    change = wanted.get("change")
    rows = change.get("rows", []) if isinstance(change, dict) else []
    if not isinstance(rows, list) or not all(map(_whole, rows)):
        raise Refusal(text("server.malformed"))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _number(value: object) -> int:
    if not isinstance(value, int) or not _whole(value):
        raise Refusal(text("server.malformed"))
    return value
