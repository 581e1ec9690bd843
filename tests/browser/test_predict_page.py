"""The Predict page in a real browser, with answers that nobody computes."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from engine.catalog import BadInput
from gui.shell import Anneal, Served
from tests.browser.conftest import Opens
from tests.gui import fakes

pytestmark = pytest.mark.browser


@pytest.fixture
def run(anneal: Anneal) -> int:
    return fakes.add_run(anneal.history, name="Digits <b>net</b>")


@pytest.fixture
def page(site: Served, run: int, open_page: Opens) -> Page:
    opened = open_page(f"{site.url}predict?run={run}")
    opened.locator("canvas").wait_for()
    return opened


def given(anneal: Anneal) -> list[dict[str, str]]:
    """Every input that was asked about."""
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    return [payload["inputs"][0] for question, payload in anneal.answers.asked
            if question == "predict"]  # fmt: skip


def stroke(page: Page, *points: tuple[float, float]) -> None:
    """Draws through points given as shares of the canvas."""
    box = page.locator("canvas").bounding_box()
    assert box
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=6)
    page.mouse.up()


def picture(sent: dict[str, str]) -> Any:
    return Image.open(io.BytesIO(base64.b64decode(sent["png"]))).convert("L")


def test_a_drawing_is_white_on_black_and_is_answered(page: Page, anneal: Anneal, run: int) -> None:
    stroke(page, (0.25, 0.5), (0.75, 0.5))
    expect(page.get_by_test_id("prediction")).to_have_text("seven")
    expect(page.get_by_text("By the checkpoint of step 300, epoch 7.5")).to_be_visible()
    expect(page.get_by_text("<b>one</b>")).to_be_visible()
    drawn = picture(given(anneal)[-1])
    assert drawn.size == (280, 280)
    assert drawn.getpixel((140, 140)) == 255
    assert drawn.getpixel((140, 40)) == 0


def test_undo_takes_one_stroke_back_and_clear_all(page: Page, anneal: Anneal) -> None:
    stroke(page, (0.2, 0.2), (0.8, 0.2))
    stroke(page, (0.2, 0.8), (0.8, 0.8))
    fakes.until(lambda: bool(given(anneal)))
    page.wait_for_timeout(300)
    page.get_by_role("button", name="Undo").click()
    page.wait_for_timeout(400)
    drawn = picture(given(anneal)[-1])
    assert (drawn.getpixel((140, 56)), drawn.getpixel((140, 224))) == (255, 0)
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("This is the answer to an earlier input.")).to_be_visible()
    expect(page.locator(".an-answer")).to_have_class("an-answer stale")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_picture_is_uploaded_no_larger_than_it_need_be(
    page: Page, anneal: Anneal, tmp_path: Path
) -> None:
    file = tmp_path / "photo.jpg"
    Image.new("RGB", (2000, 1000), "white").save(file)
    page.get_by_role("tab", name="Upload").click()
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_test_id("prediction")).to_have_text("seven")
    assert picture(given(anneal)[-1]).size == (512, 256)


def test_what_is_not_a_picture_is_a_sentence(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "notes.png"
    file.write_text("not a picture")
    page.get_by_role("tab", name="Upload").click()
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("The browser can't read notes.png as a picture")).to_be_visible()


def test_the_camera_takes_a_square(page: Page, anneal: Anneal) -> None:
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    expect(page.get_by_test_id("prediction")).to_have_text("seven")
    width, height = picture(given(anneal)[-1]).size
    assert width == height


def test_one_of_the_datas_own_can_be_tried_with_the_keyboard(page: Page, anneal: Anneal) -> None:
    page.get_by_role("tab", name="Draw").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="From the data")).to_be_focused()
    page.get_by_role("button", name="dog").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("prediction")).to_have_text("seven")
    assert given(anneal)[-1] == {"png": fakes.PIXEL}


def test_a_failure_is_a_sentence(page: Page, anneal: Anneal) -> None:
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    anneal.answers.failure = BadInput("This run has no checkpoint yet")
    stroke(page, (0.2, 0.2), (0.8, 0.2))
    expect(page.get_by_text("This run has no checkpoint yet")).to_be_visible()


def test_a_sequence_is_pasted_or_uploaded(
    site: Served, anneal: Anneal, open_page: Opens, tmp_path: Path
) -> None:
    run = fakes.add_run(anneal.history, data="Rows")
    page = open_page(f"{site.url}predict?run={run}")
    page.get_by_label("Sequence", exact=True).fill("1, 2\n3, 4")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_test_id("prediction")).to_have_text("seven")
    assert given(anneal)[-1] == {"text": "1, 2\n3, 4"}
    file = tmp_path / "walk.csv"
    file.write_text("5,6\n")
    page.get_by_role("tab", name="Upload").click()
    page.locator("input[type=file]").set_input_files(file)
    fakes.until(lambda: given(anneal)[-1] == {"text": "5,6\n"})


def test_an_autoencoder_shows_three_pictures_side_by_side(
    site: Served, anneal: Anneal, open_page: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fakes.add_run(anneal.history, task="Reconstruction")
    result = {"input": fakes.PIXEL, "reconstruction": fakes.PIXEL, "error": 0.01834}
    answer = {"checkpoint": {"step": 1, "epoch": 0.1}, "results": [result]}
    monkeypatch.setattr(anneal.answers, "predict", lambda **_: answer, raising=False)
    page = open_page(f"{site.url}predict?run={run}")
    page.locator("canvas").wait_for()
    stroke(page, (0.2, 0.2), (0.8, 0.2))
    expect(page.get_by_text("Mean squared error: 0.01834")).to_be_visible()
    for name in ("Input", "Reconstruction", "Difference"):
        expect(page.locator(".an-answer").get_by_role("img", name=name)).to_be_visible()


def test_a_better_checkpoint_is_announced(site: Served, anneal: Anneal, open_page: Opens) -> None:
    run = fakes.add_run(anneal.history, ended=False)
    page = open_page(f"{site.url}predict?run={run}")
    page.locator("canvas").wait_for()
    stroke(page, (0.2, 0.2), (0.8, 0.2))
    expect(page.get_by_test_id("prediction")).to_have_text("seven")
    anneal.history.record(run, saved=(400, 400))
    page.get_by_role("button", name="Predict again").click()
    fakes.until(lambda: len(given(anneal)) == 2)


def test_without_a_checkpoint_the_page_says_what_to_do(site: Served, open_page: Opens) -> None:
    page = open_page(f"{site.url}predict")
    expect(page.get_by_text("No run has a checkpoint yet")).to_be_visible()
    page.get_by_role("link", name="Train a model").click()
    page.wait_for_url(site.url)


def test_a_run_that_cannot_be_asked_is_replaced_and_said_so(
    site: Served, run: int, open_page: Opens
) -> None:
    page = open_page(f"{site.url}predict?run=99")
    expect(page.get_by_text("Run 99 has no checkpoint")).to_be_visible()
    expect(page.get_by_label("Run", exact=True)).to_have_value(str(run))
