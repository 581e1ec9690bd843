"""Waiting for the process that computes answers, without holding a thread while it does."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from engine.catalog import BadInput
from gui.replies import Endpoint, Refusal, check_origin, plain, read_body, reply
from gui.text import text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gui.shell import Anneal

LONGEST_WAIT = 120.0
"""Seconds; the first answer also waits for the process that computes it to start."""
LONGEST_QUESTION = 24 << 20
"""Bytes: a photograph as base64."""

Asker = Callable[["Request", dict[str, Any]], Awaitable[dict[str, Any]]]


def awaits(handler: Asker) -> Endpoint:
    """An endpoint for a POST that asks and changes nothing: JSON in, what `handler` returns out."""

    @functools.wraps(handler)
    async def endpoint(request: Request) -> Response:
        try:
            check_origin(request)
            body = await read_body(request, LONGEST_QUESTION)
            return reply(plain(await handler(request, body)))
        except Refusal as refusal:
            return reply({"error": str(refusal)}, refusal.status)

    return endpoint


async def answer(request: Request, anneal: Anneal, question: str, **payload: Any) -> dict[str, Any]:
    """The answer, or Refusal with a sentence; BadInput is a person's mistake and is passed on.

    A question whose page has gone or has asked anew is taken back, so that the newest one
    doesn't stand in line behind it.
    """
    # In a thread: a long question waits until the other process has read it.
    future = await run_in_threadpool(anneal.answers.ask, question, **payload)
    waiting = asyncio.wrap_future(future)
    leaving = asyncio.ensure_future(_gone(request))
    either: set[asyncio.Future[Any]] = {waiting, leaving}
    try:
        await asyncio.wait(either, timeout=LONGEST_WAIT, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise Refusal(text("server.busy"), 504)
        return waiting.result()
    except RuntimeError as problem:
        raise Refusal(str(problem), 503) from None
    finally:
        leaving.cancel()
        waiting.cancel()  # also cancels `future`, if nobody works on it yet


async def carried_out(anneal: Anneal, question: str, **payload: Any) -> dict[str, Any]:
    """The answer to what changes something: waited for even when its page has gone meanwhile."""
    future = await run_in_threadpool(anneal.answers.ask, question, **payload)
    try:
        return await asyncio.wrap_future(future)
    except RuntimeError as problem:
        raise Refusal(str(problem), 503) from None


async def pieces(
    anneal: Anneal, question: str, **payload: Any
) -> AsyncGenerator[str | dict[str, Any]]:
    """The pieces of an answer as they come, then what it ends with; fails as `answer` does.

    Left early, it takes the question back, whose answer ends with the next piece.
    """
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[str | None] = asyncio.Queue()

    def hear(piece: str | None) -> None:  # in another thread
        with contextlib.suppress(RuntimeError):  # the server has closed meanwhile
            loop.call_soon_threadsafe(heard.put_nowait, piece)

    ask = functools.partial(anneal.answers.ask, question, heard=hear, **payload)
    future = await run_in_threadpool(ask)
    future.add_done_callback(lambda _: hear(None))
    try:
        while True:
            begun = future.running()
            try:
                piece = await asyncio.wait_for(heard.get(), LONGEST_WAIT)
            except TimeoutError:
                if begun:
                    raise
                continue  # others were answered before: its own time begins now
            if piece is None:
                break
            yield piece
        yield future.result()
    except (TimeoutError, CancelledError):  # the second when Anneal closes
        raise Refusal(text("server.busy"), 504) from None
    except RuntimeError as problem:
        raise Refusal(str(problem), 503) from None
    finally:
        anneal.answers.take_back(future)


async def lines(
    anneal: Anneal, question: str, known: Mapping[str, Any] | None = None, **payload: Any
) -> AsyncGenerator[bytes]:
    """An answer as lines of JSON, from the process for what takes long where there is one.

    ``{"progress"}`` as it goes, then ``{"answer"}`` with what is `known` besides, or ``{"error"}``.
    """
    slow = dataclasses.replace(anneal, answers=anneal.patient or anneal.answers)
    try:
        async with contextlib.aclosing(pieces(slow, question, **payload)) as coming:
            async for piece in coming:
                said = {"progress": json.loads(piece)} if isinstance(piece, str) \
                    else {"answer": plain({**piece, **(known or {})})}  # fmt: skip
                yield orjson.dumps(said) + b"\n"
    except (BadInput, Refusal) as problem:
        yield orjson.dumps({"error": str(problem)}) + b"\n"


def in_lines(coming: AsyncGenerator[bytes]) -> Response:
    """The reply that sends each line as it comes."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(coming, media_type="application/x-ndjson", headers=headers)


async def _gone(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.25)
