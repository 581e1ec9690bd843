"""Spoken digits: which one is it, also from a voice never heard, and how is it spelled?

The free spoken digit dataset: 3,000 recordings by six speakers, named digit_speaker_number.wav.
"""

from __future__ import annotations

import csv
import io
import statistics
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import Options, Result
from benchmarks.training import run, trained

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def recordings(options: Options) -> Path:
    return options.file("fsdd", "fsdd.zip")


def table(archive: Path, into: Path, splits: Mapping[str, str] | None = None) -> Path:
    """The recordings with a table of what is said and by whom; `splits` says each speaker's."""
    rows = []
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(into, "w") as out:
        for info in source.infolist():
            if info.is_dir():
                continue
            name = Path(info.filename).name
            digit, speaker, _ = name.split("_")
            rows.append([name, digit, WORDS[int(digit)], speaker, (splits or {}).get(speaker, "")])
            out.writestr(name, source.read(info))
        columns = 5 if splits else 4
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "label", "transcript", "speaker", "split"][:columns])
        writer.writerows(row[:columns] for row in rows)
        out.writestr("recordings.csv", text.getvalue())
    return into


def speakers(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as source:
        return sorted({name.split("_")[1] for name in source.namelist() if name.endswith(".wav")})


def digits(options: Options) -> Result:
    """SoundResNet's defaults on spoken digits, 80/10/10 at random: test accuracy."""
    with tempfile.TemporaryDirectory() as home:
        number = run("data", "add", str(recordings(options)), home=home)["dataset"]
        return trained(
            "test/accuracy", "--model", "SoundResNet", "--data", str(number),
            reach=0.97, larger=True, home=home,
        )  # fmt: skip


def digits_speaker(options: Options) -> Result:
    """SoundResNet's defaults, each of six speakers in turn for the test: mean test accuracy.

    The next speaker is for validation, so that four are trained on.
    """
    archive = recordings(options)
    names = speakers(archive)
    found: dict[str, Result] = {}
    for place, held_out in enumerate(names):
        beside = names[(place + 1) % len(names)]
        splits = dict.fromkeys(names, "train") | {held_out: "test", beside: "validation"}
        with tempfile.TemporaryDirectory() as home:
            packed = table(archive, Path(home, "speakers.zip"), splits)
            number = run("data", "add", str(packed), home=home)["dataset"]
            found[held_out] = trained(
                "test/accuracy", "--task", "Classification", "--model", "SoundResNet",
                "--data", str(number), reach=0.85, larger=True, home=home,
            )  # fmt: skip
    listed = ", ".join(f"{name} {result.value:.3f}" for name, result in found.items())
    return Result(
        value=statistics.mean(result.value for result in found.values()), unit="test/accuracy",
        reach=0.85, larger_is_better=True, peak_mb=max(r.peak_mb for r in found.values()),
        note=f"held out: {listed}",
    )  # fmt: skip


def words_ctc(options: Options) -> Result:
    """SpeechEncoder's defaults on the digits' words, 80/10/10 at random: word error rate."""
    with tempfile.TemporaryDirectory() as home:
        packed = table(recordings(options), Path(home, "words.zip"))
        number = run("data", "add", str(packed), home=home)["dataset"]
        return trained(
            "test/wer", "--task", "SpeechRecognition", "--model", "SpeechEncoder",
            "--data", str(number), reach=0.05, larger=False, home=home,
        )  # fmt: skip
