"""Files that others have published with their models: fetched once, kept, and read without running
anything that they hold."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from engine.catalog import BadInput
from engine.data.archive import shown
from engine.data.fetch import Missing, Pinned, discard, downloads, mirror, provide
from engine.data.hub import endpoint, refused, token
from engine.home import Home

_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,95}"
_ID = re.compile(rf"{_PART}(?:/{_PART})?")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LARGEST_TEXT = 64 * 2**20
"""Bytes of a description or a vocabulary, at most."""


def got(files: Sequence[Pinned], home: Home, **how: Any) -> list[Path]:
    """Where the files lie: in the mirror, else in the home's cache. BadInput says what to do where
    they can't be had."""
    come = provide(files, home=home, mirror=mirror(), **how)
    while True:
        try:
            next(come)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


class Repository(NamedTuple):
    """A model's files: of the Hugging Face hub by its id, or in a folder on this computer."""

    name: str
    """``owner/name``, or a path that begins with /, ~ or a dot."""
    revision: str = "main"

    @property
    def folder(self) -> Path | None:
        """On this computer, where it is one: a person's own, or the mirror's."""
        path = Path(self.name).expanduser()
        if path.is_absolute() or self.name.startswith("."):
            return path
        lying = mirror()
        path = lying / self.place if lying is not None else path
        return path if lying is not None and path.is_dir() else None

    @property
    def place(self) -> str:
        """Its folder in a mirror, and in the home's downloads. BadInput when it can't be one."""
        if not _ID.fullmatch(self.name) or not re.fullmatch(_PART, self.revision):
            raise BadInput(
                f"{shown(self.name)} is no model of the hub: write owner/name, as its page shows "
                "it, or the path of a folder",
                field="model.name",
            )
        return f"models/{self.name}" + f"@{self.revision}" * (self.revision != "main")

    def file(self, name: str, home: Home) -> Path:
        """One of its files; `Missing` when it has none of that name."""
        folder = self.folder
        if folder is not None:
            if not (folder / name).is_file():
                raise Missing(f"There is no {name} in {folder}", field="model.name")
            return folder / name
        url = f"{endpoint()}/{self.name}/resolve/{self.revision}/{name}"
        missing = downloads(home) / self.place / f"{name}.missing"
        try:
            (path,) = got(
                [Pinned(f"{self.place}/{name}", url)], home, token=token(),
                refused=refused(f"{endpoint()}/{self.name}"),
            )  # fmt: skip
        except Missing as problem:
            missing.touch()
            raise Missing(str(problem), field="model.name") from None
        except BadInput as problem:
            # Without a network, what was missing the last time still is.
            kind = Missing if missing.exists() else type(problem)
            raise kind(str(problem), field="model.name") from None
        return path

    def text(self, name: str, home: Home) -> str:
        """The text of one of its files."""
        path = self.file(name, home)
        try:
            if path.stat().st_size > LARGEST_TEXT:
                raise OSError(f"it has more than {LARGEST_TEXT:,} bytes")
            return path.read_text("utf-8")
        except (OSError, UnicodeError) as problem:
            raise BadInput(f"{name} of {self.name} can't be read: {problem}",
                           field="model.name") from None  # fmt: skip

    def json(self, name: str, home: Home) -> dict[str, Any]:
        """The values of one of its files."""
        text = self.text(name, home)
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise BadInput(f"{name} of {self.name} isn't what it should be: choose another model",
                           field="model.name")  # fmt: skip
        return said

    def optional(self, name: str, home: Home) -> dict[str, Any]:
        """The same; nothing where there is no such file."""
        try:
            return self.json(name, home)
        except Missing:
            return {}

    def weights(self, home: Home) -> dict[str, Tensor]:
        """All its tensors. BadInput when it has no safetensors: other formats aren't read, since
        reading them may run what they hold."""
        found: dict[str, Tensor] = {}
        for name in self.parts(home):
            path = self.file(name, home)
            try:
                found |= safetensors.torch.load_file(path)
            except (SafetensorError, OSError) as problem:
                if self.folder is None:
                    discard(path)
                raise BadInput(f"{name} of {self.name} isn't a whole safetensors file ({problem})",
                               field="model.name") from None  # fmt: skip
        return found

    def whole(self, home: Home) -> Path:
        """A folder that holds its weights and its config.json."""
        for name in self.parts(home):
            self.file(name, home)
        return self.file("config.json", home).parent

    def parts(self, home: Home) -> list[str]:
        """The names of its files of weights."""
        try:
            self.file(WEIGHTS, home)
        except Missing as missing:
            try:
                listed = self.json(INDEX, home).get("weight_map")
            except Missing:
                raise BadInput(
                    f"{missing}. Of the files with weights only safetensors are read",
                    field="model.name",
                ) from None
            names = {str(name) for name in listed.values()} if isinstance(listed, dict) else set()
            if not names or not all(re.fullmatch(_PART, name) for name in names):
                raise BadInput(f"{INDEX} of {self.name} isn't what it should be: choose another "
                               "model", field="model.name") from None  # fmt: skip
            return sorted(names)
        return [WEIGHTS]
