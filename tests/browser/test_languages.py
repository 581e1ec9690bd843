"""English and Chinese, changed on the page in a real browser: nothing is lost or loaded anew."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page, expect

from gui.shell import PAGES, Anneal, Served
from tests.browser.conftest import SOON, Opens, watch
from tests.gui import histories

WORDS = "() => document.querySelector('.an-page').innerText"
RANGE = "() => document.querySelector('.curve-plot').layout.xaxis.range"
HAN = "/\\p{Script=Han}/u"


def speak(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def settled(page: Page) -> Any:
    """The page's words, as soon as they stay the same."""
    page.wait_for_function(
        """() => {
          const now = document.querySelector('.an-page').innerText;
          const same = window.before === now;
          window.before = now;
          return same;
        }""",
        polling=300,
    )
    return page.evaluate(WORDS)


def test_train_keeps_what_is_typed_and_a_reload_keeps_the_language(
    site: Served, open_page: Opens
) -> None:
    page = open_page(site.url)
    page.get_by_role("heading", name="New run").wait_for()
    page.get_by_label("Name", exact=True).fill("Train")
    page.locator("summary", has_text="Advanced").first.click()
    page.get_by_text("parameters", exact=False).first.wait_for()
    timing = page.get_by_text("Timing a few real steps")
    expect(timing).to_be_hidden()
    english = settled(page)
    page.evaluate("window.here = true")

    speak(page, "中文")
    expect(page.get_by_role("heading", name="新建训练")).to_be_visible()
    expect(page.get_by_role("button", name="训练", exact=True)).to_be_visible()
    expect(page.get_by_label("名称", exact=True)).to_have_value("Train")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("details[open] > summary", has_text="高级").first).to_be_visible()

    speak(page, "EN")
    expect(page.get_by_role("heading", name="New run")).to_be_visible()
    expect(timing).to_be_hidden()
    assert settled(page) == english
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert page.evaluate("window.here"), "the page was loaded anew"

    speak(page, "中文")
    page.goto(f"{site.url}runs")
    expect(page.get_by_role("heading", name="运行记录", exact=True)).to_be_visible()
    expect(page).to_have_title("运行记录 · Anneal")
    expect(page.get_by_role("button", name="中文")).to_have_attribute("aria-pressed", "true")


def test_a_runs_page_keeps_its_zoom(site: Served, anneal: Anneal, open_page: Opens) -> None:
    run = histories.finished(anneal.history, "alpha")
    page = open_page(f"{site.url}run?id={run.id}")
    # The first chart fetches plotly's megabytes.
    expect(page.locator(".curve-plot .xtitle").first).to_have_text("step", timeout=3 * SOON)
    page.evaluate(
        "Plotly.relayout(document.querySelector('.curve-plot'), {'xaxis.range': [50, 100]})"
    )
    cell = page.get_by_role("gridcell").first
    cell.wait_for()
    english = settled(page)
    speak(page, "中文")
    expect(page.get_by_role("heading", name="损失", exact=True)).to_be_visible()
    expect(page.locator(".curve-plot .xtitle").first).to_have_text("步")
    expect(page).to_have_title("alpha · Anneal")
    assert page.evaluate(RANGE) == [50, 100]
    speak(page, "EN")
    expect(page.get_by_role("heading", name="Loss", exact=True)).to_be_visible()
    assert page.evaluate(RANGE) == [50, 100]
    cell.wait_for()
    assert settled(page) == english


def test_a_run_keeps_its_name_even_if_the_page_has_a_word_like_it(
    site: Served, anneal: Anneal, open_page: Opens
) -> None:
    run = histories.finished(anneal.history, "Train")
    page = open_page(f"{site.url}runs")
    speak(page, "中文")
    expect(page.get_by_role("heading", name="运行记录", exact=True)).to_be_visible()
    expect(page.locator(".runs-name")).to_have_text("Train")
    other = histories.finished(anneal.history, "alpha")
    page.goto(f"{site.url}compare?runs={run.id},{other.id}")
    expect(page.locator("thead").get_by_text("Train", exact=True).first).to_be_visible()


def test_the_first_visit_is_in_the_browsers_language_and_no_page_runs_over(
    site: Served, anneal: Anneal, browser: Browser
) -> None:
    histories.finished(anneal.history, "alpha")
    context = browser.new_context(locale="zh-CN", viewport={"width": 390, "height": 844})
    page = context.new_page()
    faults = watch(page)
    for one in PAGES:
        page.goto(site.url.rstrip("/") + one.path)
        page.wait_for_function(
            f"{HAN}.test(document.querySelector('.an-page :is(h1, h2)')?.innerText)"
        )
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{one.path} is {wider} px wider than a phone"
    context.close()
    assert not faults, faults


def test_what_the_server_says_and_what_the_data_say(
    site: Served, anneal: Anneal, open_page: Opens
) -> None:
    """A refusal is put into Chinese with its numbers; a text of the data stays as it is."""
    page = open_page(site.url)
    page.get_by_role("heading", name="New run").wait_for()
    speak(page, "中文")
    page.get_by_label("随机种子").fill("-3")
    expect(page.get_by_text("随机种子必须是 0 到 2,147,483,647 之间的整数").first).to_be_visible()
    said = page.evaluate(
        """async () => {
          const place = document.createElement("div");
          for (const [words, dir] of [
            ["Run 7 is running: it can't be queued again", "ltr"],
            ["Train", "auto"],
            ["There is no dataset 12", "ltr"],
          ])
            place.append(Object.assign(document.createElement("p"), { innerText: words, dir }));
          document.querySelector(".an-page").append(place);
          await new Promise(requestAnimationFrame);
          return [...place.children].map((one) => one.innerText);
        }"""
    )
    assert said == ["运行 7 运行中：不能再次排队", "Train", "没有数据集 12"]
