"""A checkpoint is whole or it isn't there."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from engine import checkpoint
from engine.catalog import BadInput
from engine.checkpoint import Checkpoints, Snapshot

ROOT = Path(__file__).parents[2]


def snapshot(step: int, size: int = 10) -> Snapshot:
    weights = {"weight": torch.full((size,), float(step))}
    return Snapshot(step=step, epoch=step / 10, weights=weights, state={"step": step})


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    strided = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    kept.save(Snapshot(7, 1.5, {"weight": strided}, {"rng": torch.get_rng_state()}), best=True)
    kept.close()
    entry, folder = checkpoint.find(tmp_path, "best")
    assert (entry.step, entry.epoch) == (7, 1.5)
    assert torch.equal(checkpoint.weights(folder)["weight"], strided)
    assert torch.equal(checkpoint.state(folder)["rng"], torch.get_rng_state())


def test_the_last_and_the_best_are_kept_and_no_other(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    for step, best in [(1, True), (2, True), (3, False), (4, False)]:
        kept.save(snapshot(step), best=best)
        kept.flush()
    assert {(s.step, s.best) for s in kept.written()} == {
        (1, True),
        (2, True),
        (3, False),
        (4, False),
    }
    kept.close()
    found = checkpoint.entries(tmp_path)
    assert (found["best"].step, found["last"].step) == (2, 4)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "index.json", "step-000000002", "step-000000004",
    ]  # fmt: skip


def test_saving_never_waits_and_never_loses_the_best(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(snapshot(1), best=True)
    for step in range(2, 30):  # faster than once a second: most are overtaken
        kept.save(snapshot(step), best=step == 20)
    kept.close()
    found = checkpoint.entries(tmp_path)
    assert (found["best"].step, found["last"].step) == (20, 29)


def test_a_run_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no checkpoint yet"):
        checkpoint.find(tmp_path, "last")


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, ("raise SystemExit('the trap was sprung')",))

    (tmp_path / "state.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.state(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(BadInput, match="can't be read"):
        checkpoint.weights(tmp_path)


def test_what_a_killed_writer_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".step-000000009").mkdir()
    (tmp_path / ".step-000000009" / "model.safetensors").write_bytes(b"half")
    kept = Checkpoints(tmp_path)
    kept.close()
    assert not list(tmp_path.iterdir())


WRITER = """
import sys, torch
from pathlib import Path
from engine.checkpoint import Checkpoints, Snapshot
kept = Checkpoints(Path(sys.argv[1]))
for step in range(1, 10**6):
    weights = {"weight": torch.full((200_000,), float(step))}
    kept.save(Snapshot(step, 0.0, weights, {"step": step}), best=step % 2 == 0)
    kept.flush()
    print(step, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_at_any_moment_a_whole_checkpoint_stays(tmp_path: Path) -> None:
    for attempt in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / str(attempt))],
            cwd=ROOT, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.013 * attempt)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        for entry in checkpoint.entries(tmp_path / str(attempt)).values():
            folder = tmp_path / str(attempt) / entry.folder
            assert (checkpoint.weights(folder)["weight"] == entry.step).all()
            assert checkpoint.state(folder)["step"] == entry.step


def test_a_damaged_index_is_made_up_for_by_the_newest_whole_checkpoint(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    for step in (3, 9):
        kept.save(snapshot(step), best=step == 3)
        kept.flush()
    kept.close()
    for damage in ("", "{", "[1]", '{"last": {"no": 1}}'):
        (tmp_path / "index.json").write_text(damage)
        entry, folder = checkpoint.find(tmp_path, "last")
        assert entry.step == 9
        assert (checkpoint.weights(folder)["weight"] == 9).all()


def test_a_damaged_state_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"PK\x03\x04 not the rest of it")
    with pytest.raises(BadInput, match="is damaged"):
        checkpoint.state(tmp_path)
