"""A tar's header is believed no further than the file goes."""

from __future__ import annotations

import io
import tarfile
import tracemalloc

import pytest

from engine.catalog import BadInput
from engine.data.archive import MOST_HEADER, is_tar, listing, natural


def listed(path, scratch):
    steps = listing(path, scratch)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return [entry.name for entry in end.value[1]]


def test_a_size_beyond_the_file_is_refused_at_once(tmp_path):
    member = tarfile.TarInfo("a/x.png")
    member.size = 10**15
    path = tmp_path / "t.tar"
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(BadInput, match=r"t\.tar is damaged or not whole"):
        listed(path, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_claims_too_much_isnt_read(tmp_path, kind):
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = kind, 64 * MOST_HEADER
    path = tmp_path / "t.tar"
    with path.open("wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.truncate(65 * MOST_HEADER)
    tracemalloc.start()
    assert is_tar(path)
    with pytest.raises(BadInput, match="damaged"):
        listed(path, tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * MOST_HEADER


def test_long_names_in_any_script_are_read(tmp_path):
    names = [f"{'d' * 150}/ä早{i}.png" for i in range(3)]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w", format=form) as archive:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = 3
                archive.addfile(member, io.BytesIO(b"abc"))
        assert listed(path, tmp_path) == names


def test_numbers_of_any_length_sort_by_size():
    names = ["x" + "9" * 5000, "x10", "x2", "X1", "x002"]
    assert sorted(names, key=natural) == ["X1", "x002", "x2", "x10", "x" + "9" * 5000]
