"""Files to import, made on the spot, and a short way to import them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.data.arrays import Stored
from engine.data.imports import Imported, ImportOptions, bring_in


def encoded(pixels: Any, file_format: str = "PNG", mode: str | None = None, **how: Any) -> bytes:
    """An image file's bytes from pixels (H, W) or (H, W, C)."""
    image = Image.fromarray(np.asarray(pixels))
    out = io.BytesIO()
    (image.convert(mode) if mode else image).save(out, file_format, **how)
    return out.getvalue()


def picture(number: int = 0, size: tuple[int, int] = (10, 12), **how: Any) -> bytes:
    """A coloured image file of (height, width), another for each number."""
    noise = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
    return encoded(noise, **how)


def class_folders(*classes: str, each: int = 5, top: str = "", **how: Any) -> dict[str, bytes]:
    """``{"cat/0.png": …}`` for so many images of each class."""
    return {
        f"{top}{name}/{i}.png": picture(100 * n + i, **how)
        for n, name in enumerate(classes)
        for i in range(each)
    }


def zipped(files: Mapping[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """``pack({name: content})`` → a zip with those entries."""
    return lambda files, name="pets.zip": zipped(files, tmp_path / name)


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., tuple[Stored, Imported]]:
    """``take(path, **options)`` → the dataset, opened, and what the import said at last."""
    (tmp_path / "datasets").mkdir()

    def take(
        source: Path | list[Path], *, kind: Any = None, **options: Any
    ) -> tuple[Stored, Imported]:
        number = len(list((tmp_path / "datasets").iterdir())) + 1
        into = tmp_path / "datasets" / str(number)
        try:
            *_, last = bring_in(source, into, kind=kind, options=ImportOptions(**options))
        finally:
            # Whatever happens: a whole dataset or nothing.
            left = [p.name for p in into.parent.iterdir() if not (p / "manifest.json").exists()]
            assert not left
        assert isinstance(last, Imported)
        assert not (into / "scratch").exists()
        return Stored(into), last

    return take
