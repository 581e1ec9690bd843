"""What a frozen model makes of items, computed once and kept for the next run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch
from safetensors import SafetensorError
from torch import Tensor

from engine import device as devices
from engine.catalog import BadInput
from engine.data.batches import Batch, Data, Feed
from engine.data.cached import place, sweep
from engine.data.splits import Rows, Split
from engine.device import Numerics, PrecisionName
from engine.events import Notice
from engine.home import replacing
from engine.loop import Wish
from engine.models import Headed, is_of

FORMAT = 1
"""Of what is kept: another number makes all of it anew."""
KEPT = 16
"""Models on datasets whose features are kept."""
ROOM = 8e9
"""Bytes of the disk that all of them may take."""
MOST = 0.5
"""Of the memory that is free, features may take this share."""
SAID_EVERY = 10.0
"""Seconds between two words on how far it has come."""


class Features(Feed):
    """A split as what a model's frozen part makes of it, computed once an item.

    What the store that `find` gives knows already isn't computed again. It is asked for with the
    first features, when the model has the weights that it will keep.
    """

    def __init__(
        self, model: Headed, data: Data, split: Split, *, numerics: Numerics,
        find: Callable[[], Store] | None = None, **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(data, split, **how)
        self.raw = Feed(data, split, **{**how, "shuffle": False})
        self.raw.ahead = self.ahead = False  # the model that trains is the one that is asked
        self.model, self.numerics, self.find = model, numerics, find
        self.places = np.full(int(self.rows.max(initial=-1)) + 1, -1)
        """Where each row's features are kept."""
        self.places[self.rows] = np.arange(len(self.rows))
        self.known = np.zeros(len(self.rows), bool)
        self.kept: Tensor | None = None
        self.store: Store | None = None

    def compute(self, wishes: Callable[[], Wish | None]) -> Generator[Notice, None, Wish | None]:
        """All of them, always in the same batches, so that a run that was resumed has the same
        bits. Returns a wish to cancel or to pause. BadInput where they take too much memory."""
        started = said = time.perf_counter()
        missing = self.missing()
        for batch in self.raw.batches() if missing else ():
            assert batch.rows is not None
            if self.known[self.places[batch.rows]].all():
                continue
            self._keep(batch.rows, batch)
            wish = wishes()
            if wish in ("cancel", "pause"):
                return wish
            now, left = time.perf_counter(), len(self.rows) - int(self.known.sum())
            if left and now - said > SAID_EVERY:
                said = now
                seconds = (now - started) / (missing - left) * left
                yield Notice(f"Features of {missing - left:,} of {missing:,} items, about "
                             f"{seconds:.0f} s to go")  # fmt: skip
        if missing:
            self._store()
        return None

    def missing(self) -> int:
        """Items whose features nobody has computed yet."""
        self._recall()
        return len(self.rows) - int(self.known.sum())

    def inputs(self, rows: Rows, epoch: int, number: int) -> dict[str, Tensor]:
        self._recall()
        missing = rows[~self.known[self.places[rows]]]
        if len(missing):  # nobody has asked for all of them: they are tested on, or timed
            self._keep(missing, self.raw.batch(missing))
            # In another order the last bits are others than those that `compute` finds.
            if not self.shuffle and self.known.all():
                self._store()
        assert self.kept is not None
        return {"features": self.kept[torch.from_numpy(self.places[rows])].to(self.device)}

    def some(self, count: int) -> Batch:
        """At most so many items, as they are: to be looked at."""
        return self.raw.some(count)

    def _recall(self) -> None:
        """Read what the store knows, once."""
        if self.store is not None or self.find is None:
            return
        self.store = self.find()
        for rows, values in self.store.parts():
            wanted = np.isin(rows, self.rows)
            if wanted.any():
                self._set(rows[wanted], torch.from_numpy(values[wanted]))

    def _store(self) -> None:
        """Keep all of them for the next run, if there is room: else it computes them again."""
        if self.store is not None:
            assert self.kept is not None
            with contextlib.suppress(OSError, SafetensorError):
                self.store.add(self.rows, self.kept.numpy())

    def _keep(self, rows: Rows, batch: Batch) -> None:
        """The features of these rows, in main memory."""
        training = self.model.training
        self.model.eval()
        # In these numerics, whoever asks: within a validation there may be others.
        outside = torch.autocast(self.device.type, enabled=False)
        with torch.no_grad(), outside, self.numerics.autocast(self.device):
            found = self.model.embed(**batch.inputs).float().cpu()
        self.model.train(training)
        self._set(rows, found)

    def _set(self, rows: Rows, found: Tensor) -> None:
        if self.kept is None:
            room(len(self.rows), found.shape[1])
            self.kept = torch.empty(len(self.rows), found.shape[1])
        places = self.places[rows]
        self.kept[torch.from_numpy(places)] = found
        self.known[places] = True


class Store:
    """The features of one model on one dataset, by the items' rows, in a folder.

    A part is added whole or not at all; one that is damaged is as if it weren't there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(
        cls, model: Headed, made: Sequence[Any], data: Data, numerics: Numerics, cache: Path
    ) -> Store:
        """The one for this model with these weights below its head, computing in `numerics`."""
        every = np.arange(len(data.items))
        told = [FORMAT, *made, weights_of(model), data.fingerprint, data.fed.outline(every),
                numerics.precision]  # fmt: skip
        return cls(place(cache / "features", told))

    def parts(self) -> Generator[tuple[Rows, npt.NDArray[np.float32]], None, None]:
        """Rows (n,) and their features (n, F), part by part."""
        if self.folder.is_dir():
            os.utime(self.folder)
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                found = safetensors.numpy.load_file(path)
                rows, values = found["rows"], found["values"]
            except (OSError, SafetensorError, KeyError):
                continue
            if values.ndim == 2 and len(rows) == len(values):
                yield rows, values

    def add(self, rows: Rows, values: npt.NDArray[np.float32]) -> None:
        """Keep the features (n, F) of these rows (n,)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(np.ascontiguousarray(rows, np.int64).tobytes()).hexdigest()[:16]
        with replacing(self.folder / f"{name}.safetensors") as beside:
            safetensors.numpy.save_file({"rows": rows, "values": values}, beside)
        sweep(self.folder.parent, KEPT, ROOM)


def weights_of(model: Headed) -> str:
    """A hash of all that decides the features: every weight and buffer below the head."""
    found = hashlib.sha256()
    state: Mapping[str, Tensor] = model.state_dict()
    for name, tensor in state.items():
        if not is_of(name, model.output):
            found.update(name.encode())
            plain = tensor.detach().cpu().contiguous().view(-1)
            found.update(plain.view(torch.uint8).numpy().data)
    return found.hexdigest()


def quickest(model: Headed, device: torch.device, precision: PrecisionName = "auto") -> Numerics:
    """The numerics in which a frozen model is asked: without gradients to keep exact, what the
    hardware computes fastest."""
    if precision == "auto":
        # Not fp16, in which the features of some models overflow.
        precision = "bf16" if "bf16" in devices.precisions(device) else "fp32"
    return Numerics(
        precision=precision, channels_last=model.convolutional, threads=torch.get_num_threads()
    )  # fmt: skip


def room(items: int, width: int) -> None:
    """BadInput where so many features of that width take too much of the memory that is free."""
    wanted = 4 * items * width
    if wanted > MOST * devices.about(torch.device("cpu")).free:
        raise BadInput(
            f"The features of {items:,} items would take {wanted / 1e9:.1f} GB of memory: train "
            "all weights, or take a model that leaves fewer numbers of an item",
            field="method",
        )
