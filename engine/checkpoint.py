"""Checkpoints: saved whole or not at all, read without running anything they hold.

A run's folder ``checkpoints/`` holds one folder a step, with ``model.safetensors`` (the weights to
predict with) and ``state.pt`` (what else training needs), and ``index.json``, which names the last
and the best. A folder is written under another name, flushed and renamed; then the index is
replaced; then what it no longer names is deleted. Killed at any moment, the index names a
checkpoint that is whole.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from engine.catalog import BadInput
from engine.compression.int8 import shaped_as
from engine.events import Saved
from engine.home import replacing, sync

Which = Literal["last", "best"]


@dataclass(frozen=True)
class Entry:
    """A checkpoint that is on disk."""

    folder: str
    step: int
    epoch: float


@dataclass(frozen=True)
class Snapshot:
    """A copy, in main memory, of all that a checkpoint holds."""

    step: int
    epoch: float
    weights: dict[str, Tensor]
    state: dict[str, Any]


def copied(value: Any) -> Any:
    """The same structure with every tensor copied to main memory, its strides kept."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied(item) for item in value)
    return value


class Checkpoints:
    """The checkpoints of one run, written beside training from copies.

    Saving never waits: a copy that comes while another is written takes the place of an older
    one that still waits. What went wrong while writing (OSError of a full disk) is raised by the
    next call.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*"):  # of a worker that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
        self._change = threading.Condition()
        self._last: Snapshot | None = None
        self._best: Snapshot | None = None
        self._writing = self._hurry = self._closed = False
        self._problem: BaseException | None = None
        self._written: list[Saved] = []
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def save(self, snapshot: Snapshot, *, best: bool = False) -> None:
        """Keep it as the last and, if it is, the best."""
        self._raise()
        with self._change:
            self._last = snapshot
            if best:
                self._best = snapshot
            self._change.notify_all()

    def written(self) -> list[Saved]:
        """What has come onto the disk since the last call."""
        self._raise()
        with self._change:
            done, self._written = self._written, []
        return done

    def flush(self) -> None:
        """Wait until everything saved is on the disk."""
        with self._change:
            self._hurry = True
            self._change.notify_all()
            self._change.wait_for(lambda: not (self._last or self._best or self._writing))
            self._hurry = False
        self._raise()

    def close(self) -> None:
        """Write what waits, as far as it can be written, and end the writer."""
        with contextlib.suppress(OSError):  # whoever must know has flushed
            self.flush()
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()

    def delete(self) -> None:
        """Every checkpoint of the run."""
        with self._change:
            self._last = self._best = None
            self._change.wait_for(lambda: not self._writing)
            self._problem = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _raise(self) -> None:
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._last or self._best or self._closed)
                if not (self._last or self._best):
                    return
                last, best = self._last, self._best
                self._last = self._best = None
                self._writing = True
            try:
                if best is not None and best is not last:
                    self._write(best, best=True)
                if last is not None:
                    self._write(last, best=last is best)
            except BaseException as problem:  # raised by the next call, in the training thread
                self._problem = problem
            with self._change:
                self._writing = False
                self._change.notify_all()
                # The disk and the second core belong to training: once a second is enough.
                self._change.wait_for(lambda: self._hurry or self._closed, timeout=1.0)

    def _write(self, snapshot: Snapshot, *, best: bool) -> None:
        name = f"step-{snapshot.step:09d}"
        partial, whole = self.folder / f".{name}", self.folder / name
        try:
            if not whole.exists():
                partial.mkdir()
                weights = {k: v.contiguous() for k, v in snapshot.weights.items()}
                safetensors.torch.save_file(weights, partial / "model.safetensors")
                torch.save(snapshot.state, partial / "state.pt")
                sync(partial / "model.safetensors")
                sync(partial / "state.pt")
                partial.rename(whole)
        except (RuntimeError, SafetensorError) as problem:
            # Both libraries tell a failed write in words of their own.
            raise OSError(errno.ENOSPC, str(problem)) from problem
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self._list(snapshot, name, best=best)

    def _list(self, snapshot: Snapshot, name: str, *, best: bool) -> None:
        """Put a folder that is whole into the index, and delete what the index no longer names."""
        index = {k: vars(e) for k, e in entries(self.folder).items()}
        entry = {"folder": name, "step": snapshot.step, "epoch": snapshot.epoch}
        if best or "best" not in index:
            index["best"] = entry
        if "last" not in index or snapshot.step >= index["last"]["step"]:
            index["last"] = entry
        with replacing(self.folder / "index.json") as beside:
            beside.write_text(json.dumps(index))
        named = {entry["folder"] for entry in index.values()}
        for old in self.folder.glob("step-*"):
            if old.name not in named:
                shutil.rmtree(old, ignore_errors=True)
        with self._change:
            self._written.append(Saved(snapshot.step, best))


def entries(folder: Path) -> dict[Which, Entry]:
    """``{"last": …, "best": …}``, empty when nothing was saved yet."""
    try:
        index = json.loads((folder / "index.json").read_text())
        found = {which: Entry(**entry) for which, entry in index.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        # Damaged from outside. What it named is whole all the same: the newest of it.
        steps = sorted(folder.glob("step-*"))
        if not steps:
            return {}
        newest = Entry(steps[-1].name, int(steps[-1].name.removeprefix("step-")), 0.0)
        found = {"last": newest, "best": newest}
    return {which: e for which, e in found.items() if (folder / e.folder).is_dir()}


def find(folder: Path, which: Which) -> tuple[Entry, Path]:
    """The checkpoint and its folder; BadInput when the run has saved none."""
    entry = entries(folder).get(which)
    if entry is None:
        raise BadInput("This run has no checkpoint yet: wait for its first epoch")
    return entry, folder / entry.folder


def weights(folder: Path) -> dict[str, Tensor]:
    """The weights to predict with, from one checkpoint's folder. Nothing in the file is run."""
    try:
        return safetensors.torch.load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as problem:
        raise BadInput(f"The checkpoint {folder.name} can't be read: {problem}") from None


def newest(folder: Path, which: Which) -> tuple[Entry, dict[str, Tensor]]:
    """The checkpoint and its weights, also while a run that trains puts a newer one in its place.

    BadInput when the run has saved none, or when it can't be read.
    """
    entry, place = find(folder, which)
    try:
        return entry, weights(place)
    except BadInput:
        again, place = find(folder, which)
        if again == entry:
            raise
        return again, weights(place)


def state(folder: Path) -> dict[str, Any]:
    """What else training needs, from one checkpoint's folder. Nothing in the file is run."""
    try:
        loaded: dict[str, Any] = torch.load(
            folder / "state.pt", map_location="cpu", weights_only=True
        )
    except (OSError, RuntimeError, EOFError) as problem:
        raise BadInput(f"The checkpoint {folder.name} is damaged: {problem}. Clone the run to "
                       "start it anew") from None  # fmt: skip
    return loaded


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors into the model, name by name, which takes the form that they are kept in.
    BadInput names the first that doesn't fit."""
    shaped_as(model, tensors)
    own = model.state_dict()
    for name in own.keys() | tensors.keys():
        if name not in tensors or name not in own or own[name].shape != tensors[name].shape:
            there = tuple(tensors[name].shape) if name in tensors else "nothing"
            here = tuple(own[name].shape) if name in own else "nothing"
            raise BadInput(f"These weights are of another architecture: {name} is {there} there "
                           f"and {here} here. Start from a run with the same model settings and "
                           "data shape.", field="start")  # fmt: skip
    model.load_state_dict(dict(tensors))
