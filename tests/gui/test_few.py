"""Few examples: what can be chosen, the recipes of it, and the sentences beside fields."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from engine.catalog import BadInput, Catalog
from engine.recipe import Recipe
from gui import few
from gui.few import Asked, Class
from gui.shell import Anneal
from tests.gui import fakes

CATALOG: Catalog = fakes.seeing()
NAMES = (Class(name="sport", said="news about  games"), Class(), Class(name=" politics "))


@pytest.fixture(scope="module")
def anneal(tmp_path_factory: pytest.TempPathFactory) -> Anneal:
    return replace(fakes.make(tmp_path_factory.mktemp("home")), catalog=CATALOG)


@pytest.fixture
def _new(anneal: Anneal) -> Iterator[None]:
    yield
    fakes.renew(anneal)


def problem(asked: Asked) -> tuple[str | None, str]:
    with pytest.raises(BadInput) as caught:
        few.recipe(CATALOG, asked)
    return caught.value.field, str(caught.value)


def made(ask: httpx.Client, anneal: Anneal, **asked: Any) -> Recipe:
    """The recipe of the run that the page has queued."""
    reply = ask.post("/api/few/make", json=asked).json()
    run = anneal.history.run(reply["run"])
    assert run.state == "queued"
    return Recipe.from_json(run.recipe)


# --- names ----------------------------------------------------------------------------------


def test_typed_names_are_the_data_and_a_model_that_knows_them_reads() -> None:
    recipe = few.recipe(CATALOG, Asked(classes=NAMES))
    assert recipe.data.name == "TypedTextLabels"
    assert recipe.data.settings["labels"] == "sport: news about games\npolitics"
    assert (recipe.method.name, recipe.model.name) == ("ZeroShot", "Reader")
    assert (recipe.start, recipe.labels) == ("published", None)


def test_names_on_a_dataset_are_its_own_and_only_sentences_are_typed() -> None:
    classes = (Class(name="5", said="a film: good, long"), Class(name="1"))
    recipe = few.recipe(CATALOG, Asked(classes=classes, data="Reviews"))
    assert recipe.data.name == "Reviews"
    assert recipe.method.settings["wording"] == "5: a film: good, long"


@pytest.mark.parametrize(
    ("classes", "field", "words"),
    [
        ((), "classes", "two classes or more"),
        ((Class(name="one"), Class(name="  ")), "classes", "two classes or more"),
        ((Class(name="a"), Class(), Class(name="b"), Class(name=" a")), "classes.3", "“a”"),
        ((Class(name="a"), Class(said="what?")), "classes.1", "without a name"),
        ((Class(name="a: b"), Class(name="c")), "classes.0", "can't hold a “:”"),
        ((Class(name="a" * 101), Class(name="c")), "classes.0", "at most 100"),
        ((Class(name="a"), Class(name="c", said="x" * 1001)), "classes.1", "1,000"),
    ],
)
def test_a_name_that_is_wrong_is_told_at_its_row(
    classes: tuple[Class, ...], field: str, words: str
) -> None:
    where, said = problem(Asked(classes=classes))
    assert where == field
    assert words in said


def test_where_nothing_knows_names_it_is_said() -> None:
    where, said = problem(Asked(item="image", classes=NAMES))
    assert (where, "look like" in said) == ("sees", True)
    assert few.plan(CATALOG, Asked(item="image"))["sights"] == []


def test_the_settings_are_those_of_the_method_and_not_what_the_page_asks_otherwise() -> None:
    plan = few.plan(CATALOG, Asked(classes=NAMES))
    assert [field["name"] for field in plan["fields"]] == ["method.template"]
    touched = {
        "method.ZeroShot": {"template": "about {}", "wording": "x"},
        "model.Eye": {"side": 1},
    }
    recipe = few.recipe(CATALOG, Asked(classes=NAMES, touched=touched))
    assert recipe.method.settings == {"template": "about {}", "wording": None}
    wrong = {"model.Eye": {"side": 9}}
    where, _ = problem(Asked(way="examples", item="image", data="Digits", touched=wrong))
    assert where == "model.side"


# --- examples -------------------------------------------------------------------------------


def test_examples_of_a_dataset_are_so_many_of_its_labels() -> None:
    asked = Asked(way="examples", item="image", data="Digits", each="5")
    recipe = few.recipe(CATALOG, asked)
    assert (recipe.method.name, recipe.model.name) == ("Prototypes", "Eye")
    assert (recipe.labels, recipe.start) == ("5", "published")
    assert problem(asked.model_copy(update={"each": "many"}))[0] == "labels"
    assert problem(asked.model_copy(update={"data": ""}))[0] == "data"
    # What was chosen and is gone is not silently another.
    assert problem(asked.model_copy(update={"data": "Gone"}))[0] == "data"
    assert problem(asked.model_copy(update={"sees": "run:99"}))[0] == "sees"


@pytest.mark.usefixtures("_new")
def test_an_earlier_run_sees_with_the_settings_that_its_weights_need(
    ask: httpx.Client, anneal: Anneal
) -> None:
    settings = {"model.widths": "8,4", "data.flip": "true"}
    seen = fakes.add_run(anneal.history, model="ConvNet", data="Digits", **settings)
    coder = fakes.add_run(anneal.history, model="Coder", data="Digits")
    folder = anneal.home / "runs" / str(seen)
    folder.mkdir(parents=True)
    (folder / "data.json").write_text(json.dumps({"shape": [28, 28, 1]}))
    body = {"way": "examples", "item": "image", "sees": f"run:{seen}"}
    plan = ask.post("/api/few", json=body).json()
    keys = [sight["key"] for sight in plan["sights"]]
    # What needs a network comes last; an autoencoder sees through the model that it starts.
    assert keys == ["Eye", f"run:{coder}", f"run:{seen}", "Far"]
    # Its weights leave nothing of the model open, and it reads small grey pictures.
    assert [field["name"] for field in plan["fields"]] == ["method.distance"]
    assert plan["import"] == {"split": "none", "size": 28, "channels": 1}
    first, second = plan["command"].splitlines()
    assert first.endswith("data add examples.zip --split none --size 28 --channels 1")
    assert f"--start {seen}" in second
    recipe = made(ask, anneal, **body, data="Digits", each=1)
    assert recipe.model.settings["widths"] == [8, 4]
    assert (recipe.data.settings["flip"], recipe.start) == (True, seen)
    # What that makes sees with the same eyes: it is no other choice.
    (newest, *_), _ = anneal.history.runs(limit=1)
    anneal.history.claim(newest.id, device="x", pid=1, pid_started=1.0)
    anneal.history.record(newest.id, saved=(0, True))
    assert len(ask.post("/api/few", json=body).json()["sights"]) == 4
    assert ask.get(f"/api/few?start={seen}").json()["asked"]["sees"] == f"run:{seen}"
    writer = fakes.add_run(anneal.history, task="Writing", model="Writer", data="Reviews")
    assert "doesn't tell" in ask.get(f"/api/few?start={writer}").json()["error"]


def test_nothing_hears_until_something_has_learned_to(ask: httpx.Client) -> None:
    plan = ask.post("/api/few", json={"way": "examples", "item": "audio"}).json()
    assert plan["sights"] == []
    assert plan["problem"]["field"] == "sees"


# --- the page's addresses -------------------------------------------------------------------


@pytest.mark.usefixtures("_new")
def test_a_run_is_queued_named_after_its_classes_and_cloned(
    ask: httpx.Client, anneal: Anneal
) -> None:
    body = {"classes": [{"name": n} for n in ("a", "b", "c", "d: e")]}
    refused = ask.post("/api/few/make", json=body).json()
    assert refused["problem"]["field"] == "classes.3"
    body["classes"][3] = {"name": "d", "said": "e: f"}
    body["touched"] = {"method.ZeroShot": {"template": "a {}"}}
    number = ask.post("/api/few/make", json=body).json()["run"]
    run = anneal.history.run(number)
    assert (run.name, run.method) == ("a, b, c …, by name", "ZeroShot")
    cloned = ask.get(f"/api/few?clone={number}").json()
    assert cloned["asked"]["classes"] == [
        *({"name": n, "said": ""} for n in "abc"), {"name": "d", "said": "e: f"},
    ]  # fmt: skip
    assert cloned["asked"]["touched"] == body["touched"]
    assert "as it was" in cloned["notices"][0]
    words = shlex.split(cloned["command"])
    assert "data.labels=a\nb\nc\nd: e: f" in words
    assert words[-2:] == ["--start", "published"]
    again = ask.get(f"/api/runs/{number}").json()["run"]["again"]
    assert again == {"href": f"/few?clone={number}", "words": "Change the names"}
    trained = fakes.add_run(anneal.history)
    assert "was trained" in ask.get(f"/api/few?clone={trained}").json()["error"]
    assert ask.get(f"/api/runs/{trained}").json()["run"]["again"]["href"] == f"/?clone={trained}"


@pytest.mark.usefixtures("_new")
def test_examples_given_on_the_page_become_a_dataset_and_a_run(
    ask: httpx.Client, anneal: Anneal
) -> None:
    row = anneal.history.add_dataset(name="Mine", kind="images", source="mine.zip")
    assert isinstance(anneal.importer, fakes.FakeImporter)
    anneal.importer.ready(row.id)
    body = {"way": "examples", "item": "image", "data": f"ImportedImages:{row.id}",
            "classes": [{"name": "cat"}, {"name": "dog"}]}  # fmt: skip
    recipe = made(ask, anneal, **body)
    (run, *_), _ = anneal.history.runs(limit=1)
    assert (recipe.data.settings["id"], recipe.labels) == (row.id, None)
    assert (run.dataset, run.name) == (row.id, "cat, dog, by example")
    asked = ask.get(f"/api/few?clone={run.id}").json()["asked"]
    assert (asked["way"], asked["data"]) == ("examples", body["data"])


@pytest.mark.parametrize(
    "body", [{"way": "magic"}, {"classes": "a, b"}, {"sees": 3}, {"classes": [{"name": "\ud800"}]}]
)
def test_what_no_page_sends_is_refused(ask: httpx.Client, body: dict[str, Any]) -> None:
    content = json.dumps(body)
    headers = {"Content-Type": "application/json"}
    for path in ("/api/few", "/api/few/make"):
        assert ask.post(path, content=content, headers=headers).status_code == 400
