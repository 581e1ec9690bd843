"""What the founding models reach with their defaults, through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import Options, Result

APP = Path(__file__).parents[1] / "app.py"


def run(*words: str, home: str) -> dict[str, Any]:
    """One command of the program; the last line that it says."""
    done = subprocess.run(
        [sys.executable, str(APP), *words, "--home", home], stdout=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return last


def trained(metric: str, *words: str, reach: float, larger: bool, home: str = "") -> Result:
    """Train with defaults but for `words`, and read a metric of the test split."""
    with tempfile.TemporaryDirectory() as folder:
        said = run("train", *words, home=home or folder)
    metrics = said["metrics"]
    return Result(
        value=metrics[metric], unit=metric, reach=reach, larger_is_better=larger,
        peak_mb=metrics["peak_memory"] / 2**20,
        note=f"{metrics['seconds']:.1f} s of training, {metrics['items_per_second']:.0f} items/s",
    )  # fmt: skip


def convnet_mnist(options: Options) -> Result:
    """ConvNet's defaults on 5,000 MNIST digits: test accuracy."""
    return trained("test/accuracy", "--model", "ConvNet", reach=0.97, larger=True)


def lstm_rows(options: Options) -> Result:
    """LSTM's defaults on the digits' rows as sequences: test accuracy."""
    return trained("test/accuracy", "--model", "LSTM", reach=0.95, larger=True)


def autoencoder_mnist(options: Options) -> Result:
    """Autoencoder's defaults on 5,000 MNIST digits: test mean squared error."""
    return trained("test/mse", "--model", "Autoencoder", reach=0.0185, larger=False)


def autoencoder_digits(options: Options) -> Result:
    """Autoencoder's defaults on the small digits enlarged to 28×28: test mean squared error."""
    return trained("test/mse", "--model", "Autoencoder", "--data", "Digits8x8",
                   "--set", "data.size=28", reach=0.0125, larger=False)  # fmt: skip


def convnet_cifar10(options: Options) -> Result:
    """Ten epochs of ConvNet on CIFAR-10, imported from JPEG files: test accuracy."""
    archive = options.file("cifar10", "cifar10.zip")
    with tempfile.TemporaryDirectory() as home:
        number = run("data", "add", str(archive), home=home)["dataset"]
        return trained(
            "test/accuracy", "--model", "ConvNet", "--data", str(number),
            "--set", "method.epochs=10", reach=0.77, larger=True, home=home,
        )  # fmt: skip
