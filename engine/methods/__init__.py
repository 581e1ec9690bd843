"""Methods: the ways of training, each a strategy over the one loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from engine.catalog import Choosable
from engine.checkpoint import Checkpoints
from engine.data.batches import Data
from engine.events import Event
from engine.loop import Trainee, Wish
from engine.models import Model
from engine.tasks import Task


@dataclass(frozen=True)
class Bench:
    """What a method works with besides model, task and data."""

    device: torch.device
    seed: int
    kept: Checkpoints
    wishes: Callable[[], Wish | None]
    resume: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = None
    """Weights and state of the checkpoint to go on from."""


class Method(Choosable, kind="method"):
    """A way of training. `run` yields events; when it ends, the best weights are in `kept`."""

    @abstractmethod
    def run(self, model: Model, task: Task, data: Data, bench: Bench) -> Iterator[Event]:
        """Train; returns (through ``yield from``) the trainee and the wish that ended it, if any."""

    @abstractmethod
    def trainee(self, model: Model, task: Task, data: Data, bench: Bench) -> Trainee:
        """What `run` would train with, ready for its first step: also for estimates."""
