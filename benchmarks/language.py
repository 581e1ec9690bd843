"""Tiny Shakespeare by characters, beside the loop that is best known for it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from benchmarks import Options, Result
from benchmarks.training import run
from engine import device, session
from engine.catalog import discover
from engine.data.batches import Data, Feed
from engine.data.tokens import PAD
from engine.data.windows import Windows
from engine.events import Finished, Point
from engine.home import Home
from engine.recipe import Recipe, compose

BLOCK, BATCH, STEPS, LAYERS, HEADS, WIDTH = 64, 12, 2000, 4, 4, 128
CPU = torch.device("cpu")
SPLIT = ("the first 90 % of the text to train and the last 10 % to validate, but for the very last "
         "passage, which is the test")  # fmt: skip


class LearnedPlaces(nn.Module):
    """The published model: learned places, norms before each part, no bias anywhere."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.blocks = nn.ModuleList(PlainBlock() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for name, weight in self.named_parameters():
            if weight.ndim > 1:
                ends = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * LAYERS) if ends else 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            states = block(states)
        return self.head(self.norm(states))  # type: ignore[no-any-return]


class PlainBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.inwards = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        batch, length, _ = states.shape
        parts = self.inwards(self.first(states)).split(WIDTH, 2)
        query, key, value = (p.view(batch, length, HEADS, -1).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        states = states + self.out(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
        return states + self.down(F.gelu(self.up(self.second(states))))  # type: ignore[no-any-return]


def loss_of(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def batches(stream: np.ndarray[Any, Any], generator: torch.Generator) -> Iterator[list[Tensor]]:
    """Inputs and targets (batch, block) from anywhere in a split."""
    while True:
        starts = torch.randint(len(stream) - BLOCK, (BATCH,), generator=generator).tolist()
        yield [
            torch.stack([torch.from_numpy(stream[at : at + BLOCK].astype(np.int64)) for at in some])
            for some in (starts, [start + 1 for start in starts])
        ]


def theirs(data: Data) -> Generator[int, None, nn.Module]:
    """nanoGPT's loop, as its README runs it on a CPU: yields each step, returns the model.

    Written anew from its description: float32, AdamW (0.9, 0.99), decay 0.1 of matrices, a rate of
    1e-3 with 100 steps of warm-up and a cosine to 1e-4, gradients clipped at 1, the loss read at
    each step, and every 250 steps 20 batches of either split to look at. It saves nothing here.
    """
    assert isinstance(data.items, Windows)
    generator = torch.Generator().manual_seed(1337)
    with torch.random.fork_rng():
        torch.manual_seed(1337)
        model = LearnedPlaces(len(data.items.tokenizer))
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW([
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": 0.1},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ], lr=1e-3, betas=(0.9, 0.99))  # fmt: skip
    feeds = [batches(data.items.stream(split), generator) for split in ("train", "validation")]
    for step in range(STEPS + 1):
        rate = 1e-3 * (step + 1) / 101
        if step >= 100:
            share = (step - 100) / (STEPS - 100)
            rate = 1e-4 + 0.5 * (1 + math.cos(math.pi * share)) * (1e-3 - 1e-4)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if step % 250 == 0:
            with torch.no_grad():
                for feed in feeds:
                    sum(loss_of(model, *next(feed)).item() for _ in range(20))
        if step == STEPS:
            break
        loss = loss_of(model, *next(feeds[0]))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        yield step + 1
    return model


@torch.no_grad()
def validated(model: nn.Module, data: Data) -> float:
    """The mean loss over our own validation windows: they tile the text, each token counts once."""
    total = count = 0.0
    for batch in Feed(data, "validation", batch_size=256, device=CPU).batches():
        tokens = batch.inputs["tokens"]
        losses = F.cross_entropy(
            model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=PAD,
            reduction="sum",
        )  # fmt: skip
        total, count = total + float(losses), count + float(batch.inputs["lengths"].sum())
    return total / count


def ours(recipe: Recipe, home: Home, points: list[Point]) -> Generator[int, None, dict[str, Any]]:
    """The program's whole run: yields the steps done, returns its metrics."""
    for event in session.run(recipe, home, 1, device="cpu"):
        match event:
            case Point():
                points.append(event)
                yield event.step
            case Finished():
                assert event.state == "finished", event.reason
                return event.metrics
    raise AssertionError("a run without an end")


class Side:
    """One of two loops that take turns; its own seconds."""

    def __init__(self, loop: Generator[int, None, Any]) -> None:
        self.loop, self.seconds, self.done = loop, 0.0, False
        self.result: Any = None

    def advance(self, until: int) -> None:
        """Go on to that step."""
        began = time.perf_counter()
        try:
            while next(self.loop) < until:
                pass
        except StopIteration as end:
            self.done, self.result = True, end.value
        self.seconds += time.perf_counter() - began


@cache
def contest(text: Path) -> dict[str, Any]:
    """Both loops on the same tokens and threads, 100 steps in turn: what else this machine does
    meets both alike."""
    with tempfile.TemporaryDirectory() as folder:
        run("data", "add", str(text), "--validation", "0.1", "--test", "0.001", home=folder)
        home, points = Home.find(Path(folder)), list[Point]()
        recipe = compose(
            discover(),
            names={"task": "LanguageModelling", "model": "TransformerDecoder",
                   "data": "ImportedText"},
            settings={
                "data.id": 1, "data.tokenizer": "characters", "task.block": BLOCK,
                "model.layers": LAYERS, "model.heads": HEADS, "model.width": WIDTH,
                "model.dropout": 0.0, "method.batch_size": BATCH, "method.max_steps": STEPS,
                "method.check_every": STEPS // 2, "method.threads": torch.get_num_threads(),
            },
        )  # fmt: skip
        data = session.make(recipe, home).data
        sides = [Side(ours(recipe, home, points)), Side(theirs(data))]
        until = 0
        while not all(side.done for side in sides):
            until += 100
            for side in sides:
                if not side.done:
                    side.advance(until)
        mine, other = sides
        loss = validated(other.result, data)
    last = [point for point in points if point.series == "validation/loss"][-1]
    assert last.step == STEPS
    return {
        "ours": last.value, "theirs": loss, "our_seconds": mine.seconds,
        "their_seconds": other.seconds, "numerics": mine.result["numerics"],
    }  # fmt: skip


def note(found: dict[str, Any]) -> str:
    return (
        f"{found['our_seconds']:.0f} s of ours, the whole run with validation, checkpoints and "
        f"test ({found['numerics']}); nanoGPT's loop on the same tokens, measured alike: "
        f"{found['theirs']:.3f} in {found['their_seconds']:.0f} s. Split: {SPLIT}"
    )


def shakespeare(options: Options) -> Result:
    """2,000 steps of a small GPT on Shakespeare's characters: validation loss, nats a character."""
    found = contest(options.file("tinyshakespeare", "input.txt"))
    return Result(
        value=found["ours"], unit="nats/character", reach=1.85, larger_is_better=False,
        peak_mb=device.peak_memory(CPU) / 2**20, note=note(found),
    )  # fmt: skip


def shakespeare_speed(options: Options) -> Result:
    """The same 2,000 steps: how many times as fast as nanoGPT's loop."""
    found = contest(options.file("tinyshakespeare", "input.txt"))
    return Result(
        value=found["their_seconds"] / found["our_seconds"], unit="times as fast", reach=1.0,
        larger_is_better=True, peak_mb=device.peak_memory(CPU) / 2**20,
        note=f"validation loss {found['ours']:.3f}; {note(found)}",
    )  # fmt: skip
