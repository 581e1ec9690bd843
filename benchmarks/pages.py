"""How long pages take to open: a curve of a million points, a history of two thousand runs.

Each benchmark fills a home of its own, serves it, and measures in Chromium from the navigation to
what a person sees. The first visit has an empty browser cache; those after it have a full one.
"""

from __future__ import annotations

import contextlib
import math
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import Options, Result
from engine.catalog import BadInput, Catalog
from engine.recipe import Choice, Recipe
from gui.shell import Anneal, serve
from storage.history import History

POINTS = 1_000_000
RUNS = 2000
VISITS = 5
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")

# In the page: true when the curve, or the first hundred rows, are there.
DRAWN = """() => {
  const chart = document.querySelector('.curve-plot');
  return chart?.data?.length > 0 && chart.querySelector('path.js-line') !== null;
}"""
ROWS = "() => document.querySelectorAll('.runs-table tbody tr .runs-name').length === 100"
FEW_ROWS = "() => document.querySelectorAll('.runs-table tbody tr').length < 20"
NEXT_FRAME = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
SINCE_NAVIGATION = "() => performance.now() / 1000"

# Zooms by plotly's own means; the seconds until each is drawn.
ZOOM = """async () => {
  const chart = document.querySelector('.curve-plot');
  const times = [];
  const [low, high] = chart.layout.xaxis.range;
  for (let turn = 1; turn <= 10; turn += 1) {
    const before = performance.now();
    const part = (high - low) / (turn + 1);
    const [left, right] = [low + part / 3, low + part];
    await Plotly.relayout(chart, { 'xaxis.range[0]': left, 'xaxis.range[1]': right });
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push((performance.now() - before) / 1000);
  }
  return times;
}"""
# Scrolls there and back; the seconds of each frame.
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


def curve_million(options: Options) -> Result:
    """Seconds until the Run page shows a curve of 1,000,000 points."""
    with _served(_million) as (url, run), browsing() as page:
        visits = _visits(page, f"{url}run?id={run}", DRAWN)
        zooms = page.evaluate(ZOOM)
        sent = len(page.request.get(f"{url}api/runs/{run}/curves?points=3000").body())
        return visits.result(
            f"slowest of ten zooms {max(zooms):.2f} s, {sent / 1000:.0f} kB of points sent"
        )


def history_2000(options: Options) -> Result:
    """Seconds until the Runs page shows the first hundred of 2,000 runs."""
    with _served(_many) as (url, _), browsing() as page:
        visits = _visits(page, f"{url}runs", ROWS)
        frames = page.evaluate(SCROLL)
        page.get_by_role("searchbox").fill("run 199")
        before = time.perf_counter()
        page.wait_for_function(FEW_ROWS, polling="raf")
        searched = time.perf_counter() - before
        sent = len(page.request.get(f"{url}api/runs?limit=100").body())
        return visits.result(
            f"a search {searched:.2f} s after its last letter, slowest of 60 frames scrolled "
            f"{1000 * max(frames):.0f} ms, {sent / 1000:.0f} kB of rows sent"
        )


@dataclass(frozen=True)
class Visits:
    """Seconds from the navigation until it is seen: the first visit, and those after it."""

    first: float
    again: tuple[float, ...]

    def result(self, note: str) -> Result:
        """The median visit; `note` tells the first one too."""
        return Result(
            value=statistics.median(self.again),
            unit="s",
            reach=1.0,
            larger_is_better=False,
            peak_mb=psutil.Process().memory_info().rss / 2**20,
            note=f"first visit with an empty browser cache {self.first:.2f} s, {note}",
        )


def _visits(page: Any, address: str, seen: str) -> Visits:
    times = []
    for _ in range(1 + VISITS):
        page.goto(address, wait_until="commit")
        page.wait_for_function(seen, polling="raf")
        page.evaluate(NEXT_FRAME)
        times.append(float(page.evaluate(SINCE_NAVIGATION)))
    return Visits(times[0], tuple(times[1:]))


# --- what is looked at ----------------------------------------------------------------------------


def _million(history: History) -> int:
    noise = random.Random(0)
    run = _add(history, "a million points", noise)
    for start in range(0, POINTS, 50_000):
        steps = range(start, start + 50_000)
        history.record(run, points=[
            ("train/loss", step, step / 1000, step * 0.01,
             2.3 * math.exp(-3 * step / POINTS) * (1 + noise.gauss(0, 0.1)))
            for step in steps
        ], progress=_progress(steps[-1], POINTS))  # fmt: skip
    history.end(run, state="finished", reason="All epochs are done", metrics={"test/loss": 0.1})
    return run


def _many(history: History) -> int:
    noise = random.Random(0)
    for number in range(RUNS):
        run = _add(history, f"run {number}", noise)
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


def _add(history: History, name: str, noise: random.Random) -> int:
    rate = round(10 ** noise.uniform(-4, -2), 5)
    recipe = Recipe(
        task=Choice(name="Classification"), data=Choice(name="Mnist5000"),
        model=Choice(name="ConvNet"),
        method=Choice(name="Training", settings={"epochs": 10, "learning_rate": rate}),
        seed=noise.randrange(1000),
    )  # fmt: skip
    run = history.add_run(
        recipe.to_json(), name=name, task=recipe.task.name, model=recipe.model.name,
        data=recipe.data.name, method=recipe.method.name,
    ).id  # fmt: skip
    assert history.claim(run, device="cpu", pid=1, pid_started=1.0), "the device is free"
    return run


def _progress(step: int, steps: int) -> dict[str, Any]:
    return {
        "step": step, "steps": steps, "epoch": 10.0 * step / steps, "epochs": 10,
        "seconds": step * 0.1, "remaining": 0.0, "rate": 5000.0, "learning_rate": 1e-3,
        "memory": 400_000_000,
    }  # fmt: skip


# --- a home, its server and a browser -----------------------------------------------------------


class _Nobody:
    """In the place of the processes that these pages don't ask."""

    def ask(self, question: str, **payload: Any) -> Future[dict[str, Any]]:
        raise NotImplementedError

    def take_back(self, reply: Future[dict[str, Any]]) -> None:
        raise NotImplementedError

    def start(
        self, paths: Sequence[Path], *, name: str, kind: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> int:  # fmt: skip
        raise NotImplementedError

    def get(self, origin: str, *, name: str = "", options: Mapping[str, Any] | None = None) -> int:
        raise NotImplementedError

    def extend(self, extension: Mapping[str, Any], *, name: str, source: str) -> int:
        raise NotImplementedError

    def retry(self, id: int, options: Mapping[str, Any]) -> int:
        raise NotImplementedError

    def remove(self, id: int) -> None:
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
def browsing() -> Iterator[Any]:
    """A page of a fresh Chromium. BadInput when there is none."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    with sync_playwright() as playwright:
        path = found or playwright.chromium.executable_path
        if not Path(path).exists():
            raise BadInput("This benchmark needs Chromium: python -m playwright install chromium")
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        try:
            yield browser.new_page(viewport={"width": 1280, "height": 900})
        finally:
            browser.close()
