"""A run and its smaller form, measured side by side from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.test_app import Terminal


def test_a_smaller_form_is_measured_beside_its_original(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "home")
    settings = ("model.channels=8,16", "model.hidden=64", "method.epochs=2", "method.threads=1")
    words = [word for one in settings for word in ("--set", one)]
    terminal("train", "--data", "Digits8x8", "--model", "ConvNet", *words)
    made = ("--data", "Digits8x8", "--method", "PostTrainingInt8", "--start", 1)
    *_, last = terminal("train", *made)
    assert last["state"] == "finished"
    original, smaller = terminal.here("measure", 1, 2)
    assert (original["run"], smaller["run"]) == (1, 2)
    assert smaller["bytes"] < 0.5 * original["bytes"]
    assert smaller["compressed"] <= smaller["bytes"]
    assert abs(smaller["test/accuracy"] - original["test/accuracy"]) < 0.05
    for one in (original, smaller):
        for times in one["latency"].values():
            assert 0 < times["median"] <= times["p95"]
        assert one["throughput"] > 0
