"""The search for settings and its finders in a real browser; nothing is trained here."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from engine.catalog import BadInput
from engine.searches import SearchPlan
from gui.shell import Anneal, Served
from storage.values import Run
from tests.browser.conftest import Opens
from tests.gui import fakes


@pytest.fixture
def answers(anneal: Anneal) -> fakes.FakeAnswers:
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    return anneal.answers


def trial(anneal: Anneal, search: int, plan: SearchPlan, number: int, loss: float) -> Run:
    """A trial that has gone through."""
    settings = {"method.learning_rate": 0.001 * 4**number, "method.optimizer": "SGD"}
    run = anneal.history.add_run(
        plan.recipe(settings, anneal.catalog).to_json(), name=f"trial {number}", comparison=search,
        task="Classification", model="ConvNet", data="Digits", method="Training",
    )  # fmt: skip
    anneal.history.claim(run.id, device="cpu", pid=1, pid_started=1.0)
    anneal.history.record(run.id, points=[("validation/loss", 5, 1.0, 1.0, loss)])
    anneal.history.end(run.id, state="finished", reason="Trained")
    return run


def test_what_is_set_while_the_form_is_renewed_stays(site: Served, open_page: Opens) -> None:
    """A form that is drawn anew by an answer from before would take a tick back."""
    page = open_page(f"{site.url}search")
    held: list[Route] = []
    model = page.get_by_label("Model", exact=True)
    before = model.input_value()
    page.route("**/api/search/form", lambda route: held.append(route), times=1)
    page.get_by_label("Data", exact=True).select_option("Rows")
    rate = page.locator(".search-row").filter(has_text="Learning rate")
    while not held:
        page.wait_for_timeout(10)
    rate.get_by_role("checkbox", name="Learning rate").check()
    held[0].continue_()
    plan = page.get_by_role("complementary", name="The plan").locator("dd")
    expect(plan.nth(0)).to_have_text("1")
    expect(rate.get_by_label("Learning rate: From")).to_be_visible()
    # What can be chosen now is there nevertheless.
    expect(model).not_to_have_value(before)


def test_a_search_is_set_up_watched_and_stopped(
    site: Served, open_page: Opens, anneal: Anneal
) -> None:
    page = open_page(f"{site.url}search")
    page.get_by_label("Data", exact=True).select_option("Digits")
    rate = page.locator(".search-row").filter(has_text="Learning rate")
    rate.get_by_role("checkbox", name="Learning rate").check()
    rate.get_by_label("Learning rate: From").fill("1")
    rate.get_by_label("Learning rate: To").fill("0.1")
    expect(rate.locator(".an-problem")).to_be_visible()
    rate.get_by_label("Learning rate: From").fill("0.001")
    expect(rate.locator(".an-problem")).to_be_hidden()
    page.get_by_role("checkbox", name="Optimizer").check()
    page.get_by_label("Trials", exact=True).fill("4")
    page.get_by_label("Name", exact=True).fill("Rates <b>")
    plan = page.get_by_role("complementary", name="The plan").locator("dd")
    expect(plan.nth(0)).to_have_text("2")
    expect(plan.nth(1)).to_have_text("4")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**/search?id=*")

    search = int(page.url.split("id=")[1])
    [one] = anneal.history.comparisons(open=True)
    made = SearchPlan.from_json(one.plan)
    assert (one.id, one.name, made.trials) == (search, "Rates <b>", 4)
    assert {str(axis) for axis in made.space} == {"0.001..0.1:log", "AdamW,SGD"}
    expect(page.locator(".starts-title h1")).to_have_text("Rates <b>")
    expect(page.locator(".search-best")).to_contain_text("The first value appears")
    runs = [trial(anneal, search, made, n, loss) for n, loss in enumerate((0.5, 0.25, 0.75))]
    expect(page.locator(".search-best")).to_contain_text("0.25, by trial 1")
    expect(page.get_by_role("link", name="Train with the best")).to_have_attribute(
        "href", f"/?clone={runs[1].id}"
    )
    expect(page.locator(".search-table tbody tr")).to_have_count(3)
    expect(page.locator(".search-table tr[aria-current=true]")).to_contain_text("0.004")
    expect(page.locator(".search-bars")).to_contain_text("80 %")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.search-plot')].every((plot) => plot.data)"
    )
    drawn = page.evaluate("() => document.querySelector('.search-plot').data[0].y")
    assert drawn == [0.5, 0.25, 0.25]

    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").last.click()
    expect(page.get_by_role("button", name="Go on", exact=True)).to_be_enabled()
    assert not anneal.history.comparisons(open=True)


@pytest.mark.parametrize("path", ["search", "search?id=99"])
def test_it_fits_a_phone_in_the_dark(site: Served, open_page: Opens, path: str) -> None:
    page = open_page(f"{site.url}{path}", width=390, dark=True)
    expect(page.locator(".an-card, .an-empty").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_found_learning_rate_is_taken_over(
    site: Served, open_page: Opens, answers: fakes.FakeAnswers
) -> None:
    page = open_page(site.url)
    page.locator("#train:enabled").wait_for()
    answers.held.clear()
    page.get_by_role("button", name="Find a learning rate").click()
    dialog = page.get_by_role("dialog", name="Find a learning rate")
    expect(dialog).to_contain_text("Step 1 of at most 2")
    # Whoever leaves is not kept, and neither is what was asked.
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    answers.held.set()
    page.get_by_role("button", name="Find a learning rate").click()
    expect(dialog).to_contain_text("0.0031: where the smoothed loss falls fastest")
    page.wait_for_function("() => document.querySelector('.find-plot').data?.length === 2")
    dialog.get_by_role("button", name="Use 0.0031").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("spinbutton", name="Learning rate")).to_have_value("0.0031")


def test_a_measurement_that_fails_says_why(
    site: Served, open_page: Opens, answers: fakes.FakeAnswers
) -> None:
    page = open_page(site.url)
    page.locator("#train:enabled").wait_for()
    answers.failure = BadInput("There is no <b>data</b> to measure with: choose other data")
    page.get_by_role("button", name="Find a learning rate").click()
    dialog = page.get_by_role("dialog", name="Find a learning rate")
    expect(dialog.locator(".an-notice.bad")).to_contain_text("There is no <b>data</b>")
    answers.failure = None
    dialog.get_by_role("button", name="Again").click()
    expect(dialog.get_by_role("button", name="Use 0.0031")).to_be_focused()
