"""From a mistake to better data, with the real program: a cell, its items, another label, a new
version, a new training."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect
from sklearn.datasets import load_digits

from storage.history import History
from tests.browser.conftest import Opens
from tests.browser.test_click_to_curve import APP, PATIENCE, Program, train

pytestmark = pytest.mark.alone

LONG = {"timeout": PATIENCE}
WORDS = ("--data", "1", "--model", "ConvNet", "--set", "model.channels=8,16", "--set",
         "model.hidden=32", "--set", "method.epochs=5", "--set", "method.learning_rate=0.004",
         "--set", "method.threads=1", "--set", "data.flip=false", "--name", "first")  # fmt: skip


def carried_out(home: Path, *words: str) -> None:
    subprocess.run([sys.executable, str(APP), *words, "--home", str(home)], check=True,
                   capture_output=True)  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, with digits of which one label in 20 is wrong, and a run that learned them."""
    folder = tmp_path_factory.mktemp("mistakes")
    known, rng = load_digits(), np.random.default_rng(0)
    labels = known.target.copy()
    flipped = rng.choice(len(labels), len(labels) // 20, replace=False)
    labels[flipped] = (labels[flipped] + rng.integers(1, 10, len(flipped))) % 10
    np.savez(folder / "digits.npz", images=(known.images * 15.9375).astype(np.uint8), labels=labels)
    home = folder / "home"
    carried_out(home, "data", "add", str(folder / "digits.npz"), "--name", "Digits of mine")
    carried_out(home, "train", *WORDS)
    running = Program(home)
    running.start()
    yield running
    running.stop()


def closer(page: Page) -> Locator:
    return page.get_by_role("region", name="Look closer")


def matrix(page: Page) -> Locator:
    return page.locator(".run-stack > section", has_text="on the test data").get_by_role("grid")


@pytest.mark.timeout(600)
def test_from_a_cell_to_a_training_on_better_data(program: Program, open_page: Opens) -> None:
    page = open_page(f"{program.url}run?id=1")
    grid = matrix(page)
    with History(program.home / "anneal.db") as history:
        counts = np.array(history.run(1).metrics["confusion"]["counts"])
    np.fill_diagonal(counts, 0)
    true, said = (int(n) for n in np.unravel_index(counts.argmax(), counts.shape))
    many = int(counts.max())

    # By keyboard: to the cell, and Enter.
    grid.locator("tbody td").first.focus()
    for _ in range(true):
        page.keyboard.press("ArrowDown")
    for _ in range(said):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    lead = closer(page).get_by_text(f"{true} taken for {said}: {many} of 180 items")
    expect(lead).to_be_visible(**LONG)
    cards = closer(page).locator(".an-item")
    expect(cards).to_have_count(many)
    for card in cards.all():
        expect(card).to_contain_text(re.compile(rf"✗ {said}\s*\d"))
        expect(card).to_contain_text(f"labelled {true}:")
    expect(closer(page).get_by_role("heading", name="Look closer")).to_be_focused()

    # The address leads there again.
    page.reload()
    expect(cards).to_have_count(many, **LONG)

    # Another label: a new version, and the run keeps its own.
    cards.first.click()
    closer(page).get_by_role("combobox", name="New label").fill(str(said))
    closer(page).get_by_role("button", name="Relabel").click()
    again = closer(page).locator(".closer-again")
    expect(again).to_contain_text("at version 2 by now; this run learned from version 1", **LONG)
    expect(cards.first.locator(".closer-now")).to_have_text(f"{said} by now")
    expect(cards).to_have_count(many)
    page.get_by_role("button", name="Undo").click()
    expect(again).to_contain_text("at version 3", **LONG)
    expect(cards.first.locator(".closer-now")).to_have_count(0)
    cards.first.click()
    closer(page).get_by_role("button", name="Leave out").click()
    expect(cards.first.locator(".closer-now")).to_have_text("left out by now", **LONG)

    # And a training on it that goes on from the weights.
    again.get_by_role("link", name="Go on from these weights").click()
    number = train(page)
    with History(program.home / "anneal.db") as history:
        made = json.loads(history.run(number).recipe)
    assert (made["start"], made["data"]["settings"]["version"]) == (1, 4)
    assert made["model"]["settings"]["channels"] == [8, 16]


@pytest.mark.timeout(600)
def test_how_sure_it_is_what_a_threshold_costs_and_which_labels_look_wrong(
    program: Program, open_page: Opens
) -> None:
    page = open_page(f"{program.url}run?id=1&look=sure", width=390)
    own = closer(page)
    expect(own.get_by_text("On 180 test items it is")).to_be_visible(**LONG)
    table = own.get_by_role("table").first
    expect(table.get_by_role("row")).to_have_count(3)
    own.get_by_role("button", name=re.compile("Use temperature")).click()
    expect(own.get_by_text("In use: Predict divides")).to_be_visible(**LONG)
    predict = open_page(f"{program.url}predict?run=1")
    predict.get_by_role("tab", name="From the data").click()
    predict.locator(".an-samples button").first.click(**LONG)
    expect(predict.get_by_text("over the temperature")).to_be_visible(**LONG)
    predict.close()
    own.get_by_role("button", name="Take it back").click()
    expect(own.get_by_role("button", name=re.compile("Use temperature"))).to_be_visible(**LONG)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    own.get_by_role("button", name="Thresholds").click()
    slider = own.get_by_role("slider")
    expect(slider).to_be_visible(**LONG)
    facts = own.locator(".closer-facts")

    def fact(name: str) -> int:
        cell = facts.locator("div", has=page.get_by_text(name, exact=True)).locator("dd")
        return int(cell.inner_text())

    own_items = fact("Found") + fact("Missed")
    slider.fill("0.9")
    missed = fact("Missed")
    assert fact("Found") + missed == own_items
    slider.fill("1")
    assert fact("Found") + fact("Missed") == own_items
    assert fact("Missed") >= missed
    own.get_by_role("button", name=re.compile("^Missed: ")).click()
    expect(own.get_by_text(re.compile(r"items are 0 and aren't said so"))).to_be_visible(**LONG)

    own.get_by_role("button", name="Wrong labels?").click()
    lead = own.get_by_text(re.compile(r"\d+ labels look wrong"))
    expect(lead).to_be_visible(**LONG)
    before = int(lead.inner_text().split()[0])
    cards = own.locator(".an-item")
    suggested = cards.first.locator(".closer-said b").inner_text()
    row = int(cards.first.get_attribute("data-row") or "")
    cards.nth(0).click()
    own.get_by_role("button", name="Accept suggestions").click()
    expect(own.get_by_text(f"{before - 1} labels look wrong")).to_be_visible(**LONG)
    cards.nth(0).click()
    own.get_by_role("button", name="Keep labels").click()
    expect(own.get_by_text(f"{before - 2} labels look wrong")).to_be_visible(**LONG)
    expect(own.get_by_text("1 you have kept.")).to_be_visible()
    with History(program.home / "anneal.db") as history:
        version = history.dataset(1).meta["version"]
    folder = program.home / "datasets" / "1" / "versions" / str(version)
    classes = json.loads((folder / "version.json").read_text())["classes"]
    assert classes[int(np.load(folder / "labels.npy")[row])] == suggested
