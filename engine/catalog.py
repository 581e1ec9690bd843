"""What can be chosen, read from the classes themselves.

One file, one class, one choice: subclassing `Model`, `Dataset`, `Task` or `Method`
registers the class, the keyword-only arguments of its ``__init__`` become the form,
and the first line of its docstring becomes the tooltip. This module knows nothing of
PyTorch, so the pages can read a catalogue that another process wrote.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict

Kind = Literal["task", "model", "data", "method", "explanation", "export"]
Value = bool | int | float | str | list[int] | list[float] | list[str] | None

FieldType = Literal["bool", "int", "float", "str", "choice", "ints"]

KINDS: tuple[Kind, ...] = ("task", "data", "model", "method")
"""What a recipe is made of."""
NAMED = 20
"""Choices that a sentence lists."""


class BadInput(ValueError):
    """Something a person gave is wrong; the message says what, and what to do instead.

    `field` is the dotted name of the setting at fault (``model.dropout``), where there is one.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Frozen(BaseModel):
    """A value: compared by content, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- what an annotation can say about a setting ---------------------------------------------


class Range(Frozen):
    """The values a number may have, both ends included; `log` asks for a logarithmic slider."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __init__(
        self, low: float, high: float, step: float | None = None, log: bool = False
    ) -> None:
        BaseModel.__init__(self, low=low, high=high, step=step, log=log)

    def __str__(self) -> str:
        return f"{self.low:g}–{self.high:g}"


class Help(Frozen):
    """One line under the setting's name: what it does, and when to change it.

    `empty` is what no value means, for a setting that may have none.
    """

    text: str
    label: str | None = None
    unit: str | None = None
    empty: str = "off"

    def __init__(
        self, text: str, label: str | None = None, unit: str | None = None, empty: str = "off"
    ) -> None:
        BaseModel.__init__(self, text=text, label=label, unit=unit, empty=empty)


class Only(Frozen):
    """The setting matters only while another setting of the same card has one of these values."""

    field: str
    values: tuple[Value, ...]

    def __init__(self, field: str, *either: Value, values: Iterable[Value] = ()) -> None:
        # `values` by name is how a catalogue that was written as JSON is read.
        BaseModel.__init__(self, field=field, values=(*either, *values))


class Advanced(Frozen):
    """Shown in the form's advanced group."""


class Lines(Frozen):
    """A text of several lines."""


Aptness = Literal["items", "label", "shares"]


class Augments(Frozen):
    """The setting varies training items at random, but not at the value `off`.

    `needs` is what task and method must do for it to matter: learn from varied “items” at all, from
    a “label” of the whole item, or from “shares” of several labels.
    """

    off: Value
    needs: Aptness | None

    def __init__(self, off: Value, needs: Aptness | None = None) -> None:
        BaseModel.__init__(self, off=off, needs=needs)


class Spectral(Frozen):
    """The setting is about recordings' spectra: no matter to a model that reads samples."""


class Finder(Frozen):
    """A measurement on this machine finds a value for the setting: the name of the desk's
    question."""

    question: str

    def __init__(self, question: str) -> None:
        BaseModel.__init__(self, question=question)


class Hidden(Frozen):
    """Not on the form: filled in by the program (the id of an imported dataset)."""


# --- cards ----------------------------------------------------------------------------------


class Field(Frozen):
    """One setting of a card."""

    name: str
    label: str
    help: str = ""
    type: FieldType
    default: Value = None
    required: bool = False
    optional: bool = False
    """None is a valid value, and means what `empty` says."""
    empty: str = "off"
    range: Range | None = None
    choices: tuple[str, ...] = ()
    unit: str | None = None
    only: Only | None = None
    augments: Augments | None = None
    spectral: bool = False
    """It matters only to models that are fed spectra."""
    finder: str = ""
    """The question whose answer suggests a value (`Finder`); empty where there is none."""
    advanced: bool = False
    hidden: bool = False
    lines: bool = False
    """It is a text of several lines."""

    def matters(self, chosen: Chosen) -> bool:
        """Whether the chosen model, task and method have any use for it."""
        if self.spectral and chosen["model"].hears is not None:
            return False
        needs = self.augments.needs if self.augments else None
        return needs is None or needs in chosen["task"].augments & chosen["method"].augments

    def check(self, value: Any) -> Value:
        """The value, in the field's own type. BadInput says what would be right."""
        if value is None or value == "":
            if self.optional:
                return None
            raise BadInput(f"{self.label} needs a value{self._expects()}")
        try:
            checked = _CONVERT[self.type](value)
        except (TypeError, ValueError, OverflowError):
            raise BadInput(f"{self.label} can't be {value!r}{self._expects()}") from None
        if self.choices and checked not in self.choices:
            raise BadInput(f"{self.label} can't be {value!r}{self._expects()}")
        numbers = checked if isinstance(checked, list) else [checked]
        if self.range and not all(self.range.low <= n <= self.range.high for n in numbers):
            raise BadInput(f"{self.label} is {value}{self._expects()}")
        return cast(Value, checked)

    def _expects(self) -> str:
        if self.choices:
            more = f" … ({len(self.choices)} in all)" if len(self.choices) > NAMED else ""
            return f": choose one of {', '.join(self.choices[:NAMED])}{more}"
        what = {"int": "a whole number", "ints": "whole numbers separated by commas",
                "float": "a number", "bool": "yes or no"}.get(self.type, "a text")  # fmt: skip
        return f": it must be {what}" + (f" in {self.range}" if self.range else "")


class Card(Frozen):
    """One choice: a model, a dataset, a task or a method, as a person sees it."""

    kind: Kind
    name: str
    """The class's name: what a recipe says."""
    label: str
    help: str = ""
    fits: frozenset[str] = frozenset()
    """What it can take, one of which must be offered."""
    needs: frozenset[str] = frozenset()
    """What the dataset must provide, all of it (tasks only)."""
    provides: frozenset[str] = frozenset()
    suggests: dict[str, Value] = {}
    """Better defaults for other cards when this one is chosen: ``{"method.epochs": 30}``; and
    which card of a kind to take where nobody has chosen one: ``{"data": "Mnist5000"}``."""
    thorough: dict[str, Value] = {}
    """What to change of the defaults for the best result, where there is a GPU and time."""
    hidden: bool = False
    """Offered only through the things people bring in (an imported dataset)."""
    rank: int = 50
    """Where it stands among its kind: the lowest is the default."""
    fields: tuple[Field, ...] = ()
    tries: tuple[Field, ...] = ()
    """What can be set when a trained model is tried: beam width, temperature (tasks only)."""
    streams: bool = False
    """Its answers come piece by piece (tasks only)."""
    invents: bool = False
    """A trained model answers to nothing but a seed (tasks only)."""
    headline: str = ""
    """The measure of a split that is shown first, and by which the best weights are kept (tasks
    only)."""
    larger_is_better: bool = True
    """Of the headline (tasks only)."""
    judges: str = ""
    """What is known of each item of a split once a model was tested on it (tasks only): which of
    the “classes” was said, which “texts” were written, how surprising its “tokens” were, how large
    its “errors” are; or nothing."""
    adapts: bool = False
    """It works on weights that have learned something already, and needs a start (methods only)."""
    shrinks: bool = False
    """It makes a trained model smaller or faster (methods only)."""
    published: bool = False
    """Weights that others have trained can be had for it (models only)."""
    bundled: bool = False
    """And they come with Anneal: no network is needed (models only)."""
    hears: int | None = None
    """Samples a second of the recordings that it reads as they are, where it does (models only)."""
    takes: frozenset[str] = frozenset()
    """Other models, by name, of which it is a part, so that their weights start it (models
    only)."""
    augments: frozenset[str] = frozenset()
    """Which kinds of varied training items are learned from (tasks and methods; see `Augments`)."""
    otherwise: str = ""
    """Why a run hasn't got it, where it doesn't fit (exports only)."""
    unheard: str = ""
    """Why a run whose model reads samples hasn't got it; empty where it has (exports only)."""

    def field(self, name: str) -> Field:
        """The field of that name; BadInput lists the names that exist."""
        for field in self.fields:
            if field.name == name:
                return field
        known = ", ".join(f.name for f in self.fields if not f.hidden) or "none"
        raise BadInput(f"{self.label} has no setting {name!r} (it has: {known})")

    def starts_from(self, model: str) -> bool:
        """Whether weights of that model fit, by its name (models only)."""
        return model == self.name or model in self.takes

    def shared(self, settings: Mapping[str, Value]) -> dict[str, Value]:
        """Of another card's settings, those that this one has too."""
        known = {field.name for field in self.fields if not field.hidden}
        return {name: value for name, value in settings.items() if name in known}

    def try_with(self, settings: Mapping[str, Any]) -> dict[str, Value]:
        """Every setting of a trial, given or default, checked. BadInput says what is wrong."""
        known = {field.name for field in self.tries}
        if unknown := settings.keys() - known:
            raise BadInput(f"{self.label} has nothing called {min(unknown)!r} to try with "
                           f"(it has: {', '.join(sorted(known)) or 'none'})")  # fmt: skip
        return {f.name: f.check(settings.get(f.name, f.default)) for f in self.tries}

    def check(self, settings: Mapping[str, Any]) -> dict[str, Value]:
        """Every setting of the card, given or default, checked. BadInput names the field."""
        for name in settings:
            try:
                self.field(name)
            except BadInput as problem:
                raise BadInput(str(problem), field=f"{self.kind}.{name}") from None
        checked = {}
        for field in self.fields:
            if field.required and field.name not in settings:
                raise BadInput(
                    f"{self.label} needs {field.label}", field=f"{self.kind}.{field.name}"
                )
            try:
                checked[field.name] = field.check(settings.get(field.name, field.default))
            except BadInput as problem:
                raise BadInput(str(problem), field=f"{self.kind}.{field.name}") from None
        return checked


class Device(Frozen):
    """A place where a run can train, as found on this machine."""

    id: str
    """torch's name for it: ``cpu``, ``cuda:0``, ``mps``."""
    name: str
    memory: int
    """Bytes in all."""
    free: int
    """Bytes free when it was looked at."""
    bf16: bool = False
    """It computes bfloat16 in hardware."""


Chosen = Mapping[Kind, Card]
"""Four cards, one of each kind."""


class Catalog(Frozen):
    """Everything that can be chosen, and which choices go together."""

    cards: tuple[Card, ...]
    devices: tuple[Device, ...] = ()

    def of(self, kind: Kind) -> tuple[Card, ...]:
        """The cards of one kind, in the order they are offered."""
        return tuple(card for card in self.cards if card.kind == kind)

    def heirs(self, model: str) -> list[Card]:
        """The models that weights of that one start, itself first."""
        fits = [card for card in self.of("model") if card.starts_from(model)]
        return sorted(fits, key=lambda card: card.name != model)

    def card(self, kind: Kind, name: str) -> Card:
        """The card of that name; BadInput lists what there is."""
        for card in self.of(kind):
            if card.name == name:
                return card
        known = ", ".join(card.name for card in self.of(kind))
        raise BadInput(f"There is no {kind} {name!r} (there is: {known})", field=kind)

    def obstacle(self, chosen: Chosen) -> BadInput | None:
        """Why these four don't go together, blamed on the choice to change; None if they do."""
        task, data, model, method = (chosen[kind] for kind in KINDS)
        if missing := task.needs - data.provides:
            wanted = ", ".join(sorted(missing))
            return BadInput(f"{task.label} needs data with {wanted}, and {data.label} has none",
                            field="data")  # fmt: skip
        if not model.fits & data.provides:
            takes = " or ".join(sorted(model.fits))
            return BadInput(f"{model.label} takes {takes} data, and {data.label} is not",
                            field="model")  # fmt: skip
        if not task.fits & model.provides:
            gives = " or ".join(sorted(task.fits))
            return BadInput(f"{task.label} needs a model that gives {gives}; {model.label} doesn't",
                            field="model")  # fmt: skip
        if not method.fits & task.fits & model.provides:
            return BadInput(
                f"{method.label} doesn't work with {model.label} for {task.label}", field="method"
            )
        return None

    def combinations(self, given: Mapping[Kind, Card] | None = None) -> Iterator[Chosen]:
        """Every four cards that go together, those in `given` held fixed."""
        given = given or {}
        offered = [[given[k]] if k in given else [c for c in self.of(k) if not c.hidden]
                   for k in KINDS]  # fmt: skip
        for cards in itertools.product(*offered):
            chosen = dict(zip(KINDS, cards, strict=True))
            if not self.obstacle(chosen):
                yield chosen

    def exports(self, chosen: Chosen) -> Iterator[tuple[Card, str]]:
        """Every form in which a model can leave, with why a run of these four hasn't got it; empty
        where it has."""
        task, data, model = (chosen[kind] for kind in ("task", "data", "model"))
        answers = task.fits & model.provides
        for card in self.of("export"):
            fits = card.fits & (answers | {"any"})
            needs = card.needs <= model.provides | data.provides | task.fits
            why = "" if model.hears is None else card.unheard
            yield card, why if fits and needs else card.otherwise

    def defaults(self, chosen: Chosen, *, thorough: bool = False) -> dict[str, Value]:
        """``{"model.width": 32, …}``: each card's defaults, bettered by what the others suggest.

        The more particular card wins: method < task < data < model; but what the others suggest is
        meant for training from scratch, and a method that adapts knows better. `thorough` asks for
        the recipe that aims at the best result; without it, one that shows something in minutes.
        """
        order: tuple[Kind, ...] = ("method", "task", "data", "model")
        own: tuple[str, ...] = ()
        if chosen["method"].adapts:
            order, own = ("task", "data", "model", "method"), ("method.",)
        values = {
            f"{k}.{f.name}": f.augments.off if f.augments and not f.matters(chosen) else f.default
            for k in order for f in chosen[k].fields
        }  # fmt: skip
        for kind in order:
            suggested = chosen[kind].suggests
            values |= {name: value for name, value in suggested.items() if name in values}
        for kind in order if thorough else ():
            suggested = chosen[kind].thorough
            values |= {
                name: value for name, value in suggested.items()
                if name in values and not name.startswith(own)
            }  # fmt: skip
        return values


# --- classes that register themselves -------------------------------------------------------


class Choosable:
    """A class that a person can choose; its subclasses register themselves.

    A subclass says ``label`` and, where they apply, ``fits``, ``needs``, ``provides`` and
    ``suggests`` in its class statement. Without a label it is a shared base and is not offered.
    """

    kind: ClassVar[Kind]
    card: ClassVar[Card]
    registry: ClassVar[dict[tuple[str, str], type[Choosable]]] = {}

    def __init_subclass__(
        cls,
        *,
        kind: Kind | None = None,
        label: str | None = None,
        fits: set[str] | None = None,
        needs: set[str] | None = None,
        provides: set[str] | None = None,
        suggests: Mapping[str, Value] | None = None,
        thorough: Mapping[str, Value] | None = None,
        streams: bool = False,
        invents: bool = False,
        judges: str = "",
        adapts: bool = False,
        shrinks: bool = False,
        published: bool = False,
        bundled: bool = False,
        takes: set[str] | None = None,
        otherwise: str = "",
        unheard: str = "",
        hidden: bool = False,
        rank: int = 50,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if kind:
            cls.kind = kind
        if not label:
            return
        doc = inspect.getdoc(cls) or ""
        cls.card = Card(
            kind=cls.kind, name=cls.__name__, label=label, help=doc.split("\n")[0],
            fits=frozenset(fits or ()), needs=frozenset(needs or ()),
            provides=frozenset(provides or ()), suggests=dict(suggests or {}),
            thorough=dict(thorough or {}), hidden=hidden, rank=rank, fields=tuple(fields_of(cls)),
            tries=tuple(_keywords(cls.show).values()) if hasattr(cls, "show") else (),
            streams=streams, invents=invents, judges=judges, adapts=adapts, shrinks=shrinks,
            published=published, bundled=bundled, otherwise=otherwise, unheard=unheard,
            hears=getattr(cls, "hears", None), takes=frozenset(takes or ()),
            augments=getattr(cls, "augments", frozenset()),
            headline=getattr(cls, "headline", ""),
            larger_is_better=getattr(cls, "larger_is_better", True),
        )  # fmt: skip
        key = (cls.kind, cls.__name__)
        other = cls.registry.get(key)
        assert other is None or other.__module__ == cls.__module__, f"two classes named {key}"
        cls.registry[key] = cls


def fields_of(cls: type) -> list[Field]:
    """The keyword-only arguments of ``cls.__init__``; with ``**``, those of its base as well."""
    own: dict[str, Field] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        init = vars(base)["__init__"]
        own = {**_keywords(init), **own}
        parameters = inspect.signature(init).parameters.values()
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(own.values())


def _keywords(function: Any) -> dict[str, Field]:
    """A function's keyword-only arguments as fields, by name."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    return {p.name: _field(p, hints[p.name]) for p in parameters if p.kind is p.KEYWORD_ONLY}


def _field(parameter: inspect.Parameter, hint: Any) -> Field:
    notes: list[Any] = []
    if typing.get_origin(hint) is Annotated:
        hint, *notes = typing.get_args(hint)
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        optional, hint = len(inner) < len(typing.get_args(hint)), inner[0]
    choices: tuple[str, ...] = ()
    kind: FieldType
    if typing.get_origin(hint) is Literal:
        choices, kind = tuple(typing.get_args(hint)), "choice"
    else:
        kind = _FIELD_TYPES[hint]
    said = {type(note): note for note in notes}
    help_ = said.get(Help)
    required = parameter.default is parameter.empty
    default = list(parameter.default) if kind == "ints" else parameter.default
    return Field(
        name=parameter.name,
        label=(help_ and help_.label) or parameter.name.replace("_", " ").capitalize(),
        help=help_.text if help_ else "",
        type=kind, default=None if required else default, required=required,
        optional=optional, range=said.get(Range), choices=choices,
        unit=help_.unit if help_ else None, empty=help_.empty if help_ else "off",
        only=said.get(Only), augments=said.get(Augments), spectral=Spectral in said,
        finder=said[Finder].question if Finder in said else "",
        advanced=Advanced in said, hidden=Hidden in said, lines=Lines in said,
    )  # fmt: skip


def _bool(value: Any) -> bool:
    if isinstance(value, str):
        lowered = value.strip().lower()
        if lowered in ("true", "yes", "on", "1"):
            return True
        if lowered in ("false", "no", "off", "0"):
            return False
        raise ValueError(value)
    return bool(value)


def _int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(value)
    number = float(value)
    if number != int(number):
        raise ValueError(value)
    return int(number)


def _float(value: Any) -> float:
    if isinstance(value, bool) or (number := float(value)) != number:
        raise ValueError(value)
    return number


def _ints(value: Any) -> list[int]:
    parts = value.replace("–", ",").split(",") if isinstance(value, str) else list(value)
    numbers = [_int(part) for part in parts]
    if not numbers:
        raise ValueError(value)
    return numbers


_FIELD_TYPES: dict[Any, FieldType] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    Sequence[int]: "ints",
}

_CONVERT: dict[str, Any] = {
    "bool": _bool, "int": _int, "float": _float, "str": str, "choice": str, "ints": _ints,
}  # fmt: skip


def discover() -> Catalog:
    """Import every file under models/, datasets/, tasks/, methods/, explanations/ and exports/;
    the catalogue they make.

    Loads PyTorch: call it in an engine process, and hand the pages its JSON.
    """
    for folder in ("tasks", "datasets", "models", "methods", "explanations", "exports"):
        package = importlib.import_module(f"engine.{folder}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    order = {kind: i for i, kind in enumerate((*KINDS, "explanation", "export"))}
    classes = sorted(
        Choosable.registry.values(), key=lambda c: (order[c.kind], c.card.rank, c.card.label)
    )
    return Catalog(cards=tuple(c.card for c in classes))


def chosen(kind: Kind, name: str) -> type[Any]:
    """The class behind a card. Call `discover` first."""
    try:
        return Choosable.registry[kind, name]
    except KeyError:
        known = ", ".join(n for k, n in Choosable.registry if k == kind)
        raise BadInput(f"There is no {kind} {name!r} (there is: {known})", field=kind) from None
