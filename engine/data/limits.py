"""How much a dataset may hold: limits with defaults, each changed by an environment variable."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import ValidationError

from engine.catalog import BadInput, Frozen

PREFIX = "ANNEAL_LIMIT_"


class Limits(Frozen):
    """``ANNEAL_LIMIT_UPLOAD_BYTES=1000000`` sets the first, and so on for the others."""

    upload_bytes: int = 20 * 2**30
    """Of one upload on the page."""
    extracted_bytes: int = 100 * 2**30
    """Of everything in one archive, unpacked."""
    ratio: int = 100
    """Unpacked to packed, for archives that unpack to more than 256 MB; pictures stay below 2,
    tables below 20."""
    files: int = 500_000
    """In one archive or folder: their names alone take half a gigabyte at that."""
    items: int = 5_000_000
    """Of one dataset."""
    pixels: int = 89_478_485
    """Of one image: Pillow's own limit, from which a quarter of a gigabyte is needed to decode."""
    file_bytes: int = 256 * 2**20
    """Of one image file or recording inside an archive."""
    sound_seconds: int = 600
    """Of one recording."""
    text_characters: int = 1_000_000
    """Of one text, and of one cell of a table."""
    columns: int = 100_000
    """Of a table."""
    classes: int = 10_000
    """Of one dataset."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Limits:
        """The defaults, but for what the environment says. BadInput names what is wrong there."""
        said = {
            name: environment[PREFIX + name.upper()]
            for name in cls.model_fields
            if environment.get(PREFIX + name.upper())
        }
        try:
            return cls.model_validate(said)
        except ValidationError as problem:
            name = PREFIX + str(problem.errors()[0]["loc"][0]).upper()
            raise BadInput(f"{name} is {os.environ.get(name)!r}: it must be a number") from None


LIMITS = Limits.of(os.environ)
