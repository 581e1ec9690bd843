"""Tables, folders and files of text → texts end to end, with labels where there are some."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engine.catalog import BadInput
from engine.data import labelled
from engine.data.archive import Unreadable, natural, one_line, shown
from engine.data.arrays import Items, RaggedWriter
from engine.data.crew import Pace
from engine.data.kinds import TEXTS
from engine.data.labelled import SPLIT_FOLDERS, some
from engine.data.limits import LIMITS
from engine.data.lines import Lines, Place, encoding_of, ending, reading, told, words
from engine.data.options import ImportOptions, Role, Step, step
from engine.data.parts import (
    EVERY,
    LISTED,
    Gathered,
    Part,
    Reading,
    Row,
    Rows,
    gather,
    splits_of,
    tables_of,
)
from engine.data.roles import Columns, text_roles, written
from engine.data.splits import Split
from engine.data.tables import ENDINGS, NUL, Table, looks_like_table

SHORTEST, LONGEST = 1000, 2000
"""Characters of the passages that a text without items is cut to."""
FEWEST = 20
"""Passages that a short text is cut to at least: they are shorter then."""
BLOCK = 2**16
SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]+[」』”’）]*")


def read(
    sources: Sequence[Path], into: Path, scratch: Path, options: ImportOptions
) -> Generator[Step, None, Items]:
    """Import tables, a folder or archive of texts, or plain text; see `imports.Reader`."""
    yield step(0, f"Opening {one_line(sources[0].name)}")
    gathered = yield from gather(sources, scratch)
    found = arranged(gathered)
    with RaggedWriter(into, "text") as out:
        if found.form == "tables":
            items = yield from _tables(found.parts, out, options)
        elif found.form == "folders":
            items = yield from _folders(gathered, out, options)
        elif found.form == "classes":
            items = yield from _classes(found, out, options)
        else:
            items = yield from _passages(found, out, options, gathered.name)
    items.fingerprint = gathered.digest(found.parts)
    items.warnings[:0] = found.notes
    return items


# --- what there is --------------------------------------------------------------------------


@dataclass(frozen=True)
class Arranged:
    """The files that hold text, and how."""

    form: str
    """``tables``; ``folders`` of a class each, a text a file; ``classes``, a file each, a text a
    line; ``passages`` to be cut from running text."""
    parts: list[Part]
    labels: tuple[str, ...] = ()
    """For ``classes``: each part's."""
    splits: tuple[Split | None, ...] = ()
    notes: tuple[str, ...] = ()


def arranged(gathered: Gathered) -> Arranged:
    """How the files that were given hold text. BadInput if they don't."""
    parts = gathered.parts
    if gathered.source is None:
        tables = [part for part in parts if _is_table(part)]
        if tables and len(tables) < len(parts):
            others = [part.name for part in parts if part not in tables]
            raise BadInput(
                f"{some([part.name for part in tables])} and {some(others)} can't be read "
                "together: import tables, or plain text files"
            )
        return Arranged("tables", tables) if tables else _plain(parts)
    texts = [part for part in parts if ending(part.name) in TEXTS]
    tables = tables_of(parts)
    if texts and not (len(texts) == 1 and tables):
        used = texts
        found = _plain(texts) if len(texts) == 1 else Arranged("folders", texts)
    elif tables:
        used, found = tables, Arranged("tables", tables)
    else:
        labelled.arrange(
            gathered.entries, gathered.name, wanted=lambda entry: False, noun="texts",
            files=".txt files",
        )  # fmt: skip
        raise AssertionError("an archive without texts was arranged")
    if found.form == "folders" or len(used) == len(parts):
        return found  # the folders' importer says what it leaves out
    left = some([part.name for part in parts if part not in used])
    return Arranged(found.form, found.parts, found.labels, found.splits,
                    (*found.notes, f"Left out, for they hold no texts: {left}"))  # fmt: skip


def _is_table(part: Part) -> bool:
    return ending(part.name) in ENDINGS or looks_like_table(part.get(), part.name)


def _plain(parts: list[Part]) -> Arranged:
    """Plain text files: one is running text; several are classes or splits, by their names."""
    if len(parts) == 1:
        return Arranged("passages", parts, splits=(None,))
    names = [words(part.name.rsplit("/", 1)[-1]) for part in parts]
    shared = set.intersection(*map(set, names))
    own = [[word for word in found if word not in shared] for found in names]
    labels = [
        " ".join(word for word in found if word.lower() not in SPLIT_FOLDERS) for found in own
    ]
    splits = tuple(splits_of([" ".join(found) for found in own]))
    if not any(labels) and any(splits):
        return Arranged("passages", parts, splits=splits)
    if not all(labels) or len(set(zip(labels, splits, strict=True))) < len(parts):
        raise BadInput(
            f"{some([part.name for part in parts])}: their names don't tell the classes apart. "
            "Name each file after its class (pos.txt, neg.txt), or with its split before it "
            "(train.pos.txt)"
        )
    classes = sorted(set(labels), key=natural)
    note = f"Each file is a class and each line a text: {some(classes)}"
    return Arranged("classes", parts, tuple(labels), splits, (note,))


# --- tables ---------------------------------------------------------------------------------


def _tables(
    parts: Sequence[Part], out: RaggedWriter, options: ImportOptions
) -> Generator[Step, None, Items]:
    tables = Reading(parts, options, roles_of)
    for row in tables.read():
        if isinstance(row, Step):
            yield row
            continue
        text, label = _cells(tables, row)
        if not text.strip():
            tables.blank(row)
        elif label == "":
            tables.wrong(row, "label", "it is blank, and every text needs its label")
        elif tables.keep(row, label):
            out.add_text(text)
    if "label" not in tables.roles and "label" not in options.columns:
        name = tables.first.name if tables.first else ""
        tables.said.append(f"{name} has no other column than the texts: they have no labels")
    return tables.items("text", "empty texts")


def roles_of(table: Table, options: ImportOptions) -> dict[Role, str]:
    """A table's columns of text, label and split. BadInput unless there is a label, or none is
    wanted, or nothing could be one."""
    roles = text_roles(Columns(table), options.columns)
    if "label" not in roles and "label" not in options.columns and len(table.columns) > 1:
        raise BadInput(
            f"{table.name} has no column that looks like labels. It has {some(table.columns)}: "
            "choose the column, or import without labels",
            field="columns",
        )
    return roles


def _cells(tables: Reading, row: Row) -> tuple[str, str | None]:
    """A row's text and label, None where no column is for labels. BadInput where they are lists
    or objects."""
    text, label = tables.cell(row, "text"), tables.cell(row, "label")
    for role, cell in (("text", text), ("label", label)):
        if isinstance(cell, list | dict | bytes):
            what = {list: "a list", dict: "an object", bytes: "binary data"}[type(cell)]
            raise BadInput(
                f"{tables.table.name}, {tables.table.row} {row.number:,}: its {role} is {what}, "
                f"and must be {'one label' if role == 'label' else 'a text'}: choose another "
                "column",
                field="columns",
            )
    if not isinstance(text, str):
        text = "" if text is None or (isinstance(text, float) and math.isnan(text)) else str(text)
    if "label" not in tables.roles:
        return text, None
    return text, written(label, tables.table.classes.get(tables.roles["label"], ()))


# --- class folders --------------------------------------------------------------------------


def _folders(
    gathered: Gathered, out: RaggedWriter, options: ImportOptions
) -> Generator[Step, None, Items]:
    assert gathered.source is not None
    layout = labelled.arrange(
        gathered.entries, gathered.name, wanted=lambda entry: ending(entry.path[-1]) in TEXTS,
        noun="texts", files=".txt files", unlabelled=options.columns.get("label") == "",
        classes=options.classes,
    )  # fmt: skip
    if options.columns.get("label") == "":
        layout.labels = None
    rows = Rows(options)
    pace = Pace()
    with gathered.source.reading() as read:
        for number, entry in enumerate(layout.files):
            if number % 50 == 0 and pace.due():
                text = f"Reading {number:,} of {len(layout.files):,} texts"
                yield step(LISTED + 0.9 * number / len(layout.files), text)
            name = shown(entry.name)
            if entry.size > 4 * LIMITS.text_characters:  # before it is read
                rows.wrong(name, f"it has more than {LIMITS.text_characters:,} characters")
                continue
            try:
                text = decoded(read(entry, None), options.encoding)
            except (Unreadable, UnicodeError) as problem:
                rows.wrong(name, str(problem))
                continue
            if why := wrong_with(text):
                rows.wrong(name, why)
            elif not text.strip():
                rows.blank(name)
            else:
                out.add_text(text)
                label = layout.labels[number] if layout.labels is not None else None
                rows.keep(entry.name, split=layout.splits[number], label=label)
    return Items(
        kind="text", fingerprint="", names=rows.names,
        labels=None if layout.labels is None else rows.labels, splits=rows.given,
        warnings=[*layout.warnings, *rows.judge("empty texts")],
    )  # fmt: skip


def decoded(content: bytes, encoding: str | None) -> str:
    """A small file's text, its lines ended by ``\\n``. UnicodeError says where it isn't one."""
    encoding = encoding_of(content, "", encoding) if encoding else told(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as problem:
        raise UnicodeError(f"it isn't encoded as {encoding} at byte {problem.start:,}") from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def wrong_with(text: str) -> str:
    """Why a text is refused; "" where it isn't."""
    if len(text) > LIMITS.text_characters:
        return f"it has more than {LIMITS.text_characters:,} characters: shorten it"
    return NUL if "\0" in text else ""


# --- a file a class, a line a text ----------------------------------------------------------


def _classes(
    found: Arranged, out: RaggedWriter, options: ImportOptions
) -> Generator[Step, None, Items]:
    rows = Rows(options)
    unlabelled = options.columns.get("label") == ""
    encoding = ""
    pace = Pace()
    for part, label, split in zip(found.parts, found.labels, found.splits, strict=True):
        content, place = part.get(), Place()
        encoding = encoding_of(content, part.name, options.encoding)
        with reading(content, part.name, encoding, place=place) as lines:
            for line in lines:
                text, word = line.rstrip("\r\n"), f"{part.name} row"
                if why := wrong_with(text):
                    rows.wrong(f"{part.name}, row {lines.number:,}", why)
                elif not text.strip():
                    rows.blank(f"{word} {lines.number}")
                else:
                    out.add_text(text)
                    rows.keep(word, lines.number, split=split, label=label)
                if lines.number % EVERY == 0 and pace.due():
                    done = (found.parts.index(part) + place.share) / len(found.parts)
                    yield step(LISTED + 0.9 * done, f"Reading {part.name}, row {lines.number:,}")
    return Items(
        kind="text", fingerprint="", names=rows.names, labels=None if unlabelled else rows.labels,
        splits=rows.given, columns={"encoding": encoding}, warnings=rows.judge("empty lines"),
    )  # fmt: skip


# --- running text ---------------------------------------------------------------------------


def _passages(
    found: Arranged, out: RaggedWriter, options: ImportOptions, name: str
) -> Generator[Step, None, Items]:
    if options.columns.get("label"):
        raise BadInput(
            f"{name} is running text and has no column {shown(options.columns['label'])}: import "
            "it without choosing columns",
            field="columns",
        )
    rows = Rows(options)
    encoding = ""
    pace = Pace()
    for number, (part, split) in enumerate(zip(found.parts, found.splits, strict=True)):
        content, place = part.get(), Place()
        encoding = encoding_of(content, part.name, options.encoding)
        with ExitStack() as stack:
            # Ends of lines are made \n: those of Windows would be two letters to learn.
            lines = stack.enter_context(
                reading(content, part.name, encoding, newline=None, place=place)
            )
            row = 1
            label = f"{part.name} row" if len(found.parts) > 1 else "row"
            for text in passages(lines):
                if text.strip():
                    out.add_text(text)
                    rows.keep(label, row, split=split)
                row += text.count("\n")
                if len(rows.names) % EVERY == 0 and pace.due():
                    done = (number + place.share) / len(found.parts)
                    yield step(LISTED + 0.9 * done, f"Cutting {part.name}, row {row:,}")
    count = len(rows.names)
    if count < 3:
        raise BadInput(f"{name} holds too little text to learn from: give at least a page")
    splits = rows.given
    if splits is None and options.split == "given" and len(found.parts) == 1:
        # What comes next in a text is told from what came before: neighbours stay together.
        tested, held = (
            max(1, round(count * options.test)),
            max(1, round(count * options.validation)),
        )
        sizes: dict[Split, int] = {
            "train": count - held - tested, "validation": held, "test": tested,
        }  # fmt: skip
        splits = [split for split, size in sizes.items() for _ in range(size)]
    return Items(
        kind="text", fingerprint="", names=rows.names, splits=splits,
        columns={"encoding": encoding}, running=True,
    )  # fmt: skip


def passages(lines: Lines) -> Iterator[str]:
    """A text cut where it pauses; the passages joined are the text again.

    They have 1,000 to 2,000 characters, or fewer where the text is short. BadInput at a NUL.
    """
    rest, row = "", 1
    shortest, longest = 0, 0
    while block := lines.read(BLOCK):
        if "\0" in block:
            row += block[: block.index("\0")].count("\n")
            raise BadInput(f"{lines.name}, row {row:,}: {NUL}")
        row += block.count("\n")
        rest += block.removeprefix("\ufeff") if not longest else block
        if not longest:
            long = len(block) == BLOCK
            shortest = SHORTEST if long else max(1, min(SHORTEST, len(rest) // (2 * FEWEST)))
            longest = 2 * shortest
        start = 0
        while len(rest) - start > longest:
            end = _pause(rest, start + shortest, start + longest)
            yield rest[start:end]
            start = end
        rest = rest[start:]
    if rest:
        yield rest


def _pause(text: str, low: int, high: int) -> int:
    """Where to cut between two places: after a blank line, a line, a sentence or a word."""
    for mark in ("\n\n", "\n"):
        if (at := text.rfind(mark, low, high)) >= 0:
            return at + len(mark)
    if ends := [found.end() for found in SENTENCE.finditer(text, low, high)]:
        return ends[-1]
    return max(text.rfind(" ", low, high), text.rfind("\t", low, high)) + 1 or high
