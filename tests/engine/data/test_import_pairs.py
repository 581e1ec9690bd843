"""Pairs come in from tables with two sides, and from files aligned by line."""

from __future__ import annotations

import bz2
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.catalog import BadInput
from engine.data import archive
from engine.data import pairs as pairs_of
from engine.data.arrays import Stored
from engine.data.crew import Pace
from engine.data.kinds import kind_of
from engine.data.options import ImportOptions
from engine.data.splits import SPLITS

ENGLISH = [f"the dog number {i} barks" for i in range(20)]
GERMAN = [f"der große Hund Nummer {i} bellt" for i in range(20)]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """``write(lines, name)`` → a file with them, packed as its name says."""

    def write(lines: list[str] | str | bytes, name: str, encoding: str = "utf-8") -> Path:
        content = "".join(line + "\n" for line in lines) if isinstance(lines, list) else lines
        raw = content if isinstance(content, bytes) else content.encode(encoding)
        packing = {"gz": gzip.compress, "bz2": bz2.compress}.get(name.rsplit(".", 1)[-1], bytes)
        (tmp_path / name).write_bytes(packing(raw))
        return tmp_path / name

    return write


def pairs(data: Stored) -> list[tuple[str, str]]:
    source, target = data.ragged("source"), data.ragged("target")
    return [(source.text(row), target.text(row)) for row in range(len(data))]


def splits(data: Stored) -> Counter[str]:
    return Counter(SPLITS[i] for i in data.splits.tolist())


EXPECTED = list(zip(ENGLISH, GERMAN, strict=True))


# --- tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("source", "target"), ("src", "tgt"), ("en", "de"), ("English", "German"),
        ("input", "output"), ("document", "summary"), ("question", "answer"),
        ("article", "highlights"), ("原文", "译文"), ("zh_CN", "en_US"),
    ],
)  # fmt: skip
def test_the_two_sides_are_told_by_their_names(write, take, source, target):
    rows = [f"{i}\t{a}\t{b}" for i, (a, b) in enumerate(EXPECTED)]
    data, said = take(write([f"id\t{source}\t{target}", *rows], "t.tsv"))
    assert (said.card, said.provides) == ("ImportedPairs", ("pair", "target"))
    assert pairs(data) == EXPECTED
    assert data.manifest.columns == {
        "encoding": "utf-8", "delimiter": "\t", "source": source, "target": target
    }  # fmt: skip


def test_the_sides_can_be_turned_round_and_chosen(write, take):
    rows = [f"{a},{b}" for a, b in EXPECTED]
    path = write(["en,de", *rows], "t.csv")
    turned = [(b, a) for a, b in EXPECTED]
    assert pairs(take(path, columns={"source": "de", "target": "en"})[0]) == turned
    assert pairs(take(path, columns={"source": "de"})[0]) == turned
    path = write(["foo,bar", *rows], "t.csv")
    chosen = {"source": "foo", "target": "bar"}
    assert pairs(take(path, kind="pairs", columns=chosen)[0]) == EXPECTED
    with pytest.raises(BadInput, match=r"t.csv has no columns that look like .* “foo”, “bar”") as p:
        take(path, kind="pairs")
    assert p.value.field == "columns"
    with pytest.raises(BadInput, match="can't be both source and target"):
        take(path, kind="pairs", columns={"source": "foo", "target": "foo"})


def test_translations_of_hugging_face_are_read(tmp_path: Path, write, take):
    rows = [{"id": str(i), "translation": {"en": a, "de": b}} for i, (a, b) in enumerate(EXPECTED)]
    data, _ = take(write([json.dumps(row) for row in rows], "t.jsonl"))
    assert pairs(data) == EXPECTED
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    data, _ = take(tmp_path / "t.parquet")
    assert pairs(data) == EXPECTED
    assert data.manifest.columns == {"source": "en", "target": "de"}


def test_a_row_with_an_empty_side_is_left_out_and_named(write, take):
    data, said = take(write(["en,de", *(f"{a},{b}" for a, b in EXPECTED), "a, ", ",b"], "t.csv"))
    assert pairs(data) == EXPECTED
    assert said.warnings == ("Pairs with an empty side were left out (2): row 22, row 23",)


def test_broken_rows_of_pairs_are_named(write, take):
    path = write(["en,de", *(f"{a},{b}" for a, b in EXPECTED), "one", "a\0,b"], "t.csv")
    with pytest.raises(BadInput, match=r"row 22: it has 1 cell.*row 23: it holds a NUL") as problem:
        take(path)
    assert problem.value.field == "skip_broken"
    assert pairs(take(path, skip_broken=True)[0]) == EXPECTED


def test_several_tables_of_pairs_are_splits(write, take):
    rows = ["en,de", *(f"{a},{b}" for a, b in EXPECTED)]
    paths = [write(rows, f"{name}.csv") for name in ("test", "train", "dev")]
    assert kind_of(paths) == "pairs"
    assert splits(take(paths)[0]) == {"train": 20, "validation": 20, "test": 20}


# --- files aligned by line ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("train.en", "train.de"), ("train.en.gz", "train.de.gz"), ("a.en.bz2", "a.de"),
        ("en.txt", "de.txt"), ("x.source", "x.target"), ("corpus.de-en.en", "corpus.de-en.de"),
        ("x_src.txt", "x_tgt.txt"),
    ],
)  # fmt: skip
def test_two_aligned_files_are_pairs_line_by_line(write, take, source, target):
    # Given the wrong way round: English, and what is called source, is the source all the same.
    paths = [write(GERMAN, target), write(ENGLISH, source)]
    assert kind_of(paths) == "pairs"
    data, _ = take(paths)
    assert pairs(data) == EXPECTED
    assert data.names[2] == "row 3"


def test_files_of_any_name_can_be_read_as_pairs(write, take):
    paths = [write(ENGLISH, "easy.txt"), write(GERMAN, "hard.txt")]
    assert kind_of(paths) == "text"
    data, _ = take(paths, kind="pairs")
    assert pairs(data) == EXPECTED
    assert (data.manifest.columns["source"], data.manifest.columns["target"]) == ("easy", "hard")


def test_files_of_several_splits_and_languages(write, take, pack, tmp_path):
    names = [f"{split}.{side}.gz" for split in ("test_2016", "train", "val") for side in
             ("de", "en", "fr")]  # fmt: skip
    sides = {"de": GERMAN, "en": ENGLISH, "fr": [f"chien {i}" for i in range(20)]}
    paths = [write(sides[name.split(".")[1]], name) for name in names]
    two = [path for path in paths if ".fr" not in path.name]
    data, _ = take(two)
    assert splits(data) == {"train": 20, "validation": 20, "test": 20}
    assert pairs(data)[:20] == EXPECTED
    assert data.names[0] == "train.en.gz row 1"
    with pytest.raises(
        BadInput, match=r"holds 3 languages .*choose which is the source"
    ) as problem:
        take(paths)
    assert problem.value.field == "columns"
    data, _ = take(paths, columns={"source": "fr", "target": "en"})
    assert pairs(data)[3] == ("chien 3", ENGLISH[3])
    with pytest.raises(BadInput, match="no file for “es”"):
        take(two, columns={"target": "es"})
    plain = {f"data/{path.name[:-3]}": gzip.decompress(path.read_bytes()) for path in two}
    packed = pack(plain | {"README.md": b"hello"})
    assert kind_of([pack(plain)]) == "pairs"
    assert pairs(take(packed, kind="pairs")[0]) == pairs(take(two)[0])
    still = pack({path.name: path.read_bytes() for path in two}, "gz.zip")
    assert pairs(take(still)[0]) == pairs(take(two)[0])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_file_has_its_own_encoding(write, take, encoding, end):
    german = write("".join(line + end for line in GERMAN), "a.de", encoding)
    assert pairs(take([write(ENGLISH, "a.en"), german])[0]) == EXPECTED


def test_chinese_in_gb18030_is_aligned_with_english(write, take):
    chinese = [f"第{i}只狗在叫" for i in range(20)]
    data, _ = take([write(ENGLISH, "a.en"), write(chinese, "a.zh", "gb18030")])
    assert pairs(data)[4] == (ENGLISH[4], "第4只狗在叫")


def test_odd_line_ends_inside_a_line_shift_nothing(write, take):
    odd = [line.replace(" ", "\u2028", 1).replace("number", "num\x85ber") for line in ENGLISH]
    odd[3] = "a\rb"
    data, _ = take([write(odd, "a.en"), write(GERMAN, "a.de")])
    assert pairs(data) == list(zip(odd, GERMAN, strict=True))


@pytest.mark.parametrize(("english", "german"), [(20, 19), (19, 20), (20, 2), (1, 20)])
def test_unequal_counts_of_lines_are_both_named(write, take, english, german):
    paths = [write(ENGLISH[:english], "a.en"), write(GERMAN[:german], "a.de.gz")]
    said = rf"a.en has {english} lines and a.de.gz has {german}: each line of one"
    with pytest.raises(BadInput, match=said):
        take(paths)


def test_an_empty_line_leaves_its_pair_out(write, take):
    german = [*GERMAN]
    german[4] = " "
    data, said = take([write(ENGLISH, "a.en"), write(german, "a.de")])
    assert len(data) == 19
    assert said.warnings == ("Pairs with an empty side were left out (1): row 5",)


def test_a_line_that_is_too_long_or_holds_a_nul_is_named(write, take):
    german = [*GERMAN]
    german[4], german[6] = "x" * 1_000_001, "a\0b"
    paths = [write(ENGLISH, "a.en"), write(german, "a.de")]
    with pytest.raises(BadInput, match=r"a.de, row 5: .*1,000,000 .*a.de, row 7: .*NUL") as problem:
        take(paths)
    assert problem.value.field == "skip_broken"
    assert len(take(paths, skip_broken=True)[0]) == 18


def test_a_file_without_its_counterpart_is_named(write, take):
    paths = [write(ENGLISH, "train.en"), write(GERMAN, "train.de"), write(ENGLISH, "val.en")]
    with pytest.raises(BadInput, match=r"“val.en” has no counterpart in de"):
        take(paths, kind="pairs")
    with pytest.raises(BadInput, match=r"“other.txt”: the name says no language"):
        take([*paths[:2], write(ENGLISH, "other.txt")], kind="pairs")
    with pytest.raises(BadInput, match="is one text and has no columns"):
        take(paths[0], kind="pairs")


def test_compressed_files_that_grow_or_break_off_are_refused(write, take, monkeypatch):
    whole = gzip.compress("".join(f"{i} {i * 7919 % 10007}\n" for i in range(50_000)).encode())
    english = write(ENGLISH, "a.en")
    cut = english.with_name("a.de.gz")
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"a.de.gz is damaged or not whole"):
        take([english, cut])
    monkeypatch.setattr(archive, "HONEST_BYTES", 2**20)
    bomb = [write("a\n" * 20_000_000, name) for name in ("b.en.gz", "b.de.gz")]
    with pytest.raises(BadInput, match=r"b.\w\w.gz would unpack to more than 100 times its size"):
        take(bomb)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"x.png": b"1"}, "holds no pairs"),
        ({"a.zip": b"PK"}, "holds only other archives"),
        ({}, "holds no pairs"),
    ],
)
def test_archives_without_pairs_are_refused(pack, take, files, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(pack(files), kind="pairs")


def test_progress_never_goes_back_where_one_side_is_longer(write, tmp_path, monkeypatch):
    monkeypatch.setattr(Pace, "due", lambda self: True)
    one = write([f"{i}" for i in range(3000)], "train.en")
    other = write([f"{i} " + "lang " * 200 for i in range(3000)], "train.de.gz")
    (tmp_path / "into").mkdir()
    steps = list(pairs_of.read([one, other], tmp_path / "into", tmp_path, ImportOptions()))
    assert len(steps) > 10
    assert [said.done for said in steps] == sorted(said.done for said in steps)
