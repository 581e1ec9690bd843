"""Archives that are damaged, odd or hostile end in a sentence, never in a file elsewhere."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest
from conftest import class_folders, picture, zipped

from engine.catalog import BadInput
from engine.data import archive
from engine.data.archive import Entry, Unreadable, Zip, shown
from engine.data.imports import kind_of

OUTSIDE = ["../a/1.png", "a/../../b/1.png", "/a/1.png", "C:/a/1.png", "c:a/1.png", "..\\a\\1.png",
           "\\\\server\\share\\1.png", "a/b\\..\\1.png"]  # fmt: skip


def tarred(members: list[tuple[tarfile.TarInfo, bytes]], path: Path) -> Path:
    with tarfile.open(path, "w") as out:
        for member, content in members:
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_leads_out_is_refused_in_a_zip_and_in_a_tar(pack, take, tmp_path, name):
    with pytest.raises(BadInput, match="leads out of the archive"):
        take(pack(class_folders("a", "b") | {name: picture()}))
    with pytest.raises(BadInput, match="leads out of the archive"):
        take(tarred([(tarfile.TarInfo(name), picture())], tmp_path / "x.tar"))


def test_backslashes_of_windows_programs_are_folders(pack, take):
    files = {name.replace("/", "\\"): b for name, b in class_folders("a", "b").items()}
    assert take(pack(files))[0].classes == ("a", "b")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device_in_a_zip_is_refused(pack, take, kind):
    path = pack(class_folders("a", "b"))
    with zipfile.ZipFile(path, "a") as out:
        info = zipfile.ZipInfo("a/link.png")
        info.create_system = 3
        info.external_attr = (kind | 0o777) << 16
        out.writestr(info, "/etc/passwd")
    with pytest.raises(BadInput, match=r"“a/link.png”, a link or a device"):
        take(path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_a_link_or_device_in_a_tar_is_refused(take, tmp_path, kind):
    member = tarfile.TarInfo("a/link.png")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(BadInput, match=r"“a/link.png”, a link or a device"):
        take(tarred([(member, b"")], tmp_path / "x.tar"))


def test_two_entries_of_one_name_are_refused(pack, take):
    for twin in ("a/0.png", "./a//0.png", "a\\0.png"):
        path = pack(class_folders("a", "b"))
        with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as out:
            warnings.simplefilter("ignore")  # zipfile's: that is the point
            out.writestr(twin, picture(7))
        with pytest.raises(BadInput, match=r"two files named “a/0.png”"):
            take(path)


def test_an_archive_that_grows_a_hundredfold_is_refused(pack, take, monkeypatch, tmp_path):
    monkeypatch.setattr(archive, "HONEST_BYTES", 2**20)
    path = pack(class_folders("a", "b") | {"a/zeros.bmp": bytes(40 * 2**20)})
    with pytest.raises(BadInput, match="more than 100 times its size"):
        take(path)
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(bytes(40 * 2**20)))
    with pytest.raises(BadInput, match="more than 100 times its size"):
        take(bomb, kind="images")


def test_entries_that_share_their_bytes_count_each_time(take, monkeypatch, tmp_path):
    # Many names in the list for one block of data: small on the disk, endless unpacked.
    monkeypatch.setattr(archive, "HONEST_BYTES", 2**20)
    path = zipped({"a/000.bmp": bytes(2**20)}, tmp_path / "overlap.zip")
    raw = path.read_bytes()
    at, size = raw.index(b"PK\1\2"), 46 + len("a/000.bmp")
    record = raw[at : at + size]
    records = b"".join(record.replace(b"000", b"%03d" % i) for i in range(200))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 200, 200, len(records), at, 0)
    path.write_bytes(raw[:at] + records + end)
    with pytest.raises(BadInput, match="more than 100 times its size"):
        take(path)


def test_too_many_files_and_too_many_bytes_are_refused(pack, take, monkeypatch):
    path = pack(class_folders("a", "b", each=20))
    monkeypatch.setattr(archive, "MOST_ENTRIES", 30)
    with pytest.raises(BadInput, match="more than 30 files"):
        take(path)
    monkeypatch.setattr(archive, "MOST_ENTRIES", 3)  # the list alone is too long to be read
    with pytest.raises(BadInput, match="more than 3 files"):
        take(path)
    monkeypatch.undo()
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    with pytest.raises(BadInput, match="import a part of it"):
        take(path)


def test_an_entry_is_never_unpacked_beyond_the_size_it_announces(tmp_path):
    path = zipped({"a/1.bmp": bytes(10 * 2**20)}, tmp_path / "liar.zip")
    with zipfile.ZipFile(path) as opened:
        info = opened.infolist()[0]
    liar = Entry(("a", "1.bmp"), 1000, info.header_offset, info.compress_size, 8, info.CRC)
    with Zip(path).reading() as read:
        assert len(read(liar, 500)) == 500
        with pytest.raises(Unreadable):
            read(liar, None)


def test_an_encrypted_zip_is_refused(pack, take):
    path = pack(class_folders("a", "b"))
    raw = bytearray(path.read_bytes())
    at = 0
    while (at := raw.find(b"PK\1\2", at)) >= 0:
        raw[at + 8] |= 1
        at += 4
    path.write_bytes(raw)
    with pytest.raises(BadInput, match=r"is encrypted .* without a password"):
        take(path)


def test_packing_that_cannot_be_read_is_named(tmp_path, take):
    path = tmp_path / "lzma.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as out:
        out.writestr("a/1.png", picture())
    with pytest.raises(BadInput, match="packed with LZMA"):
        take(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_stored_deflated_and_bzipped_entries_are_read(tmp_path, take, method):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", method) as out:
        for name, content in class_folders("a", "b").items():
            out.writestr(name, content)
    assert len(take(path)[0].labels) == 10


def test_a_zip_behind_another_file_is_read(pack, take):
    path = pack(class_folders("a", "b"))
    path.write_bytes(b"PK#!/bin/sh\n" * 100 + path.read_bytes())
    assert len(take(path)[0].labels) == 10


def test_a_zip_that_was_cut_short_is_refused(pack, take):
    path = pack(class_folders("a", "b"))
    raw = path.read_bytes()
    for length in (len(raw) // 2, len(raw) - 30, 100, 4):
        path.write_bytes(raw[:length])
        with pytest.raises(BadInput, match="not a whole zip"):
            take(path)


def test_a_hole_in_a_zip_is_refused(pack, take):
    path = pack(class_folders("a", "b"))
    raw = path.read_bytes()
    path.write_bytes(raw[:2000] + raw[2500:])
    with pytest.raises(BadInput, match="damaged"):
        take(path)


def test_flipped_bytes_are_damage_and_not_pixels(pack, take):
    path = pack(class_folders("a", "b"))
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"a/0.png") + 200] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(BadInput, match=r"1 of 10 images can't be read: “a/0.png” is damaged"):
        take(path)


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_tar_that_was_cut_short_is_refused(tmp_path, take, ending):
    path = tmp_path / f"pets{ending}"
    with tarfile.open(path, f"w:{ending[5:]}") as out:
        for name, content in class_folders("a", "b", size=(40, 40)).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(BadInput, match="damaged or not whole"):
        take(path)


def test_a_compressed_file_that_is_no_archive_is_refused(tmp_path, take):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"sequence,step,label,x\n"))
    with pytest.raises(BadInput, match="uncompress it"):
        take(path, kind="images")


def test_noise_is_refused_whatever_it_is_called(tmp_path, take):
    noise = zlib.compress(bytes(range(256))) * 50
    for name in ("x.zip", "x.csv", "x.npz", "x.tar", "x"):
        (tmp_path / name).write_bytes(noise)
        with pytest.raises(BadInput):
            take(tmp_path / name)
        for kind in ("images", "sequences"):
            with pytest.raises(BadInput):
                take(tmp_path / name, kind=kind)
    for start in (b"PK\3\4", b"PK\5\6", b"PK\1\2", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0"):
        (tmp_path / "y.zip").write_bytes(start + noise)
        with pytest.raises(BadInput):
            take(tmp_path / "y.zip")


def test_the_kind_is_found_by_content(pack, tmp_path):
    assert kind_of([pack(class_folders("a", "b"), "data.csv")]) == "images"
    assert kind_of([pack({"x.npy": b"", "y.npy": b""}, "data.zip")]) == "sequences"
    (tmp_path / "folder").mkdir()
    assert kind_of([tmp_path / "folder"]) == "images"
    table = tmp_path / "table.txt"
    table.write_text("sequence;step;label;x\n")
    assert kind_of([table]) == "sequences"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"), (picture(), "is one image"), (b"%PDF-1.7", "is a PDF"),
        (b"Rar!\x1a\x07", "is a RAR archive"), (b"\x93NUMPY\x01", "is one NPY array"),
        (b"PAR1", "is damaged or not whole"), (b"\0\1\2\3", "can be imported"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_called_by_its_name(tmp_path, take, content, sentence):
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        take(path)


def test_a_spreadsheet_is_refused_with_what_to_do(pack, take):
    with pytest.raises(BadInput, match="save the table as “CSV UTF-8”"):
        take(pack({"[Content_Types].xml": b"", "xl/workbook.xml": b""}, "table.xlsx"))


def test_a_file_that_is_not_there_is_said(tmp_path, take):
    with pytest.raises(BadInput, match="There is no file"):
        take(tmp_path / "nowhere.zip")


def test_a_dataset_is_never_written_over(pack, tmp_path):
    from engine.data.imports import bring_in

    (tmp_path / "1").mkdir()
    with pytest.raises(FileExistsError):
        next(iter(bring_in(pack(class_folders("a", "b")), tmp_path / "1")))


def test_nothing_is_written_where_names_in_an_archive_say(pack, tmp_path, take):
    before = {p for p in tmp_path.rglob("*") if "datasets" not in p.parts}
    path = pack(class_folders("a", "b"))
    data, _ = take(path)
    assert {p for p in tmp_path.rglob("*") if "datasets" not in p.parts} == before | {path}
    assert sorted(p.relative_to(data.folder).as_posix() for p in data.folder.rglob("*")) == [
        "images.npy", "manifest.json", "names.json", "versions", "versions/1",
        "versions/1/findings.json", "versions/1/labels.npy", "versions/1/splits.npy",
        "versions/1/version.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["猫 1", "кот", "قطة", "a b  c", 'it\'s "so"', "line\nbreak", "x" * 251, "é" * 125, "-rf *",
     "%s{}$HOME", "\u202egpj"],
)  # fmt: skip
def test_a_file_may_have_any_name(pack, take, tmp_path, name):
    files = class_folders("a", "b") | {f"a/{name}.png": picture(3)}
    data, _ = take(pack(files))
    assert f"a/{name}.png" in data.names
    members = []
    for path, content in files.items():
        member = tarfile.TarInfo(path)
        members.append((member, content))
    assert f"a/{name}.png" in take(tarred(members, tmp_path / "x.tar"))[0].names


def test_an_archive_in_an_archive_is_left_out_with_a_word(pack, take, tmp_path):
    inner = zipped(class_folders("c", "d"), tmp_path / "inner.zip").read_bytes()
    data, said = take(pack(class_folders("a", "b") | {"a/inner.zip": inner}))
    assert data.classes == ("a", "b")
    assert any("“a/inner.zip”" in warning for warning in said.warnings)
    with pytest.raises(BadInput, match="holds only other archives"):
        take(pack({"inner.zip": inner}), kind="images")


def test_a_name_in_a_message_is_one_short_line():
    assert shown("a\nb\r\n\u202ec\0") == "“a b c”"
    assert shown("x" * 300) == f"“{'x' * 79}…”"
