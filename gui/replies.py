"""Answers to the pages' scripts: JSON out, a sentence when it can't be done, and who may change."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.catalog import BadInput
from gui.text import text

LONGEST_BODY = 1 << 16
"""Bytes of a request that changes something: a name, some tags, a note."""
HALVES = re.compile("[\ud800-\udfff]")
"""Surrogates: JSON reads two as one character and leaves one alone as it is."""


class Refusal(Exception):
    """The request can't be done; the message is a sentence for the person who asked."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


def reply(data: Any, status: int = 200) -> Response:
    """JSON that no one keeps. NaN must have been made `plain` before."""
    return JSONResponse(data, status, headers={"Cache-Control": "no-store"})


def plain(value: Any) -> Any:
    """The same, with numbers that JSON can't say written as ``"NaN"``, ``"∞"`` and ``"−∞"``."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """What the history refuses, as a refusal with its own sentence."""
    try:
        yield
    except BadInput as problem:
        raise Refusal(str(problem), 400) from None
    except LookupError as problem:
        raise Refusal(_sentence(problem), 404) from None
    except OverflowError:  # a number that no id can be
        raise Refusal(text("reply.nothing"), 404) from None
    except OSError as problem:  # the database can't be written just now
        raise Refusal(str(problem), 503) from None
    except ValueError as problem:
        raise Refusal(_sentence(problem), 409) from None


def _sentence(problem: Exception) -> str:
    return str(problem.args[0]) if problem.args else str(problem)


Reader = Callable[[Request], Response]
Writer = Callable[[Request, dict[str, Any]], Any]
Endpoint = Callable[[Request], Awaitable[Response]]


def reads(handler: Reader) -> Endpoint:
    """An endpoint that runs `handler` in a thread and says its refusals as JSON."""

    @functools.wraps(handler)
    async def endpoint(request: Request) -> Response:
        try:
            return await run_in_threadpool(handler, request)
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)

    return endpoint


def changes(handler: Writer, *, readonly: bool) -> Endpoint:
    """An endpoint for POST: JSON from a page of this site only, and nothing when `readonly`.

    `handler` gets the request and its body, and returns what to reply.
    """

    @functools.wraps(handler)
    async def endpoint(request: Request) -> Response:
        try:
            if readonly:
                raise Refusal(text("readonly"), 403)
            check_origin(request)
            body = await read_body(request)
            return reply(await run_in_threadpool(handler, request, body))
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)

    return endpoint


def check_origin(request: Request) -> None:
    """Refuse what another site's page sent; programs without a browser send neither header."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if elsewhere or site not in ("same-origin", "none"):
        raise Refusal(text("reply.elsewhere"), 403)


async def read_body(request: Request, longest: int = LONGEST_BODY) -> dict[str, Any]:
    """The JSON object that a page sent. Refusal when it is anything else, or too long."""
    # A form on another site can't send this type without asking first.
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise Refusal("Send JSON: Content-Type must be application/json.", 415)
    received = b""
    async for piece in request.stream():
        received += piece
        if len(received) > longest:
            raise Refusal(text("reply.too_long"), 413)
    try:
        body = json.loads(received or b"{}")
    except (ValueError, RecursionError):
        raise Refusal("That isn't JSON.") from None
    if not isinstance(body, dict):
        raise Refusal("Send a JSON object.")
    return body


def check_text(value: object) -> None:
    """Refusal when a text in it can't be written: JSON can say half of a character."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as said if HALVES.search(said):
                raise Refusal(text("server.no_text"))
            case dict() as said:
                waiting += [*said, *said.values()]
            case list() as said:
                waiting += said


def options_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a page sent as ``options``; whoever takes them checks what they are."""
    options = body.get("options") or {}
    if not isinstance(options, dict):
        raise Refusal(text("server.malformed"))
    check_text(options)
    return options


def whole_number(request: Request, name: str, default: int, *, low: int, high: int) -> int:
    """A number from the address, held between `low` and `high`."""
    try:
        return min(max(int(request.query_params.get(name, default)), low), high)
    except ValueError:
        raise Refusal(f"{name} must be a whole number.") from None
