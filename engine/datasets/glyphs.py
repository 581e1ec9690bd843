"""Letters of many alphabets, drawn with the DejaVu fonts that come with matplotlib."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from engine.data.batches import Data
from engine.data.items import Images
from engine.datasets import Pictures, SplitAtRandom
from engine.home import Home, replacing

SIDE = 28
EACH = 20
"""Pictures of a letter."""
MOST = 64
"""Letters of an alphabet, so that none outweighs the others."""
ALIKE = 0.9
"""Two letters whose pictures have at least this cosine are one."""
SAME = 0.84
"""So are the capital and the small form of a letter."""
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
    Pictures, SplitAtRandom, label="Letters of 17 alphabets", provides={"image", "label"}, rank=40,
    suggests={"task.turns": True, "task.distortion": 0.5},
):  # fmt: skip
    """Some 550 letters of 17 alphabets, printed in several faces: 20 pictures of 28×28 each.

    For learning to tell letters apart that were never seen: a task with few shots keeps whole
    alphabets for validation and test. Letters that look alike are one class: Latin A stands for
    Greek Α and Cyrillic А as well, and o for O.
    """

    source = "Drawn by Anneal with the DejaVu fonts 2.37, which come with matplotlib"
    licence = "The fonts: Bitstream Vera and Arev licences, DejaVu's changes in the public domain"

    def open(self, home: Home) -> Data:
        pixels, classes = glyphs(home)
        labels = np.repeat(np.arange(len(classes)), EACH)
        return Data(
            items=Images(pixels, self.variation), labels=labels, classes=classes,
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

    def drawn(
        self, face: Path, fill: float, *, turn: float = 0.0, slant: float = 0.0,
        stretch: float = 1.0, move: tuple[float, float] = (0.0, 0.0),
    ) -> npt.NDArray[np.uint8]:  # fmt: skip
        """White on black, (28, 28): its longer side fills that share of the picture, in the middle
        but for a `move` in shares of the side; turned by radians, then slanted and stretched."""
        left, top, right, bottom = font(face).getbbox(self.character)
        size = np.array([right - left, bottom - top])
        source = Image.new("L", tuple((size + 2).astype(int).tolist()))
        ImageDraw.Draw(source).text((1 - left, 1 - top), self.character, 255, font(face))
        # Where each place of the picture comes from, about the middle.
        cos, sin = np.cos(turn), np.sin(turn)
        matrix = np.array([[cos, -sin], [sin, cos]]) @ [[stretch, slant], [0, 1 / stretch]]
        matrix *= size.max() / (fill * _CANVAS)
        offset = (size + 2) / 2 - matrix @ ((np.array(move) + 0.5) * _CANVAS)
        numbers = [*matrix[0], offset[0], *matrix[1], offset[1]]
        canvas = source.transform(
            (_CANVAS, _CANVAS), Image.Transform.AFFINE, list(map(float, numbers)),
            Image.Resampling.BILINEAR,
        )  # fmt: skip
        return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), np.uint8)

    def pictures(self) -> Iterator[npt.NDArray[np.uint8]]:
        """EACH of (28, 28): every face in turn, each turned, slanted, stretched and moved a bit."""
        rng = np.random.default_rng([ord(self.character), 1])
        for number in range(EACH):
            turn, slant, dx, dy = (rng.uniform(-1, 1, 4) * (0.12, 0.15, 0.05, 0.05)).tolist()
            fill, stretch = rng.uniform((0.55, 0.85), (0.8, 1.15)).tolist()
            face = self.faces[number % len(self.faces)]
            yield self.drawn(face, fill, turn=turn, slant=slant, stretch=stretch, move=(dx, dy))


@lru_cache
def font(face: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(face), _CANVAS, layout_engine=ImageFont.Layout.BASIC)


def distinct() -> Iterator[Letter]:
    """The letters, the first of those that look alike."""
    seen = np.zeros((0, SIDE * SIDE))
    kept: list[str] = []
    for letter in letters():
        name = re.sub("(capital|small) ", "", letter.name[:-1])
        picture = letter.drawn(letter.faces[0], 0.85).reshape(-1).astype(float)
        picture /= max(float(np.linalg.norm(picture)), 1e-12)
        bars = [SAME if other == name else ALIKE for other in kept]
        if (seen @ picture < bars).all():
            seen = np.concatenate([seen, picture[None]])
            kept.append(name)
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
