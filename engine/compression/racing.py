"""How fast a model answers beside the one that it was made of."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from engine.compression.int8 import rounded_layers
from engine.data.batches import Batch, Feed
from engine.models import Model
from engine.tasks import Task

SIZES = (1, 32)
"""Items at a time."""
LONG_ENOUGH = 0.4
"""Seconds for each of the sizes."""


def told(original: Model, made: Model, task: Task, feed: Feed) -> str:
    """Which arithmetic this device is faster with, layer by layer, and what it gains."""
    gains = []
    for size in SIZES:
        before, after = raced([original, made], task, feed.some(size))
        many = "1 item" if size == 1 else f"{size} items"
        gains.append(f"{before / after:.1f} times as fast as in float32 at {many} a batch")
    layers = rounded_layers(made).values()
    ways = [way for layer in layers for way in layer.ways()]
    whole = sum(way == "int8" for way in ways)
    chosen = "whole numbers (oneDNN)" if whole == len(ways) else (
        "float32, which is faster here" if not whole else
        f"whole numbers (oneDNN) in {whole} of {len(ways)} cases, in float32 where that is faster"
    )  # fmt: skip
    return f"{len(layers)} layers hold 8-bit numbers, computed in {chosen}: {', '.join(gains)}"


@torch.no_grad()
def raced(models: Sequence[Model], task: Task, batch: Batch) -> list[float]:
    """Each model's fastest step in seconds; they take turns, so that a busy moment hits all."""
    fastest = [float("inf")] * len(models)
    began, turn = time.perf_counter(), 0
    while turn < 3 or time.perf_counter() - began < LONG_ENOUGH:
        for place, model in enumerate(models):
            started = time.perf_counter()
            task.step(model, batch)
            if turn:  # the first builds kernels
                fastest[place] = min(fastest[place], time.perf_counter() - started)
        turn += 1
    return fastest
