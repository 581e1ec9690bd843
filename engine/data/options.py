"""What an import can be told, and what it says while it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from engine.catalog import BadInput, Frozen

WHOLE = 1000

Kind = Literal["images", "text", "pairs", "sound", "sequences"]
ITEM: dict[Kind, str] = {
    "images": "image", "text": "text", "pairs": "pair", "sound": "audio", "sequences": "sequence",
}  # fmt: skip
"""What one item is called where tasks and models say what they take."""
Role = Literal[
    "text", "source", "target", "label", "file", "transcript", "sequence", "step", "split"
]
"""What a table's column is for."""


class ImportOptions(Frozen):
    """How a file becomes a dataset; the defaults are right for most files."""

    size: Annotated[int, Field(ge=8, le=512)] | None = None
    """Images only: side in pixels of the square they are scaled to; None finds it by itself."""
    channels: Literal[1, 3] | None = None
    """Images only: 1 reads them in grey, 3 in colours; None finds it by itself."""
    rate: Annotated[int, Field(ge=4000, le=48_000)] | None = None
    """Sound only: samples a second that recordings are resampled to; None finds it by itself."""
    classes: Literal["outermost", "path"] = "outermost"
    """Folders in folders: whether the outermost alone is the class, or the whole path to a file
    (``Greek/character01``)."""
    encoding: str | None = None
    """Text and tables: as Python names it (``gb18030``); None finds it by itself."""
    delimiter: str | None = None
    """Tables: the character between cells; None finds it by itself."""
    columns: dict[Role, str] = {}  # noqa: RUF012, each has its own copy
    """Tables: which column is what, by their names; "" for a role that no column has. Those left
    out are found by themselves."""
    group: str | None = None
    """A column (speaker, patient) whose values are kept together when the items are split."""
    split: Literal["given", "random", "none"] = "given"
    """Whether a split that the file itself names is kept; "none" holds nothing back: all items are
    to learn from."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Decides which items go to validation and test where the file doesn't say."""
    validation: Annotated[float, Field(gt=0, le=0.4)] = 0.1
    """Share of each class that is held back for validation where the file doesn't say."""
    test: Annotated[float, Field(gt=0, le=0.4)] = 0.1
    """Share of each class that is held back for the test where the file doesn't say."""
    skip_broken: bool = False
    """Leave out items that can't be read, and name them in the warnings, instead of refusing."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ImportOptions:
        """The options from a form or a command line. BadInput names the one that is wrong."""
        try:
            return cls.model_validate(settings)
        except ValidationError as problem:
            first = problem.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "options"
            raise BadInput(f"The import's option {name}: {first['msg']}", field=name) from None


@dataclass(frozen=True, slots=True)
class Step:
    """How far an import is: `done` thousandths of its work, and a sentence for a person."""

    done: int
    total: int
    text: str


def step(share: float, text: str) -> Step:
    """That share (0…1) of the work is done."""
    return Step(min(WHOLE, max(0, int(share * WHOLE))), WHOLE, text)
