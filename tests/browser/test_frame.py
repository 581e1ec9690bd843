"""The frame around the pages, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from gui.shell import PAGES, Anneal, Served
from tests.browser.conftest import Opens
from tests.gui import fakes

PATHS = [page.path for page in PAGES if page.navigation]


def test_every_page_fits_a_phone_and_a_desk(site: Served, open_page: Opens) -> None:
    page = open_page(site.url)
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        for path in PATHS:
            page.goto(site.url.rstrip("/") + path)
            page.locator(".an-page h1").wait_for()
            wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, f"{path} is {wider} px wider than {width}"


def test_the_navigation_leads_everywhere(site: Served, open_page: Opens) -> None:
    page = open_page(site.url)
    for target in [p for p in PAGES if p.navigation][::-1]:
        page.get_by_role("navigation").get_by_role("link", name=target.title, exact=True).click()
        page.wait_for_url(f"**{target.path}")
        current = page.get_by_role("navigation").locator("[aria-current=page]")
        expect(current).to_have_text(target.title)
        expect(page).to_have_title("Anneal" if target.path == "/" else f"{target.title} · Anneal")


def test_on_a_phone_the_navigation_is_a_drawer(site: Served, open_page: Opens) -> None:
    page = open_page(site.url, width=390)
    page.get_by_role("heading", name="New run").wait_for()
    menu = page.get_by_role("button", name="Menu")
    link = page.get_by_role("link", name="Datasets")
    expect(link).to_be_hidden()
    menu.click()
    expect(link).to_be_visible()
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(link).to_be_hidden()


def test_light_or_dark_is_remembered(site: Served, open_page: Opens) -> None:
    page = open_page(site.url)
    page.get_by_role("heading", name="New run").wait_for()
    dark = "document.body.classList.contains('dark')"
    page.get_by_role("button", name="Light / dark").click()
    assert page.evaluate(dark)
    page.goto(f"{site.url}runs")
    page.locator(".an-page h1").wait_for()
    page.wait_for_function(dark)


def test_the_first_tab_stop_leads_past_the_navigation(site: Served, open_page: Opens) -> None:
    page = open_page(site.url)
    page.get_by_role("heading", name="New run").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()


def test_the_machine_describes_itself_as_text(site: Served, open_page: Opens) -> None:
    page = open_page(site.url)
    expect(page.locator(".an-foot")).to_contain_text("A processor ${1+1} {{x}}")


def test_an_answer_that_does_not_come_whole_is_no_answer(site: Served, open_page: Opens) -> None:
    """Taken back or broken off after its first bytes, it isn't taken for an empty one."""
    page = open_page(site.url)
    page.locator(".an-page h1").wait_for()
    said = page.evaluate(
        """async () => {
          const { ask } = await import("/static-anneal/shell.js");
          const broken = (problem) => ({ ok: true, json: () => Promise.reject(problem) });
          const kept = window.fetch;
          const said = [];
          for (const problem of [new DOMException("", "AbortError"), new TypeError("gone")]) {
            window.fetch = async () => broken(problem);
            said.push(await ask("/api/runs").catch(({ name, offline = false }) => [name, offline]));
          }
          window.fetch = kept;
          return said;
        }"""
    )
    assert said == [["AbortError", False], ["Error", True]]


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(
    site: Served, anneal: Anneal, open_page: Opens, dark: bool
) -> None:
    """WCAG AA: 4.5 to 1 for what is read, muted text too."""
    fakes.add_run(anneal.history)
    failed = anneal.history.add_dataset(name="Broken", kind="images", source="b.zip")
    anneal.history.import_failed(failed.id, "It can't be read")
    page = open_page(dark=dark)
    for path, there in [("", ".an-estimate small"), ("datasets", ".an-balance"),
                        ("predict", "canvas")]:  # fmt: skip
        page.goto(site.url + path)
        page.locator(there).first.wait_for()
        page.wait_for_timeout(300)
        assert not page.evaluate(CONTRAST), path


CONTRAST = """() => {
  const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const c = rgb(getComputedStyle(node).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const out = [];
  for (const node of document.querySelectorAll('.an-page *, .an-side *')) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const off = node.closest('[disabled], .disabled, :disabled, [hidden]');
    if (!own || off || !node.getClientRects().length) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) out.push([node.className, node.textContent.slice(0, 30), ratio].join(' '));
  }
  return out;
}"""
