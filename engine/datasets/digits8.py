"""scikit-learn's 1,797 handwritten digits."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import Help, Range
from engine.data.batches import Data
from engine.data.items import Images
from engine.datasets import Pictures, Shift, SplitAtRandom
from engine.home import Home


class Digits8x8(
    Pictures, SplitAtRandom, label="Small digits, 8×8", provides={"image", "label"}, rank=20,
):  # fmt: skip
    """1,797 handwritten digits of 8×8 pixels from scikit-learn: the fastest to try things on."""

    source = "Alpaydin & Kaynak: Optical Recognition of Handwritten Digits, from scikit-learn"
    licence = "CC BY 4.0"

    def __init__(
        self,
        *,
        size: Annotated[
            int, Range(8, 64), Help("Enlarge the pictures to this side", unit="pixels")
        ] = 8,
        shift: Shift = 0,
        **more: Any,
    ) -> None:
        super().__init__(shift=shift, **more)
        self.size = size

    def open(self, home: Home) -> Data:
        from sklearn.datasets import load_digits  # takes a second: only when it is chosen

        bunch = load_digits()
        pictures = torch.from_numpy(bunch.images)[:, None] / 16  # its values are 0…16
        if self.size != 8:
            pictures = F.interpolate(pictures, size=(self.size, self.size), mode="bilinear")
        pixels = (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        labels = bunch.target.astype(np.int64)
        return Data(
            items=Images(pixels, self.variation), labels=labels,
            classes=tuple("0123456789"), splits=self.split(labels),
            fingerprint=f"digits-8x8-at-{self.size}", source=self.source, licence=self.licence,
        )  # fmt: skip
