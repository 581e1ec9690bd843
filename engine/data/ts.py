"""Files of the UCR archive (.ts) → sequences.

https://www.aeon-toolkit.org/en/stable/api_reference/data_format.html
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from engine.catalog import BadInput
from engine.data import npz
from engine.data.archive import Entry, Source, Unreadable, listing, one_line, shown
from engine.data.crew import Pace
from engine.data.labelled import ending, some, split_of
from engine.data.limits import LIMITS
from engine.data.options import ImportOptions, Step, step
from engine.data.series import LARGEST, MOST_DIGITS, Broken, Floats, Found, is_number
from engine.data.splits import Split

LONGEST_CASE = 64 * 2**20
"""Characters of one sequence, which are all in one line."""


def is_ts(path: Path) -> bool:
    """Whether a file begins as .ts files do: with comments, and then words after an @."""
    with path.open("rb") as file:
        start = file.read(2**16).removeprefix(b"\xef\xbb\xbf")
    for line in start.splitlines():
        text = line.strip()
        if text and not text.startswith((b"#", b"%")):
            return text.startswith(b"@") and text[1:2].isalpha()
    return False


def files_among(
    sources: Sequence[Path], scratch: Path
) -> Generator[Step, None, list[tuple[Path, str]]]:
    """The .ts files that the sources are or hold, each with its name; none if they are no such."""
    found: list[tuple[Path, str]] = []
    for source in sources:
        if source.is_file() and not npz.is_npz(source) and is_ts(source):
            found.append((source, source.name))
        elif source.is_file() and source.suffix.lower() == ".ts":
            raise BadInput(
                f"{one_line(source.name)} is no .ts file of sequences: such a file begins with "
                "lines like @problemName and @classLabel, and has its cases after a line @data"
            )
        elif source.is_dir() or _is_zip(source):
            archive, entries = yield from listing(source, scratch, upto=0)
            inside = [entry for entry in entries if ending(entry) == ".ts"]
            found += _extracted(archive, inside, scratch, source.name)
    return found


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK" and not npz.is_npz(path)


def _extracted(
    archive: Source, entries: Sequence[Entry], scratch: Path, name: str
) -> list[tuple[Path, str]]:
    found = []
    with archive.reading() as read:
        for number, entry in enumerate(entries):
            if entry.size > LIMITS.file_bytes:
                raise BadInput(
                    f"{name}: {shown(entry.name)} is larger than {LIMITS.file_bytes // 2**20} MB: "
                    "import that file itself, not packed"
                )
            path = scratch / f"{number}.ts"  # never a name out of the archive
            try:
                path.write_bytes(read(entry, None))
            except Unreadable as problem:
                raise BadInput(f"{name}: {shown(entry.name)} {problem}: pack it again") from None
            found.append((path, entry.path[-1]))
    return found


@dataclass
class Header:
    """What the lines before @data say."""

    timestamps: bool = False
    dimensions: int | None = None
    labelled: bool = False
    classes: tuple[str, ...] = ()


def read_ts(
    files: Sequence[tuple[Path, str]], scratch: Path, options: ImportOptions
) -> Generator[Step, None, Found]:
    splits = [split_of((name,)) if len(files) > 1 else None for _, name in files]
    if len(files) > 1 and None in splits:
        raise BadInput(
            f"There are {len(files)} .ts files ({some([name for _, name in files])}), and not all "
            "of their names say train, validation or test: import one, or name them so"
        )
    raw = scratch / "values.raw"
    broken, pace = Broken(options), Pace()
    names: list[str] = []
    labels: list[str] = []
    where: list[Split | None] = []
    lengths: list[int] = []
    lost: list[str] = []
    width: int | None = None
    labelled: bool | None = None
    timed = False
    size = sum(path.stat().st_size for path, _ in files)
    done = 0
    with raw.open("wb") as out:
        for (path, name), split in zip(files, splits, strict=True):
            name = one_line(name)
            with path.open("rb") as binary:
                text = io.TextIOWrapper(binary, encoding="utf-8-sig")
                lines = _lines(text, name)
                head = _header(lines, name)
                timed = timed or head.timestamps
                if width is None:
                    width, labelled = head.dimensions, head.labelled
                elif head.dimensions not in (None, width) or head.labelled != labelled:
                    raise BadInput(
                        f"{name} and {one_line(files[0][1])} differ in dimensions or class "
                        "labels: import files of one dataset"
                    )
                case = 0
                for number, line in lines:
                    case += 1
                    called = f"{split}/{case}" if split else str(case)
                    label, dimensions = _case(line, head)
                    values = None
                    if width is None:
                        width = len(dimensions)
                    try:
                        values = _steps(label, dimensions, width, head)
                    except _BadCase as problem:
                        broken.say(f"{name}, line {number}: {problem}")
                        lost.append(called)
                    if values is not None:
                        values.tofile(out)
                        lengths.append(len(values))
                        names.append(called)
                        labels.append(label)
                        where.append(split)
                    if pace.due():
                        share = (done + binary.tell()) / max(size, 1)
                        yield step(0.9 * min(share, 1), f"Reading line {number:,} of {name}")
                done += path.stat().st_size
                if not case:
                    raise BadInput(f"{name} has no case after the line @data: add some")
    if not names or width is None:
        raise BadInput(f"No case is left without the broken: {'; '.join(broken.said)}")
    counts = np.array(lengths, np.int64)
    found = Found(
        values=np.memmap(raw, np.float32, "r", shape=(int(counts.sum()), width)),
        starts=np.cumsum(counts) - counts,
        lengths=counts,
        labels=labels if labelled and options.columns.get("label") != "" else None,
        splits=where if len(files) > 1 else None,
        features=tuple(f"dim{i}" for i in range(width)),
        names=names,
        warnings=broken.warning(lost),
        left_out=len(lost),
    )
    if timed:
        found.warnings.append("The time stamps were left out; the steps keep their order")
    return found


def _lines(text: IO[str], name: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without the blank and the comments."""
    number = 0
    while True:
        try:
            line = text.readline(LONGEST_CASE)
        except UnicodeDecodeError:
            raise BadInput(
                f"{name} isn't encoded as UTF-8 (from about line {number + 1:,} on): save it so"
            ) from None
        if not line:
            return
        number += 1
        if len(line) == LONGEST_CASE:
            raise BadInput(
                f"{name}, line {number:,}: this line alone has {LONGEST_CASE:,} characters or "
                "more: end each case with a line break"
            )
        if (line := line.strip()) and line[0] not in "#%":
            yield number, line


def _header(lines: Iterator[tuple[int, str]], name: str) -> Header:
    head = Header()
    for number, line in lines:
        where = f"{name}, line {number}"
        if not line.startswith("@"):
            raise BadInput(
                f"{where}: {shown(line, most=MOST_DIGITS)} comes before the line @data: begin the "
                "lines before it with @ or #"
            )
        tag, *values = line[1:].split()
        tag = tag.lower() if tag else ""
        value = values[0].lower() if values else ""
        if tag == "data":
            return head
        if tag == "timestamps":
            head.timestamps = value == "true"
        elif tag == "univariate" and value == "true":
            head.dimensions = 1
        elif tag in ("dimensions", "dimension"):
            if not value.isdecimal() or not 1 <= int(value) <= LIMITS.columns:
                raise BadInput(
                    f"{where}: @{tag} must be a whole number from 1 to {LIMITS.columns:,}"
                )
            head.dimensions = int(value)
        elif tag == "classlabel":
            head.labelled = value == "true"
            head.classes = tuple(values[1:]) if head.labelled else ()
        elif tag == "targetlabel" and value == "true":
            raise BadInput(
                f"{where}: @targetLabel says that each case has a measured value, not a class: "
                "only classes can be learnt from sequences here"
            )
    raise BadInput(f"{name} has no line @data: the cases come after it")


class _BadCase(Exception):
    """Why a case can't be read, in words that follow its line's number."""


_TUPLE = re.compile(r"\(([^(),]*),([^(),]*)\)")
_COLON = re.compile(r":(?![^(]*\))")


def _case(line: str, head: Header) -> tuple[str, list[str]]:
    """A case's label, "" where there is none, and its dimensions."""
    # Time stamps may hold colons, too.
    parts = _COLON.split(line) if head.timestamps else line.split(":")
    label = ""
    last = parts[-1].strip()
    missing = len(parts) == head.dimensions and last not in head.classes
    if head.labelled and not missing and "," not in last and len(parts) > 1:
        label = one_line(parts.pop())
    return label, parts


def _pairs(said: str, dimension: int) -> list[tuple[str, str]]:
    """The time stamps and values of a dimension. `_BadCase` where there is anything else."""
    pairs: list[tuple[str, str]] = _TUPLE.findall(said)
    rest = "".join(_TUPLE.sub("()", said).split())
    if rest != ",".join(["()"] * len(pairs)):
        odd = next((part for part in rest.split(",") if part not in ("()", "")), ",")
        raise _BadCase(
            f"dimension {dimension}: {shown(odd, most=MOST_DIGITS)} is no pair of a time stamp "
            "and a value, written (stamp,value), with one comma between two pairs"
        )
    return pairs


def _steps(label: str, dimensions: list[str], width: int, head: Header) -> Floats:
    """A case's steps (T, D). `_BadCase` says what is wrong with it."""
    if len(dimensions) != width:
        count = f"{len(dimensions)} dimension{'s' * (len(dimensions) != 1)}"
        raise _BadCase(f"it has {count}, and there must be {width}")
    if head.labelled and (not label or label == "?"):
        raise _BadCase("it has no label after the last colon")
    if head.classes and label not in head.classes:
        raise _BadCase(f"its label {shown(label)} isn't one of those that @classLabel names")
    columns = []
    stamps: list[str] | None = None
    for place, said in enumerate(dimensions, 1):
        cells = said.split(",")
        if head.timestamps:
            pairs = _pairs(said, place)
            cells = [value for _, value in pairs]
            times = [time.strip() for time, _ in pairs]
            if stamps is not None and times != stamps:
                raise _BadCase(f"dimension {place} has other time stamps than the first")
            stamps = times
        if not said.strip() or not cells:
            raise _BadCase(f"dimension {place} is empty")
        try:
            values = np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            at = next(i for i, cell in enumerate(cells) if not is_number(cell))
            missing = "is missing" if cells[at].strip() in ("?", "") else "isn't a number"
            value = shown(cells[at], most=MOST_DIGITS)
            raise _BadCase(f"dimension {place}, value {at + 1}: {value} {missing}") from None
        if not (np.abs(values) <= LARGEST).all():
            at = int(np.flatnonzero(~(np.abs(values) <= LARGEST))[0])
            value = shown(cells[at], most=MOST_DIGITS)
            raise _BadCase(f"dimension {place}, value {at + 1}: {value} isn't a finite number")
        columns.append(values)
    if len(lengths := {len(column) for column in columns}) > 1:
        raise _BadCase(
            f"its dimensions have unequal lengths ({min(lengths):,} to {max(lengths):,} steps)"
        )
    return np.stack(columns, axis=1).astype(np.float32)
