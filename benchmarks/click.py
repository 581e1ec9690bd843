"""From a click on Train to the first point of the curve, as a person waits for it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import Options, Result
from benchmarks.pages import browsing
from engine.jobs import LOOK_EVERY

APP = Path(__file__).parents[1] / "app.py"
CLICKS = 3
SHOWN = (
    "() => document.querySelector('.curve-plot')?.data?.some(t => t.x?.length && t.y[0] != null)"
)


def click_to_first_point(options: Options) -> Result:
    """Seconds from the click on Train to the first point on the run's page."""
    waits = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, browsing() as page:
        app = subprocess.Popen(
            [sys.executable, str(APP), "serve", "--home", home, "--port", "7950"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert app.stderr is not None
            line = next(line for line in app.stderr if "is open at" in line)
            url = next(word for word in line.split() if word.startswith("http"))
            for _ in range(CLICKS):
                page.goto(url)
                button = page.get_by_role("button", name="Train", exact=True)
                button.wait_for()
                time.sleep(15)  # a person reads; the spare worker and the estimate get done
                started = time.perf_counter()
                button.click()
                page.wait_for_url("**/run?id=*")
                page.wait_for_function(SHOWN, polling=20)
                waits.append(time.perf_counter() - started)
                page.get_by_role("button", name="Cancel").click()
                page.get_by_role("dialog").get_by_role("button").last.click()
                page.get_by_text("nothing was kept").wait_for()
                time.sleep(4 * LOOK_EVERY)
            family = [psutil.Process(app.pid), *psutil.Process(app.pid).children(recursive=True)]
            peak = sum(process.memory_info().rss for process in family) / 2**20
        finally:
            app.terminate()
            app.wait()
    each = ", ".join(f"{wait:.2f}" for wait in waits)
    return Result(value=statistics.median(waits), unit="s", reach=2.0, larger_is_better=False,
                  peak_mb=peak, note=f"median of {each}")  # fmt: skip
