"""What an import can be told, and what it says while it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from engine.catalog import BadInput, Frozen

WHOLE = 1000


class ImportOptions(Frozen):
    """How a file becomes a dataset; the defaults are right for most files."""

    size: Annotated[int, Field(ge=8, le=512)] | None = None
    """Images only: side in pixels of the square they are scaled to; None finds it by itself."""
    seed: int = 0
    """Decides which items go to validation and test where the file doesn't say."""
    validation: Annotated[float, Field(gt=0, le=0.4)] = 0.1
    """Share of each class that is held back for validation where the file doesn't say."""
    test: Annotated[float, Field(gt=0, le=0.4)] = 0.1
    """Share of each class that is held back for the test where the file doesn't say."""
    skip_broken: bool = False
    """Leave out images that can't be read, and name them in the warnings, instead of refusing."""

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
