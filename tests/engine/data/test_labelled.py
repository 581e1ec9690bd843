"""A table in an archive says what its files are, and what is wrong in it is found to the row."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import class_folders, encoded, picture
from PIL import Image

from engine.catalog import BadInput
from engine.data.imports import bring_in

FLAT = {f"{i}.png": picture(i) for i in range(12)}


def table(header: str, *rows: str) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def labels(folder: str = "", header: str = "file,label") -> bytes:
    return table(header, *(f"{folder}{i}.png,{'cat' if i % 2 else 'dog'}" for i in range(12)))


def labelled(data) -> dict[str, str]:
    return {name: data.classes[k] for name, k in zip(data.names, data.labels.tolist(), strict=True)}


EXPECTED = {f"{i}.png": "cat" if i % 2 else "dog" for i in range(12)}


@pytest.mark.parametrize("folder", ["", "./", "/", "images/", "C:\\pets\\"])
def test_a_table_names_the_classes_with_or_without_folders(pack, take, folder):
    data, said = take(pack(FLAT | {"labels.csv": labels(folder)}))
    assert labelled(data) == EXPECTED
    assert not said.warnings
    assert said.meta["columns"]["file"] == "file"
    for name, pixels in zip(data.names, data.images, strict=True):
        assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(FLAT[name]))))


@pytest.mark.parametrize(
    "header", ["file_name,label", "path,class", "Image,Category", "id,breed", "label,file", "x,y"]
)
def test_its_columns_are_found_by_name_or_by_what_they_hold(pack, take, header):
    content = labels(header=header)
    if header.startswith("label"):
        content = table(header, *(f"{label},{name}" for name, label in EXPECTED.items()))
    assert labelled(take(pack(FLAT | {"labels.csv": content}))[0]) == EXPECTED


def test_names_may_lack_their_endings(pack, take):
    content = table("id,breed", *(f"{name[:-4]},{label}" for name, label in EXPECTED.items()))
    assert labelled(take(pack(FLAT | {"labels.csv": content}))[0]) == EXPECTED


@pytest.mark.parametrize("where", ["", "pets/", "pets/images/"])
def test_json_lines_and_tables_in_folders_are_read(pack, take, where):
    lines = [json.dumps({"file_name": n, "label": k}) for n, k in EXPECTED.items()]
    files = {f"pets/images/{name}": content for name, content in FLAT.items()}
    data, _ = take(pack(files | {f"{where}metadata.jsonl": "\n".join(lines).encode()}))
    assert {name.split("/")[-1]: k for name, k in labelled(data).items()} == EXPECTED


def test_any_encoding_and_delimiter_and_chinese_labels(pack, take):
    rows = [f"{name};{'猫' if label == 'cat' else '狗'}" for name, label in EXPECTED.items()]
    content = "\n".join(["file;label", *rows]).encode("gb18030")
    data, said = take(pack(FLAT | {"labels.csv": content}))
    assert set(data.classes) == {"猫", "狗"}
    assert said.meta["columns"]["delimiter"] == ";"


def test_numbers_are_names_of_classes(pack, take):
    lines = [json.dumps({"file": n, "label": i % 2}) for i, n in enumerate(FLAT)]
    data, _ = take(pack(FLAT | {"labels.jsonl": "\n".join(lines).encode()}))
    assert data.classes == ("0", "1")


def test_the_folder_tells_files_of_one_name_apart(pack, take):
    files = class_folders("a", "b", each=3)
    rows = [f"x/{name},{'up' if name[0] == 'a' else 'down'}" for name in files]
    data, _ = take(pack(files | {"labels.csv": table("file,label", *rows)}))
    assert all((label == "up") == (name[0] == "a") for name, label in labelled(data).items())
    with pytest.raises(BadInput, match=r"row 2: “0.png” can be “a/0.png”, “b/0.png”"):
        take(pack(files | {"labels.csv": table("file,label", "0.png,up")}))


def test_a_file_of_another_folder_is_never_taken_for_the_one_that_is_named(pack, take):
    rows = [f"s1/{name},{label}" for name, label in EXPECTED.items()]
    there = {f"s2/{name}": content for name, content in FLAT.items()}
    for files in (there, there | {"s1/3.png": picture(99)}):
        path = pack(files | {"labels.csv": table("file,label", *rows)})
        with pytest.raises(BadInput, match=r"row 2: there is no file “s1/0.png”"):
            take(path)
    data, _ = take(path, skip_broken=True)
    assert data.names == ("s1/3.png",)


@pytest.mark.parametrize("written", ["/home/me/pets/s1/{}", "s1/{}", "{}"])
def test_a_path_of_another_machine_is_found_by_its_last_folder(pack, take, written):
    rows = [f"{written.format(name)},{label}" for name, label in EXPECTED.items()]
    files = {f"data/s1/{name}": content for name, content in FLAT.items()}
    data, _ = take(pack(files | {"data/labels.csv": table("file,label", *rows)}))
    assert {name.split("/")[-1]: label for name, label in labelled(data).items()} == EXPECTED


def test_a_column_called_set_may_be_something_else(pack, take):
    rows = [f"{name},{label},{i % 3}" for i, (name, label) in enumerate(EXPECTED.items())]
    path = pack(FLAT | {"labels.csv": table("file,label,set", *rows)})
    data, _ = take(path)
    assert data.manifest.groups == ("set",)
    assert data.version.rule.how == "random"
    with pytest.raises(BadInput, match="column “set”: “0”, “1”, “2” is no split"):
        take(path, columns={"split": "set"})


def test_splits_come_from_a_column_from_two_tables_or_from_folders(pack, take):
    split = {name: "test" if i < 4 else "train" for i, name in enumerate(EXPECTED)}
    rows = [f"{name},{label},{split[name]}" for name, label in EXPECTED.items()]
    by_column, _ = take(pack(FLAT | {"labels.csv": table("file,label,split", *rows)}))
    tables = {
        f"{part}.csv": table(
            "file,label", *(f"{n},{k}" for n, k in EXPECTED.items() if split[n] == part)
        )
        for part in ("train", "test")
    }
    by_table, _ = take(pack(FLAT | tables))
    moved = {f"{split[name]}/{name}": content for name, content in FLAT.items()}
    rows = [f"{split[name]}/{name},{label}" for name, label in EXPECTED.items()]
    by_folder, _ = take(pack(moved | {"labels.csv": table("file,label", *rows)}))
    for data in (by_column, by_table, by_folder):
        assert data.version.rule.how == "given"
        tested = {data.names[row].split("/")[-1] for row in data.rows("test")}
        assert tested == {name for name in split if split[name] == "test"}


@pytest.mark.parametrize("cell", ["", "hold-out"])
def test_a_row_that_names_no_split_is_refused_or_left_out_with_a_word(pack, take, tmp_path, cell):
    split = ["test"] * 4 + ["train"] * 7 + [cell]
    rows = [f"{n},{k},{s}" for (n, k), s in zip(EXPECTED.items(), split, strict=True)]
    zipped = pack(FLAT | {"labels.csv": table("file,label,split", *rows)})
    cells = parquet(tmp_path / "a.parquet", list(FLAT.values()), label=[0, 1] * 6, split=split)
    for path, where in ((zipped, "labels.csv, row 13"), (cells, "a.parquet, row 12")):
        sentence = f"{where}, column “split”: “{cell}” is none of train, validation and test"
        with pytest.raises(BadInput, match=sentence) as problem:
            take(path)
        assert problem.value.field == "skip_broken"
        data, said = take(path, skip_broken=True)
        assert len(data) == 11
        assert len(data.rows("test")) == 4
        assert any(sentence in warning for warning in said.warnings)


def test_other_columns_group_the_items(pack, take):
    rows = [f"{name},{label},p{i % 4},{i}" for i, (name, label) in enumerate(EXPECTED.items())]
    path = pack(FLAT | {"labels.csv": table("file,label,patient,age", *rows)})
    data, _ = take(path, group="patient")
    assert data.manifest.groups == ("patient",)  # no two share an age
    patients = np.array(data.group("patient"))
    parts = [set(patients[data.rows(split)]) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 4
    with pytest.raises(BadInput, match="no column “doctor” to group by") as problem:
        take(path, group="doctor")
    assert problem.value.field == "group"


def test_folders_say_the_classes_of_a_table_without_labels(pack, take):
    files = class_folders("cat", "dog", each=6)
    rows = [f"{name},owner {i % 3}" for i, name in enumerate(files)]
    data, _ = take(pack(files | {"metadata.csv": table("file_name,owner", *rows)}))
    assert data.classes == ("cat", "dog")
    assert data.group("owner")[data.names.index("dog/5.png")] == "owner 2"


def test_columns_can_be_chosen(pack, take):
    rows = [f"{name},{label},{i % 3}" for i, (name, label) in enumerate(EXPECTED.items())]
    path = pack(FLAT | {"labels.csv": table("file,label,colour", *rows)})
    assert take(path, columns={"label": "colour"})[0].classes == ("0", "1", "2")
    data, _ = take(path, columns={"label": ""})
    assert data.labels is None
    assert data.manifest.groups == ("label", "colour")
    with pytest.raises(BadInput, match=r"labels.csv has no column “kind”") as problem:
        take(path, columns={"label": "kind"})
    assert problem.value.field == "columns"
    with pytest.raises(BadInput, match="holds no table") as problem:
        take(pack(class_folders("a", "b")), columns={"label": "kind"})
    assert problem.value.field == "columns"


def test_a_missing_label_column_is_said(pack, take):
    path = pack(FLAT | {"about.csv": table("file,width,height", *(f"{n},1,2" for n in FLAT))})
    with pytest.raises(BadInput, match=r"about.csv names files and has no column label") as problem:
        take(path)
    assert problem.value.field == "columns"


ROWS = [f"{name},{label}" for name, label in EXPECTED.items()]


@pytest.mark.parametrize(
    ("rows", "sentence", "left"),
    [
        ([*ROWS, "gone.png,cat"], "labels.csv, row 14: there is no file “gone.png”", 12),
        ([*ROWS[:-1], "11.png, "], "row 13, column “label”: “11.png” has no label", 11),
        ([*ROWS, ",cat"], "row 14, column “file”: it names no file", 12),
        ([*ROWS, "a,b,c"], "row 14: it has 3 cells", 12),
        ([*ROWS, "../0.png,cat"], "row 14: .*“0.png” is named already in labels.csv, row 2", None),
        ([*ROWS, "3.png,cat"], "row 14: “3.png” is named already in labels.csv, row 5", None),
    ],
)
def test_a_row_that_is_wrong_is_named(pack, take, rows: Any, sentence, left):
    path = pack(FLAT | {"labels.csv": table("file,label", *rows)})
    with pytest.raises(BadInput, match=sentence) as problem:
        take(path)
    if left is None:
        assert problem.value.field is None
        return
    assert problem.value.field == "skip_broken"
    data, said = take(path, skip_broken=True)
    assert len(data) == left
    assert any("1 rows were left out" in warning for warning in said.warnings)


def test_a_file_that_no_row_names_is_left_out_with_a_word(pack, take):
    data, said = take(pack(FLAT | {"labels.csv": table("file,label", *ROWS[:-1])}))
    assert len(data) == 11
    assert any("no row of labels.csv names them: “11.png”" in w for w in said.warnings)


def test_a_table_about_something_else_changes_nothing(pack, take):
    for content in (
        table("colour,hex", "red,f00", "blue,00f"), table("epoch,loss", "0,1.5", "1,1.2", "2,1"),
        table("image,width", "everything,10"),
    ):  # fmt: skip
        data, said = take(pack(class_folders("a", "b") | {"other.csv": content}))
        assert data.classes == ("a", "b")
        assert any("“other.csv”" in warning for warning in said.warnings)


def test_two_tables_that_name_files_are_too_many(pack, take):
    two = {"one.csv": labels(), "two.csv": labels()}
    with pytest.raises(BadInput, match="2 tables that name files"):
        take(pack(FLAT | two))


def test_another_table_in_a_folder_is_another_fingerprint(tmp_path: Path, take):
    folder = tmp_path / "pets"
    folder.mkdir()
    for name, content in FLAT.items():
        (folder / name).write_bytes(content)
    (folder / "labels.csv").write_bytes(labels())
    first, _ = take(folder)
    (folder / "labels.csv").write_bytes(labels().replace(b"dog", b"fox"))
    second, _ = take(folder)
    assert first.manifest.fingerprint != second.manifest.fingerprint


# --- files in the cells of a table ----------------------------------------------------------


def parquet(path: Path, files: list[bytes], *, column: str = "image", **columns: Any) -> Path:
    """As `datasets` writes it; a column `label` of numbers stands for names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [{"bytes": b, "path": f"{i}.bin"} for i, b in enumerate(files)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    made = pa.table({column: pa.array(cells, kind), **columns})
    said = {column: {"_type": "Audio" if column == "audio" else "Image"}}
    if "label" in columns:
        said["label"] = {"_type": "ClassLabel", "names": ["cat", "dog"]}  # type: ignore[dict-item]
    metadata = {"huggingface": json.dumps({"info": {"features": said}})}
    path.parent.mkdir(exist_ok=True)
    pq.write_table(made.replace_schema_metadata(metadata), path)
    return path


def test_images_in_a_parquet_table_are_read(tmp_path, take):
    pictures = list(FLAT.values())
    path = parquet(tmp_path / "a.parquet", pictures, label=[i % 2 for i in range(12)])
    data, said = take(path)
    assert (said.card, data.classes) == ("ImportedImages", ("cat", "dog"))
    assert data.labels.tolist() == [i % 2 for i in range(12)]
    for content, pixels in zip(pictures, data.images, strict=True):
        assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("form", ["{}-00000-of-00001.parquet", "{}/0000.parquet"])
def test_several_tables_are_one_dataset_with_splits(tmp_path, take, form):
    paths = [
        parquet(tmp_path / form.format(split), list(FLAT.values()), label=[0, 1] * 6)
        for split in ("train", "validation", "test")
    ]
    (tmp_path / "README.md").write_text("about it")
    data, _ = take(paths)
    assert [len(data.rows(split)) for split in ("train", "validation", "test")] == [12] * 3
    assert len(data) == len(set(data.names)) == 36


def test_a_column_that_only_one_table_has_is_not_to_group_by(tmp_path, take):
    pictures = list(FLAT.values())
    train = parquet(tmp_path / "train.parquet", pictures, label=[0, 1] * 6, owner=["a", "b"] * 6)
    test = parquet(tmp_path / "test.parquet", pictures, label=[0, 1] * 6)
    for paths in ([train, test], [test, train]):
        data, _ = take(paths)
        assert len(data) == 24
        assert data.manifest.groups == ()
    _, said = take([train, test])
    assert any("test.parquet has no such column: “owner”" in w for w in said.warnings)


def test_a_column_called_set_in_such_a_table_may_be_something_else(tmp_path, take):
    cells = {"label": [0, 1] * 6, "set": ["a", "b", "c"] * 4}
    path = parquet(tmp_path / "a.parquet", list(FLAT.values()), **cells)
    data, _ = take(path)
    assert data.manifest.groups == ("set",)
    with pytest.raises(BadInput, match="column “set”: “a”, “b”, “c” is no split") as problem:
        take(path, columns={"split": "set"})
    assert problem.value.field == "columns"


def test_progress_in_such_a_table_never_goes_back(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.data.crew.WAIT", 0)
    path = parquet(tmp_path / "a.parquet", list(FLAT.values()), label=[0, 1] * 6)
    *steps, _ = bring_in(path, tmp_path / "1")
    shares = [step.done for step in steps]
    assert shares == sorted(shares)


def test_sizes_are_kept_where_pictures_of_a_table_had_several(tmp_path, take):
    pictures = [picture(i, size=(10 + i, 20)) for i in range(6)]
    pictures[2] = b"no image"
    path = parquet(tmp_path / "a.parquet", pictures, label=[0, 1] * 3)
    data, _ = take(path, skip_broken=True)
    assert data.sizes.tolist() == [[20, 10], [20, 11], [20, 13], [20, 14], [20, 15]]


def test_what_is_wrong_in_such_a_table_is_named(tmp_path, take):
    pictures = list(FLAT.values())
    pictures[3] = b"no image"
    path = parquet(tmp_path / "a.parquet", pictures, label=[0, 1] * 5 + [0, -1])
    with pytest.raises(BadInput, match=r"a.parquet, row 12, column “label”: it has no label .−1"):
        take(path)
    data, said = take(path, skip_broken=True)
    assert len(data) == 10
    assert any("“a.parquet/3.bin” is not a JPEG" in warning for warning in said.warnings)
    path = parquet(tmp_path / "b.parquet", pictures, answer=["a", "b"] * 6)
    with pytest.raises(BadInput, match=r"b.parquet has no column label") as problem:
        take(path)
    assert problem.value.field == "columns"
    data, _ = take(path, columns={"label": "answer"}, skip_broken=True)
    assert data.classes == ("a", "b")
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(BadInput, match=r"b.parquet"):
        take(path, kind="images")


# --- arrays ---------------------------------------------------------------------------------

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 9, 10, 3), np.uint8)


def test_arrays_of_pixels_are_images(tmp_path, take):
    path = tmp_path / "a.npz"
    np.savez(path, x=PIXELS, y=np.arange(12) % 2)
    data, said = take(path)
    assert (said.card, data.shape) == ("ImportedImages", (9, 10, 3))
    assert np.array_equal(data.images, PIXELS)
    np.savez(path, x=PIXELS[..., 0], y=["a", "b"] * 6)
    assert take(path, kind="sequences")[1].card == "ImportedSequences"
    data, _ = take(path, kind="images")
    assert np.array_equal(data.images[..., 0], PIXELS[..., 0])
    assert data.classes == ("a", "b")
    assert take(path, kind="images", size=16)[0].shape == (16, 16, 1)


def test_arrays_named_after_splits_are_kept_so(tmp_path, take):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=PIXELS[:8], y_train=[0, 1] * 4, x_test=PIXELS[8:], y_test=[0, 1] * 2)
    data, _ = take(path)
    assert np.array_equal(data.images[data.rows("test")], PIXELS[8:])


def test_plain_arrays_beside_a_test_are_for_training(tmp_path, take):
    path = tmp_path / "a.npz"
    np.savez(path, x=PIXELS[:8], y=[0, 1] * 4, x_test=PIXELS[8:], y_test=[0, 1] * 2, x_val=PIXELS)
    data, said = take(path, kind="images")
    assert data.version.rule.how == "given"
    assert np.array_equal(data.images[data.rows("test")], PIXELS[8:])
    trained = sorted([*data.rows("train"), *data.rows("validation")])
    assert np.array_equal(data.images[trained], PIXELS[:8])
    assert any("“x_val”" in warning for warning in said.warnings)  # it has no labels


def test_arrays_in_fortrans_order_are_the_same_arrays(tmp_path, take, monkeypatch):
    monkeypatch.setattr("engine.data.images.BLOCK", 1000)
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(PIXELS), y=[0, 1] * 6)
    assert np.array_equal(take(tmp_path / "a.npz", kind="images")[0].images, PIXELS)


def test_arrays_of_several_sizes_keep_them(tmp_path, take):
    wide = np.concatenate([PIXELS, PIXELS], axis=2)[:4]
    path = tmp_path / "a.npz"
    np.savez(path, x_train=PIXELS[:8], y_train=[0, 1] * 4, x_test=wide, y_test=[0, 1] * 2)
    assert take(path)[0].sizes.tolist() == [[10, 9]] * 8 + [[20, 9]] * 4


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            {"x": PIXELS, "y": np.arange(12), "x_train": PIXELS, "y_train": np.arange(12)},
            "holds both x and x_train, and one alone can be for train",
        ),
        (
            {"x": PIXELS, "y": np.arange(12), "images": PIXELS, "labels": np.arange(12)},
            "holds both x and images",
        ),
        ({"x": PIXELS.astype(np.float32), "y": np.arange(12)}, "x is float32 of shape"),
        ({"x": PIXELS[:, :, :, :2], "y": np.arange(12)}, "x has 2 channels"),
        ({"x": PIXELS, "y": np.arange(11)}, "12 images in x and 11 labels in y"),
        ({"x": PIXELS}, "must hold x .pixels. and y"),
        ({"x": PIXELS[:0], "y": np.arange(0)}, "uint8 .N, H, W. or"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, take, content, sentence):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(BadInput, match=sentence):
        take(tmp_path / "a.npz", kind="images")


def test_a_grey_table_of_pictures_stays_grey(tmp_path, take):
    grey = encoded(np.arange(100, dtype=np.uint8).reshape(10, 10))
    assert take(parquet(tmp_path / "a.parquet", [grey] * 6, label=[0, 1] * 3))[0].shape[2] == 1
