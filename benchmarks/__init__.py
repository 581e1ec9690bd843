"""Each figure that the README quotes, as a command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.catalog import BadInput


@dataclass(frozen=True)
class Result:
    """What a benchmark measured, and what it should reach."""

    value: float
    unit: str
    reach: float
    larger_is_better: bool
    peak_mb: float
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.value >= self.reach if self.larger_is_better else self.value <= self.reach


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    mirror: Path | None
    """A folder with one folder a dataset, for data that isn't in the packages."""

    def file(self, *parts: str) -> Path:
        """A file of the mirror. BadInput says how to name one."""
        if self.mirror is None:
            raise BadInput("This benchmark needs data that isn't in the packages: name the folder "
                           "that holds it with --mirror DIR or ANNEAL_MIRROR")  # fmt: skip
        path = self.mirror.joinpath(*parts)
        if not path.exists():
            raise BadInput(f"There is no {path}")
        return path
