"""Taking a model away in a browser: made by a click, downloaded, and how programs ask it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from gui.shell import Anneal, Served
from tests.browser.conftest import Opens
from tests.browser.test_click_to_curve import PATIENCE
from tests.gui import fakes
from tests.gui.test_exports import FORMS, Maker


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker()


@pytest.fixture(scope="module")
def away(
    tmp_path_factory: pytest.TempPathFactory, maker: Maker
) -> Iterator[tuple[Anneal, Served, int]]:
    """Pages over a history with one finished run, whose forms the maker makes."""
    anneal = fakes.make(tmp_path_factory.mktemp("home"))
    known = anneal.catalog.model_copy(update={"cards": (*anneal.catalog.cards, *FORMS)})
    run = fakes.add_run(anneal.history)
    folder = anneal.home / "runs" / str(run) / "checkpoints"
    (folder / "step-300").mkdir(parents=True)
    (folder / "step-300" / "model.safetensors").write_bytes(b"12345")
    (folder / "index.json").write_text(json.dumps({"best": {"folder": "step-300", "step": 300}}))
    with fakes.served(replace(anneal, catalog=known, patient=maker)) as running:
        yield anneal, running, run


def test_a_model_is_made_followed_and_downloaded(
    away: tuple[Anneal, Served, int], maker: Maker, open_page: Opens, tmp_path: Path
) -> None:
    anneal, served, run = away
    page = open_page(f"{served.url}run?id={run}")
    card = page.get_by_role("region", name="Take away")
    expect(card).to_be_visible(timeout=PATIENCE)
    weights, graph = (card.get_by_role("listitem").nth(n) for n in (0, 1))
    expect(card.locator(".away-where")).to_contain_text("model.safetensors")
    expect(graph).to_contain_text("Not this one")
    expect(graph.get_by_role("button")).to_have_count(0)
    weights.get_by_role("button", name="Make Weights", exact=True).click()
    expect(weights.get_by_role("status")).to_contain_text("Comparing …")
    weights.get_by_role("button", name="Stop making Weights").click()
    expect(weights.get_by_role("status")).to_be_hidden()
    with page.expect_response("**/exports/Weights/make"):
        weights.get_by_role("button", name="Make Weights", exact=True).click()
    page.reload()  # it goes on
    expect(weights.get_by_role("status")).to_contain_text("Comparing …")
    folder = anneal.home / "runs" / str(run) / "exports"
    folder.mkdir(parents=True)
    (folder / "w.zip").write_bytes(b"all of it")
    check = {"difference": 5.96e-8, "items": 16, "of": "test"}
    told = {"format": "Weights", "label": "Weights", "step": 300, "made": 1.0, "file": "w.zip",
            "bytes": 9, "facts": {"check": check}}  # fmt: skip
    (folder / "Weights.json").write_text(json.dumps(told))
    maker.futures[-1].set_result(told)
    expect(weights).to_contain_text("on 16 test items")
    with page.expect_download() as coming:
        weights.get_by_role("link", name="Download Weights").click()
    coming.value.save_as(tmp_path / "got.zip")
    assert (tmp_path / "got.zip").read_bytes() == b"all of it"
    card.get_by_text("Ask it from programs").click()
    card.get_by_role("button", name="Python").click()
    expect(card.locator(".away-calls")).to_contain_text("urllib.request")
    card.get_by_role("button", name="Copy the call").last.click()
    assert "urllib" in page.evaluate("navigator.clipboard.readText()")
    if place := os.environ.get("ANNEAL_SHOTS"):
        for width, dark in ((1280, False), (390, True)):
            other = open_page(f"{served.url}run?id={run}", width=width, dark=dark)
            shown = other.get_by_role("region", name="Take away")
            shown.get_by_text("Ask it from programs").click()
            shown.screenshot(path=f"{place}/away-{width}.png")
    narrow = open_page(f"{served.url}run?id={run}", width=390)
    expect(narrow.get_by_role("region", name="Take away")).to_contain_text("Download")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
