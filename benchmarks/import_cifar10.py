"""60,000 JPEG files in a zip → a dataset that is ready to train on."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import Options, Result

_IMPORT = """
import sys
from pathlib import Path
from engine.data.imports import bring_in
for said in bring_in(Path(sys.argv[1]), Path(sys.argv[2])):
    pass
assert "torch" not in sys.modules
assert said.meta["shape"] == [32, 32, 3], said.meta
counts = said.meta["counts"]
assert [sum(counts[s]) for s in ("train", "validation", "test")] == [45000, 5000, 10000]
"""


def import_cifar10(options: Options) -> Result:
    """Seconds until CIFAR-10, 60,000 JPEG files in a zip, is ready to train on.

    The import runs in a process of its own, as the program does it; starting the interpreter
    counts. `peak_mb` adds up the resident memory of the process and its children, so that what
    they share counts several times.
    """
    archive = options.file("cifar10", "cifar10.zip")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-c", _IMPORT, str(archive), str(Path(folder, "1"))]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1])
        peak = 0
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(0.05)
        seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"The import ended with code {process.returncode}")
    return Result(value=seconds, unit="s", reach=20.0, larger_is_better=False,
                  peak_mb=peak / 2**20)  # fmt: skip


def _memory(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:  # it ended while we looked
        pass
    return total
