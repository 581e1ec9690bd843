"""Does pretraining help?, with the real program: from the form to a figure of real runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from playwright.sync_api import expect

from engine.processes import alive
from storage.history import History
from tests.browser.conftest import Opens

pytestmark = pytest.mark.alone

APP = Path(__file__).parents[2] / "app.py"
PATIENCE = 240_000
"""Milliseconds: a slow machine gets its time."""
DRAWN = """() => document.querySelector(".starts-plot").data
    .filter((one) => one.name)
    .map((one) => ({name: one.name, x: one.x, y: one.y}))"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one run that has learned the small digits."""
    made = tmp_path_factory.mktemp("home")
    subprocess.run(
        [sys.executable, str(APP), "train", "--data", "Digits8x8", "--home", str(made),
         "--set", "model.channels=8,16", "--set", "model.hidden=32", "--set", "method.epochs=4",
         "--set", "method.learning_rate=0.01"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    """The app as a person starts it."""
    process = subprocess.Popen(
        [sys.executable, str(APP), "serve", "--home", str(home), "--port", "7890"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    errors: IO[str] = process.stderr  # type: ignore[assignment]
    said = next(line for line in errors if "is open at" in line)
    yield re.search(r"http://\S+", said)[0]  # type: ignore[index]
    process.send_signal(signal.SIGINT)
    process.wait(60)
    errors.close()
    with History(home / "anneal.db") as history:
        for run in history.active():
            if run.pid is not None and alive(run.pid, run.pid_started):
                os.kill(run.pid, signal.SIGKILL)


@pytest.mark.timeout(900)
def test_the_page_draws_its_figure_from_real_runs(url: str, home: Path, open_page: Opens) -> None:
    page = open_page(f"{url}starts")
    page.get_by_label("Data", exact=True).select_option("Digits8x8")
    scratch = page.get_by_label("From scratch")
    expect(scratch).to_be_checked(timeout=PATIENCE)
    expect(page.get_by_label("Run 1 · ")).to_be_checked()
    expect(page.get_by_text("was trained with labels of this very data")).to_be_visible()
    # What can't be compared is said beside its field.
    scratch.uncheck()
    expect(page.locator("[data-field=starts] .an-problem")).to_contain_text("two starts")
    scratch.check()
    page.get_by_label("Labels", exact=True).fill("2, 20")
    page.get_by_label("Seeds", exact=True).fill("2")
    page.get_by_label("Budget", exact=True).fill("30")
    page.get_by_label("From weights, train by").select_option("HeadFirst")
    page.get_by_label("Name", exact=True).fill("Digits <b>")
    expect(page.locator(".an-estimate")).to_contain_text("20 · 200", timeout=PATIENCE)
    expect(page.locator(".an-estimate")).to_contain_text("2 starts × 2 amounts × 2 seeds")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url("**/starts?id=1", timeout=PATIENCE)

    title = page.locator(".starts-title")
    expect(title).to_contain_text("finished", timeout=2 * PATIENCE)  # eight runs
    expect(title.locator("h1")).to_have_text("Digits <b>")
    with History(home / "anneal.db") as history:
        runs = history.runs_of(1)
    assert len(runs) == 8
    assert {run.state for run in runs} == {"finished"}
    means: dict[str, dict[int, float]] = {"scratch": {}, "run 1": {}}
    for name, start in (("scratch", None), ("run 1", 1)):
        for labels, items in (("2", 20), ("20", 200)):
            scores = [
                run.metrics["test/accuracy"] for run in runs
                if (json.loads(run.recipe)["start"], json.loads(run.recipe)["labels"])
                == (start, labels)
            ]  # fmt: skip
            assert len(scores) == 2
            means[name][items] = 50 * sum(scores)
    page.wait_for_function(f"() => ({DRAWN})().every((one) => one.x.length === 2)")
    for line in page.evaluate(DRAWN):
        assert dict(zip(line["x"], line["y"], strict=True)) == pytest.approx(means[line["name"]])
    expect(page.locator(".starts-said")).to_contain_text("With ")
    expect(page.get_by_role("region", name="Labels saved at equal accuracy")).to_contain_text("×")
    expect(page.locator(".starts-command pre")).to_contain_text("compare-starts")

    # Its runs are ordinary ones, but don't flood the list.
    page.get_by_role("link", name="Open as a list").click()
    expect(page.locator(".runs-table tbody tr")).to_have_count(8)
    page.get_by_label("Comparison").select_option("Without comparisons")
    expect(page.locator(".runs-table tbody tr")).to_have_count(1)


@pytest.mark.timeout(300)
def test_it_fits_a_phone_and_what_is_gone_is_said(url: str, open_page: Opens) -> None:
    for path in ("starts", "starts?id=1"):
        page = open_page(f"{url}{path}", width=390, dark=True)
        expect(page.locator(".an-card").first).to_be_visible(timeout=PATIENCE)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page = open_page(f"{url}starts?id=99")
    expect(page.get_by_text("no longer here")).to_be_visible()
