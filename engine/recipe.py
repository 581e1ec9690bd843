"""A recipe: names, settings and a seed, all that is needed to repeat a run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from engine.catalog import KINDS, BadInput, Card, Catalog, Frozen, Kind, Value

PUBLISHED = "published"
"""The start from weights that others have trained."""


def is_path(start: int | str | None) -> bool:
    """Whether a start is a file or a folder."""
    return isinstance(start, str) and start != PUBLISHED


class Amount(Frozen):
    """How many of the training labels are used: a share of each class, or so many items of it."""

    share: float | None = None
    """Above 0, at most 1."""
    each: int | None = None
    """Items of each class, at least 1."""

    @classmethod
    def of(cls, text: str) -> Amount:
        """``3%`` or ``5``. BadInput when it is neither."""
        written = re.fullmatch(r"(\d{1,9})|(\d{1,3}(?:\.\d{1,4})?)%", text.strip(), re.ASCII)
        if written is None or not float(written[1] or written[2]) or float(written[2] or 0) > 100:
            raise BadInput(
                f"Labels used: {text[:40]!r} is neither a share of the training split like 3% nor "
                "a number of items a class like 5", field="labels",
            )  # fmt: skip
        if written[1]:
            return cls(each=int(written[1]))
        return cls(share=float(written[2]) / 100)

    def count(self, items: int) -> int:
        """How many of a class with so many `items`: at least one, and more for a larger amount."""
        if self.each is not None:
            return min(self.each, items)
        assert self.share is not None
        return min(max(round(items * self.share), 1), items)


def _amount(text: str) -> str:
    Amount.of(text)
    return text.strip()


class Choice(Frozen):
    """A card's name and the settings given to it."""

    name: str
    settings: dict[str, Value] = Field(default_factory=dict)


class Recipe(Frozen):
    """All that is needed to repeat a run, as JSON."""

    task: Choice
    data: Choice
    model: Choice
    method: Choice
    start: int | str | None = None
    """Where the first weights come from: None from chance, a number from that run, “published” from
    those who have published the model, and a path from a file or folder of safetensors."""
    labels: Annotated[str, AfterValidator(_amount)] | None = None
    """How many labels of the training split are used: ``3%`` of each class, or ``5`` items of each;
    None for all. Which ones, the seed decides."""
    device: str = "auto"
    """``auto`` or a device's id, as ``app.py catalog`` lists them."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Decides the initial weights, the order of the data, dropout, augmentation, and which labels
    are used where not all are."""

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read a recipe; BadInput says where it is malformed."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise BadInput(f"This isn't a recipe: {where}: {first['msg']}", field=where) from None

    def to_json(self) -> str:
        """One line of JSON."""
        return self.model_dump_json()

    @property
    def parent(self) -> int | None:
        """The run that it starts from, or else the one that teaches it."""
        return next((one for one in (self.start, self.teacher) if isinstance(one, int)), None)

    @property
    def teacher(self) -> Value:
        """The run whose answers it learns from beside the labels, where its method names one."""
        return self.method.settings.get("teacher")

    def choice(self, kind: Kind) -> Choice:
        """What was chosen of that kind."""
        choice: Choice = getattr(self, kind)
        return choice

    def cards(self, catalog: Catalog) -> dict[Kind, Card]:
        """The four cards. BadInput when a name isn't in the catalogue."""
        return {kind: catalog.card(kind, self.choice(kind).name) for kind in KINDS}

    def checked(self, catalog: Catalog) -> Recipe:
        """The same recipe with every setting filled in and checked.

        BadInput names the field at fault, or the choice that doesn't go with the others.
        """
        cards = self.cards(catalog)
        if obstacle := catalog.obstacle(cards):
            raise obstacle
        if cards["method"].adapts and self.start is None:
            raise BadInput(
                f"{cards['method'].label} works on weights that have learned something already: "
                "choose a run or published weights to start from, or train all weights",
                field="start",
            )
        if self.start == PUBLISHED and not cards["model"].published:
            raise BadInput(
                f"There are no published weights for {cards['model'].label}: start from scratch, "
                "from an earlier run or from a file", field="start",
            )  # fmt: skip
        without: dict[str, Value] = {}  # what doesn't matter is off, whatever its default
        for field in cards["data"].fields:
            if not field.augments or field.matters(cards):
                continue
            off = field.augments.off
            if self.data.settings.get(field.name, off) != off:
                learner = cards["model"].label if field.spectral else \
                    f"{cards['task'].label} with “{cards['method'].label}”"  # fmt: skip
                raise BadInput(
                    f"{learner} can't learn from items changed by “{field.label}”: set it to {off}",
                    field=f"data.{field.name}",
                )
            without[field.name] = off
        if self.device != "auto" and catalog.devices:
            known = [device.id for device in catalog.devices]
            if self.device not in known:
                raise BadInput(f"There is no device {self.device!r} here (there is: auto, "
                               f"{', '.join(known)})", field="device")  # fmt: skip
        filled: dict[str, Choice] = {
            kind: Choice(
                name=card.name,
                settings=card.check(
                    {**(without if kind == "data" else {}), **self.choice(kind).settings}
                ),
            )
            for kind, card in cards.items()
        }
        return self.model_copy(update=filled)

    def flat(self) -> dict[str, Value]:
        """``{"task": …, "model": …, "model.width": 32, …, "seed": 0}``: for tables and diffs."""
        rows: dict[str, Value] = {}
        for kind in KINDS:
            choice = self.choice(kind)
            rows[kind] = choice.name
            rows |= {f"{kind}.{name}": value for name, value in choice.settings.items()}
        return rows | {
            "start": self.start, "labels": self.labels, "device": self.device, "seed": self.seed,
        }  # fmt: skip


def compose(
    catalog: Catalog,
    *,
    names: Mapping[Kind, str],
    settings: Mapping[str, Any],
    start: int | str | None = None,
    labels: str | None = None,
    device: str = "auto",
    seed: int = 0,
    thorough: bool = False,
) -> Recipe:
    """A checked recipe from four names and ``{"model.dropout": 0.2, …}``, defaults filled in;
    `thorough` takes those for the best result instead of those for a first look.

    A name that is left out is chosen: the first card that goes with the others.
    BadInput names the field at fault.
    """
    cards = fill(catalog, names)
    values = catalog.defaults(cards, thorough=thorough)
    for name, value in settings.items():
        kind, _, field = name.partition(".")
        if kind not in cards or not field:
            raise BadInput(
                f"There is no setting {name!r}: settings are said as model.dropout; seed, device, "
                "start and labels have options of their own", field=name,
            )  # fmt: skip
        try:
            cards[kind].field(field)
        except BadInput as problem:
            raise BadInput(str(problem), field=name) from None
        values[name] = value
    required = {f"{k}.{f.name}" for k, c in cards.items() for f in c.fields if f.required}
    chosen = {
        kind: Choice(name=card.name, settings={
            f.name: values[f"{kind}.{f.name}"] for f in card.fields
            if f"{kind}.{f.name}" in settings or f"{kind}.{f.name}" not in required
        })
        for kind, card in cards.items()
    }  # fmt: skip
    if labels is not None:
        Amount.of(labels)
    try:
        recipe = Recipe(**chosen, start=start, labels=labels, device=device, seed=seed)
    except ValidationError as problem:
        field = str(problem.errors()[0]["loc"][0])
        raise BadInput(f"{field.capitalize()}: {problem.errors()[0]['msg']}", field=field) from None
    return recipe.checked(catalog)


def fill(catalog: Catalog, names: Mapping[Kind, str]) -> dict[Kind, Card]:
    """The four cards, those not named chosen so that all go together.

    BadInput says why the named ones can't.
    """
    given = {kind: catalog.card(kind, name) for kind, name in names.items() if name}
    if found := list(catalog.combinations(given)):
        # The first of those that follow most of what the named ones suggest.
        liked = {kind: {card.suggests.get(kind) for card in given.values()} for kind in KINDS}
        return dict(max(found, key=lambda cards: sum(
            cards[kind].name in liked[kind] for kind in KINDS
        )))  # fmt: skip
    # Nothing fits: say what is wrong with what was asked, not with what was left open.
    rest = {kind: next(card for card in catalog.of(kind) if not card.hidden) for kind in KINDS}
    raise catalog.obstacle({**rest, **given}) or BadInput("These choices don't go together")


def differences(recipes: Mapping[int, Recipe]) -> dict[str, dict[int, Value]]:
    """Only what differs: ``{"method.learning_rate": {12: 0.001, 14: 0.003}}``."""
    flat = {run: recipe.flat() for run, recipe in recipes.items()}
    names = dict.fromkeys(name for rows in flat.values() for name in rows)
    table = {name: {run: rows.get(name) for run, rows in flat.items()} for name in names}
    return {
        name: row for name, row in table.items()
        if len({json.dumps(value) for value in row.values()}) > 1
    }  # fmt: skip


def written(value: Value) -> str:
    """A setting as the command line takes it."""
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
