"""The Datasets page in a real browser; nothing is really imported here."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from engine.catalog import BadInput
from gui.shell import Anneal, Served
from tests.browser.conftest import Opens
from tests.gui import fakes

pytestmark = pytest.mark.browser


@pytest.fixture
def page(site: Served, open_page: Opens) -> Page:
    opened = open_page(f"{site.url}datasets")
    opened.get_by_role("heading", name="Samples").wait_for()
    return opened


def upload(page: Page, path: Path, name: str = "") -> None:
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Import", exact=True).click()


def test_a_look_inside(page: Page) -> None:
    inside = page.locator(".an-shown")
    expect(inside).to_contain_text("176")  # items
    expect(inside).to_contain_text("8 × 8 × 1")
    expect(inside).to_contain_text("CC0")
    expect(inside).to_contain_text("Training 140")
    expect(inside.get_by_role("img")).to_have_count(4)
    page.get_by_role("button", name="Faces").click()
    expect(inside.get_by_role("heading", level=2)).to_have_text("Faces")
    assert page.url.endswith("?data=Faces")
    inside.get_by_role("link", name="Train on this").click()
    page.wait_for_url("**/?data=Faces")


def test_an_import_from_the_file_to_the_end(page: Page, anneal: Anneal, tmp_path: Path) -> None:
    file = tmp_path / "cats.zip"
    file.write_bytes(b"PK" * 1000)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Size of pictures").fill("32")
    upload(page, file, "Cats & <b>dogs</b>")
    entry = page.locator("li", has_text="Cats & <b>dogs</b>")
    expect(entry).to_contain_text("Importing")
    importer = anneal.importer
    assert isinstance(importer, fakes.FakeImporter)
    assert importer.started[0][2]["size"] == "32"
    (row,) = anneal.history.datasets()
    anneal.history.import_progress(row.id, 400, 1000, "Decoding")
    expect(entry).to_contain_text("Decoding · 40 %")
    anneal.history.dataset_ready(
        row.id, card="ImportedImages", provides=["image", "label"],
        meta={"classes": ["cat", "dog"], "counts": {"train": [1, 2]}}, bytes=3 * 2**20,
        fingerprint="f",
    )  # fmt: skip
    expect(entry).to_contain_text("Imported · 3 items · 2 classes · 3.0 MB")
    entry.get_by_role("button").click()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(entry).to_have_count(0)
    assert not anneal.history.datasets()


def test_a_failed_import_says_why_until_it_is_dismissed(page: Page, anneal: Anneal) -> None:
    row = anneal.history.add_dataset(name="Broken", kind="images", source="b.zip")
    anneal.history.import_failed(row.id, "cat/1.jpg isn't a picture: save it again as PNG")
    entry = page.locator("li", has_text="Broken")
    expect(entry).to_contain_text("cat/1.jpg isn't a picture", timeout=10_000)
    entry.get_by_role("button", name="Dismiss").click()
    expect(entry).to_have_count(0)


def test_an_import_can_be_cancelled(page: Page, anneal: Anneal, tmp_path: Path) -> None:
    file = tmp_path / "slow.csv"
    file.write_text("sequence,step,x,label\n")
    upload(page, file)
    entry = page.locator("li", has_text="slow")
    entry.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the import").click()
    expect(entry).to_have_count(0)
    assert not anneal.history.datasets()


def test_a_refused_file_is_a_sentence(page: Page, anneal: Anneal, tmp_path: Path) -> None:
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Choose a file first.")
    assert isinstance(anneal.importer, fakes.FakeImporter)
    anneal.importer.failure = BadInput("size must be 8–512")
    file = tmp_path / "a.zip"
    file.write_bytes(b"x")
    upload(page, file)
    expect(page.get_by_role("alert")).to_have_text("size must be 8–512")


def test_a_dataset_in_use_is_not_removed(site: Served, anneal: Anneal, open_page: Opens) -> None:
    row = anneal.history.add_dataset(name="Own", kind="images", source="own.zip")
    anneal.history.dataset_ready(
        row.id, card="ImportedImages", provides=["image", "label"], meta={}, bytes=1,
        fingerprint="f",
    )  # fmt: skip
    page = open_page(f"{site.url}datasets?data=ImportedImages:{row.id}")
    body = {"names": {"data": f"ImportedImages:{row.id}"}}
    page.request.post(f"{site.url}api/train", data=body)
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("is needed by run")).to_be_visible()


def test_a_preview_that_fails_is_a_sentence(page: Page, anneal: Anneal) -> None:
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    anneal.answers.failure = BadInput("The files of this dataset are gone: import it again")
    page.get_by_role("button", name="Rows").click()
    expect(page.get_by_text("The files of this dataset are gone")).to_be_visible()


def test_read_only_shows_and_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, open_page: Opens
) -> None:
    anneal = fakes.make(tmp_path_factory.mktemp("home"), readonly=True)
    failed = anneal.history.add_dataset(name="Broken", kind="images", source="b.zip")
    anneal.history.import_failed(failed.id, "It can't be read")
    with fakes.served(anneal) as site:
        page = open_page(f"{site.url}datasets")
        expect(page.get_by_text("Another Anneal already serves this folder")).to_be_visible()
        expect(page.get_by_role("button", name="Import", exact=True)).to_be_disabled()
        expect(page.get_by_role("button", name="Dismiss")).to_be_disabled()
        expect(page.get_by_role("heading", name="Samples")).to_be_visible()


def test_every_input_has_a_label(page: Page) -> None:
    page.get_by_text("Options", exact=True).click()
    nameless = page.evaluate(
        "[...document.querySelectorAll('.an-page :is(input, select, textarea)')]"
        ".filter(e => !e.labels?.length && !e.ariaLabel).map(e => e.outerHTML)"
    )
    assert not nameless
