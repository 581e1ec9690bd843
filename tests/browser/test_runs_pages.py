"""The Run, Runs and Compare pages, as a person uses them."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from gui.shell import Anneal, Served, serve
from storage.history import History
from storage.values import Run
from tests.browser.conftest import watch
from tests.gui import fakes, histories

POINTS = "() => document.querySelector('.curve-plot')?.data?.map((trace) => trace.x.length) ?? []"
RANGE = "() => document.querySelector('.curve-plot').layout.xaxis.range"
EVIL = "<img src=x onerror=\"document.title='evil'\"><b>%{y}${1+1}{{2}}</b>"


@dataclass
class Site:
    """Pages over a history of their own."""

    anneal: Anneal
    url: str

    @property
    def history(self) -> History:
        return self.anneal.history

    def open(self, page: Page, path: str) -> Page:
        page.goto(self.url + path, wait_until="commit")
        page.wait_for_selector(".an-page:not(.waiting) :is(h1, h2)")
        return page


@pytest.fixture
def site(served: tuple[Anneal, Served], anneal: Anneal) -> Site:
    """The pages, with an empty history."""
    return Site(anneal, served[1].url.rstrip("/"))


@pytest.fixture
def some(site: Site) -> list[Run]:
    """Three finished runs, the second with another learning rate."""
    rates = {"alpha": 1e-3, "beta": 3e-3, "gamma": 1e-3}
    return [
        histories.finished(
            site.history, name, seed=seed, given=histories.recipe(learning_rate=rate)
        )
        for seed, (name, rate) in enumerate(rates.items())
    ]


def names(page: Page) -> list[str]:
    return page.locator(".runs-name").all_inner_texts()


def drag(page: Page) -> None:
    """Zooms into the first chart by drawing a box."""
    box = page.locator(".curve-plot").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 150, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 330, box["y"] + 180, steps=4)
    page.mouse.up()


# --- the history ----------------------------------------------------------------------------------


def test_an_empty_history_leads_to_the_first_run(site: Site, page: Page) -> None:
    site.open(page, "/runs")
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    expect(page.get_by_role("link", name="Train the first")).to_have_attribute("href", "/")


def test_the_order_is_in_the_address_and_survives_a_reload(
    site: Site, some: list[Run], page: Page
) -> None:
    site.open(page, "/runs")
    expect(page.locator(".runs-name").first).to_have_text("gamma")
    page.get_by_role("columnheader", name="Name").get_by_role("button").click()
    expect(page.locator(".runs-name").first).to_have_text("alpha")
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute(
        "aria-sort", "ascending"
    )
    assert "sort=name" in page.url
    page.reload(wait_until="commit")
    expect(page.locator(".runs-name").first).to_have_text("alpha")
    page.get_by_role("columnheader", name="Test").get_by_role("button").click()
    expect(page.get_by_role("columnheader", name="Test")).to_have_attribute(
        "aria-sort", "descending"
    )
    best = max(some, key=lambda run: run.metrics["test/accuracy"])
    expect(page.locator(".runs-name").first).to_have_text(best.name)


def test_search_and_filters_narrow_the_table(site: Site, some: list[Run], page: Page) -> None:
    site.history.tag(some[0].id, ["keep"])
    site.open(page, "/runs")
    page.get_by_role("searchbox").fill("bet")
    expect(page.locator(".runs-name")).to_have_text(["beta"])
    expect(page.locator(".an-head p")).to_have_text("1 run found")
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.get_by_role("heading", name="No run fits")).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(page.locator(".runs-name")).to_have_count(3)
    page.get_by_label("Tag", exact=True).select_option("keep")
    expect(page.locator(".runs-name")).to_have_text(["alpha"])
    page.get_by_label("Tag", exact=True).select_option("")
    page.get_by_label("State", exact=True).select_option("failed")
    expect(page.locator(".runs-name")).to_have_count(0)


def test_many_runs_come_in_pages(site: Site, page: Page) -> None:
    for number in range(130):
        histories.add(site.history, f"run {number}", state="stopped")
    site.open(page, "/runs")
    expect(page.locator(".runs-name")).to_have_count(100)
    page.get_by_role("button", name="Older →").click()
    expect(page.locator(".runs-name")).to_have_count(30)
    expect(page.locator(".runs-pager")).to_contain_text("101–130 of 130")
    assert "offset=100" in page.url


def test_tags_and_notes_are_edited_in_place(site: Site, some: list[Run], page: Page) -> None:
    site.open(page, "/runs")
    page.get_by_role("button", name="Edit tags of alpha").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Tags of alpha, separated by commas").fill("first, best")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="first", exact=True)).to_be_visible()
    fakes.until(lambda: site.history.run(some[0].id).tags == ("first", "best"))
    expect(page.get_by_role("button", name="Edit tags of alpha")).to_be_focused()
    page.get_by_role("button", name="Edit note of beta").focus()
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Note of beta").fill("forget this")
    page.keyboard.press("Escape")
    expect(page.get_by_role("textbox", name="Note of beta")).to_have_count(0)
    assert site.history.run(some[1].id).notes == ""


def test_chosen_runs_are_compared_or_deleted(site: Site, some: list[Run], page: Page) -> None:
    folder = site.anneal.home / "runs" / str(some[0].id)
    folder.mkdir(parents=True)
    site.open(page, "/runs")
    page.get_by_label("Select alpha").check()
    page.get_by_label("Select gamma").check()
    expect(page.get_by_role("link", name="Compare").last).to_have_attribute(
        "href", f"/compare?runs={some[0].id},{some[2].id}"
    )
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Keep").click()
    expect(page.locator(".runs-name")).to_have_count(3)
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".runs-name")).to_have_text(["beta"])
    fakes.until(lambda: not folder.exists())
    expect(page.get_by_role("region", name="Selected runs")).to_be_hidden()


def test_rows_live_without_losing_choice_focus_or_scroll(
    site: Site, some: list[Run], page: Page
) -> None:
    for number in range(30):
        histories.add(site.history, f"old {number}", state="stopped")
    site.open(page, "/runs")
    page.get_by_label("Select beta").check()
    page.get_by_label("Select beta").focus()
    page.evaluate("window.scrollTo(0, 400)")
    run = histories.add(site.history, "the new one")
    with histories.Worker(site.history, run, steps=400, rate=80):
        row = page.get_by_role("row", name=re.compile("the new one"))
        expect(row.locator(".an-state")).to_have_text("Running")
        expect(row.locator(".col-validation")).to_contain_text("Accuracy")
    expect(page.get_by_label("Select beta")).to_be_checked()
    expect(page.get_by_label("Select beta")).to_be_focused()
    assert page.evaluate("window.scrollY") > 300


def test_the_queue_is_put_in_order_with_the_keyboard(site: Site, page: Page) -> None:
    a, b, c = (histories.add(site.history, name).id for name in ("one", "two", "three"))
    site.open(page, "/runs")
    page.get_by_role("button", name="Earlier: three").focus()
    page.keyboard.press("ArrowUp")
    expect(page.locator(".queue a")).to_have_text(["one", "three", "two"])
    page.get_by_role("button", name="Remove from the queue: one").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".queue a")).to_have_text(["three", "two"])
    fakes.until(lambda: [run.id for run in site.history.queue()] == [c, b])
    assert site.history.run(a).state == "stopped"


# --- one run --------------------------------------------------------------------------------------


def test_points_arrive_by_themselves_and_a_reload_loses_none(site: Site, page: Page) -> None:
    run = histories.add(site.history)
    site.open(page, f"/run?id={run.id}")
    expect(page.locator(".curve-note").first).to_contain_text("once the run starts")
    with histories.Worker(site.history, run, steps=4000, rate=160):
        page.wait_for_function(f"({POINTS})()[0] > 100")
        before = page.evaluate(POINTS)[0]
        page.reload(wait_until="commit")
        page.wait_for_function(f"({POINTS})()[0] >= {before}")
        assert page.evaluate("() => document.querySelector('.curve-plot').data[0].x[0]") == 1
        page.wait_for_function(f"({POINTS})()[0] > {before} + 100")
        expect(page.locator(".an-state").first).to_have_text("Running")
    steps = page.evaluate("() => document.querySelector('.curve-plot').data[0].x")
    assert steps == list(range(1, len(steps) + 1))


def test_zoom_and_hidden_lines_stay_while_points_come(site: Site, page: Page) -> None:
    run = histories.add(site.history)
    with histories.Worker(site.history, run, steps=8000, rate=160):
        site.open(page, f"/run?id={run.id}")
        page.wait_for_function(f"({POINTS})().length === 4")
        drag(page)
        page.get_by_role("button", name="Validation").nth(1).click()
        expect(page.get_by_role("button", name="Whole curve").first).to_be_enabled()
        zoomed, before = page.evaluate(RANGE), page.evaluate(POINTS)
        page.wait_for_function(f"({POINTS})()[0] > {before[0]} + 60")
        assert page.evaluate(RANGE) == zoomed
        visible = page.evaluate(
            "() => document.querySelector('.curve-plot').data.map((trace) => trace.visible)"
        )
        assert visible == [True, True, False, False]
        page.get_by_role("button", name="Whole curve").first.click()
        page.wait_for_function(f"({RANGE})()[0] < {zoomed[0]}")


def test_nothing_moves_while_a_run_streams(site: Site, page: Page) -> None:
    run = histories.add(site.history)
    with histories.Worker(site.history, run, steps=8000, rate=200):
        site.open(page, f"/run?id={run.id}")
        page.wait_for_function(f"({POINTS})().length === 4")
        places = """() => [...document.querySelectorAll('.run-facts dd, .an-card, .curve-plot')]
            .map((one) => one.getBoundingClientRect()).map(({ x, y }) => [x, y].map(Math.round))"""
        before, points = page.evaluate(places), page.evaluate(POINTS)[0]
        page.wait_for_function(f"({POINTS})()[0] > {points} + 150")
        assert page.evaluate(places) == before


def test_a_run_is_paused_resumed_and_stopped(site: Site, page: Page) -> None:
    run = histories.add(site.history)
    with histories.Worker(site.history, run, steps=8000):
        site.open(page, f"/run?id={run.id}")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".an-state").first).to_have_text("Paused")
    expect(page.locator(".run-said")).to_contain_text("You asked to pause it")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".an-state").first).to_have_text("Queued")
    page.get_by_role("button", name="Remove from the queue").click()
    expect(page.locator(".an-state").first).to_have_text("Stopped")


def test_points_taken_back_by_a_resume_are_drawn_anew(site: Site, page: Page) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=200, steps=400)
    site.open(page, f"/run?id={run.id}")
    page.wait_for_function(f"({POINTS})()[0] === 200")
    site.history.rewind(run.id, 120)
    page.wait_for_function(f"({POINTS})()[0] === 120")
    histories.train(site.history, run, first=121, last=220, steps=400)
    page.wait_for_function(f"({POINTS})()[0] === 220")


def test_a_failed_run_says_why_and_offers_the_mend(site: Site, page: Page) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=90, nan_at=[85])
    site.history.record(run.id, saved=(80, True))
    site.history.end(run.id, state="failed", reason="The loss is NaN: lower the learning rate")
    site.open(page, f"/run?id={run.id}")
    box = page.get_by_role("alert")
    expect(box).to_contain_text("lower the learning rate. The checkpoint of step 80 is kept.")
    box.get_by_role("button", name="Resume").click()
    expect(page.locator(".an-state").first).to_have_text("Queued")


def test_a_million_points_are_thinned_and_a_zoom_asks_for_all_of_a_part(
    site: Site, page: Page
) -> None:
    run = histories.start(site.history, histories.add(site.history))
    site.history.record(run.id, points=[
        ("train/loss", step, step / 100, step * 0.01, math.sin(step / 5000))
        for step in range(60_000)
    ], progress={"step": 60_000, "steps": 60_000})  # fmt: skip
    site.history.end(run.id, state="finished", reason="Done")
    site.open(page, f"/run?id={run.id}")
    page.wait_for_function(f"({POINTS})()[0] === 3000")
    inside = """() => { const { data, layout } = document.querySelector('.curve-plot');
        const [low, high] = layout.xaxis.range;
        return data[0].x.filter((step) => step >= low && step <= high).length; }"""
    page.evaluate("""() => Plotly.relayout(document.querySelector('.curve-plot'),
        {'xaxis.range[0]': 20000, 'xaxis.range[1]': 21000})""")
    page.wait_for_function(f"({inside})() === 1001")
    page.get_by_role("button", name="Whole curve").first.click()
    page.wait_for_function(f"({POINTS})()[0] === 3000")


def test_the_controls_change_how_curves_are_drawn(site: Site, some: list[Run], page: Page) -> None:
    site.open(page, f"/run?id={some[0].id}")
    page.wait_for_function(f"({POINTS})().length === 4")
    page.get_by_label("Horizontal axis").select_option("epoch")
    page.wait_for_function("() => document.querySelector('.curve-plot').data[0].x.at(-1) === 8")
    page.get_by_role("button", name="Log scale").click()
    page.wait_for_function(
        "() => document.querySelector('.curve-plot').layout.yaxis.type === 'log'"
    )
    page.get_by_label("Smoothing").fill("0")
    page.wait_for_function(f"({POINTS})()[1] === 0")
    page.get_by_role("group", name="Curves", exact=True).get_by_role("button", name="Train").click()
    page.wait_for_function(f"({POINTS})().length === 2")
    page.reload(wait_until="commit")
    page.wait_for_function(
        "() => document.querySelector('.curve-plot')?.layout?.yaxis.type === 'log'"
    )


def test_the_confusion_matrix_is_read_with_the_keyboard(
    site: Site, some: list[Run], page: Page
) -> None:
    site.open(page, f"/run?id={some[0].id}")
    matrix = page.locator(":has(> .confusion-bar)").first
    matrix.get_by_role("gridcell").first.focus()
    page.keyboard.press("ArrowRight")
    readout = matrix.locator(".confusion-readout")
    expect(readout).to_contain_text("0 taken for 1")
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    expect(readout).to_contain_text("1 taken for 9")


@pytest.mark.parametrize("width", [390, 1280])
def test_long_names_of_classes_are_read_over_their_columns(
    site: Site, page: Page, width: int
) -> None:
    run = histories.start(site.history, histories.add(site.history))
    classes = [f"a topic {n}" for n in range(12)]
    matrix = histories.confusion(classes=classes)
    site.history.record(
        run.id, samples=[histories.Sample("confusion", "confusion", 1, 1.0, matrix)]
    )
    page.set_viewport_size({"width": width, "height": 900})
    site.open(page, f"/run?id={run.id}")
    grid = page.get_by_role("grid", name="Confusion matrix")
    heads = grid.get_by_role("columnheader")
    expect(heads).to_have_text(classes)
    expect(heads.last).to_have_attribute("title", classes[-1])
    whole = "all => all.every((one) => one.scrollHeight <= one.clientHeight)"
    assert heads.locator("span").evaluate_all(whole), "a name is cut off"
    # All columns are wide enough for their numbers, and what doesn't fit is scrolled to.
    last = grid.get_by_role("gridcell").last
    assert (last.bounding_box() or {})["width"] >= 26
    grid.get_by_role("gridcell").first.focus()
    page.keyboard.press("End")
    box = page.locator(".confusion-scroll").bounding_box()
    cell = grid.get_by_role("row").nth(1).get_by_role("gridcell").last.bounding_box()
    assert box
    assert cell
    assert cell["x"] + cell["width"] <= box["x"] + box["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_short_names_of_classes_stay_upright(site: Site, some: list[Run], page: Page) -> None:
    site.open(page, f"/run?id={some[0].id}")
    head = page.get_by_role("grid", name="Confusion matrix").first.get_by_role("columnheader").first
    mode = "one => getComputedStyle(one.firstChild).writingMode"
    assert head.evaluate(mode) == "horizontal-tb"


def test_many_classes_become_a_map(site: Site, page: Page) -> None:
    run = histories.start(site.history, histories.add(site.history))
    classes = [f"class {n}" for n in range(60)]
    matrix = histories.confusion(classes=classes)
    site.history.record(
        run.id, samples=[histories.Sample("confusion", "confusion", 1, 1.0, matrix)]
    )
    site.open(page, f"/run?id={run.id}")
    page.locator("canvas.confusion-map").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".confusion-readout").first).to_contain_text("class 1 taken for class 0")


@pytest.mark.parametrize(
    ("value", "low", "high"), [(0.24, 0, 1), (1.0, 0, 1), (0.001, 0, 0.002), (2.3, 1, 4)]
)
def test_the_axis_of_a_single_point_holds_only_what_can_be(
    site: Site, page: Page, value: float, low: float, high: float
) -> None:
    run = histories.start(site.history, histories.add(site.history))
    site.history.record(run.id, points=[("validation/accuracy", 60, 1.0, 8.0, value)])
    site.open(page, f"/run?id={run.id}")
    ticks = page.locator(".curve-plot").last.locator(".ytick text")
    ticks.first.wait_for()
    numbers = [float(one.replace("\N{MINUS SIGN}", "-")) for one in ticks.all_text_contents()]
    assert min(numbers) >= low
    assert max(numbers) <= high


def test_an_axis_grows_with_what_is_measured(site: Site, page: Page) -> None:
    run = histories.start(site.history, histories.add(site.history))
    site.history.record(run.id, points=[("train/loss", 1, 0.1, 1.0, 0.4)])
    site.open(page, f"/run?id={run.id}")
    ticks = page.locator(".curve-plot").first.locator(".ytick text")
    ticks.first.wait_for()
    site.history.record(run.id, points=[("train/loss", n, n / 10, n, n + 0.5) for n in (2, 3, 4)])
    expect(ticks.filter(has_text=re.compile("^4$"))).to_be_visible()


def test_samples_follow_the_epochs(site: Site, page: Page) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=80)
    for step in (40, 80):
        site.history.record(run.id, samples=histories.reconstructions(step))
    site.open(page, f"/run?id={run.id}")
    expect(page.locator(".sample-row img")).to_have_count(20)
    slider = page.get_by_label("Epoch of Reconstructions")
    expect(slider).to_have_attribute("aria-valuetext", "Epoch 2")
    site.history.record(run.id, samples=histories.reconstructions(120))
    expect(slider).to_have_attribute("aria-valuetext", "Epoch 3")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "Epoch 2")
    site.history.record(run.id, samples=histories.reconstructions(160))
    page.wait_for_timeout(1500)
    expect(slider).to_have_attribute("aria-valuetext", "Epoch 2")


def test_a_run_gets_another_name_in_place(site: Site, some: list[Run], page: Page) -> None:
    site.open(page, f"/run?id={some[0].id}")
    name = page.get_by_label("Name of the run")
    expect(name).to_have_value("alpha")
    name.fill("better name")
    name.press("Enter")
    expect(page).to_have_title(re.compile("better name"))
    fakes.until(lambda: site.history.run(some[0].id).name == "better name")
    name.fill("   ")
    name.press("Enter")
    expect(page.locator(".an-note")).to_contain_text("needs a name")
    expect(name).to_have_value("better name")


def test_the_log_opens_at_its_end(site: Site, some: list[Run], page: Page) -> None:
    folder = site.anneal.home / "runs" / str(some[0].id)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("\n".join(f"line {n}" for n in range(500)))
    site.open(page, f"/run?id={some[0].id}")
    page.get_by_text("Log", exact=True).click()
    expect(page.get_by_label("End of the log")).to_contain_text("line 499")


@pytest.mark.parametrize("path", ["/run?id=77", "/run", "/run?id=x"])
def test_a_run_that_is_not_there_is_said_kindly(site: Site, page: Page, path: str) -> None:
    site.open(page, path)
    expect(page.get_by_role("heading", name="This run isn't here")).to_be_visible()
    expect(page.get_by_role("link", name="All runs")).to_be_visible()


def test_a_deleted_run_leads_back_to_the_history(site: Site, some: list[Run], page: Page) -> None:
    site.open(page, f"/run?id={some[0].id}")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/runs")
    expect(page.locator(".runs-name")).to_have_count(2)


# --- asking ---------------------------------------------------------------------------------------


def test_a_page_outlives_its_server(site: Site, page: Page, tmp_path: Any) -> None:
    anneal = fakes.make(tmp_path / "other")
    served = serve(anneal, port=fakes.PORT)
    try:
        run = histories.start(anneal.history, histories.add(anneal.history))
        histories.train(anneal.history, run, last=50)
        Site(anneal, served.url.rstrip("/")).open(page, f"/run?id={run.id}")
        page.wait_for_function(f"({POINTS})()[0] === 50")
        served.close()
        expect(page.locator(".run-lost")).to_be_visible()
        histories.train(anneal.history, run, first=51, last=90)
        served = serve(anneal, port=served.port)
        page.wait_for_function(f"({POINTS})()[0] === 90")
        expect(page.locator(".run-lost")).to_be_hidden()
    finally:
        served.close()
        anneal.history.close()


def test_a_hidden_page_asks_nothing_and_a_removed_one_neither(
    site: Site, some: list[Run], page: Page
) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=50)
    site.open(page, f"/run?id={run.id}")
    page.wait_for_function(f"({POINTS})()[0] === 50")
    asked: list[str] = []

    def told(url: str) -> None:
        if "/api/news" not in url:  # goes on in a hidden tab: it says when a long run has ended
            asked.append(url)

    page.on("request", lambda request: told(request.url))
    hide = """(hidden) => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange')); }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(400)
    asked.clear()
    page.wait_for_timeout(1500)
    assert asked == []
    with page.expect_request("**/curves*"):
        page.evaluate(hide, False)
    page.evaluate("document.querySelector('.an-runs').remove()")
    page.wait_for_timeout(400)
    asked.clear()
    page.wait_for_timeout(1500)
    assert asked == []


def test_curves_are_asked_for_several_times_a_second_while_a_run_trains(
    site: Site, page: Page
) -> None:
    run = histories.start(site.history, histories.add(site.history))
    histories.train(site.history, run, last=50)
    site.open(page, f"/run?id={run.id}")
    page.wait_for_function(f"({POINTS})()[0] === 50")
    asked: list[str] = []
    page.on("request", lambda request: "/curves" in request.url and asked.append(request.url))
    page.wait_for_timeout(2000)
    assert len(asked) <= 11
    for _ in range(3):  # it goes on asking, on a busy machine more slowly
        with page.expect_request("**/curves*"):
            pass
    site.history.end(run.id, state="finished", reason="Done")
    expect(page.locator(".an-state").first).to_have_text("Finished")
    page.wait_for_timeout(300)
    asked.clear()
    page.wait_for_timeout(2000)
    assert len(asked) <= 2


def test_what_the_server_refuses_is_said(site: Site, some: list[Run], page: Page) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=409, json={"error": "Not now, because."})

    site.open(page, f"/run?id={some[0].id}")
    page.route("**/rename", refuse)
    page.get_by_label("Name of the run").fill("other")
    page.keyboard.press("Enter")
    expect(page.locator(".an-note")).to_contain_text("Not now, because.")


# --- comparing ------------------------------------------------------------------------------------


def test_a_comparison_shows_curves_and_only_what_differs(
    site: Site, some: list[Run], page: Page
) -> None:
    site.open(page, f"/compare?runs={some[0].id},{some[1].id}")
    page.wait_for_function(f"({POINTS})().length === 8")
    table = page.locator(".compare-table").last
    expect(table.get_by_role("row")).to_have_count(2)
    expect(table.get_by_role("rowheader", name="Learning rate")).to_be_visible()
    best = max(some[:2], key=lambda run: run.metrics["test/accuracy"])
    row = page.get_by_role("row", name=re.compile("Test accuracy"))
    expect(row.locator(".best")).to_have_count(1)
    expect(row.locator("td").nth(some.index(best))).to_have_class(re.compile("best"))
    page.get_by_role("group", name="Measure").get_by_role("button", name="Accuracy").click()
    page.wait_for_function(f"({POINTS})().length === 4")


def test_every_measure_can_be_chosen_on_a_phone(site: Site, some: list[Run], page: Page) -> None:
    names = [f"validation/measure number {n}" for n in range(6)]
    run = histories.start(site.history, histories.add(site.history))
    site.history.record(run.id, points=[(name, 320, 8.0, 16.0, 0.5) for name in names])
    page.set_viewport_size({"width": 390, "height": 844})
    site.open(page, f"/compare?runs={some[0].id},{run.id}")
    choices = page.get_by_role("group", name="Measure").get_by_role("button")
    expect(choices).to_have_count(len(names) + 4)
    card = page.locator(".curve-card").bounding_box()
    assert card
    for choice in choices.all():
        box = choice.bounding_box()
        assert box
        assert card["x"] <= box["x"]
        assert box["x"] + box["width"] <= card["x"] + card["width"]


def test_runs_join_and_leave_a_comparison_and_keep_their_colours(
    site: Site, some: list[Run], page: Page
) -> None:
    colour = """(name) => [...document.querySelectorAll('.compare-runs li')]
        .find((one) => one.textContent.includes(name)).style.getPropertyValue('--line')"""
    site.open(page, f"/compare?runs={some[0].id},{some[1].id}")
    expect(page.locator(".compare-runs li")).to_have_count(2)
    before = page.evaluate(colour, "beta")
    page.get_by_role("button", name="Remove alpha").click()
    expect(page.locator(".compare-runs li")).to_have_count(1)
    assert page.evaluate(colour, "beta") == before
    assert page.url.endswith(f"runs={some[1].id}")
    page.get_by_label("Add a run: its name or number").fill(str(some[2].id))
    page.keyboard.press("Enter")
    expect(page.locator(".compare-runs li")).to_have_count(2)
    page.wait_for_function(f"({POINTS})().length === 8")
    assert page.evaluate(colour, "beta") == before
    page.get_by_role("button", name="Show gamma").click()
    page.wait_for_function(f"({POINTS})().length === 4")


def test_nothing_to_compare_leads_to_the_history(site: Site, some: list[Run], page: Page) -> None:
    site.open(page, "/compare")
    expect(page.get_by_role("heading", name="Nothing to compare yet")).to_be_visible()


# --- every page -----------------------------------------------------------------------------------


def test_what_a_person_typed_is_text_and_never_code(site: Site, page: Page) -> None:
    run = histories.start(site.history, histories.add(site.history, EVIL, given=histories.recipe()))
    site.history.tag(run.id, [EVIL])
    site.history.annotate(run.id, notes=EVIL)
    histories.train(site.history, run)
    matrix = histories.confusion(classes=[EVIL, "b"])
    site.history.record(run.id, notices=[histories.Notice(EVIL, "error")], samples=[
        histories.Sample("confusion", "confusion", 1, 1.0, matrix),
        histories.Sample("codes", "scatter", 1, 1.0, {"x": [0.0], "y": [1.0], "label": [0],
                                                      "classes": [EVIL]}),
    ])  # fmt: skip
    site.history.end(run.id, state="failed", reason=EVIL)
    for path in (f"/run?id={run.id}", "/runs", f"/compare?runs={run.id}"):
        site.open(page, path)
        page.wait_for_timeout(700)
        if plots := page.locator(".curve-plot").count():
            assert plots
            page.locator(".curve-plot").first.hover()
            page.wait_for_timeout(300)
        assert page.locator("img[src='x']").count() == 0
        assert page.title() != "evil"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_fit_a_phone(site: Site, some: list[Run], browser: Browser, theme: Any) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, color_scheme=theme
    )
    page = context.new_page()
    wrong = watch(page)
    histories.add(site.history, "a queued run with a name that is much too long for a small screen")
    for path in (f"/run?id={some[0].id}", "/runs", f"/compare?runs={some[0].id},{some[1].id}"):
        site.open(page, path)
        page.wait_for_timeout(600)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    context.close()
    assert not wrong


def test_everything_that_can_be_used_has_a_name(site: Site, some: list[Run], page: Page) -> None:
    histories.add(site.history, "waiting")
    for path in (f"/run?id={some[0].id}", "/runs", f"/compare?runs={some[0].id},{some[1].id}"):
        site.open(page, path)
        page.wait_for_timeout(600)
        nameless = page.evaluate("""() => [...document.querySelectorAll(
            '.an-runs :is(input, select, button, a, textarea)')].filter((one) => {
              const words = one.getAttribute('aria-label') || one.textContent.trim()
                || [...(one.labels ?? [])].map((label) => label.textContent.trim()).join('');
              return !words; }).map((one) => one.outerHTML)""")
        assert nameless == [], path


def test_charts_are_drawn_anew_in_the_other_theme(site: Site, some: list[Run], page: Page) -> None:
    site.open(page, f"/run?id={some[0].id}")
    page.wait_for_function(f"({POINTS})().length === 4")
    grid = "() => document.querySelector('.curve-plot').layout.xaxis.gridcolor"
    before = page.evaluate(grid)
    page.get_by_role("button", name="Light / dark").click()
    page.wait_for_function(f"({grid})() !== {before!r}")


def test_a_read_only_app_offers_no_changes(
    site: Site, some: list[Run], page: Page, tmp_path: Any
) -> None:
    with fakes.served(fakes.make(site.anneal.home, readonly=True)) as served:
        reader = Site(site.anneal, served.url.rstrip("/"))
        reader.open(page, f"/run?id={some[0].id}")
        expect(page.get_by_role("link", name="Clone into form")).to_be_visible()
        expect(page.get_by_role("button", name="Delete…")).to_have_count(0)
        reader.open(page, "/runs")
        expect(page.get_by_role("button", name="Edit tags of alpha")).to_have_count(0)


def test_an_open_page_costs_the_server_little(site: Site, some: list[Run], page: Page) -> None:
    """A finished run is asked about every two seconds, not several times a second."""
    site.open(page, f"/run?id={some[0].id}")
    page.wait_for_function(f"({POINTS})().length === 4")
    asked: list[float] = []
    page.on("request", lambda request: asked.append(time.monotonic()))
    page.wait_for_timeout(4000)
    assert len(asked) <= 6


def test_a_run_shows_where_it_comes_from_and_what_it_took_over(site: Site, page: Page) -> None:
    first = histories.finished(site.history, "pretrained")
    begun = histories.start(site.history, histories.add(site.history, "adapted", parent=first.id))
    histories.train(site.history, begun)
    taken = {
        "run": first.id, "loaded": ["stem.weight", "stages.0.weight"], "left": ["old.bias"],
        "new": [{"name": "head.weight", "why": "other classes"}],
    }  # fmt: skip
    site.history.end(
        begun.id, state="finished", reason="Done", metrics={"test/accuracy": 0.9, "start": taken}
    )
    child = histories.finished(site.history, "grandchild", parent=begun.id)
    site.open(page, f"/run?id={begun.id}")
    card = page.get_by_role("region", name="Lineage")
    expect(card.get_by_role("listitem").filter(has_text="pretrained")).to_contain_text("Accuracy")
    expect(card.locator("[aria-current]")).to_have_text("adapted")
    card.get_by_text("2 tensors taken over").click()
    expect(card.get_by_text("stages.0.weight")).to_be_visible()
    card.get_by_text("1 made anew").click()
    expect(card.get_by_text("head.weight: other classes")).to_be_visible()
    expect(card.get_by_text("1 left out")).to_be_visible()
    card.get_by_role("link", name="grandchild").click()
    page.wait_for_url(f"**/run?id={child.id}")
    expect(page.get_by_role("region", name="Lineage").get_by_role("link")).to_have_text(
        ["pretrained", "adapted"]
    )
