"""What the many tasks bring to the Train and Run pages: their samples, scores and recipes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from gui.shell import Anneal, Served
from tests.browser.conftest import Opens, edges
from tests.gui import histories

EVIL = "<img src=x onerror=alert(1)>"
LONG = "a very long sentence that goes on and on " * 12
HEBREW = "\u05e9\u05dc\u05d5\u05dd"


# --- samples --------------------------------------------------------------------------------


def sampled(anneal: Anneal, kind: Any, data: dict[str, Any]) -> int:
    """A run with one sample."""
    history = anneal.history
    run = histories.start(history, histories.add(history, given=histories.recipe()))
    history.record(run.id, samples=[histories.Sample("shown", kind, 40, 1.0, data)])
    return run.id


def test_a_table_marks_what_is_wrong_and_wraps_what_is_long(
    site: Served, anneal: Anneal, open_page: Opens
) -> None:
    rows = [["Eins", "One", EVIL], [HEBREW, LONG, "Two"]]
    run = sampled(anneal, "table", {"columns": ["source", "reference", "written"], "rows": rows,
                                    "wrong": [False, True]})  # fmt: skip
    page = open_page(f"{site.url}run?id={run}", width=390)
    table = page.get_by_role("table").filter(has_text="Eins")
    expect(table.get_by_role("columnheader")).to_have_text(["Source", "Reference", "Written"])
    lines = table.locator("tbody tr")
    expect(lines.nth(0).get_by_role("cell").nth(2)).to_have_text(EVIL)
    expect(lines.nth(1)).to_contain_text("Wrong: ")
    expect(lines.nth(0)).not_to_contain_text("Wrong: ")
    assert lines.nth(1).get_by_role("cell").first.evaluate(
        "cell => getComputedStyle(cell).direction") == "rtl"  # fmt: skip
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_text_is_shown_after_its_prompt(site: Served, anneal: Anneal, open_page: Opens) -> None:
    run = sampled(anneal, "text", {"prompt": "ROMEO:\n", "text": f"But {EVIL}"})
    page = open_page(f"{site.url}run?id={run}")
    expect(page.locator(".sample-written")).to_have_text(f"ROMEO:\nBut {EVIL}")
    expect(page.locator(".sample-written .an-muted")).to_have_text("ROMEO:")


def test_lines_are_small_charts_each_with_its_name(
    site: Served, anneal: Anneal, open_page: Opens
) -> None:
    lines = [{"label": "true", "x": [0, 1, 2], "y": [1.0, 2.0, 1.5]},
             {"label": EVIL, "x": [1, 2], "y": [1.8, None]}]  # fmt: skip
    run = sampled(anneal, "lines", {"plots": [{"title": f"series {n}", "lines": lines}
                                              for n in range(3)]})  # fmt: skip
    page = open_page(f"{site.url}run?id={run}")
    charts = page.locator(".sample-plots figure")
    expect(charts).to_have_count(3)
    chart = page.get_by_role("img", name="series 1")
    expect(chart.locator("path.line")).to_have_count(2)
    expect(charts.nth(1).locator("li")).to_have_text(["true", EVIL])
    chart.hover(position={"x": 60, "y": 60})
    expect(charts.nth(1).locator(".an-chart-read")).to_contain_text("true 1")


# --- scores ---------------------------------------------------------------------------------


@pytest.fixture
def translated(anneal: Anneal) -> int:
    """A finished run with the measures of a translation."""
    history = anneal.history
    run = histories.start(history, histories.add(history, given=histories.recipe()))
    history.end(run.id, state="finished", reason="All epochs are done", metrics={
        "test/bleu": 31.4159, "test/chrf": 55.04, "test/perplexity": 6.51234,
        "validation/bleu": 30.96, "headline": "validation/bleu", "larger_is_better": True,
        "baselines": {"copying the source": {"bleu": 3.049}},
        "signatures": {"bleu": "nrefs:1|case:mixed|tok:13a", "chrf": "nrefs:1|nc:6"},
        "outputs": [{"source": LONG, "reference": HEBREW, "written": EVIL}],
    })  # fmt: skip
    return run.id


def test_scores_are_named_and_written_as_their_field_does(
    site: Served, translated: int, open_page: Opens
) -> None:
    page = open_page(f"{site.url}run?id={translated}")
    scores = page.locator(".run-scores")
    expect(scores.get_by_role("columnheader")).to_have_text(["BLEU", "chrF", "Perplexity"])
    expect(scores.locator("tr.first td")).to_have_text(["31.4", "55.0", "6.512"])
    expect(scores.locator("tr.baseline td").first).to_have_text("3.0")
    page.goto(f"{site.url}runs")
    expect(page.get_by_text("31.4", exact=True)).to_be_visible()


def test_a_signature_stands_under_its_score_and_is_copied(
    site: Served, translated: int, open_page: Opens
) -> None:
    page = open_page(f"{site.url}run?id={translated}")
    signature = page.locator(".run-signature").first
    expect(signature).to_contain_text("BLEU as computed by")
    signature.get_by_role("button", name="Copy").click()
    expect(signature.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "nrefs:1|case:mixed|tok:13a"


def test_a_table_of_sentences_wraps(site: Served, translated: int, open_page: Opens) -> None:
    page = open_page(f"{site.url}run?id={translated}", width=390)
    cells = page.locator(".run-table tbody td")
    expect(cells).to_have_text([LONG.strip(), HEBREW, EVIL])
    assert cells.first.evaluate("cell => getComputedStyle(cell).textAlign") == "start"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_short_texts_begin_where_the_long_one_does(
    site: Served, anneal: Anneal, open_page: Opens
) -> None:
    history = anneal.history
    run = histories.start(history, histories.add(history, given=histories.recipe()))
    row = {"text": LONG, "true": "files", "predicted": "mail", "share": 0.5}
    history.end(
        run.id, state="finished", reason="Done", metrics={"test/loss": 1.0, "surest": [row]}
    )
    page = open_page(f"{site.url}run?id={run.id}")
    where = """cell => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        const [words, box] = [range.getBoundingClientRect(), cell.getBoundingClientRect()];
        return [words.top - box.top < 12, words.left - box.left < 20]; }"""
    cells = page.locator(".run-table tbody td")
    expect(cells).to_have_text([LONG.strip(), "files", "mail", "0.5000"])
    places = cells.evaluate_all(f"all => all.map({where})")
    assert [top for top, _ in places] == [True] * 4
    assert [left for _, left in places[:3]] == [True] * 3


@pytest.mark.parametrize("dark", [False, True])
def test_a_tall_table_shows_that_more_follows(
    site: Served, anneal: Anneal, open_page: Opens, dark: bool
) -> None:
    history = anneal.history
    run = histories.start(history, histories.add(history, given=histories.recipe()))
    rows = [{"class": f"class {n}", "items": n} for n in range(40)]
    history.end(
        run.id, state="finished", reason="Done", metrics={"test/loss": 1.0, "per_class": rows}
    )
    page = open_page(f"{site.url}run?id={run.id}", dark=dark)
    table = page.locator(".run-tall")
    table.scroll_into_view_if_needed()
    before = edges(table)["bottom"]
    table.evaluate("box => { box.scrollTop = box.scrollHeight }")
    assert abs(before - edges(table)["bottom"]) > 10
    head = table.get_by_role("columnheader", name="Items")
    below = """cell => cell.getBoundingClientRect().top
        - cell.closest('.run-tall').getBoundingClientRect().top"""
    assert head.evaluate(below) == 0


# --- the Train page -------------------------------------------------------------------------


@pytest.fixture
def form(site: Served, open_page: Opens) -> Page:
    opened = open_page(site.url)
    opened.get_by_role("radio", name="ConvNet").wait_for()
    return opened


def section(page: Page, kind: str) -> Locator:
    return page.locator(f'[data-section="{kind}"]')


def test_a_dataset_for_another_task_changes_the_task_and_the_model(form: Page) -> None:
    reviews = section(form, "data").locator("label", has_text="Reviews")
    expect(reviews).to_contain_text("Choosing it changes the task to Language modelling.")
    reviews.get_by_role("radio").check()
    expect(form.get_by_role("radio", name="Language modelling")).to_be_checked()
    expect(form.get_by_role("radio", name="Decoder")).to_be_checked()
    expect(form.get_by_role("radio", name="Reviews")).to_be_focused()


def test_an_address_that_names_data_brings_its_task(site: Served, open_page: Opens) -> None:
    page = open_page(f"{site.url}?data=Sentences")
    expect(page.get_by_role("radio", name="Translation")).to_be_checked()
    expect(page.get_by_role("radio", name="Sentences")).to_be_checked()


def test_models_that_do_not_fit_are_folded_with_their_reasons(form: Page) -> None:
    models = section(form, "model")
    expect(models.get_by_role("radio")).to_have_count(2)
    fold = models.get_by_text("6 that don't go with what is chosen above")
    fold.click()
    expect(models.get_by_role("radio")).to_have_count(8)
    expect(
        models.locator("label", has_text="Translator").or_(
            models.locator("label", has_text="Encoder and decoder")
        )
    ).to_contain_text("takes pair data")
    form.get_by_role("radio", name="Reconstruction").check()
    expect(models.get_by_role("radio", name="Autoencoder")).to_be_checked()
    expect(models.locator(".an-others")).to_have_attribute("open", "")


def test_the_thorough_recipe_is_a_click(form: Page, anneal: Anneal) -> None:
    expect(section(form, "recipe")).to_have_count(0)
    form.get_by_role("radio", name="Reviews").check()
    epochs = form.get_by_label("Epochs", exact=True)
    expect(epochs).to_have_value("4")
    expect(section(form, "recipe")).to_contain_text("in a few minutes")
    form.get_by_role("button", name="Thorough").click()
    expect(epochs).to_have_value("60")
    expect(section(form, "recipe")).to_contain_text("Aims at the best result")
    expect(form.get_by_role("button", name="Thorough")).to_be_focused()
    form.get_by_text("Copy as command").click()
    expect(form.get_by_label("Command", exact=True)).to_contain_text("--thorough")
    form.get_by_role("button", name="Starter").click()
    expect(epochs).to_have_value("4")


def test_a_field_of_many_choices_is_searched_by_typing(form: Page) -> None:
    form.get_by_role("radio", name="Reviews").check()
    kernel = form.get_by_role("combobox", name="Kernel")
    expect(kernel).to_have_value("kernel 01")
    expect(section(form, "model").locator("datalist option")).to_have_count(40)
    kernel.focus()
    expect(kernel).to_have_value("")  # so that all are listed
    kernel.blur()
    expect(kernel).to_have_value("kernel 01")
    form.get_by_text("Copy as command").click()
    line = form.get_by_label("Command", exact=True)
    kernel.fill("kernel 33")
    expect(line).to_contain_text("model.kernel=kernel 33")
    kernel.fill("kernel of truth")
    kernel.press("Enter")
    expect(form.locator("#field-model-kernel-problem")).to_contain_text("can't be")


def test_the_two_recipes_fit_a_phone(site: Served, open_page: Opens) -> None:
    page = open_page(f"{site.url}?data=Reviews", width=390, dark=True)
    page.get_by_role("button", name="Thorough").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
