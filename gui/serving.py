"""One run's model for other programs: an HTTP endpoint that OpenAPI describes.

================  =================================================================================
GET  /health      whether it answers, and which checkpoint
POST /predict     ``{"inputs": [{"text": …}, …], "options": {…}}``, or a file as it is, or a form
GET  /openapi.json, /docs   what can be asked, and a page that says so
================  =================================================================================

Requests that come together are answered together: those that wait while the model works make the
next batch.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import html
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from starlette.routing import Route

from engine.catalog import BadInput, Card
from gui.admission import LOCAL, SameOrigin, by_name
from gui.replies import Refusal, check_text, plain, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Answers

LONGEST = 24 << 20
"""Bytes of a request."""
MOST = 64
"""Inputs of a request, and of what the model is asked at once."""
PATIENCE = 120.0
"""Seconds; the first answer waits for the process that gives it."""
PORT = 8000

EXAMPLES: Mapping[str, tuple[str, Any]] = {
    "image": ("png", "<base64 of a PNG or JPEG file>"),
    "text": ("text", "a text to try it on"),
    "pair": ("text", "a text to try it on"),
    "sequence": ("sequence", []),  # its steps are as wide as those that the run has read
    "audio": ("sound", "<base64 of a WAV, FLAC, OGG or MP3 file>"),
}  # fmt: skip
"""What an input is called by the kind of the data, and an example."""
FILES = {"png": "picture.png", "sound": "recording.wav"}
"""What a call sends as a file."""


BLANK = "a text with a ___ in it"
"""An example for a model that fills in what is missing."""
STEPS = 2
"""Steps of a sequence that is an example."""


def width_of(folder: Path) -> int | None:
    """How many numbers a step has that the run of this folder reads; None where none is kept."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        (width,) = json.loads((folder / "data.json").read_text("utf-8"))["shape"]
        return int(width)
    return None


def taken(task: Card, data: Card, width: int | None = None) -> tuple[str, Any]:
    """The name of what a run's model takes, and an example of it.

    A sequence's steps have `width` numbers each.
    """
    if task.invents:
        return "seed", "0"
    name, example = next(EXAMPLES[kind] for kind in EXAMPLES if kind in data.provides)
    if name == "sequence":
        example = [[(step + place) % 10 / 10 for place in range(width or 1)]
                   for step in range(STEPS)]  # fmt: skip
    elif "masked token" in task.fits:
        example = BLANK
    return name, example


def calls(
    task: Card, data: Card, url: str = f"http://127.0.0.1:{PORT}", *, width: int | None = None
) -> dict[str, str]:
    """Calls that work when they are pasted, in three languages."""
    name, example = taken(task, data, width)
    if file := FILES.get(name):
        return {
            "curl": f"curl {url}/predict --data-binary @{file} "
                    '-H "Content-Type: application/octet-stream"',
            "python": "import json, urllib.request\n"
                      f'asked = urllib.request.Request("{url}/predict", '
                      f'data=open("{file}", "rb").read(),\n'
                      '    headers={"Content-Type": "application/octet-stream"})\n'
                      "print(json.load(urllib.request.urlopen(asked)))",
            "javascript": 'import { readFile } from "node:fs/promises";\n'
                          f'const asked = await fetch("{url}/predict", {{\n'
                          f'  method: "POST", body: await readFile("{file}"),\n'
                          '  headers: { "Content-Type": "application/octet-stream" },\n});\n'
                          "console.log(JSON.stringify(await asked.json()));",
        }  # fmt: skip
    body = json.dumps({"inputs": [{name: example}]})
    return {
        "curl": f'curl {url}/predict -H "Content-Type: application/json" -d \'{body}\'',
        "python": "import json, urllib.request\n"
                  f'asked = urllib.request.Request("{url}/predict", '
                  f"data=json.dumps({body}).encode(),\n"
                  '    headers={"Content-Type": "application/json"})\n'
                  "print(json.load(urllib.request.urlopen(asked)))",
        "javascript": f'const asked = await fetch("{url}/predict", {{\n'
                      f'  method: "POST", body: JSON.stringify({body}),\n'
                      '  headers: { "Content-Type": "application/json" },\n});\n'
                      "console.log(JSON.stringify(await asked.json()));",
    }  # fmt: skip


@dataclass
class Waiting:
    """One input that somebody waits for an answer to."""

    given: dict[str, Any]
    options: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Endpoint:
    """Asks a run's model what requests ask, many at once."""

    def __init__(
        self, answers: Answers, run: int, task: Card, data: Card, *, which: str = "best",
        width: int | None = None,
    ) -> None:  # fmt: skip
        """`which` of its checkpoints answers: the best or the last. `width`: see `taken`."""
        self.answers, self.run, self.task, self.data = answers, run, task, data
        self.which, self.width = which, width
        self.name, self.example = taken(task, data, width)
        self.waiting: asyncio.Queue[Waiting] = asyncio.Queue()
        self.batches: list[int] = []
        """Sizes of the batches that were asked, the last of them."""
        self.since: float | None = None
        """When the batch that is being answered was asked, by the clock of `time.monotonic`."""
        self.checkpoint: dict[str, Any] | None = None
        """Which has answered last."""

    def app(self, host: str = LOCAL[0]) -> Starlette:
        """The whole of it, for the address that it listens on."""
        return Starlette(
            routes=[
                Route("/health", self.health), Route("/predict", self.predict, methods=["POST"]),
                Route("/openapi.json", self.openapi), Route("/docs", self.docs),
            ],
            middleware=[by_name(host), Middleware(SameOrigin)], lifespan=self.lifespan,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        working = asyncio.create_task(self.work())
        try:
            yield
        finally:
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working

    # --- batches ----------------------------------------------------------------------------

    async def work(self) -> None:
        """Answer what waits, batch by batch."""
        left: list[Waiting] = []
        while True:
            batch = left or [await self.waiting.get()]
            left = []
            while len(batch) < MOST and not self.waiting.empty():
                batch.append(self.waiting.get_nowait())
            same = [one for one in batch if one.options == batch[0].options]
            left = [one for one in batch if one.options != batch[0].options]
            same = [one for one in same if not one.answer.done()]
            if same:
                self.batches = [*self.batches[-99:], len(same)]
                await self._ask(same)

    async def _ask(self, batch: Sequence[Waiting]) -> None:
        self.since = time.monotonic()
        try:
            future = self.answers.ask(
                "together", run=self.run, which=self.which,
                inputs=[one.given for one in batch], options=batch[0].options,
            )  # fmt: skip
            told = await asyncio.wrap_future(future)
        except (BadInput, RuntimeError, CancelledError) as problem:
            refused = Refusal(str(problem), 400 if isinstance(problem, BadInput) else 503)
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(refused)
            return
        finally:
            self.since = None
        self.checkpoint = told["checkpoint"]
        for one, result in zip(batch, told["results"], strict=True):
            if one.answer.done():
                continue
            if "problem" in result:
                one.answer.set_exception(Refusal(result["problem"], 422))
            else:
                one.answer.set_result({"result": result, "checkpoint": told["checkpoint"]})

    # --- addresses --------------------------------------------------------------------------

    async def health(self, request: Request) -> Response:
        """Whether the model answers, and by which checkpoint. While it works on a batch it is asked
        nothing: whoever looks after it has no patience."""
        if self.since and time.monotonic() - self.since < PATIENCE and self.checkpoint:
            return self._well(self.checkpoint)
        try:
            future = self.answers.ask(
                "together", run=self.run, which=self.which, inputs=[], options={}
            )
            told = await asyncio.wait_for(asyncio.wrap_future(future), PATIENCE)
        except (BadInput, RuntimeError, TimeoutError) as problem:
            return reply({"status": "failed", "error": str(problem) or text("server.busy")}, 503)
        self.checkpoint = told["checkpoint"]
        return self._well(told["checkpoint"])

    def _well(self, checkpoint: Mapping[str, Any]) -> Response:
        return reply({"status": "ok", "run": self.run, "checkpoint": plain(checkpoint),
                      "batches": self.batches})  # fmt: skip

    async def predict(self, request: Request) -> Response:
        """What the model says of each input."""
        try:
            inputs, options = await self._asked(request)
            asked = [Waiting(given, options) for given in inputs]
            for one in asked:
                self.waiting.put_nowait(one)
            try:
                async with asyncio.timeout(PATIENCE):
                    told = await asyncio.gather(*(one.answer for one in asked))
            except TimeoutError:
                raise Refusal(text("server.busy"), 504) from None
            return reply(plain({
                "run": self.run, "checkpoint": told[0]["checkpoint"],
                "results": [one["result"] for one in told],
            }))  # fmt: skip
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)

    async def _asked(self, request: Request) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The inputs and options of a request, in any of its three forms."""
        kind = request.headers.get("content-type", "").split(";")[0].strip()
        body = await received(request)
        if kind == "application/json":
            return self._said(body)
        if kind == "multipart/form-data":
            # Read again from what was received: its size is known by now.
            again = type(request)(request.scope, _once(body))
            async with again.form(max_files=MOST, max_fields=0) as form:
                files = [await one.read() for _, one in form.multi_items()
                         if not isinstance(one, str)]  # fmt: skip
        else:
            files = [body]
        if not files or not all(files):
            raise Refusal("Send a file, or JSON with inputs.", 422)
        name = self.name if self.name in FILES else "file"
        return [{name: base64.b64encode(file).decode()} for file in files], {}

    def _said(self, body: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            raise Refusal("That isn't JSON.") from None
        inputs = said.get("inputs") if isinstance(said, dict) else None
        options = said.get("options") or {} if isinstance(said, dict) else None
        if not isinstance(inputs, list) or not inputs or not isinstance(options, dict):
            example = json.dumps({"inputs": [{self.name: self.example}]})
            raise Refusal(f"Send the inputs as {example}.", 422)
        if len(inputs) > MOST:
            raise Refusal(f"A request takes at most {MOST} inputs: send several.", 413)
        check_text(said)
        # A path would let others read this computer's files.
        given = [{self.name: one[self.name]} for one in inputs
                 if isinstance(one, dict) and self.name in one]  # fmt: skip
        if len(given) != len(inputs):
            raise Refusal(f"Each input is an object with “{self.name}”.", 422)
        wanted: type | tuple[type, ...] = list if self.name == "sequence" else (str, int)
        if not all(isinstance(one[self.name], wanted) for one in given):
            raise Refusal(f"“{self.name}” isn't what it should be: see /docs.", 422)
        if self.name == "sequence" and not all(_rows(one["sequence"]) for one in given):
            raise Refusal("A sequence is a list of steps, each a list of numbers.", 422)
        return [{name: value if isinstance(value, list) else str(value)
                 for name, value in one.items()} for one in given], options  # fmt: skip

    async def openapi(self, request: Request) -> Response:
        return reply(self.described())

    async def docs(self, request: Request) -> Response:
        """A page that says what can be asked; it fetches nothing."""
        url = str(request.base_url).rstrip("/")
        known = calls(self.task, self.data, url, width=self.width)
        parts = [f"<h2>{html.escape(name)}</h2><pre>{html.escape(call)}</pre>"
                 for name, call in known.items()]  # fmt: skip
        described = json.dumps(self.described(), indent=2, ensure_ascii=False)
        return HTMLResponse(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f"<title>Run {self.run}</title><style>{STYLE}</style></head><body>"
            f"<h1>Run {self.run}: {html.escape(self.task.label)}</h1>{''.join(parts)}"
            '<h2><a href="/openapi.json">OpenAPI</a></h2>'
            f"<pre>{html.escape(described)}</pre></body></html>",
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )  # fmt: skip

    def described(self) -> dict[str, Any]:
        """What can be asked, as OpenAPI says it."""
        step: dict[str, Any] = {"type": "array", "items": {"type": "number"}}
        if self.width is not None:
            step |= {"minItems": self.width, "maxItems": self.width}
        kind: dict[str, Any] = {"type": "string"}
        if self.name == "sequence":
            kind = {"type": "array", "items": step}
        one = {"type": "object", "required": [self.name], "properties": {self.name: kind}}
        asked = {
            "type": "object", "required": ["inputs"],
            "properties": {
                "inputs": {"type": "array", "items": one, "minItems": 1, "maxItems": MOST},
                "options": {"type": "object", "properties": {
                    each.name: {"description": each.help, "default": each.default}
                    for each in self.task.tries
                }},
            },
            "example": {"inputs": [{self.name: self.example}]},
        }  # fmt: skip
        told = {
            "type": "object", "required": ["run", "checkpoint", "results"],
            "properties": {
                "run": {"type": "integer"}, "checkpoint": {"type": "object"},
                "results": {"type": "array", "items": {"type": "object"}},
            },
        }  # fmt: skip
        problem = {"type": "object", "properties": {"error": {"type": "string"}}}

        def answer(words: str, schema: dict[str, Any]) -> dict[str, Any]:
            return {"description": words, "content": {"application/json": {"schema": schema}}}

        binary = {"type": "string", "format": "binary"}
        form = {"type": "object", "properties": {"file": binary}}
        return {
            "openapi": "3.1.0",
            "info": {"title": f"Run {self.run}: {self.task.label}", "version": str(self.run)},
            "paths": {
                "/health": {"get": {
                    "operationId": "health", "summary": "Whether it answers",
                    "responses": {"200": answer("It does", {"type": "object"}),
                                  "503": answer("It doesn't", problem)},
                }},
                "/predict": {"post": {
                    "operationId": "predict", "summary": "What the model says of each input",
                    "requestBody": {"required": True, "content": {
                        "application/json": {"schema": asked},
                        "application/octet-stream": {"schema": binary},
                        "multipart/form-data": {"schema": form},
                    }},
                    "responses": {
                        "200": answer("A result for each input, in their order", told),
                        "413": answer("Too much at once", problem),
                        "422": answer("An input isn't what the model takes", problem),
                        "503": answer("The model can't answer now", problem),
                    },
                }},
            },
        }  # fmt: skip


async def received(request: Request) -> bytes:
    """The body. Refusal when it is too long, before all of it is read."""
    found = b""
    async for piece in request.stream():
        found += piece
        if len(found) > LONGEST:
            raise Refusal(text("reply.too_long"), 413)
    return found


def _once(body: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _rows(value: object) -> bool:
    """Whether it is a list of lists of numbers."""
    return isinstance(value, list) and all(
        isinstance(row, list)
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in row)
        for row in value
    )


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "pre{overflow-x:auto;background:#8881;padding:1rem;border-radius:6px}"
    ":root{color-scheme:light dark}"
)
