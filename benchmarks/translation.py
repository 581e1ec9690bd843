"""German captions into English, trained and tested through the command line."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import Options, Result
from benchmarks.training import run
from engine.data.fetch import MIRROR
from storage.history import History
from storage.values import Curve

SETTINGS = ("--set", "method.epochs=10")
"""What differs from the starter recipe of the GRU with attention."""


def multi30k_de_en(options: Options) -> Result:
    """Multi30k, German to English: sacreBLEU on test_2016_flickr, and the minutes to there."""
    options.file("multi30k", "test_2016_flickr.de.gz")
    os.environ[MIRROR] = str(options.mirror)
    columns = ("--column", "source=german", "--column", "target=english")
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        number = run("data", "get", "sample:multi30k-en-de", *columns, home=home)["dataset"]
        said = run("train", "--task", "Translation", "--model", "AttentionGRU", "--data",
                   str(number), *SETTINGS, home=home)  # fmt: skip
        minutes = (time.perf_counter() - began) / 60
        metrics, curves = measured(said["run"], home)
    curve = curves["validation/bleu"]
    copied = metrics["baselines"]["the source itself"]["bleu"]
    return Result(
        value=metrics["test/bleu"], unit="BLEU", reach=25.0, larger_is_better=True,
        peak_mb=metrics["peak_memory"] / 2**20,
        note=f"test_2016_flickr, {metrics['signatures']['bleu']}; chrF {metrics['test/chrf']:.1f}; "
             f"the source itself {copied:.1f}; {minutes:.1f} minutes in all, "
             f"{metrics['parameters'] / 1e6:.1f} M parameters, {metrics['numerics']}; validation "
             f"BLEU (greedy): {told(curve.seconds, curve.values)}",
    )  # fmt: skip


def measured(run: int, home: str) -> tuple[dict[str, Any], dict[str, Curve]]:
    """All that a run of this home measured: at the end, and on the way."""
    with History(Path(home, "anneal.db")) as history:
        return dict(history.run(run).metrics), history.curves(run)


def told(seconds: Sequence[float], values: Sequence[float]) -> str:
    """A curve as text: minutes and values."""
    return ", ".join(f"{s / 60:.1f} min {v:.1f}" for s, v in zip(seconds, values, strict=True))
