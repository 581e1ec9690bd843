"""How well a chaotic series is told ahead, beside what needs no network."""

from __future__ import annotations

import tempfile

from benchmarks import Options, Result
from benchmarks.training import run


def mackey_glass(options: Options) -> Result:
    """Temporal CNN's defaults on the Mackey–Glass series (delay 17, 6,000 steps, 12 steps ahead;
    the last 15 hundredths are the test): test mean absolute error."""
    with tempfile.TemporaryDirectory() as home:
        said = run("train", "--task", "Forecasting", "--model", "TCN", "--data", "MackeyGlass",
                   home=home)  # fmt: skip
        metrics = run("runs", "show", str(said["run"]), home=home)["metrics"]
    others = "; ".join(f"{name} {s['mae']:.4f}" for name, s in metrics["baselines"].items())
    return Result(
        value=metrics["test/mae"], unit="test/mae", reach=0.01, larger_is_better=False,
        peak_mb=metrics["peak_memory"] / 2**20,
        note=f"{metrics['seconds']:.1f} s of training; {others}",
    )  # fmt: skip
