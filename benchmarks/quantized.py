"""What 8 bits cost in accuracy, and gain in size and time."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import Options, Result
from benchmarks.training import APP, run

NETWORKS = {
    "ConvNet": ("model.dropout=0.2",),
    "ResNet": ("model.depth=8", "model.width=32", "method.batch_size=128"),
}
EPOCHS = 3
ALLOWED = 0.01
"""Of accuracy, that may be lost: one point."""


def quantized_cifar10(options: Options) -> Result:
    """ConvNet and ResNet in 8 bits on CIFAR-10: test accuracy lost, at most.

    Both are trained for three epochs, then rounded after training; where that loses more than a
    point, also by an epoch of quantization-aware training. Size, latency and throughput are
    measured side by side.
    """
    archive = options.file("cifar10", "cifar10.zip")
    lost, peak = [], 0.0
    with tempfile.TemporaryDirectory() as home:
        number = run("data", "add", str(archive), home=home)["dataset"]
        for model, settings in NETWORKS.items():
            words = [word for one in (*settings, f"method.epochs={EPOCHS}") for word in
                     ("--set", one)]  # fmt: skip
            first = trained("--model", model, "--data", str(number), *words, home=home)
            peak = max(peak, first["metrics"]["peak_memory"] / 2**20)
            made = [first, smaller(first, number, "PostTrainingInt8", home)]
            if loss(first, made[-1]) > ALLOWED:
                made.append(smaller(first, number, "QuantizationAware", home,
                                    "method.epochs=1"))  # fmt: skip
            lost.append(min(loss(first, one) for one in made[1:]))
            measured(*(one["run"] for one in made), home=home)
    return Result(
        value=100 * max(lost), unit="points of test accuracy lost", reach=100 * ALLOWED,
        larger_is_better=False, peak_mb=peak,
        note=", ".join(f"{name} {100 * one:.2f}" for name, one in zip(NETWORKS, lost, strict=True)),
    )  # fmt: skip


def trained(*words: str, home: str) -> dict[str, Any]:
    said = run("train", *words, home=home)
    print(json.dumps({"run": said["run"], "accuracy": said["metrics"]["test/accuracy"],
                      "seconds": said["metrics"]["seconds"]}), flush=True)  # fmt: skip
    return said


def smaller(
    first: dict[str, Any], number: int, method: str, home: str, *settings: str
) -> dict[str, Any]:
    words = [word for one in settings for word in ("--set", one)]
    return trained("--method", method, "--start", str(first["run"]), "--data", str(number), *words,
                   home=home)  # fmt: skip


def loss(first: dict[str, Any], other: dict[str, Any]) -> float:
    accuracies = (one["metrics"]["test/accuracy"] for one in (first, other))
    before, after = accuracies
    return float(before - after)


def measured(*runs: int, home: str) -> None:
    """Print what they were measured to be, a line each."""
    words = [sys.executable, str(APP), "measure", *map(str, runs), "--home", home]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, end="", flush=True)
