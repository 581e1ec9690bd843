"""Our own scripts and styles, and plotly's, served from this machine."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import plotly
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gui import chinese
from gui.chinese_words import SENTENCES, WORDS
from gui.text import STRINGS

if TYPE_CHECKING:
    from starlette.requests import Request

STATIC = Path(__file__).parent / "static"
PREFIX = "/static-anneal"

MIME = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
LOOPBACK = ("127.0.0.1", "::1")
FOREVER = "public, max-age=31536000, immutable"


@functools.cache
def files() -> dict[str, Path]:
    """Every name that is served, and nothing else is: what lies in static/, and plotly's bundle."""
    ours = {path.name: path for path in sorted(STATIC.iterdir()) if path.suffix in MIME}
    bundle = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return {**ours, "plotly.min.js": bundle}


@functools.cache
def made() -> dict[str, bytes]:
    """Scripts that are no files: the strings in English, and all that is said in Chinese."""
    tables: dict[str, object] = {
        "text.js": STRINGS,
        "chinese.js": {"strings": chinese.STRINGS, "words": WORDS, "sentences": SENTENCES},
    }
    return {
        name: f"export default {json.dumps(table, ensure_ascii=False)};\n".encode()
        for name, table in tables.items()
    }


@functools.cache
def version() -> str:
    """Changes when any of the files does, so that a browser may keep them all for good."""
    digest = hashlib.sha256(b"".join(made().values()))
    for path in files().values():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def url(name: str) -> str:
    """Where the page finds the file. Scripts import each other by relative addresses."""
    assert name in files() or name in made(), f"no such file: {name}"
    return f"{PREFIX}/{version()}/{name}"


def mount(name: str) -> str:
    """For ``gr.HTML(js_on_load=…)``: hand the element to the `mount` of one of our modules."""
    return f'import("{url(name)}").then((page) => page.mount(element))'


async def _serve(request: Request) -> Response:
    name, asked = request.path_params["name"], request.path_params.get("version")
    if (name not in made() and name not in files()) or asked not in (None, version()):
        return Response(status_code=404)
    headers = {"Cache-Control": FOREVER if asked else "no-cache", "ETag": f'"{version()}"'}
    if request.client is not None and request.client.host in LOOPBACK:
        # Packing plotly's 5 MB takes a third of a second; sending them to oneself, a few ms.
        headers["Content-Encoding"] = "identity"
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if name in made():
        return Response(made()[name], media_type=MIME[".js"], headers=headers)
    path = files()[name]
    return FileResponse(path, media_type=MIME[path.suffix], headers=headers)


def routes() -> list[Route]:
    """``GET /static-anneal/<version>/<name>``; without the version, the browser asks each time."""
    return [
        Route(f"{PREFIX}/{{name}}", _serve),
        Route(f"{PREFIX}/{{version}}/{{name}}", _serve),
    ]
