"""One image file's bytes to pixels, the same way at import and at prediction."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.data.limits import LIMITS

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
MOST_PIXELS = LIMITS.pixels

Pixels = npt.NDArray[np.uint8]

_ORIENTATION = 0x0112  # EXIF
_SIDEWAYS = (5, 6, 7, 8)
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_GREY = ("1", "L", "LA", "La", *_DEEP)


class NotAnImage(Exception):
    """Bytes that can't be decoded; the message says how, in words that follow a name."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an image says of itself before it is decoded: sides in pixels, turned upright."""

    width: int
    height: int
    grey: bool


def header(data: bytes) -> Header:
    """The image's size and whether it is grey, without decoding it. `NotAnImage` if it isn't."""
    try:
        with _opened(data) as image:
            width, height = image.size
            if _orientation(image) in _SIDEWAYS:
                width, height = height, width
            return Header(width, height, _grey(image))
    except NotAnImage:
        raise
    except Exception as problem:  # Pillow raises anything at made-up bytes
        raise NotAnImage(_why(problem, data)) from None


def decode(data: bytes, height: int, width: int, channels: int) -> Pixels:
    """The image as uint8 (height, width, channels), channels 1 (grey) or 3 (red, green, blue).

    Of an animation, the first frame. `NotAnImage` if it can't be decoded.
    """
    try:
        with _opened(data) as image:
            # A JPEG can be decoded at a half, a quarter or an eighth; twice the size that is
            # wanted leaves the resizing enough to work with.
            twice = 2 * max(height, width)
            if image.format == "JPEG" and min(image.size) > 2 * twice:
                image.draft(None, (twice, twice))
            turned = _orientation(image) not in (None, 1)
            return fit(ImageOps.exif_transpose(image) if turned else image, height, width, channels)
    except NotAnImage:
        raise
    except Exception as problem:  # Pillow raises anything at made-up bytes
        raise NotAnImage(_why(problem, data)) from None


def fit(image: Image.Image, height: int, width: int, channels: int) -> Pixels:
    """The image as uint8 (height, width, channels): scaled to cover, and cut at the centre.

    What is transparent becomes black, as the background of a drawn digit is.
    """
    if image.mode in _DEEP:
        image = _shallow(image)
    elif image.has_transparency_data:
        # Over black, what shows is the colour times its opacity: the premultiplied form.
        image = (image if image.mode == "RGBA" else image.convert("RGBA")).convert("RGBa")
        # Made smaller first: each step over a whole large picture takes its memory once more.
        if (factor := min(image.width // (4 * width), image.height // (4 * height))) > 1:
            image = image.reduce(factor)
        image = Image.merge("RGB", image.split()[:3])
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)  # antialiased
    return np.asarray(image, np.uint8).reshape(height, width, channels)


def _opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MOST_PIXELS:
        raise NotAnImage(f"has {image.width:,}×{image.height:,} pixels, more than {MOST_PIXELS:,}")
    return image


def _orientation(image: Image.Image) -> int | None:
    # A PNG's EXIF may follow its pixels, and asking for it would decode them. Pillow turns a TIFF
    # by itself.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return None
    return image.getexif().get(_ORIENTATION)


def _grey(image: Image.Image) -> bool:
    if image.mode != "P":
        return image.mode in _GREY
    palette = np.array(image.getpalette("RGB") or [0], np.uint8)
    return len(palette) % 3 == 0 and bool(np.ptp(palette.reshape(-1, 3), axis=1).max() == 0)


def _shallow(image: Image.Image) -> Image.Image:
    """Grey with more than 8 bits, as 8 bits, by the scale that the kind of its numbers says.

    16 bits are 0…65,535 and floating point is 0…1. 32-bit whole numbers don't say what white is:
    those up to 255 are taken as 8 bits, and others are refused rather than scaled by a guess that
    would differ from file to file.
    """
    values = np.asarray(image).astype(np.float64)
    sixteen = image.mode not in ("I", "F")
    most, what = (1, "floating-point") if image.mode == "F" else (255, "32-bit")
    if not sixteen and not (values.min() >= 0 and values.max() <= most):  # NaN is neither
        raise NotAnImage(f"has {what} grey values outside 0…{most}: save it with 8 or 16 bits")
    scale = 1 / 257 if sixteen else 255 / most
    return Image.fromarray(np.rint(values * scale).astype(np.uint8))


def _why(problem: Exception, data: bytes) -> str:
    if not data:
        return "is empty"
    if isinstance(problem, Image.DecompressionBombError):
        return f"has more than {MOST_PIXELS:,} pixels"
    if isinstance(problem, UnidentifiedImageError):
        if data[4:8] == b"ftyp":
            return "is a HEIC or AVIF image or a video: save it as JPEG or PNG"
        if data.startswith(b"version https://git-lfs"):
            return "is a Git LFS pointer, not the image: fetch the images with git lfs pull"
        return "is not a JPEG, PNG, GIF, BMP, WebP or TIFF image"
    if "truncated" in str(problem) or isinstance(problem, EOFError):
        return "is cut short"
    return "is damaged"
