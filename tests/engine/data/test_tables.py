"""Tables of every make open by themselves, and what is wrong with one is said to the row."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.catalog import BadInput
from engine.data import archive, lines, tables
from engine.data.limits import Limits
from engine.data.lines import told
from engine.data.tables import Skipped, open_table

ROWS = [['Grüße, "Freund"', "gut"], ["zwei\nZeilen; und | mehr", "schlecht"], ["drei", "gut"]]


def quoted(rows: list[list[str]], by: str = ",", end: str = "\n") -> str:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if set(text) & set('",;\t|\n') else text

    return "".join(by.join(map(cell, row)) + end for row in [["text", "label"], *rows])


def cells(content: bytes | str | Path, name: str = "t.csv", **how: Any) -> list[list[Any]]:
    content = content.encode() if isinstance(content, str) else content
    return [list(row) for _, row in open_table(content, name, **how).rows()]


# --- what is found by itself ----------------------------------------------------------------


@pytest.mark.parametrize("by", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be",
                                      "latin-1"])  # fmt: skip
def test_delimiter_encoding_and_line_ends_are_found(by, end, encoding):
    assert cells(quoted(ROWS, by, end).encode(encoding)) == ROWS


def test_old_line_ends_are_read():
    assert cells(b"text,label\rone,a\rtwo,b\r") == [["one", "a"], ["two", "b"]]


@pytest.mark.parametrize(
    ("text", "encodings"),
    [
        ("文本,标签\n这部电影非常好看,正面\n", ["utf-8", "gb18030", "utf-16-le", "utf-16-be"]),
        ("標題,內容\n這部電影很好看,影評\n", ["utf-8", "gb18030", "utf-16-le"]),
        ("text,label\nнамного лучше,да\nхуже,нет\n", ["utf-8", "utf-16-le", "utf-16-be"]),
        ("text,label\nDas Mädchen über der Straße,größer\n", ["utf-8", "latin-1", "utf-16-le"]),
        ("text,label\nLe garçon a été là où il naît,é\n", ["utf-8", "latin-1", "cp1252"]),
        ("text,label\n“Smart” – quotes cost 5 €,a\n", ["utf-8", "cp1252"]),
        ("text,label\nこれはペンです,名詞\n", ["utf-8", "utf-16-le", "utf-16-be"]),
    ],
)  # fmt: skip
def test_a_table_in_any_script_is_read_in_each_of_its_encodings(text, encodings):
    expected = [row.split(",") for row in text.splitlines()]
    for encoding in encodings:
        table = open_table(text.encode(encoding), "t.csv")
        assert [list(table.columns), *(list(row) for _, row in table.rows())] == expected
        assert (
            open_table(text.encode(encoding), "t.csv", encoding=encoding).columns == table.columns
        )


def test_an_umlaut_far_down_still_decides_the_encoding():
    rows = "".join(f"row {i},a\n" for i in range(200_000))
    assert cells(("text,label\n" + rows + "Mädchen,b\n").encode("latin-1"))[-1][0] == "Mädchen"


def test_ascii_is_utf_8():
    assert told(b"text,label\n") == "utf-8"
    assert told("é".encode()[:1]) == "utf-8"  # a sample may end within a character


def test_rows_are_numbered_by_their_first_line():
    table = open_table(quoted(ROWS).replace("drei", "\ndrei").encode(), "t.csv")
    assert [number for number, _ in table.rows()] == [2, 3, 6]
    table = open_table(b'{"a": 1}\n\n{"a": 2}\n', "t.jsonl")
    assert list(table.rows()) == [(1, (1,)), (3, (2,))]


def test_quotation_marks_that_mean_nothing_in_a_tsv_are_kept():
    text = 'sentence\tlabel\n"Quoted" at the start\t1\nfive " inch\t0\n"open\t1\n'
    assert cells(text) == [['"Quoted" at the start', "1"], ['five " inch', "0"], ['"open', "1"]]


def test_marks_that_are_escaped_by_a_backslash_are_read():
    assert cells('text,label\n"He said \\"hi\\", so",1\nno,2\n')[0] == ['He said "hi", so', "1"]


def test_a_blank_after_a_comma_belongs_to_no_cell():
    assert cells('text, label\n"a, b", c\n') == [["a, b", "c"]]


def test_what_somebody_chose_goes_before_what_would_be_found():
    assert cells("a;b,c\n1;x,3\n", delimiter=";") == [["1", "x,3"]]
    assert cells("a\tb\n1\t2\n", delimiter="\\t") == [["1", "2"]]
    assert cells("text\ncaf\u0102\u0160\n".encode("cp1250"), encoding="cp1250") == [["cafĂŠ"]]
    for how, field in (({"encoding": "klingon"}, "encoding"), ({"delimiter": ",,"}, "delimiter"),
                       ({"encoding": "zlib"}, "encoding")):  # fmt: skip
        with pytest.raises(BadInput) as problem:
            cells("a,b\n1,2\n", **how)
        assert problem.value.field == field


def test_a_table_without_a_header_is_told_where_that_is_clear():
    rows = [["ham" if i % 3 else "spam", f"Go until jurong point number {i}, crazy"]
            for i in range(12)]  # fmt: skip
    table = open_table("".join("\t".join(row) + "\n" for row in rows).encode(), "sms.tsv")
    assert table.columns == ("column 1", "column 2")
    assert [list(row) for _, row in table.rows()] == rows
    assert "sms.tsv has no row that names its columns" in table.notes[0]
    # With a header, or where it isn't clear, the first row names the columns.
    text = "v1\tv2\n" + "".join("\t".join(row) + "\n" for row in rows)
    assert open_table(text.encode(), "t").columns == ("v1", "v2")
    assert open_table(b"1,2,3\n1,2,3\n1,2,3\n1,2,3\n1,2,3\n", "t").columns == ("1", "2", "3")
    assert open_table(b"1,2\n1,2\n", "t", header=False).columns == ("column 1", "column 2")


def test_an_index_that_a_data_frame_wrote_has_a_name():
    assert open_table(b",text,label\n0,a,b\n1,c,d\n", "t").columns == ("column 1", "text", "label")


# --- other formats --------------------------------------------------------------------------


def test_json_lines_are_rows_whatever_the_order_of_names(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "label": 1}\n{"label": 2, "text": "b"}\n{"text": "c"}\n')
    table = open_table(path, path.name)
    assert (table.columns, table.format) == (("text", "label"), "jsonl")
    assert [row for _, row in table.rows()] == [("a", 1), ("b", 2), ("c", None)]


def test_half_a_surrogate_in_json_lines_is_no_character():
    table = open_table(b'{"a\\ud800": "x\\ud83d", "": 1}\n', "t.jsonl")
    assert table.columns == ("a", "column 2")
    assert len(list(table.rows())) == 1


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    def parquet(
        columns: dict[str, Any], metadata: dict[str, str] | None = None, **how: Any
    ) -> Path:
        table = pa.table(columns)
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "t.parquet", **how)
        return tmp_path / "t.parquet"

    return parquet


def test_parquet_is_read_with_the_names_behind_its_numbers(parquet):
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    path = parquet({"text": ["a", None, "c"], "label": [0, 1, -1]},
                   {"huggingface": json.dumps({"info": {"features": features}})})  # fmt: skip
    table = open_table(path, path.name)
    assert table.classes == {"label": ("neg", "pos")}
    assert table.length == 3
    assert list(table.rows()) == [(1, ("a", 0)), (2, (None, 1)), (3, ("c", -1))]
    assert list(table.rows(["label"])) == [(1, (None, 0)), (2, (None, 1)), (3, (None, -1))]
    assert list(open_table(path.read_bytes(), "t").rows()) == list(table.rows())
    for said in ('{"info": []}', "no json", '{"info": {"features": {"label": 7}}}'):
        assert open_table(parquet({"label": [0]}, {"huggingface": said}), "t").classes == {}


def test_translations_become_a_column_a_language(parquet, tmp_path: Path):
    pairs = [{"en": "a", "de": "b"}, None, {"en": "c", "de": "d"}]
    expected = [("a", "b"), (None, None), ("c", "d")]
    table = open_table(parquet({"translation": pairs}), "t")
    assert table.columns == ("en", "de")
    assert [row for _, row in table.rows()] == expected
    content = "".join(json.dumps({"translation": pair}) + "\n" for pair in pairs).encode()
    assert [row for _, row in open_table(content, "t.jsonl").rows()] == expected


def test_a_compressed_table_is_read(tmp_path: Path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(quoted(ROWS).encode()))
    assert cells(path, path.name) == ROWS


# --- what is wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("text,label\na,b\nc\n", "t.csv, row 3: it has 1 cell, and the first row names 2 columns"),
        ("text,label\na,b\nc, d, e\n", "row 3: it has 3 cells, .* must be in quotation marks"),
        ('text,label\n"a\nb",c\n"d,e\n', r"row 4: .*Look for a quotation mark that isn't closed"),
        ('text,label\n"a" b,c\nd,e\n', "row 2: text follows a quotation mark"),
        ("text,label\na\0b,c\n", "row 2: it holds a NUL character"),
        ("text,Text\na,b\n", "two columns are named “Text”: rename one"),
        ("text,,label\na,b,c\n", "column 2 has no name: name it in the first row"),
        ("", "t.csv is empty"),
        ("\ufeff", "t.csv is empty"),
        ("\n\n \n", "t.csv is empty"),
        (",,\n,,\n", "t.csv is empty"),
        ("text,label\n", "t.csv has a header and no rows"),
        ("text,label\n,\n", "t.csv has a header and no rows"),
        ("a," * 200_000, "200,001 columns: at most 100,000"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_table_is_found(content, sentence):
    with pytest.raises(BadInput, match=sentence):
        cells(content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"a": 1}\n{"a": \n', r"t.jsonl, line 2: it isn't JSON .* each line must be a whole"),
        ('{"a": 1}\n\n[1, 2]\n', "line 3: it isn't an object"),
        ("{\n  1\n}\n", "line 1: it isn't JSON"),
        ('[{"a": 1}]', "is one JSON list: save it as JSON Lines"),
        ("oops\n", "line 1: it isn't JSON"),
        ('{"a": 1, "a ": 2}\n', "two names are shown as “a”"),
        ("{}\n", "has no rows"),
        ('{"a": ' + "[" * 100_000 + "\n", "nested too deep|isn't JSON"),
        ('{"a": 1' + "0" * 5000 + "}\n", "isn't JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_json_lines_is_found(content, sentence):
    with pytest.raises(BadInput, match=sentence):
        cells(content, "t.jsonl")


def test_a_parquet_that_is_none_or_was_cut_is_refused(parquet, tmp_path: Path):
    path = parquet({"text": [f"text {i}" for i in range(5000)]}, compression="none")
    raw = path.read_bytes()
    broken = bytearray(raw)
    broken[40:3000] = bytes(2960)
    for content in (raw[: len(raw) // 2], b"PAR1" + bytes(50), raw[:-4], bytes(broken)):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"t.parquet is damaged|isn't UTF-8"):
            cells(path, path.name)
        with pytest.raises(BadInput, match=r"t.parquet is damaged|isn't UTF-8"):
            cells(content, path.name)


def test_a_parquet_that_grows_a_hundredfold_is_refused(parquet, monkeypatch):
    monkeypatch.setattr(archive, "HONEST_BYTES", 2**20)
    text = ["x" * 1000 + str(i % 7) for i in range(20_000)]
    path = parquet({"text": text}, compression="zstd", use_dictionary=False)
    with pytest.raises(BadInput, match="more than 100 times its size"):
        open_table(path, path.name)


def test_a_compressed_table_that_grows_a_hundredfold_or_breaks_off_is_refused(
    tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(archive, "HONEST_BYTES", 2**20)
    bomb = tmp_path / "t.csv.gz"
    bomb.write_bytes(gzip.compress(b"text,label\n" + b"aaaaaaaaaaaaaaa,b\n" * 500_000))
    with pytest.raises(BadInput, match=r"t.csv.gz would unpack to more than 100 times its size"):
        cells(bomb, bomb.name)
    whole = gzip.compress("".join(f"{i},{i * 7919 % 10007}\n" for i in range(99_999)).encode())
    bomb.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"t.csv.gz is damaged or not whole"):
        cells(bomb, bomb.name)


def test_an_encoding_that_changes_on_the_way_names_the_row(tmp_path: Path):
    path = tmp_path / "t.csv"
    rows = "".join(f"grün {i},a\n" for i in range(200_000)).encode()
    path.write_bytes(b"text,label\n" + rows + "grün,b\n".encode("latin-1"))
    with pytest.raises(BadInput, match=r"t.csv, row 200,002: the byte 0xFC there isn't utf-8") as p:
        cells(path, path.name)
    assert p.value.field == "encoding"


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.csv.gz"])
@pytest.mark.parametrize(
    "start", [b"", b"text,label\na,b\n", b'text,label\n"', b'{"a": 1}\n{"a": "']
)
def test_a_line_of_200_mb_is_refused_at_once_and_never_held(tmp_path: Path, name, start):
    path = tmp_path / name
    opener: Any = gzip.open if name.endswith("gz") else open
    with opener(path, "wb", **({"compresslevel": 1} if name.endswith("gz") else {})) as out:
        out.write(start)
        for _ in range(200 if not name.endswith("gz") else 40):
            out.write(b"x" * 2**20)
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"row \d: this line alone has more than 4,000,000 char"):
        cells(path, path.name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * 2**20


def test_a_quote_that_is_never_closed_in_a_long_table_is_found_where_it_opens():
    rows = "".join(f"some more text {i},a\n" for i in range(300_000))
    with pytest.raises(BadInput, match=r"row 3: it has a cell of more than 4,000,000 characters"):
        cells('text,label\na,b\n"open,a\n' + rows)


def test_a_cell_that_is_too_long_is_told_by_its_row(monkeypatch, parquet):
    monkeypatch.setattr(tables, "LIMITS", Limits(text_characters=100))
    long = "x" * 101
    for content, name in ((f"text,label\na,b\n{long},c\n".encode(), "t.csv"),
                          (f'{{"a": "b"}}\n\n{{"a": "{long}"}}\n'.encode(), "t.jsonl"),
                          (parquet({"a": ["b", "c", long]}), "t.parquet")):  # fmt: skip
        with pytest.raises(BadInput, match=r"(row|line) 3: .* more than 100 characters") as problem:
            cells(content, name)
        assert problem.value.field == "skip_broken"


def test_rows_that_cannot_be_read_are_skipped_where_that_is_asked_for():
    table = open_table(b"text,label\na,b\nc\n1\0,d\ne,f\n", "t.csv")
    skipped = Skipped()
    assert list(table.rows(skipped=skipped)) == [(2, ("a", "b")), (5, ("e", "f"))]
    assert [row for row, _ in skipped.first] == [3, 4]


def test_a_stray_zero_does_not_make_it_utf_16():
    assert told(b"text,label\nabc\0def,b\n") == "utf-8"
    assert lines.told("a,b\n".encode("utf-16-le")) == "utf-16-le"


# --- what a row holds that it shouldn't -----------------------------------------------------


def test_a_translation_that_is_no_object_is_a_broken_line(monkeypatch):
    monkeypatch.setattr(tables, "SAMPLE", 10)
    lines = ['{"translation": {"en": "a", "de": "b"}}', '{"translation": "oops"}',
             '{"translation": null}', '{"translation": {"en": "c", "de": "d"}}']  # fmt: skip
    table = open_table("\n".join(lines).encode(), "t.jsonl")
    with pytest.raises(BadInput, match=r"t.jsonl, line 2: its translation isn't an object") as said:
        list(table.rows())
    assert said.value.field == "skip_broken"
    skipped = Skipped()
    assert [row for _, row in table.rows(skipped=skipped)] == [
        ("a", "b"), (None, None), ("c", "d")
    ]  # fmt: skip
    assert len(skipped) == 1


def test_a_nul_is_refused_in_every_format(tmp_path):
    rows = [{"text": "good", "label": "a"}, {"text": "b\0d", "label": "a"}]
    jsonl = "".join(json.dumps(row) + "\n" for row in rows).encode()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    for source in (b"text,label\ngood,a\nb\0d,a\n", jsonl, tmp_path / "t.parquet"):
        name = {bytes: "t.jsonl" if source == jsonl else "t.csv"}.get(type(source), "t.parquet")
        with pytest.raises(BadInput, match="it holds a NUL character"):
            list(open_table(source, name).rows())
        skipped = Skipped()
        assert [row for _, row in open_table(source, name).rows(skipped=skipped)] == [("good", "a")]
        assert len(skipped) == 1


def test_a_nul_in_the_header_costs_no_item():
    skipped = Skipped()
    table = open_table(b"te\0xt,label\none,a\ntwo,b\n", "t.csv")
    assert [row for _, row in table.rows(skipped=skipped)] == [("one", "a"), ("two", "b")]
    assert not skipped


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("row", [2, 3000, 60_000])
def test_a_byte_that_cannot_be_decoded_is_told_by_its_row(encoding, end, row):
    lines = ["text,label"] + ["намного лучше,да"] * 70_000
    before = (end.join(lines[: row - 1]) + end + "х").encode(encoding)
    after = (end + end.join(lines[row:])).encode(encoding.replace("16", "16-le"))
    content = before + (b"\xff" if encoding == "utf-8" else b"\0\xdc") + after
    with pytest.raises(BadInput, match=f"t.csv, row {row:,}: the byte 0x.. there isn't"):
        list(open_table(content, "t.csv", encoding=encoding).rows())


def dictionary(path, value, count):
    """A Parquet table of one text, kept once however often it occurs."""
    same = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([value]))
    pq.write_table(pa.table({"text": same, "label": ["a"] * count}), path, compression="zstd")
    return path


def test_a_text_that_stands_once_and_is_read_a_thousand_times_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "HONEST_BYTES", 2**20)
    path = dictionary(tmp_path / "bomb.parquet", "x" * 200_000, 3000)
    assert path.stat().st_size < 10_000
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"bomb\.parquet would unpack to more than 100 times"):
        list(open_table(path, path.name).rows())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 64 * 2**20


def test_a_text_that_is_often_the_same_is_read(tmp_path):
    path = dictionary(tmp_path / "same.parquet", "the same", 3000)
    assert [row for _, row in open_table(path, path.name).rows()] == [("the same", "a")] * 3000


def test_lists_too_long_to_be_cells_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_VALUES", 1000)
    path = tmp_path / "lists.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "x": [list(range(900))] * 2}), path)
    with pytest.raises(BadInput, match="take the column of long lists out"):
        open_table(path, path.name)


def test_decimal_commas_become_points_column_by_column():
    lines = "".join(f"{i};{i}.5;{i},5;1.{i:03d};no {i},5\n" for i in range(40))
    table = open_table(f"a;b;c;d;e\n{lines}".encode(), "t.csv")
    assert list(table.rows())[3][1] == ("3", "3.5", "3.5", "1.003", "no 3,5")
    assert any("column “c”" in note for note in table.notes)
    assert cells('a,b\n1,"2,5"\n2,"3,5"\n') == [["1", "2,5"], ["2", "3,5"]]
