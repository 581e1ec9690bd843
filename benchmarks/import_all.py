"""From a file to what can be trained on: ours against Hugging Face datasets' loading."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks import Options, Result
from benchmarks.feeds import thinned

_OURS = """
import sys
from pathlib import Path
from engine.data.imports import bring_in
for said in bring_in(Path(sys.argv[2]), Path(sys.argv[1], "1"), kind=sys.argv[3]):
    pass
assert "torch" not in sys.modules
print(sum(map(sum, said.meta["counts"].values())))
"""
_THEIRS = """
import sys
import zipfile
import datasets
folder, source, kind = sys.argv[1:]
datasets.disable_progress_bars()
how = {"data_files": source}
if kind != "csv":
    with zipfile.ZipFile(source) as archive:
        archive.extractall(folder + "/files")
    how = {"data_dir": folder + "/files"}
if kind == "audiofolder":  # paths in place of recordings, which need torchcodec
    label = datasets.ClassLabel(names=list("0123456789"))
    how["features"] = datasets.Features({"audio": datasets.Value("string"), "label": label})
found = datasets.load_dataset(kind, cache_dir=folder + "/cache", **how)
print(sum(len(split) for split in found.values()))
"""
_SENTENCES = """
import csv, sys
from pathlib import Path
with open(sys.argv[1], "w", encoding="utf-8", newline="") as out:
    writer = csv.writer(out)
    writer.writerow(["text", "label"])
    for label in ("neg", "pos"):
        text = Path(sys.argv[2], "rt-polarity." + label).read_text("utf-8")
        writer.writerows([line, label] for line in text.removesuffix("\\n").split("\\n"))
"""
ROUNDS = 2


class Trial(NamedTuple):
    """One import in a process of its own."""

    seconds: float
    items: int
    peak: float
    """Bytes of the process and its children together."""


def import_all(options: Options) -> Result:
    """60,000 JPEG, 10,662 sentences, 3,000 WAV until they are ready: against datasets' loading.

    The value is the most memory that one of our imports takes, all its processes together; what
    they share is counted once. Starting the interpreter counts. `datasets` gets the zips unpacked
    first, in the time that is counted, for it takes no classes from folders inside one; it lists
    the files and decodes none, so that its task is the smaller one.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "sentences.csv"
        sentences = options.file("rt-polarity")
        subprocess.run([sys.executable, "-c", _SENTENCES, str(table), str(sentences)], check=True)
        work = [
            ("images", "imagefolder", thinned(options.file("cifar10", "cifar10.zip"), folder)),
            ("text", "csv", table),
            ("sound", "audiofolder", thinned(options.file("fsdd", "fsdd.zip"), folder)),
        ]
        said, peak = [], 0.0
        for kind, theirs, source in work:
            trials: list[tuple[Trial, Trial]] = [
                (_trial(_OURS, source, kind), _trial(_THEIRS, source, theirs))
                for _ in range(ROUNDS)
            ]
            ours = min((one for one, _ in trials), key=lambda trial: trial.seconds)
            other = min((two for _, two in trials), key=lambda trial: trial.seconds)
            assert ours.items == other.items
            peak = max([peak, *(one.peak for one, _ in trials)])
            said.append(
                f"{ours.items:,} {kind}: {ours.seconds:.1f} s and {ours.peak / 2**20:,.0f} MB, "
                f"{theirs} {other.seconds:.1f} s and {other.peak / 2**20:,.0f} MB"
            )
    return Result(
        value=peak / 2**30, unit="GB", reach=1.5, larger_is_better=False, peak_mb=peak / 2**20,
        note="; ".join(said) + f"; the faster of {ROUNDS} alternating rounds",
    )  # fmt: skip


def _trial(code: str, source: Path, kind: str) -> Trial:
    environment = os.environ | {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code, folder, str(source), kind]
        # Nothing of an earlier round is found again.
        environment["HF_HOME"] = environment["TMPDIR"] = folder
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=Path(__file__).parents[1], env=environment, stdout=subprocess.PIPE
        )
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(0.05)
        seconds = time.perf_counter() - started
        said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{kind}: the import ended with code {process.returncode}")
    return Trial(seconds, int(said), peak)


def _memory(pid: int) -> float:
    try:
        parent = psutil.Process(pid)
        return sum(map(_proportional, [parent, *parent.children(recursive=True)]))
    except psutil.NoSuchProcess:  # it ended while we looked
        return 0.0


def _proportional(process: psutil.Process) -> float:
    """What a process takes, of shared pages its part, where the system can tell."""
    try:
        found = process.memory_full_info()
    except psutil.Error:
        return 0.0
    return float(getattr(found, "pss", found.rss))
