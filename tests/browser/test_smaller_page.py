"""Smaller forms of a model in a browser: one is made by a click, and all are timed side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from gui.shell import Anneal, Served
from tests.browser.conftest import Opens
from tests.browser.test_click_to_curve import PATIENCE
from tests.gui import fakes
from tests.gui.test_mistakes import Slow
from tests.gui.test_smaller import CARDS, made_of


class Clock(Slow):
    """Says how far the timing is, and waits; then each run was measured to be half of the last."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        self.futures: list[Future[dict[str, Any]]] = []

    def ask(self, question: str, heard: Any = None, **payload: Any) -> Future[dict[str, Any]]:
        self.asked.append((question, payload))
        heard(json.dumps({"done": 1, "total": 2}))
        self.futures.append(Future())
        return self.futures[-1]

    def ready(self) -> None:
        _, asked = self.asked[-1]
        for place, run in enumerate(asked["runs"]):
            folder = self.home / "runs" / str(run)
            folder.mkdir(parents=True, exist_ok=True)
            times = {size: {"median": size / 2**place, "p95": size} for size in (1, 32)}
            (folder / "measured.json").write_text(json.dumps({
                "step": 0 if place else 300, "device": "a CPU", "threads": 1, "zeros": 0.5 * place,
                "bytes": 4_000_000 >> place, "compressed": 3_000_000 >> place, "latency": times,
                "arithmetic": "int8" if place else "fp32", "throughput": 1000 << place,
            }))  # fmt: skip
        self.futures[-1].set_result({"runs": {}})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Clock, int]]:
    """Pages over a history with a finished run and a smaller form of it."""
    anneal: Anneal = fakes.make(tmp_path_factory.mktemp("home"))
    known = anneal.catalog.model_copy(update={"cards": (*anneal.catalog.cards, *CARDS)})
    anneal = replace(anneal, catalog=known)
    run = fakes.add_run(anneal.history)
    made_of(anneal, run, "Fewer")
    clock = Clock(anneal.home)
    with fakes.served(replace(anneal, patient=clock)) as running:
        yield running, clock, run


def test_a_smaller_form_is_made_by_a_click_and_all_are_timed(
    site: tuple[Served, Clock, int], open_page: Opens
) -> None:
    served, clock, run = site
    page = open_page(f"{served.url}run?id={run}")
    card = page.get_by_role("region", name="Smaller and faster")
    expect(card).to_be_visible(timeout=PATIENCE)
    rows = card.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(card).to_contain_text("Not measured yet")
    card.get_by_role("button", name="Make it: In 8 bits").click()
    expect(card.get_by_role("status")).to_contain_text("Queued")
    expect(rows).to_have_count(3)
    expect(rows.last).to_contain_text("In 8 bits")
    card.get_by_role("button", name="Measure").click()
    expect(card.get_by_role("progressbar")).to_have_js_property("value", 0.5)
    card.get_by_role("button", name="Stop").click()
    expect(card.get_by_role("progressbar")).to_have_count(0)
    card.get_by_role("button", name="Measure").click()
    expect(card.get_by_role("progressbar")).to_have_js_property("value", 0.5)
    assert clock.asked[-1] == ("measure", {"runs": [run, run + 1]})  # not what is still queued
    clock.ready()
    expect(rows.nth(1)).to_contain_text("1.9 MB")
    expect(rows.nth(1)).to_contain_text("50 % zeros")
    expect(rows.nth(1)).to_contain_text("0.50")
    expect(card).to_contain_text("a CPU")
    if place := os.environ.get("ANNEAL_SHOTS"):
        for width, dark in ((1280, False), (1280, True), (390, True)):
            other = open_page(f"{served.url}run?id={run}", width=width, dark=dark)
            shown = other.get_by_role("region", name="Smaller and faster")
            expect(shown.locator("tbody tr")).to_have_count(3)
            shown.screenshot(path=f"{place}/smaller-{width}-{dark}.png")
    narrow = open_page(f"{served.url}run?id={run}", width=390)
    shown = narrow.get_by_role("region", name="Smaller and faster")
    expect(shown.locator("tbody tr")).to_have_count(3)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
