"""Classes from their names, or from a few examples of each: the recipe that a page's answers make.

Pure functions of the catalogue and of what the page sends, as `gui.form` is for a training. Nothing
here is trained: a model that has learned something already sees, and its head is computed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.catalog import BadInput, Card, Catalog, Field, Frozen, Kind, Value
from engine.recipe import PUBLISHED, Recipe, compose
from gui import form
from gui.text import text

if TYPE_CHECKING:
    from storage.values import DatasetRow, Run

Way = Literal["names", "examples"]
Item = Literal["text", "image", "audio"]
ITEMS: tuple[Item, ...] = ("text", "image", "audio")

METHODS: dict[Way, str] = {"names": "ZeroShot", "examples": "Prototypes"}
PROVIDED: dict[Way, str] = {"names": "names", "examples": "features"}
"""What a model must provide for each."""
LABELS = "labels"
"""The setting of a dataset that is nothing but the names of its classes."""
ELSEWHERE: dict[Way, set[str]] = {"names": {"wording"}, "examples": set()}
"""Settings of the method that the page asks for in its own way."""
APART = ":"
LONGEST_NAME, LONGEST_SAID, MOST = 100, 1000, 1000
SHOWN = 3
"""Classes that a run is named after."""
RUN = "run:"
"""How the key of an earlier run begins."""


class Class(Frozen):
    """A class as it was typed."""

    name: str = ""
    said: str = ""
    """A sentence that describes it, or several, separated by “|”."""


class Asked(Frozen):
    """What a person has set on the page, and only that."""

    way: Way = "names"
    item: Item = "text"
    classes: tuple[Class, ...] = ()
    data: str = ""
    """The key of a dataset: measured on with names, examples picked from with examples."""
    each: int | str | None = None
    """Examples of each class that are used; all of them where nothing is said."""
    sees: str = ""
    """The key of a model with published weights, or of an earlier run."""
    touched: dict[str, dict[str, Any]] = {}  # noqa: RUF012, each has its own copy
    """``{"method.ZeroShot": {"template": "a photo of a {}"}}``: by card, as the form's."""
    name: str = ""


@dataclass(frozen=True)
class Sight:
    """A model that has learned to see already, and where its weights come from."""

    key: str
    label: str
    task: Card
    card: Card
    start: int | str
    model: Mapping[str, Value] = field(default_factory=dict)
    """Settings of the model that its weights need."""
    data: Mapping[str, Value] = field(default_factory=dict)
    """Settings of the data that it was trained with."""


def sights(catalog: Catalog, way: Way, item: Item, earlier: Iterable[Run]) -> list[Sight]:
    """Everything that can see such items: models whose weights come along, then earlier runs, and
    last what needs a network: without one, what is chosen where nobody chooses works too."""
    found, fetched = [], []
    for card in catalog.of("model"):
        task = _task(catalog, way, item, card) if card.published and not card.hidden else None
        if task and card.bundled:
            found.append(Sight(card.name, card.label, task, card, PUBLISHED))
        elif task:
            label = text("few.fetched", label=card.label)
            fetched.append(Sight(card.name, label, task, card, PUBLISHED))
    cards = {(card.kind, card.name): card for card in catalog.cards}
    for run in earlier:
        model, data = cards.get(("model", run.model)), cards.get(("data", run.data))
        if model is None or data is None or item not in data.provides:
            continue
        # What was computed at once sees with the eyes of what it started from.
        if run.method in METHODS.values():
            continue
        told = ((card, task) for card in catalog.heirs(run.model)
                if (task := _task(catalog, way, item, card)))  # fmt: skip
        if (eyes := next(told, None)) is None:
            continue
        model, task = eyes
        made = Recipe.from_json(run.recipe)
        hidden = {f.name for f in data.fields if f.hidden}
        found.append(Sight(
            f"{RUN}{run.id}", text("few.run", id=run.id, name=run.name, model=model.label), task,
            model, run.id, model.shared(made.model.settings),
            {name: value for name, value in made.data.settings.items() if name not in hidden},
        ))  # fmt: skip
    return found + fetched


def _task(catalog: Catalog, way: Way, item: Item, model: Card) -> Card | None:
    """The task that a model does in that way with such items; None if it can't."""
    if PROVIDED[way] not in model.provides:
        return None
    data = Card(kind="data", name="", label="", provides=frozenset({item, "label"}))
    method = catalog.card("method", METHODS[way])
    for task in catalog.of("task"):
        chosen = {"task": task, "data": data, "model": model, "method": method}
        if "label" in task.needs and catalog.obstacle(chosen) is None:  # type: ignore[arg-type]
            return task
    return None


def datasets(
    catalog: Catalog, item: Item, imported: Sequence[DatasetRow] = ()
) -> list[form.Option]:
    """Those of such items with labels."""
    needed = {item, "label"}
    return [o for o in form.options(catalog, "data", imported) if needed <= o.card.provides]


# --- the plan: what the page draws ----------------------------------------------------------


def plan(
    catalog: Catalog,
    asked: Asked,
    *,
    imported: Sequence[DatasetRow] = (),
    earlier: Sequence[Run] = (),
    home: Path | None = None,
    runs: Path | None = None,
) -> dict[str, Any]:
    """What can be chosen, and the recipe of what is, or the problem that stands in its way.

    `runs` is the folder of runs, in which it is written how each reads its items.
    """
    seeing = sights(catalog, asked.way, asked.item, earlier)
    sight = _sight(seeing, asked.sees)
    offered = datasets(catalog, asked.item, imported)
    data = next((o for o in offered if o.key == asked.data), None)
    asked = asked.model_copy(update={
        "sees": sight.key if sight else "", "data": data.key if data else "",
    })  # fmt: skip
    reading = import_options(sight, runs)
    return {
        "asked": asked.model_dump(),
        "sights": [
            {
                "key": s.key,
                "label": s.label,
                "help": s.card.help,
                "which": s.start == PUBLISHED and not s.card.bundled,
            }
            for s in seeing
        ],
        "datasets": [{"key": o.key, "label": o.card.label, "help": o.card.help} for o in offered],
        "fields": list(_fields(catalog, asked, sight)),
        "import": reading,
        **_outcome(catalog, asked, sight, data, reading, home),
    }


def _sight(seeing: Sequence[Sight], key: str) -> Sight | None:
    return next((s for s in seeing if s.key == key), seeing[0] if seeing else None)


def import_options(sight: Sight | None, runs: Path | None) -> dict[str, Any]:
    """How examples are brought in: nothing is held back, and a run reads what it is used to."""
    options: dict[str, Any] = {"split": "none"}
    if sight is None or not isinstance(sight.start, int) or runs is None:
        return options
    try:
        outline = json.loads((runs / str(sight.start) / "data.json").read_text("utf-8"))
    except (OSError, ValueError):
        return options
    shape, mel = outline.get("shape") or [], outline.get("mel") or {}
    if len(shape) == 3 and shape[0] == shape[1]:
        options |= {"size": shape[0], "channels": shape[2]}
    if "rate" in mel:
        options["rate"] = mel["rate"]
    return options


def _fields(catalog: Catalog, asked: Asked, sight: Sight | None) -> Iterator[dict[str, Any]]:
    """The settings of the method, and of a model whose weights leave them open."""
    method = catalog.card("method", METHODS[asked.way])
    cards: list[tuple[Kind, Card]] = [("method", method)]
    if sight and sight.start == PUBLISHED:
        cards.append(("model", sight.card))
    for kind, card in cards:
        touched = asked.touched.get(f"{kind}.{card.name}", {})
        for each in _open(asked.way, kind, card):
            yield form.drawn(each, kind, card, each.default, touched)


def _open(way: Way, kind: Kind, card: Card) -> list[Field]:
    """A card's fields that the page draws."""
    own = ELSEWHERE[way] if kind == "method" else set()
    return [f for f in card.fields if not f.hidden and f.name not in own]


def _outcome(
    catalog: Catalog, asked: Asked, sight: Sight | None, data: form.Option | None,
    reading: Mapping[str, Any], home: Path | None,
) -> dict[str, Any]:  # fmt: skip
    named = {"automatic_name": automatic_name(asked, data), "recipe": None, "problem": None}
    try:
        if asked.way == "examples" and data is None and sight is not None:
            return {**named, "command": first_lines(catalog, asked, sight, reading, home)}
        made = _recipe(catalog, asked, sight, data)
    except BadInput as problem:
        return {**named, "command": None,
                "problem": {"field": problem.field, "text": str(problem)}}  # fmt: skip
    line = form.command(catalog, made, home=home, name=asked.name.strip())
    return {**named, "recipe": made.to_json(), "command": line}


def first_lines(
    catalog: Catalog, asked: Asked, sight: Sight, reading: Mapping[str, Any], home: Path | None
) -> str:
    """The two lines that make a dataset of examples in a folder, and a model of that."""
    files = text(f"few.files.{asked.item}")
    words = ["python", "app.py", "data", "add", files]
    for option, value in reading.items():
        words += [f"--{option}", str(value)]
    # It is checked as one whose dataset is there: what it is called differs, not what it says.
    settings = _settings(catalog, asked, sight)
    train = ["python", "app.py", "train", "--task", sight.task.name, "--data",
             text("few.number"), "--model", sight.card.name, "--method",
             METHODS[asked.way], "--start", str(sight.start)]  # fmt: skip
    for dotted, value in settings.items():
        if dotted.startswith("method.") or sight.start == PUBLISHED:
            train += ["--set", f"{dotted}={value}"]
    if asked.name.strip():
        train += ["--name", asked.name.strip()]
    if home is not None:
        words += ["--home", str(home)]
        train += ["--home", str(home)]
    return f"{shlex.join(words)}\n{shlex.join(train)}"


def automatic_name(asked: Asked, data: form.Option | None) -> str:
    """What a run is called when nobody says: its classes, or its data."""
    names = [one.name.strip() for one in asked.classes if one.name.strip()]
    of = ", ".join(names[:SHOWN]) + " …" * (len(names) > SHOWN)
    if data is not None and (asked.way == "names" or not names):
        of = data.card.label
    return text(f"few.name.{asked.way}", of=of or text(f"few.item.{asked.item}"))[:120]


# --- the recipe -----------------------------------------------------------------------------


def recipe(
    catalog: Catalog, asked: Asked, *, imported: Sequence[DatasetRow] = (),
    earlier: Sequence[Run] = (),
) -> Recipe:  # fmt: skip
    """The checked recipe of what is on the page. BadInput names the field at fault.

    What was chosen and is gone is at fault too: nothing is put in its place.
    """
    seeing = sights(catalog, asked.way, asked.item, earlier)
    offered = datasets(catalog, asked.item, imported)
    sight = _sight(seeing, asked.sees)
    data = next((o for o in offered if o.key == asked.data), None)
    if asked.sees and (sight is None or sight.key != asked.sees):
        raise BadInput(text("form.gone"), field="sees")
    if asked.data and data is None:
        raise BadInput(text("form.gone"), field="data")
    return _recipe(catalog, asked, sight, data)


def _recipe(
    catalog: Catalog, asked: Asked, sight: Sight | None, data: form.Option | None
) -> Recipe:
    if sight is None:
        raise BadInput(text(f"few.none.{asked.way}.{asked.item}"), field="sees")
    names: dict[Kind, str] = {
        "task": sight.task.name, "model": sight.card.name, "method": METHODS[asked.way],
    }  # fmt: skip
    settings = _settings(catalog, asked, sight)
    if data is not None:
        names["data"] = data.card.name
        known = {f.name for f in data.card.fields}
        settings |= {f"data.{n}": v for n, v in sight.data.items() if n in known}
        settings |= {f"data.{n}": v for n, v in data.settings.items()}
        if asked.way == "names" and (said := _wording(asked.classes)):
            settings["method.wording"] = said
    elif asked.way == "names":
        names["data"] = typed(catalog, asked.item).name
        settings[f"data.{LABELS}"] = lines(asked.classes)
    else:
        raise BadInput(text("few.no_data"), field="data")
    labels = str(asked.each).strip() if asked.each not in (None, "") else None
    return compose(
        catalog, names=names, settings=settings, start=sight.start,
        labels=labels if asked.way == "examples" else None,
    )  # fmt: skip


def _settings(catalog: Catalog, asked: Asked, sight: Sight) -> dict[str, Any]:
    """What is set of method and model, by dotted names."""
    settings: dict[str, Any] = {f"model.{n}": v for n, v in sight.model.items()}
    method = catalog.card("method", METHODS[asked.way])
    cards: list[tuple[Kind, Card]] = [("method", method), ("model", sight.card)]
    for kind, card in cards:
        if kind == "model" and sight.start != PUBLISHED:
            continue
        touched = asked.touched.get(f"{kind}.{card.name}", {})
        drawn = {f.name for f in _open(asked.way, kind, card)}
        settings |= {f"{kind}.{n}": v for n, v in touched.items() if n in drawn}
    return settings


def typed(catalog: Catalog, item: Item) -> Card:
    """The dataset of such items that is nothing but names. BadInput where there is none."""
    for card in catalog.of("data"):
        if item in card.provides and any(f.name == LABELS and f.required for f in card.fields):
            return card
    raise BadInput(text(f"few.none.names.{item}"), field="sees")


def lines(classes: Sequence[Class]) -> str:
    """The typed classes as a setting has them, one a line. BadInput names the row at fault."""
    made: list[str] = []
    names: set[str] = set()
    for number, one in enumerate(classes):
        name, said = " ".join(one.name.split()), _said(one, number)
        where = f"classes.{number}"
        if not name:
            if said:
                raise BadInput(text("few.class.nameless"), field=where)
            continue
        if APART in name:
            raise BadInput(text("few.class.colon"), field=where)
        if len(name) > LONGEST_NAME:
            raise BadInput(text("few.class.long", most=LONGEST_NAME), field=where)
        if name in names:
            raise BadInput(text("few.class.twice", name=name), field=where)
        names.add(name)
        made.append(f"{name}{APART} {said}" if said else name)
    if len(made) < 2:
        raise BadInput(text("few.class.two"), field="classes")
    if len(made) > MOST:
        raise BadInput(text("few.class.most", most=f"{MOST:,}"), field="classes")
    return "\n".join(made)


def _wording(classes: Sequence[Class]) -> str:
    """The sentences of classes that a dataset has named."""
    said = [(one.name, _said(one, number)) for number, one in enumerate(classes)]
    return "\n".join(f"{name}{APART} {words}" for name, words in said if name and words)


def _said(one: Class, number: int) -> str:
    said = " ".join(one.said.split())
    if len(said) > LONGEST_SAID:
        raise BadInput(text("few.class.said.long", most=f"{LONGEST_SAID:,}"),
                       field=f"classes.{number}")  # fmt: skip
    return said


# --- and back -------------------------------------------------------------------------------


def seen_by(catalog: Catalog, run: Run) -> Asked:
    """The page for examples that an earlier run sees. BadInput when it can't."""
    for item in ITEMS:
        if any(s.start == run.id for s in sights(catalog, "examples", item, [run])):
            return Asked(way="examples", item=item, sees=f"{RUN}{run.id}")
    raise BadInput(text("few.no_eyes", run=run.id))


def asked_from(catalog: Catalog, run: Run, imported: Sequence[DatasetRow] = ()) -> Asked:
    """The page as it was when that run was made. BadInput for a run of another kind."""
    made = Recipe.from_json(run.recipe)
    way: Way | None = next((w for w, name in METHODS.items() if name == run.method), None)
    data = catalog.card("data", made.data.name)
    item = next((i for i in ITEMS if i in data.provides), None)
    if way is None or item is None:
        raise BadInput(text("few.other", run=run.id))
    said = made.data.settings.get(LABELS) if way == "names" else None
    if not isinstance(said, str):
        said = str(made.method.settings.get("wording") or "")
    offered = [o.key for o in datasets(catalog, item, imported)
               if o.card.name == made.data.name
               and form.same_dataset(o, made.data.settings)]  # fmt: skip
    touched: dict[str, dict[str, Any]] = {}
    kinds: tuple[Kind, ...] = ("method", "model")
    for kind in kinds:
        choice = made.choice(kind)
        card = catalog.card(kind, choice.name)
        own = {f.name: f.default for f in _open(way, kind, card)}
        given = {n: v for n, v in choice.settings.items() if n in own and v != own[n]}
        if given:
            touched[f"{kind}.{card.name}"] = given
    parts = [line.partition(APART) for line in said.splitlines() if line.strip()]
    return Asked(
        way=way, item=item, touched=touched, each=made.labels, name=run.name,
        classes=tuple(Class(name=name.strip(), said=rest.strip()) for name, _, rest in parts),
        data=offered[0] if offered else "",
        sees=f"{RUN}{made.start}" if isinstance(made.start, int) else made.model.name,
    )  # fmt: skip
