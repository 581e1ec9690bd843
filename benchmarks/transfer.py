"""What weights that others have trained are worth, through the command line."""

from __future__ import annotations

import os
import statistics
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import Options, Result
from benchmarks.training import run

LABELS = {10: (0, 1, 2), 100: (0, 1, 2), 1000: (0,)}
"""Labels a class, and the seeds: what decides the bar is measured three times."""
STEPS = {10: 600, 100: 1500, 1000: 2500}
"""Of training from scratch, with so many labels a class: more didn't help."""
BATCH = 64


def cifar10_few_labels(options: Options) -> Result:
    """CIFAR-10 with 10, 100 and 1,000 labels a class: a linear probe on EfficientNet-Lite0's
    features at 224 pixels against ConvNet from scratch.

    Which labels: drawn by the seed. Epochs are chosen on the same 5,000 pictures of the official
    training set for both; test accuracy on the official 10,000. The value is how far the probe with
    10 labels a class is above scratch with 100, the mean of three seeds; with 1,000, one seed.
    """
    archive = options.file("cifar10", "cifar10.zip")
    found: dict[str, dict[int, list[float]]] = {"probe": {}, "scratch": {}}
    seconds: dict[str, float] = {"probe": 0.0, "scratch": 0.0}
    peak = 0.0
    with tempfile.TemporaryDirectory() as home:
        number = run("data", "add", str(archive), home=home)["dataset"]
        for labels, seeds in LABELS.items():
            steps = labels * 10 / BATCH
            ways: dict[str, Sequence[str]] = {
                "probe": ("--model", "EfficientNetLite0", "--start", "published",
                          "--method", "LinearProbe", "--set", "method.epochs=100"),
                "scratch": ("--model", "ConvNet",
                            "--set", f"method.epochs={round(STEPS[labels] / steps)}",
                            "--set", "method.check_every=100",
                            "--set", "data.shift=2", "--set", "data.flip=true"),
            }  # fmt: skip
            for way, words in ways.items():
                for seed in seeds:
                    said = run(
                        "train", *words, "--data", str(number), "--labels", str(labels),
                        "--seed", str(seed), home=home,
                    )["metrics"]  # fmt: skip
                    found[way].setdefault(labels, []).append(said["test/accuracy"])
                    seconds[way] += said["seconds"]
                    peak = max(peak, said["peak_memory"] / 2**20)
    few, many = found["probe"][10], found["scratch"][100]
    told = "; ".join(
        f"{way} {', '.join(f'{spread(by[n])} with {n}' for n in LABELS)}"
        for way, by in found.items()
    )  # fmt: skip
    return Result(
        value=statistics.mean(few) - statistics.mean(many), unit="share of the test pictures",
        reach=0.0, larger_is_better=True, peak_mb=peak,
        note=f"{told} (mean ± standard deviation of three seeds; one with 1,000); "
        f"{seconds['probe']:.0f} s for all probes, {seconds['scratch']:.0f} s from scratch",
    )  # fmt: skip


def polarity_transfer(options: Options) -> Result:
    """Sentence polarity with MiniLM: linear probe on all its layers (bar 76 %), LoRA, and all
    weights (bar 80 %).

    The split of polarity-textcnn: 80/10/10 by seed 0, test on 1,066 sentences. Kim 2014: 76.1 % for
    CNN-rand, 81.5 % for CNN-non-static. The value is the smaller distance above its bar.
    """
    os.environ["ANNEAL_MIRROR"] = str(options.file("rt-polarity").parent)
    ways: dict[str, Sequence[str]] = {
        # Of three settings the one that validation prefers.
        "probe": ("--method", "LinearProbe", "--set", "model.layers=all",
                  "--set", "method.learning_rate=0.003", "--set", "method.weight_decay=0.1"),
        "LoRA": ("--method", "LoRA", "--set", "method.epochs=2"),
        "all weights": ("--method", "Training", "--set", "method.epochs=2"),
    }  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as home:
        number = run("data", "get", "sample:sentence-polarity", home=home)["dataset"]
        for way, words in ways.items():
            found[way] = run(
                "train", "--task", "Classification", "--model", "SentenceEncoder", *words,
                "--data", str(number), "--start", "published", home=home,
            )["metrics"]  # fmt: skip
    reached = {way: said["test/accuracy"] for way, said in found.items()}
    return Result(
        value=min(reached["probe"] - 0.76, reached["all weights"] - 0.80), unit="test accuracy "
        "above its bar", reach=0.0, larger_is_better=True,
        peak_mb=max(said["peak_memory"] for said in found.values()) / 2**20,
        note="; ".join(f"{way} {reached[way]:.3f} in {said['seconds']:.0f} s"
                       for way, said in found.items()),
    )  # fmt: skip


PICTURES, EPOCHS = 500, 20
ASIDE, TESTED = 50, 500
"""Pictures to validate and to test on."""


def probe_cache(options: Options) -> Result:
    """Twenty epochs of a head over EfficientNet-Lite0 on 500 pictures at 224 pixels: features
    computed once against features computed in each epoch. How many times faster.

    Both learn with the same settings, from the same weights, in the same order, without random
    changes; the whole run is timed, from the first feature to the last check.
    """
    archive = options.file("cifar10", "cifar10.zip")
    how = {
        "once": ("--method", "LinearProbe"),
        "each epoch": ("--method", "HeadFirst", "--set", f"method.alone={EPOCHS}"),
    }
    same = (
        f"method.epochs={EPOCHS}", "method.batch_size=50", "method.learning_rate=0.01",
        "method.weight_decay=0", "method.schedule=constant", "data.shift=0", "data.flip=false",
        "model.dropout=0", "method.clip=",
    )  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in how}
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder, "few.zip")
        with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(few, "w") as part:
            for name in some(whole.namelist()):
                part.writestr(name, whole.read(name))
        for _ in range(2):  # alternately, each time in a home where nothing is kept
            for way, words in how.items():
                with tempfile.TemporaryDirectory() as home:
                    number = run("data", "add", str(few), home=home)["dataset"]
                    found[way].append(run(
                        "train", "--model", "EfficientNetLite0", "--start", "published", *words,
                        *(word for setting in same for word in ("--set", setting)),
                        "--data", str(number), home=home,
                    )["metrics"])  # fmt: skip
    seconds = {way: min(said["seconds"] for said in runs) for way, runs in found.items()}
    reached = {way: runs[0]["test/accuracy"] for way, runs in found.items()}
    return Result(
        value=seconds["each epoch"] / seconds["once"], unit="times faster", reach=10.0,
        larger_is_better=True,
        peak_mb=max(said["peak_memory"] for runs in found.values() for said in runs) / 2**20,
        note="; ".join(f"{way}: {seconds[way]:.1f} s, test accuracy {reached[way]:.3f}"
                       for way in how),
    )  # fmt: skip


def some(names: Sequence[str]) -> Iterator[str]:
    """Of the pictures, as many of each class to learn from, to validate and to test on."""
    folders: dict[str, list[str]] = {}
    for name in sorted(name for name in names if name.endswith(".jpg")):
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    for folder, those in folders.items():
        each = PICTURES + ASIDE if folder.startswith("train") else TESTED
        yield from those[: each * 2 // len(folders)]


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation, in per cent; a single one as it is."""
    if len(values) == 1:
        return f"{values[0]:.1%}"
    return f"{statistics.mean(values):.1%} ± {statistics.stdev(values):.1%}"
