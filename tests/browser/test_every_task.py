"""Every task with the real program: trained by a click, followed live, and tried."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from engine.datasets.mackey_glass import MackeyGlass
from engine.datasets.telephone import TelephoneNumbers
from engine.home import Home
from storage.history import History
from storage.values import Run
from tests.browser.conftest import Opens
from tests.browser.test_click_to_curve import PATIENCE, Program, digit, points, train

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    running = Program(tmp_path_factory.mktemp("home"))
    running.start()
    yield running
    running.stop()


Try = Callable[[Page, Program, Path], None]


def by_typing(words: str, expected: str) -> Try:
    """Type a text; what the model makes of it matches the pattern."""

    def attempt(page: Page, program: Program, folder: Path) -> None:
        page.get_by_label("Text", exact=True).fill(words)
        page.get_by_role("button", name="Predict", exact=True).click()
        said = page.locator("[data-testid=prediction], [data-testid=written]").first
        expect(said).to_have_text(re.compile(expected, re.DOTALL), timeout=PATIENCE)

    return attempt


def by_picture(page: Page, program: Program, folder: Path) -> None:
    page.get_by_role("tab", name="Upload").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "3.png", "mimeType": "image/png", "buffer": digit("3")}
    )
    expect(page.get_by_test_id("prediction")).to_have_text("3", timeout=PATIENCE)


def to_be_told_of_prototypes(page: Page, program: Program, folder: Path) -> None:
    page.get_by_role("tab", name="Upload").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "3.png", "mimeType": "image/png", "buffer": digit("3")}
    )
    said = page.get_by_test_id("written")
    expect(said).to_contain_text("Prototypes of a few examples", timeout=PATIENCE)


def a_recording(program: Program, folder: Path) -> tuple[Path, str]:
    """A dialled number that no run has learned from, as a file, and what was dialled."""
    dataset = TelephoneNumbers()
    data = dataset.open(Home.find(program.home))
    row = int(data.splits["test"][0])
    items = data.items
    file = folder / "dialled.wav"
    soundfile.write(file, np.array(items.waves[row]), items.rate)  # type: ignore[attr-defined]
    return file, items.transcripts.text(row)  # type: ignore[attr-defined]


def by_recording(page: Page, program: Program, folder: Path) -> None:
    file, dialled = a_recording(program, folder)
    page.get_by_role("tab", name="Upload").click()
    page.locator("input[type=file]").set_input_files(file)
    heard = page.locator("[data-testid=prediction], [data-testid=written]").first
    expect(heard).to_have_text(dialled, timeout=PATIENCE)
    expect(page.get_by_role("img", name="Frequencies over time")).to_be_visible()


def by_microphone(page: Page, program: Program, folder: Path) -> None:
    """The browser's pretended microphone beeps; which key that is, nobody knows."""
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_text("Recording: ")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_test_id("prediction")).to_have_text(re.compile("."), timeout=PATIENCE)


def by_numbers(page: Page, program: Program, folder: Path) -> None:
    data = MackeyGlass().open(Home.find(program.home))
    steps = data.items[int(data.splits["test"][0])]  # type: ignore[index]
    page.get_by_label("Sequence", exact=True).fill("\n".join(f"{x:.5f}" for x in steps[:, 0]))
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_role("img", name=re.compile("Forecast of 12 steps"))).to_be_visible(
        timeout=PATIENCE
    )


def by_rows(page: Page, program: Program, folder: Path) -> None:
    page.get_by_label("Sequence", exact=True).fill("\n".join([", ".join(["0.5"] * 28)] * 28))
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_test_id("prediction")).to_have_text(re.compile("[0-9]"), timeout=PATIENCE)


@dataclass(frozen=True)
class Row:
    """A row of the tasks: what is chosen, what must be reached, what is seen, how it is tried."""

    task: str
    data: str
    model: str
    settings: dict[str, object]
    reach: tuple[str, float]
    """A measure of the test split, and the bound; negative where smaller is better."""
    seen: str
    """A heading among what the run shows."""
    attempt: Try
    signed: tuple[str, ...] = ()
    """Measures whose library is named with its signature."""
    live: tuple[str, ...] = field(default=("loss",))


ROWS = {
    "image recognition": Row(
        "Classification", "Mnist5000", "ResNet", {"method.epochs": 6},
        ("accuracy", 0.9), "Confusion", by_picture, live=("accuracy", "top5_accuracy", "macro_f1"),
    ),
    "text classification": Row(
        "Classification", "DocstringTopics", "TextCNN", {"method.epochs": 3},
        ("accuracy", 0.4), "Predictions",
        by_typing("Send a request to the server and return the response of the socket.", "."),
        live=("accuracy", "macro_f1"),
    ),
    "few-shot learning": Row(
        "PrototypicalNetwork", "Glyphs", "EmbeddingConvNet",
        {"method.epochs": 2, "task.episodes": 25}, ("5_way_5_shot", 0.6), "Episode",
        to_be_told_of_prototypes, live=("accuracy", "interval"), signed=("accuracy",),
    ),
    "language modelling": Row(
        "LanguageModelling", "DocstringTopics", "TransformerDecoder",
        {"method.max_steps": 150, "method.check_every": 50, "task.block": 64},
        ("perplexity", -20), "Text", by_typing("Return the ", r"Return the \S"),
        live=("perplexity", "bits_per_byte"),
    ),
    "masked language modelling": Row(
        "MaskedLanguageModelling", "DocstringTopics", "TransformerEncoder",
        {"method.max_steps": 40, "model.width": 64, "model.layers": 2},
        ("masked_accuracy", 0.01), "Fill-ins",
        by_typing("Return the ___ of the list.", r"Return"), live=("masked_accuracy",),
    ),
    "translation": Row(
        "Translation", "NumberWords", "AttentionGRU", {"method.epochs": 2},
        ("bleu", 20), "Translations", by_typing("1984", "thousand"),
        signed=("bleu", "chrf"), live=("bleu", "chrf", "perplexity"),
    ),
    "summarization": Row(
        "Summarization", "DocstringSummaries", "TransformerTranslator",
        {"method.max_steps": 20, "model.width": 64, "model.layers": 1, "task.judged": 20,
         "task.beam": 1},
        ("perplexity", -2000), "Summaries",
        by_typing("The file is closed when the block ends. It may be opened again later.", "."),
        signed=("rouge_1", "rouge_2", "rouge_l"), live=("rouge_l",),
    ),
    "speech recognition": Row(
        "SpeechRecognition", "TelephoneNumbers", "SpeechEncoder", {"method.epochs": 7},
        ("wer", -0.6), "Transcripts", by_recording, signed=("wer", "cer"), live=("wer", "cer"),
    ),
    "sound classification": Row(
        "Classification", "TelephoneKeys", "SoundResNet", {"method.epochs": 3},
        ("accuracy", 0.8), "Confusion", by_microphone, live=("accuracy", "macro_f1"),
    ),
    "sequence classification": Row(
        "Classification", "MnistRows", "GRU", {"method.epochs": 3},
        ("accuracy", 0.6), "Confusion", by_rows, live=("accuracy",),
    ),
    "forecasting": Row(
        "Forecasting", "MackeyGlass", "TCN", {"method.epochs": 2},
        ("mae", -0.1), "Forecasts", by_numbers, live=("mae", "rmse"),
    ),
}  # fmt: skip


def finished(program: Program, number: int) -> Run:
    with History(program.home / "anneal.db") as history:
        return history.run(number)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ROWS)
def test_a_task_is_trained_by_a_click_and_tried(
    name: str, program: Program, open_page: Opens, tmp_path: Path
) -> None:
    row = ROWS[name]
    page = open_page()
    page.set_default_timeout(PATIENCE)
    settings = "".join(f"&set={key}={value}" for key, value in row.settings.items())
    page.goto(f"{program.url}?task={row.task}&data={row.data}&model={row.model}{settings}")
    number = train(page)
    points(page, 2)  # the curve grows while it trains
    expect(page.locator(".run-title .an-state").first).to_have_text(
        re.compile("Finished"), timeout=2 * PATIENCE
    )
    run = finished(program, number)
    metric, bound = row.reach
    reached = run.metrics[f"test/{metric}"]
    assert reached >= bound if bound >= 0 else reached <= -bound
    assert run.metrics["baselines"]
    assert all(run.metrics["signatures"][metric] for metric in row.signed)
    with History(program.home / "anneal.db") as history:
        assert {f"validation/{metric}" for metric in row.live} <= set(history.curves(number))
    expect(page.get_by_role("heading", name=re.compile(row.seen)).first).to_be_visible()
    page.goto(f"{program.url}predict?run={number}")
    row.attempt(page, program, tmp_path)


@pytest.mark.timeout(600)
def test_what_has_learned_to_compare_learns_classes_at_once(
    program: Program, open_page: Opens
) -> None:
    page = open_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{program.url}?task=PrototypicalNetwork&data=Glyphs&model=EmbeddingConvNet"
              "&set=method.max_steps=40")  # fmt: skip
    before = train(page)
    state = page.locator(".run-title .an-state").first
    expect(state).to_have_text(re.compile("Finished"), timeout=PATIENCE)
    page.goto(f"{program.url}?start={before}")
    page.get_by_role("radio", name="Classification").check()
    page.get_by_role("radio", name="MNIST, 5,000 digits").check()
    page.get_by_role("radio", name="Prototypes of a few examples").check()
    page.get_by_label("Labels used").fill("5")
    after = train(page)
    expect(state).to_have_text(re.compile("Finished"), timeout=PATIENCE)
    run = finished(program, after)
    assert run.parent == before
    assert run.metrics["test/accuracy"] > 0.4
    page.goto(f"{program.url}predict?run={after}")
    page.get_by_role("tab", name="Upload").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "3.png", "mimeType": "image/png", "buffer": digit("3")}
    )
    expect(page.get_by_test_id("prediction")).to_have_text(re.compile(r"\d"), timeout=PATIENCE)


@pytest.mark.timeout(600)
def test_what_was_learned_from_blanks_goes_on_to_classes(
    program: Program, open_page: Opens
) -> None:
    page = open_page()
    page.set_default_timeout(PATIENCE)
    small = "".join(f"&set={key}={value}" for key, value in {
        "data.vocabulary": 2000, "model.width": 64, "model.layers": 2, "method.max_steps": 60,
    }.items())  # fmt: skip
    page.goto(f"{program.url}?task=MaskedLanguageModelling&data=DocstringTopics"
              f"&model=TransformerEncoder{small}")  # fmt: skip
    before = train(page)
    state = page.locator(".run-title .an-state").first
    expect(state).to_have_text(re.compile("Finished"), timeout=PATIENCE)
    page.goto(f"{program.url}?start={before}")
    page.get_by_role("radio", name="Classification").check()
    page.get_by_role("radio", name="Linear probe").check()
    expect(page.get_by_label("Starting weights")).to_have_value(str(before))
    page.get_by_label("Epochs", exact=True).fill("3")
    after = train(page)
    expect(state).to_have_text(re.compile("Finished"), timeout=PATIENCE)
    run = finished(program, after)
    assert run.parent == before
    majority = run.metrics["baselines"]["always the most frequent class"]["accuracy"]
    assert run.metrics["test/accuracy"] > majority
    lineage = page.get_by_role("region", name="Lineage")
    expect(lineage.get_by_role("link")).to_have_count(1)
    lineage.get_by_text("2 made anew").click()
    expect(lineage.get_by_text("head.weight: other classes")).to_be_visible()
    page.goto(f"{program.url}predict?run={after}")
    by_typing("Send a request to the server and wait for the response.", ".")(
        page, program, program.home
    )
