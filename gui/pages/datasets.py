"""Datasets: the built-in ones and a person's own, looked at, brought in and removed."""

from __future__ import annotations

import contextlib
import shutil
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from engine.catalog import BadInput
from gui import assets, form
from gui.answering import answer, awaits
from gui.replies import Refusal, asking, changes, check_origin, plain, reads, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal
    from storage.values import DatasetRow

PIECE = 4 << 20
"""Bytes gathered before they are written: the disk is then asked 25 times for 100 MB."""
SPARE = 256 << 20
"""Bytes that an upload leaves free on the disk."""
FORGOTTEN = 86_400
"""Seconds after which an upload that no import has taken is removed."""
OPTIONS = ("size", "validation", "test", "seed", "skip_broken")


def build(anneal: Anneal) -> None:
    """Draw the page: an empty frame that datasets.js fills."""
    clear(uploads(anneal.home), older_than=FORGOTTEN)
    gr.HTML(
        html_template='<div class="an-page an-datasets" id="an-main" tabindex="-1"></div>',
        js_on_load=assets.mount("datasets.js"),
        apply_default_css=False,
    )


def routes(anneal: Anneal) -> list[Route]:
    """The list, a preview, an upload that becomes a dataset, and the removal of one."""
    page = Datasets(anneal)
    remove = changes(page.remove, readonly=anneal.readonly)
    return [
        Route("/api/datasets", reads(page.all), methods=["GET"]),
        Route("/api/datasets", page.upload, methods=["PUT"]),
        Route("/api/datasets/preview", awaits(page.preview), methods=["POST"]),
        Route("/api/datasets/{id:int}/remove", remove, methods=["POST"]),
    ]


class Datasets:
    """The page's addresses."""

    def __init__(self, anneal: Anneal) -> None:
        self.anneal = anneal

    def all(self, request: Request) -> Response:
        """Built-in datasets, then the imported ones whatever their state, newest first."""
        built_in = [
            {"key": o.key, "name": o.card.label, "help": o.card.help, "state": "ready",
             "kind": _kind(o.card.provides), "imported": False}
            for o in form.options(self.anneal.catalog, "data")
        ]  # fmt: skip
        own = [imported(row) for row in self.anneal.history.datasets()]
        return reply(plain({
            "datasets": [*built_in, *own],
            "readonly": text("readonly") if self.anneal.readonly else None,
        }))  # fmt: skip

    async def preview(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """What is inside, from the process that can open it."""
        rows = await run_in_threadpool(self.anneal.history.datasets)
        offered = form.options(self.anneal.catalog, "data", rows)
        option = next((o for o in offered if o.key == body.get("key")), None)
        if option is None:
            raise Refusal(text("datasets.gone"), 404)
        try:
            data = {"name": option.card.name, "settings": option.settings}
            found = await answer(request, self.anneal, "preview", data=data)
        except BadInput as problem:
            raise Refusal(str(problem)) from None
        row = next((r for r in rows if r.id == option.dataset), None)
        return {**found, "name": option.card.label, "key": option.key,
                "bytes": row.bytes if row else None, "file": row.source if row else None,
                "created": row.created if row else None,
                "warnings": list(row.meta.get("warnings", ())) if row else []}  # fmt: skip

    async def upload(self, request: Request) -> Response:
        """The file itself as the body, what to do with it in the address; the new dataset's id."""
        try:
            if self.anneal.readonly:
                raise Refusal(text("readonly"), 403)
            check_origin(request)
            # A form on another site can't send this type without asking first.
            if request.headers.get("content-type") != "application/octet-stream":
                raise Refusal(text("server.malformed"), 415)
            query = request.query_params
            file = safe_name(query.get("file", ""))
            options = {name: query[name] for name in OPTIONS if query.get(name)}
            folder = uploads(self.anneal.home) / uuid4().hex
            try:
                await self._receive(request, folder / file)
                name = query.get("name", "").strip() or Path(file).stem
                try:
                    number = await run_in_threadpool(
                        self.anneal.importer.start, folder / file, name=name[:120], options=options
                    )
                except BadInput as problem:
                    raise Refusal(str(problem)) from None
            except BaseException:
                await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)
                raise
            return reply({"dataset": number})
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)
        except ClientDisconnect:
            return reply({"error": text("datasets.cancelled")}, 400)

    async def _receive(self, request: Request, path: Path) -> None:
        size = int(request.headers.get("content-length", "0"))
        free = shutil.disk_usage(self.anneal.home).free
        if size + SPARE > free:
            sizes = {"size": _megabytes(size), "free": _megabytes(free)}
            raise Refusal(text("datasets.no_room", **sizes), 507)
        path.parent.mkdir(parents=True)
        with path.open("xb") as file:
            piece = bytearray()
            async for part in request.stream():
                piece += part
                if len(piece) >= PIECE:
                    await run_in_threadpool(file.write, bytes(piece))
                    piece.clear()
            await run_in_threadpool(file.write, bytes(piece))
        if path.stat().st_size == 0:
            raise Refusal(text("datasets.empty_file"))

    def remove(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Forget a dataset and delete its files; an import that goes on ends by itself."""
        number = int(request.path_params["id"])
        with asking():
            self.anneal.history.delete_dataset(number)
        shutil.rmtree(self.anneal.home / "datasets" / str(number), ignore_errors=True)
        return {"removed": number}


def imported(row: DatasetRow) -> dict[str, Any]:
    """An imported dataset as the list shows it."""
    return {
        "key": f"{row.card}:{row.id}" if row.state == "ready" else None,
        "id": row.id, "name": row.name, "state": row.state, "reason": row.reason,
        "help": form.imported_help(row), "kind": _kind(frozenset(row.provides)),
        "done": row.done, "total": row.total, "text": row.text, "bytes": row.bytes,
        "created": row.created, "file": row.source, "imported": True,
    }  # fmt: skip


def _kind(provides: frozenset[str]) -> str:
    """What one item is: the word that isn't about its label."""
    return next(iter(sorted(provides - {"label"})), "")


def uploads(home: Path) -> Path:
    """Where uploads lie until their import has read them."""
    return home / "tmp" / "uploads"


def clear(folder: Path, *, older_than: float) -> None:
    """Remove uploads that nobody can be reading any more, and the folders that are empty."""
    if not folder.is_dir():
        return
    for left in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > older_than:
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.rmdir()  # fails, and is meant to, while the file is there


def safe_name(given: str) -> str:
    """A file's own name, without folders or anything that a file system or a log could mistake."""
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in last if c.isprintable() and unicodedata.category(c)[0] != "C")
    kept = "".join("_" if c in '<>:"|?*' else c for c in kept).strip(". ")
    if not kept:
        raise Refusal(text("datasets.no_file"))
    stem, dot, ending = kept.rpartition(".")
    # A name may have 255 bytes, and a character up to four.
    short = stem.encode()[:100].decode(errors="ignore")
    return f"{short}{dot}{ending[:20]}"


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MB"
