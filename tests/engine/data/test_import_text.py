"""Text comes in from tables, folders and plain files, with its labels and splits."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.catalog import BadInput
from engine.data import text
from engine.data.arrays import Stored
from engine.data.crew import Pace
from engine.data.kinds import kind_of
from engine.data.limits import Limits
from engine.data.options import ImportOptions
from engine.data.splits import SPLITS

WORDS = ("the film was long", "a bright and funny thing", "nobody needs this, really")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """``write(content, name)`` → a file with it."""

    def write(content: str | bytes, name: str = "reviews.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def reviews(count: int = 12, header: str = "text,label") -> str:
    rows = [f'"{WORDS[i % 3]} {i}",{"good" if i % 2 else "bad"}' for i in range(count)]
    return "\n".join([header, *rows]) + "\n"


def contents(data: Stored) -> list[tuple[str, str]]:
    """Each item's text and class, in the order in which they came."""
    stored = data.ragged("text")
    labels = [data.classes[i] for i in data.labels] if data.labels is not None else [""] * len(data)
    return [(stored.text(row), labels[row]) for row in range(len(data))]


# --- tables ---------------------------------------------------------------------------------


def test_every_text_arrives_with_its_label(write, take):
    data, said = take(write(reviews()))
    assert (said.card, said.provides) == ("ImportedText", ("text", "label"))
    assert contents(data) == [
        (f"{WORDS[i % 3]} {i}", "good" if i % 2 else "bad") for i in range(12)
    ]
    assert data.names[0] == "row 2"
    assert data.manifest.columns == {
        "encoding": "utf-8", "delimiter": ",", "text": "text", "label": "label"
    }  # fmt: skip
    assert said.warnings == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
def test_chinese_columns_and_labels_are_understood(write, take, encoding):
    rows = "".join(
        f"第{i}部电影真的很不错，值得一看,{'正面' if i % 2 else '负面'}\n" for i in range(8)
    )
    data, _ = take(write(("评论,类别\n" + rows).encode(encoding)))
    assert data.classes == ("正面", "负面")
    assert contents(data)[3] == ("第3部电影真的很不错，值得一看", "正面")


def test_umlauts_in_latin_1_arrive(write, take):
    content = reviews().replace("film", "Käse").replace("good", "schön").encode("latin-1")
    data, _ = take(write(content))
    assert data.classes == ("bad", "schön")
    assert "Käse" in contents(data)[0][0]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ("sentence,label", ("sentence", "label")),
        ("Review Text,Stars", ("Review Text", "Stars")),
        ("foo,bar", ("foo", "bar")),
        ("内容,标签", ("内容", "标签")),
        ("tweet,Sentiment", ("tweet", "Sentiment")),
    ],
)
def test_columns_are_told_by_name_or_by_what_is_in_them(write, take, columns, found):
    data, _ = take(write(reviews(header=columns)))
    assert (data.manifest.columns["text"], data.manifest.columns["label"]) == found


def test_numbers_are_labels_and_sorted_as_people_count(write, take):
    content = "text,stars\n" + "".join(f"text number {i},{i % 3 * 5}\n" for i in range(12))
    assert take(write(content))[0].classes == ("0", "5", "10")


def test_a_class_label_column_gives_its_names(tmp_path: Path, take):
    features = {"label": {"names": ["world", "sports"], "_type": "ClassLabel"}}
    table = pa.table({"text": [f"{WORDS[i % 3]} {i}" for i in range(10)], "label": [0, 1] * 5})
    path = tmp_path / "train.parquet"
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(meta), path)
    data, _ = take(path)
    assert data.classes == ("sports", "world")
    assert contents(data)[1] == (f"{WORDS[1]} 1", "sports")
    pq.write_table(table, path)
    assert take(path)[0].classes == ("0", "1")


@pytest.mark.parametrize(("label", "other"), [(1, 0), (True, False), ("x", "y"), (2.0, 1.0)])
def test_json_lines_labels_of_any_make_are_text(write, take, label, other):
    rows = [{"text": f"{WORDS[0]} {i}", "label": label if i % 2 else other} for i in range(8)]
    data, _ = take(write("".join(json.dumps(row) + "\n" for row in rows), "r.jsonl"))
    assert set(data.classes) == {str(one).removesuffix(".0") for one in (label, other)}


def test_what_a_person_chose_goes_first(write, take):
    content = "a,b,text\n" + "".join(f"one text {i},{i % 2},{i % 3}\n" for i in range(12))
    data, _ = take(write(content), columns={"text": "a", "label": "text"})
    assert data.classes == ("0", "1", "2")
    with pytest.raises(BadInput, match=r"no column “c”\. It has “a”, “b”, “text”") as problem:
        take(write(content), columns={"label": "c"})
    assert problem.value.field == "columns"


def test_a_missing_label_column_is_asked_for_and_can_be_done_without(write, take):
    content = "text,id\n" + "".join(f"a text as long as others,{i}\n" for i in range(9))
    with pytest.raises(
        BadInput, match=r"no column that looks like labels\. It has “text”, “id”"
    ) as p:
        take(write(content))
    assert p.value.field == "columns"
    data, said = take(write(content), columns={"label": ""})
    assert (said.provides, data.classes) == (("text",), ())
    # Where nothing could be a label, nothing is asked.
    data, said = take(write('{"text": "all there is"}\n' * 9, "corpus.jsonl"))
    assert said.provides == ("text",)
    assert "they have no labels" in said.warnings[0]


def test_blank_labels_are_named_and_skipped_on_wish(write, take):
    content = reviews().replace(",good", ",", 2).replace(",bad", ", ", 1)
    with pytest.raises(
        BadInput, match=r"reviews.csv, row 2, column “label”: it is blank"
    ) as problem:
        take(write(content))
    assert problem.value.field == "skip_broken"
    data, said = take(write(content), skip_broken=True)
    assert len(data) == 9
    assert said.warnings[0].startswith("3 unreadable rows were skipped: reviews.csv, row 2")


def test_50_000_different_labels_are_no_classes(write, take):
    content = "text,label\n" + "".join(f"a text,{i}\n" for i in range(50_000))
    with pytest.raises(BadInput, match=r"column “label”: 50,000 different labels for 50,000 items"):
        take(write(content))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (reviews() + "one,two,three\n", "row 14: it has 3 cells, and the first row names 2"),
        (reviews() + "one\0,good\n", "row 14: it holds a NUL"),
        (reviews() + "x" * 1_000_001 + ",good\n", "row 14: a cell has more than 1,000,000 char"),
    ],
)
def test_broken_rows_are_named_and_skipped_on_wish(write, take, content, sentence):
    with pytest.raises(BadInput, match=sentence) as problem:
        take(write(content))
    assert problem.value.field == "skip_broken"
    data, said = take(write(content), skip_broken=True)
    assert len(data) == 12
    assert sentence in said.warnings[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (reviews() + '"open,good\n', "row 14: .*quotation mark that isn't closed"),
        (reviews(header="text,text"), "two columns are named “text”"),
        ("text,label\n", "a header and no rows"),
        ("", "is empty"),
        ("text,label\n" + "x" * 5_000_000, "row 2: this line alone has more than 4,000,000"),
    ],
)
def test_a_table_that_cannot_be_read_leaves_nothing(write, take, content, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(write(content))
    with pytest.raises(BadInput, match=sentence):
        take(write(content), kind="text", skip_broken=True)


def test_cells_that_hold_lists_are_refused_by_their_column(write, take):
    rows = [{"text": "some words", "label": [1, 2]}] * 6
    with pytest.raises(BadInput, match=r"line 1: its label is a list, and must be one label") as p:
        take(write("".join(json.dumps(row) + "\n" for row in rows), "r.jsonl"))
    assert p.value.field == "columns"


def test_empty_texts_are_left_out_and_named(write, take):
    data, said = take(write(reviews() + " ,good\n,bad\n"))
    assert len(data) == 12
    assert said.warnings == ("Empty texts were left out (2): row 14, row 15",)


def test_columns_with_values_that_come_again_are_groups(write, take):
    head, *rows = reviews().splitlines()
    content = "\n".join([head + ",speaker,id", *(f"{r},s{i % 4},{i}" for i, r in enumerate(rows))])
    data, _ = take(write(content))
    assert data.manifest.groups == ("speaker",)
    assert data.group("speaker")[:5] == ("s0", "s1", "s2", "s3", "s0")
    data, _ = take(write(content), group="speaker")
    places: dict[str, set[int]] = {}
    for speaker, split in zip(data.group("speaker"), data.splits.tolist(), strict=True):
        places.setdefault(speaker, set()).add(split)
    assert all(len(found) == 1 for found in places.values())


def test_groups_take_little_memory_however_many_columns(write, take):
    names = [f"c{i}" for i in range(40)]
    content = ",".join(["text", "label", *names]) + "\n"
    content += "".join(
        f"{WORDS[i % 2]},{i % 2}," + ",".join(["again", "once"][i % 2] for _ in names) + "\n"
        for i in range(20)
    )
    assert len(take(write(content))[0].manifest.groups) == 8


# --- splits ---------------------------------------------------------------------------------


def split_names(data: Stored) -> Counter[str]:
    return Counter(SPLITS[i] if i >= 0 else "none" for i in data.splits.tolist())


def test_a_column_of_splits_is_kept_or_not(write, take):
    rows = reviews(20).splitlines()
    named = ["train"] * 12 + ["dev"] * 4 + ["test"] * 4
    content = "\n".join([rows[0] + ",split", *map(",".join, zip(rows[1:], named, strict=True))])
    data, _ = take(write(content))
    assert split_names(data) == {"train": 12, "validation": 4, "test": 4}
    assert data.version.rule.how == "given"
    assert take(write(content), split="random")[0].version.rule.how == "random"
    with pytest.raises(BadInput, match=r"row 21, column “split”: “later” is none of train"):
        take(write(content.replace("test", "later").replace("later", "test", 3)),
             columns={"split": "split"})  # fmt: skip


def test_several_tables_are_splits_by_their_names(write, take):
    paths = [write(reviews(9), "test.csv"), write(reviews(30), "train-00000-of-00002.csv"),
             write(reviews(20), "train-00001-of-00002.csv")]  # fmt: skip
    assert kind_of(paths) == "text"
    data, _ = take(paths)
    assert split_names(data)["test"] == 9
    assert split_names(data)["train"] + split_names(data)["validation"] == 50
    assert data.names[0] == "train-00000-of-00002.csv row 2"
    data, _ = take([write(reviews(9), "a.csv"), write(reviews(9), "b.csv")])
    assert (len(data), data.version.rule.how) == (18, "random")
    with pytest.raises(BadInput, match=r"test.csv has no column “label”, as train.csv has"):
        take([write(reviews(), "train.csv"), write("text,id\na b c,1\n", "test.csv")])
    with pytest.raises(BadInput, match=r"“other.csv” doesn't say whether it is for train"):
        take([write(reviews(), "train.csv"), write(reviews(), "other.csv")])


# --- folders, archives, files ---------------------------------------------------------------

TEXTS = {
    f"{label}/{i}.txt": f"{WORDS[i % 3]} {i}\r\n" for label in ("neg", "pos") for i in range(6)
}


def test_class_folders_of_texts_are_read_from_zip_tar_and_folder(pack, write, take, tmp_path):
    files = {name: content.encode() for name, content in TEXTS.items()}
    expected = [(content.replace("\r\n", "\n"), name[:3]) for name, content in TEXTS.items()]
    assert contents(take(pack(files))[0]) == expected
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz") as out:
        for name, content in files.items():
            info = tarfile.TarInfo("top/" + name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    assert contents(take(tmp_path / "t.tar.gz")[0]) == expected
    for name, content in files.items():
        write(content, f"folder/{name}")
    assert contents(take(tmp_path / "folder")[0]) == expected


def test_folders_of_splits_are_kept(pack, take):
    files = {f"{s}/{name}": f"{s} {text}".encode()
             for s in ("train", "val", "test") for name, text in TEXTS.items()}  # fmt: skip
    data, _ = take(pack(files))
    assert data.classes == ("neg", "pos")
    assert split_names(data) == {"train": 12, "validation": 12, "test": 12}


def test_each_text_has_its_own_encoding(pack, take):
    files = {name: text.encode() for name, text in TEXTS.items()}
    files["neg/0.txt"] = "Straße und Käse, größer als früher".encode("latin-1")
    files["pos/0.txt"] = "\ufeff这部电影很好".encode("utf-16-le")
    found = dict.fromkeys(text for text, _ in contents(take(pack(files))[0]))
    assert {"Straße und Käse, größer als früher", "这部电影很好"} <= set(found)


def test_texts_that_cannot_be_used_are_named(pack, take):
    files = {name: content.encode() for name, content in TEXTS.items()}
    files |= {"neg/nul.txt": b"a\0b", "neg/long.txt": b"x" * 1_000_001, "neg/none.txt": b" \n"}
    with pytest.raises(BadInput, match=r"“neg/long.txt”: .*; “neg/nul.txt”: it holds a NUL") as p:
        take(pack(files))
    assert p.value.field == "skip_broken"
    data, said = take(pack(files), skip_broken=True)
    assert len(data) == 12
    assert any("Empty texts were left out (1): “neg/none.txt”" in line for line in said.warnings)


def test_a_zip_or_folder_of_tables_is_read(pack, write, take, tmp_path):
    files = {"data/train.csv": reviews(20).encode(), "data/test.csv": reviews(10).encode(),
             "README.md": b"# hello", "info.json": b"[1]"}  # fmt: skip
    data, said = take(pack(files))
    assert split_names(data)["test"] == 10
    assert said.warnings == ("Left out, for they hold no texts: “README.md”, “info.json”",)
    for name, content in files.items():
        write(content, f"folder/{name}")
    assert split_names(take(tmp_path / "folder")[0])["test"] == 10


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.zip": b"PK", "b.zip": b"PK"}, "holds only other archives"),
        ({"1.txt": b"a", "2.txt": b"b"}, "no class folders"),
        ({}, "is empty"),
        ({"a/x.bin": b"1"}, "holds no texts"),
    ],
)
def test_archives_without_texts_are_refused(pack, take, files, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(pack(files), kind="text")


def test_files_can_be_classes_and_lines_texts(write, take):
    pos = write("good\nvery good\n\nbest\n" * 5, "rt-polarity.pos")
    neg = write("bad\nvery bad\n" * 5, "rt-polarity.neg")
    assert kind_of([pos, neg]) == "text"
    data, said = take([pos, neg])
    assert contents(data)[:3] == [("good", "pos"), ("very good", "pos"), ("best", "pos")]
    assert data.version.classes == ("neg", "pos")
    assert len(data) == 25
    assert data.names[2] == "rt-polarity.pos row 4"
    assert said.warnings[0] == "Each file is a class and each line a text: “neg”, “pos”"
    assert said.warnings[1].startswith("Empty lines were left out (5): rt-polarity.pos row 3")


def test_files_can_be_classes_of_splits(write, take):
    paths = [write(f"{c} {i}\n" * 6, f"{s}.{c}.txt")
             for i, s in enumerate(("train", "test")) for c in ("pos", "neg")]  # fmt: skip
    data, _ = take(paths)
    assert data.classes == ("neg", "pos")
    assert split_names(data)["test"] == 12


def test_a_tab_separated_text_of_any_name_is_a_table(write, take):
    rows = "".join(
        f"{'ham' if i % 3 else 'spam'}\tGo until {WORDS[i % 3]}, {i}\n" for i in range(15)
    )
    data, said = take(write(rows, "SMSSpamCollection"))
    assert data.classes == ("ham", "spam")
    assert len(data) == 15
    assert "no row that names its columns" in said.warnings[0]


# --- running text ---------------------------------------------------------------------------


def prose(paragraphs: int) -> str:
    rng = np.random.default_rng(0)
    return "\n\n".join(
        " ".join(WORDS[i] + "." for i in rng.integers(0, 3, rng.integers(2, 40)))
        for _ in range(paragraphs)
    )


@pytest.mark.parametrize("name", ["book.txt", "book.txt.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_text_is_cut_to_passages_that_join_to_it_again(write, take, name, end):
    whole = prose(400)
    content = whole.replace("\n", end).encode()
    data, said = take(write(gzip.compress(content) if name.endswith("gz") else content, name))
    stored = data.ragged("text")
    passages = [stored.text(i) for i in range(len(data))]
    assert said.provides == ("text",)
    assert "".join(passages) == whole
    assert all(1000 <= len(p) <= 2000 for p in passages[:-1])
    # Neighbours stay together: training first, the test last.
    assert (np.diff(data.splits) >= 0).all()
    assert split_names(data)["test"] == round(len(data) / 10)
    assert data.names[0] == "row 1"


@pytest.mark.parametrize("mark", ["\n\n", "\n", ". ", "。", " ", ""])
def test_a_passage_ends_where_the_text_pauses(write, take, mark):
    whole = mark.join(f"{'x' * 700}{i:03}" for i in range(60))
    data, _ = take(write(whole, "book.txt"))
    passages = [data.ragged("text").text(i) for i in range(len(data))]
    assert "".join(passages) == whole
    assert all(p.endswith(mark) and len(p) <= 2000 for p in passages[:-1])


def test_a_short_text_is_cut_shorter_and_a_scrap_is_refused(write, take):
    data, _ = take(write(prose(6), "note.txt"))
    assert len(data) >= 15
    with pytest.raises(BadInput, match="too little text"):
        take(write("hi", "note.txt"))


def test_text_files_of_splits_keep_them(write, take):
    data, _ = take([write(prose(90), f"wiki.{s}.txt") for s in ("train", "valid", "test")])
    assert set(split_names(data)) == {"train", "validation", "test"}
    assert data.names[0] == "wiki.train.txt row 1"


def test_a_text_with_a_nul_names_its_row(write, take):
    with pytest.raises(BadInput, match=r"book.txt, row 3: it holds a NUL"):
        take(write("one\ntwo\nth\0ree\n" + prose(50), "book.txt"))


def test_a_compressed_text_that_breaks_off_is_refused(write, take):
    whole = gzip.compress(prose(400).encode())
    with pytest.raises(BadInput, match="damaged or not whole"):
        take(write(whole[: len(whole) // 2], "book.txt.gz"))


def test_passages_need_no_more_memory_for_a_long_line(write):
    from engine.data.lines import reading

    with reading(b"word " * 400_000, "t", "utf-8") as lines:
        passages = list(text.passages(lines))
    assert "".join(passages) == "word " * 400_000


# --- limits and memory ----------------------------------------------------------------------


def test_too_many_items_are_refused(write, take, monkeypatch):
    from engine.data import parts

    monkeypatch.setattr(parts, "LIMITS", Limits(items=5))
    with pytest.raises(BadInput, match="more than 5 items"):
        take(write(reviews()))


def test_the_same_text_has_the_same_fingerprint(write, take):
    first, second = take(write(reviews()))[1], take(write(reviews(), "other.csv"))[1]
    assert first.fingerprint == second.fingerprint
    assert take(write(reviews(13)))[1].fingerprint != first.fingerprint


def test_importing_text_loads_no_torch(write, tmp_path: Path):
    path = write(reviews())
    code = (
        "import sys; from pathlib import Path; from engine.data.imports import bring_in\n"
        f"*_, last = bring_in(Path({str(path)!r}), Path({str(tmp_path / 'new')!r}))\n"
        "assert last.kind == 'text'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_options_are_remembered(write, take):
    data, _ = take(write(reviews()), columns={"label": "label"}, seed=3)
    expected: Any = ImportOptions(columns={"label": "label"}, seed=3)
    assert data.manifest.options == expected


# --- what it costs, and how far it is -------------------------------------------------------


def test_a_row_takes_few_bytes_however_long_one_value_is(write, monkeypatch):
    rows = "".join(f"a text {i},{'ab'[i % 2]},{'x' * 190 if i == 7 else i % 90}\n"
                   for i in range(20_000))  # fmt: skip
    source = write("text,label,speaker\n" + rows)
    (source.parent / "into").mkdir()
    tracemalloc.start()
    for said in text.read([source], source.parent / "into", source.parent, ImportOptions()):
        assert said
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000 * 130 + 4_000_000  # the latter to find out what the columns are


@pytest.mark.parametrize("name", ["t.tar.gz", "two"])
def test_progress_never_goes_back(write, tmp_path, monkeypatch, name):
    monkeypatch.setattr(Pace, "due", lambda self: True)
    write(reviews(3000), "train.csv")
    write(reviews(900), "test.csv")
    sources = [tmp_path / "train.csv", tmp_path / "test.csv"]
    if name != "two":
        with tarfile.open(tmp_path / name, "w:gz") as out:
            for path in sources:
                out.add(path, path.name)
        sources = [tmp_path / name]
    (tmp_path / "scratch").mkdir()
    (tmp_path / "into").mkdir()
    steps = list(text.read(sources, tmp_path / "into", tmp_path / "scratch", ImportOptions()))
    assert len(steps) > 10
    assert [said.done for said in steps] == sorted(said.done for said in steps)


def test_a_number_beside_the_split_in_a_file_s_name_is_no_other_name(write, take):
    data, _ = take([write(reviews(12), "train2.csv"), write(reviews(9), "test2.csv")])
    assert (len(data.rows("test")), len(data)) == (9, 21)
