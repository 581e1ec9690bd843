"""What a run remembers of its data, so that it can be asked when the data is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.batches import Data
from engine.data.items import Fed, Images, Sequences
from engine.data.spectra import Spectrograms
from engine.data.tokens import TokenPairs, Tokens
from engine.data.waveforms import Waveforms

FED: Mapping[str, type[Fed]] = {
    "images": Images, "sequences": Sequences, "text": Tokens, "pairs": TokenPairs,
    "sound": Spectrograms, "samples": Waveforms,
}  # fmt: skip


def without_items(outline: Mapping[str, Any]) -> Data:
    """A dataset of that outline (`Data.outline`) without an item."""
    form = outline.get("form", outline["kind"])  # where a kind is fed in several
    return Data(
        items=FED[form].blank(outline), labels=None, classes=tuple(outline["classes"]),
        splits={}, fingerprint=outline["fingerprint"],
    )  # fmt: skip
