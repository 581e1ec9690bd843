"""The Train page in a real browser; nothing is trained here."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, Route, expect

from engine.catalog import BadInput
from engine.recipe import Recipe
from gui.shell import Anneal, Served
from tests.browser.conftest import Opens
from tests.gui import fakes


@pytest.fixture
def page(site: Served, open_page: Opens) -> Page:
    opened = open_page(site.url)
    opened.get_by_role("radio", name="ConvNet").wait_for()
    return opened


def recipe(anneal: Anneal, page: Page) -> Recipe:
    """That of the run whose page was opened."""
    page.wait_for_url("**/run?id=*")
    number = int(page.url.split("id=")[1])
    return Recipe.from_json(anneal.history.run(number).recipe)


def test_one_click_on_the_defaults_queues_a_run(page: Page, anneal: Anneal) -> None:
    page.get_by_role("button", name="Train", exact=True).click()
    assert recipe(anneal, page).model.name == "ConvNet"


def test_nothing_can_be_trained_before_the_form_is_there(site: Served, open_page: Opens) -> None:
    page = open_page("about:blank")
    held: list[Route] = []
    page.route("**/api/form*", lambda route: held.append(route))
    with page.expect_request("**/api/form*"):
        page.goto(site.url)
    button = page.get_by_role("button", name="Train", exact=True)
    expect(button).to_be_disabled()
    page.wait_for_timeout(200)
    expect(button).to_be_disabled()
    held[0].continue_()
    expect(button).to_be_enabled()


def test_what_is_set_is_what_is_trained(page: Page, anneal: Anneal) -> None:
    page.get_by_label("Epochs", exact=True).fill("3")
    page.get_by_role("spinbutton", name="Dropout").fill("0.25")
    page.get_by_label("Mirror").check()
    page.get_by_label("Optimizer").select_option("SGD")
    page.get_by_role("spinbutton", name="Momentum").fill("0.5")
    page.get_by_label("Widths").fill("8, 4")
    page.get_by_label("Seed").fill("42")
    page.get_by_label("Name").fill("My <b>run</b>")
    page.get_by_role("button", name="Train", exact=True).click()
    made = recipe(anneal, page)
    assert made.method.settings["epochs"] == 3
    assert made.method.settings["optimizer"] == "SGD"
    assert made.method.settings["momentum"] == 0.5
    assert made.model.settings == {"widths": [8, 4], "dropout": 0.25}
    assert made.data.settings == {"flip": True, "mixup": 0.0}
    assert made.seed == 42
    assert anneal.history.runs()[0][0].name == "My <b>run</b>"


def test_a_choice_changes_the_fields_and_keeps_what_was_touched(page: Page) -> None:
    page.get_by_label("Epochs", exact=True).fill("7")
    page.get_by_role("radio", name="Reconstruction").check()
    expect(page.get_by_role("radio", name="Autoencoder")).to_be_checked()
    expect(page.get_by_role("spinbutton", name="Dropout")).to_have_count(0)
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("7")
    page.get_by_role("button", name="Back to the suggestion: 40").click()
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("40")
    expect(page.get_by_label("Epochs", exact=True)).to_be_focused()


def test_a_choice_keeps_the_keyboard_where_it_was(page: Page) -> None:
    page.get_by_role("radio", name="Classification").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Autoencoder")).to_be_checked()
    expect(page.get_by_role("radio", name="Reconstruction")).to_be_focused()


def test_a_choice_that_does_not_go_is_disabled_and_says_why(page: Page) -> None:
    page.get_by_text("6 that don't go with what is chosen above").click()
    lstm = page.locator("label", has=page.get_by_role("radio", name="LSTM"))
    expect(lstm.locator("input")).to_be_disabled()
    expect(lstm).to_contain_text("LSTM takes sequence data, and Digits is not")


def test_a_field_is_there_only_when_it_matters(page: Page) -> None:
    momentum = page.get_by_role("spinbutton", name="Momentum")
    expect(momentum).to_be_hidden()
    page.get_by_label("Optimizer").select_option("SGD")
    expect(momentum).to_be_visible()


def test_a_slider_and_its_number_move_together(page: Page) -> None:
    rate = page.get_by_role("spinbutton", name="Learning rate")
    slider = page.get_by_role("slider", name="Learning rate")
    expect(rate).to_have_value("0.002")
    slider.fill("400")
    expect(rate).to_have_value("10")
    rate.fill("0.00001")
    expect(slider).to_have_value("0")


def test_a_mistake_is_said_beside_its_field_and_starts_nothing(page: Page, anneal: Anneal) -> None:
    dropout = page.get_by_role("spinbutton", name="Dropout")
    dropout.fill("2")
    said = page.locator("[data-field='model.dropout'] .an-problem")
    expect(said).to_have_text("Dropout is 2: it must be a number in 0–0.9")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(dropout).to_be_focused()
    expect(dropout).to_have_attribute("aria-invalid", "true")
    assert anneal.history.runs()[1] == 0
    dropout.fill("0.2")
    expect(said).to_be_hidden()


def test_a_mistake_among_the_advanced_opens_them(page: Page) -> None:
    page.locator("[data-section=method] summary").click()
    page.get_by_label("Early stopping").fill("5000")
    page.locator("[data-section=method] summary").click()
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_label("Early stopping")).to_be_visible()
    expect(page.get_by_label("Early stopping")).to_be_focused()


def test_the_estimate_follows_the_form(page: Page, anneal: Anneal) -> None:
    shown = page.locator(".an-estimate")
    expect(shown).to_contain_text("1,234,567")
    expect(shown).to_contain_text("300 MB")
    expect(shown).to_contain_text("1 min 35 s")
    answers = anneal.answers
    assert isinstance(answers, fakes.FakeAnswers)
    fakes.until(lambda: "preview" in dict(answers.asked))
    before = len(answers.asked)
    # In one go: a busy machine might rest between three fills.
    page.get_by_label("Epochs", exact=True).evaluate(
        """(field) => {
          for (const epochs of ["2", "20", "200"]) {
            field.value = epochs;
            field.dispatchEvent(new Event("input", { bubbles: true }));
          }
        }"""
    )
    fakes.until(lambda: len(answers.asked) > before)
    page.wait_for_timeout(600)
    assert len(answers.asked) == before + 1, "only what the form came to rest on is asked"
    last = json.loads(answers.asked[-1][1]["recipe"])
    assert last["method"]["settings"]["epochs"] == 200


@pytest.mark.parametrize(
    ("memory", "said"), [(999 << 20, "999 MB"), (1000 << 20, "1.0 GB"), (1024 << 20, "1.0 GB")]
)
def test_memory_is_never_written_with_four_digits(
    site: Served, anneal: Anneal, open_page: Opens, memory: int, said: str
) -> None:
    answers = anneal.answers
    assert isinstance(answers, fakes.FakeAnswers)
    answers.memory = memory
    expect(open_page(site.url).locator(".an-estimate")).to_contain_text(said)


def test_an_address_that_names_what_is_not_there_says_so(site: Served, open_page: Opens) -> None:
    page = open_page(f"{site.url}?task=TextClassification&data=Rows&model=<b>Net")
    notices = page.locator(".an-notice")
    expect(notices).to_have_text([
        "Nothing here is called TextClassification, so something else is chosen.",
        "Nothing here is called <b>Net, so something else is chosen.",
    ])  # fmt: skip
    expect(page.get_by_role("radio", name="Rows")).to_be_checked()


def test_an_estimate_that_fails_is_a_sentence_and_blocks_nothing(
    page: Page, anneal: Anneal
) -> None:
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    anneal.answers.failure = BadInput("Too large for this machine: take a smaller batch")
    page.get_by_label("Epochs", exact=True).fill("11")
    expect(page.locator(".an-estimate-note")).to_have_text(
        "Too large for this machine: take a smaller batch"
    )
    page.get_by_role("button", name="Train", exact=True).click()
    assert recipe(anneal, page).method.settings["epochs"] == 11


def test_a_slow_estimate_does_not_hold_the_click_up(page: Page, anneal: Anneal) -> None:
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    anneal.answers.slow = True
    page.get_by_label("Epochs", exact=True).fill("12")
    expect(page.locator(".an-estimate-note")).to_have_text("Timing a few real steps …")
    page.get_by_role("button", name="Train", exact=True).click()
    assert recipe(anneal, page).method.settings["epochs"] == 12
    fakes.until(lambda: all(future.done() for future in anneal.answers.futures))  # type: ignore[attr-defined]


def test_a_clone_is_as_the_run_was(site: Served, anneal: Anneal, open_page: Opens) -> None:
    first = fakes.add_run(anneal.history, name="Ancestor")
    body = {"name": "Mine", "seed": 9, "device": "cpu", "start": first,
            "touched": {"model.ConvNet": {"dropout": 0.3},
                        "method.Training": {"patience": 4}}}  # fmt: skip
    page = open_page(site.url)
    run = page.request.post(f"{site.url}api/train", data=body).json()["run"]
    page.goto(f"{site.url}?clone={run}")
    expect(page.get_by_text(f"Everything is set as it was in run {run}.")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Mine")
    expect(page.get_by_label("Seed")).to_have_value("9")
    expect(page.get_by_label("Device")).to_have_value("cpu")
    expect(page.get_by_label("Starting weights")).to_have_value(str(first))
    expect(page.get_by_role("spinbutton", name="Dropout")).to_have_value("0.3")
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_url("**/run?id=*")
    again = anneal.history.run(int(page.url.split("id=")[1]))
    assert again.recipe == anneal.history.run(run).recipe
    assert again.name == "Mine"


def test_a_clone_of_a_run_that_is_gone_leaves_a_form_to_use(site: Served, open_page: Opens) -> None:
    page = open_page(f"{site.url}?clone=99999")
    expect(page.get_by_text("There is no run 99999")).to_be_visible()
    expect(page.get_by_role("radio", name="ConvNet")).to_be_checked()


def test_starting_weights_bring_their_models_settings(
    site: Served, anneal: Anneal, open_page: Opens
) -> None:
    earlier = fakes.add_run(anneal.history, **{"model.widths": "7, 7"})
    page = open_page(site.url)
    page.get_by_label("Starting weights").select_option(str(earlier))
    expect(page.get_by_label("Widths")).to_have_value("7, 7")
    page.get_by_role("button", name="Train", exact=True).click()
    assert recipe(anneal, page).start == earlier


def test_going_back_finds_the_form_as_it_was_left(page: Page) -> None:
    page.get_by_role("radio", name="Reconstruction").check()
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("40")  # the form is drawn anew
    page.get_by_label("Epochs", exact=True).fill("3")
    page.get_by_label("Name").fill("Mine")
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_url("**/run?id=*")
    page.go_back()
    expect(page.get_by_role("radio", name="Reconstruction")).to_be_checked()
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("3")
    expect(page.get_by_label("Name")).to_have_value("Mine")
    page.reload()
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("3")


def test_an_imported_dataset_is_chosen_by_the_address(
    site: Served, anneal: Anneal, open_page: Opens
) -> None:
    row = anneal.history.add_dataset(name="Cats & <i>dogs</i>", kind="images", source="c.zip")
    anneal.history.dataset_ready(
        row.id, card="ImportedImages", provides=["image", "label"], meta={}, bytes=1,
        fingerprint="f",
    )  # fmt: skip
    page = open_page(f"{site.url}?data=ImportedImages:{row.id}")
    expect(page.get_by_role("radio", name="Cats & <i>dogs</i>")).to_be_checked()
    page.get_by_role("button", name="Train", exact=True).click()
    assert recipe(anneal, page).data.settings["id"] == row.id


def test_the_command_is_copied_whole(page: Page) -> None:
    page.get_by_role("spinbutton", name="Dropout").fill("0.5")
    page.get_by_text("Copy as command").click()
    line = page.get_by_label("Command", exact=True)
    expect(line).to_contain_text("--set model.dropout=0.5")
    page.get_by_role("button", name="Copy: Command").click()
    expect(page.get_by_role("button", name="Copy: Command")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == line.inner_text()
    assert json.loads(page.locator("pre").last.inner_text())["model"]["name"] == "ConvNet"


def test_the_queue_is_counted(site: Served, anneal: Anneal, open_page: Opens) -> None:
    fakes.add_run(anneal.history, ended=False)
    fakes.add_run(anneal.history, saved=False)
    page = open_page(site.url)
    expect(page.get_by_text("2 runs before this one.")).to_be_visible()


def test_every_input_has_a_label(page: Page) -> None:
    for summary in page.locator("summary").all():
        summary.click()
    page.get_by_label("Optimizer").select_option("SGD")
    nameless = page.evaluate(
        "[...document.querySelectorAll('.an-page :is(input, select, textarea)')]"
        ".filter(e => !e.labels?.length && !e.ariaLabel).map(e => e.outerHTML)"
    )
    assert not nameless


def test_the_page_goes_on_when_the_server_was_away(page: Page, site: Served) -> None:
    page.route("**/api/form", lambda route: route.abort())
    page.get_by_label("Epochs", exact=True).fill("5")
    expect(page.get_by_text("Anneal doesn't answer.")).to_be_visible()
    page.unroute("**/api/form")
    page.get_by_label("Epochs", exact=True).fill("6")
    expect(page.get_by_text("Anneal doesn't answer.")).to_be_hidden()


def held(page: Page, address: str) -> list[Route]:
    """The first request for that address, as soon as there is one: it waits until it is let on."""
    those: list[Route] = []
    page.route(address, lambda route: route.continue_() if those else those.append(route))
    return those


def test_what_is_typed_before_the_form_comes_is_kept(site: Served, open_page: Opens) -> None:
    page = open_page()
    waiting = held(page, "**/api/form")
    with page.expect_request("**/api/form"):
        page.goto(site.url)
    page.get_by_label("Name", exact=True).fill("early")
    page.get_by_label("Seed", exact=True).fill("-3")
    waiting[0].continue_()
    expect(page.get_by_text("Seed must be a whole number").first).to_be_visible()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("-3")
    expect(page.get_by_label("Name", exact=True)).to_have_value("early")


def test_nothing_moves_when_the_pictures_come(site: Served, open_page: Opens) -> None:
    """A click on what is below would miss it."""
    page = open_page()
    waiting = held(page, "**/api/preview")
    with page.expect_request("**/api/preview"):
        page.goto(site.url)
    model = page.locator('[data-section="model"]')
    before = model.evaluate("box => box.getBoundingClientRect().top")
    waiting[0].continue_()
    expect(page.locator(".an-drawn-item .an-picture").first).to_be_visible()
    expect(page.locator(".an-drawn-blank")).to_have_count(0)
    assert model.evaluate("box => box.getBoundingClientRect().top") == pytest.approx(before, abs=1)


def test_read_only_says_so_and_lets_nothing_start(
    tmp_path_factory: pytest.TempPathFactory, open_page: Opens
) -> None:
    anneal = fakes.make(tmp_path_factory.mktemp("home"), readonly=True)
    with fakes.served(anneal) as site:
        page = open_page(site.url)
        expect(page.get_by_text("Another Anneal already serves this folder")).to_be_visible()
        expect(page.get_by_role("button", name="Train", exact=True)).to_be_disabled()


def test_augmentation_shows_what_it_does_and_hides_what_a_task_can_not_take(
    page: Page, anneal: Anneal
) -> None:
    group = page.get_by_role("group", name="Augmentation")
    strip = group.locator(".an-drawn-item")
    expect(strip).to_have_count(4)
    expect(strip.first.locator("figure")).to_have_count(5)
    expect(strip.first).to_contain_text("cat")
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    before = len(anneal.answers.asked)
    group.get_by_role("spinbutton", name="MixUp").fill("0.4")
    expect(strip.first.locator("figcaption").nth(1)).to_have_text("cat 70 % · dog 30 %")
    asked = [payload for question, payload in anneal.answers.asked[before:]
             if question == "preview"]  # fmt: skip
    assert len(asked) == 1  # however many letters were typed
    expect(group.get_by_text("Mirrored, many of these pictures become others")).to_have_count(0)
    group.get_by_label("Mirror").check()
    warned = group.get_by_text("of 83 % the nearest picture is of the same class")
    expect(warned).to_be_visible()
    group.get_by_role("button", name="Draw again").click()
    fakes.until(lambda: anneal.answers.asked[-1][1].get("salt") == 1)  # type: ignore[attr-defined]
    page.get_by_role("radio", name="Reconstruction").check()
    expect(page.get_by_role("spinbutton", name="MixUp")).to_have_count(0)
    page.get_by_role("radio", name="Classification").check()
    expect(page.get_by_role("spinbutton", name="MixUp")).to_have_value("0.4")
    page.get_by_role("button", name="Train", exact=True).click()
    made = recipe(anneal, page)
    assert made.data.settings == {"flip": True, "mixup": 0.4}
    page.goto(f"{page.url.split('/run')[0]}/?clone={page.url.split('id=')[1]}")
    expect(page.get_by_role("spinbutton", name="MixUp")).to_have_value("0.4")
    expect(page.get_by_label("Mirror")).to_be_checked()
