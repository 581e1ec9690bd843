"""What every page has beside its own: the first run's tour, shortcuts, word of what has ended; and
the dialog that trains with and without augmentation."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from engine import comparisons
from engine.ablations import AblationPlan
from gui import news
from gui.shell import Anneal, Served
from tests.browser.conftest import SOON, Opens, watch


def test_the_tour_leads_from_the_choice_to_the_run_and_is_remembered(
    site: Served, browser: Browser, anneal: Anneal
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SOON)
    faults = watch(page)
    page.goto(site.url)
    tour = page.locator(".an-tour")
    expect(tour).to_contain_text("step 1 of 4")
    expect(page.locator('[data-section="task"]')).to_have_class("an-card an-toured")
    page.get_by_role("button", name="Next").press("Enter")
    expect(tour).to_contain_text("step 2 of 4")
    expect(page.locator("#train")).to_contain_class("an-toured")
    page.reload()
    expect(tour).to_contain_text("step 2 of 4")
    page.locator("#train:enabled").click()
    page.wait_for_url("**/run?id=*")
    expect(tour).to_contain_text("step 3 of 4")
    tour.get_by_role("button", name="Next").press("Escape")
    expect(tour).to_be_hidden()
    page.goto(site.url)
    page.locator("#train:enabled").wait_for()
    expect(tour).to_be_hidden()
    page.get_by_role("button", name="Show me around").click()
    expect(tour).to_contain_text("step 1 of 4")
    assert not faults
    context.close()


def test_shortcuts_lead_anywhere_but_rest_in_fields(
    site: Served, open_page: Opens, anneal: Anneal
) -> None:
    page = open_page(site.url)
    page.locator("#train:enabled").wait_for()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_contain_text("Pause the run")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    name = page.get_by_label("Name", exact=True)
    name.press_sequentially("gr?")
    expect(name).to_have_value("gr?")
    name.press("Control+Enter")
    page.wait_for_url("**/run?id=*")
    assert anneal.history.run(int(page.url.split("id=")[1])).name == "gr?"
    page.locator(".run-head").wait_for()
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/runs")
    page.get_by_role("searchbox").wait_for()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_a_run_that_ends_is_told_on_another_page(
    site: Served, open_page: Opens, anneal: Anneal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "LONG", 0.0)
    run = anneal.history.add_run(
        "{}", name="Night <b>run</b>", task="Classification", model="ConvNet", data="Digits",
        method="Training",
    )  # fmt: skip
    page = open_page(f"{site.url}compare")
    page.wait_for_function("sessionStorage.getItem('anneal-since')")
    anneal.history.claim(run.id, device="cpu", pid=1, pid_started=1.0)
    metrics = {"headline": "test/accuracy", "test/accuracy": 0.9}
    anneal.history.end(run.id, state="finished", reason="Done", metrics=metrics)
    note = page.locator(".an-note")
    expect(note).to_contain_text("Night <b>run</b> has finished. Test accuracy 0.9")
    note.get_by_role("button", name="Open").click()
    page.wait_for_url(f"**/run?id={run.id}")


def test_an_ablation_begins_on_train_and_says_what_it_found(
    site: Served, open_page: Opens, anneal: Anneal
) -> None:
    page = open_page(site.url)
    page.get_by_label("Mirror").check()
    page.get_by_role("button", name="Ablation").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Mirror")
    dialog.get_by_label("Seeds").fill("2")
    dialog.get_by_role("button", name="Train 4 runs").click()
    page.wait_for_url("**/ablation?id=*")
    number = int(page.url.split("id=")[1])
    plan = AblationPlan.from_json(anneal.history.comparison(number).plan)
    held = comparisons.placed(plan, anneal.history.runs_of(number))
    for cell, run in held.items():
        assert run is not None
        value = 0.5 + 0.1 * cell.seed + (0.2 if cell.arm == "with" else 0)
        anneal.history.end(run.id, state="finished", reason="Done", metrics={
            "headline": "test/accuracy", "test/accuracy": value,
        })  # fmt: skip
    expect(page.locator(".starts-said")).to_contain_text("The augmentation helps: 75.0 ± 7.1 %")
    expect(page.locator(".starts-said")).to_contain_text("+20.0 ± 0.0 points")
    page.wait_for_function("document.querySelector('.ablation-plot').data?.length === 3")
    expect(page.locator(".starts-command")).to_contain_text("app.py ablate")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
