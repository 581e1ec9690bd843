"""The engine against loops written by hand, alternately in one process."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from benchmarks import Options, Result
from engine import device
from engine.checkpoint import Checkpoints
from engine.data.batches import Data
from engine.data.items import Images
from engine.home import Home
from engine.methods import Bench
from engine.methods.training import Training
from engine.models import Model
from engine.models.autoencoder import Autoencoder
from engine.models.convnet import ConvNet
from engine.tasks import Task
from engine.tasks.classification import Classification
from engine.tasks.reconstruction import Reconstruction

CPU = torch.device("cpu")
Loss = Callable[[Model, Tensor, Tensor], Tensor]


class Contest:
    """One model and batch size, trained for the same steps by the engine and by hand."""

    def __init__(
        self, make: Callable[[], Model], task: Task, loss: Loss, shape: tuple[int, int, int],
        *, batch_size: int, steps: int,
    ) -> None:  # fmt: skip
        rng = np.random.default_rng(0)
        items = batch_size * steps
        pixels = rng.integers(0, 256, (items, *shape), dtype=np.uint8)
        labels = rng.integers(0, 10, items)
        rows = np.arange(items)
        self.data = Data(
            items=Images(pixels), labels=labels, classes=tuple("0123456789"), fingerprint="noise",
            splits={"train": rows, "validation": rows[:10], "test": rows[:10]},
        )  # fmt: skip
        self.make, self.task, self.loss = make, task, loss
        self.pixels, self.labels = torch.from_numpy(pixels), torch.from_numpy(labels)
        self.batch_size, self.steps = batch_size, steps
        self.method = Training(epochs=1, batch_size=batch_size, schedule="constant", weight_decay=0)
        with tempfile.TemporaryDirectory() as folder:
            bench = self.bench(Path(folder))
            model = make()
            feed, _ = self.method.feeds(model, task, self.data, bench)
            self.numerics = self.method.trainee(model, task, feed, bench).numerics
            bench.kept.close()
        # From here on both sides compute alike: what was chosen is not chosen again.
        self.method.precision = self.numerics.precision
        self.method.threads = self.numerics.threads

    def bench(self, folder: Path) -> Bench:
        return Bench(
            device=CPU, seed=0, kept=Checkpoints(folder), wishes=lambda: None, home=Home(folder)
        )

    def engine(self) -> float:
        """Seconds of the whole method: events, validation and checkpoint included."""
        with tempfile.TemporaryDirectory() as folder:
            bench = self.bench(Path(folder))
            model = self.make()
            started = time.perf_counter()
            for _ in self.method.run(model, self.task, self.data, bench):
                pass
            seconds = time.perf_counter() - started
            bench.kept.close()
        return seconds

    def by_hand(self) -> float:
        """Seconds of a bare loop in the engine's precision, memory format and optimizer."""
        model = self.numerics.place(self.make(), CPU)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0, fused=True)
        started = time.perf_counter()
        order = torch.randperm(len(self.pixels))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            images = self.pixels[rows].permute(0, 3, 1, 2).float().div_(255)
            with self.numerics.autocast(CPU):
                loss = self.loss(model, images, self.labels[rows])  # type: ignore[arg-type]
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - started

    def plain(self) -> float:
        """Seconds of the loop of the tutorials: float32, default optimizer and memory format."""
        model = self.make()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0)
        images = self.pixels.permute(0, 3, 1, 2).float().div_(255).contiguous()
        started = time.perf_counter()
        order = torch.randperm(len(images))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            optimizer.zero_grad()
            loss = self.loss(model, images[rows], self.labels[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return time.perf_counter() - started

    def ratio(self, other: Callable[[], float], *, rounds: int = 7) -> Result:
        """How many times as fast as the other the engine is: the median over alternating rounds."""
        other(), self.engine()  # kernels are built once
        ratios = [other() / self.engine() for _ in range(rounds)]
        low, high = min(ratios), max(ratios)
        return Result(
            value=statistics.median(ratios), unit="times as fast", reach=0.95,
            larger_is_better=True, peak_mb=device.peak_memory(CPU) / 2**20,
            note=f"{rounds} rounds of {self.steps} steps, {low:.2f}–{high:.2f}, {self.numerics}",
        )  # fmt: skip


def convnet() -> Contest:
    def loss(model: Model, images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(model(images).float(), labels)

    shape = (32, 32, 3)
    return Contest(lambda: ConvNet(shape, 10), Classification(), loss, shape,
                   batch_size=128, steps=60)  # fmt: skip


def autoencoder() -> Contest:
    def loss(model: Autoencoder, images: Tensor, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            model.decode(model.encode(images)).float(), images
        )

    shape = (28, 28, 1)
    return Contest(lambda: Autoencoder(shape, 0), Reconstruction(), loss, shape,  # type: ignore[arg-type]
                   batch_size=64, steps=1000)  # fmt: skip


def _reaching(result: Result, reach: float) -> Result:
    return Result(**{**vars(result), "reach": reach})


def against_hand_written(options: Options) -> Result:
    """ConvNet, batch 128: the engine against a bare loop in the same settings."""
    contest = convnet()
    return contest.ratio(contest.by_hand)


def against_plain_fp32(options: Options) -> Result:
    """ConvNet, batch 128: the engine against the tutorials' float32 loop."""
    contest = convnet()
    return _reaching(contest.ratio(contest.plain), 2.0)


def small_steps(options: Options) -> Result:
    """Autoencoder, batch 64, where overhead decides: the engine against the plain loop."""
    contest = autoencoder()
    return _reaching(contest.ratio(contest.plain), 1.0)
