"""A real browser for the pages, and a site for each test that wants one, as good as new."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Frame,
    Locator,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

from gui.shell import Anneal, Served
from tests.gui import fakes

SOON = 60_000
"""Milliseconds for what follows at once: a busy machine may need them, and nobody else waits."""

expect.set_options(timeout=SOON)

DELAYED = """{
  const [soon, longest] = [window.fetch, %d];
  const pause = () => new Promise((go) => setTimeout(go, Math.random() * longest));
  window.fetch = async (...asked) => {
    await pause();
    const reply = await soon(...asked);
    await pause();
    return reply;
  };
}"""
"""With ``ANNEAL_DELAY=1500`` every question and every answer is late by up to 1,500 ms: whoever
looks too soon, or takes an old answer for the new one, is found out."""

HOSTS = {"127.0.0.1", "localhost", ""}
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Google/Chrome/Application/chrome.exe",
)


def installed() -> Iterator[str]:
    """Every Chromium and Chrome of this machine; ``ANNEAL_BROWSER`` comes first."""
    if named := os.environ.get("ANNEAL_BROWSER"):
        yield named
    yield from filter(None, map(shutil.which, NAMES))
    yield from (place for place in PLACES if Path(place).exists())


def candidates(playwright: Playwright) -> Iterator[str]:
    """Browsers from the nearest to the farthest; the farthest are installed first."""
    yield from installed()
    own = playwright.chromium.executable_path
    if not Path(own).exists():
        _try([sys.executable, "-m", "playwright", "install", "chromium"])
    if Path(own).exists():
        yield own
    if shutil.which("apt-get") and not any(map(shutil.which, NAMES)):
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        _try([*root, "apt-get", "update"])
        _try([*root, "apt-get", "install", "-y", "--no-install-recommends", "chromium"])
        yield from installed()


def _try(command: list[str]) -> None:
    try:
        subprocess.run(command, check=False, timeout=600, capture_output=True)
    except (OSError, subprocess.TimeoutExpired) as problem:
        print(f"{command}: {problem}")


@pytest.hookimpl(tryfirst=True)  # before any is left out by its marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder drive a browser, and are marked so."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, found or installed. Without one the tests are skipped, and under CI they fail."""
    with sync_playwright() as playwright:
        tried = []
        for path in candidates(playwright):
            try:
                running = playwright.chromium.launch(executable_path=path, args=OPTIONS)
            except Error as problem:
                tried.append(f"{path}: {str(problem).splitlines()[0]}")
                continue
            yield running
            running.close()
            return
        reason = "no browser: install Chromium or Chrome. " + "; ".join(tried)
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def watch(page: Page) -> list[str]:
    """What goes wrong on the page from now on, and must not.

    Exceptions in scripts, requests to another host, and what the pages' policy forbids.
    """
    faults: list[str] = []

    def asked(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob", "about") and parts.hostname not in HOSTS:
            faults.append(f"request to another host: {url}")

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            faults.append(message.text)

    page.on("pageerror", lambda error: faults.append(f"error on the page: {error}"))
    page.on("request", lambda request: asked(request.url))
    page.on("console", heard)
    return faults


Opens = Callable[..., Page]


def edges(box: Locator) -> dict[str, float]:
    """How bright a box is at the middle of its edges, 0…255: a shadow says that more follows."""
    picture = Image.open(io.BytesIO(box.screenshot(animations="disabled"))).convert("L")
    grey = np.asarray(picture, dtype=float)
    height, width = grey.shape
    across, down = slice(width // 2 - 20, width // 2 + 20), slice(height // 2, height // 2 + 40)
    return {"bottom": float(np.median(grey[-5:-1, across])),
            "right": float(np.median(grey[down, -5:-1]))}  # fmt: skip


@pytest.fixture(scope="session")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """Keeps the pages' scripts from one test to the next: to fetch them takes longer than most."""
    context = browser.new_context(
        permissions=["clipboard-read", "clipboard-write", "camera", "microphone"]
    )
    # Most tests have seen it: who wants the tour opens a window of their own.
    context.add_init_script(
        "try { localStorage.getItem('anneal-tour') ?? localStorage.setItem('anneal-tour', 'over') }"
        " catch {}"
    )
    if longest := int(os.environ.get("ANNEAL_DELAY", "0")):
        context.add_init_script(DELAYED % longest)
    yield context
    context.close()


@pytest.fixture
def open_page(window: BrowserContext) -> Iterator[Opens]:
    """``open_page(url, width=390, dark=True)``: what goes wrong on it fails the test.

    What a page keeps in the browser is gone at the end of the test.
    """
    watched: list[list[str]] = []
    visited: set[str] = set()

    def went(frame: Frame) -> None:
        parts = urlsplit(frame.url)
        if parts.netloc:
            visited.add(f"{parts.scheme}://{parts.netloc}")

    with ExitStack() as stack:

        def opened(
            url: str = "", *, width: int = 1280, height: int = 900, dark: bool = False
        ) -> Page:
            page = window.new_page()
            stack.callback(page.close)
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme="dark" if dark else "light")
            page.set_default_timeout(SOON)
            page.on("framenavigated", went)
            watched.append(watch(page))
            if url:
                page.goto(url)
            return page

        yield opened
    if visited:
        blank = window.new_page()
        session = window.new_cdp_session(blank)
        for origin in visited:
            kept = {"origin": origin, "storageTypes": "all"}
            session.send("Storage.clearDataForOrigin", kept)
        blank.close()
    faults = [fault for faults in watched for fault in faults]
    assert not faults, "\n".join(faults)


@pytest.fixture
def page(open_page: Opens) -> Page:
    """An empty page; what goes wrong on it fails the test."""
    return open_page()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Anneal, Served]]:
    """Pages for all the tests of a file: starting a server takes longer than most of them."""
    anneal = fakes.make(tmp_path_factory.mktemp("home"))
    with fakes.served(anneal) as running:
        yield anneal, running


@pytest.fixture
def anneal(served: tuple[Anneal, Served]) -> Anneal:
    """What the pages are given, with a home and a history in which nothing has happened yet."""
    fakes.renew(served[0])
    return served[0]


@pytest.fixture
def site(served: tuple[Anneal, Served], anneal: Anneal) -> Served:
    """The pages of `anneal`, served."""
    return served[1]
