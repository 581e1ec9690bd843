"""Why a run's newest checkpoint answered so."""

from __future__ import annotations

import io
import math
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from engine.catalog import BadInput, Card, Choosable, chosen
from engine.explanations import Explanation
from engine.explanations.subject import Subject, silent
from engine.home import Home
from engine.predict import Predictor, read
from engine.session import Setup

NAMED = 50
"""Numbers of an answer that are offered to be explained, the greatest first."""
Given = Mapping[str, Any]


def offered(setup: Setup) -> frozenset[str]:
    """What a run offers to explanations, in the cards' words: what its data are made of, what its
    model gives for its task, ``features`` under a head, and ``whole items`` where its task takes
    the dataset's items as they are."""
    recipe, task = setup.recipe, type(setup.task)
    data: frozenset[str] = chosen("data", recipe.data.name).card.provides
    model = type(setup.model).card.provides
    words = data | (model & task.card.fits) | (model & {"features"})
    if task.view.__qualname__ == "Task.view":
        words |= {"whole items"}
    return words


def ways(subject: Subject) -> list[Card]:
    """The explanations that can be had of an answer, in the order in which they are offered."""
    words = offered(subject.setup)
    if subject.numbers is not None:
        words |= {"number"}
    found = []
    for kind, name in Choosable.registry:
        if kind != "explanation":
            continue
        choice: type[Explanation] = chosen("explanation", name)
        card = choice.card
        if card.fits & words and card.needs <= words and choice.suits(subject):
            found.append(card)
    return sorted(found, key=lambda card: (card.rank, card.label))


class Explainer:
    """Explains what a `Predictor` answers, and remembers what serves the next question."""

    def __init__(self, predictor: Predictor, home: Home) -> None:
        self.predictor, self.home = predictor, home
        self.known: dict[str, Any] = {}
        self.weights: Any = None
        self.last: tuple[Given, Subject] | None = None

    def subject(self, given: Given) -> Subject:
        """The item that was given, with what is known of it. BadInput where it can't be read."""
        with torch.inference_mode():
            self.predictor.refresh()
        setup = self.predictor.setup
        if self.weights != self.predictor.entry:
            self.weights, self.known, self.last = self.predictor.entry, {}, None
        if self.last is None or self.last[0] != given:
            if setup.task.card.invents:
                raise BadInput(f"{setup.task.card.label} answers to nothing that could be looked "
                               "into: give it to another run")  # fmt: skip
            batch, seen = read(given, setup.data)
            self.last = given, Subject(setup, self.home, batch, seen, known=self.known)
        return self.last[1]

    def choices(self, given: Given) -> dict[str, Any]:
        """What can be explained of the answer to an item, and how: ``{"ways": [{"name", "label",
        "help", "targeted"}], "numbers": [{"index", "name", "value"}]}``, the greatest first."""
        subject = self.subject(given)
        subject.done = subject.expected = 0
        subject.say = silent
        return {
            "ways": [
                {"name": card.name, "label": card.label, "help": card.help,
                 "targeted": chosen("explanation", card.name).targeted}
                for card in ways(subject)
            ],
            "numbers": numbers(subject), "checkpoint": self.predictor.checkpoint(),
        }  # fmt: skip

    def explain(
        self, given: Given, how: str | None = None, *,
        settings: Mapping[str, Any] | None = None, target: int | None = None,
        against: int | None = None, other: Given | None = None,
        say: Callable[[float], None] = silent,
    ) -> dict[str, Any]:  # fmt: skip
        """The explanation `how` of the number `target` of the answer to what was given, or of what
        it has more than the number `against`; without, the first way and the greatest number.

        BadInput where there is no such way or number. `say` takes the share that is done, and may
        raise `engine.explanations.subject.TakenBack`.
        """
        subject = self.subject(given)
        subject.done = subject.expected = 0
        subject.say = silent  # what is looked at beforehand is no progress
        cards = {card.name: card for card in ways(subject)}
        if not cards:
            raise BadInput("Nothing here can be explained: the answer of "
                           f"{subject.setup.task.card.label} to this is no number")  # fmt: skip
        how = how or next(iter(cards))
        if how not in cards:
            raise BadInput(f"There is no explanation {how!r} of this answer (there is: "
                           f"{', '.join(cards)})")  # fmt: skip
        explanation: Explanation = chosen("explanation", how)(**cards[how].check(settings or {}))
        if subject.numbers is not None:
            self._aim(subject, target, against)
        subject.other = None if other is None else read(other, subject.data)[0]
        subject.done = subject.expected = 0
        subject.say = say
        found = explanation.of(subject)
        named = subject.numbers.names if subject.numbers and explanation.targeted else ()
        return {
            "how": how, "label": cards[how].label,
            **({"target": subject.target, "of": named[subject.target]} if named else {}),
            **({"against": subject.against, "rather_than": named[subject.against]}
               if named and subject.against is not None else {}),
            "checkpoint": self.predictor.checkpoint(), **found,
        }  # fmt: skip

    def _aim(self, subject: Subject, target: int | None, against: int | None) -> None:
        assert subject.numbers is not None
        count = len(subject.numbers.names)
        for number in (target, against):
            if number is not None and not 0 <= number < count:
                raise BadInput(f"The answer holds {count} numbers, and none is number {number}")
        subject.target = greatest(subject) if target is None else target
        subject.against = against
        if against == subject.target:
            raise BadInput("Choose two different ones: why the one rather than the other")


def number_of(subject: Subject, name: str | None) -> int | None:
    """Which number of the answer is called so. BadInput names those that there are."""
    if name is None:
        return None
    names = () if subject.numbers is None else subject.numbers.names
    if name not in names:
        raise BadInput(f"The answer holds no {name!r} (it holds: {', '.join(names[:NAMED])})")
    return names.index(name)


BLUE, ORANGE = (33, 102, 172), (217, 95, 2)
"""Against and for: told apart by every kind of eyes (Okabe & Ito 2008)."""


def drawn(found: Mapping[str, Any], *, strength: float = 0.6) -> bytes:
    """An explanation as the bytes of a PNG: importance over the picture or the spectrum, what was
    drawn from a code, or maps side by side. BadInput where it is nothing to look at."""
    if "walk" in found:
        return b64decode(found["walk"]["drawn"])
    if "maps" in found:
        maps = [Image.open(io.BytesIO(b64decode(one))) for one in found["maps"]["maps"]]
        across = math.ceil(math.sqrt(len(maps)))
        high, wide = maps[0].height + 1, maps[0].width + 1
        sheet = Image.new("L", (across * wide, math.ceil(len(maps) / across) * high), 128)
        for place, one in enumerate(maps):
            sheet.paste(one, (place % across * wide, place // across * high))
        return _bytes(sheet)
    if "heat" not in found:
        raise BadInput(f"{found['label']} isn't a picture: leave --png out, and read the JSON")
    heat = (np.asarray(Image.open(io.BytesIO(b64decode(found["heat"]))), np.float32) - 128) / 127
    below = np.asarray(Image.open(io.BytesIO(b64decode(found["input"]))).convert("RGB"), np.float32)
    colour = np.where(heat[..., None] > 0, ORANGE, BLUE)
    share = (strength * np.abs(heat).clip(0, 1) ** 0.7)[..., None]
    mixed = Image.fromarray((below * (1 - share) + colour * share).round().astype(np.uint8))
    # Enlarged where it is small, so that something is to be seen.
    times = max(1, 256 // max(mixed.size))
    return _bytes(
        mixed.resize((mixed.width * times, mixed.height * times), Image.Resampling.NEAREST)
    )


def _bytes(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def numbers(subject: Subject) -> list[dict[str, Any]]:
    """What of the answer can be explained, the greatest first."""
    if subject.numbers is None:
        return []
    values = asked(subject)
    order = range(len(values)) if subject.numbers.shares is None else values.argsort(
        descending=True, stable=True
    ).tolist()  # fmt: skip
    names = subject.numbers.names
    return [{"index": i, "name": names[i], "value": round(float(values[i]), 6)}
            for i in list(order)[:NAMED]]  # fmt: skip


def greatest(subject: Subject) -> int:
    """The likeliest; the first of what isn't likely or unlikely."""
    assert subject.numbers is not None
    return 0 if subject.numbers.shares is None else int(asked(subject).argmax())


@torch.inference_mode()
def asked(subject: Subject) -> torch.Tensor:
    """(numbers,): their probabilities, else their values."""
    assert subject.numbers is not None
    found = subject.outputs(subject.ground.values).cpu()
    return (found if subject.numbers.shares is None else subject.numbers.shares(found))[0]
