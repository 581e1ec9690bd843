"""Every kind of data through the page, with the real program behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from storage.history import History
from storage.values import DatasetRow
from tests.browser.conftest import Opens
from tests.browser.test_click_to_curve import PATIENCE, Program
from tests.browser.test_datasets_page import record
from tests.test_data_commands import EXPECTED, SPECIAL, made, picture, tone, zipped

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The app, with a mirror in the place of the network: it holds one dataset of the hub."""
    mirror = tmp_path_factory.mktemp("mirror")
    for split, count in (("train", 40), ("test", 10)):
        file = mirror / "hub" / "somebody" / "films" / "default" / split / "0.parquet"
        file.parent.mkdir(parents=True)
        texts = [f"{split}: what a film, number {i}" for i in range(count)]
        pq.write_table(pa.table({"text": texts, "label": [i % 2 for i in range(count)]}), file)
    running = Program(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANNEAL_MIRROR", str(mirror))
        running.start()
    yield running
    running.stop()


def datasets(program: Program) -> list[DatasetRow]:
    with History(program.home / "anneal.db") as history:
        return history.datasets()


def choose(page: Page, paths: list[Path]) -> None:
    """Give the files to the page, which looks into them."""
    page.get_by_role("button", name="Add a dataset").click()
    page.locator(".an-bring input[type=file]").first.set_input_files(paths)
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_enabled(timeout=PATIENCE)


def bring(page: Page, paths: list[Path], name: str) -> None:
    """Import files as a dataset of that name, and wait until it is shown."""
    choose(page, paths)
    page.locator("#import-name").fill(name)
    page.get_by_role("button", name="Import", exact=True).click()
    shown(page, name)


def shown(page: Page, name: str) -> None:
    """Wait until the dataset of that name is the one that is shown."""
    expect(page.get_by_role("heading", name=name, level=2)).to_be_visible(timeout=PATIENCE)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_kind_and_form_comes_in_and_is_shown(
    program: Program, open_page: Opens, tmp_path: Path
) -> None:
    page = open_page(program.url + "datasets")
    page.set_default_timeout(PATIENCE)
    wanted = {n: p for n, p in made(tmp_path / "files").items() if not p[0].is_dir()}
    for name, paths in wanted.items():
        bring(page, paths, name)
        row = datasets(program)[0]
        classes, _ = SPECIAL.get(name, EXPECTED[name.split()[0]])
        assert (row.name, row.state) == (name, "ready")
        assert row.meta["kind"] == name.split()[0]
        assert row.meta["classes"] == classes
    assert len(datasets(program)) == len(wanted)
    assert not list((program.home / "tmp" / "uploads").glob("*/*"))


def test_a_folder_and_single_pictures_come_in(
    program: Program, open_page: Opens, tmp_path: Path
) -> None:
    page = open_page(program.url + "datasets")
    (folder,) = made(tmp_path / "files")["images folder"]
    page.get_by_role("button", name="Add a dataset").click()
    page.get_by_label("Choose a folder").set_input_files(folder)
    go = page.get_by_role("button", name="Import", exact=True)
    expect(go).to_be_enabled(timeout=PATIENCE)
    page.locator("#import-name").fill("From a folder")
    go.click()
    shown(page, "From a folder")
    assert datasets(program)[0].meta["classes"] == ["cat", "dog"]
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for number, path in enumerate(paths):
        path.write_bytes(picture(500 + number))
    bring(page, paths, "Single ones")
    row = datasets(program)[0]
    assert (row.meta["kind"], sum(map(sum, row.meta["counts"].values()))) == ("images", 12)


def test_what_was_found_can_be_corrected_before_it_comes_in(
    program: Program, open_page: Opens, tmp_path: Path
) -> None:
    page = open_page(program.url + "datasets")
    path = tmp_path / "odd.csv"
    path.write_text("hint;words;stars;mark\n" + "".join(
        f"note {i};this is what was said, number {i};{i % 3};{'ab'[i % 2]}\n" for i in range(30)
    ))  # fmt: skip
    choose(page, [path])
    expect(page.locator("#import-delimiter")).to_have_value(";")
    page.locator("#import-role-label").select_option("stars")
    expect(page.get_by_text("3 classes").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_enabled(timeout=PATIENCE)
    page.locator("#import-name").fill("Corrected")
    page.get_by_role("button", name="Import", exact=True).click()
    shown(page, "Corrected")
    assert datasets(program)[0].meta["classes"] == ["0", "1", "2"]


def test_what_cant_be_read_is_left_out_by_a_button(
    program: Program, open_page: Opens, tmp_path: Path
) -> None:
    page = open_page(program.url + "datasets")
    files = {f"{c}/{i}.wav": tone(250 + 99 * n + i) for n, c in enumerate("ab") for i in range(5)}
    choose(page, [zipped(tmp_path / "s.zip", {**files, "a/broken.wav": b"RIFF"})])
    page.locator("#import-name").fill("Mended")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("a/broken.wav").first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name=re.compile("Leave them out")).click()
    shown(page, "Mended")
    row = datasets(program)[0]
    assert (row.name, row.state) == ("Mended", "ready")
    assert sum(map(sum, row.meta["counts"].values())) == 10


def test_a_finding_is_mended_and_a_run_is_trained_on_what_is_left(
    program: Program, open_page: Opens, tmp_path: Path
) -> None:
    page = open_page(program.url + "datasets")
    pictures = {f"{c}/{i}.png": picture(100 * n + i) for n, c in enumerate(("ox", "Ox", "yak"))
                for i in range(10)}  # fmt: skip
    bring(page, [zipped(tmp_path / "zoo.zip", pictures)], "Zoo")
    page.get_by_role("button", name=re.compile("Make them")).click()
    expect(page.get_by_text("became").first).to_be_visible(timeout=PATIENCE)
    row = datasets(program)[0]
    assert row.meta["version"] == 2
    assert len(row.meta["classes"]) == 2
    page.goto(f"{program.url}?data={row.id}")
    button = page.get_by_role("button", name="Train", exact=True)
    expect(button).to_be_enabled(timeout=PATIENCE)
    button.click()
    page.wait_for_url("**/run?id=*", timeout=PATIENCE)
    expect(page.get_by_text("Zoo").first).to_be_visible()
    with History(program.home / "anneal.db") as history:
        (run, *_), _ = history.runs(limit=1)
    assert '"version":2' in run.recipe.replace(" ", "")


def test_a_dataset_is_fetched_by_its_name(program: Program, open_page: Opens) -> None:
    page = open_page(program.url + "datasets")
    page.get_by_role("button", name="Add a dataset").click()
    page.get_by_role("tab", name="Samples and by name").click()
    page.get_by_label("Dataset", exact=True).fill("somebody/films")
    page.get_by_role("button", name="Fetch and import").click()
    shown(page, "somebody/films")
    row = datasets(program)[0]
    assert (row.meta["kind"], row.meta["classes"]) == ("text", ["0", "1"])
    assert sum(row.meta["counts"]["test"]) == 10


def test_sounds_recorded_on_the_page_become_a_dataset(program: Program, open_page: Opens) -> None:
    page = open_page(program.url + "datasets")
    record(page, "Sounds")
    take = page.locator(".an-record")
    expect(take.first).to_be_enabled(timeout=PATIENCE)
    for number in (0, 1):
        clips = page.locator(".an-thumbnails").nth(number).locator("li")
        for count in (1, 2, 3):
            take.nth(number).click()
            expect(clips).to_have_count(count)
            expect(page.get_by_text("Recording …")).to_be_hidden()
    page.get_by_role("button", name="Next: check and import").click()
    go = page.get_by_role("button", name="Import", exact=True)
    expect(go).to_be_enabled(timeout=PATIENCE)
    page.locator("#import-name").fill("My voice")
    go.click()
    shown(page, "My voice")
    row = datasets(program)[0]
    assert (row.meta["kind"], row.meta["classes"]) == ("sound", ["Ja", "Nein_no"])
    assert sum(map(sum, row.meta["counts"].values())) == 6
