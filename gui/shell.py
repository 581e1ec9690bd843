"""The frame around the pages: navigation, theme, safety settings and the server itself."""

from __future__ import annotations

import contextlib
import html
import importlib
import os
import socket
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import gradio as gr
from gradio.components.navbar import Navbar
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gui import admission, assets, news
from gui.admission import LOCAL
from gui.text import text
from gui.theme import theme

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from engine.catalog import Catalog
    from storage.history import History

PORTS_TRIED = 100
LAUNCHES = 5
"""Another program may take a port after it was found free: so often the next one is tried."""
CHARTS = ("/run", "/compare", "/starts", "/ablation", "/search")
"""Pages that open with a chart."""
LANGUAGES = {"en": "EN", "zh-CN": "中文"}
"""Each by its own name, whichever is shown."""
MARK = (assets.STATIC / "mark.svg").read_text().strip()


class Answers(Protocol):
    """The process that computes what a page asks for."""

    def ask(self, question: str, **payload: Any) -> Future[dict[str, Any]]:
        """A future answer; it fails with BadInput, or RuntimeError with a sentence."""

    def take_back(self, reply: Future[dict[str, Any]]) -> None:
        """Nobody wants that answer any more."""


class Importer(Protocol):
    """Brings files in as datasets, in a process of its own; progress is in the history.

    BadInput when an option is wrong.
    """

    def start(
        self,
        paths: Sequence[Path],
        *,
        name: str,
        kind: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> int:
        """Import files, which are deleted when they have been read; the new dataset's id."""

    def get(self, origin: str, *, name: str = "", options: Mapping[str, Any] | None = None) -> int:
        """Download and import a dataset that has a name; the new dataset's id."""

    def extend(self, extension: Mapping[str, Any], *, name: str, source: str) -> int:
        """Make a dataset of an earlier one and of what models have made; the new one's id."""

    def retry(self, id: int, options: Mapping[str, Any]) -> int:
        """Import again what failed and has kept its files, in its place; the new dataset's id."""

    def remove(self, id: int) -> None:
        """Forget a dataset and delete its files; an import that goes on is ended."""


@dataclass(frozen=True)
class Anneal:
    """All that the pages are given."""

    catalog: Catalog
    history: History
    answers: Answers
    importer: Importer
    home: Path
    poke: Callable[[], None]
    """Tells the queue that there may be something to start."""
    patient: Answers | None = None
    """Another one, for what takes long: nobody's prediction waits behind it."""
    offers: Sequence[Mapping[str, Any]] = ()
    """Datasets to fetch by a click: their origin, label, help, kind, licence, homepage, bytes."""
    upload_limit: int = 20 << 30
    """Bytes of one upload."""
    home_is_named: bool = False
    """The home isn't the one that the program finds by itself: a command must name it."""
    readonly: bool = False
    """Another app serves this home: look, but change nothing."""


@dataclass(frozen=True)
class Page:
    """One address of the app; `build` draws it and `routes` are its JSON addresses."""

    name: str
    path: str
    key: str = ""
    """Leads there after “g”."""
    navigation: bool = True

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(f"gui.pages.{self.name}")

    @property
    def title(self) -> str:
        return text(f"nav.{self.name}")


PAGES = (
    Page("train", "/", "t"),
    Page("few", "/few", "f"),
    Page("run", "/run", navigation=False),
    Page("runs", "/runs", "r"),
    Page("compare", "/compare", "c"),
    Page("starts", "/starts", "s"),
    Page("search", "/search", "h"),
    Page("ablation", "/ablation", navigation=False),
    Page("datasets", "/datasets", "d"),
    Page("predict", "/predict", "p"),
)


@dataclass(frozen=True)
class Served:
    """A running server."""

    host: str
    port: int
    url: str
    app: Any
    demo: gr.Blocks

    def close(self) -> None:
        """Stop serving and free the port."""
        self.demo.close(verbose=False)


def serve(anneal: Anneal, *, host: str = LOCAL[0], port: int = 7860) -> Served:
    """Serve the pages in a thread of this process; `Served.port` is the first free one from `port`.

    Raises OSError when none of the next hundred ports is free.
    """
    uploads = anneal.home / "tmp"
    uploads.mkdir(parents=True, exist_ok=True)
    # Read by every component as it is made, and by the upload route.
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    demo = draw(anneal, host)
    demo.queue(default_concurrency_limit=8, api_open=False)
    with contextlib.suppress(AttributeError):
        # Gradio's idle loop wakes every millisecond and takes 6–9 % of a core; 20 ms takes 1.5 %.
        queue = demo._queue
        queue.sleep_when_free = max(queue.sleep_when_free, 0.02)
    for left in reversed(range(LAUNCHES)):
        port = free_port(host, port)
        try:
            app, url = _launch(demo, anneal, host, port)
        except OSError:
            if not left:
                raise
            port += 1
        else:
            break
    return Served(host=host, port=port, url=url, app=app, demo=demo)


def _launch(demo: gr.Blocks, anneal: Anneal, host: str, port: int) -> tuple[Any, str]:
    """The app and its address. OSError when the port is taken."""
    app, url, _ = demo.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        inbrowser=False,
        strict_cors=True,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        max_file_size="1mb",  # no page uploads through Gradio, so nobody else fills the disk
        show_error=True,
        theme=theme(),
        head="".join(f'<link rel="stylesheet" href="{url}">' for url in styles()),
        favicon_path=str(assets.STATIC / "mark.svg"),
        app_kwargs={
            "routes": routes(anneal),
            "middleware": middleware(host),
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
    )
    return app, url


def draw(anneal: Anneal, host: str = LOCAL[0]) -> gr.Blocks:
    """Every page with the navigation around it, not yet served."""
    demo: gr.Blocks
    with gr.Blocks(title=text("app"), fill_width=True, analytics_enabled=False) as demo:
        _page(PAGES[0], anneal, host)
    for page in PAGES[1:]:
        with demo.route(page.title, page.path, show_in_navbar=False):
            _page(page, anneal, host)
    return demo


def _page(page: Page, anneal: Anneal, host: str) -> None:
    Navbar(visible=False)
    gr.HTML(
        html_template=navigation(page, anneal, host),
        js_on_load=assets.mount("shell.js"),
        apply_default_css=False,
        elem_id="an-navigation",
    )
    page.module.build(anneal)


def navigation(current: Page, anneal: Anneal, host: str) -> str:
    """The side bar (a bar with a drawer below 900 px) as HTML."""
    links = "".join(
        f'<a href="{page.path}" data-go="{page.key}"{mark}>{literal(page.title)}</a>'
        for page in PAGES
        if page.navigation
        for mark in [' aria-current="page"' if page == current else ""]
    )
    device = anneal.catalog.devices[0].name if anneal.catalog.devices else text("nav.no_device")
    reach = text("nav.local") if host in LOCAL else text("nav.network", host=host)
    foot = [device, reach, text("nav.version", version=version())]
    if anneal.readonly:
        foot.append(text("nav.readonly"))
    lines = "".join(f"<p>{literal(line)}</p>" for line in foot)
    languages = "".join(
        f'<button type="button" lang="{code}" translate="no">{name}</button>'
        for code, name in LANGUAGES.items()
    )
    title = text("app") if current == PAGES[0] else f"{current.title} · {text('app')}"
    return (
        f'<a class="an-skip" href="#an-main">{text("nav.skip")}</a>'
        f'<div class="an-side" data-title="{literal(title)}">'
        f'<a class="an-brand" href="/">{MARK}{text("app")}</a>'
        f'<button type="button" class="an-menu" aria-expanded="false" aria-controls="an-drawer">'
        f"{text('nav.menu')}</button>"
        f'<div class="an-drawer" id="an-drawer"><nav aria-label="{text("nav.main")}">{links}</nav>'
        f'<div class="an-foot">{lines}<div class="an-looks">'
        f'<button type="button" class="an-theme">{text("nav.theme")}</button>'
        f'<button type="button" class="an-keys" aria-keyshortcuts="?">{text("nav.keys")}</button>'
        f'<button type="button" class="an-tour-again">{text("nav.tour")}</button>'
        f'<button type="button" class="an-notify" hidden></button>'
        f'<div class="an-languages" role="group" aria-label="{text("nav.language")}">{languages}'
        f"</div></div></div></div></div>"
    )


def literal(words: str) -> str:
    """Text for a template of `gr.HTML`: neither its marks for code nor those of HTML count."""
    return html.escape(words).replace("$", "&#36;").replace("{", "&#123;")


def version() -> str:
    """The program's version, as its project file says it."""
    project = Path(__file__).parents[1] / "pyproject.toml"
    return str(tomllib.loads(project.read_text())["project"]["version"])


def styles() -> list[str]:
    """Addresses of our style sheets; base.css first, so that the pages' own can build on it."""
    names = sorted((n for n in assets.files() if n.endswith(".css")), key="base.css".__ne__)
    return [assets.url(name) for name in names]


def routes(anneal: Anneal) -> list[Route]:
    """Every address beside Gradio's own."""
    own = [route for page in PAGES for route in page.module.routes(anneal)]
    return [*assets.routes(), *news.routes(anneal), *own]


def free_port(host: str, port: int) -> int:
    """The first port from `port` on that nobody listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, min(port + PORTS_TRIED, 65536)):
        with socket.socket(family) as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, candidate))
            return candidate
    raise OSError(f"No free port from {port} to {port + PORTS_TRIED - 1} on {host}")


# --- who may ask ----------------------------------------------------------------------------


def middleware(host: str) -> list[Middleware]:
    """Turns away other names for this machine (DNS rebinding) and other sites' pages."""
    return [admission.by_name(host), Middleware(SameSite)]


POLICY = "; ".join((
    "default-src 'self'",
    # Gradio's page starts from inline scripts and compiles the handlers written in JavaScript.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "font-src 'self' data:",
    "worker-src 'self' blob:",
    "frame-ancestors 'self'",
    "form-action 'self'",
    "base-uri 'self'",
))  # fmt: skip


class SameSite:
    """Refuses requests that another site's page makes, and lets pages load from here only.

    A browser sends ``Origin`` with every request that could change something; a form on another
    site may post to 127.0.0.1 without asking first, so CORS alone does not stop it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.paths = [page.path for page in PAGES]
        self.always = [
            (b"content-security-policy", POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
        ]
        # Gradio puts the styles into the page by a script: fetched by then, they never come late.
        self.early = [(b"link", f"<{url}>; rel=preload; as=style".encode()) for url in styles()]
        # A curve waits for plotly's megabytes: they come while the page's own scripts run.
        plotly = f"<{assets.url('plotly.min.js')}>; rel=preload; as=script"
        self.charts = [*self.early, (b"link", plotly.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1")
                   for name, value in scope["headers"]}  # fmt: skip
        origin = headers.get("origin")
        # Reading too: Gradio's own check lets every page of this machine's other ports read. And
        # its upload is used by no page here, while what it takes would stay on the disk.
        elsewhere = admission.elsewhere(origin, headers.get("host"))
        if elsewhere or scope["path"].rstrip("/") == "/gradio_api/upload":
            await PlainTextResponse("Not from this site", status_code=403)(scope, receive, send)
            return

        path = scope["path"]
        early = self.charts if path in CHARTS else self.early if path in self.paths else []
        added = self.always + early

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self.app(scope, receive, guarded)
