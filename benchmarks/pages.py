"""How long pages take to open: a curve of a million points, a history of two thousand runs.

Each function fills a home of its own, serves it, and measures in Chromium from the navigation to
what a person sees. The first visit has an empty browser cache; the visits after it have a full one.
"""

from __future__ import annotations

import contextlib
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from engine.catalog import Catalog
from engine.recipe import Choice, Recipe
from gui.shell import Anneal, serve
from storage.history import History

VISITS = 5
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")

# In the page: when the first curve has its points, and when a frame has shown them.
DRAWN = """() => {
  const chart = document.querySelector('.curve-plot');
  return chart?.data?.length > 0 && chart.querySelector('path.js-line') !== null;
}"""
ROWS = "() => document.querySelectorAll('.runs-table tbody tr .runs-name').length === 100"
NEXT_FRAME = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
SINCE_NAVIGATION = "() => performance.now() / 1000"

# Zooms in and out by plotly's own means and times each until its frame is shown.
ZOOM = """async () => {
  const chart = document.querySelector('.curve-plot');
  const times = [];
  const [low, high] = chart.layout.xaxis.range;
  for (let turn = 1; turn <= 10; turn += 1) {
    const before = performance.now();
    const part = (high - low) / (turn + 1);
    await Plotly.relayout(chart, { 'xaxis.range': [low + part / 3, low + part] });
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push((performance.now() - before) / 1000);
  }
  return times;
}"""
# Scrolls through the page and times every frame.
SCROLL = """async () => {
  const times = [];
  let before = performance.now();
  for (let turn = 0; turn < 60; turn += 1) {
    window.scrollBy(0, turn < 30 ? 40 : -40);
    await new Promise(requestAnimationFrame);
    times.push((performance.now() - before) / 1000);
    before = performance.now();
  }
  return times;
}"""


def curve_million(*, points: int = 1_000_000, chromium: str = "/usr/bin/chromium") -> dict[str, Any]:
    """Seconds until the Run page of a finished run shows a curve of that many points.

    ``first`` and ``again`` are the page with an empty and a full browser cache, each time with
    an app that hasn't read the run before for ``first``; ``zoom`` is the slowest of ten zooms,
    until drawn, and ``bytes`` is what the points weigh on the wire.
    """

    def fill(history: History) -> int:
        run = _add(history, "a million points", _recipe(random.Random(0)))
        _claim(history, run)
        noise = random.Random(0)
        for start in range(0, points, 50_000):
            steps = range(start, min(start + 50_000, points))
            losses = (2.3 * math.exp(-3 * s / points) * (1 + noise.gauss(0, 0.1)) for s in steps)
            history.record(run, points=[
                ("train/loss", s, s / 1000, s * 0.01, loss)
                for s, loss in zip(steps, losses, strict=True)
            ], progress=_progress(steps[-1], points))  # fmt: skip
        history.end(run, state="finished", reason="All epochs are done", metrics={"test/loss": 0.1})
        return run

    with _served(fill) as (url, run), _browser(chromium) as browser:
        address = f"{url}run?id={run}"
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        opened = _visits(page, address, DRAWN)
        zooms = page.evaluate(ZOOM)
        reply = page.request.get(f"{url}api/runs/{run}/curves?points=3000")
        drawn = page.evaluate("() => document.querySelector('.curve-plot').data[0].x.length")
        return opened | {
            "zoom": max(zooms), "points": points, "drawn": drawn, "bytes": len(reply.body())
        }  # fmt: skip


def history_2000(*, runs: int = 2000, chromium: str = "/usr/bin/chromium") -> dict[str, Any]:
    """Seconds until the Runs page shows its first hundred of that many runs.

    ``search`` is from the last key to the rows that fit, the page's waiting for more keys
    included; ``frame`` is the slowest of 60 frames while scrolling.
    """

    def fill(history: History) -> int:
        noise = random.Random(0)
        for number in range(runs):
            recipe = _recipe(noise)
            run = _add(history, f"run {number}", recipe)
            _claim(history, run)
            floor = noise.uniform(0.05, 0.4)
            history.record(run, points=[
                point for step in range(0, 400, 10) for point in (
                    ("train/loss", step, step / 40, step * 0.1, floor + math.exp(-step / 80)),
                    ("validation/loss", step, step / 40, step * 0.1, floor + math.exp(-step / 90)),
                )
            ], progress=_progress(400, 400))  # fmt: skip
            history.end(run, state="finished", reason="All epochs are done", metrics={
                "test/loss": floor, "test/accuracy": 1 - floor / 4,
                "validation/loss": floor, "validation/accuracy": 1 - floor / 4,
            })  # fmt: skip
            history.tag(run, [noise.choice(["baseline", "wide", "deep"])])
        return run

    with _served(fill) as (url, _), _browser(chromium) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        opened = _visits(page, f"{url}runs", ROWS)
        frames = page.evaluate(SCROLL)
        search = page.get_by_role("searchbox")
        search.fill("run 199")
        before = time.perf_counter()
        page.wait_for_function("() => document.querySelectorAll('.runs-table tbody tr').length < 20")
        searched = time.perf_counter() - before
        reply = page.request.get(f"{url}api/runs?limit=100")
        return opened | {
            "search": searched, "frame": max(frames), "runs": runs, "bytes": len(reply.body())
        }  # fmt: skip


# --- a home, its server and a browser -----------------------------------------------------------


class _Nobody:
    """In the place of the processes that these pages don't ask."""

    def ask(self, question: str, **payload: Any) -> Future[dict[str, Any]]:
        raise NotImplementedError

    def start(
        self, path: Path, *, name: str, kind: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> int:  # fmt: skip
        raise NotImplementedError


@contextlib.contextmanager
def _served(fill: Callable[[History], int]) -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        with History(home / "anneal.db") as history:
            run = fill(history)
            nobody = _Nobody()
            served = serve(Anneal(_catalog(), history, nobody, nobody, home, lambda: None))
            try:
                yield served.url, run
            finally:
                served.close()


def _catalog() -> Catalog:
    """As the pages get it: from another process, so that torch isn't loaded here."""
    code = "from engine.catalog import discover; print(discover().model_dump_json())"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return Catalog.model_validate_json(found.stdout)


@contextlib.contextmanager
def _browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        try:
            yield browser
        finally:
            browser.close()


def _visits(page: Any, address: str, shown: str) -> dict[str, float]:
    times = []
    for _ in range(1 + VISITS):
        page.goto(address, wait_until="commit")
        page.wait_for_function(shown, polling="raf")
        page.evaluate(NEXT_FRAME)
        times.append(float(page.evaluate(SINCE_NAVIGATION)))
    return {"first": times[0], "again": statistics.median(times[1:]), "worst": max(times)}


# --- runs -----------------------------------------------------------------------------------------


def _recipe(noise: random.Random) -> Recipe:
    rate = round(10 ** noise.uniform(-4, -2), 5)
    return Recipe(
        task=Choice(name="Classification"), data=Choice(name="Mnist5000"),
        model=Choice(name="ConvNet"),
        method=Choice(name="Training", settings={"epochs": 10, "learning_rate": rate}),
        seed=noise.randrange(1000),
    )  # fmt: skip


def _add(history: History, name: str, recipe: Recipe) -> int:
    return history.add_run(
        recipe.to_json(), name=name, task=recipe.task.name, model=recipe.model.name,
        data=recipe.data.name, method=recipe.method.name,
    ).id  # fmt: skip


def _claim(history: History, run: int) -> None:
    assert history.claim(run, device="cpu", pid=1, pid_started=1.0), "the device is free"


def _progress(step: int, steps: int) -> dict[str, Any]:
    return {
        "step": step, "steps": steps, "epoch": 10.0 * step / steps, "epochs": 10,
        "seconds": step * 0.1, "remaining": 0.0, "rate": 5000.0, "learning_rate": 1e-3,
        "memory": 400_000_000,
    }  # fmt: skip
