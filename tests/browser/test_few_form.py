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


def test_what_is_given_before_the_plan_comes_is_kept(seeing: Served, open_page: Opens) -> None:
    """The place where examples are given is there at once, and isn't built anew by the answer."""
    page = open_page(f"{seeing.url}few")
    page.get_by_role("tab", name="From a few examples").click()
    page.get_by_role("button", name="Upload").wait_for()
    waiting = held(page, "**/api/few")
    texts = page.get_by_role("button", name="Texts", exact=True)
    with page.expect_request("**/api/few"):
        texts.click()
    expect(texts).to_be_focused()
    go = page.get_by_role("button", name="Make it")
    expect(go).to_be_disabled()
    names = page.get_by_label("Name of the class")
    for row, name in enumerate(["warm", "cold"]):
        names.nth(row).fill(name)
        page.get_by_label(f"An example of {name}").fill("It is.")
        page.get_by_label(f"An example of {name}").press("Enter")
    expect(page.locator(".an-thumbnails li")).to_have_count(2)
    waiting[0].continue_()
    expect(go).to_be_enabled()
    expect(page.locator(".an-thumbnails li")).to_have_count(2)
    expect(page.get_by_label("An example of cold")).to_be_focused()
    assert [one.input_value() for one in names.all()] == ["warm", "cold"]


def test_a_plan_that_did_not_come_is_asked_for_again(seeing: Served, open_page: Opens) -> None:
    page = open_page(f"{seeing.url}few")
    page.get_by_label("Name of the class").first.wait_for()
    page.route("**/api/few", lambda route: route.abort())
    page.get_by_role("button", name="Pictures", exact=True).click()
    expect(page.get_by_text("Anneal doesn't answer.")).to_be_visible()
    expect(page.get_by_role("button", name="Make it")).to_be_disabled()
    page.unroute("**/api/few")
    expect(page.get_by_text("Anneal doesn't answer.")).to_be_hidden()
    expect(page.get_by_text("What sees them")).to_be_visible()
