"""What the networks for pictures reach in a given time."""

from __future__ import annotations

import tempfile

from benchmarks import Options, Result
from benchmarks.training import run, trained

# One-cycle SGD (Smith & Topin 2018), for as many epochs as fit into ten minutes on two cores.
CIFAR10 = (
    "model.depth=8", "model.width=64", "model.stem=medium pictures",
    "method.epochs=15", "method.batch_size=64", "method.optimizer=SGD",
    "method.learning_rate=0.08", "method.weight_decay=5e-4", "method.average=0.99",
    "task.label_smoothing=0.1", "data.shift=2", "data.flip=true",
)  # fmt: skip


def cifar10_resnet(options: Options) -> Result:
    """Fifteen epochs of a wide ResNet of 8 layers on CIFAR-10: test accuracy.

    Split: 45,000 pictures to train on, 5,000 of the official training set to choose the weights,
    the official 10,000 to test.
    """
    archive = options.file("cifar10", "cifar10.zip")
    settings = [word for setting in CIFAR10 for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as home:
        number = run("data", "add", str(archive), home=home)["dataset"]
        return trained(
            "test/accuracy", "--model", "ResNet", "--data", str(number), *settings,
            reach=0.85, larger=True, home=home,
        )  # fmt: skip
