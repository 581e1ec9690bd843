"""Docstrings of installed packages: everything below the first sentence → the first sentence."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sysconfig
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import Options, Result
from benchmarks.training import run
from benchmarks.translation import measured

LONGEST_SOURCE, LONGEST_SUMMARY = 1200, 160
"""Characters kept of a body; those that a first sentence may have."""
HELD = {"test": 1000, "validation": 500}
"""Pairs that the held-out splits have at least, where there are packages enough."""
MOST = 20_000
"""Pairs that are kept."""
SETTINGS = ("--set", "method.epochs=3")
"""What differs from the starter recipe."""


def first_and_rest(docstring: str) -> tuple[str, str] | None:
    """The first sentence of a docstring in one line, and what follows; None where either lacks
    words."""
    paragraph, _, rest = docstring.strip().partition("\n\n")
    paragraph = " ".join(paragraph.split())
    sentence, _, more = re.sub(r"(?<=[.!?])\s+(?=[A-Z`'\"])", "\n", paragraph, count=1).partition(
        "\n"
    )
    body = "\n\n".join(part for part in (more, rest.strip()) if part)
    words = len(re.findall(r"[A-Za-z]{2,}", sentence))
    if words < 4 or len(sentence) > LONGEST_SUMMARY or len(re.findall(r"[A-Za-z]{2,}", body)) < 20:
        return None
    return sentence, body[:LONGEST_SOURCE]


def docstrings(file: Path) -> Iterator[str]:
    """Of a file's functions, methods and classes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in the packages' own strings
            tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            said = ast.get_docstring(node)
            if said:
                yield said


def place(text: str) -> float:
    """A number in 0…1 that depends on the text alone, and not on its numbers and case."""
    plain = re.sub(r"[^a-z]+", " ", text.lower())
    return int(hashlib.sha256(plain.encode()).hexdigest()[:8], 16) / 2**32


def corpus(site: Path, out: Path) -> dict[str, int]:
    """Write the pairs of all packages under `site` as JSON lines; how many are in each split.

    Packages say much alike: a sentence or a body that was seen, but for digits, signs and case,
    isn't taken again; nor is a body that begins as one that was. The split goes by package, so
    that what one package says in two places lies on one side.
    """
    seen: set[str] = set()
    rows: list[dict[str, Any]] = []
    for file in sorted(site.rglob("*.py")):
        package = file.relative_to(site).parts[0].removesuffix(".py")
        if package.startswith(("_", ".")) or "tests" in file.parts:
            continue
        for docstring in docstrings(file):
            pair = first_and_rest(docstring)
            if pair is None:
                continue
            sentence, body = (re.sub(r"[^a-z]+", " ", part.lower()) for part in pair)
            keys = {f"summary {sentence}", f"body {body[:100]}", f"end {body[-100:]}"}
            if keys & seen:
                continue
            seen |= keys
            rows.append({"source": pair[1], "target": pair[0], "package": package})
    # Of too many, those that stand first in an order that only their text decides.
    rows = sorted(rows, key=lambda row: place(row["target"]))[:MOST]
    side = shared_out(Counter(row["package"] for row in rows))
    with out.open("w", encoding="utf-8") as lines:
        for row in rows:
            row["split"] = side[row.pop("package")]
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return dict(Counter(row["split"] for row in rows))


def shared_out(sizes: Mapping[str, int]) -> dict[str, str]:
    """The split of each package: the test's are drawn first, by a hash of their names.

    A package with more than a twentieth of all pairs is learned from: the test is to hear many.
    """
    side, owed = {}, dict(HELD)
    for package in sorted(sizes, key=place):
        small = sizes[package] <= sum(sizes.values()) / 20
        split = next((name for name in owed if owed[name] > 0), "train") if small else "train"
        side[package] = split
        if split in owed:
            owed[split] -= sizes[package]
    return side


def summaries_docstrings(options: Options) -> Result:
    """Summaries of docstrings, packages not learned from: ROUGE-L, against the best baseline."""
    with tempfile.TemporaryDirectory() as folder:
        table, home = Path(folder, "docstrings.jsonl"), str(Path(folder, "home"))
        began = time.perf_counter()
        sizes = corpus(Path(sysconfig.get_paths()["purelib"]), table)
        reading = time.perf_counter() - began
        columns = [word for name in ("source", "target", "split")
                   for word in ("--column", f"{name}={name}")]  # fmt: skip
        number = run("data", "add", str(table), *columns, home=home)["dataset"]
        said = run("train", "--task", "Summarization", "--model", "AttentionGRU", "--data",
                   str(number), *SETTINGS, home=home)  # fmt: skip
        metrics, _ = measured(said["run"], home)
    baselines = {name: scores["rouge_l"] for name, scores in metrics["baselines"].items()}
    against = ", ".join(f"{name} {score:.1f}" for name, score in baselines.items())
    split = " / ".join(f"{sizes[name]:,}" for name in ("train", "validation", "test"))
    return Result(
        value=metrics["test/rouge_l"], unit="ROUGE-L", reach=max(baselines.values()),
        larger_is_better=True, peak_mb=metrics["peak_memory"] / 2**20,
        note=f"ROUGE-1 {metrics['test/rouge_1']:.1f}, ROUGE-2 {metrics['test/rouge_2']:.1f}; "
             f"baselines by ROUGE-L: {against}; {split} pairs for train / validation / test, split "
             f"by package, read in {reading:.0f} s; {metrics['seconds']:.0f} s of training; "
             f"{metrics['signatures']['rouge_l']}",
    )  # fmt: skip
