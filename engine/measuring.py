"""How large and how fast runs are, measured on this machine and kept with them."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel

from engine import checkpoint
from engine.catalog import BadInput
from engine.compression.int8 import rounded_layers
from engine.compression.racing import SIZES
from engine.data.batches import Batch, Feed
from engine.data.splits import evenly
from engine.device import Numerics, about
from engine.home import Home, replacing
from engine.judging import reopened
from engine.progress import Answer, progress
from engine.session import Setup

FORMAT = 1
FEWEST, LONG_ENOUGH = 20, 1.5
"""Answers that are timed of each run and size of a batch, at least, and seconds that they may
take where an answer is quick."""
PATIENCE = 6.0
"""Seconds after which fewer answers have to do."""
WARM = 3
"""Answers before the first that counts: they build kernels, and try them."""
PIECE = 1 << 20


class Latency(BaseModel):
    """Milliseconds from a batch to its answer."""

    median: float
    p95: float


class Measured(BaseModel):
    """What one run was measured to be."""

    format: int = FORMAT
    step: int
    """Of the checkpoint that was measured."""
    at: float
    """Seconds since 1970."""
    device: str
    threads: int
    bytes: int
    """Of the weights on the disk."""
    compressed: int
    """Bytes that DEFLATE leaves of them: zeros take no room there."""
    parameters: int
    zeros: float
    """The share of the weights that are zero."""
    arithmetic: str
    """What the layers are computed in: fp32, or int8 where that was faster."""
    latency: dict[int, Latency]
    """By the items of a batch."""
    throughput: float
    """Items a second in the largest of these batches, by the median."""


@dataclass
class Racer:
    """A run whose answers are timed."""

    run: int
    setup: Setup
    step: int
    file: Path
    batches: dict[int, Batch] = field(default_factory=dict)
    seconds: dict[int, list[float]] = field(default_factory=dict)

    @torch.inference_mode()
    def answer(self, size: int) -> float:
        """Seconds of one answer: a pass through the model with its loss."""
        started = time.perf_counter()
        self.setup.task.step(self.setup.model, self.batches[size])
        return time.perf_counter() - started


def measure(home: Home, runs: Sequence[int]) -> Answer:
    """Size, latency and throughput of these runs' best weights, by run: ``{"runs": {…}}``.

    They take turns, so that a busy moment of the machine hits all alike; the items are those of
    their own test split. Pieces say how far it is. What was found is kept with each run.
    BadInput when one of them can't be measured.
    """
    total = len(runs) * (1 + len(SIZES))
    yield progress(0, total)
    racers = []
    for done, run in enumerate(runs, 1):
        racers.append(opened(home, run))
        yield progress(done, total)
    before = torch.get_num_threads()
    try:
        threads = quicker(racers[0])
        torch.set_num_threads(threads)
        for turn, size in enumerate(SIZES, 1):
            for _ in race(racers, size):
                yield progress(turn * len(runs), total)
            yield progress((1 + turn) * len(runs), total)
    finally:
        torch.set_num_threads(before)
    found = {racer.run: concluded(racer, threads) for racer in racers}
    for run, one in found.items():
        with replacing(path_of(home, run)) as beside:
            beside.write_text(one.model_dump_json(), encoding="utf-8")
    return {"runs": {str(run): one.model_dump(mode="json") for run, one in found.items()}}


def opened(home: Home, run: int) -> Racer:
    """A run on its data, with its best weights, on the processor as Predict has it."""
    entry, folder = checkpoint.find(home.checkpoints(run), "best")
    setup = reopened(home, run)
    model = setup.model
    checkpoint.load_weights(model, model.translated(checkpoint.weights(folder)))
    # As Predict has it, but for the order of pixels that convolutions like best.
    Numerics(channels_last=model.convolutional).place(model, torch.device("cpu")).eval()
    racer = Racer(run, setup, entry.step, folder / "model.safetensors")
    for split in ("test", "validation", "train"):
        feed = Feed(setup.data, split, batch_size=max(SIZES), device=torch.device("cpu"))
        if len(feed.rows):
            # Where the split holds fewer, some are there several times: a batch is a batch.
            racer.batches = {
                size: feed.batch(np.resize(evenly(feed.rows, size), size)) for size in SIZES
            }  # fmt: skip
            return racer
    raise BadInput(f"Run {run} has no item left to be timed on")


def quicker(racer: Racer) -> int:
    """So many threads as answer one item quickest: another program may have a core."""
    every = torch.get_num_threads()
    fastest = {}
    for threads in sorted({every, max(every - 1, 1)}, reverse=True):
        torch.set_num_threads(threads)
        fastest[threads] = min(racer.answer(max(SIZES)) for _ in range(1 + WARM))
    return min(fastest, key=fastest.__getitem__)


def race(racers: Sequence[Racer], size: int) -> Iterator[None]:
    """Time answers to batches of a size, in turns."""
    for racer in racers:
        for _ in range(WARM):
            racer.answer(size)
            yield
    began = time.perf_counter()
    for racer in racers:
        racer.seconds[size] = []
    turn = 0
    while True:
        for racer in racers:
            racer.seconds[size].append(racer.answer(size))
        turn += 1
        each = (time.perf_counter() - began) / len(racers)
        if each > PATIENCE or (turn >= FEWEST and each > LONG_ENOUGH):
            return
        yield


def concluded(racer: Racer, threads: int) -> Measured:
    """What the times and the file say."""
    latency = {
        size: Latency(median=1e3 * float(np.median(seconds)),
                      p95=1e3 * float(np.percentile(seconds, 95)))
        for size, seconds in racer.seconds.items()
    }  # fmt: skip
    weights = checkpoint.weights(racer.file.parent)
    tables = [tensor for tensor in weights.values() if tensor.ndim >= 2]
    zeros = sum(int((tensor == 0).sum()) for tensor in tables)
    rounded = rounded_layers(racer.setup.model).values()
    ways = {way for layer in rounded for way in layer.ways()}
    largest = max(SIZES)
    return Measured(
        step=racer.step, at=time.time(), device=about(torch.device("cpu")).name, threads=threads,
        bytes=racer.file.stat().st_size, compressed=deflated(racer.file),
        parameters=racer.setup.model.parameter_count(),
        zeros=zeros / max(sum(tensor.numel() for tensor in tables), 1),
        arithmetic=" + ".join(sorted(ways - {"float32"}) + ["fp32"] * ("float32" in ways))
        if ways else "fp32",
        latency=latency, throughput=largest / (latency[largest].median / 1e3),
    )  # fmt: skip


def deflated(path: Path) -> int:
    """Bytes that are left of a file."""
    packer, left = zlib.compressobj(6), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            left += len(packer.compress(piece))
    return left + len(packer.flush())


def path_of(home: Home, run: int) -> Path:
    return home.run(run) / "measured.json"
