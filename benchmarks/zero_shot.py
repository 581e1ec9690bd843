"""What is told apart by the names of classes alone, through the command line."""

from __future__ import annotations

import os
import tempfile

from benchmarks import Options, Result
from benchmarks.training import run

# Chosen among thirty wordings on 1,600 sentences of the training split, where it reached 0.7025.
QUALITIES = {
    "neg": ("bad", "terrible", "boring", "awful", "disappointing", "dull"),
    "pos": ("good", "great", "exciting", "wonderful", "delightful", "moving"),
}
# Chosen on 1,000 pictures of the training split, where it reached 0.502.
CIFAR10 = ("model.side=160", "model.names=20", "model.softness=2")


def polarity_zero_shot(options: Options) -> Result:
    """The sentence encoder on film reviews by describing sentences alone: test accuracy.

    On the 1,066 sentences that the split of seed 0 holds back. No review is learned from: each
    class is the mean of six sentences, “This film is bad.” and so on.
    """
    os.environ["ANNEAL_MIRROR"] = str(options.file("rt-polarity").parent)
    wording = "\n".join(
        f"{name}: " + " | ".join(f"This film is {quality}." for quality in said)
        for name, said in QUALITIES.items()
    )
    with tempfile.TemporaryDirectory() as home:
        number = run("data", "get", "sample:sentence-polarity", home=home)["dataset"]
        metrics = run(
            "train", "--task", "Classification", "--model", "SentenceEncoder", "--data",
            str(number), "--method", "ZeroShot", "--start", "published",
            "--set", f"method.wording={wording}", home=home,
        )["metrics"]  # fmt: skip
    return Result(
        value=metrics["test/accuracy"], unit="test accuracy", reach=0.62, larger_is_better=True,
        peak_mb=metrics["peak_memory"] / 2**20,
        note=f"validation {metrics['validation/accuracy']:.3f}; “This film is …” with "
        + "; ".join(", ".join(said) for said in QUALITIES.values()),
    )  # fmt: skip


def cifar10_conse(options: Options) -> Result:
    """ConSE on CIFAR-10 by the ten names alone: accuracy on the official 10,000 test pictures.

    No picture of CIFAR-10 is learned from; ImageNet, whose things the network knows, holds most of
    its classes under other names. The wording is that of the dataset: airplane, automobile …
    """
    archive = options.file("cifar10", "cifar10.zip")
    settings = [word for setting in CIFAR10 for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as home:
        number = run("data", "add", str(archive), home=home)["dataset"]
        metrics = run(
            "train", "--task", "Classification", "--model", "ConSE", "--data", str(number),
            "--method", "ZeroShot", "--start", "published", *settings, home=home,
        )["metrics"]  # fmt: skip
    return Result(
        value=metrics["test/accuracy"], unit="test accuracy", reach=0.40, larger_is_better=True,
        peak_mb=metrics["peak_memory"] / 2**20,
        note=f"validation {metrics['validation/accuracy']:.3f}; the classes' own names, without a "
        f"template; {', '.join(CIFAR10)}",
    )  # fmt: skip
