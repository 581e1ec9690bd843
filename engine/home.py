"""Where everything of a user lies: one folder, and the names inside it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from engine.catalog import BadInput

PARTIAL = ".partial"
"""Ends the name of a folder that an import is still writing."""


@dataclass(frozen=True)
class Home:
    """One folder that holds the history, the datasets, the runs and the cache."""

    root: Path

    @classmethod
    def find(cls, given: Path | None = None) -> Home:
        """The folder given, else ``ANNEAL_HOME``, else the platform's user-data folder.

        BadInput when it can't be made.
        """
        root = Path(given or os.environ.get("ANNEAL_HOME") or usual_folder())
        home = cls(root.expanduser().resolve())
        for folder in (home.root, home.datasets, home.runs, home.cache, home.tmp):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise BadInput(
                    f"The home folder {home.root} can't be written to ({problem.strerror}): "
                    "choose another with --home"
                ) from None
        return home

    @property
    def usual(self) -> bool:
        """Whether it is found without being named."""
        return self.root == usual_folder().resolve()

    @property
    def database(self) -> Path:
        return self.root / "anneal.db"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    def dataset(self, number: int) -> Path:
        return self.datasets / str(int(number))

    def partials(self, number: int) -> list[Path]:
        """What an import that isn't over, or was killed, has made beside its dataset's place."""
        return list(self.datasets.glob(f"{int(number)}.*{PARTIAL[1:]}"))

    def forget(self, paths: Iterable[Path]) -> None:
        """Delete what lies in the folder for uploads; a person's own files stay."""
        for path in paths:
            if self.tmp in path.resolve().parents:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    path.parent.rmdir()  # once its last file is gone

    def run(self, number: int) -> Path:
        return self.runs / str(int(number))

    def checkpoints(self, number: int) -> Path:
        return self.run(number) / "checkpoints"

    def log(self, number: int) -> Path:
        return self.run(number) / "log.txt"


def usual_folder() -> Path:
    """The platform's folder for a user's data."""
    return Path(platformdirs.user_data_dir("anneal", appauthor=False))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write; it takes `path`'s place when the block ends well.

    Whatever happens in between, `path` is the old file or the new one, never a half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        sync(beside)
        for attempt in range(20):
            try:
                beside.replace(path)
                break
            except PermissionError:  # on Windows while another process reads the old one
                if attempt == 19:
                    raise
                time.sleep(0.05)
    finally:
        beside.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the file's bytes are on the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
