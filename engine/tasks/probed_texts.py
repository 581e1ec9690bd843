"""What is learned from texts without labels, looked at by the classes of whole texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine.data.batches import Batch, Data, Feed
from engine.data.tokens import SPECIAL, Tokens
from engine.tasks import inside
from engine.tasks.probing import Probed, labelled

POINTS = 400
"""Texts that are drawn as points."""
BUCKETS = 1024
"""Numbers in which the tokens of a text are counted: some share one."""


class ProbedTexts(Probed):
    """A task that cuts texts into pieces, and leaves their labels aside.

    What it has made of texts is looked at on whole ones, as the data had them before
    (`Data.uncut`), where those have classes; of a long one, as far as the task reads at a time.
    """

    untouched = "token counts"

    @property
    @abstractmethod
    def reach(self) -> int:
        """Tokens that are read at a time."""

    def whole(self, data: Data) -> Data:
        if data.uncut is None:
            return data
        texts = data.uncut.items
        assert isinstance(texts, Tokens)
        # Cut before they are put together: one long text would make its whole batch as long.
        longest = min(self.reach, texts.longest or self.reach)
        return data.uncut.of(replace(texts, longest=longest))

    def features(self, model: Any, batch: Batch) -> Tensor:
        found: Tensor = model.embed(batch.inputs["tokens"], batch.inputs["lengths"])
        return found

    def raw(self, batch: Batch) -> Tensor:
        """The logarithm of how often each token comes, and once more: (B, BUCKETS)."""
        tokens, lengths = (batch.inputs[name] for name in ("tokens", "lengths"))
        says = inside(lengths, tokens.shape[1]) & (tokens >= len(SPECIAL))
        counts = torch.zeros(len(tokens), BUCKETS, device=tokens.device)
        return counts.scatter_add_(1, tokens % BUCKETS, says.float()).log1p()

    def samples(
        self, model: Any, batch: Batch, data: Data, scores: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, Any]]:
        for texts, whole in self._labelled(batch, data):
            yield from super().samples(model, texts, whole, scores)

    def closing(self, model: Any, batch: Batch, data: Data) -> Iterator[tuple[str, str, Any]]:
        for texts, whole in self._labelled(batch, data):
            yield from super().closing(model, texts, whole)

    def _labelled(self, batch: Batch, data: Data) -> Iterator[tuple[Batch, Data]]:
        """Whole texts of the validation split, once, where there are classes to colour them by."""
        whole = self.whole(data)
        if whole is not data and labelled(whole):
            device = batch.inputs["tokens"].device
            feed = Feed(whole, "validation", batch_size=POINTS, device=device)
            yield feed.some(POINTS), whole
