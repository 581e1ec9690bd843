"""What a person sees or reads of a batch's items, whatever a model is fed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engine.data.batches import Batch, Data
from engine.data.items import Images, Texts
from engine.data.recorded import Recorded
from engine.data.tokens import TokenPairs, Tokens
from engine.pictures import png

LONGEST = 300
"""Characters shown of a text."""


def pictures(batch: Batch, data: Data, places: Sequence[int]) -> list[str]:
    """The items at these places of the batch as PNG in base64; none of what isn't seen.

    Of a recording: its spectrum, time to the right, the high bands above, the loudest white.
    """
    match data.items:
        case Images():
            return [png(batch.inputs["images"][place]) for place in places]
        case Recorded() as items:
            return [spectrum(items.frames(batch.inputs, place)) for place in places]
    return []


def texts(batch: Batch, data: Data, places: Sequence[int]) -> list[str]:
    """The items at these places of the batch as they were written, else as a model reads them; none
    of what isn't read."""
    match data.items:
        case Tokens(texts=Texts() as known) if batch.rows is not None:
            return [_cut(known.text.text(int(batch.rows[place]))) for place in places]
        case Tokens(tokenizer=tokenizer) | TokenPairs(tokenizer=tokenizer):
            tokens, lengths = batch.inputs["tokens"], batch.inputs["lengths"]
            return [_cut(tokenizer.decode(tokens[place, : lengths[place]].tolist()))
                    for place in places]  # fmt: skip
    return []


def spectrum(frames: Tensor, low: float | None = None, high: float | None = None) -> str:
    """Log-mel frames (T, bands) as a PNG in base64, from black at the lowest, or at `low`, to white
    at the highest, or at `high`."""
    low = float(frames.min()) if low is None else low
    high = float(frames.max()) if high is None else high
    return png(((frames - low) / max(high - low, 1e-6)).T.flip(0)[None])


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
