"""Tensors to PNG and back, for the things a run shows and the things it is shown."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from engine.catalog import BadInput

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
MAX_PIXELS = 64_000_000


def png(image: Tensor) -> str:
    """The image (C, H, W) in 0…1 as a PNG, in base64."""
    pixels = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    array = pixels.permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)  # a third of the time for a tenth more bytes
    return base64.b64encode(out.getvalue()).decode()


def read(data: str | bytes) -> Image.Image:
    """A picture from bytes or base64; BadInput says why it can't be read."""
    try:
        raw = base64.b64decode(data, validate=True) if isinstance(data, str) else data
        picture = Image.open(io.BytesIO(raw), formats=FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise BadInput(f"The picture has {picture.width}×{picture.height} pixels: scale it "
                           "down below 64 million")  # fmt: skip
        picture.load()
    except BadInput:
        raise
    except (OSError, ValueError, SyntaxError, binascii.Error, Image.DecompressionBombError):
        raise BadInput("This isn't a picture that can be read: use PNG, JPEG, WebP, GIF, BMP or "
                       "TIFF") from None  # fmt: skip
    return ImageOps.exif_transpose(picture)


def fit(picture: Image.Image, shape: Sequence[int]) -> npt.NDArray[np.uint8]:
    """The picture as uint8 (H, W, C), scaled to cover the shape and cut at the centre.

    Transparency becomes black, as the background of a drawn digit is.
    """
    height, width, depth = shape
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    picture = picture.convert("L" if depth == 1 else "RGB")
    picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8).reshape(height, width, depth)
