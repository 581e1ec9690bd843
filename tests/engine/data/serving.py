"""A web server of a test's own: files, and ways in which they fail to come."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Site:
    """What the server has, and what it was asked for."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    """Answers that are no files."""
    moved: dict[str, str] = field(default_factory=dict)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    """After how many bytes each of the next connections ends."""
    stalls: dict[str, int] = field(default_factory=dict)
    """After how many bytes of the file no more come, though the connection stays."""
    endless: set[str] = field(default_factory=set)
    """What has no length and goes on for as long as anybody listens."""
    heads: dict[str, dict[str, str]] = field(default_factory=dict)
    """What is said of a file beside what is always said."""
    silence: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event | None = None
    """Waited for when half of a file has gone out."""
    tags: bool = True
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def put(self, path: str, content: bytes | Any) -> str:
        """The address of the content, or of a value as JSON."""
        self.files[path] = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.address + path

    def ranges(self, path: str) -> list[str]:
        """From where each request for the path wanted it."""
        return [head.get("range", "") for asked, head in self.asked if asked == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site, path = self.site, self.path
        site.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
        if path in site.moved:
            self._say(302, {"location": site.moved[path]})
        elif path in site.codes or path not in site.files:
            self._say(site.codes.get(path, 404), {})
        else:
            self._give(site.files[path])

    def _say(self, code: int, headers: dict[str, str], length: int = 0) -> None:
        self.send_response(code)
        for name, value in {"content-length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _give(self, content: bytes) -> None:
        site = self.site
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = site.heads.get(self.path, {}) | ({"etag": tag} if site.tags else {})
        if site.tags and self.headers.get("if-none-match") == tag:
            self._say(304, headers)
            return
        begin = 0
        wanted = self.headers.get("range", "")
        if wanted and self.headers.get("if-range", tag) == tag:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(content):
                self._say(416, {"content-range": f"bytes */{len(content)}"})
                return
            headers["content-range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        if self.path in site.endless:
            self._go_on()
            return
        self._say(206 if begin else 200, headers, len(content) - begin)
        owed = content[begin:]
        if site.breaks.get(self.path):
            self.wfile.write(owed[: site.breaks[self.path].pop(0)])
            self.close_connection = True
        elif self.path in site.stalls:
            self.wfile.write(owed[: max(site.stalls[self.path] - begin, 0)])
            site.silence.wait(30)
            self.close_connection = True
        elif site.hold:
            self.wfile.write(owed[: len(owed) // 2])
            site.hold.wait(30)
            self.wfile.write(owed[len(owed) // 2 :])
        else:
            self.wfile.write(owed)

    def _go_on(self) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"10000\r\n" + bytes(2**16) + b"\r\n")

    def log_message(self, *args: object) -> None:
        """Nothing: the tests look at `Site.asked`."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        """A client that has gone is what some tests are about."""


@contextmanager
def serving() -> Iterator[Site]:
    """A site on this machine, while the block lasts."""
    site = Site()
    handler = type("Handler", (_Handler,), {"site": site})
    with _Quiet(("127.0.0.1", 0), handler) as server:
        site.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield site
        finally:
            site.silence.set()
            if site.hold:
                site.hold.set()
            server.shutdown()
            thread.join()
