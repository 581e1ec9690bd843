"""One file, one class, one choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import pytest

from engine.catalog import (
    Advanced,
    BadInput,
    Catalog,
    Choosable,
    Help,
    Hidden,
    Only,
    Range,
    fields_of,
)
from engine.recipe import Recipe, compose, differences


class Base:
    def __init__(
        self,
        first: object,
        *,
        rate: Annotated[float, Range(1e-4, 1, log=True), Help("How fast", unit="Hz")] = 0.1,
        kind: Literal["a", "b"] = "a",
    ) -> None: ...


class Derived(Base):
    def __init__(
        self,
        *,
        widths: Annotated[Sequence[int], Range(1, 8)] = (4, 2),
        limit: Annotated[int | None, Range(1, 9), Advanced(), Only("kind", "b")] = None,
        id: Annotated[int, Hidden()],
        **rest: object,
    ) -> None: ...


FIELDS = {field.name: field for field in fields_of(Derived)}


def test_the_form_is_the_keyword_only_arguments() -> None:
    assert list(FIELDS) == ["rate", "kind", "widths", "limit", "id"]
    assert FIELDS["rate"].range == Range(1e-4, 1, log=True)
    assert (FIELDS["rate"].help, FIELDS["rate"].unit) == ("How fast", "Hz")
    assert FIELDS["kind"].choices == ("a", "b")
    assert (FIELDS["widths"].type, FIELDS["widths"].default) == ("ints", [4, 2])
    assert FIELDS["limit"].optional
    assert FIELDS["limit"].advanced
    assert FIELDS["limit"].only == Only("kind", "b")
    assert FIELDS["id"].required
    assert FIELDS["id"].hidden


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("rate", "0.5", 0.5), ("rate", 1, 1.0), ("widths", "1, 8", [1, 8]), ("widths", [2], [2]),
        ("limit", "", None), ("limit", 3.0, 3), ("kind", "b", "b"),
    ],
)  # fmt: skip
def test_values_are_taken_as_people_write_them(name: str, given: object, value: object) -> None:
    assert FIELDS[name].check(given) == value


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("rate", 2, "0.0001–1"), ("rate", "fast", "a number"), ("rate", float("nan"), "a number"),
        ("rate", None, "needs a value"), ("kind", "c", "choose one of a, b"),
        ("widths", "3, 9", "1–8"), ("widths", "3, x", "whole numbers"), ("limit", 2.5, "whole"),
        ("limit", True, "whole"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_the_right_ones(name: str, given: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        FIELDS[name].check(given)


def test_every_card_of_the_program_can_be_read_as_json(catalog: Catalog) -> None:
    assert Catalog.model_validate_json(catalog.model_dump_json()) == catalog
    for card in catalog.cards:
        assert card.help, card
        assert card.label
        for field in card.fields:
            assert field.help, (card.name, field.name)
            if not field.required:
                field.check(field.default)


def test_the_defaults_are_the_first_of_each_kind(catalog: Catalog) -> None:
    recipe = compose(catalog, names={}, settings={})
    chosen = (recipe.task.name, recipe.data.name, recipe.model.name, recipe.method.name)
    assert chosen == ("Classification", "Mnist5000", "ConvNet", "Training")


def test_what_is_left_open_is_chosen_to_fit(catalog: Catalog) -> None:
    assert compose(catalog, names={"model": "LSTM"}, settings={}).data.name == "MnistRows"
    coder = compose(catalog, names={"model": "Autoencoder"}, settings={})
    assert coder.task.name == "Reconstruction"
    assert coder.data.settings["shift"] == 0  # as the model suggests


def test_choices_that_do_not_go_together_say_why(catalog: Catalog) -> None:
    with pytest.raises(BadInput, match="LSTM takes audio or sequence data") as problem:
        compose(catalog, names={"model": "LSTM", "data": "Mnist5000"}, settings={})
    assert problem.value.field == "model"


def test_a_wrong_setting_names_its_field(catalog: Catalog) -> None:
    for settings, field in [
        ({"model.dropout": 3}, "model.dropout"), ({"model.nothing": 1}, "model.nothing"),
        ({"nothing": 1}, "nothing"), ({"method.optimizer": "Adagrad"}, "method.optimizer"),
    ]:  # fmt: skip
        with pytest.raises(BadInput) as problem:
            compose(catalog, names={}, settings=settings)
        assert problem.value.field == field


def test_a_recipe_survives_json_and_is_checked(catalog: Catalog) -> None:
    recipe = compose(catalog, names={}, settings={"model.dropout": 0.2}, seed=4)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.checked(catalog) == recipe
    for broken in ("{", '{"task": 1}', recipe.to_json().replace("seed", "sede")):
        with pytest.raises(BadInput, match="isn't a recipe"):
            Recipe.from_json(broken)


def test_an_imported_dataset_needs_its_number(catalog: Catalog) -> None:
    with pytest.raises(BadInput) as problem:
        compose(catalog, names={"data": "ImportedImages"}, settings={})
    assert problem.value.field == "data.id"
    recipe = compose(catalog, names={"data": "ImportedImages"}, settings={"data.id": 3})
    assert recipe.data.settings["id"] == 3


def test_only_what_differs_is_compared(catalog: Catalog) -> None:
    first = compose(catalog, names={}, settings={})
    second = compose(catalog, names={}, settings={"method.epochs": 3}, seed=1)
    epochs = first.method.settings["epochs"]
    assert differences({7: first, 9: second}) == {
        "method.epochs": {7: epochs, 9: 3}, "seed": {7: 0, 9: 1},
    }  # fmt: skip


def test_a_subclass_registers_itself() -> None:
    class Thing(Choosable, kind="method"):
        pass

    try:

        class Chosen(Thing, label="A thing", fits={"logits"}, suggests={"model.dropout": 0.5}):
            """What it does."""

        assert Chosen.card.help == "What it does."
        assert Choosable.registry["method", "Chosen"] is Chosen
        assert ("method", "Thing") not in Choosable.registry
    finally:
        Choosable.registry.pop(("method", "Chosen"), None)


def test_what_is_left_open_is_what_the_named_choice_suggests(catalog: Catalog) -> None:
    assert compose(catalog, names={}, settings={}).data.name == "Mnist5000"
    summed_up = compose(catalog, names={"task": "Summarization"}, settings={})
    assert summed_up.data.name == "DocstringSummaries"
    assert (
        compose(catalog, names={"data": "DocstringSummaries"}, settings={}).task == summed_up.task
    )
    asked = {"task": "Summarization", "data": "NumberWords"}
    assert compose(catalog, names=asked, settings={}).data.name == "NumberWords"  # type: ignore[arg-type]
