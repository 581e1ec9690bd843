"""More to learn from, and a batch that suits, with the real program: pictures that a model has
drawn become a dataset's, marked as such; a size is measured and taken over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from playwright.sync_api import expect
from sklearn.datasets import load_digits

from engine.home import Home
from storage.history import History
from tests.browser.conftest import Opens
from tests.browser.test_click_to_curve import PATIENCE, Program
from tests.browser.test_mistakes_page import LONG, carried_out

pytestmark = pytest.mark.alone

DIGITS, DRAWN = 200, 24


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, with digits, a run that has begun to draw them, and one that names them."""
    folder = tmp_path_factory.mktemp("more")
    digits = load_digits()
    np.savez(folder / "digits.npz", images=(digits.images[:DIGITS] * 15.9375).astype(np.uint8),
             labels=digits.target[:DIGITS])  # fmt: skip
    home = folder / "home"
    quick = ("--data", "1", "--set", "method.max_steps=20", "--set", "method.threads=1")
    carried_out(home, "data", "add", str(folder / "digits.npz"), "--name", "Digits of mine")
    carried_out(home, "train", "--task", "VariationalInference", "--model",
                "VariationalAutoencoder", *quick, "--name", "draws")  # fmt: skip
    carried_out(home, "train", "--model", "ConvNet", "--set", "model.channels=8", "--set",
                "model.hidden=16", *quick, "--name", "names")  # fmt: skip
    running = Program(home)
    running.start()
    yield running
    running.stop()


@pytest.mark.timeout(600)
def test_pictures_that_a_model_draws_are_added_and_marked(
    program: Program, open_page: Opens
) -> None:
    page = open_page()
    page.goto(f"{program.url}datasets?data=ImportedImages:1")
    page.get_by_text("Add pictures that a model has drawn").click(**LONG)
    form = page.locator(".an-extend")
    expect(form.get_by_label("Drawn by")).to_have_value("1", **LONG)
    expect(form.get_by_label("Labelled by")).to_have_value("2")
    form.get_by_label("How many").fill(str(DRAWN))
    form.get_by_label("At least so sure").fill("0.1")
    form.get_by_role("button", name="Make it").click()
    made = page.get_by_role("button", name=re.compile(r"Digits of mine \+ drawn"))
    made.click(**LONG)
    expect(page.locator(".an-shown h2")).to_have_text("Digits of mine + drawn", **LONG)

    with History(program.home / "anneal.db") as history:
        [row] = [row for row in history.datasets() if row.id != 1]
    kept = np.load(next(Home.find(program.home).dataset(row.id).rglob("synthetic.npy")))
    assert kept.sum() == DRAWN
    assert len(kept) == DIGITS + DRAWN
    # They follow the others in the training split, and each says what it is.
    page.get_by_role("group", name="Split").get_by_role("button", name="Training").click()
    after = page.get_by_role("button", name="Later items")
    while after.is_enabled():
        shown = page.locator(".an-item").first.get_attribute("data-row")
        after.click()
        expect(page.locator(".an-item").first).not_to_have_attribute("data-row", shown or "")
    expect(page.locator(".an-item .an-made").first).to_have_text("synthetic")


@pytest.mark.timeout(600)
def test_a_batch_size_is_measured_and_taken_over(program: Program, open_page: Opens) -> None:
    page = open_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{program.url}?clone=2")
    page.locator("#train:enabled").wait_for()
    page.get_by_role("button", name="Find a batch size").click()
    dialog = page.get_by_role("dialog", name="Find a batch size")
    take = dialog.get_by_role("button", name=re.compile("^Use "))
    expect(take).to_be_visible(**LONG)
    sizes = [int(size.replace(",", "")) for size in dialog.locator("tbody th").all_inner_texts()]
    assert len(sizes) >= 2
    assert all(after == 2 * before for before, after in pairwise(sizes))
    best = int(take.inner_text().removeprefix("Use ").replace(",", ""))
    assert best in sizes
    expect(dialog.locator("tr[aria-current=true] th")).to_have_text(f"{best:,}")
    take.click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("spinbutton", name="Batch size")).to_have_value(str(best))
