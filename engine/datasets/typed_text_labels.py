"""Classes of texts that a person typed, with no text to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.catalog import BadInput
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.items import Texts
from engine.data.tokens import Tokenizer, Tokens, nothing
from engine.datasets import Longest, TypedLabels
from engine.home import Home


class TypedTextLabels(
    TypedLabels, label="Typed labels for texts", provides={"text", "label"}, hidden=True
):
    """Names of classes and nothing else: for a model that knows what texts mean."""

    def __init__(self, *, longest: Longest = 254, **typed: Any) -> None:
        super().__init__(**typed)
        self.longest = longest

    def open(self, home: Home) -> Data:
        return self.data(Texts(Ragged(np.zeros(0, np.uint8), np.zeros(1, np.int64))))

    def ready(
        self, data: Data, home: Home, tokenizer: Tokenizer | None = None, rate: int | None = None
    ) -> Data:
        if tokenizer is None:
            raise BadInput(
                "There is no text here to learn a vocabulary from: choose published weights, or a "
                "run that knows how its texts are read",
                field="start",
            )
        return data.of(Tokens(nothing(), tokenizer, self.longest))
