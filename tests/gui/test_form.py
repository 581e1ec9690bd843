"""The catalogue as a form, without a browser."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.catalog import BadInput, Field, Kind, Range
from engine.recipe import Recipe, compose
from gui import form
from gui.form import Wanted
from gui.text import STRINGS
from tests.gui.fakes import catalog

CATALOG = catalog()
READY = SimpleNamespace(
    id=3, name="Cats <b>", state="ready", card="ImportedImages", provides=("image", "label"),
    meta={"classes": ["cat", "dog"], "counts": {"train": [40, 60], "test": [5, 5]}},
)  # fmt: skip
IMPORTING = SimpleNamespace(id=4, name="Dogs", state="importing", card=None, provides=(), meta={})


def names(plan: dict[str, Any]) -> dict[Kind, str]:
    return plan["wanted"]["names"]  # type: ignore[no-any-return]


def field(plan: dict[str, Any], name: str) -> dict[str, Any]:
    return next(f for s in plan["sections"] for f in s["fields"] if f["name"] == name)


def option(plan: dict[str, Any], kind: str, key: str) -> dict[str, Any]:
    section = next(s for s in plan["sections"] if s["kind"] == kind)
    return next(o for o in section["options"] if o["key"] == key)


def test_the_empty_form_is_the_first_combination_and_can_be_trained() -> None:
    plan = form.plan(CATALOG, Wanted())
    assert names(plan) == {
        "task": "Classification", "data": "Digits", "model": "ConvNet", "method": "Training",
    }  # fmt: skip
    assert plan["problem"] is None
    assert Recipe.from_json(plan["recipe"]) == compose(CATALOG, names={}, settings={})


def test_the_fields_are_those_of_the_chosen_cards_without_the_hidden_ones() -> None:
    plan = form.plan(CATALOG, Wanted(names={"data": "ImportedImages:3"}), imported=[READY])
    fields = [f["name"] for s in plan["sections"] for f in s["fields"]]
    assert "data.flip" in fields
    assert "data.id" not in fields
    assert [n for n in fields if n.startswith("model.")] == ["model.widths", "model.dropout"]


def test_what_nobody_touched_follows_the_suggestion_and_what_they_did_stays() -> None:
    given = Wanted(touched={"method.Training": {"epochs": 3}})
    convnet = form.plan(CATALOG, given)
    assert field(convnet, "method.learning_rate")["value"] == 0.002
    assert field(convnet, "method.epochs")["value"] == 3
    coder = form.plan(CATALOG, Wanted(
        names={"task": "Reconstruction"}, touched=given.touched))  # fmt: skip
    assert field(coder, "method.learning_rate")["value"] == 0.001
    assert field(coder, "method.epochs")["value"] == 3
    assert field(coder, "method.epochs")["suggested"] == 40


def test_settings_belong_to_their_card() -> None:
    given = Wanted(touched={"model.ConvNet": {"widths": [64]}}, names={"data": "Rows"})
    lstm = form.plan(CATALOG, given)
    assert field(lstm, "model.widths")["value"] == [32, 16]
    back = form.plan(CATALOG, given.model_copy(update={"names": {"data": "Digits"}}))
    assert field(back, "model.widths")["value"] == [64]


def test_a_choice_that_does_not_go_with_the_others_says_why() -> None:
    plan = form.plan(CATALOG, Wanted())
    assert option(plan, "data", "Digits")["reason"] is None
    assert "needs data with label" in option(plan, "data", "Faces")["reason"]
    assert "takes sequence data" in option(plan, "model", "Recurrent")["reason"]
    assert "Classification needs a model" in option(plan, "model", "Coder")["reason"]


def test_a_choice_that_nothing_completes_says_so() -> None:
    plan = form.plan(CATALOG, Wanted(names={"task": "Reconstruction"}))
    assert option(plan, "data", "Rows")["reason"] == "Nothing here goes with Reconstruction + Rows"


def test_another_task_keeps_what_still_goes_and_changes_the_rest() -> None:
    plan = form.plan(CATALOG, Wanted(
        names={"task": "Reconstruction", "data": "Faces", "model": "ConvNet"}))  # fmt: skip
    assert names(plan)["data"] == "Faces"
    assert names(plan)["model"] == "Coder"
    assert plan["problem"] is None


@pytest.mark.parametrize(
    ("card", "setting", "value", "said"),
    [
        ("model.ConvNet", "dropout", 2, "0–0.9"),
        ("model.ConvNet", "widths", "32, many", "whole numbers"),
        ("method.Training", "epochs", None, "needs a value"),
        ("method.Training", "epochs", "?", "whole number"),
        ("method.Training", "optimizer", "Magic", "AdamW, SGD"),
    ],
)
def test_a_wrong_value_is_blamed_on_its_field(
    card: str, setting: str, value: Any, said: str
) -> None:
    plan = form.plan(CATALOG, Wanted(touched={card: {setting: value}}))
    assert plan["problem"]["field"] == f"{card.split('.')[0]}.{setting}"
    assert said in plan["problem"]["text"]
    assert plan["recipe"] is None


@pytest.mark.parametrize("seed", ["", "one", "-1", "1.5", str(2**31), None])
def test_a_wrong_seed_is_blamed_on_the_seed(seed: Any) -> None:
    with pytest.raises(BadInput, match="whole number") as caught:
        form.recipe(CATALOG, Wanted(seed=seed))
    assert caught.value.field == "seed"


# --- imported datasets ----------------------------------------------------------------------


def test_an_imported_dataset_is_offered_under_its_own_name_once_it_is_ready() -> None:
    plan = form.plan(CATALOG, Wanted(), imported=[READY, IMPORTING])
    section = next(s for s in plan["sections"] if s["kind"] == "data")
    assert section["options"][-1]["key"] == "ImportedImages:3"
    assert not any(o["key"] in ("ImportedImages", "ImportedImages:4") for o in section["options"])
    own = option(plan, "data", "ImportedImages:3")
    assert own["label"] == "Cats <b>"
    assert own["help"] == "Imported · 110 items · 2 classes"


def test_a_recipe_on_an_imported_dataset_names_it_by_its_number() -> None:
    made = form.recipe(CATALOG, Wanted(names={"data": "ImportedImages:3"}), imported=[READY])
    assert made.data.name == "ImportedImages"
    assert made.data.settings["id"] == 3


def test_a_recipe_names_todays_version() -> None:
    row = SimpleNamespace(**{**vars(READY), "meta": {**READY.meta, "version": 4}})
    made = form.recipe(CATALOG, Wanted(names={"data": "ImportedImages:3"}), imported=[row])
    assert made.data.settings["version"] == 4
    before = form.recipe(CATALOG, Wanted(names={"data": "ImportedImages:3"}), imported=[READY])
    cloned = form.wanted_from(CATALOG, before, imported=[row])
    assert form.recipe(CATALOG, cloned, imported=[row]) == made
    assert form.renewed(before, [row]) is not None
    assert form.renewed(made, [row]) is None
    assert form.renewed(form.recipe(CATALOG, Wanted()), [row]) is None


@pytest.mark.parametrize(
    ("doctor", "said"),
    [(None, None), ({"stops": 0, "harms": 0}, None), ({"stops": 1, "harms": 3}, "will stop"),
     ({"stops": 0, "harms": 2}, "2 findings"), ("ill", None)],
)  # fmt: skip
def test_a_dataset_with_something_wrong_says_so_on_the_form(doctor: Any, said: str | None) -> None:
    row = SimpleNamespace(**{**vars(READY), "meta": {**READY.meta, "doctor": doctor}})
    plan = form.plan(CATALOG, Wanted(), imported=[row])
    ill = option(plan, "data", "ImportedImages:3")["ill"]
    assert ill is None if said is None else said in ill
    assert option(plan, "data", "Digits")["ill"] is None


def test_a_dataset_that_is_gone_is_replaced() -> None:
    plan = form.plan(CATALOG, Wanted(names={"data": "ImportedImages:3"}))
    assert names(plan)["data"] == "Digits"


# --- the command line -----------------------------------------------------------------------

FORMS = [
    Wanted(),
    Wanted(names={"task": "Reconstruction", "data": "Faces"}, seed="7"),
    Wanted(touched={"model.ConvNet": {"dropout": 0.25, "widths": "8, 4"},
                    "method.Training": {"optimizer": "SGD", "momentum": 0.5, "patience": 5}},
           device="cpu", start=None, seed=12),
    Wanted(names={"data": "ImportedImages:3"}, touched={"data.ImportedImages": {"flip": True}}),
]  # fmt: skip


@pytest.mark.parametrize("given", FORMS)
def test_the_command_makes_the_same_recipe(given: Wanted) -> None:
    plan = form.plan(CATALOG, given, imported=[READY])
    words = shlex.split(plan["command"])
    assert words[:3] == ["python", "app.py", "train"]
    said = list(zip(words[3::2], words[4::2], strict=True))
    chosen: dict[Kind, str] = {f[2:]: v for f, v in said if f[2:] in Kind.__args__}  # type: ignore[attr-defined, misc]
    settings = dict(v.split("=", 1) for f, v in said if f == "--set")
    rest = dict(said)
    again = compose(
        CATALOG, names=chosen, settings=settings, seed=int(rest.get("--seed", 0)),
        device=rest.get("--device", "auto"),
    )  # fmt: skip
    assert again == Recipe.from_json(plan["recipe"])


def test_the_command_says_only_what_differs() -> None:
    line = form.plan(CATALOG, Wanted(touched={"model.ConvNet": {"dropout": 0.2}}))["command"]
    assert line == ("python app.py train --task Classification --data Digits --model ConvNet "
                    "--method Training --set model.dropout=0.2")  # fmt: skip


# --- clones and starts ----------------------------------------------------------------------


@pytest.mark.parametrize("given", FORMS)
def test_a_clone_gives_the_recipe_back(given: Wanted) -> None:
    made = form.recipe(CATALOG, given, imported=[READY])
    cloned = form.wanted_from(CATALOG, made, name="again", imported=[READY])
    assert form.recipe(CATALOG, cloned, imported=[READY]) == made
    assert cloned.name == "again"
    assert form.lost(made, cloned) == []


def test_a_clone_of_what_is_no_longer_there_says_what() -> None:
    made = form.recipe(CATALOG, Wanted(names={"data": "ImportedImages:3"}), imported=[READY])
    cloned = form.wanted_from(CATALOG, made)
    assert form.lost(made, cloned) == ["ImportedImages"]
    assert form.plan(CATALOG, cloned)["problem"] is None


def test_only_runs_of_the_same_model_are_offered_as_a_start() -> None:
    earlier: Any = [SimpleNamespace(id=1, name="a", model="ConvNet"),
                    SimpleNamespace(id=2, name="b", model="Coder")]  # fmt: skip
    plan = form.plan(CATALOG, Wanted(start=1), earlier=earlier)
    assert [s["id"] for s in plan["starts"]] == [1]
    assert Recipe.from_json(plan["recipe"]).start == 1
    other = form.plan(CATALOG, Wanted(start=1, names={"task": "Reconstruction"}), earlier=earlier)
    assert other["wanted"]["start"] is None


def test_a_start_brings_its_model_settings_along() -> None:
    made = form.recipe(CATALOG, Wanted(touched={"model.ConvNet": {"widths": [5]}}))
    adopted = form.adopt(CATALOG, Wanted(start=1), made)
    assert form.recipe(CATALOG, adopted).model == made.model


def test_a_run_of_a_model_of_which_another_is_a_part_starts_that_one() -> None:
    """As a masked autoencoder starts a Vision Transformer."""
    earlier: Any = [SimpleNamespace(id=1, name="a", model="ConvNet"),
                    SimpleNamespace(id=2, name="b", model="Coder")]  # fmt: skip
    before = {"task": "Reconstruction", "model": "Coder"}
    made = form.recipe(CATALOG, Wanted(names=before, touched={"model.Coder": {"widths": [5]}}))
    # The task is changed, and with it the model: to the one that takes what the run has learned.
    changed = Wanted(names={**before, "task": "Classification"}, start=2)
    plan = form.plan(CATALOG, changed, earlier=earlier)
    assert names(plan)["model"] == "Successor"
    assert [one["id"] for one in plan["starts"]] == [2]
    assert plan["wanted"]["start"] == 2
    adopted = form.adopt(CATALOG, Wanted(names=names(plan), start=2), made)
    assert form.recipe(CATALOG, adopted).model.settings == {"widths": [5], "dropout": 0.0}


# --- a dataset first ------------------------------------------------------------------------


def test_a_dataset_chosen_alone_brings_a_task_and_a_model_that_fit() -> None:
    for data, task, model in (
        ("Reviews", "Writing", "Writer"),
        ("Faces", "Reconstruction", "Coder"),
        ("Sentences", "Translation", "Translator"),
    ):
        plan = form.plan(CATALOG, Wanted(names={"data": data}))
        assert names(plan) == {"task": task, "data": data, "model": model, "method": "Training"}
        assert plan["problem"] is None


def test_a_dataset_for_another_task_says_which_one_it_changes_to() -> None:
    plan = form.plan(CATALOG, Wanted())
    assert option(plan, "data", "Sentences")["switches"] == "Translation"
    assert option(plan, "data", "Rows")["switches"] is None
    assert option(plan, "model", "Recurrent")["switches"] is None


# --- two recipes ----------------------------------------------------------------------------

WRITING: dict[Kind, str] = {"task": "Writing", "data": "Reviews", "model": "Writer"}


def test_the_thorough_recipe_changes_suggestions_and_what_was_set_stays() -> None:
    starter = form.plan(CATALOG, Wanted(names=WRITING))
    assert field(starter, "method.epochs")["value"] == 4
    touched = {"method.Training": {"learning_rate": 0.5}}
    thorough = form.plan(CATALOG, Wanted(names=WRITING, thorough=True, touched=touched))
    assert field(thorough, "method.epochs")["value"] == 60
    assert field(thorough, "method.learning_rate")["value"] == 0.5
    made = Recipe.from_json(thorough["recipe"])
    assert (made.method.settings["epochs"], made.method.settings["learning_rate"]) == (60, 0.5)


def test_only_what_has_two_recipes_offers_them() -> None:
    assert form.plan(CATALOG, Wanted(names=WRITING))["two_recipes"]
    plan = form.plan(CATALOG, Wanted(thorough=True))
    assert not plan["two_recipes"]
    assert "--thorough" not in plan["command"]


@pytest.mark.parametrize("thorough", [False, True])
def test_the_command_names_the_thorough_recipe_and_makes_the_same(thorough: bool) -> None:
    wanted = Wanted(names=WRITING, thorough=thorough, touched={"model.Writer": {"widths": [4]}})
    plan = form.plan(CATALOG, wanted)
    words = shlex.split(plan["command"])
    assert ("--thorough" in words) is thorough
    assert not any("epochs" in word for word in words)
    settings = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--set")
    again = compose(CATALOG, names=WRITING, settings=settings, thorough=thorough)
    assert again == Recipe.from_json(plan["recipe"])


@pytest.mark.parametrize("thorough", [False, True])
def test_a_clone_begins_from_the_recipe_that_the_run_began_from(thorough: bool) -> None:
    wanted = Wanted(names=WRITING, thorough=thorough, touched={"model.Writer": {"widths": [4]}})
    made = form.recipe(CATALOG, wanted)
    cloned = form.wanted_from(CATALOG, made)
    assert (cloned.thorough, cloned.touched) == (thorough, wanted.touched)


# --- controls -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"type": "bool"}, "switch"),
        ({"type": "choice", "choices": ("a", "b")}, "choice"),
        ({"type": "ints", "range": Range(1, 9)}, "text"),
        ({"type": "str"}, "text"),
        ({"type": "str", "lines": True}, "lines"),
        ({"type": "float", "range": Range(0, 0.9)}, "slider"),
        ({"type": "float", "range": Range(1e-6, 10, log=True)}, "slider"),
        ({"type": "float", "range": Range(0, 10, log=True)}, "number"),
        ({"type": "int", "range": Range(1, 1000)}, "number"),
        ({"type": "int", "range": Range(8, 64, 8)}, "slider"),
        ({"type": "float", "range": Range(0, 0.9), "optional": True}, "number"),
        ({"type": "int"}, "number"),
    ],
)
def test_each_kind_of_field_has_its_control(settings: dict[str, Any], expected: str) -> None:
    assert form.control(Field(name="x", label="X", **settings)) == expected


# --- words ----------------------------------------------------------------------------------

GUI = Path(form.__file__).parent
WRITTEN = "\n".join(p.read_text("utf-8") for p in [*GUI.rglob("*.py"), *GUI.rglob("static/*.js")])


def test_every_string_that_is_asked_for_exists() -> None:
    asked = set(re.findall(r'\btext\(\s*"([a-z_.]+)"', WRITTEN))
    assert asked
    assert asked <= STRINGS.keys(), asked - STRINGS.keys()


def test_every_string_is_used() -> None:
    # A key may be put together: `train.${name}`, f"nav.{self.name}".
    parts = set(re.findall(r'[`"]([a-z_]+\.(?:[a-z]+\.)*)[${]', WRITTEN))
    unused = [k for k in STRINGS
              if f'"{k}"' not in WRITTEN.replace(f'"{k}":', "")
              and not any(k.startswith(part) for part in parts)]  # fmt: skip
    assert not unused


def test_a_choice_that_is_gone_starts_nothing_in_its_place() -> None:
    for kind, name in (("data", "ImportedImages:99"), ("model", "Nope")):
        wanted = Wanted(names={kind: name})  # type: ignore[dict-item]
        assert form.plan(CATALOG, wanted)  # the form shows another
        with pytest.raises(BadInput, match="no longer here") as problem:
            form.recipe(CATALOG, wanted)
        assert problem.value.field == kind
