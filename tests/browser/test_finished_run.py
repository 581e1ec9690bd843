"""What can be done with a run that has finished, with the real program: a small network learns
small digits, and each part of the pages is looked at on it as a person would look."""

from __future__ import annotations

import ast
import base64
import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from sklearn.datasets import load_digits

from engine.processes import alive
from gui.shell import free_port
from storage.history import History
from storage.values import Run
from tests.browser.conftest import Opens, watch
from tests.browser.test_click_to_curve import APP, PATIENCE, Program, train
from tests.browser.test_mistakes_page import LONG, carried_out

pytestmark = pytest.mark.alone

SMALL = ("model.channels=8,16", "model.hidden=32", "data.shift=0", "method.epochs=5",
         "method.learning_rate=0.004", "method.threads=1")  # fmt: skip
ADDRESS = "task=Classification&data=Digits8x8&model=ConvNet&" + "&".join(
    f"set={setting}" for setting in SMALL
)

DIFFERENT = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4) coloured += data[i] !== data[i + 2];
  return coloured / (data.length / 4);
}"""
"""The share of a grey picture's pixels that the overlay has given a colour."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, with a home in which nothing has happened yet."""
    running = Program(tmp_path_factory.mktemp("home"))
    running.start()
    yield running
    with History(running.home / "anneal.db") as history:
        going = [run for run in history.active() if run.pid is not None]
    running.stop()
    for run in going:
        if run.pid is not None and alive(run.pid, run.pid_started):
            os.kill(run.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def run(program: Program) -> int:
    """A network that has learned the digits of 8×8 pixels."""
    words = [word for setting in SMALL for word in ("--set", setting)]
    carried_out(program.home, "train", "--task", "Classification", "--data", "Digits8x8",
                "--model", "ConvNet", *words, "--name", "digits")  # fmt: skip
    with History(program.home / "anneal.db") as history:
        found, _ = history.runs(limit=1)
    assert found[0].state == "finished"
    return found[0].id


def recorded(program: Program, number: int) -> Run:
    with History(program.home / "anneal.db") as history:
        return history.run(number)


def ready(page: Page, url: str) -> None:
    """The Train page, when its form can be sent."""
    page.goto(url)
    page.locator("#train:enabled").wait_for(timeout=PATIENCE)


def finished(page: Page) -> None:
    state = page.locator(".run-title .an-state").first
    expect(state).to_have_text(re.compile("Finished"), **LONG)


def pictures() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """All of the digits as the dataset has them."""
    return list((load_digits().images / 16 * 255).round().astype(np.uint8))


def read(image: Locator) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The pixels of a picture on the page."""
    source = image.get_attribute("src") or ""
    file = io.BytesIO(base64.b64decode(source.partition("base64,")[2]))
    return np.asarray(Image.open(file).convert("L"))


def png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


# First: only a home without runs offers the tour by itself.
@pytest.mark.timeout(600)
def test_the_tour_followed_by_its_buttons_ends_in_a_trained_model(
    program: Program, browser: Browser
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    faults = watch(page)
    page.goto(f"{program.url}?{ADDRESS}")
    tour = page.locator(".an-tour")
    expect(tour).to_contain_text("step 1 of 4", **LONG)
    tour.get_by_role("button", name="Next").click()
    expect(tour).to_contain_text("Press Train")
    number = train(page)
    expect(tour).to_contain_text("Watch it learn", **LONG)
    expect(page.locator(".curve-card.an-toured")).to_be_visible(**LONG)
    tour.get_by_role("button", name="Next").click()
    expect(tour).to_contain_text("step 4 of 4")
    page.locator(".run-actions a.an-toured").click()
    page.wait_for_url("**/predict?run=*")
    expect(tour).to_contain_text("This model is yours", **LONG)
    page.get_by_role("tab", name="From the data").click()
    page.locator(".an-samples button").first.click(**LONG)
    expect(page.get_by_test_id("prediction")).to_have_text(re.compile(r"^\d$"), **LONG)
    tour.get_by_role("button", name="Done").click()
    expect(tour).to_be_hidden()
    page.goto(f"{program.url}run?id={number}")
    finished(page)
    expect(page.locator(".run-head")).to_be_visible()
    assert recorded(program, number).metrics["test/accuracy"] > 0.6
    ready(page, program.url)
    expect(tour).to_be_hidden()
    context.close()
    assert not faults, faults


@pytest.mark.timeout(600)
def test_what_was_important_is_drawn_and_weighed_against_chance(
    program: Program, run: int, open_page: Opens
) -> None:
    page = open_page(f"{program.url}predict?run={run}")
    page.get_by_role("tab", name="From the data").click(**LONG)
    page.locator(".an-samples button").first.click(**LONG)
    expect(page.get_by_test_id("prediction")).to_have_text(re.compile(r"^\d$"), **LONG)
    page.locator(".an-why > summary").click()
    why = page.locator(".an-why")
    how = why.get_by_label("Explanation", exact=True)
    for label, beside in (
        ("Grad-CAM", why.get_by_text("Seen at")),
        ("Integrated gradients", why.get_by_text("adds up to")),
    ):
        expect(how).to_be_visible(**LONG)
        how.select_option(label=label)
        expect(beside).to_be_visible(**LONG)
        overlay = why.get_by_role("img", name="Importance over what the model saw")
        expect(overlay).to_have_attribute("data-ready", "yes")
        assert overlay.evaluate(DIFFERENT) > 0.1
        chance = why.get_by_role("region", name="Is it better than chance?")
        expect(chance.locator(".an-verdict")).to_have_text(re.compile(r"chance.*\d+ %"))
        for kind in ("explained", "random"):
            drawn = chance.locator(f"polyline.{kind}").get_attribute("points") or ""
            places = np.array([one.split(",") for one in drawn.split()], float)
            assert len(places) > 2
            assert (np.diff(places[:, 0]) > 0).all()  # ever more is taken away
            assert places[-1, 1] > places[0, 1]  # and the probability has fallen: y grows downward
        if place := os.environ.get("ANNEAL_SHOTS"):
            page.screenshot(path=f"{place}/why-{label}.png", full_page=True)
    strength = why.get_by_label("Strength")
    strength.fill("0")
    assert why.locator("canvas.an-overlay").evaluate(DIFFERENT) == 0


def test_a_folder_of_pictures_is_told_as_a_table(
    program: Program, run: int, open_page: Opens, tmp_path: Path
) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    classes = load_digits().target[:60]
    for number, pixels in enumerate(pictures()[:60]):
        (folder / f"{number:02}.png").write_bytes(png(pixels))
    page = open_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{program.url}predict?run={run}")
    page.get_by_role("tab", name="Batch").click()
    page.locator("input[webkitdirectory]").set_input_files(folder)
    expect(page.get_by_text("60 answered by the checkpoint")).to_be_visible(**LONG)
    if place := os.environ.get("ANNEAL_SHOTS"):
        page.screenshot(path=f"{place}/batch.png", full_page=True)
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download as CSV").click()
    with Path(coming.value.path()).open(newline="") as saved:
        lines = list(csv.DictReader(saved))
    assert [line["File"] for line in lines] == [f"digits/{number:02}.png" for number in range(60)]
    right = [line["Class"] == str(true) for line, true in zip(lines, classes, strict=True)]
    assert sum(right) > 40


@pytest.mark.timeout(600)
def test_an_onnx_file_is_made_downloaded_and_answers_as_the_run_does(
    program: Program, run: int, open_page: Opens, tmp_path: Path
) -> None:
    page = open_page(f"{program.url}run?id={run}")
    card = page.get_by_role("region", name="Take away")
    form = card.get_by_role("listitem").filter(
        has=page.get_by_role("heading", name="ONNX", exact=True)
    )
    form.get_by_role("button", name="Make ONNX", exact=True).click(**LONG)
    said = form.locator(".away-facts")
    expect(said).to_have_text(re.compile(r"differs by at most \S+ on 16 test items"), **LONG)
    apart = re.search(r"at most (\S+) on", said.inner_text())
    assert apart is not None
    assert float(apart[1]) < 1e-3
    with page.expect_download() as coming:
        form.get_by_role("link", name="Download ONNX", exact=True).click()
    assert coming.value.suggested_filename == f"run-{run}-Onnx.onnx"
    coming.value.save_as(tmp_path / "run.onnx")
    if place := os.environ.get("ANNEAL_SHOTS"):
        card.screenshot(path=f"{place}/away.png")

    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "run.onnx")
    some = pictures()[::90]
    given = np.stack(some)[:, None].astype(np.float32) / 255
    (logits,) = session.run(None, {session.get_inputs()[0].name: given})
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    inputs = [{"png": base64.b64encode(png(one)).decode()} for one in some]
    told = page.request.post(f"{program.url}api/predict", data={"run": run, "inputs": inputs})
    for share, one in zip(shares, told.json()["results"], strict=True):
        scores = {score["label"]: score["probability"] for score in one["classes"]}
        for label, probability in scores.items():
            assert probability == pytest.approx(share[int(label)], abs=1e-4)
        assert max(scores, key=scores.__getitem__) == str(share.argmax())


@pytest.mark.timeout(600)
def test_eight_bits_are_made_and_measured_beside_the_original(
    program: Program, run: int, open_page: Opens
) -> None:
    page = open_page(f"{program.url}run?id={run}")
    card = page.get_by_role("region", name="Smaller and faster")
    card.get_by_role("button", name="Make it: Post-training int8").click(**LONG)
    rows = card.locator("tbody tr")
    expect(rows).to_have_count(2)
    with page.expect_navigation():
        card.get_by_role("link", name="Watch it").click()
    finished(page)
    number = int(page.url.split("id=")[1])
    page.goto(f"{program.url}run?id={run}")
    expect(rows).to_have_count(2, **LONG)
    card.get_by_role("button", name="Measure").click()
    expect(card.get_by_text("Not measured yet")).to_be_hidden(**LONG)
    heads = card.locator("thead th").all_inner_texts()
    table = [
        dict(zip(heads, row.locator("td").all_inner_texts(), strict=True)) for row in rows.all()
    ]
    if place := os.environ.get("ANNEAL_SHOTS"):
        card.screenshot(path=f"{place}/smaller.png")
    for one, made in zip(table, (run, number), strict=True):
        assert re.fullmatch(r"[\d.,]+ kB", one["On disk"]), one
        for time in ("1 item, ms", "32 items, ms"):
            assert re.fullmatch(r"\d+\.\d+ \(95 %: \d+\.\d+\)", one[time]), one
        assert int(one["Items/s"].replace(",", "")) > 0
        accuracy = recorded(program, made).metrics["test/accuracy"]
        assert float(one["Accuracy"]) == pytest.approx(accuracy, abs=1e-4)
    sizes = [float(one["On disk"].split()[0].replace(",", "")) for one in table]
    assert sizes[1] < 0.7 * sizes[0]
    expect(rows.nth(1)).to_contain_text("Post-training int8")


@pytest.mark.timeout(600)
def test_a_learning_rate_is_found_on_its_curve_and_taken_over(
    program: Program, run: int, open_page: Opens
) -> None:
    page = open_page()
    ready(page, f"{program.url}?clone={run}")
    page.get_by_role("button", name="Find a learning rate").click()
    dialog = page.get_by_role("dialog", name="Find a learning rate")
    take = dialog.get_by_role("button", name=re.compile("^Use "))
    expect(take).to_be_visible(**LONG)
    page.wait_for_function("() => document.querySelector('.find-plot').data?.length === 2")
    measured, smoothed = page.evaluate(
        "() => document.querySelector('.find-plot').data.map(({ x, y }) => [[...x], [...y]])"
    )
    assert len(measured[0]) == len(smoothed[1]) > 20
    assert measured[0] == sorted(measured[0])
    if place := os.environ.get("ANNEAL_SHOTS"):
        dialog.screenshot(path=f"{place}/rate.png")
    found = take.inner_text().removeprefix("Use ")
    assert measured[0][0] <= float(found) <= measured[0][-1]
    take.click()
    expect(dialog).to_be_hidden()
    field = page.get_by_role("spinbutton", name="Learning rate", exact=True)
    expect(field).to_have_value(found)


@pytest.mark.timeout(600)
def test_augmentation_is_shown_on_items_of_the_data(
    program: Program, run: int, open_page: Opens
) -> None:
    page = open_page()
    ready(page, f"{program.url}?clone={run}")
    with page.expect_request(
        lambda one: one.url.endswith("/api/preview") and '"shift":2' in (one.post_data or "")
    ):  # until then the pictures may be those of the run, which were drawn as they are
        page.get_by_role("spinbutton", name="Random shift").fill("2")
    strip = page.locator(".an-drawn:not(.stale)")
    items = strip.locator(".an-drawn-item")
    expect(items).to_have_count(4, **LONG)
    own = {one.tobytes() for one in pictures()}
    drawn = []
    for item in items.all():
        before, *after = [read(image) for image in item.locator("img").all()]
        assert before.tobytes() in own
        assert len(after) == 4
        drawn += [(before, one) for one in after]
    moved = [(before, one) for before, one in drawn if (before != one).any()]
    assert len(moved) > len(drawn) / 2
    for before, one in moved:  # no pixel is another: they have moved, or left the picture
        assert set(np.unique(one)) <= {0, *np.unique(before)}
    if place := os.environ.get("ANNEAL_SHOTS"):
        page.locator(".an-preview").screenshot(path=f"{place}/preview.png")
    first = items.first.locator("img").nth(1).get_attribute("src")
    page.get_by_role("button", name="Draw again").click()
    page.wait_for_function(
        "(before) => document.querySelectorAll('.an-drawn-item img')[1].src !== before", arg=first
    )


@pytest.mark.timeout(900)
def test_a_search_of_a_few_trials_draws_what_they_reached(
    program: Program, run: int, open_page: Opens
) -> None:
    page = open_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{program.url}search?clone={run}")
    page.get_by_role("checkbox", name="Learning rate", exact=True).check()
    page.get_by_role("checkbox", name="Batch size", exact=True).check()
    page.get_by_label("Trials", exact=True).fill("3")
    plan = page.get_by_role("complementary", name="The plan").locator("dd")
    expect(plan.nth(1)).to_have_text("3")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**/search?id=*")
    expect(page.locator(".starts-title .an-state").first).to_have_text("finished", **LONG)
    rows = page.locator(".search-table tbody tr")
    expect(rows).to_have_count(3)
    expect(page.locator(".search-table tr[aria-current=true]")).to_have_count(1)
    expect(page.locator(".search-best")).to_contain_text("Best: ")
    page.wait_for_function("() => document.querySelectorAll('.search-plot')[1].data?.length === 3")
    lines = page.evaluate(
        "() => document.querySelectorAll('.search-plot')[1].data.map(({ y }) => [...y])"
    )
    # An axis for each setting and one for what was reached, which goes from its least to its most.
    assert all(len(line) == 3 and all(0 <= at <= 1 for at in line) for line in lines)
    reached = [line[-1] for line in lines]
    assert max(reached) == 1 or len(set(reached)) == 1
    if place := os.environ.get("ANNEAL_SHOTS"):
        page.screenshot(path=f"{place}/search.png", full_page=True)
    page.get_by_role("link", name="Train with the best").click()
    page.locator("#train:enabled").wait_for()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_ablation_says_what_augmentation_is_worth_and_how_surely(
    program: Program, run: int, open_page: Opens
) -> None:
    page = open_page()
    page.set_default_timeout(PATIENCE)
    ready(page, f"{program.url}?clone={run}")
    page.get_by_role("spinbutton", name="Random shift").fill("1")
    page.get_by_role("button", name="Ablation: with and without").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Random shift")
    dialog.get_by_label("Seeds").fill("2")
    dialog.get_by_role("button", name="Train 4 runs").click()
    page.wait_for_url("**/ablation?id=*")
    expect(page.locator(".starts-title .an-state").first).to_have_text("finished", **LONG)
    said = page.locator(".starts-said")
    expect(said).to_contain_text(re.compile(r"[−+]?\d+\.\d ± \d+\.\d points"))
    table = page.get_by_role("table").first
    row = table.get_by_role("row", name=re.compile("without augmentation"))
    expect(row).to_contain_text(re.compile(r"[+−]\d+\.\d ± \d+\.\d points"))
    expect(row).to_contain_text(re.compile(r"[+−]\d+\.\d … [+−]\d+\.\d points"))
    page.wait_for_function("document.querySelector('.ablation-plot').data?.length === 3")
    if place := os.environ.get("ANNEAL_SHOTS"):
        page.screenshot(path=f"{place}/ablation.png", full_page=True)


@pytest.fixture
def answering(
    program: Program, run: int, open_page: Opens
) -> Iterator[tuple[dict[str, str], subprocess.Popen[str]]]:
    """The calls that the run's page shows, and what its first line has started."""
    page = open_page(f"{program.url}run?id={run}")
    card = page.get_by_role("region", name="Take away")
    card.get_by_text("Ask it from programs").click(**LONG)
    shown: dict[str, str] = {}
    for language in ("curl", "Python", "JavaScript"):
        card.get_by_role("button", name=language, exact=True).click()
        serve, call = card.locator(".away-calls pre").all_inner_texts()
        shown |= {"serve": serve, language: call}
    # Another program of this computer may have the port.
    port = free_port("127.0.0.1", 8000)
    if port != 8000:
        shown = {name: call.replace(":8000", f":{port}") for name, call in shown.items()}
        shown["serve"] += f" --port {port}"
    python, *words = shlex.split(shown["serve"])
    assert python == "python"
    process = subprocess.Popen(
        [sys.executable, *words], cwd=APP.parent, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "answers at" in line:
            break
    else:
        raise AssertionError("it ended without answering")
    yield shown, process
    process.send_signal(signal.SIGINT)
    process.wait(60)
    process.stderr.close()


@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is a signal here")
def test_calls_answer_when_they_are_pasted(
    answering: tuple[dict[str, str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    shown, _ = answering
    (tmp_path / "picture.png").write_bytes(png(pictures()[12]))
    (tmp_path / "call.sh").write_text(shown["curl"])
    (tmp_path / "call.py").write_text(shown["Python"])
    (tmp_path / "call.mjs").write_text(shown["JavaScript"])
    commands = {"curl": ["sh", "call.sh"], "python": [sys.executable, "call.py"],
                "node": ["node", "call.mjs"]}  # fmt: skip
    answers = []
    for needed, command in commands.items():
        if needed != "python" and not shutil.which(needed):
            continue
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        # Python prints its own way of writing it.
        said = ast.literal_eval(done.stdout) if needed == "python" else json.loads(done.stdout)
        answers.append(
            [(one["label"], one["probability"]) for one in said["results"][0]["classes"]]
        )
    assert answers[0]
    assert all(one == answers[0] for one in answers)
