"""The Datasets page in a real browser; nothing is really imported here."""

from __future__ import annotations

import io
import re
import wave
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from engine.catalog import BadInput
from gui.shell import Anneal, Served
from tests.browser.conftest import Opens, edges
from tests.gui import fakes


@pytest.fixture
def page(site: Served, open_page: Opens) -> Page:
    opened = open_page(f"{site.url}datasets")
    opened.get_by_role("heading", name="Items").wait_for()
    return opened


@pytest.fixture
def importer(anneal: Anneal) -> fakes.FakeImporter:
    assert isinstance(anneal.importer, fakes.FakeImporter)
    return anneal.importer


@pytest.fixture
def answers(anneal: Anneal) -> fakes.FakeAnswers:
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    return anneal.answers


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    file = tmp_path / "reviews.csv"
    file.write_text("review,stars,critic\ngood,5,Ann\n")
    return file


@pytest.fixture
def own(site: Served, anneal: Anneal, importer: fakes.FakeImporter, open_page: Opens) -> Page:
    """The page of a dataset that can be changed."""
    row = anneal.history.add_dataset(name="Own", kind="images", source="own.zip")
    importer.ready(row.id)
    opened = open_page(f"{site.url}datasets?data=ImportedImages:{row.id}")
    opened.get_by_role("heading", name="Items").wait_for()
    return opened


def upload(page: Page, *paths: Path) -> None:
    page.get_by_role("button", name="Add a dataset").click()
    page.locator(".an-drop input").set_input_files(paths)


def items(page: Page) -> Locator:
    return page.locator(".an-item")


def show_all(page: Page) -> None:
    page.get_by_role("group", name="Split").get_by_role("button", name="All").click()
    expect(items(page)).to_have_count(12)


def leftovers(anneal: Anneal) -> list[Path]:
    return [path for path in (anneal.home / "tmp" / "uploads").rglob("*") if path.is_file()]


# --- files in -------------------------------------------------------------------------------


def test_an_import_from_the_files_to_the_end(
    page: Page, anneal: Anneal, importer: fakes.FakeImporter, tmp_path: Path
) -> None:
    files = [tmp_path / "cats.zip", tmp_path / "labels.csv"]
    files[0].write_bytes(b"PK" * 1000)
    files[1].write_text("file,label\n")
    upload(page, *files)
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_enabled()
    page.get_by_label("Name", exact=True).fill("Cats & <b>dogs</b>")
    page.get_by_role("button", name="Import", exact=True).click()
    entry = page.locator("li", has_text="Cats & <b>dogs</b>")
    expect(entry).to_contain_text("Importing")
    paths, _, _, received = importer.started[0]
    assert [path.name for path in paths] == ["cats.zip", "labels.csv"]
    assert received[0] == b"PK" * 1000
    (row,) = anneal.history.datasets()
    anneal.history.import_progress(row.id, 400, 1000, "Decoding")
    expect(entry).to_contain_text("Decoding · 40 %")
    importer.ready(row.id)
    expect(entry).to_contain_text("Imported · 8 items · 2 classes · 3.0 MB")
    # It is shown as soon as it is there.
    expect(page.locator(".an-shown h2")).to_have_text("Cats & <b>dogs</b>")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(entry).to_have_count(0)
    fakes.until(lambda: not anneal.history.datasets())


def test_what_was_found_is_shown_and_corrected(
    page: Page, importer: fakes.FakeImporter, reviews: Path
) -> None:
    upload(page, reviews)
    panel = page.locator(".an-add")
    expect(panel).to_contain_text("200 items · 2 classes")
    expect(panel.get_by_role("cell", name="good <b>film</b>")).to_be_visible()
    expect(panel).to_contain_text("1 row is empty and is left out.")
    expect(panel.get_by_label("Encoding")).to_have_value("cp1252")
    panel.get_by_label("Encoding").select_option("utf-16")
    expect(page.get_by_role("alert")).to_contain_text("isn't UTF-16: choose another encoding")
    expect(panel.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    panel.get_by_label("Encoding").select_option("gb18030")
    expect(page.get_by_role("alert")).to_be_hidden()
    panel.get_by_label("Between cells").select_option(";")
    expect(panel.get_by_role("columnheader", name="review;stars")).to_be_visible()
    panel.get_by_label("Between cells").select_option(",")
    panel.get_by_label("Label", exact=True).select_option("")
    expect(panel).not_to_contain_text("2 classes")
    panel.get_by_role("button", name="By a column").click()
    panel.get_by_label("Split seed").fill("7")
    panel.get_by_label("Leave out what can't be read").check()
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("li", has_text=re.compile("reviews"))).to_contain_text("Importing")
    _, name, options, _ = importer.started[0]
    assert (name, importer.kinds) == ("reviews", ["text"])
    assert options == {
        "encoding": "gb18030", "delimiter": ",", "split": "random", "group": "critic", "seed": 7,
        "skip_broken": True, "columns": {"text": "review", "label": "", "split": ""},
    }  # fmt: skip


def test_rows_that_are_cut_off_are_seen_to_go_on(
    site: Served, open_page: Opens, answers: fakes.FakeAnswers, reviews: Path
) -> None:
    columns = [f"consumption_in_kilowatt_hours_{n}" for n in range(6)]
    answers.inspection = fakes.INSPECTED | {
        "kind": "sequences", "kinds": ["sequences"], "columns": columns,
        "rows": [["1"] * 6] * 8, "items": 8,
    }  # fmt: skip
    page = open_page(f"{site.url}datasets?add=files", width=390)
    page.locator(".an-drop input").set_input_files(reviews)
    rows = page.get_by_role("group", name="The first rows")
    expect(rows.get_by_role("columnheader")).to_have_count(6)
    rows.scroll_into_view_if_needed()
    before = edges(rows)["right"]
    rows.evaluate("box => { box.scrollLeft = box.scrollWidth }")
    assert before < edges(rows)["right"] - 15


def test_another_kind_asks_for_other_columns(page: Page, reviews: Path) -> None:
    upload(page, reviews)
    panel = page.locator(".an-add")
    expect(panel.get_by_label("Target")).to_have_count(0)
    panel.get_by_label("Kind").select_option("pairs")
    expect(panel.get_by_label("Target")).to_be_visible()
    expect(panel.get_by_label("Text", exact=True)).to_have_count(0)


def test_columns_that_are_not_found_can_be_named(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    file.write_text("a,b\n1,2\n")
    upload(page, file)
    panel = page.locator(".an-add")
    expect(page.get_by_role("alert")).to_contain_text("it has: “a”, “b”")
    expect(panel).to_contain_text("Choose the kind, then say here which column is what.")
    panel.get_by_label("Kind").select_option("text")
    panel.get_by_label("Text", exact=True).fill("a")
    panel.get_by_label("Text", exact=True).press("Tab")
    expect(panel).to_contain_text("200 items")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_dropped_files_are_uploaded_wherever_they_fall(
    page: Page, importer: fakes.FakeImporter
) -> None:
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["a"], "a.en"));
          data.items.add(new File(["b"], "a.de"));
          document.querySelector(".an-lists").dispatchEvent(
            new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }"""
    )
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("li", has_text="Importing")).to_be_visible()
    assert [path.name for path in importer.started[0][0]] == ["a.de", "a.en"]


def begin(page: Page, importer: fakes.FakeImporter) -> dict[str, dict[str, bytes]]:
    """Import what was chosen; the files of each zip that the page has made of it."""
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("li", has_text="Importing")).to_be_visible()
    paths, _, _, contents = importer.started[0]
    return {path.name: unzipped(content) for path, content in zip(paths, contents, strict=True)
            if path.suffix == ".zip"}  # fmt: skip


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_folder_is_packed_with_its_paths(
    page: Page, importer: fakes.FakeImporter, tmp_path: Path
) -> None:
    files = {"cat/1.PNG": b"a" * 300_000, "dog/ö.jpg": b"b", "dog/1.heic": b"", "labels.csv": b"c"}
    for name, content in {**files, ".DS_Store": b"x", "cat/Thumbs.db": b"x"}.items():
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    page.get_by_role("button", name="Add a dataset").click()
    page.get_by_label("Choose a folder").set_input_files(tmp_path / "pets")
    expect(page.get_by_text("24 items")).to_be_visible()
    made = begin(page, importer)
    assert made == {"pets.zip": {f"pets/{name}": content for name, content in files.items()}}
    assert importer.started[0][1] == "pets"


def test_a_folder_of_tables_goes_as_it_is(
    page: Page, importer: fakes.FakeImporter, tmp_path: Path
) -> None:
    for name in ("train.csv", "test.csv"):
        (tmp_path / "tables").mkdir(exist_ok=True)
        (tmp_path / "tables" / name).write_text("review,stars\na,1\n")
    page.get_by_role("button", name="Add a dataset").click()
    page.get_by_label("Choose a folder").set_input_files(tmp_path / "tables")
    assert begin(page, importer) == {}
    assert [path.name for path in importer.started[0][0]] == ["test.csv", "train.csv"]


def test_single_pictures_are_packed_with_the_table_beside_them(
    page: Page, importer: fakes.FakeImporter, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("1.png", "2.jpg", "labels.csv", "more.zip", "3.png")]
    for path in paths:
        path.write_bytes(path.name.encode())
    upload(page, *paths[:4])
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_enabled()
    page.get_by_label("Add files").set_input_files(paths[4])
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_enabled()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("li", has_text="Importing")).to_be_visible()
    files, _, _, contents = importer.started[0]
    assert [file.name for file in files] == ["more.zip", "pictures 2.zip", "pictures.zip"]
    assert set(unzipped(contents[2])) == {"1.png", "2.jpg", "labels.csv"}
    assert unzipped(contents[1]) == {"3.png": b"3.png"}


def test_dropped_folders_are_packed_too(page: Page, importer: fakes.FakeImporter) -> None:
    page.evaluate(
        """() => {
          // A script can't make entries of folders, so these only look like them.
          const file = (path) => ({ isDirectory: false, fullPath: path,
            file: (done) => done(new File([path], path.split("/").at(-1))) });
          const folder = (path, inside) => ({ isDirectory: true, fullPath: path,
            createReader: () => {
              const left = [inside.slice(0, 1), inside.slice(1), []];
              return { readEntries: (done) => done(left.shift()) };
            } });
          const one = (entry) =>
            ({ kind: "file", webkitGetAsEntry: () => entry, getAsFile: () => null });
          const event = new Event("drop", { bubbles: true, cancelable: true });
          event.dataTransfer = { types: ["Files"], items: [
            one(folder("/cat", [file("/cat/1.txt"), file("/cat/2.txt")])),
            one(folder("/dog", [folder("/dog/old", [file("/dog/old/1.txt")])])),
          ] };
          document.querySelector(".an-lists").dispatchEvent(event);
        }"""
    )
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_enabled()
    ((_, files),) = begin(page, importer).items()
    assert files == {f"{name}.txt": f"/{name}.txt".encode()
                     for name in ("cat/1", "cat/2", "dog/old/1")}  # fmt: skip


def test_packing_can_be_cancelled_and_says_how_far_it_is(page: Page, anneal: Anneal) -> None:
    page.evaluate(
        """() => {
          const slow = new File(["x"], "a.png");
          slow.stream = () => new ReadableStream({ async pull(to) {
            await new Promise((done) => setTimeout(done, 100));
            to.enqueue(new Uint8Array(1));
          } });
          const event = new Event("drop", { bubbles: true, cancelable: true });
          const item = { kind: "file", getAsFile: () => slow };
          event.dataTransfer = { types: ["Files"], items: [item] };
          document.querySelector(".an-lists").dispatchEvent(event);
        }"""
    )
    expect(page.get_by_text("Packing 0 of 1")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Drop files or a folder here")).to_be_visible()
    assert not leftovers(anneal)


def test_a_zip_of_very_many_files_is_one(page: Page) -> None:
    content = page.evaluate(
        """async () => {
          const { zip } = await import("/static-anneal/packing.js");
          const bytes = new Uint8Array(0);
          const made = zip(Array.from({ length: 66000 }, (_, i) => ({ name: `${i}`, bytes })));
          return Array.from(new Uint8Array(await made.arrayBuffer()).slice(-98));
        }"""
    )
    end = bytes(content)
    assert end[:4] == b"PK\x06\x06"
    assert int.from_bytes(end[32:40], "little") == 66_000
    assert end[56:60] == b"PK\x06\x07"
    assert end[76:80] == b"PK\x05\x06"


def test_starting_over_leaves_nothing(page: Page, anneal: Anneal, reviews: Path) -> None:
    upload(page, reviews)
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_visible()
    assert leftovers(anneal)
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_text("Drop files or a folder here")).to_be_visible()
    fakes.until(lambda: not leftovers(anneal))


def test_leaving_the_page_leaves_nothing(page: Page, anneal: Anneal, reviews: Path) -> None:
    upload(page, reviews)
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_visible()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto("about:blank")
    fakes.until(lambda: not leftovers(anneal))
    assert asked == ["beforeunload"]


def test_an_upload_can_be_cancelled(page: Page, anneal: Anneal, tmp_path: Path) -> None:
    file = tmp_path / "large.zip"
    file.write_bytes(bytes(fakes.LIMIT - 1))
    page.context.new_cdp_session(page).send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2**20},
    )
    upload(page, file)
    expect(page.get_by_text("Uploading:")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Drop files or a folder here")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    fakes.until(lambda: not leftovers(anneal))


def test_too_large_a_file_is_a_sentence(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "large.zip"
    file.write_bytes(bytes(fakes.LIMIT + 1))
    upload(page, file)
    expect(page.get_by_role("alert")).to_contain_text("more than 64.0 MB")


def test_an_import_can_be_cancelled(page: Page, anneal: Anneal, reviews: Path) -> None:
    upload(page, reviews)
    page.get_by_role("button", name="Import", exact=True).click()
    entry = page.locator("li", has_text=re.compile("reviews"))
    entry.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the import").click()
    expect(entry).to_have_count(0)
    fakes.until(lambda: not anneal.history.datasets())


def test_a_refused_import_is_a_sentence(
    page: Page, importer: fakes.FakeImporter, reviews: Path
) -> None:
    importer.failure = BadInput("The import's option seed: too large")
    upload(page, reviews)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("The import's option seed: too large")
    importer.failure = None
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("li", has_text="Importing")).to_be_visible()


# --- imports that failed --------------------------------------------------------------------


def failed(
    anneal: Anneal, field: str | None, reason: str, *, retry: bool | None = None, **options: object
) -> int:
    """A failed import; `retry` says whether it can be tried again: where a field is named."""
    kept = anneal.home / "tmp" / "uploads" / ("e" * 32) / "reviews.csv"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("a")
    row = anneal.history.add_dataset(name="Broken", kind="text", source="reviews.csv")
    order = {"field": field, "paths": [str(kept)], "kind": "text", "options": {"seed": 3} | options}
    again = retry if retry is not None else field is not None
    anneal.history.import_failed(row.id, reason, meta={"retry": order} if again else {})
    return row.id


def test_a_failed_import_says_why_until_it_is_dismissed(page: Page, anneal: Anneal) -> None:
    failed(anneal, None, "There is no network: fetch the file on another machine")
    entry = page.locator("li", has_text="Broken")
    expect(entry).to_contain_text("There is no network")
    expect(entry.get_by_role("button")).to_have_count(1)
    entry.get_by_role("button", name="Dismiss").click()
    expect(entry).to_have_count(0)


def test_what_is_broken_is_left_out_by_a_click(
    page: Page, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    number = failed(anneal, "skip_broken", "cat/1.jpg isn't a picture")
    page.reload()
    entry = page.locator("li", has_text="Broken")
    entry.get_by_role("button", name="Leave them out and import again").click()
    expect(entry).to_contain_text("Importing")
    assert importer.retried == [(number, {"skip_broken": True})]


def test_other_settings_for_a_failed_import_begin_where_it_failed(
    page: Page, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    number = failed(anneal, "columns", "reviews.csv has no column “text”")
    page.reload()
    entry = page.locator("li", has_text="Broken")
    entry.get_by_role("button", name="Change the settings").click()
    panel = page.locator(".an-add")
    expect(panel.get_by_label("Split seed")).to_have_value("3")
    panel.get_by_label("Text", exact=True).select_option("critic")
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("li", has_text="Importing")).to_be_visible()
    assert importer.retried[0][0] == number
    assert importer.retried[0][1]["columns"]["text"] == "critic"


def test_the_form_of_a_failed_import_is_as_it_was(
    page: Page, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    reason = "There are 2 groups, and 3 are needed"
    failed(anneal, "group", reason, group="critic", split="random", test=0.2, delimiter=",",
           columns={"label": "stars"}, size=None, skip_broken=False)  # fmt: skip
    page.reload()
    entry = page.locator("li", has_text="Broken")
    expect(entry).to_contain_text("What to change there: “Column to group by”")
    entry.get_by_role("button", name="Change the settings").click()
    panel = page.locator(".an-add")
    expect(panel.get_by_label("Column to group by")).to_have_value("critic")
    expect(panel.get_by_label("Column to group by")).to_be_focused()
    expect(panel.get_by_label("Test share")).to_have_value("0.2")
    # Why it failed stays until something is changed.
    expect(panel.get_by_role("alert")).to_have_text(reason)
    panel.get_by_role("button", name="At random").click()
    expect(panel.get_by_role("alert")).to_be_hidden()
    panel.get_by_label("Test share").fill("0.1")
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("li", has_text="Importing")).to_be_visible()
    # What was set before is set back in so many words: the server begins from the old options.
    options = importer.retried[0][1]
    assert (options["group"], options["split"], options["test"]) == (None, "random", 0.1)
    assert (options["seed"], options["columns"]["label"]) == (3, "stars")


def test_an_import_that_broke_off_is_tried_again_as_it_was_or_otherwise(
    page: Page, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    number = failed(anneal, None, "It was interrupted", retry=True)
    page.reload()
    entry = page.locator("li", has_text="Broken")
    expect(entry.get_by_role("button", name="Try again")).to_be_visible()
    entry.get_by_role("button", name="Change the settings").click()
    expect(page.locator(".an-add").get_by_label("Split seed")).to_have_value("3")
    entry.get_by_role("button", name="Try again").click()
    expect(page.locator("li", has_text="Importing")).to_be_visible()
    assert importer.retried == [(number, {})]


def test_what_was_fetched_and_failed_has_its_columns_named(
    page: Page, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    row = anneal.history.add_dataset(name="Films", kind="", source="hub:a/films")
    retry = {"field": "columns", "paths": [], "origin": "hub:a/films", "kind": "text",
             "options": {}}  # fmt: skip
    anneal.history.import_failed(row.id, "films has no column text", meta={"retry": retry})
    page.reload()
    entry = page.locator("li", has_text="Films")
    entry.get_by_role("button", name="Change the settings").click()
    panel = page.locator(".an-add")
    expect(panel.get_by_role("alert")).to_have_text("films has no column text")
    panel.get_by_label("Text", exact=True).fill("review")
    panel.get_by_label("Text", exact=True).press("Tab")
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("li", has_text="Importing")).to_be_visible()
    assert importer.retried[0][1]["columns"] == {"text": "review"}


def test_a_long_reason_is_opened(page: Page, anneal: Anneal) -> None:
    failed(anneal, None, "\n".join(f"cat/{i}.png isn't a picture" for i in range(30)))
    page.reload()
    entry = page.locator("li", has_text="Broken")
    more = entry.get_by_role("button", name="More")
    expect(more).to_be_visible()
    words = entry.locator(".an-failed")
    before = words.bounding_box()
    assert before is not None
    assert before["height"] < 70
    more.press("Enter")
    after = words.bounding_box()
    assert after is not None
    assert after["height"] > 400
    entry.get_by_role("button", name="Less").click()
    expect(more).to_have_attribute("aria-expanded", "false")


# --- samples and by name --------------------------------------------------------------------


def test_a_sample_is_one_click(page: Page, importer: fakes.FakeImporter) -> None:
    page.get_by_role("button", name="Add a dataset").click()
    page.get_by_role("tab", name="Samples and by name").click()
    card = page.locator(".an-offer", has_text="Tiny Shakespeare")
    expect(card).to_contain_text("Plays <i>as</i> one text.")
    expect(card).to_contain_text("Texts · 1.1 MB · public domain")
    # A homepage that isn't one is no link.
    expect(page.locator(".an-offer", has_text="CIFAR-10").get_by_role("link")).to_have_count(0)
    card.get_by_role("button", name="Install").click()
    expect(card).to_contain_text("Installing")
    expect(page.locator("li", has_text="Importing")).to_be_visible()
    assert importer.fetched == [("sample:tiny", "Tiny Shakespeare", {})]
    importer.ready(importer.history.datasets()[0].id)
    expect(page.locator(".an-shown h2")).to_have_text("Tiny Shakespeare")
    page.get_by_role("button", name="Add a dataset").click()
    page.get_by_role("tab", name="Samples and by name").click()
    expect(card).to_contain_text("Installed")
    card.get_by_role("button", name="Open").click()
    expect(page.locator(".an-shown h2")).to_have_text("Tiny Shakespeare")


def test_a_dataset_of_the_hub_by_its_name(
    page: Page, anneal: Anneal, importer: fakes.FakeImporter
) -> None:
    page.get_by_role("button", name="Add a dataset").click()
    page.get_by_role("tab", name="Samples and by name").click()
    name = page.get_by_label("Dataset", exact=True)
    name.fill("not a name")
    page.get_by_role("button", name="Fetch and import").click()
    expect(page.get_by_role("alert")).to_contain_text("owner/name")
    name.fill("https://huggingface.co/datasets/stanfordnlp/imdb")
    page.get_by_label("Configuration").fill("plain_text")
    page.get_by_role("button", name="Fetch and import").click()
    entry = page.locator("li", has_text="hub:stanfordnlp/imdb@plain_text")
    expect(entry).to_contain_text("Importing")
    assert importer.fetched[0][0] == "hub:stanfordnlp/imdb@plain_text"
    anneal.history.import_failed(anneal.history.datasets()[0].id, "There is no network")
    expect(entry).to_contain_text("There is no network")


# --- recorded on the page -------------------------------------------------------------------


def record(page: Page, what: str) -> None:
    page.get_by_role("button", name="Add a dataset").click()
    page.get_by_role("tab", name="Record").click()
    page.get_by_role("button", name=what).click()
    for number, name in enumerate(["Ja", "Nein/no"]):
        page.get_by_label("Name of the class").nth(number).fill(name)


def made(page: Page, importer: fakes.FakeImporter) -> dict[str, bytes]:
    """The files of the zip that the page has made, once its import has begun."""
    page.get_by_role("button", name="Next: check and import").click()
    expect(page.get_by_text("Not a dataset yet: press “Import” below.")).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("li", has_text="Importing")).to_be_visible()
    return unzipped(importer.started[0][3][0])


def test_drawings_become_a_dataset(page: Page, importer: fakes.FakeImporter) -> None:
    record(page, "Drawings")
    canvas = page.locator(".an-canvas").bounding_box()
    assert canvas is not None
    take = page.locator(".an-record")
    expect(take.first).to_be_disabled()
    go = page.get_by_role("button", name="Next: check and import")
    for number in [0, 0, 0, 0, 1, 1]:
        page.mouse.move(canvas["x"] + 60, canvas["y"] + 60)
        page.mouse.down()
        page.mouse.move(canvas["x"] + 200, canvas["y"] + 180 + 20 * number, steps=4)
        page.mouse.up()
        before = page.locator(".an-thumbnails li").count()
        take.nth(number).click()
        expect(page.locator(".an-thumbnails li")).to_have_count(before + 1)
    expect(page.get_by_text("Nein/no needs at least 3 items")).to_be_visible()
    expect(go).to_be_disabled()
    page.get_by_role("button", name="Remove one of Ja").first.click()
    page.mouse.move(canvas["x"] + 60, canvas["y"] + 60)
    page.mouse.down()
    page.mouse.up()
    take.nth(1).click()
    files = made(page, importer)
    assert sorted(files) == [f"{name}/0000{n}.png" for name in ("Ja", "Nein_no") for n in (1, 2, 3)]
    pixels = Image.open(io.BytesIO(files["Ja/00001.png"])).convert("L")
    assert (pixels.size, pixels.getpixel((0, 0))) == ((112, 112), 0)
    assert pixels.getextrema()[1] > 200
    # It is the import's now: nothing is left to be lost.
    page.get_by_role("tab", name="Record").click()
    expect(page.locator(".an-capture-class")).to_have_count(0)


def test_pictures_by_the_camera_one_a_click_and_many_while_held(
    page: Page, importer: fakes.FakeImporter
) -> None:
    record(page, "Camera")
    take = page.locator(".an-record")
    expect(take.first).to_be_enabled()
    page.wait_for_function("document.querySelector('video').videoWidth > 0")
    first = page.locator(".an-thumbnails").first.locator("li")
    for count in (1, 2, 3):
        take.first.click()
        expect(first).to_have_count(count)
    take.nth(1).hover()
    page.mouse.down()
    second = page.locator(".an-thumbnails").nth(1).locator("li")
    expect(second.nth(4)).to_be_visible()
    page.mouse.up()
    page.wait_for_timeout(300)
    held = second.count()
    page.wait_for_timeout(400)
    assert second.count() == held
    files = made(page, importer)
    assert len(files) == 3 + held
    assert Image.open(io.BytesIO(files["Ja/00001.png"])).size == (224, 224)
    # The camera is let go.
    page.get_by_role("tab", name="Record").click()
    expect(page.locator("video")).to_have_count(0)


def test_sounds_by_the_microphone(page: Page, importer: fakes.FakeImporter) -> None:
    record(page, "Sounds")
    take = page.locator(".an-record")
    expect(take.first).to_be_enabled()
    for number in (0, 1):
        clips = page.locator(".an-thumbnails").nth(number).locator("li")
        for count in (1, 2, 3):
            take.nth(number).click()
            expect(page.get_by_text("Recording …")).to_be_visible()
            expect(clips).to_have_count(count)
            expect(page.get_by_text("Recording …")).to_be_hidden()
    page.get_by_role("button", name="Play the clip").first.click()
    files = made(page, importer)
    loudest = 0
    for content in files.values():
        with wave.open(io.BytesIO(content)) as sound:
            assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
            assert sound.getnframes() == sound.getframerate()  # one second
            samples = memoryview(sound.readframes(sound.getnframes())).cast("h")
            loudest = max(loudest, *samples)
    assert sorted(files)[0] == "Ja/00001.wav"
    assert loudest > 1000  # the browser's pretended microphone beeps


def test_a_microphone_that_is_denied_is_a_sentence(page: Page) -> None:
    page.evaluate(
        """() => {
          navigator.mediaDevices.getUserMedia = async () => {
            throw new DOMException("no", "NotAllowedError");
          };
        }"""
    )
    record(page, "Sounds")
    expect(page.get_by_role("alert")).to_contain_text("may not use the microphone: allow it")
    page.evaluate(
        """() => {
          navigator.mediaDevices.getUserMedia = async () => {
            throw new DOMException("no", "NotFoundError");
          };
        }"""
    )
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("No microphone was found")


def test_what_was_recorded_is_not_lost_by_looking_elsewhere(page: Page) -> None:
    record(page, "Camera")
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
    page.locator(".an-record").first.click()
    expect(page.locator(".an-thumbnails li")).to_have_count(1)
    page.get_by_role("button", name="Faces").click()
    expect(page.locator(".an-shown h2")).to_have_text("Faces")
    page.get_by_role("button", name="Add a dataset").click()
    page.get_by_role("tab", name="Record").click()
    expect(page.locator(".an-thumbnails li")).to_have_count(1)
    page.get_by_role("button", name="Sounds").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 recorded items are thrown away")
    page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    expect(page.get_by_role("button", name="Camera")).to_have_attribute("aria-pressed", "true")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto("about:blank")
    assert asked == ["beforeunload"]


# --- a dataset's page -----------------------------------------------------------------------


def test_a_look_inside(page: Page) -> None:
    inside = page.locator(".an-shown")
    expect(inside).to_contain_text("8 × 8 × 1")
    expect(inside).to_contain_text("CC0")
    expect(inside).to_contain_text("Training 8")
    expect(inside).to_contain_text("median 17")
    expect(inside.locator(".an-fits")).to_contain_text("ConvNet")
    expect(items(page)).to_have_count(4)
    # What is built in can't be changed.
    expect(inside.get_by_role("checkbox")).to_have_count(0)
    expect(inside.get_by_role("button", name="Remove")).to_have_count(0)
    page.get_by_role("button", name="Faces").click()
    expect(inside.get_by_role("heading", level=2)).to_have_text("Faces")
    assert page.url.endswith("?data=Faces")
    inside.get_by_role("link", name="Train on this").click()
    page.wait_for_url("**/?data=Faces")


@pytest.mark.parametrize(
    ("kind", "shows"),
    [("text", ".an-words:has-text('<i>Text</i> 0')"), ("pairs", ".an-pair:has-text('Sentence 1')"),
     ("sequences", "polyline"), ("sound", ".an-wave")],
)  # fmt: skip
def test_items_are_shown_by_their_kind(
    own: Page, answers: fakes.FakeAnswers, kind: str, shows: str
) -> None:
    answers.kind = kind
    answers.states.clear()
    own.reload()
    expect(own.locator(shows).first).to_be_visible()
    if kind == "text":
        expect(own.locator(".an-shown")).to_contain_text("No task here fits it.")
        expect(own.locator(".an-shown .an-later")).to_contain_text("No task can learn from it")
        expect(own.locator(".an-shown")).to_contain_text("Latin 80 % · Cjk 20 %")


def test_columns_of_unlike_size_are_all_seen(own: Page, answers: fakes.FakeAnswers) -> None:
    answers.kind = "sequences"
    answers.states.clear()
    own.reload()
    sequence = own.get_by_role("img", name="cat: each line is drawn over its own range").first
    expect(sequence.locator("polyline")).to_have_count(2)
    heights = sequence.locator("polyline").evaluate_all("all => all.map(e => e.getBBox().height)")
    assert heights == [60, 60]
    items(own).first.dblclick()
    legend = own.get_by_role("dialog").locator(".an-legend li")
    expect(legend).to_have_text(["holiday: 0 to 1", "load: 700 to 1,000"])


def test_an_item_is_shown_large_by_mouse_and_keyboard(own: Page) -> None:
    dialog = own.get_by_role("dialog")
    items(own).nth(1).dblclick()
    expect(dialog.get_by_role("heading")).to_have_text("dog")
    for fact in ("dog/1.png", "Training", "1"):
        expect(dialog.get_by_role("definition").filter(has_text=fact).first).to_be_visible()
    width = dialog.locator("img").evaluate("one => one.getBoundingClientRect().width")
    assert width == 512
    own.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(own.locator(".an-bulk")).to_be_hidden()  # two clicks chose it and let it go
    box = own.get_by_role("checkbox", name="Choose cat/2.png")
    box.focus()
    own.keyboard.press("Enter")
    expect(dialog.get_by_role("heading")).to_have_text("cat")
    dialog.get_by_role("button", name="Close").click()
    expect(box).to_be_focused()
    items(own).nth(3).hover()
    own.get_by_role("button", name="Show dog/3.png large").click()
    expect(dialog).to_contain_text("dog/3.png")


def test_what_cant_be_changed_is_shown_large_too(page: Page) -> None:
    first = page.get_by_role("button", name="Show cat/0.png large")
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("dog/1.png")


def test_the_first_view_says_that_it_shows_training_items(own: Page) -> None:
    expect(own.get_by_text("4 training items, some of each class")).to_be_visible()
    chosen = own.get_by_role("group", name="Split").locator("[aria-pressed=true]")
    expect(chosen).to_have_count(0)
    show_all(own)
    expect(chosen).to_have_text("All")
    expect(own.get_by_label("Class", exact=True)).to_have_value("all")


def test_a_recording_is_played(own: Page, answers: fakes.FakeAnswers) -> None:
    answers.kind = "sound"
    answers.states.clear()
    own.reload()
    expect(own.locator(".an-spectrogram").first).to_be_visible()
    button = own.get_by_role("button", name="Play cat/0.png")
    with own.expect_response("**/api/datasets/sound"):
        button.click()
    expect(button).to_have_text("■")
    expect(button).to_have_text("▶")  # it ends by itself


def test_items_are_filtered_and_turned(own: Page) -> None:
    own.get_by_role("group", name="Split").get_by_role("button", name="Test").click()
    expect(items(own)).to_have_count(2)
    expect(own.get_by_text("1–2 of 2")).to_be_visible()
    own.get_by_label("Class", exact=True).select_option("cat")
    expect(items(own)).to_have_count(1)
    own.locator(".an-balance").get_by_role("button", name="dog").click()
    expect(own.get_by_label("Class", exact=True)).to_have_value("1")


def test_a_preview_that_fails_is_a_sentence(page: Page, answers: fakes.FakeAnswers) -> None:
    answers.failure = BadInput("The files of this dataset are gone: import it again")
    page.get_by_role("button", name="Rows").click()
    expect(page.get_by_text("The files of this dataset are gone")).to_be_visible()
    answers.failure = None
    page.get_by_role("button", name="Rows").click()
    expect(page.locator(".an-balance")).to_be_visible()


# --- the check-up ---------------------------------------------------------------------------


def test_a_finding_shows_its_items_and_is_mended_by_its_button(own: Page) -> None:
    findings = own.locator(".an-findings li")
    expect(findings).to_have_count(2)
    # The more harmful one comes first, whatever the order was.
    expect(findings.first).to_contain_text("Harms")
    copies = own.locator("[data-code=copies]")
    copies.get_by_role("button", name="Show the 2 items").click()
    expect(items(own)).to_have_count(2)
    expect(own.locator(".an-chip")).to_contain_text("dog/3.png is a copy")
    own.get_by_role("button", name="Show everything again").click()
    copies.get_by_role("button", name="Show the 2 items").click()
    copies.get_by_role("button", name="Leave out 1 copy").click()
    expect(findings).to_have_count(1)
    # It is gone, and with it the view of its items.
    expect(own.locator(".an-chip")).to_have_count(0)
    expect(items(own)).to_have_count(4)
    expect(own.locator(".an-told")).to_contain_text("1 items left out. This is version 2 now.")
    own.locator(".an-told").get_by_role("button", name="Undo").click()
    expect(findings).to_have_count(2)
    expect(own.locator(".an-versions li").first).to_contain_text("As in version 1")


def test_a_finding_whose_mend_is_a_setting_leads_to_the_train_page(own: Page) -> None:
    own.get_by_role("link", name="Weigh the classes").click()
    expect(own.get_by_text("Label smoothing is set to 0.1")).to_be_visible()
    expect(own.locator("#field-task-label_smoothing")).to_have_value("0.1")
    expect(own.get_by_role("radio", name="Own")).to_be_checked()


def test_the_train_page_says_that_something_is_wrong_with_a_dataset(
    site: Served, anneal: Anneal, importer: fakes.FakeImporter, open_page: Opens
) -> None:
    row = anneal.history.add_dataset(name="Own", kind="images", source="own.zip")
    importer.ready(row.id, doctor={"stops": 0, "harms": 2})
    page = open_page(f"{site.url}?data=ImportedImages:{row.id}")
    expect(page.get_by_text("2 findings about this dataset may harm")).to_be_visible()
    page.get_by_role("link", name="See the check-up").click()
    expect(page.locator(".an-shown h2")).to_have_text("Own")


# --- changes --------------------------------------------------------------------------------


def test_items_are_chosen_by_mouse_and_left_out(own: Page) -> None:
    show_all(own)
    items(own).nth(1).click()
    items(own).nth(3).click(modifiers=["Shift"])
    expect(own.locator(".an-bulk")).to_contain_text("3 chosen")
    items(own).nth(2).click()
    expect(own.locator(".an-bulk")).to_contain_text("2 chosen")
    own.get_by_role("button", name="Leave out", exact=True).click()
    expect(own.locator(".an-told")).to_contain_text("2 items left out")
    expect(own.locator(".an-facts").first).to_contain_text("Left out2")
    own.get_by_role("group", name="Split").get_by_role("button", name="Left out").click()
    expect(items(own)).to_have_count(2)
    # And they can come back.
    items(own).first.click()
    own.get_by_label("Move to …").select_option("validation")
    expect(own.locator(".an-told")).to_contain_text("1 items moved to validation")
    expect(items(own)).to_have_count(1)


def test_items_are_chosen_by_the_keyboard_and_relabelled(own: Page) -> None:
    show_all(own)
    own.get_by_role("checkbox", name="Choose cat/0.png").focus()
    own.keyboard.press("ArrowRight")
    own.keyboard.press("Space")
    own.keyboard.press("Shift+ArrowRight")
    own.keyboard.press("Shift+ArrowRight")
    expect(own.locator(".an-bulk")).to_contain_text("3 chosen")
    own.keyboard.press("Escape")
    expect(own.locator(".an-bulk")).to_be_hidden()
    own.keyboard.press("Control+a")
    expect(own.locator(".an-bulk")).to_contain_text("12 chosen")
    own.keyboard.press("Escape")
    own.keyboard.press("Space")
    own.get_by_label("New label").fill("<b>ferret</b>")
    own.get_by_label("New label").press("Enter")
    expect(own.locator(".an-told")).to_contain_text("1 items labelled <b>ferret</b>")
    expect(own.locator(".an-balance")).to_contain_text("<b>ferret</b>")


def test_classes_are_renamed_and_merged(own: Page) -> None:
    balance = own.locator("[data-part=balance]")
    balance.get_by_role("button", name="Rename or merge classes").click()
    balance.get_by_label("Choose the class cat").check()
    expect(balance.get_by_label("New name")).to_have_value("cat")
    balance.get_by_label("New name").fill("kitten")
    balance.get_by_role("button", name="Rename", exact=True).click()
    expect(own.locator(".an-balance")).to_contain_text("kitten")
    balance.get_by_role("button", name="Rename or merge classes").click()
    balance.get_by_label("Choose the class kitten").check()
    balance.get_by_label("Choose the class dog").check()
    balance.get_by_label("New name").fill("pet")
    balance.get_by_role("button", name="Merge", exact=True).click()
    expect(own.locator(".an-versions li").first).to_contain_text("kitten, dog became pet")
    expect(own.locator(".an-balance button")).to_have_text(["pet"])


def test_a_new_split_keeps_groups_together(own: Page, answers: fakes.FakeAnswers) -> None:
    own.get_by_role("button", name="Split anew").click()
    dialog = own.get_by_role("dialog", name="Split anew")
    dialog.get_by_role("button", name="By a column").click()
    dialog.get_by_label("Column to group by").select_option("animal")
    dialog.get_by_label("Test share").fill("0.2")
    dialog.get_by_label("Split seed").fill("5")
    dialog.get_by_role("button", name="Split", exact=True).click()
    expect(own.locator(".an-versions li").first).to_contain_text("Split grouped with seed 5")
    asked = [payload for question, payload in answers.asked if question == "change"]
    assert asked[0]["change"] == {"do": "split", "rule": {
        "how": "grouped", "column": "animal", "seed": 5, "validation": 0.1, "test": 0.2,
    }}  # fmt: skip


def test_a_column_for_a_new_split_is_chosen_and_a_refusal_keeps_the_dialog(
    own: Page, answers: fakes.FakeAnswers
) -> None:
    own.get_by_role("button", name="Split anew").click()
    dialog = own.get_by_role("dialog", name="Split anew")
    dialog.get_by_role("button", name="By a column").click()
    column = dialog.get_by_label("Column to group by")
    expect(column).to_have_value("")
    go = dialog.get_by_role("button", name="Split", exact=True)
    go.click()
    assert column.evaluate("one => one.matches(':invalid')")
    column.select_option("animal")
    answers.failure = BadInput("There are 2 groups, and 3 are needed")
    go.click()
    expect(dialog.get_by_role("alert")).to_have_text("There are 2 groups, and 3 are needed")
    answers.failure = None
    dialog.get_by_role("button", name="At random").click()
    go.click()
    expect(dialog).to_have_count(0)
    expect(own.locator(".an-versions li").first).to_contain_text("Split random")


def test_an_old_version_can_be_seen_and_gone_back_to(own: Page) -> None:
    show_all(own)
    items(own).first.click()
    own.get_by_role("button", name="Leave out", exact=True).click()
    expect(own.locator(".an-versions li")).to_have_count(2)
    own.get_by_role("button", name="Look (1)").click()
    expect(own.get_by_text("This is version 1. The newest is version 2.")).to_be_visible()
    expect(own.locator(".an-shown").get_by_role("checkbox")).to_have_count(0)
    expect(own.get_by_role("button", name="Rename or merge classes")).to_have_count(0)
    own.get_by_role("button", name="Show the newest").click()
    expect(own.get_by_text("The newest is version 2.")).to_be_hidden()
    own.get_by_role("button", name="Go back to this version (1)").click()
    expect(own.locator(".an-versions li").first).to_contain_text("As in version 1")
    expect(own.locator(".an-versions li")).to_have_count(3)


def test_a_change_in_another_window_is_shown_and_not_passed_over(
    own: Page, anneal: Anneal, answers: fakes.FakeAnswers
) -> None:
    show_all(own)
    (row,) = anneal.history.datasets()
    made = answers.change(row.id, 1, {"do": "exclude", "rows": [0]})
    anneal.history.dataset_changed(row.id, meta=made["meta"])
    items(own).nth(1).click()
    own.get_by_role("button", name="Leave out", exact=True).click()
    expect(own.locator(".an-told")).to_contain_text("newer version")
    assert len(answers.states[row.id]) == 2
    expect(own.locator(".an-versions li")).to_have_count(2)


# --- the rest -------------------------------------------------------------------------------


def test_a_dataset_in_use_is_not_removed(own: Page, site: Served, anneal: Anneal) -> None:
    (row,) = anneal.history.datasets()
    body = {"names": {"data": f"ImportedImages:{row.id}"}}
    own.request.post(f"{site.url}api/train", data=body)
    own.get_by_role("button", name="Remove").click()
    own.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(own.get_by_text("is needed by run")).to_be_visible()


def test_read_only_shows_and_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, open_page: Opens
) -> None:
    anneal = fakes.make(tmp_path_factory.mktemp("home"), readonly=True)
    failed = anneal.history.add_dataset(name="Broken", kind="images", source="b.zip")
    anneal.history.import_failed(failed.id, "It can't be read")
    ready = anneal.history.add_dataset(name="Own", kind="images", source="own.zip")
    assert isinstance(anneal.importer, fakes.FakeImporter)
    anneal.importer.ready(ready.id)
    with fakes.served(anneal) as site:
        page = open_page(f"{site.url}datasets?add=files")
        expect(page.get_by_text("Another Anneal already serves this folder")).to_be_visible()
        expect(page.get_by_role("button", name="Add a dataset")).to_be_disabled()
        expect(page.get_by_role("button", name="Dismiss")).to_be_disabled()
        expect(page.get_by_role("heading", name="Items")).to_be_visible()
        expect(page.get_by_role("button", name="Remove")).to_be_disabled()
        expect(page.locator(".an-shown").get_by_role("checkbox")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1280])
def test_every_way_in_fits_and_every_input_has_a_label(
    site: Served, open_page: Opens, reviews: Path, width: int
) -> None:
    page = open_page(f"{site.url}datasets?add=files", width=width)
    page.locator(".an-drop input").set_input_files(reviews)
    page.get_by_role("button", name="Import", exact=True).wait_for()
    for way in ("Files", "Samples and by name", "Record"):
        page.get_by_role("tab", name=way).click()
        if way == "Record":
            page.get_by_role("button", name="Drawings").click()
            page.locator(".an-canvas").wait_for()
        nameless = page.evaluate(
            "[...document.querySelectorAll('.an-page :is(input, select, textarea)')]"
            ".filter(e => !e.labels?.length && !e.ariaLabel).map(e => e.outerHTML)"
        )
        assert not nameless
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{way} is {wider} px wider than {width}"


def test_the_ways_in_are_reached_by_the_keyboard(page: Page) -> None:
    page.get_by_role("button", name="Add a dataset").press("Enter")
    page.get_by_role("tab", name="Files").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Samples and by name")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Samples and by name")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tabpanel", name="Files")).to_be_visible()
