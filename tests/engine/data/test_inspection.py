"""Before an import, a person is shown what was found; and the kind of any file is told."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import class_folders, picture

from engine.catalog import BadInput
from engine.data import inspection, roles
from engine.data.inspection import inspect
from engine.data.kinds import kind_of
from engine.data.options import ImportOptions


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str | bytes, name: str = "reviews.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def reviews(count: int, header: str = "text,label,speaker") -> str:
    rows = (f"the film was long {i},{'ab'[i % 2]},s{i % 3}" for i in range(count))
    return "\n".join([header, *rows]) + "\n"


def test_a_table_is_shown_with_what_was_found(write):
    path = write(reviews(12).replace("long 3", "größer " + "x" * 400).encode("latin-1"))
    found = inspect([path])
    assert (found.kind, found.kinds[0]) == ("text", "text")
    assert (found.encoding, found.delimiter) == ("cp1252", ",")
    assert found.columns == ("text", "label", "speaker")
    assert found.roles == {"text": "text", "label": "label"}
    assert found.groups == ("speaker",)
    assert (found.items, found.classes, found.class_count) == (12, ("a", "b"), 2)
    assert len(found.rows) == 5
    assert found.rows[0] == ("the film was long 0", "a", "s0")
    assert len(found.rows[3][0]) == 200
    assert found.model_dump(mode="json")["roles"] == {"text": "text", "label": "label"}


def test_what_an_import_would_ask_is_a_note(write):
    path = write("text,id\n" + "".join(f"a text that is long {i},{i}\n" for i in range(12)))
    found = inspect([path])
    assert found.columns == ("text", "id")
    assert found.roles == {"text": "text"}
    assert "no column that looks like labels" in found.notes[0]
    assert inspect([path], None, ImportOptions(columns={"label": ""})).notes == ()
    with_blank = write(reviews(12).replace(",b,", ",,", 1))
    assert any("label is blank in row 3" in note for note in inspect([with_blank]).notes)
    ragged = write(reviews(12) + "one\n")
    assert any("reviews.csv, row 14: it has 1 cell" in note for note in inspect([ragged]).notes)


def test_what_a_person_chose_is_shown_with_what_follows(write):
    path = write(reviews(12))
    found = inspect([path], "text", ImportOptions(columns={"label": "speaker"}, delimiter=","))
    assert found.roles["label"] == "speaker"
    assert found.classes == ("s0", "s1", "s2")
    assert found.groups == ("label",)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("text,label\n", "a header and no rows"),
        ("text,text\na,b\n", "two columns are named"),
        ('text,label\n"open,b\n', "quotation mark"),
        ("x" * 5_000_000, "this line alone"),
    ],
)
def test_what_cannot_be_read_is_refused_as_by_an_import(write, content, sentence):
    with pytest.raises(BadInput, match=sentence):
        inspect([write(content)])


def test_a_large_table_is_not_read_whole(write, monkeypatch):
    monkeypatch.setattr(inspection, "CHARACTERS", 50_000)
    found = inspect([write(reviews(9000))])
    assert found.items is None
    assert found.classes == ("a", "b")
    assert any("those of the first 1," in note for note in found.notes)


def test_pairs_running_text_and_classes_by_file_are_shown(write):
    english, german = write("one\ntwo\nthree\n", "a.en"), write("eins\nzwei\n", "a.de")
    found = inspect([german, english])
    assert (found.kind, found.columns) == ("pairs", ("en", "de"))
    assert found.rows[0] == ("one", "eins")
    assert "a.en has 3 lines and a.de has 2" in found.notes[0]
    assert inspect([write("en,de\na,b\n" * 1 + "c,d\n", "t.csv")]).roles == {
        "source": "en", "target": "de"
    }  # fmt: skip
    found = inspect([write("It was long.\n" * 900, "book.txt")])
    assert (found.kind, found.items, found.class_count) == ("text", None, 0)
    assert len(found.rows) == 5
    found = inspect([write("good\nbest\n", "x.pos"), write("bad\n", "x.neg")])
    assert (found.items, found.classes) == (3, ("neg", "pos"))


def test_archives_are_counted_without_decoding(pack, write, tmp_path):
    found = inspect([pack(class_folders("cat", "dog", each=3))])
    assert (found.kind, found.items, found.classes) == ("images", 6, ("cat", "dog"))
    files = {f"{s}/{c}/{i}.wav": b"not decoded" for s in ("train", "test") for c in "ab"
             for i in range(2)}  # fmt: skip
    found = inspect([pack(files)])
    assert (found.kind, found.splits) == ("sound", {"train": 4, "test": 4})
    table = "file,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(4))
    files = {f"{i}.png": picture(i) for i in range(4)} | {"labels.csv": table.encode()}
    found = inspect([pack(files)])
    assert (found.columns, found.rows[0]) == (("file", "label"), ("0.png", "a"))
    assert found.roles == {"file": "file", "label": "label"}
    texts = {f"{c}/{i}.txt": f"text {i}".encode() for c in ("neg", "pos") for i in range(4)}
    found = inspect([pack(texts)])
    assert (found.kind, found.items, found.classes) == ("text", 8, ("neg", "pos"))
    assert found.rows[0] == ("neg/0.txt", "neg", "text 0")


def test_a_compressed_tar_is_not_unpacked_for_it(write, tmp_path):
    for name, content in class_folders("a", "b").items():
        write(content, f"pets/{name}")
    with tarfile.open(tmp_path / "pets.tar.gz", "w:gz") as out:
        out.add(tmp_path / "pets", "pets")
    found = inspect([tmp_path / "pets.tar.gz"])
    assert found.kind == "images"
    assert "is compressed as a whole" in found.notes[0]


def test_sequences_are_shown(write, tmp_path):
    rows = "".join(f"s{i},{t},{i * t},{'ab'[i % 2]}\n" for i in range(6) for t in range(3))
    found = inspect([write("sequence,step,x,label\n" + rows)])
    assert (found.kind, found.items, found.classes) == ("sequences", 6, ("a", "b"))
    assert found.roles == {"sequence": "sequence", "step": "step", "label": "label"}
    np.savez(tmp_path / "m.npz", x=np.zeros((4, 5, 2), np.float32), y=np.array([0, 1, 0, 1]))
    found = inspect([tmp_path / "m.npz"])
    assert (found.kind, found.items, found.classes) == ("sequences", 4, ("0", "1"))
    assert found.notes[0] == "x: float32, 4 × 5 × 2"


# --- kinds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"a/1.png": b"", "b/1.jpg": b"", "readme.txt": b""}, "images"),
        ({"a/1.wav": b"", "b/1.flac": b"", "labels.csv": b""}, "sound"),
        ({"clips/1.mp3": b"", "train.tsv": b""}, "sound"),
        ({"a/1.txt": b"", "b/1.txt": b""}, "text"),
        ({"train.csv": b"", "test.csv": b""}, "text"),
        ({"train.en": b"", "train.de": b"", "val.en.gz": b"", "val.de.gz": b""}, "pairs"),
        ({"x.npy": b"", "y.npy": b""}, "sequences"),
        ({"A_TRAIN.ts": b"", "A_TEST.ts": b""}, "sequences"),
        ({"__MACOSX/a/._1.txt": b"", "a/1.png": b""}, "images"),
        ({}, "images"),
    ],
)
def test_the_kind_of_an_archive_is_told_by_its_files(pack, tmp_path, files, kind):
    assert kind_of([pack(files, "data.zip")]) == kind
    if "x.npy" not in files:
        for name, content in files.items():
            (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "folder" / name).write_bytes(content or b"text,label\na,b\n")
        (tmp_path / "folder").mkdir(exist_ok=True)
        assert kind_of(tmp_path / "folder") == kind


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        ("text,label\na b,c\n", "t.csv", "text"),
        ("sequence;step;label;x\n", "t.txt", "sequences"),
        ("series_id,time,x,label\na,1,2,b\n", "t.csv", "sequences"),
        ("1,2,3\n4,5,6\n", "t.csv", "sequences"),
        ("source,target\na b,c d\n", "t.csv", "pairs"),
        ("question,answer,id\na b,c d,1\n", "t.csv", "pairs"),
        ("sentence1,sentence2,label\na b,c d,1\n", "t.csv", "text"),
        ("en,de,label\na b,c d,1\n", "t.csv", "pairs"),
        ('{"translation": {"en": "a", "de": "b"}}\n', "t.jsonl", "pairs"),
        ("id,text,is\n1,some words,2\n", "t.csv", "text"),
        ("Once upon a time, there was.\nAnd so, on, it, went.\n", "book.txt", "text"),
        ("@problemName X\n@classLabel true a b\n@data\n1,2:a\n", "x.ts", "sequences"),
        ("title,text,label\nA,long words here,c\n", "t.txt", "text"),
    ],
)
def test_the_kind_of_a_file_is_told_by_its_content(write, content, name, kind):
    assert kind_of(write(content, name)) == kind


def test_parquet_with_pictures_or_recordings_is_told(tmp_path: Path):
    path = tmp_path / "t.parquet"
    for content, kind in ((picture(), "images"), (b"RIFF\0\0\0\0WAVEfmt ", "sound")):
        pq.write_table(pa.table({"image": [{"bytes": content, "path": "a"}], "label": [0]}), path)
        assert kind_of(path) == kind
    np.savez(tmp_path / "t.npz", x=np.zeros((4, 28, 28), np.uint8), y=np.arange(4))
    assert kind_of(tmp_path / "t.npz") == "images"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (picture(), "is one image"), (b"%PDF-1.7", "is a PDF"), (b"RIFF1234WAVE", "one recording"),
        (b"7z\xbc\xaf\x27\x1c", "is a 7z archive"), (b"Rar!\x1a\x07", "is a RAR archive"),
        (b"\0\1\2\3" * 99, "can't be imported|not a file that can be imported"),
        (bytes(range(256)) * 99, "not a file that can be imported"),
        (b"PARE" + bytes(99), "an encrypted Parquet file"),
    ],
)  # fmt: skip
def test_what_is_not_accepted_is_called_by_its_name(write, content, sentence):
    with pytest.raises(BadInput, match=sentence):
        kind_of(write(content, "file.bin"))


def test_an_archive_beside_other_files_is_refused(pack, write):
    with pytest.raises(BadInput, match="can't be read together: import one archive at a time"):
        kind_of([pack(class_folders("a", "b")), write("text,label\na,b\n")])
    with pytest.raises(BadInput, match="There is no file"):
        inspect([Path("/nowhere/at all.csv")])


def test_an_inspection_is_json(write):
    said = inspect([write(reviews(6))]).model_dump(mode="json")
    assert json.loads(json.dumps(said)) == said


# --- where columns must be chosen, they are seen --------------------------------------------


def test_a_table_without_header_is_previewed_as_it_is_imported(pack):
    table = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(6))
    files = {f"{i}.png": picture(i) for i in range(6)} | {"labels.csv": table.encode()}
    options = ImportOptions(columns={"file": "column 1", "label": "column 2"})
    found = inspect([pack(files)], "images", options)
    assert found.columns == ("column 1", "column 2")
    assert found.rows[0] == ("0.png", "a")
    assert (found.items, found.classes) == (6, ("a", "b"))


def test_columns_are_shown_where_the_import_asks_for_them(pack, write):
    table = "picture,weight,height\n" + "".join(f"{i}.png,{i}.5,{i}.25\n" for i in range(6))
    files = {f"{i}.png": picture(i) for i in range(6)} | {"labels.csv": table.encode()}
    found = inspect([pack(files)])
    assert found.columns == ("picture", "weight", "height")
    assert found.rows[1] == ("1.png", "1.5", "1.25")
    assert any("choose the column" in note for note in found.notes)
    gone = ImportOptions(columns={"label": "gone"})
    found = inspect([pack(files)], "images", gone)
    assert found.columns == ("picture", "weight", "height")
    assert any("no column “gone”" in note for note in found.notes)
    found = inspect([write("a,b,c\n1,2,x\n4,5,y\n", "t.csv")], "sequences")
    assert (found.columns, found.rows[0]) == (("a", "b", "c"), ("1", "2", "x"))
    assert any("sequence, step, label is missing" in note for note in found.notes)
    texts = [write("one\ntwo\n", f"train.{language}") for language in ("en", "de", "fr")]
    found = inspect(texts, "pairs")
    assert set(found.columns) == {"en", "de", "fr"}
    assert any("choose which is the source" in note for note in found.notes)


def test_tables_that_hold_pictures_have_the_roles_of_their_import(tmp_path):
    cells = [{"bytes": picture(i), "path": f"{i}.png"} for i in range(4)]
    table = pa.table({"img": cells, "category": ["a", "b", "a", "b"], "note": ["x"] * 4})
    (tmp_path / "folder").mkdir()
    for split in ("train", "test"):
        pq.write_table(table, tmp_path / "folder" / f"{split}.parquet")
    for sources in ([tmp_path / "folder" / "train.parquet"], [tmp_path / "folder"]):
        found = inspect(sources, "images")
        assert found.roles == {"file": "img", "label": "category"}
        assert found.classes == ("a", "b")
    assert found.splits == {"train": 4, "test": 4}


@pytest.mark.parametrize(("ending", "kind"), [(".caf", "sound"), (".mp2", "sound"),
                                              (".jxl", "images")])  # fmt: skip
def test_what_an_importer_knows_to_refuse_is_of_its_kind(pack, ending, kind):
    assert kind_of(pack({f"a/{i}{ending}": b"content" for i in range(3)})) == kind


# --- columns by their names -----------------------------------------------------------------


def test_columns_are_found_as_asked_then_by_their_names():
    def found(columns: str, **asked: str) -> dict[str, str]:
        return dict(roles.find(columns.split(), asked, roles.NAMES["sound"], "t.csv"))  # type: ignore[arg-type]

    assert found("Path Sentence Class") == {"file": "Path", "label": "Class",
                                            "transcript": "Sentence"}  # fmt: skip
    assert found("path class", label="") == {"file": "path"}
    assert found("path class text", label="text") == {"file": "path", "label": "text"}
    assert found("file path") == {"file": "file"}
    with pytest.raises(BadInput, match=r"t.csv has no column “x”. It has “a”, “b”") as said:
        found("a b", label="x")
    assert said.value.field == "columns"


def test_files_of_a_form_that_cant_be_read_are_told_before_the_import(pack):
    files = class_folders("cat", "dog") | {"cat/x.heic": b"....ftypheic", "dog/y.heic": b"...."}
    (note,) = [one for one in inspect([pack(files)]).notes if "heic" in one]
    assert note.startswith("2 of 12 files are of a form that can't be read, such as “cat/x.heic”")
    assert "JPEG" in note


def test_folders_that_name_the_classes_beside_a_table_are_told(pack):
    files = class_folders("left", "right")
    rows = "".join(f"{name},{'rose' if i % 2 else 'lily'}\n" for i, name in enumerate(files))
    files["flowers.csv"] = ("file,flower\n" + rows).encode()
    said = inspect([pack(files)])
    assert said.classes == ("left", "right")
    assert any("choose a column for the label" in one for one in said.notes)
