"""From items to batches: what a model is fed, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.augmentation.mixing import blended
from engine.data.items import Fed, ImagesOnDevice, Items
from engine.data.splits import Rows, Split, evenly, fewer, latest
from engine.recipe import Amount


@dataclass(frozen=True)
class Batch:
    """Some items on the device where the model is.

    `inputs` are the model's arguments by name: ``images`` (B, C, H, W) in 0…1; ``values``
    (B, longest, D), of samples (B, longest), or ``tokens`` (B, longest) with ``lengths``
    (B,). `targets` are class indices (B,), None without labels. `wanted` is what else should come
    out: ``target_tokens`` (B, longest) with ``target_lengths`` (B,).
    """

    inputs: dict[str, Tensor]
    targets: Tensor | None = None
    wanted: dict[str, Tensor] = field(default_factory=dict)
    rows: Rows | None = None
    """Which items of the dataset they are."""
    shares: Tensor | None = None
    """How much of each class is in an item (B, classes), where items are mixed; `targets` are then
    the classes of the items that others were mixed into."""

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def at(self, places: Sequence[int]) -> Batch:
        """Only the items at these places, as long as they were padded."""

        def those(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor[list(places)] for name, tensor in named.items()}

        return Batch(
            those(self.inputs), None if self.targets is None else self.targets[list(places)],
            those(self.wanted), None if self.rows is None else self.rows[list(places)],
        )  # fmt: skip


@dataclass(frozen=True)
class Data:
    """A dataset, opened: its items, its labels, and which rows belong to which split."""

    items: Items
    labels: Rows | None
    classes: tuple[str, ...]
    splits: Mapping[Split, Rows]
    fingerprint: str
    """Changes when the content does."""
    source: str = ""
    licence: str = ""
    described: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Sentences that say what a class is, where somebody wrote some."""
    uncut: Data | None = None
    """What a task has cut these items from: whole ones, with the labels that pieces have lost."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.items.shape

    @property
    def fed(self) -> Fed:
        """The items, ready to make batches."""
        assert isinstance(self.items, Fed), f"{type(self.items).__name__} can't be fed"
        return self.items

    def of(self, items: Items, **changed: Any) -> Data:
        """The same dataset with its items in another form."""
        return replace(self, items=items, **changed)

    def few(self, amount: Amount, *, seed: int) -> Data:
        """The same dataset with only so much of its training split."""
        rows = self.splits["train"]
        if self.items.series is not None:
            some = latest(rows, amount, self.items.series)
        else:
            alike = np.zeros(len(self.items), np.int64)
            some = fewer(rows, amount, alike if self.labels is None else self.labels, seed=seed)
        return replace(self, splits={**self.splits, "train": some})

    @property
    def learned_from(self) -> str:
        """Changes when the content does, or which of it is trained on."""
        rows = np.ascontiguousarray(self.splits["train"], np.int64)
        return f"{self.fingerprint}-{hashlib.sha256(rows.tobytes()).hexdigest()}"

    def counts(self, split: Split) -> list[int]:
        """Items of each class."""
        if self.labels is None:
            return [len(self.splits[split])]
        labels = self.labels[self.splits[split]]
        return np.bincount(labels, minlength=len(self.classes)).tolist()  # type: ignore[no-any-return]

    def outline(self) -> dict[str, Any]:
        """What a trained model must know of it to take new inputs, as JSON values."""
        return {
            "kind": self.items.kind, "classes": list(self.classes),
            "fingerprint": self.fingerprint, **self.fed.outline(self.splits["train"]),
        }  # fmt: skip


class Feed:
    """One split, as batches on a device, in an order that depends only on (seed, epoch)."""

    def __init__(
        self, data: Data, split: Split, *, batch_size: int, device: torch.device,
        seed: int = 0, shuffle: bool = False, augment: bool = False, mix: bool = False,
        resident: ImagesOnDevice | None = None, batch_tokens: int | None = None,
    ) -> None:  # fmt: skip
        """At most `batch_size` items a batch; with `batch_tokens`, also at most so many steps of
        all its items together, padding included (but always one item). With `augment` items are
        varied as they say, with `mix` also mixed."""
        self.rows = data.splits[split]
        self.items: Fed = resident or data.fed
        self.labels = data.labels
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self.device = device
        self.seed = seed
        # The next batch is made while the device works on this one. On a CPU the thread would take
        # its time from training, and in device memory there is nothing to wait for.
        self.ahead = device.type != "cpu" and resident is None
        self.shuffle = shuffle
        self.augment = augment
        self.mix = mix
        self.classes = len(data.classes)

    def __len__(self) -> int:
        """Batches in an epoch: the same in each."""
        return len(self._cuts) - 1

    @cached_property
    def _lengths(self) -> Rows | None:
        """Steps of each of the split's items, in their order; None when all are equally long."""
        return self.items.lengths(self.rows)

    @cached_property
    def _cuts(self) -> list[int]:
        """Where batches begin and end among the items sorted by length."""
        count = len(self.rows)
        if self.batch_tokens is None or self._lengths is None:
            size = self.batch_size
            if self.batch_tokens is not None and count:
                size = min(size, max(self.batch_tokens // self._each, 1))
            return [*range(0, count, size), count]
        cuts, first = [0], 0
        for place, length in enumerate(np.sort(self._lengths).tolist()):
            # Sorted, so the newest is the longest, and decides what padding costs.
            many = place + 1 - first
            if many > self.batch_size or (many > 1 and many * length > self.batch_tokens):
                cuts.append(place)
                first = place
        return [*cuts, count]

    @property
    def _each(self) -> int:
        """Steps of an item where all are equally long."""
        one = self.items.gather(self.rows[:1], torch.device("cpu"), None)
        return int(one["lengths"][0]) if "lengths" in one else 1

    def batches(self, epoch: int = 0, *, skip: int = 0) -> Iterator[Batch]:
        """The epoch's batches from number `skip` on: those that a whole epoch would give."""
        owed = list(enumerate(self.order(epoch)))[skip:]
        if not self.ahead:
            yield from (self.batch(rows, epoch, number) for number, rows in owed)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            coming = [pool.submit(self.batch, rows, epoch, number) for number, rows in owed[:1]]
            for number, rows in owed[1:]:
                ready = coming.pop()
                coming.append(pool.submit(self.batch, rows, epoch, number))
                yield ready.result()
            yield from (last.result() for last in coming)

    def batch(self, rows: Rows, epoch: int = 0, number: int = 0) -> Batch:
        """The items of these rows. What is random in it depends only on (seed, epoch, number)."""
        targets = None
        if self.labels is not None:
            targets = torch.from_numpy(self.labels[rows]).to(self.device)
        inputs, shares = self.inputs(rows, epoch, number), None
        if self.mix and self.items.mixing and targets is not None:
            rng = np.random.default_rng((self.seed, epoch, number, 2))
            pairing = self.items.mixing.drawn(len(rows), rng)
            inputs, kept = self.items.mix(inputs, pairing, rng)
            partners = torch.from_numpy(pairing.partners).to(self.device)
            own = torch.from_numpy(kept).to(self.device)
            shares = blended(targets, partners, own, self.classes)
        return Batch(inputs, targets, self.items.wanted(rows, self.device), rows, shares)

    def inputs(self, rows: Rows, epoch: int, number: int) -> dict[str, Tensor]:
        """A model's arguments by name, for the items of these rows."""
        rng = np.random.default_rng((self.seed, epoch, number, 1)) if self.augment else None
        return self.items.gather(rows, self.device, rng)

    def some(self, count: int) -> Batch:
        """At most so many items, spread evenly over the split: the same at every call."""
        return self.batch(evenly(self.rows, count))

    def order(self, epoch: int) -> Sequence[Rows]:
        """The rows of each batch.

        Neighbours in length share a batch, so that little is padding. Without a budget they are
        sorted within pools of 32 batches, which keeps the order random enough; with one, over the
        whole split, so that every epoch has the same number of batches.
        """
        rows, lengths = self.rows, self._lengths
        if not self.shuffle:
            if lengths is not None:
                rows = rows[np.argsort(lengths, kind="stable")]
            return self._cut(rows)
        rng = np.random.default_rng((self.seed, epoch, 0))
        order = rng.permutation(len(rows))
        if lengths is None:
            return self._cut(rows[order])
        if self.batch_tokens is not None:
            order = order[np.argsort(lengths[order], kind="stable")]
        else:
            pool = 32 * self.batch_size
            order = np.concatenate([
                some[np.argsort(lengths[some], kind="stable")]
                for some in (order[at : at + pool] for at in range(0, len(order), pool))
            ])  # fmt: skip
        batches = self._cut(rows[order])
        return [batches[i] for i in rng.permutation(len(batches))]

    def _cut(self, rows: Rows) -> list[Rows]:
        return [rows[a:b] for a, b in zip(self._cuts, self._cuts[1:], strict=False) if b > a]
