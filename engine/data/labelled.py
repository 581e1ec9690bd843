"""Where the files of an archive lie, and so what each is: class folders, or a table beside them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from engine.catalog import BadInput
from engine.data.archive import ARCHIVES, Entry, Source, Unreadable, one_line, shown
from engine.data.limits import LIMITS
from engine.data.options import ImportOptions, Role
from engine.data.splits import Split

if TYPE_CHECKING:
    from engine.data.tables import Table

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""What folders, files and cells that name a split are called."""
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
NAMES: dict[Role, tuple[str, ...]] = {
    "file": (
        "file_name", "filename", "file", "filepath", "file_path", "path", "image", "image_path",
        "image_name", "img", "picture", "photo", "audio", "audio_path", "audio_filepath", "wav",
        "wav_path", "wav_file", "recording", "sound", "clip",
    ),
    "label": (
        "label", "labels", "label_name", "class", "class_name", "classname", "category", "target",
        "tag", "y",
    ),
    "transcript": (
        "transcript", "transcription", "text", "sentence", "utterance", "normalized_text", "words",
    ),
    "split": ("split", "subset", "partition", "set"),
}  # fmt: skip
"""What columns are called, by what they are for, the surest first."""
FEW = 50
"""Rows by whose cells the column of file names is recognised where no name tells it."""
MOST_GROUPS = 20
LONGEST_GROUP = 200

Wanted = Callable[[Entry], bool]


@dataclass
class Layout:
    """What folders or a table say of the files; lists are as long as `files`."""

    files: list[Entry] = field(default_factory=list)
    labels: list[str] | None = None
    """Each file's class; None where nothing tells classes."""
    splits: list[Split | None] = field(default_factory=list)
    transcripts: list[str] | None = None
    groups: Mapping[str, list[str]] = field(default_factory=dict)
    """Columns of the table by whose values files can be kept together."""
    columns: dict[str, str] = field(default_factory=dict)
    """Which column of the table was taken for what; its encoding and delimiter."""
    warnings: list[str] = field(default_factory=list)
    tables: list[Entry] = field(default_factory=list)
    """The tables that were read: with the files, all that the layout was made of."""
    nested: bool = False
    """Class folders hold folders, which may be what tells the classes."""

    def keep(self, places: Sequence[int]) -> None:
        """Only the files at those places."""
        self.files = [self.files[n] for n in places]
        self.splits = [self.splits[n] for n in places]
        if self.labels is not None:
            self.labels = [self.labels[n] for n in places]
        if self.transcripts is not None:
            self.transcripts = [self.transcripts[n] for n in places]
        self.groups = {column: [cells[n] for n in places] for column, cells in self.groups.items()}


def ending(entry: Entry) -> str:
    """``.jpg``"""
    return os.path.splitext(entry.path[-1])[1].lower()  # noqa: PTH122 (not a path on this machine)


def split_of(path: Sequence[str]) -> Split | None:
    """The split that a table is, by its name or else its folders.

    ``train.csv``, ``data/test-00000-of-00001.parquet``, ``validation/0000.parquet``.
    """
    for name in reversed(path):
        for word in re.split(r"[^a-z]+", name.lower()):
            if word in SPLIT_FOLDERS:
                return SPLIT_FOLDERS[word]
    return None


def split_cell(cell: Any) -> Split | None:
    """The split that a cell names."""
    return SPLIT_FOLDERS.get(cell.strip().lower()) if isinstance(cell, str) else None


def no_split(cell: str) -> str:
    """What is wrong with a row whose cell names no split, in words that follow the column."""
    return f"{shown(cell, most=20)} is none of train, validation and test"


def splits_named(
    cells: Sequence[str], column: str, where: str, options: ImportOptions
) -> list[Split | None] | None:
    """The split that each cell of a column names; None at all where the column is something else.

    A column that is merely called so names splits where most of its cells that aren't blank do.
    BadInput if none does in one that was chosen for it.
    """
    found = [split_cell(cell) for cell in cells]
    known = sum(split is not None for split in found)
    if "split" not in options.columns:
        return found if 2 * known > sum(cell != "" for cell in cells) else None
    if not known:
        strange = sorted({cell for cell in cells if cell})
        raise BadInput(
            f"{where}, column {shown(column)}: {some(strange) or 'a blank'} is no split (train, "
            "validation or test): choose another column, or none",
            field="columns",
        )
    return found


def some(names: Sequence[str]) -> str:
    """The first few names for a message, and how many more there are."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(shown(name) for name in names[:5]) + more


def lay_out(
    source: Source,
    entries: Sequence[Entry],
    archive: str,
    *,
    wanted: Wanted,
    noun: str,
    files: str,
    options: ImportOptions,
    transcripts: bool = False,
    unlabelled: bool = False,
) -> Layout:
    """What each wanted file is, by a table in the archive where one names files, else by folders.

    `noun` (“images”) and `files` (“JPEG or PNG files”) are for messages. A table may give
    transcripts in place of labels where those are wanted. Files with neither table nor folders are
    `unlabelled` where that is allowed. BadInput names what is wrong: table, row and file.
    """
    held = Held(
        archive, entries, wanted, noun, files, options,
        transcripts=transcripts, unlabelled=unlabelled,
    )  # fmt: skip
    if held.found and (tables := _tables(source, held)):
        return _by_table(tables, held)
    asked = [name for role, name in options.columns.items() if name and role in NAMES]
    if held.found and asked:
        raise BadInput(
            f"{archive} holds no table that names its {noun} and has a column {shown(asked[0])}: "
            "add one (CSV or JSONL), or choose no columns",
            field="columns",
        )
    return arrange(entries, archive, wanted=wanted, noun=noun, files=files,
                   unlabelled=unlabelled, classes=options.classes)  # fmt: skip


@dataclass
class Held:
    """What an archive holds, and what is wanted of it."""

    archive: str
    entries: Sequence[Entry]
    wanted: Wanted
    noun: str
    files: str
    options: ImportOptions
    transcripts: bool
    unlabelled: bool

    @cached_property
    def found(self) -> list[Entry]:
        return [entry for entry in self.entries if self.wanted(entry)]

    @cached_property
    def index(self) -> Index:
        return Index(self.found)

    @cached_property
    def folders(self) -> dict[int, str] | None:
        """The classes that folders give, by the files' numbers; None without such folders."""
        try:
            layout = arrange(
                self.entries, self.archive,
                wanted=self.wanted, noun=self.noun, files=self.files, unlabelled=True,
                classes=self.options.classes,
            )  # fmt: skip
        except BadInput:
            return None
        if layout.labels is None or len(set(layout.labels)) < 2:
            return None  # one folder is where the files lie, not what they are
        numbers = {entry: n for n, entry in enumerate(self.found)}
        return {numbers[e]: label for e, label in zip(layout.files, layout.labels, strict=True)}


# --- folders --------------------------------------------------------------------------------


def arrange(
    entries: Sequence[Entry],
    archive: str,
    *,
    wanted: Wanted,
    noun: str,
    files: str,
    unlabelled: bool = False,
    classes: Literal["outermost", "path"] = "outermost",
) -> Layout:
    """Classes and splits from the folders. BadInput says how the folders should lie.

    Where `unlabelled`, files that lie in no class folder at all are a layout without labels.
    `classes` as `ImportOptions.classes`.
    """
    found = [entry for entry in entries if wanted(entry)]
    if not found:
        raise BadInput(_nothing(entries, archive, noun, files))
    paths = _without_wrappers([entry.path for entry in found])
    named = _split_folders(paths, archive)
    layout, outside, deeper = Layout(), [], 0
    if others := [entry.name for entry in entries if not wanted(entry)]:
        layout.warnings.append(f"Left out, for they aren't {noun}: {some(others)}")
    if unlabelled and (flat := _flat(paths)) is not None:
        layout.files, layout.splits = found, flat
        return layout
    layout.labels = []
    for entry, path in zip(found, paths, strict=True):
        split = named.get(path[0]) if len(path) > 1 else None
        inside = path[1:] if split else path
        label = "/".join(map(one_line, inside[:-1] if classes == "path" else inside[:1]))
        label = label if len(inside) > 1 else ""
        if not label or (named and split is None):
            outside.append(entry.name)
            continue
        if len(label.encode("utf-8", "replace")) > 255:
            raise BadInput(
                f"{archive}: the folder {shown(label, most=40)} has a name of more than "
                "255 bytes: give it a shorter one"
            )
        deeper += len(inside) > 2
        layout.files.append(entry)
        layout.labels.append(label)
        layout.splits.append(split)
    if not layout.files:
        raise BadInput(
            f"{archive} has no class folders: put the {noun} of each class into a "
            "folder with the class's name and pack those folders, or add a table (CSV) with the "
            "columns file and label"
        )
    if outside:
        layout.warnings.append(f"Left out, for they lie in no class folder: {some(outside)}")
    layout.nested = deeper > 0
    if layout.nested and classes == "outermost":
        layout.warnings.append(
            f"{deeper:,} files lie in folders inside a class folder; they count to that class"
        )
    present = {split for split in layout.splits if split}
    if present and "train" not in present and len(present) > 1:
        raise BadInput(
            f"{archive} has folders for {' and '.join(sorted(present))} but none named "
            "train: add it, or leave those folders out and it is split for you"
        )
    if len(present) < 2:  # one split alone says nothing about the others
        layout.splits = [None] * len(layout.files)
    return layout


def _nothing(entries: Sequence[Entry], archive: str, noun: str, files: str) -> str:
    if not entries:
        return f"{archive} is empty: pack folders of {noun}, one folder a class"
    if all(ending(entry) in ARCHIVES for entry in entries):
        return (
            f"{archive} holds only other archives ({some([e.name for e in entries])}): unpack "
            f"them, and pack the folders of {noun} themselves"
        )
    lonely = {*TABLES, ".npz", ".npy", ".ts"}
    if tables := [e.name for e in entries if ending(e) in lonely]:
        return (
            f"{archive} holds no {noun} but {some(tables)}: import such a file itself, not packed"
        )
    return (
        f"{archive} holds no {noun} ({some([e.name for e in entries])}): pack folders of "
        f"{files}, one folder a class"
    )


def _without_wrappers(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The paths without the folders that hold everything, as archives of one folder have."""
    while (
        len({path[0] for path in paths}) == 1
        and paths[0][0].lower() not in SPLIT_FOLDERS
        # Folders are left for the classes, but for a few files that stray.
        and sum(len(path) > 2 for path in paths) > len(paths) / 2
    ):
        paths = [path[1:] for path in paths if len(path) > 1]
    return paths


def _split_folders(paths: list[tuple[str, ...]], archive: str) -> dict[str, Split]:
    """The top folders that are splits: those so named that hold folders rather than files."""
    deep = Counter(path[0] for path in paths if len(path) > 2)
    tops = Counter(path[0] for path in paths if len(path) > 1)
    named = {
        top: SPLIT_FOLDERS[top.lower()]
        for top in tops
        if top.lower() in SPLIT_FOLDERS and deep[top] > tops[top] / 2
    }
    others = [top for top in tops if top.lower() not in SPLIT_FOLDERS]
    if others and len(set(named.values())) > 1:
        raise BadInput(
            f"{archive} has folders for {' and '.join(sorted(named))} and beside them "
            f"{some(sorted(others))}: move those into one of the splits or take them "
            "out"
        )
    return {} if others else named


def _flat(paths: list[tuple[str, ...]]) -> list[Split | None] | None:
    """Each file's split where no folder can be a class; None where some can."""
    if all(len(path) == 1 for path in paths):
        return [None] * len(paths)
    if any(len(path) != 2 for path in paths):
        return None
    splits = [SPLIT_FOLDERS.get(path[0].lower()) for path in paths]
    # Two classes called train and test are less likely than two splits.
    return splits if None not in splits and {"train"} < set(splits) else None


# --- a table in the archive -----------------------------------------------------------------


class Index:
    """Finds the file that a table means by a name."""

    def __init__(self, files: Sequence[Entry]) -> None:
        self.files = files
        self.whole: dict[tuple[str, ...], int] = {}
        self.base: dict[str, list[int]] = {}
        self.stem: dict[str, list[int]] = {}
        for number, entry in enumerate(files):
            path = tuple(unicodedata.normalize("NFC", part) for part in entry.path)
            self.whole[path] = number
            self.base.setdefault(path[-1], []).append(number)
            self.stem.setdefault(os.path.splitext(path[-1])[0], []).append(number)  # noqa: PTH122

    def find(self, name: str, beside: tuple[str, ...] = ()) -> list[int]:
        """The files that `name` can mean: one, none, or several that it doesn't tell apart.

        Taken from the folder `beside` first, then from the archive's top, then as the end of a
        path, at last as a name without its ending. Where both have folders, the last of them must
        be the same: ``s1/00.wav`` is never ``s2/00.wav``.
        """
        written = unicodedata.normalize("NFC", name.strip()).replace("\\", "/").split("/")
        parts = tuple(part for part in written if part not in ("", "."))
        if not parts:
            return []
        for path in (beside + parts, parts):
            if path in self.whole:
                return [self.whole[path]]
        for alike in (self.base.get(parts[-1], ()), self.stem.get(parts[-1], ())):
            shared = {n: _shared(self.files[n].path[:-1], parts[:-1]) for n in alike}
            fit = [n for n in alike if shared[n] or not parts[:-1] or not self.files[n].path[:-1]]
            if fit:
                return [n for n in fit if shared[n] == max(shared.values())]
        return []


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many folders two paths have in common, counted from their ends."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if unicodedata.normalize("NFC", a) != b:
            break
        count += 1
    return count


@dataclass(frozen=True)
class Named:
    """A table that names files: where it lies, and what its columns are for."""

    entry: Entry
    table: Table
    roles: dict[Role, int]
    split: Split | None
    """What its own name or folder says of all its rows."""


def text_of(cell: Any, names: Sequence[str] = ()) -> str:
    """A cell as text: nothing is "", and a whole number has no decimals.

    `names` are what whole numbers stand for, where the table says so.
    """
    if cell is None:
        return ""
    if names and isinstance(cell, int):
        # Hugging Face writes −1 where there is no label.
        return names[cell] if 0 <= cell < len(names) else ""
    if isinstance(cell, float):
        if cell != cell:  # NaN: how a data frame writes that there is nothing
            return ""
        if cell.is_integer():
            return str(int(cell))
    return str(cell).strip()


def _tables(source: Source, held: Held) -> list[Named]:
    """The tables that name files. Of several, those that are named like splits."""
    from engine.data.tables import asked_header, open_table

    archive, options = held.archive, held.options
    candidates = [e for e in held.entries if ending(e) in TABLES and not held.wanted(e)]
    found: list[Named] = []
    trouble: list[BadInput] = []
    with source.reading() as read:
        for entry in candidates[:100]:
            if entry.size > LIMITS.file_bytes:
                raise BadInput(
                    f"{archive}: {shown(entry.name)} is larger than "
                    f"{LIMITS.file_bytes // 2**20} MB: take a part of it"
                )
            try:
                content = read(entry, None)
            except Unreadable as problem:
                raise BadInput(f"{archive}: {shown(entry.name)} {problem}: pack it again") from None
            try:
                table = open_table(
                    content, one_line(entry.name),
                    encoding=options.encoding, delimiter=options.delimiter,
                    header=asked_header(options.columns),
                )  # fmt: skip
                roles = _roles(table, entry, held)
            except BadInput as problem:
                trouble.append(problem)
                continue
            if "file" in roles:
                split = split_of(entry.path)
                found.append(Named(entry, table, roles, split))
    if not found and trouble and len(candidates) == 1:
        raise trouble[0]  # the only table there is
    if len(found) > 1:
        parts = [named for named in found if named.split]
        if len({named.split for named in parts}) > 1:
            return parts
        labelled = [named for named in found if {"label", "transcript"} & set(named.roles)]
        if len(labelled) == 1:
            return labelled
        raise BadInput(
            f"{archive} holds {len(found)} tables that name files "
            f"({some([named.entry.name for named in found])}): leave one, or name them train, "
            "validation and test"
        )
    return found


def _roles(table: Table, entry: Entry, held: Held) -> dict[Role, int]:
    """Which column is for what; without "file" where the table names no files."""
    lowered = [name.strip().lower().replace(" ", "_") for name in table.columns]
    options = held.options
    roles: dict[Role, int] = {}
    for role, names in NAMES.items():
        asked = options.columns.get(role)
        if asked:
            if asked not in table.columns:
                raise BadInput(
                    f"{one_line(entry.name)} has no column {shown(asked)} (it has: "
                    f"{some(table.columns)}): choose one of those",
                    field="columns",
                )
            roles[role] = table.columns.index(asked)
        elif asked is None:
            taken = set(roles.values())
            for name in names:
                if name in lowered and lowered.index(name) not in taken:
                    roles[role] = lowered.index(name)
                    break
    if "file" not in options.columns:
        place = _file_column(table, entry, held)
        if place is None:
            roles.pop("file", None)
        elif roles.get("file") != place:
            roles = {role: at for role, at in roles.items() if at != place}
            roles["file"] = place
    return roles


def _file_column(table: Table, entry: Entry, held: Held) -> int | None:
    """The column whose cells are names of files: one that is called so before others."""
    from engine.data.tables import Skipped

    counts = [0] * len(table.columns)
    rows = 0
    # What is wrong with a row is said when all of them are read.
    for _, cells in islice(table.rows(skipped=Skipped()), FEW):
        rows += 1
        for place, cell in enumerate(cells):
            name = text_of(cell)
            # Where folders tell the classes, any table of numbers 1, 2, 3 could mean 1.png.
            whole = held.folders is None or "." in name
            counts[place] += whole and bool(held.index.find(name, entry.path[:-1]))
    lowered = [name.strip().lower().replace(" ", "_") for name in table.columns]
    called = [lowered.index(name) for name in NAMES["file"] if name in lowered]
    best = max(range(len(counts)), key=lambda place: counts[place], default=0)
    if called and counts[called[0]] >= counts[best]:
        sure = any(word in lowered[called[0]] for word in ("file", "path"))
        return called[0] if counts[called[0]] or sure or held.folders is None else None
    return best if counts and counts[best] >= max(1, 0.9 * rows) else None


def _by_table(tables: Sequence[Named], held: Held) -> Layout:
    """What the rows of the tables say, which all have the same columns."""
    from engine.data.tables import Skipped

    _same_columns(tables, held.archive)
    first, options = tables[0], held.options
    columns = first.table.columns
    roles, folders = _told(first, held)
    reading = _Rows(held.archive, held.index, roles, folders)
    # The split's column may turn out to be something else.
    kept = [c for c in columns if c not in roles.values() or c == roles.get("split")]
    values: dict[str, list[str]] = {column: [] for column in kept}
    numbers: list[int] = []
    layout = Layout(
        labels=[] if "label" in roles or folders is not None else None,
        transcripts=[] if "transcript" in roles else None,
        tables=[named.entry for named in tables],
    )
    for named in tables:
        places = {column: named.table.columns.index(column) for column in columns}
        names = {column: named.table.classes.get(column, ()) for column in columns}
        skipped = Skipped()
        for row, cells in named.table.rows(skipped=skipped if options.skip_broken else None):
            said = {c: text_of(cells[at], names[c]) for c, at in places.items()}
            if (read := reading.row(named, row, said)) is None:
                continue
            number, label, transcript = read
            numbers.append(number)
            layout.files.append(held.found[number])
            layout.splits.append(named.split if len(tables) > 1 else None)
            if layout.labels is not None:
                layout.labels.append(label)
            if layout.transcripts is not None:
                layout.transcripts.append(transcript)
            for column in kept:
                values[column].append(said[column])
        for row, why in skipped.first:
            reading.note(f"{one_line(named.entry.name)}, {named.table.row} {row}: {why}")
        reading.count += len(skipped) - len(skipped.first)
    name = one_line(first.entry.name)
    layout.groups = values
    by_cells = _split_by_cells(layout, reading, numbers, roles, first, options)
    layout.warnings += reading.judge(held.noun, options)
    if not layout.files:
        raise BadInput(f"{held.archive}: {name} names no file: add a row for each file")
    known = {named.entry for named in tables}
    if others := [e.name for e in held.entries if not held.wanted(e) and e not in known]:
        layout.warnings.append(f"Left out, for they aren't {held.noun}: {some(others)}")
    if missed := [e.name for n, e in enumerate(held.found) if n not in reading.seen]:
        layout.warnings.append(f"Left out, for no row of {name} names them: {some(missed)}")
    if not by_cells and len(tables) == 1:
        layout.splits = _splits_of_paths([entry.path for entry in layout.files])
    layout.groups = groups_of(layout.groups, options.group)
    form = {"encoding": first.table.encoding, "delimiter": first.table.delimiter}
    layout.columns = {str(role): column for role, column in roles.items()}
    layout.columns |= {key: said for key, said in form.items() if said}
    return layout


def _told(named: Named, held: Held) -> tuple[dict[Role, str], dict[int, str] | None]:
    """The columns by their roles, and the classes by file where folders tell them instead."""
    columns, options = named.table.columns, held.options
    roles = {role: columns[at] for role, at in named.roles.items()}
    if not held.transcripts:
        roles.pop("transcript", None)
    if {"label", "transcript"} & set(roles):
        return roles, None
    if options.columns.get("label") == "":
        if held.unlabelled:
            return roles, None
    elif held.folders is not None:
        return roles, held.folders
    else:
        others = [column for column in columns if column not in roles.values()]
        if len(others) == 1 and not held.transcripts:
            return roles | {"label": others[0]}, None
    wish = "label or transcript" if held.transcripts else "label"
    raise BadInput(
        f"{held.archive}: {one_line(named.entry.name)} names files and has no column {wish} (it "
        f"has: {some(columns)}): choose the column, or name it {wish}",
        field="columns",
    )


def _split_by_cells(
    layout: Layout,
    reading: _Rows,
    numbers: Sequence[int],
    roles: dict[Role, str],
    named: Named,
    options: ImportOptions,
) -> bool:
    """Whether a column names the files' splits; rows where it doesn't are noted and left out.

    A column that is only called like one becomes one of the others.
    """
    if "split" not in roles:
        return False
    column = roles["split"]
    where = f"{reading.archive}: {one_line(named.entry.name)}"
    cells = layout.groups[column]
    splits = splits_named(cells, column, where, options)
    if splits is None:
        del roles["split"]
        return False
    layout.groups = {other: kept for other, kept in layout.groups.items() if other != column}
    layout.splits = splits
    for number, split, cell in zip(numbers, splits, cells, strict=True):
        if split is None:
            table, row = reading.seen[number]
            place = f"{table}, {named.table.row} {row}, column {shown(column)}"
            reading.note(f"{place}: {no_split(cell)}")
    layout.keep([n for n, split in enumerate(splits) if split])
    return True


def _same_columns(tables: Sequence[Named], archive: str) -> None:
    first = tables[0]
    for other in tables[1:]:
        if set(other.table.columns) != set(first.table.columns):
            raise BadInput(
                f"{archive}: {one_line(first.entry.name)} and {one_line(other.entry.name)} have "
                "different columns: give both the same"
            )


def _splits_of_paths(paths: list[tuple[str, ...]]) -> list[Split | None]:
    """The splits that the files' top folders name, where they name train and another."""
    tops = _without_wrappers(paths) if all(len(path) > 1 for path in paths) else paths
    if len(tops) != len(paths):
        return [None] * len(paths)
    splits = [SPLIT_FOLDERS.get(path[0].lower()) if len(path) > 1 else None for path in tops]
    return splits if None not in splits and {"train"} < set(splits) else [None] * len(paths)


def groups_of(values: Mapping[str, list[str]], asked: str | None) -> dict[str, list[str]]:
    """The columns by which items can be kept together: those whose values come again."""
    groups: dict[str, list[str]] = {}
    for column, cells in values.items():
        fits = 1 < len(set(cells)) <= len(cells) / 2 and max(map(len, cells)) <= LONGEST_GROUP
        if column == asked or (fits and len(groups) < MOST_GROUPS):
            groups[one_line(column)] = cells
    return groups


class _Wrong(Exception):
    """A row that can be skipped, and why."""


class _Rows:
    """Looks at a table's rows, and keeps what is wrong with them."""

    def __init__(
        self,
        archive: str,
        index: Index,
        roles: Mapping[Role, str],
        folders: Mapping[int, str] | None,
    ) -> None:
        self.archive, self.index, self.roles, self.folders = archive, index, roles, folders
        self.seen: dict[int, tuple[str, int]] = {}
        """The table and the row that named each file."""
        self.wrong: list[str] = []
        self.count = 0

    def row(self, named: Named, row: int, cells: dict[str, str]) -> tuple[int, str, str] | None:
        """The file's number, its label and its transcript; None where the row is skipped."""
        if not any(cells.values()):
            return None  # spreadsheets end tables with rows of nothing
        try:
            return self._row(named, row, cells)
        except _Wrong as problem:
            self.note(str(problem))
            return None

    def note(self, sentence: str) -> None:
        """Something is wrong with a row."""
        self.count += 1
        if len(self.wrong) < 5:
            self.wrong.append(sentence)

    def _row(self, named: Named, row: int, cells: dict[str, str]) -> tuple[int, str, str]:
        table = one_line(named.entry.name)
        where = f"{table}, {named.table.row} {row}"
        if not (name := cells[self.roles["file"]]):
            raise _Wrong(f"{where}, column {shown(self.roles['file'])}: it names no file")
        found = self.index.find(name, named.entry.path[:-1])
        if not found:
            raise _Wrong(f"{where}: there is no file {shown(name)}")
        if len(found) > 1:
            names = [self.index.files[n].name for n in found]
            raise BadInput(
                f"{self.archive}: {where}: {shown(name)} can be {some(names)}: write it with its "
                "folders"
            )
        (number,) = found
        file = shown(self.index.files[number].name)
        if number in self.seen:
            before = self.seen[number]
            raise BadInput(
                f"{self.archive}: {where}: {file} is named already in {before[0]}, row "
                f"{before[1]}: take one of the two rows out"
            )
        self.seen[number] = table, row
        label = transcript = ""
        if self.folders is not None and not (label := self.folders.get(number, "")):
            raise _Wrong(f"{where}: {file} lies in no class folder")
        if "label" in self.roles and not (label := one_line(cells[self.roles["label"]])):
            column = shown(self.roles["label"])
            raise _Wrong(f"{where}, column {column}: {file} has no label")
        if "transcript" in self.roles:
            transcript, column = cells[self.roles["transcript"]], shown(self.roles["transcript"])
            if not transcript:
                raise _Wrong(f"{where}, column {column}: {file} has no transcript")
            if len(transcript) > LIMITS.text_characters:
                raise _Wrong(
                    f"{where}, column {column}: the transcript of {file} has {len(transcript):,} "
                    f"characters, more than {LIMITS.text_characters:,}"
                )
        return number, label, transcript

    def judge(self, noun: str, options: ImportOptions) -> list[str]:
        """Refuse such rows, or say that they were left out where that is asked for."""
        if not self.count:
            return []
        more = f"; and {self.count - 5:,} more" if self.count > 5 else ""
        listed = "; ".join(self.wrong) + more
        if options.skip_broken:
            return [f"{self.count:,} rows were left out: {listed}"]
        raise BadInput(
            f"{self.archive}: {listed}. Mend the table, add the {noun}, or import with “leave out "
            "what can't be read”, which leaves such rows out",
            field="skip_broken",
        )
