"""Classes of pictures that a person typed, with no picture to learn from."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from engine.catalog import Help, Range
from engine.data.batches import Data
from engine.data.items import Images
from engine.datasets import TypedLabels
from engine.home import Home


class TypedPictureLabels(
    TypedLabels, label="Typed labels for pictures", provides={"image", "label"}, hidden=True
):
    """Names of classes and nothing else: for a model that knows what pictures show."""

    def __init__(
        self,
        *,
        side: Annotated[
            int, Range(32, 512),
            Help("Pictures that are tried are read as squares of this side, in colour",
                 unit="pixels"),
        ] = 224,
        **typed: Any,
    ) -> None:  # fmt: skip
        super().__init__(**typed)
        self.side = side

    def open(self, home: Home) -> Data:
        return self.data(Images(np.zeros((0, self.side, self.side, 3), np.uint8)))
