"""Telling classes apart by what they are called."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Annotated

from engine.catalog import BadInput, Help, Lines
from engine.data.batches import Data, Feed
from engine.data.naming import meant
from engine.events import Event, Notice
from engine.loop import Wish
from engine.methods import Bench
from engine.methods.at_once import AtOnce
from engine.models import Model, Namer
from engine.tasks import Task

PLACE = "{}"
"""Where a template has the class's name."""
TOLD = 3
"""Classes whose sentences a notice quotes."""


class ZeroShot(
    AtOnce, label="Zero-shot: names only", fits={"names"}, adapts=True, rank=25,
):  # fmt: skip
    """Learns from no item: the model knows what the classes' names mean, and takes the nearest.

    The head's weights are the meanings of the names, or of sentences that describe the classes;
    an item gets the class whose meaning is nearest to its own by cosine (Larochelle et al. 2008;
    Yin et al. 2019 for texts; Norouzi et al. 2013 and Radford et al. 2021 for pictures). Items with
    labels only measure it. Describing sentences make much of the result.
    """

    def __init__(
        self,
        *,
        template: Annotated[
            str, Help("The sentence that a name is read in, “{}” standing for the name: “This is "
                      "a film review that is {}.”")
        ] = PLACE,
        wording: Annotated[
            str | None, Lines(),
            Help("What to read instead of a class's name, one class a line: “negative: a bad, "
                 "boring film”; several sentences are separated by “ | ”, and averaged",
                 empty="the classes' names"),
        ] = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if PLACE not in template:
            raise BadInput("The template needs “{}” where the class's name stands: “a photo of "
                           "a {}”", field="method.template")  # fmt: skip
        self.template = template
        self.wording = wording or ""

    def goes_through(self, feed: Feed) -> int:
        return 0

    def make(
        self, model: Model, task: Task, data: Data, bench: Bench
    ) -> Generator[Event, None, Wish | None]:
        assert isinstance(model, Namer), "its card says so"
        said = self.sentences(task.classes(data), data)
        model.name(said, data, bench.home)
        read = "; ".join(" | ".join(each) for each in said[:TOLD]) + "; …" * (len(said) > TOLD)
        yield Notice(f"Zero-shot by {model.works_with}. The classes are read as: {read}")
        return bench.wishes()

    def sentences(self, classes: Sequence[str], data: Data) -> list[Sequence[str]]:
        """What stands for each class: the wording, else the data's own sentences, else its name in
        the template. BadInput for a wording of no class."""
        try:
            worded = meant(self.wording, classes)
        except BadInput as problem:
            raise BadInput(str(problem), field="method.wording") from None
        known: Mapping[str, Sequence[str]] = {**data.described, **worded}
        return [
            known.get(name) or [self.template.replace(PLACE, name.replace("_", " "))]
            for name in classes
        ]
