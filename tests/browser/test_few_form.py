"""The form of Few examples, before anything is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from gui.shell import Served
from tests.browser.conftest import Opens
from tests.browser.test_train_page import held
from tests.gui import fakes


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Pages whose models have learned before."""
    anneal = replace(fakes.make(tmp_path_factory.mktemp("home")), catalog=fakes.seeing())
    with fakes.served(anneal) as running:
        yield running


def test_what_is_chosen_before_the_form_comes_is_kept(seeing: Served, open_page: Opens) -> None:
    page = open_page()
    waiting = held(page, "**/api/few*")
    with page.expect_request("**/api/few*"):
        page.goto(f"{seeing.url}few")
    tab = page.get_by_role("tab", name="From a few examples")
    tab.click()
    page.get_by_label("Name", exact=True).fill("early")
    page.wait_for_timeout(500)  # what would be asked for now would come before the first answer
    waiting[0].continue_()
    expect(page.get_by_role("button", name="Upload")).to_be_visible()
    expect(tab).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Name", exact=True)).to_have_value("early")
    expect(page.get_by_role("button", name="Make it")).to_be_disabled()
