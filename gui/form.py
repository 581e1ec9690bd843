"""The catalogue as a form: what can be chosen, which fields it has, and the recipe it makes.

Everything here is a pure function of the catalogue and of what the page sends, so the form is
tested without a browser. The page draws the plan that `plan` returns and knows no card by name;
it holds only the fields of the four chosen cards, however many cards there are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.catalog import (
    KINDS,
    BadInput,
    Card,
    Catalog,
    Chosen,
    Device,
    Field,
    Frozen,
    Kind,
    Value,
)
from engine.recipe import PUBLISHED, Recipe, compose, is_path, written
from gui.text import text

if TYPE_CHECKING:
    from storage.values import DatasetRow, Run

AUTO = "auto"
IMPORTED = "id"
"""The setting that tells an imported dataset's card which one to open."""
VERSION = "version"
"""The setting that tells it in which version; a clone is made with today's."""


class Wanted(Frozen):
    """What a person has set on the form, and only that."""

    names: dict[Kind, str] = {}  # noqa: RUF012, each form has its own copy
    """Keys of options: a card's name, or ``ImageFolder:3`` for the third imported dataset."""
    touched: dict[str, dict[str, Any]] = {}  # noqa: RUF012
    """``{"model.ConvNet": {"dropout": 0.2}}``: by card, so that another card's stay as they are."""
    thorough: bool = False
    """Begin from the recipe that aims at the best result, not from the one for a first look."""
    start: int | str | None = None
    """A run, “published”, or a path."""
    device: str = AUTO
    labels: str = ""
    """How many labels are used (`Recipe.labels`); all where nothing is said."""
    seed: int | str | None = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """One thing to choose: a card, or an imported dataset read by a card."""

    key: str
    card: Card
    dataset: int | None = None
    version: int = 1
    """Of the dataset: the newest."""
    ill: tuple[int, int] = (0, 0)
    """How many findings about the dataset stop a training, and how many harm it."""

    @property
    def settings(self) -> dict[str, Value]:
        """What the choice itself sets."""
        return {} if self.dataset is None else {IMPORTED: self.dataset, VERSION: self.version}


def options(catalog: Catalog, kind: Kind, imported: Iterable[DatasetRow] = ()) -> list[Option]:
    """What a person can choose of that kind: the cards on offer, then their own datasets."""
    found = [Option(card.name, card) for card in catalog.of(kind) if not card.hidden]
    if kind != "data":
        return found
    cards = {card.name: card for card in catalog.of("data")}
    for row in imported:
        if row.state == "ready" and row.card in cards:
            card = cards[row.card]
            provides = frozenset(row.provides) or card.provides
            own = card.model_copy(update={"label": row.name, "provides": provides,
                                          "help": imported_help(row)})  # fmt: skip
            key = f"{card.name}:{row.id}"
            found.append(Option(key, own, row.id, version_of(row), findings(row)))
    return found


def version_of(row: DatasetRow) -> int:
    """The newest version of an imported dataset."""
    version = row.meta.get("version", 1)
    return version if isinstance(version, int) else 1


def findings(row: DatasetRow) -> tuple[int, int]:
    """How many things about it stop a training, and how many harm it."""
    said = row.meta.get("doctor")
    if not isinstance(said, dict):
        return 0, 0
    return int(said.get("stops") or 0), int(said.get("harms") or 0)


def imported_help(row: DatasetRow) -> str:
    """One line about an imported dataset: how many items of how many classes."""
    counts = row.meta.get("counts")
    items = sum(sum(split) for split in counts.values()) if isinstance(counts, dict) else None
    classes = row.meta.get("classes")
    return " · ".join([
        text("form.imported"),
        *([text("form.items", count=f"{items:,}")] if items else []),
        *([text("form.classes", count=len(classes))] if classes else []),
    ])  # fmt: skip


def settle(offered: Mapping[Kind, Sequence[Option]], names: Mapping[Kind, str],
           catalog: Catalog) -> dict[Kind, Option]:  # fmt: skip
    """Four options that go together: those in `names` as far as they do, task first, method last;
    what isn't named is chosen to go with them, what they suggest before all else.

    BadInput when nothing at all goes together.
    """
    held: dict[Kind, Option] = {}
    for kind in sorted(KINDS, key=lambda kind: kind not in names):
        wanted = next((o for o in offered[kind] if o.key == names.get(kind)), None)
        liked = {option.card.suggests.get(kind) for option in held.values()}
        asked = wanted.card.name if wanted else ""
        others = sorted(offered[kind], key=lambda option: (
            asked not in option.card.takes, option.key not in liked
        ))  # fmt: skip
        for option in [*([wanted] if wanted else []), *others]:
            if reason(offered, {**held, kind: option}, catalog) is None:
                held[kind] = option
                break
        else:
            raise BadInput(reason(offered, held, catalog) or text("form.nothing"), field=kind)
    return held


def reason(offered: Mapping[Kind, Sequence[Option]], given: Mapping[Kind, Option],
           catalog: Catalog) -> str | None:  # fmt: skip
    """Why the given options can't be completed to four that go together; None if they can."""
    messages: list[str] = []

    def complete(cards: dict[Kind, Card], open_kinds: Sequence[Kind]) -> bool:
        if open_kinds:
            kind, *rest = open_kinds
            return any(complete({**cards, kind: o.card}, rest) for o in offered[kind])
        obstacle = catalog.obstacle(cards)
        if obstacle is not None:
            messages.append(str(obstacle))
        return obstacle is None

    if complete({k: o.card for k, o in given.items()}, [k for k in KINDS if k not in given]):
        return None
    # One sentence if that is the trouble whatever else is chosen; else it is the lack of a match.
    if len(set(messages)) == 1:
        return messages[0]
    return text("form.no_match", choices=" + ".join(o.card.label for o in given.values()))


# --- the plan: what the page draws ----------------------------------------------------------


def plan(
    catalog: Catalog,
    wanted: Wanted,
    *,
    imported: Sequence[DatasetRow] = (),
    earlier: Sequence[Run] = (),
    home: Path | None = None,
) -> dict[str, Any]:
    """The whole form as JSON, with the recipe it makes or the problem that stands in its way.

    `earlier` are runs with a checkpoint; those whose weights the chosen model
    takes are offered as a start.
    """
    offered = {kind: options(catalog, kind, imported) for kind in KINDS}
    held = settle(offered, wanted.names, catalog)
    starts = [run for run in earlier if held["model"].card.starts_from(run.model)]
    theirs = [PUBLISHED] if held["model"].card.published else []
    start = wanted.start
    if start in (None, "") or not (is_path(start) or start in [*theirs, *(r.id for r in starts)]):
        start = None
    device = wanted.device if wanted.device in [d.id for d in catalog.devices] else AUTO
    settled = wanted.model_copy(update={
        "names": {kind: option.key for kind, option in held.items()},
        "start": start, "device": device,
    })  # fmt: skip
    return {
        "wanted": settled.model_dump(),
        "sections": [
            {"kind": kind, "title": text(f"form.{kind}"),
             "options": _offer(kind, offered, held, catalog),
             "fields": _fields(kind, held, settled, catalog)}
            for kind in KINDS
        ],
        "two_recipes": _differ(catalog, held),
        "devices": [{"id": AUTO, "label": text("form.automatic")},
                    *({"id": d.id, "label": device_label(d)} for d in catalog.devices)],
        "starts": [*({"id": name, "label": text("form.published")} for name in theirs),
                   *({"id": run.id, "label": f"{run.id} · {run.name}"} for run in starts)],
        "automatic_name": automatic_name(held),
        **_outcome(catalog, settled, held, home),
    }  # fmt: skip


def _offer(kind: Kind, offered: Mapping[Kind, Sequence[Option]], held: Mapping[Kind, Option],
           catalog: Catalog) -> list[dict[str, Any]]:  # fmt: skip
    before = {k: held[k] for k in KINDS[: KINDS.index(kind)]}
    return [
        {"key": option.key, "label": option.card.label, "help": option.card.help,
         "chosen": option.key == held[kind].key,
         "reason": (why := reason(offered, {**before, kind: option}, catalog)),
         "switches": _task_for(option, offered, catalog) if why and kind == "data" else None,
         "ill": illness(option)}
        for option in offered[kind]
    ]  # fmt: skip


def _task_for(option: Option, offered: Mapping[Kind, Sequence[Option]],
              catalog: Catalog) -> str | None:  # fmt: skip
    """The task that choosing this dataset changes to, where it doesn't go with the chosen one."""
    for task in offered["task"]:
        if reason(offered, {"task": task, "data": option}, catalog) is None:
            return task.card.label
    return None


def _differ(catalog: Catalog, held: Mapping[Kind, Option]) -> bool:
    """Whether these four have a thorough recipe of their own."""
    cards = {kind: option.card for kind, option in held.items()}
    return catalog.defaults(cards) != catalog.defaults(cards, thorough=True)


def illness(option: Option) -> str | None:
    """What is said beside a dataset that has something wrong with it."""
    stops, harms = option.ill
    if stops:
        return text("form.stops.one" if stops == 1 else "form.stops", count=stops)
    if harms:
        return text("form.harms.one" if harms == 1 else "form.harms", count=harms)
    return None


def _fields(kind: Kind, held: Mapping[Kind, Option], wanted: Wanted,
            catalog: Catalog) -> list[dict[str, Any]]:  # fmt: skip
    card = held[kind].card
    suggested = catalog.defaults({k: o.card for k, o in held.items()}, thorough=wanted.thorough)
    touched = wanted.touched.get(f"{kind}.{card.name}", {})
    return [
        drawn(field, kind, card, suggested[f"{kind}.{field.name}"], touched)
        for field in on_form(card, held)
    ]  # fmt: skip


def on_form(card: Card, held: Mapping[Kind, Option]) -> list[Field]:
    """A card's settings that a person sees beside the other choices."""
    cards = {kind: option.card for kind, option in held.items()}
    return [field for field in card.fields if not field.hidden and field.matters(cards)]


def drawn(field: Field, group: str, card: Card, suggested: Value,
          touched: Mapping[str, Any]) -> dict[str, Any]:  # fmt: skip
    """A field as a page draws it; `group` comes before its name."""
    return {
        "name": f"{group}.{field.name}", "card": f"{group}.{card.name}", "key": field.name,
        "label": field.label, "help": field.help, "unit": field.unit, "type": field.type,
        "control": control(field), "choices": list(field.choices),
        "low": field.range.low if field.range else None,
        "high": field.range.high if field.range else None,
        "step": field.range.step if field.range else None,
        "log": bool(field.range and field.range.log),
        "optional": field.optional, "empty": field.empty, "advanced": field.advanced,
        "augments": field.augments is not None, "finder": field.finder,
        "only": {"field": f"{group}.{field.only.field}", "values": list(field.only.values)}
        if field.only else None,
        "suggested": suggested,
        "value": touched.get(field.name, suggested),
    }  # fmt: skip


def control(field: Field) -> str:
    """``switch``, ``choice``, ``slider``, ``number``, ``text`` or ``lines``: how it is set.

    A slider only where each of its places is a sensible value: a logarithmic range, one with a
    step, or a share. «Off» has no place on a slider, so what is optional gets a number.
    """
    if field.type == "bool":
        return "switch"
    if field.choices:
        return "choice"
    if field.type not in ("int", "float"):
        return "lines" if field.lines else "text"
    scale = field.range
    if scale is None or field.optional:
        return "number"
    log = scale.log and scale.low > 0
    share = field.type == "float" and scale.high - scale.low <= 1
    return "slider" if log or scale.step or share else "number"


def device_label(device: Device) -> str:
    """``NVIDIA H100 · 80 GB``."""
    return f"{device.name} · {round(device.memory / 2**30)} GB"


def automatic_name(held: Mapping[Kind, Option]) -> str:
    """What a run is called when nobody says: its model and its data."""
    return text("form.run_name", model=held["model"].card.label, data=held["data"].card.label)


# --- the recipe -----------------------------------------------------------------------------


def recipe(catalog: Catalog, wanted: Wanted, *, imported: Sequence[DatasetRow] = ()) -> Recipe:
    """The checked recipe of what is on the form. BadInput names the field at fault.

    A choice that is no longer there is at fault too: another in its place is for the form to show,
    not for a run to be started with.
    """
    offered = {kind: options(catalog, kind, imported) for kind in KINDS}
    held = settle(offered, wanted.names, catalog)
    for kind, key in wanted.names.items():
        if key != held[kind].key:
            raise BadInput(text("form.gone"), field=kind)
    return _recipe(catalog, wanted, held)


def chosen_options(catalog: Catalog, wanted: Wanted, imported: Sequence[DatasetRow] = (),
                   ) -> dict[Kind, Option]:  # fmt: skip
    """The four options on the form."""
    offered = {kind: options(catalog, kind, imported) for kind in KINDS}
    return settle(offered, wanted.names, catalog)


def settings_of(wanted: Wanted, held: Mapping[Kind, Option]) -> dict[str, Value]:
    """What is set on the form for the options on it, by dotted names."""
    settings: dict[str, Value] = {}
    for kind, option in held.items():
        touched = wanted.touched.get(f"{kind}.{option.card.name}", {})
        known = {field.name for field in on_form(option.card, held)}
        settings |= {f"{kind}.{name}": value for name, value in touched.items() if name in known}
        settings |= {f"{kind}.{name}": value for name, value in option.settings.items()}
    return settings


def _recipe(catalog: Catalog, wanted: Wanted, held: Mapping[Kind, Option]) -> Recipe:
    settings = settings_of(wanted, held)
    return compose(
        catalog, names={kind: option.card.name for kind, option in held.items()},
        settings=settings, start=wanted.start, labels=wanted.labels.strip() or None,
        device=wanted.device, seed=_seed(wanted.seed),
        thorough=wanted.thorough,
    )  # fmt: skip


def _seed(value: object) -> int:
    try:
        seed = int(str(value).strip())
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**31:
        raise BadInput(text("form.bad_seed"), field="seed")
    return seed


def _outcome(catalog: Catalog, wanted: Wanted, held: Mapping[Kind, Option],
             home: Path | None) -> dict[str, Any]:  # fmt: skip
    try:
        made = _recipe(catalog, wanted, held)
    except BadInput as problem:
        return {"problem": {"field": problem.field, "text": str(problem)},
                "recipe": None, "command": None}  # fmt: skip
    line = command(catalog, made, home=home, name=wanted.name.strip(), thorough=wanted.thorough)
    return {"problem": None, "recipe": made.to_json(), "command": line}


def command(catalog: Catalog, made: Recipe, *, home: Path | None = None, name: str = "",
            thorough: bool = False, verb: str = "train",
            more: Sequence[str] = ()) -> str:  # fmt: skip
    """The line that trains this recipe without the page: only what differs from the defaults, those
    of the `thorough` recipe if it says so.

    `home` is the folder to name, where it isn't the one that the program finds by itself. `verb` is
    another command that takes the same options, and `more` those of its own.
    """
    cards: Chosen = made.cards(catalog)
    starter = catalog.defaults(cards)
    usual = catalog.defaults(cards, thorough=thorough)
    words = ["python", "app.py", verb]
    for kind in KINDS:
        words += [f"--{kind}", made.choice(kind).name]
    if usual != starter:
        words.append("--thorough")
    for kind in KINDS:
        for setting, value in made.choice(kind).settings.items():
            dotted = f"{kind}.{setting}"
            if not _same(value, usual[dotted]) or cards[kind].field(setting).required:
                words += ["--set", f"{dotted}={written(value)}"]
    if made.start is not None:
        words += ["--start", str(made.start)]
    if made.labels is not None:
        words += ["--labels", made.labels]
    if made.device != AUTO:
        words += ["--device", made.device]
    if made.seed:
        words += ["--seed", str(made.seed)]
    words += more
    if name:
        words += ["--name", name]
    if home is not None:
        words += ["--home", str(home)]
    return shlex.join(words)


def _same(value: Value, other: Value) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def wanted_from(catalog: Catalog, made: Recipe, *, name: str = "",
                imported: Sequence[DatasetRow] = ()) -> Wanted:  # fmt: skip
    """The form as it was when that recipe was made: what differs from today's defaults is touched,
    from those of the starter or of the thorough recipe, whichever is nearer.

    Cards, settings and devices that no longer exist are left out; `lost` names them. A dataset is
    taken in its newest version; `renewed` says so.
    """
    offered = {kind: options(catalog, kind, imported) for kind in KINDS}
    names: dict[Kind, str] = {}
    for kind in KINDS:
        choice = made.choice(kind)
        for option in offered[kind]:
            if option.card.name == choice.name and same_dataset(option, choice.settings):
                names[kind] = option.key
    held = settle(offered, names, catalog)
    cards = {kind: option.card for kind, option in held.items()}
    either = [_apart(made, cards, names, held, catalog.defaults(cards, thorough=thorough))
              for thorough in (False, True)]  # fmt: skip
    starter, best = (sum(map(len, touched.values())) for touched in either)
    return Wanted(names=names, touched=either[best < starter], thorough=best < starter,
                  start=made.start, labels=made.labels or "", device=made.device,
                  seed=made.seed, name=name)  # fmt: skip


def _apart(made: Recipe, cards: Chosen, names: Mapping[Kind, str], held: Mapping[Kind, Option],
           usual: Mapping[str, Value]) -> dict[str, dict[str, Any]]:  # fmt: skip
    """A recipe's settings that aren't the usual ones, by card."""
    touched: dict[str, dict[str, Any]] = {}
    for kind, key in names.items():
        if held[kind].key != key:
            continue
        known = {field.name for field in cards[kind].fields if not field.hidden}
        given = {n: v for n, v in made.choice(kind).settings.items()
                 if n in known and not _same(v, usual[f"{kind}.{n}"])}  # fmt: skip
        if given:
            touched[f"{kind}.{cards[kind].name}"] = given
    return touched


def same_dataset(option: Option, settings: Mapping[str, Any]) -> bool:
    """Whether an option is the dataset that a recipe's settings name."""
    return option.dataset is None or option.dataset == settings.get(IMPORTED)


def renewed(made: Recipe, imported: Iterable[DatasetRow]) -> str | None:
    """A sentence where a recipe's dataset has a newer version than the recipe."""
    number, then = made.data.settings.get(IMPORTED), made.data.settings.get(VERSION, 1)
    for row in imported:
        if row.id == number and row.card == made.data.name and version_of(row) != then:
            return text("form.renewed", name=row.name, then=then, now=version_of(row))
    return None


def preset(catalog: Catalog, wanted: Wanted, settings: Iterable[str],
           imported: Sequence[DatasetRow] = ()) -> tuple[Wanted, list[str]]:  # fmt: skip
    """The form with some settings of the chosen cards as an address says them; sentences about it.

    ``task.class_weights=balanced``. What is no field of the chosen cards, or no value of the field,
    is left out and said.
    """
    held = chosen_options(catalog, wanted, imported)
    touched, said = {key: dict(of) for key, of in wanted.touched.items()}, []
    for setting in settings:
        dotted, _, value = setting.partition("=")
        kind, _, name = dotted.partition(".")
        card = next((o.card for k, o in held.items() if k == kind), None)
        field = next((f for f in card.fields if f.name == name and not f.hidden), None) \
            if card else None  # fmt: skip
        if card is None or field is None:
            said.append(text("form.not_set", setting=dotted[:80]))
            continue
        try:
            checked = field.check(value)
        except BadInput as problem:
            said.append(str(problem))
            continue
        touched.setdefault(f"{kind}.{card.name}", {})[name] = checked
        said.append(text("form.set", label=field.label, value=written(checked)))
    return wanted.model_copy(update={"touched": touched}), said


def lost(made: Recipe, wanted: Wanted) -> list[str]:
    """What of a recipe the form can't hold any more: cards' names."""
    return [made.choice(kind).name for kind in KINDS if kind not in wanted.names]


def adopt(catalog: Catalog, wanted: Wanted, made: Recipe) -> Wanted:
    """The form with the model's settings of the run that it is to start from: weights need them."""
    chosen = wanted.names.get("model", made.model.name)
    if chosen != made.model.name and not catalog.card("model", chosen).starts_from(made.model.name):
        chosen = made.model.name
    settings = catalog.card("model", chosen).shared(made.model.settings)
    return wanted.model_copy(update={"touched": {**wanted.touched, f"model.{chosen}": settings}})
