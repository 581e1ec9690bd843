"""What pretraining without labels is worth where there are few."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks import Options, Result
from benchmarks.training import run

LABELS = "1%"
SEEDS = (0, 1, 2)
"""Each decides another part of the labels, and the weights that a run begins with."""

# Small and fast, so that epochs fit into twenty minutes on two cores: a dozen on a processor
# without bfloat16.
NETWORK = ("model.depth=8", "model.width=32", "model.stem=medium pictures")
PRETRAINING = (
    "method.epochs=12", "method.batch_size=256", "method.learning_rate=4e-3",
    "method.weight_decay=1e-3", "method.warmup=0.1", "task.smallest=0.2", "task.jitter=0.5",
    "task.temperature=0.2", "data.flip=true",
)  # fmt: skip
PROBE = (
    "method.epochs=100", "method.batch_size=64", "method.learning_rate=0.01",
    "method.weight_decay=1e-3", "method.check_every=100",
)  # fmt: skip
# From scratch, with the augmentation that suits so few: which is better, validation says.
SCRATCH = (
    ("method.epochs=150", "method.batch_size=64", "method.learning_rate=5e-3",
     "method.weight_decay=0.05"),
    ("method.epochs=150", "method.batch_size=32", "method.optimizer=SGD",
     "method.learning_rate=0.03", "method.weight_decay=5e-3"),
)  # fmt: skip
SHARED = ("data.shift=4", "data.flip=true", "task.label_smoothing=0.1", "method.check_every=100")


def ssl_one_percent(options: Options) -> Result:
    """SimCLR on CIFAR-10 without labels, then a linear probe on 1 % of them: test accuracy.

    Against the same network from scratch on the same 1 %, in the better of two settings by
    validation; mean and standard deviation over three parts of the labels. Split as that of
    `cifar10-resnet`: 5,000 pictures choose the weights, of all runs alike. Only accuracy above
    what is reached from scratch passes.
    """
    archive = options.file("cifar10", "cifar10.zip")
    with tempfile.TemporaryDirectory() as home:
        number = run("data", "add", str(archive), home=home)["dataset"]
        common = ("--data", str(number), "--model", "ResNet")
        pretrained = run("train", "--task", "Contrastive", *common,
                         *said(NETWORK, PRETRAINING), home=home)  # fmt: skip
        start = ("--start", str(pretrained["run"]), "--method", "LinearProbe")
        probes = few(common, *start, *said(NETWORK, PROBE), home=home)
        others = [few(common, *said(NETWORK, SHARED, how), home=home) for how in SCRATCH]
    scratch = max(others, key=lambda runs: mean(runs, "validation/accuracy"))
    before = pretrained["metrics"]
    return Result(
        value=mean(probes, "test/accuracy"), unit="test/accuracy",
        reach=mean(scratch, "test/accuracy"), larger_is_better=True,
        peak_mb=before["peak_memory"] / 2**20,
        note=(
            f"linear probe {told(probes)}, from scratch {told(scratch)} with {LABELS} of the "
            f"labels; k-NN {before['test/knn_accuracy']:.1%} after "
            f"{before['seconds']:.0f} s of pretraining, "
            f"{before['items_per_second']:.0f} pictures/s"
        ),
    )  # fmt: skip


def said(*settings: Sequence[str]) -> Iterator[str]:
    """Settings as the command line takes them."""
    for setting in (one for some in settings for one in some):
        yield from ("--set", setting)


def few(common: Sequence[str], *words: str, home: str) -> list[dict[str, Any]]:
    """What classification with few labels measures, for each part of them."""
    return [
        run("train", "--task", "Classification", *common, *words, "--labels", LABELS,
            "--seed", str(seed), home=home)["metrics"]
        for seed in SEEDS
    ]  # fmt: skip


def mean(runs: Sequence[dict[str, Any]], metric: str) -> float:
    return float(statistics.mean(one[metric] for one in runs))


def told(runs: Sequence[dict[str, Any]]) -> str:
    """Mean and standard deviation of the test accuracy."""
    spread = statistics.stdev(one["test/accuracy"] for one in runs)
    return f"{mean(runs, 'test/accuracy'):.1%} ± {spread:.1%}"
