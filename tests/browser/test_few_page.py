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
from tests.browser.test_predict_page import stroke
from tests.browser.test_ways_pages import trained
from tests.test_data_commands import tone

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


def note(name: str, pitch: float) -> FilePayload:
    """A quarter of a second of it."""
    return {"name": f"{name}.wav", "mimeType": "audio/wav", "buffer": tone(pitch)}


def counts_of(program: Program, run: Run) -> dict[str, list[int]]:
    """How many items each class of a run's dataset has, by split."""
    assert run.dataset is not None
    with History(program.home / "anneal.db") as history:
        counts: dict[str, list[int]] = history.dataset(run.dataset).meta["counts"]
    return counts


def give(page: Page, program: Program, way: str, *names: str, item: str = "Pictures") -> None:
    """Turn to the page where examples of classes of these names are given in that way."""
    page.goto(f"{program.url}few")
    page.get_by_role("tab", name="From a few examples").click()
    page.get_by_role("button", name=item).first.click()
    page.get_by_role("button", name=way).click()
    for row, name in enumerate(names):
        page.get_by_label("Name of the class").nth(row).fill(name)


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
    page = open_page()
    give(page, program, "Upload", "night", "day")
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
    assert counts_of(program, run) == {"train": [2, 2], "validation": [0, 0], "test": [0, 0]}
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


def test_a_drawing_and_the_camera_give_examples(program: Program, open_page: Opens) -> None:
    page = open_page()
    give(page, program, "Drawings", "drawn", "seen")
    for end in (0.3, 0.8):
        stroke(page, (0.2, 0.2), (end, 0.7))
        page.get_by_role("button", name="Record for drawn").click()
    expect(page.locator(".an-thumbnails li")).to_have_count(2)
    # What was drawn stays beside what the camera takes.
    page.get_by_role("button", name="Camera").click()
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
    take = page.get_by_role("button", name="Record for seen")
    for count in (3, 4):
        take.click()
        expect(page.locator(".an-thumbnails li")).to_have_count(count)
    run = make(page, program)
    assert counts_of(program, run)["train"] == [2, 2]
    expect(page.locator("video")).to_have_count(0)
    page.get_by_role("tab", name="Draw").click()
    stroke(page, (0.2, 0.3), (0.6, 0.7))
    answer = page.locator(".an-answer")
    expect(answer).to_contain_text("drawn", timeout=PATIENCE)
    assert answer.inner_text().index("drawn") < answer.inner_text().index("seen")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_recordings_of_each_class_and_more_of_them_later(
    program: Program, open_page: Opens
) -> None:
    page = open_page()
    hears = trained(page, program, data="TelephoneKeys", model="SoundResNet", model__width=8,
                    method__max_steps=30)  # fmt: skip
    give(page, program, "Upload", "low", "high", item="Sounds")
    page.get_by_label("Files for low").set_input_files([note("a", 400), note("b", 420)])
    page.get_by_label("Files for high").set_input_files([note("c", 1500), note("d", 1550)])
    expect(page.locator(".an-thumbnails li")).to_have_count(4)
    run = make(page, program)
    assert Recipe.from_json(run.recipe).start == hears.id
    assert counts_of(program, run)["train"] == [2, 2]
    page.get_by_role("tab", name="Upload").click()
    page.locator(".an-way input[type=file]").set_input_files([note("new", 1520)])
    answer = page.locator(".an-answer")
    expect(answer).to_contain_text("high", timeout=PATIENCE)
    assert answer.inner_text().index("high") < answer.inner_text().index("low")
    # They are there again, and can be heard; the microphone adds one.
    page.goto(f"{program.url}few?clone={run.id}")
    expect(page.locator(".an-thumbnails li")).to_have_count(4)
    page.get_by_role("button", name="Play the clip").first.click()
    page.locator(".an-capture").get_by_role("button", name="Sounds").click()
    record = page.get_by_role("button", name="Record for low")
    expect(record).to_be_enabled()
    record.click()
    expect(page.locator(".an-thumbnails li")).to_have_count(5)
    assert counts_of(program, make(page, program))["train"] == [2, 3]  # of high and low
