"""Spoken digits: which one is it, also from a voice never heard, and how is it spelled?

The free spoken digit dataset: 3,000 recordings by six speakers, named digit_speaker_number.wav.
"""

from __future__ import annotations

import csv
import io
import statistics
import tempfile
import zipfile
from pathlib import Path

from benchmarks import Options, Result
from benchmarks.training import run, trained

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def recordings(options: Options) -> Path:
    return options.file("fsdd", "fsdd.zip")


def table(archive: Path, into: Path, held_out: str | None = None) -> Path:
    """The recordings with a table of what is said and by whom.

    With one speaker held out for the test, the others' first five recordings of each digit (the
    dataset's own test split) are for validation.
    """
    rows = []
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(into, "w") as out:
        for info in source.infolist():
            if info.is_dir():
                continue
            name = Path(info.filename).name
            digit, speaker, number = Path(name).stem.split("_")
            split = "validation" if int(number) < 5 else "train"
            rows.append([name, digit, WORDS[int(digit)], speaker,
                         "test" if speaker == held_out else split])  # fmt: skip
            out.writestr(name, source.read(info))
        columns = 4 if held_out is None else 5
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
    """SoundResNet's defaults, each of six speakers in turn for the test: mean test accuracy."""
    archive = recordings(options)
    found: dict[str, Result] = {}
    for held_out in speakers(archive):
        with tempfile.TemporaryDirectory() as home:
            packed = table(archive, Path(home, "speakers.zip"), held_out)
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
