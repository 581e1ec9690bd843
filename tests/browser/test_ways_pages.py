"""Every way to pretrain without labels, and to go on from what was learned, from the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page, expect

from storage.history import History
from storage.values import Run
from tests.browser.conftest import Opens
from tests.browser.test_click_to_curve import PATIENCE, Program, digit, train

pytestmark = [pytest.mark.alone, pytest.mark.long]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    running = Program(tmp_path_factory.mktemp("home"))
    running.start()
    yield running
    running.stop()


def trained(page: Page, program: Program, **asked: object) -> Run:
    """A run of these choices and settings (``method__epochs``), finished, its page still open."""
    words = [
        f"set={name.replace('__', '.')}={value}" if "__" in name else f"{name}={value}"
        for name, value in asked.items()
    ]
    page.goto(f"{program.url}?{'&'.join(words)}")
    number = train(page)
    state = page.locator(".run-title .an-state").first
    expect(state).to_have_text(re.compile("Finished"), timeout=PATIENCE)
    with History(program.home / "anneal.db") as history:
        return history.run(number)


@dataclass(frozen=True)
class Way:
    """A task without labels on a small part: what it measures, and what is to be seen."""

    task: str
    model: str
    data: str
    measures: tuple[str, ...]
    seen: str
    settings: dict[str, object] = field(default_factory=dict)


WAYS = (
    Way("Reconstruction", "ConvAutoencoder", "Digits8x8", ("mse", "knn_accuracy"),
        "Reconstructions", {"task__corruption": "Gaussian noise", "task__probe": "k-NN"}),
    Way("MaskedImages", "MaskedAutoencoder", "Digits8x8", ("knn_accuracy",), "Masked pictures",
        {"model__width": 32, "model__layers": 2, "model__patch": 2}),
    Way("Contrastive", "ConvNet", "Digits8x8", ("contrastive_accuracy", "probe_accuracy"),
        "Embeddings", {"task__probe": "linear"}),
    Way("VariationalInference", "VariationalAutoencoder", "Digits8x8", ("negative_elbo", "kl"),
        "Drawn"),
    Way("AdversarialGeneration", "DCGAN", "Digits8x8", ("frechet",), "Drawn"),
    Way("NextStep", "GRU", "MackeyGlass", ("mse",), "Steps"),
    Way("SoundDenoising", "SoundResNet", "TelephoneKeys", ("mse",), "Steps"),
    Way("LanguageModelling", "RecurrentLanguageModel", "DocstringTopics",
        ("perplexity", "knn_accuracy"), "Embeddings",
        {"data__vocabulary": 300, "model__width": 16, "model__layers": 1}),
    Way("MaskedLanguageModelling", "TransformerEncoder", "DocstringTopics",
        ("masked_accuracy", "probe_accuracy"), "Embeddings",
        {"data__vocabulary": 300, "model__width": 16, "model__layers": 1, "task__probe": "linear"}),
    Way("SiameseNetwork", "EmbeddingConvNet", "Glyphs", ("accuracy",), "Episode",
        {"task__episodes": 10}),
)  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.task)
def test_what_learns_without_classes_shows_what_it_learns(
    way: Way, program: Program, open_page: Opens
) -> None:
    page = open_page()
    run = trained(page, program, task=way.task, data=way.data, model=way.model,
                  **way.settings, method__max_steps=20)  # fmt: skip
    assert {f"test/{measure}" for measure in way.measures} <= set(run.metrics)
    heading = page.get_by_role("heading", name=re.compile(way.seen, re.IGNORECASE)).first
    expect(heading).to_be_visible(timeout=PATIENCE)


@pytest.mark.timeout(600)
def test_each_way_to_adapt_shows_what_it_came_from(program: Program, open_page: Opens) -> None:
    page = open_page()
    before = trained(page, program, task="Contrastive", data="Digits8x8", model="ConvNet",
                     method__max_steps=60)  # fmt: skip
    learned: dict[str, float] = {}
    for label, asked in {
        "Linear probe": {"method__epochs": 4},
        "LoRA": {"method__max_steps": 20},
        "Head first, then all": {"method__epochs": 2},
        "Gradual unfreezing": {"method__epochs": 3},
        "Train all weights": {"method__max_steps": 20},
    }.items():
        settings = "".join(f"&set={k.replace('__', '.')}={v}" for k, v in asked.items())
        page.goto(f"{program.url}?start={before.id}{settings}")
        page.get_by_role("radio", name="Classification").check()
        page.get_by_role("radio", name=label).check()
        for name, value in asked.items():
            shown = {"method__epochs": "Epochs", "method__max_steps": "Step limit"}[name]
            page.get_by_label(shown, exact=True).fill(str(value))
        if label == "LoRA":  # this network has no linear layer below its output
            page.get_by_label("Where", exact=True).select_option("linear layers and convolutions")
        few = label in ("Linear probe", "LoRA")
        expect(page.locator(".an-estimate")).to_contain_text(
            "of them trained" if few else "per epoch", timeout=PATIENCE
        )
        number = train(page)
        state = page.locator(".run-title .an-state").first
        expect(state).to_have_text(re.compile("Finished"), timeout=PATIENCE)
        lineage = page.get_by_role("region", name="Lineage")
        expect(lineage.get_by_role("link", name=before.name)).to_be_visible()
        expect(lineage).to_contain_text("made anew")
        with History(program.home / "anneal.db") as history:
            run = history.run(number)
        assert run.parent == before.id
        learned[label] = run.metrics["test/accuracy"]
    assert all(share > 0.2 for share in learned.values()), learned


@pytest.mark.timeout(600)
def test_imagenet_tells_pictures_apart_by_typed_names(program: Program, open_page: Opens) -> None:
    page = open_page(f"{program.url}few")
    page.get_by_role("button", name="Pictures").click()
    for row, name in enumerate(["digit", "dog"]):
        page.get_by_label("Name of the class").nth(row).fill(name)
    expect(page.locator("main")).to_contain_text("ConSE")
    button = page.get_by_role("button", name="Make it")
    expect(button).to_be_enabled(timeout=PATIENCE)
    button.click()
    page.wait_for_url("**/predict?run=*", timeout=PATIENCE)
    page.get_by_role("tab", name="Upload").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "3.png", "mimeType": "image/png", "buffer": digit("3")}
    )
    expect(page.get_by_test_id("prediction")).to_have_text(re.compile("digit|dog"),
                                                           timeout=PATIENCE)  # fmt: skip
