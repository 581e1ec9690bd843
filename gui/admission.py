"""Who may ask a server of this machine: not by any name, and not from other sites' pages."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL = ("127.0.0.1", "localhost", "::1")


def by_name(host: str) -> Middleware:
    """Turns away other names for this machine (DNS rebinding)."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  served to the network on purpose
        return Middleware(KnownName)
    return Middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL, f"[{LOCAL[-1]}]", host])


def elsewhere(origin: str | None, host: str | None) -> bool:
    """Whether another site's page asks: a browser says where it comes from."""
    return origin is not None and parts(origin).netloc != host


class SameOrigin:
    """Refuses what another site's page asks; programs without a browser say no origin."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1")
                       for name, value in scope["headers"]}  # fmt: skip
            if elsewhere(headers.get("origin"), headers.get("host")):
                refused = PlainTextResponse("Not from this site", status_code=403)
                await refused(scope, receive, send)
                return
        await self.app(scope, receive, send)


class KnownName:
    """Serves by any address and by this machine's own names, not by any name.

    Another site can make its name lead here (DNS rebinding); it can't do so with an address.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        own = socket.gethostname().lower()
        self.names = {"localhost", own, own.partition(".")[0]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            given = next((v.decode("latin-1") for n, v in scope["headers"] if n == b"host"), "")
            if not self.knows(parts(f"//{given}").hostname or ""):
                await PlainTextResponse("Not by this name", status_code=400)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def knows(self, name: str) -> bool:
        """Whether it is an address or a name of this machine."""
        with contextlib.suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return name in self.names or name.endswith(".local")


def parts(address: str) -> SplitResult:
    """The parts of an address; of one that is none, nothing."""
    try:
        return urlsplit(address)
    except ValueError:  # “http://[”
        return urlsplit("")
