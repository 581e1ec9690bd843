"""The Predict page in a real browser, with answers that nobody computes."""

from __future__ import annotations

import base64
import csv
import io
import re
import wave
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from engine.catalog import BadInput
from gui.shell import Anneal, Served
from tests.browser.conftest import Opens
from tests.gui import fakes


@pytest.fixture
def run(anneal: Anneal) -> int:
    return fakes.add_run(anneal.history, name="Digits <b>net</b>")


@pytest.fixture
def page(site: Served, run: int, open_page: Opens) -> Page:
    opened = open_page(f"{site.url}predict?run={run}")
    opened.locator("canvas").wait_for()
    return opened


@pytest.fixture
def answers(anneal: Anneal) -> fakes.FakeAnswers:
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    return anneal.answers


def questions(anneal: Anneal, question: str = "predict") -> list[dict[str, Any]]:
    """Everything that was asked for so."""
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    return [payload for name, payload in anneal.answers.asked if name == question]


def given(anneal: Anneal) -> list[dict[str, str]]:
    """Every input that was asked about."""
    return [payload["inputs"][0] for payload in questions(anneal)]


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
    def lit(sent: dict[str, str]) -> tuple[Any, Any]:
        drawn = picture(sent)
        return drawn.getpixel((140, 56)), drawn.getpixel((140, 224))

    stroke(page, (0.2, 0.2), (0.8, 0.2))
    stroke(page, (0.2, 0.8), (0.8, 0.8))
    fakes.until(lambda: bool(given(anneal)) and lit(given(anneal)[-1]) == (255, 255))
    page.get_by_role("button", name="Undo").click()
    fakes.until(lambda: lit(given(anneal)[-1]) == (255, 0))
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
    for _ in range(4):
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
    whole = base64.b64encode(b"5,6\n").decode()
    fakes.until(lambda: given(anneal)[-1] == {"file": whole})


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
    page = open_page(f"{site.url}predict?run=99999")
    expect(page.get_by_text("Run 99999 has no checkpoint")).to_be_visible()
    expect(page.get_by_label("Run", exact=True)).to_have_value(str(run))


# --- texts ----------------------------------------------------------------------------------


@pytest.fixture
def translator(site: Served, anneal: Anneal, open_page: Opens) -> Page:
    run = fakes.add_run(anneal.history, task="Translation", data="Sentences")
    return open_page(f"{site.url}predict?run={run}")


@pytest.fixture
def writer(site: Served, anneal: Anneal, open_page: Opens) -> Page:
    run = fakes.add_run(anneal.history, task="Writing", data="Reviews")
    return open_page(f"{site.url}predict?run={run}")


def write(page: Page, words: str) -> None:
    page.get_by_label("Text", exact=True).fill(words)
    page.keyboard.press("Control+Enter")


def test_a_text_is_asked_about_with_the_keyboard(translator: Page, anneal: Anneal) -> None:
    write(translator, "Ein <b>Satz</b>")
    expect(translator.get_by_test_id("prediction")).to_have_text("seven")
    assert given(anneal) == [{"text": "Ein <b>Satz</b>"}]
    translator.get_by_label("Text", exact=True).press("End")
    translator.keyboard.type("!")
    expect(translator.get_by_text("This is the answer to an earlier input.")).to_be_visible()
    translator.get_by_role("button", name="Predict", exact=True).click()
    fakes.until(lambda: given(anneal)[-1] == {"text": "Ein <b>Satz</b>!"})


def test_a_setting_of_the_trial_asks_again_and_stays_with_its_run(
    translator: Page, site: Served, anneal: Anneal, answers: fakes.FakeAnswers
) -> None:
    write(translator, "Satz")
    translator.get_by_test_id("prediction").wait_for()
    translator.get_by_role("spinbutton", name="Beam width").fill("4")
    fakes.until(lambda: questions(anneal)[-1]["options"] == {"beam": 4})
    other = fakes.add_run(anneal.history, task="Translation", data="Sentences")
    choose = translator.get_by_label("Run", exact=True)
    expect(choose.locator("option")).to_have_count(2)
    choose.select_option(str(other))
    fakes.until(lambda: questions(anneal)[-1]["options"] == {})
    expect(translator.get_by_role("spinbutton", name="Beam width")).to_have_value("1")
    choose.select_option(index=1)
    fakes.until(lambda: questions(anneal)[-1]["options"] == {"beam": 4})
    expect(translator.get_by_role("spinbutton", name="Beam width")).to_have_value("4")


def test_a_wrong_setting_is_a_sentence(translator: Page, answers: fakes.FakeAnswers) -> None:
    answers.failure = BadInput("Beam width is 99: it must be a whole number in 1–10")
    translator.get_by_role("spinbutton", name="Beam width").fill("99")
    write(translator, "Satz")
    expect(translator.get_by_text("Beam width is 99")).to_be_visible()


def test_a_text_grows_as_it_is_written(
    writer: Page, anneal: Anneal, answers: fakes.FakeAnswers
) -> None:
    answers.held.clear()
    write(writer, "Tell: ")
    written = writer.get_by_test_id("written")
    expect(written).to_have_text("Tell: Once upon a <b>time</b>")
    expect(writer.get_by_text("Writing …")).to_be_visible()
    answers.held.set()
    expect(writer.get_by_text("By the checkpoint of step 300, epoch 7.5")).to_be_visible()
    expect(written).to_have_text("Tell: Once upon a <b>time</b>")
    writer.get_by_role("button", name="Copy").click()
    expect(writer.get_by_role("button", name="Copied")).to_be_visible()
    assert writer.evaluate("navigator.clipboard.readText()") == "Tell: Once upon a <b>time</b>"
    writer.get_by_role("button", name="Write another").click()
    fakes.until(lambda: len(questions(anneal, "stream")) == 2)
    assert questions(anneal, "stream")[0]["given"] == {"text": "Tell: "}


def test_writing_can_be_stopped_and_begun_anew(
    writer: Page, anneal: Anneal, answers: fakes.FakeAnswers
) -> None:
    answers.held.clear()
    write(writer, "Tell:")
    written = writer.get_by_test_id("written")
    expect(written).to_have_text("Tell:Once upon a <b>time</b>")
    writer.get_by_role("button", name="Stop").click()
    expect(writer.get_by_text("Stopped.")).to_be_visible()
    expect(written).to_have_text("Tell:Once upon a <b>time</b>")
    fakes.until(lambda: answers.futures[-1].cancelled())
    answers.held.set()
    writer.get_by_role("button", name="Write another").click()
    expect(writer.get_by_text("By the checkpoint of step 300")).to_be_visible()


def test_a_stream_that_breaks_is_a_sentence(writer: Page, answers: fakes.FakeAnswers) -> None:
    answers.failure = RuntimeError("The predictor ended while it worked on this")
    write(writer, "Tell")
    expect(writer.get_by_text("The predictor ended while it worked on this")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "content", "expected", "said"),
    [
        ("a.txt", "Eins\r\n\n Zwei \n", ["Eins", "Zwei"], "2 texts from a.txt"),
        ("a.csv", 'id,review,stars\n1,"good, ""very"" <b>",5\n2,"bad\nfilm",1\n',
         ['good, "very" <b>', "bad\nfilm"], "2 texts from the column “review” of a.csv"),
        ("a.csv", "label,sentence\nmail,Ein Satz.\nweb,Noch einer.\n", ["Ein Satz.", "Noch einer."],
         "2 texts from the column “sentence” of a.csv"),
    ],
)  # fmt: skip
def test_a_batch_file_is_answered_as_a_table(
    translator: Page, anneal: Anneal, tmp_path: Path, name: str, content: str,
    expected: list[str], said: str,
) -> None:  # fmt: skip
    file = tmp_path / name
    file.write_text(content)
    translator.get_by_role("tab", name="Batch").click()
    translator.locator("input[type=file]").set_input_files(file)
    expect(translator.get_by_text(said)).to_be_visible()
    expect(translator.get_by_text("2 answered by the checkpoint of step 300")).to_be_visible()
    rows = translator.locator(".an-answer tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("seven")
    assert [one["text"] for q in questions(anneal) for one in q["inputs"]] == expected


def test_the_column_and_the_first_line_of_a_batch_can_be_chosen(
    translator: Page, anneal: Anneal, tmp_path: Path
) -> None:
    file = tmp_path / "评论.csv"
    file.write_text("电影太无聊了,差\n很好看,好\n", "gb18030")
    translator.get_by_role("tab", name="Batch").click()
    translator.locator("input[type=file]").set_input_files(file)
    expect(translator.get_by_text("1 texts from the column “电影太无聊了”")).to_be_visible()
    translator.get_by_label("The first line names the columns").uncheck()
    expect(translator.get_by_text("2 texts from 评论.csv")).to_be_visible()
    expect(translator.get_by_text("2 answered by the checkpoint of step 300")).to_be_visible()
    translator.get_by_label("Texts from the column").select_option("column 2")
    fakes.until(lambda: questions(anneal)[-1]["inputs"] == [{"text": "差"}, {"text": "好"}])


def test_what_was_typed_outlives_a_reload(translator: Page) -> None:
    translator.get_by_role("tab", name="Type").click()
    translator.get_by_label("Text", exact=True).press_sequentially("Guten Morgen")
    translator.reload()
    expect(translator.get_by_label("Text", exact=True)).to_have_value("Guten Morgen")


def test_a_batchs_answers_are_saved_as_csv(
    translator: Page, answers: fakes.FakeAnswers, tmp_path: Path
) -> None:
    answers.result = {"written": 'He said "yes", twice', "note": ""}
    file = tmp_path / "many.txt"
    file.write_text("\n".join(f"Satz {n}" for n in range(45)))
    translator.get_by_role("tab", name="Batch").click()
    translator.locator("input[type=file]").set_input_files(file)
    expect(translator.get_by_text("45 answered by")).to_be_visible()
    assert [len(q["inputs"]) for n, q in answers.asked if n == "predict"] == [20, 20, 5]
    with translator.expect_download() as coming:
        translator.get_by_role("button", name="Download as CSV").click()
    with Path(coming.value.path()).open(newline="") as saved:
        rows = list(csv.reader(saved))
    assert rows[0] == ["Text", "Answer"]
    assert rows[45] == ["Satz 44", 'He said "yes", twice']


def test_a_text_of_a_batch_that_cannot_be_answered_says_so_in_its_row(
    translator: Page, answers: fakes.FakeAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = answers.predict

    def picky(run: int, inputs: list[dict[str, str]], options: dict[str, Any]) -> dict[str, Any]:
        if any(one["text"] == "bad" for one in inputs):
            raise BadInput("That is no sentence")
        return usual(run, inputs, options)

    monkeypatch.setattr(answers, "predict", picky)
    file = tmp_path / "two.txt"
    file.write_text("good\nbad")
    translator.get_by_role("tab", name="Batch").click()
    translator.locator("input[type=file]").set_input_files(file)
    rows = translator.locator(".an-answer tbody tr")
    expect(rows.nth(0)).to_contain_text("seven")
    expect(rows.nth(1)).to_contain_text("That is no sentence")


# --- sounds and the data's own --------------------------------------------------------------


@pytest.fixture
def listener(
    site: Served, anneal: Anneal, answers: fakes.FakeAnswers, open_page: Opens
) -> Page:  # fmt: skip
    answers.result = {"heard": "three <b>one</b>", "spectrogram": fakes.PIXEL, "seconds": 1.25}
    run = fakes.add_run(anneal.history, task="Transcription", data="Words")
    return open_page(f"{site.url}predict?run={run}")


def test_what_the_microphone_hears_is_sent_as_a_wav(listener: Page, anneal: Anneal) -> None:
    listener.get_by_role("button", name="Record").click()
    expect(listener.get_by_text("Recording: ")).to_be_visible()
    listener.wait_for_timeout(400)
    listener.get_by_role("button", name="Stop").click()
    expect(listener.get_by_test_id("written")).to_have_text("three <b>one</b>")
    expect(listener.get_by_role("img", name="Frequencies over time")).to_be_visible()
    expect(listener.get_by_text("What the model saw · 1.3 s")).to_be_visible()
    with wave.open(io.BytesIO(base64.b64decode(given(anneal)[-1]["sound"]))) as heard:
        assert (heard.getnchannels(), heard.getsampwidth()) == (1, 2)
        assert heard.getnframes() > 0.2 * heard.getframerate()
    listener.get_by_role("button", name="Play the clip").click()


def test_a_sound_file_is_uploaded_as_it_is(
    listener: Page, anneal: Anneal, tmp_path: Path
) -> None:  # fmt: skip
    file = tmp_path / "word.flac"
    file.write_bytes(bytes(range(256)) * 200)
    listener.get_by_role("tab", name="Upload").click()
    listener.locator("input[type=file]").set_input_files(file)
    expect(listener.get_by_test_id("written")).to_have_text("three <b>one</b>")
    assert base64.b64decode(given(anneal)[-1]["sound"]) == file.read_bytes()


def folder_of(page: Page, folder: Path) -> None:
    """Chooses all that lies in a folder."""
    page.get_by_role("tab", name="Batch").click()
    page.locator("input[webkitdirectory]").set_input_files(folder)


def test_a_folder_of_pictures_is_answered_as_a_table(
    page: Page, anneal: Anneal, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    for number in range(21):
        Image.new("L", (30, 20), 10 * number).save(folder / f"{number}.png")
    Image.new("RGB", (2000, 1000)).save(folder / "inner" / "large.jpg")
    (folder / "0 notes.txt").write_text("no picture")
    (folder / ".DS_Store").write_text("litter")
    folder_of(page, folder)
    expect(page.get_by_text("23 files", exact=True)).to_be_visible()
    expect(page.get_by_text("22 answered by the checkpoint of step 300")).to_be_visible()
    expect(page.get_by_text("1 could not be answered; their lines say why.")).to_be_visible()
    rows = page.locator(".an-answer tbody tr")
    expect(rows).to_have_count(23)
    expect(rows.nth(3)).to_contain_text("pictures/2.png")
    expect(rows.nth(3)).to_contain_text("seven")
    expect(rows.nth(0)).to_contain_text("can't read 0 notes.txt as a picture")
    assert [len(q["inputs"]) for q in questions(anneal)] == [20, 2]
    assert page.locator(".an-answer th").all_inner_texts()[-1] == "Problem"
    sent = [picture(one) for q in questions(anneal) for one in q["inputs"]]
    assert [one.getpixel((0, 0)) for one in sent[:21]] == [10 * number for number in range(21)]
    assert sent[21].size == (512, 256)
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download as CSV").click()
    with Path(coming.value.path()).open(newline="") as saved:
        lines = list(csv.reader(saved))
    assert lines[0] == ["File", "Class", "Probability", "Problem"]
    assert lines[12][:2] == ["pictures/10.png", "seven"]
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_text("轮的检查点回答 22 项")).to_be_visible()
    expect(page.get_by_text("1 项无法回答，原因见其所在行。")).to_be_visible()


def test_files_of_which_none_is_a_picture_say_so_each(page: Page, tmp_path: Path) -> None:
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file in files:
        file.write_text("no picture")
    page.get_by_role("tab", name="Batch").click()
    page.locator("input[type=file][multiple]").set_input_files(files)
    expect(page.get_by_text("None of these files could be read.")).to_be_visible()
    expect(page.locator(".an-answer tbody tr.bad")).to_have_count(2)


def test_several_recordings_are_answered_few_at_a_time(
    listener: Page, anneal: Anneal, tmp_path: Path
) -> None:
    files = [tmp_path / f"{name}.wav" for name in "abc"]
    for file in files:
        file.write_bytes(file.name.encode() + bytes(5_000_000))
    listener.get_by_role("tab", name="Batch").click()
    listener.locator("input[type=file][multiple]").set_input_files(files)
    expect(listener.get_by_text("3 answered by the checkpoint of step 300")).to_be_visible()
    expect(listener.locator(".an-answer tbody tr").nth(1)).to_contain_text("b.wav")
    expect(listener.locator(".an-answer tbody tr").nth(1)).to_contain_text("three <b>one</b>")
    # Together they are longer than what is sent at once.
    assert [len(q["inputs"]) for q in questions(anneal)] == [2, 1]


@pytest.mark.parametrize(
    ("task", "data", "kind", "expected"),
    [
        ("Writing", "Reviews", "text", {"text": "<i>Text</i> 0, whole"}),
        ("Translation", "Sentences", "pairs", {"text": "Satz 0, whole"}),
        ("Forecasting", "Rows", "sequences", {"text": "0,1\n1,0.5\n2,0.2"}),
    ],
)
def test_an_item_of_the_data_is_tried_whole(
    site: Served, anneal: Anneal, answers: fakes.FakeAnswers, open_page: Opens, task: str,
    data: str, kind: str, expected: dict[str, str],
) -> None:  # fmt: skip
    answers.kind = kind
    run = fakes.add_run(anneal.history, task=task, data=data)
    page = open_page(f"{site.url}predict?run={run}")
    page.get_by_role("tab", name="From the data").click()
    one = page.locator(".an-samples button").first
    one.click()
    expect(one).to_have_attribute("aria-pressed", "true")
    fakes.until(lambda: any(q.get("given", q.get("inputs", [None])[0]) == expected
                            for n, q in answers.asked if n in ("predict", "stream")))  # fmt: skip


# --- by shape -------------------------------------------------------------------------------

ATTENTION = {"source": ["Ein", "Hund", "<b>"], "target": ["A", "dog"],
             "weights": [[0.7, 0.2, 0.1], [0.1, 0.9, 0.0]]}  # fmt: skip


def test_a_translation_shows_its_candidates_and_where_it_looked(
    translator: Page, answers: fakes.FakeAnswers
) -> None:
    answers.result = {
        "written": "A <i>dog</i>", "attention": ATTENTION,
        "candidates": [{"text": "A <i>dog</i>", "score": -0.25}, {"text": "One dog", "score": -1}],
        "tokens": ["Ein", " Hund"], "text": "Ein Hund",
    }  # fmt: skip
    write(translator, "Ein Hund")
    expect(translator.get_by_test_id("written")).to_have_text("A <i>dog</i>")
    expect(translator.locator(".an-candidates li")).to_have_text(["A <i>dog</i>-0.25", "One dog-1"])
    table = translator.get_by_role("table", name="Attention")
    expect(table.get_by_role("columnheader")).to_have_text(["Ein", "Hund", "<b>"])
    expect(table.get_by_role("rowheader")).to_have_text(["A", "dog"])
    expect(table.get_by_title("dog ← Hund: 90.0 %")).to_be_visible()
    translator.get_by_text("The 2 tokens that the model read").click()
    expect(translator.locator(".an-tokens code")).to_have_text(["Ein", "␣Hund"])


def test_a_wide_attention_map_scrolls_in_its_own_box(
    site: Served, anneal: Anneal, answers: fakes.FakeAnswers, open_page: Opens
) -> None:
    words = [f"word{n}" for n in range(60)]
    answers.result = {"written": "x", "attention": {
        "source": words, "target": words, "weights": [[0.5] * 60] * 60}}  # fmt: skip
    run = fakes.add_run(anneal.history, task="Translation", data="Sentences")
    page = open_page(f"{site.url}predict?run={run}", width=390)
    write(page, "Ein Hund")
    page.get_by_role("table", name="Attention").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_blanks_are_filled_with_a_choice_of_tokens_each(
    translator: Page, answers: fakes.FakeAnswers
) -> None:
    choices = [{"token": " rises", "probability": 0.75}, {"token": "<b>", "probability": 0.2}]
    answers.result = {"filled": "The sun rises", "blanks": [{"place": 2, "choices": choices}]}
    write(translator, "The sun ___")
    expect(translator.get_by_test_id("written")).to_have_text("The sun rises")
    expect(translator.get_by_role("heading", name="Blank 1")).to_be_visible()
    expect(translator.locator(".an-bars dt")).to_have_text(["␣rises", "<b>"])
    expect(translator.locator(".an-bars .an-number")).to_have_text(["75.0 %", "20.0 %"])


def test_a_forecast_is_drawn_after_what_was_given_and_saved_as_csv(
    site: Served, anneal: Anneal, answers: fakes.FakeAnswers, open_page: Opens
) -> None:
    answers.result = {"context": [[0.0, 5.0], [1.0, 6.0]], "forecast": [[2.0, 7.5], [3.0, 8.0]],
                      "features": ["sun", "<b>load"]}  # fmt: skip
    run = fakes.add_run(anneal.history, task="Forecasting", data="Rows")
    page = open_page(f"{site.url}predict?run={run}")
    page.get_by_label("Sequence", exact=True).fill("0,5\n1,6")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator(".an-forecast figcaption")).to_have_text(["sun", "<b>load"])
    # A chart each: on one axis the smaller would be flat.
    for name, ticks in (("sun", ["0", "1", "2", "3"]), ("<b>load", ["5", "6", "7", "8"])):
        chart = page.get_by_role("img", name=re.compile(f"Forecast of 2 steps.*: {name}"))
        expect(chart.locator("path.line")).to_have_count(2)
        expect(chart.locator("path.line[stroke-dasharray]")).to_have_count(1)
        expect(chart.locator("text[text-anchor=end]")).to_have_text(ticks)
    page.get_by_text("Numbers", exact=True).click()
    expect(page.locator(".an-answer tbody tr")).to_have_text(["127.5", "238"])
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download as CSV").click()
    saved = Path(coming.value.path()).read_text()
    assert saved.splitlines() == ["Step,sun,<b>load", "1,2,7.5", "2,3,8"]


def test_an_answer_of_a_new_shape_is_shown_as_it_is(
    translator: Page, answers: fakes.FakeAnswers
) -> None:
    answers.result = {"score": 3, "why": "<b>so</b>"}
    write(translator, "x")
    expect(translator.locator(".an-json")).to_contain_text('"why": "<b>so</b>"')


# --- explanations ---------------------------------------------------------------------------

COLOUR = """() => [...document.querySelector('.an-overlay[data-ready]')
    .getContext('2d').getImageData(0, 0, 1, 1).data].slice(0, 3)"""


def test_an_answer_is_looked_into(page: Page, anneal: Anneal, run: int) -> None:
    stroke(page, (0.25, 0.5), (0.75, 0.5))
    expect(page.get_by_test_id("prediction")).to_have_text("seven")
    assert not questions(anneal, "explain")  # it costs nothing until it is wanted
    why = page.locator(".an-why")
    why.get_by_text("Look into this answer").click()
    expect(why.get_by_role("img", name="Importance over")).to_be_visible()
    expect(why.get_by_text("speaks for seven")).to_be_visible()
    expect(why.get_by_text("falls faster than in each of 8 random orders")).to_be_visible()
    expect(why.get_by_role("img", name="The answer as more and more")).to_be_visible()
    page.wait_for_function("() => document.querySelector('.an-overlay[data-ready]')")
    slider = why.get_by_label("Strength")
    slider.fill("1")
    assert page.evaluate(COLOUR) == [217, 95, 2]
    slider.fill("0")
    assert page.evaluate(COLOUR) == [0, 0, 0]
    why.get_by_label("Why", exact=True).select_option("<b>one</b> · 0.1")
    expect(why.get_by_text("speaks for <b>one</b>")).to_be_visible()
    why.get_by_label("rather than").select_option("seven · 0.9")
    fakes.until(lambda: questions(anneal, "explain")[-1]["against"] == 0)
    assert questions(anneal, "explain")[-1]["target"] == 1
    why.get_by_label("Explanation", exact=True).select_option("It looks like these")
    expect(why.get_by_text("Of 1,200 training items")).to_be_visible()
    expect(why.get_by_text("<i>dog</i> · cosine 0.987")).to_be_visible()
    # A new drawing is looked into in the same way.
    before = len(questions(anneal, "explain"))
    stroke(page, (0.2, 0.2), (0.2, 0.8))
    fakes.until(lambda: len(questions(anneal, "explain")) >= before + 2)
    assert questions(anneal, "explain")[-1]["how"] == "NearestItems"


def test_the_words_of_a_text_are_marked_also_without_colour(
    site: Served, anneal: Anneal, open_page: Opens
) -> None:
    number = fakes.add_run(anneal.history, task="Writing", data="Reviews")
    opened = open_page(f"{site.url}predict?run={number}", width=390, dark=True)
    write(opened, "good  bad the")
    opened.locator(".an-why > summary").click()
    words = opened.get_by_role("group", name="The text, its words")
    expect(words).to_contain_text("−bad")
    assert words.text_content() == "+<b>good</b>  −bad the"
    styles = """all => all.map((one) => getComputedStyle(one)).map((look) =>
        look.borderBottomWidth === "0px" ? "none" : look.borderBottomStyle)"""
    shown = words.locator(".an-word").evaluate_all(styles)
    assert shown == ["solid", "dotted", "none"]
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
