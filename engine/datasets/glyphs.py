"""Letters of many alphabets, drawn with the DejaVu fonts that come with matplotlib."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from engine.data.batches import Data
from engine.data.items import Images
from engine.datasets import Flip, Shift, SplitAtRandom
from engine.home import Home, replacing

SIDE = 28
EACH = 20
"""Pictures of a letter."""
MOST = 64
"""Letters of an alphabet, so that none outweighs the others."""
ALIKE = 0.9
"""Two letters whose pictures have at least this cosine are one."""
FACES = ("Sans", "Serif", "SansMono", "Sans-Bold", "Serif-Bold", "SansMono-Bold", "Sans-Oblique")
"""No italics: in those a Cyrillic т is a Latin m."""
ALPHABETS = {
    "Latin": "LATIN", "Greek": "GREEK", "Coptic": "COPTIC", "Cyrillic": "CYRILLIC",
    "Armenian": "ARMENIAN", "Hebrew": "HEBREW", "Arabic": "ARABIC", "N’Ko": "NKO", "Lao": "LAO",
    "Asomtavruli": "GEORGIAN CAPITAL", "Nuskhuri": "GEORGIAN SMALL", "Mkhedruli": "GEORGIAN",
    "Canadian": "CANADIAN SYLLABICS", "Ogham": "OGHAM", "Tifinagh": "TIFINAGH", "Lisu": "LISU",
    "Old Italic": "OLD ITALIC",
}  # fmt: skip
"""What the names of an alphabet's letters begin with in Unicode; Georgian has three alphabets."""
_FINE = 4
"""Drawn so many times larger, then scaled down."""
_CANVAS = SIDE * _FINE


class Glyphs(
    SplitAtRandom, label="Letters of 17 alphabets", provides={"image", "label"}, rank=40,
    suggests={"task.turns": True, "task.distortion": 0.5},
):  # fmt: skip
    """Some 560 letters of 17 alphabets, printed in several faces: 20 pictures of 28×28 each.

    For learning to tell letters apart that were never seen: a task with few shots keeps whole
    alphabets for validation and test. Letters that look alike are one class: Latin A stands for
    Greek Α and Cyrillic А as well, and o for O.
    """

    source = "Drawn by Anneal with the DejaVu fonts 2.37, which come with matplotlib"
    licence = "The fonts: Bitstream Vera and Arev licences, DejaVu's changes in the public domain"

    def __init__(self, *, shift: Shift = 2, flip: Flip = False, **split: Any) -> None:
        super().__init__(**split)
        self.shift, self.flip = shift, flip

    def open(self, home: Home) -> Data:
        pixels, classes = glyphs(home)
        labels = np.repeat(np.arange(len(classes)), EACH)
        return Data(
            items=Images(pixels, shift=self.shift, flip=self.flip), labels=labels, classes=classes,
            splits=self.split(labels), fingerprint="glyphs-1", source=self.source,
            licence=self.licence,
        )  # fmt: skip


def glyphs(home: Home) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Pixels (classes · EACH, 28, 28, 1), class after class, and the classes as “alphabet/letter”.

    Drawn once and then mapped from the cache.
    """
    kept, named = home.cache / "glyphs-1.npy", home.cache / "glyphs-1.json"
    if not (kept.exists() and named.exists()):
        letters = list(distinct())
        pixels = np.stack([picture for letter in letters for picture in letter.pictures()])
        with replacing(kept) as beside, beside.open("wb") as out:
            np.save(out, pixels[..., None])
        with replacing(named) as beside:
            beside.write_text(json.dumps([letter.name for letter in letters]), encoding="utf-8")
    classes = tuple(json.loads(named.read_text("utf-8")))
    return np.load(kept, mmap_mode="r"), classes


class Letter:
    """One letter, and the faces that have it."""

    def __init__(self, name: str, character: str, faces: list[Path]) -> None:
        self.name, self.character, self.faces = name, character, faces

    def drawn(self, face: Path, fill: float) -> Image.Image:
        """White on black, its longer side filling that share of the canvas, in the middle."""
        size = _CANVAS // 2
        left, top, right, bottom = self._box(face, size)
        size = round(size * fill * _CANVAS / max(right - left, bottom - top, 1))
        left, top, right, bottom = self._box(face, size)
        canvas = Image.new("L", (_CANVAS, _CANVAS))
        middle = (_CANVAS - left - right) / 2, (_CANVAS - top - bottom) / 2
        font = ImageFont.truetype(str(face), size, layout_engine=ImageFont.Layout.BASIC)
        ImageDraw.Draw(canvas).text(middle, self.character, fill=255, font=font)
        return canvas

    def _box(self, face: Path, size: int) -> tuple[float, float, float, float]:
        font = ImageFont.truetype(str(face), size, layout_engine=ImageFont.Layout.BASIC)
        return font.getbbox(self.character)

    def plain(self) -> npt.NDArray[np.uint8]:
        """As it is compared with others: (28, 28)."""
        return scaled_down(self.drawn(self.faces[0], 0.85))

    def pictures(self) -> Iterator[npt.NDArray[np.uint8]]:
        """EACH of (28, 28): every face in turn, each turned, slanted, stretched and moved a bit."""
        rng = np.random.default_rng([ord(self.character), 1])
        for number in range(EACH):
            face = self.faces[number % len(self.faces)]
            turn, slant, dx, dy = rng.uniform(-1, 1, 4) * (0.12, 0.15, 0.05, 0.05)
            fill, stretch = rng.uniform(0.55, 0.8), rng.uniform(0.85, 1.15)
            canvas = self.drawn(face, float(fill))
            # Where each pixel comes from, about the middle.
            cos, sin = np.cos(turn), np.sin(turn)
            matrix = np.array([[cos, -sin], [sin, cos]]) @ [[stretch, slant], [0, 1 / stretch]]
            middle = np.full(2, _CANVAS / 2)
            offset = middle - matrix @ (middle + np.array([dx, dy]) * _CANVAS)
            numbers = [*matrix[0], offset[0], *matrix[1], offset[1]]
            yield scaled_down(canvas.transform(
                canvas.size, Image.Transform.AFFINE, list(map(float, numbers)),
                Image.Resampling.BILINEAR,
            ))  # fmt: skip


def scaled_down(canvas: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), np.uint8)


def distinct() -> Iterator[Letter]:
    """The letters, the first of those that look alike."""
    seen = np.zeros((0, SIDE * SIDE))
    for letter in letters():
        picture = letter.plain().reshape(-1).astype(float)
        picture /= max(float(np.linalg.norm(picture)), 1e-12)
        if (seen @ picture).max(initial=0) < ALIKE:
            seen = np.concatenate([seen, picture[None]])
            yield letter


def letters() -> Iterator[Letter]:
    """At most `MOST` of each alphabet, in the order of Unicode: those that the fonts really have.

    Without letters that are composed of others, as é is.
    """
    import matplotlib  # half a second: only when letters are drawn
    from matplotlib.ft2font import FT2Font

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    paths = [folder / f"DejaVu{face}.ttf" for face in FACES]
    known = [(path, set(FT2Font(str(path)).get_charmap())) for path in paths]
    (_, every), *_ = known
    for alphabet, begins in ALPHABETS.items():
        telling = re.compile(rf"{begins}(?: (CAPITAL|SMALL))?(?: LETTER)? ([A-Z -]+)$")
        own = (
            (point, found) for point in sorted(every)
            if unicodedata.category(chr(point)) in ("Lu", "Ll", "Lo")
            and not unicodedata.decomposition(chr(point))
            and (found := telling.match(unicodedata.name(chr(point), "")))
        )  # fmt: skip
        if begins == "GEORGIAN":  # of the three alphabets, the one whose letters have no case
            own = ((point, found) for point, found in own if not found[1])
        for point, found in islice(own, MOST):
            name = " ".join(word.lower() for word in found.groups() if word)
            faces = [path for path, points in known if point in points]
            yield Letter(f"{alphabet}/{name} {chr(point)}", chr(point), faces)
