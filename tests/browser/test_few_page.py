"""A model from names, and one from a few examples, with the real program behind the page."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from engine.recipe import Recipe
from storage.history import History
from storage.values import Run
from tests.browser.conftest import Opens
from tests.browser.test_click_to_curve import PATIENCE, Program

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    running = Program(tmp_path_factory.mktemp("home"))
    running.start()
    yield running
    running.stop()


def make(page: Page, program: Program) -> Run:
    """Click; the run, once the page has turned to trying it."""
    button = page.get_by_role("button", name="Make it")
    expect(button).to_be_enabled(timeout=PATIENCE)
    button.click()
    page.wait_for_url("**/predict?run=*", timeout=PATIENCE)
    with History(program.home / "anneal.db") as history:
        return history.run(int(page.url.partition("run=")[2]))


def picture(name: str, dark: bool, seed: int) -> FilePayload:
    """A noisy picture, dark above and bright below, or bright all over."""
    noise = np.random.default_rng(seed).integers(0, 40, (64, 64, 3))
    pixels = noise + np.where((np.arange(64) < 32) & dark, 20, 200)[:, None, None]
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return {"name": f"{name}.png", "mimeType": "image/png", "buffer": out.getvalue()}


def test_three_typed_names_tell_texts_apart(program: Program, open_page: Opens) -> None:
    page = open_page(f"{program.url}few")
    names = page.get_by_label("Name of the class")
    for row, name in enumerate(["sports", "cooking", "sports"]):
        names.nth(row).fill(name)
    wrong = page.locator(".an-few-classes").get_by_text("“sports” is named once more")
    expect(wrong).to_be_visible()
    names.nth(2).fill("politics")
    expect(wrong).to_be_hidden()
    run = make(page, program)
    assert (run.method, run.state, run.step) == ("ZeroShot", "finished", 0)
    expect(page.get_by_role("tab", name="From the data")).to_have_count(0)
    page.get_by_label("Text", exact=True).fill("Simmer the onions in butter.")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator(".an-answer")).to_contain_text("cooking", timeout=PATIENCE)
    page.goto(f"{program.url}run?id={run.id}")
    expect(page.get_by_role("heading", name="Made at once")).to_be_visible()
    expect(page.get_by_role("heading", name="Loss")).to_be_hidden()
    page.get_by_role("link", name="Change the names").click()
    expect(names.nth(2)).to_have_value("politics")


def test_two_pictures_of_each_class_tell_others_apart(program: Program, open_page: Opens) -> None:
    page = open_page(f"{program.url}few")
    page.get_by_role("tab", name="From a few examples").click()
    page.get_by_role("button", name="Upload").click()
    for row, name in enumerate(["night", "day"]):
        page.get_by_label("Name of the class").nth(row).fill(name)
    page.get_by_label("Files for night").set_input_files(
        [picture("a", True, 1), picture("b", True, 2)]
    )
    expect(page.get_by_text("day has no example yet.").first).to_be_visible()
    expect(page.get_by_role("button", name="Make it")).to_be_disabled()
    page.get_by_label("Files for day").set_input_files(
        [picture("c", False, 3), picture("d", False, 4)]
    )
    expect(page.locator(".an-thumbnails li")).to_have_count(4)
    run = make(page, program)
    assert (run.name, run.state) == ("night, day, by example", "finished")
    with History(program.home / "anneal.db") as history:
        assert run.dataset is not None
        counts = history.dataset(run.dataset).meta["counts"]
    assert counts == {"train": [2, 2], "validation": [0, 0], "test": [0, 0]}
    assert Recipe.from_json(run.recipe).start == "published"
    page.get_by_role("tab", name="Upload").click()
    page.locator(".an-way input[type=file]").set_input_files([picture("new", True, 5)])
    expect(page.locator(".an-answer")).to_contain_text("night", timeout=PATIENCE)
    assert page.locator(".an-answer").inner_text().index("night") < page.locator(
        ".an-answer"
    ).inner_text().index("day")
    # Its examples are there again, to be joined by others.
    page.goto(f"{program.url}few?clone={run.id}")
    expect(page.locator(".an-thumbnails li")).to_have_count(4)
    page.get_by_label("Files for day").set_input_files([picture("e", False, 6)])
    expect(page.locator(".an-thumbnails li")).to_have_count(5)
    more = make(page, program)
    assert more.dataset not in (None, run.dataset)
