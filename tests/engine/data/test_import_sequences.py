"""Tables and arrays become sequences, and what is wrong in them is found to the cell."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from engine.catalog import BadInput
from engine.data import sequences, series
from engine.data.inspection import inspect
from engine.data.kinds import kind_of
from engine.data.options import ImportOptions


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """``table(text)`` → a CSV file with it."""

    def table(text: str | bytes, name: str = "moves.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return table


@pytest.fixture
def arrays(tmp_path: Path) -> Callable[..., Path]:
    """``arrays(x=…, y=…)`` → an NPZ file with them."""

    def arrays(**content) -> Path:
        np.savez(tmp_path / "moves.npz", **content)
        return tmp_path / "moves.npz"

    return arrays


def rows(count: int = 12, classes: int = 2) -> list[list[str]]:
    """Cells of `count` sequences with 2, 3, 4, 2, … steps of two features."""
    return [
        [f"s{i}", str(step), f"{i + step / 10}", str(-step), f"class {i % classes}"]
        for i in range(count)
        for step in range(2 + i % 3)
    ]


def csv(cells: list[list[str]], header: str = "sequence,step,x,y,label", by: str = ",") -> str:
    return "\n".join([header.replace(",", by), *(by.join(row) for row in cells)]) + "\n"


# --- CSV ------------------------------------------------------------------------------------


def test_every_step_arrives_in_its_sequence(table, take):
    data, said = take(table(csv(rows())))
    assert (said.card, said.provides) == ("ImportedSequences", ("sequence", "label"))
    assert data.classes == ("class 0", "class 1")
    assert data.manifest.features == ("x", "y")
    assert data.shape == (2,)
    assert sorted(data.names) == sorted(f"s{i}" for i in range(12))
    for item, name in enumerate(data.names):
        i = int(name[1:])
        values = data.ragged("values")[item]
        expected = [[i + step / 10, -step] for step in range(2 + i % 3)]
        np.testing.assert_array_equal(values, np.float32(expected))
        assert data.labels[item] == i % 2


def test_the_order_of_rows_and_columns_does_not_matter(table, take):
    cells = rows()
    first, _ = take(table(csv(cells)))
    mixed = [cells[i] for i in np.random.default_rng(0).permutation(len(cells))]
    turned = [[row[4], row[3], row[1], row[0], row[2]] for row in mixed]
    second, _ = take(table(csv(turned, "Label,y,STEP, Sequence ,x")))
    by_name = dict(zip(second.names, range(12), strict=True))
    assert second.manifest.features == ("y", "x")
    for item, name in enumerate(first.names):
        other = by_name[name]
        a, b = first.ragged("values")[item], second.ragged("values")[other]
        np.testing.assert_array_equal(a, b[:, ::-1])
        assert first.labels[item] == second.labels[other]


@pytest.mark.parametrize("by", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_each_delimiter_line_end_and_byte_order_mark_is_read(table, take, by, end, mark):
    text = csv(rows(), by=by).replace("\n", end)
    assert take(table(mark + text.encode()))[0].shape == (2,)


def test_quotes_any_script_and_blank_rows_are_read(table, take):
    cells = [[f'"{s}, ""so"""', step, x, y, f"класс {c[-1]}"] for s, step, x, y, c in rows()]
    text = csv(cells).replace("\n", "\n\n") + ",,,,\n"
    data, _ = take(table(text))
    assert 's0, "so"' in data.names
    assert data.classes == ("класс 0", "класс 1")


def test_labels_are_sorted_as_people_count(table, take):
    cells = [[s, step, x, y, "10" if c[-1] == "0" else "2"] for s, step, x, y, c in rows()]
    assert take(table(csv(cells)))[0].classes == ("2", "10")


def test_steps_need_not_be_whole_or_without_gaps(table, take):
    cells = [[s, str(10**9 + 0.5 * int(step)), x, y, c] for s, step, x, y, c in rows()]
    data, _ = take(table(csv(reversed(cells))))
    np.testing.assert_allclose(sequence(data, "s2")[:, 0], [2, 2.1, 2.2, 2.3])


def test_pieces_of_a_large_table_join(table, take, monkeypatch):
    whole, _ = take(table(csv(rows(60))))
    monkeypatch.setattr(series, "CHUNK", 7)
    pieces, _ = take(table(csv(rows(60))))
    one, other = whole.ragged("values"), pieces.ragged("values")
    np.testing.assert_array_equal(one.flat, other.flat)
    np.testing.assert_array_equal(one.offsets, other.offsets)


def changed(row: int, column: int, cell: str) -> str:
    """The table with one cell changed; `row` as a spreadsheet counts."""
    cells = rows()
    cells[row - 2][column] = cell
    return csv(cells)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (changed(7, 2, "NaN"), "row 7, column “x”: “NaN” isn't a finite number"),
        (changed(7, 2, "1e39"), "row 7, column “x”: “1e39” isn't a finite number"),
        (changed(7, 3, "inf"), "row 7, column “y”: “inf” isn't a finite"),
        (changed(7, 3, "left"), "row 7, column “y”: “left” isn't a number"),
        (changed(7, 3, ""), "row 7, column “y”: it is empty"),
        (changed(7, 1, "monday"), "row 7, column “step”: “monday” isn't a number"),
        (changed(7, 4, " "), "row 7, column “label”: it is empty"),
        (changed(7, 0, ""), "row 7, column “sequence”: it is empty"),
        (changed(3, 4, "class 1"), "row 3, column “label”: it differs from row 2"),
        (changed(3, 1, "0"), "row 3, column “step”: sequence “s0” has step 0 already in row 2"),
        (changed(7, 3, "1,5"), "row 7: it has 6 cells, and the first row names 5"),
        (changed(7, 3, '"1,5"'), r"row 7, .*“1,5” isn't a number: .*\(1.5\)"),
        (changed(7, 3, "1\n"), "row 7: it has 4 cells"),
        (csv(rows(101, classes=101)), "101 different labels for 101 items"),
        (csv([]), "a header and no rows"),
        ("\n", "is empty"),
        (csv(rows(), "1,2,3,4,5"), "sequence, step, label is missing; there is “1”, “2”"),
        (csv(rows(classes=12), "sequence,step,x,y,kind"), "label is missing"),
        (csv(rows(classes=12)).replace("label", "l\0bel", 1), "label is missing"),
        (csv(rows(), "sequence,step,x,X,label"), "two columns are named “X”"),
        (csv(rows(), "sequence,step,x,,label"), "column 4 has no name"),
        (csv([[r[0], r[1], r[4]] for r in rows()], "sequence,step,label"), "has no feature"),
        (changed(4, 4, '"open'), "row 4: .*quotation mark"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_table_is_found(table, take, text, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(table(text), kind="sequences")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "gb18030"])
def test_other_encodings_are_read(table, take, encoding):
    name = "类别" if encoding == "gb18030" else "clé"
    data, said = take(table(csv(rows()).replace("class", name).encode(encoding)))
    assert data.classes == (f"{name} 0", f"{name} 1")
    assert said.meta["columns"]["label"] == "label"


def test_columns_of_other_names_are_chosen(table, take):
    path = table(csv(rows(), "who,when,x,y,kind"))
    columns = {"sequence": "who", "step": "when", "label": "kind"}
    data, _ = take(path, kind="sequences", columns=columns)
    assert data.classes == ("class 0", "class 1")
    data, said = take(path, kind="sequences", columns=columns | {"label": ""})
    assert data.labels is None
    assert said.provides == ("sequence",)
    assert data.manifest.groups == ("kind",)
    with pytest.raises(BadInput, match="has no column “time”") as problem:
        take(path, kind="sequences", columns=columns | {"step": "time"})
    assert problem.value.field == "columns"


def test_texts_that_stay_the_same_in_a_sequence_are_groups(table, take):
    cells = [[*row, f"speaker {int(row[0][1:]) % 4}"] for row in rows(24)]
    path = table(csv(cells, "sequence,step,x,y,label,speaker"))
    data, _ = take(path, group="speaker")
    assert data.manifest.features == ("x", "y")
    assert data.group("speaker")[data.names.index("s6")] == "speaker 2"
    speakers = np.array(data.group("speaker"))
    parts = [set(speakers[data.rows(split)]) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 4
    cells[1][5] = "another"
    with pytest.raises(BadInput, match="row 3, column “speaker”: “another” isn't a number"):
        take(table(csv(cells, "sequence,step,x,y,label,speaker")))


def test_numbers_can_be_groups_when_that_is_asked_for(table, take):
    cells = [[*row, str(int(row[0][1:]) % 4)] for row in rows(24)]
    data, _ = take(table(csv(cells, "sequence,step,x,y,label,patient")), group="patient")
    assert data.manifest.features == ("x", "y")
    assert set(data.group("patient")) == set("0123")


def test_a_column_may_name_the_splits(table, take):
    cells = [[*row, "test" if row[0] == "s5" else "train"] for row in rows(24)]
    data, _ = take(table(csv(cells, "sequence,step,x,y,label,split")))
    assert [data.names[row] for row in data.rows("test")] == ["s5"]
    assert data.version.rule.how == "given"


def test_sequences_with_holes_can_be_left_out(table, take):
    cells = rows()
    cells[0][2], cells[1][2], cells[9][3], cells[20][4] = "", "nan", "left", ""
    with pytest.raises(BadInput, match="row 22, column “label”: it is empty") as problem:
        take(table(csv(cells)))
    assert problem.value.field == "skip_broken"
    data, said = take(table(csv(cells)), skip_broken=True)
    bad = {cells[i][0] for i in (0, 9, 20)}
    assert set(data.names) == {row[0] for row in rows()} - bad
    assert any(
        "3 sequences were left out" in w and "row 11, column “y”" in w for w in said.warnings
    )
    for item, name in enumerate(data.names):
        expected = [[float(r[2]), float(r[3])] for r in rows() if r[0] == name]
        np.testing.assert_array_equal(data.ragged("values")[item], np.float32(expected))


@pytest.mark.parametrize("cell", ["", "hold-out"])
def test_a_sequence_that_names_no_split_is_refused_or_left_out(table, take, cell):
    named = {"s5": "test", "s7": cell}
    cells = [[*row, named.get(row[0], "train")] for row in rows(24)]
    path = table(csv(cells, "sequence,step,x,y,label,split"))
    number = 2 + [row[0] for row in cells].index("s7")
    sentence = f"row {number}, column “split”: “{cell}” is none of train, validation and test"
    with pytest.raises(BadInput, match=sentence) as problem:
        take(path)
    assert problem.value.field == "skip_broken"
    data, said = take(path, skip_broken=True)
    assert set(data.names) == {row[0] for row in cells} - {"s7"}
    assert any(sentence in warning for warning in said.warnings)


def test_a_split_that_changes_within_a_sequence_is_told_as_such(table, take):
    cells = [[*row, "train"] for row in rows(24)]
    cells[1][5] = "test"
    with pytest.raises(BadInput, match=r"row 3, column “split”: it differs .* has one split"):
        take(table(csv(cells, "sequence,step,x,y,label,split")))


@pytest.mark.parametrize("wrong", [["s3", "1", "1"], ["", "1", "1", "2", "class 1"]])
def test_a_step_of_no_known_sequence_takes_its_neighbours_along(table, take, wrong):
    cells = rows()
    at = [row[0] for row in cells].index("s3") + 1
    broken = [*cells[:at], wrong, *cells[at + 1 :]]  # within s3
    with pytest.raises(BadInput, match=f"row {at + 2}") as problem:
        take(table(csv(broken)))
    assert problem.value.field == "skip_broken"
    data, said = take(table(csv(broken)), skip_broken=True)
    # s3 has two steps: the next row is one of s4.
    assert set(data.names) == {row[0] for row in cells} - {"s3", "s4"}
    assert any(f"row {at + 2}: " in w and "2 sequences were left out" in w for w in said.warnings)
    assert any("1 rows don't tell which sequence" in w for w in said.warnings)


@pytest.mark.parametrize(("mixed", "most"), [(False, 2), (True, 60)])
def test_a_row_costs_little_memory(table, tmp_path, monkeypatch, mixed, most):
    monkeypatch.setattr(series, "CHUNK", 500)
    count, zeros = 50_000, "0" * 40  # half of it is more than is looked at before it is read
    cells = [f"s{i // 1000},{i},{i % 7},{zeros},c{i // 1000 % 2}" for i in range(count)]
    if mixed:
        cells = [cells[i] for i in np.random.default_rng(0).permutation(count)]
    path = table("\n".join(["sequence,step,x,y,label", *cells]) + "\n")
    del cells

    def peak(rows: int) -> int:
        head = tmp_path / "head.csv"
        with path.open() as lines:
            head.write_text("".join(islice(lines, rows + 1)))
        scratch = tmp_path / str(rows)
        scratch.mkdir()
        tracemalloc.start()
        try:
            for _ in sequences.read([head], scratch, scratch, ImportOptions()):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(count) - peak(count // 2) < most * count / 2


def test_one_step_is_a_sequence(table, take):
    cells = [[f"s{i}", "0", str(i), "1", f"class {i % 2}"] for i in range(12)]
    data, _ = take(table(csv(cells)))
    assert set(data.ragged("values").lengths) == {1}


def test_a_quote_left_open_over_a_long_table_is_found(table, take):
    with pytest.raises(BadInput, match="quotation mark that isn't closed"):
        take(table(changed(2, 4, '"open') + csv(rows(20_000))))


def test_a_wrong_cell_far_down_is_found(table, take):
    cells = rows(30_000)
    cells[50_000][3] = "oops"
    with pytest.raises(BadInput, match="row 50002, column “y”: “oops”"):
        take(table(csv(cells)))


def stamped(form: str, count: int = 12, days: int = 0) -> list[list[str]]:
    """The rows of `rows`, an hour and `days` apart, the latest first."""
    start = datetime(2024, 3, 1, 9)
    return [
        [s, (start + int(step) * timedelta(days=days, hours=1)).strftime(form), x, y, label]
        for s, step, x, y, label in reversed(rows(count))
    ]


@pytest.mark.parametrize(
    ("form", "days"),
    [("%Y-%m-%d %H:%M:%S", 0), ("%Y-%m-%dT%H:%M", 9), ("%Y-%m-%dT%H:%M:%S.%fZ", 0), ("%Y-%m-%d", 1),
     ("%Y-%m-%d %H:%M:%S+02:00", 20), ("%d.%m.%Y %H:%M", 1), ("%m/%d/%Y", 14), ("%d/%m/%Y", 14),
     ("%d/%m/%Y %H:%M", 14), ("%m/%d/%Y %I:%M %p", 14), ("%Y/%m/%d %H:%M", 1)],
)  # fmt: skip
def test_time_stamps_put_steps_in_order(table, take, form, days):
    data, _ = take(table(csv(stamped(form, days=days))))
    np.testing.assert_allclose(sequence(data, "s2")[:, 0], [2, 2.1, 2.2, 2.3])
    assert data.manifest.features == ("x", "y")


def european(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def test_a_series_with_decimal_commas_is_read(table, take):
    days = [(day, month) for month in (1, 2) for day in range(1, 29)]
    sales = [800 + 30.25 * i for i in range(len(days))]
    lines = [f"{d:02d}.{m:02d}.2020;{european(s)};{s:.0f}"
             for (d, m), s in zip(days, sales, strict=True)]  # fmt: skip
    data, said = take(table("Datum;Umsatz;Gäste\n" + "\n".join(lines) + "\n", "umsatz.csv"))
    assert data.manifest.features == ("Umsatz", "Gäste")
    values = np.concatenate([data.ragged("values")[i] for i in range(len(data))])
    np.testing.assert_allclose(values[:, 0], sales)
    assert any("“Umsatz”: 1.234,5 is read as 1234.5" in warning for warning in said.warnings)


def test_time_stamps_that_can_be_misread_are_refused(table, take):
    with pytest.raises(BadInput, match="may have the day or the month first"):
        take(table(csv(stamped("%d/%m/%Y", days=1))))
    cells = stamped("%Y-%m-%d %H:%M:%S")
    cells[3][1] = "2024-03-01 10:00:00+01:00"
    with pytest.raises(BadInput, match=r"row 5, column “step”: .* isn't a time stamp like the"):
        take(table(csv(cells)))
    cells = stamped("%Y-%m-%d %H:%M:%S")
    cells[1][1] = cells[0][1]
    with pytest.raises(BadInput, match="has step 2024-03-01 12:00:00 already in row 2"):
        take(table(csv(cells)))


def runs(count: int = 12) -> str:
    cells = [[s.replace("s", "r"), when, x, y, label] for s, when, x, y, label in
             reversed(stamped("%Y-%m-%d %H:%M:%S", count))]  # fmt: skip
    return csv(cells, "machine_run,timestamp,vibration,temp,state")


def test_ids_and_time_stamps_make_a_table_of_sequences(table, take):
    path = table(runs())
    found = inspect([path])
    assert found.kinds == ("sequences", "text")
    assert found.roles == {"sequence": "machine_run", "step": "timestamp", "label": "state"}
    assert (found.items, found.classes) == (12, ("class 0", "class 1"))
    data, _ = take(path)
    assert data.manifest.features == ("vibration", "temp")
    assert len(data) == 12


@pytest.mark.parametrize(
    "header",
    ["user_id,timestamp,stars,review", "user,date,score,remarks", "product,time,n,comment"],
)
def test_reviews_with_time_stamps_stay_texts(table, header):
    lines = [f"u{i // 4},2024-03-01 10:00:{i:02},{i % 5},I like film {i}" for i in range(24)]
    assert kind_of(table("\n".join([header, *lines]) + "\n")) == "text"


def test_reviews_beside_figures_stay_texts(table):
    header = ",".join(["remarks", *(f"n{t}" for t in range(9))])
    lines = [",".join([f"I like film {i}", *map(str, range(i, i + 9))]) for i in range(24)]
    assert kind_of(table("\n".join([header, *lines]) + "\n")) == "text"


def broad(label: str = "walk run", steps: int = 10) -> list[list[str]]:
    names = label.split()
    return [
        [
            names[i % 2],
            *(f"{i + t * 7 % 10 / 10:.1f}" if t < steps - i % 3 else "" for t in range(steps)),
        ]
        for i in range(12)
    ]


@pytest.mark.parametrize("label", ["walk run", "1 2"])
@pytest.mark.parametrize("headed", [True, False])
def test_each_row_of_a_wide_table_is_a_sequence(table, take, label, headed):
    header = ",".join(["label", *(f"t{t}" for t in range(10))])
    text = csv(broad(label), header)
    path = table(text if headed else text.partition("\n")[2])
    found = inspect([path])
    assert found.kinds == ("sequences", "text")
    assert found.items == 12
    assert any("Each row is one sequence" in note for note in found.notes)
    assert not any("empty cell:" in note for note in found.notes)
    data, said = take(path)
    assert data.shape == (1,)
    assert set(data.classes) == set(label.split())
    assert any("Each row is one sequence" in warning for warning in said.warnings)
    lengths = [10 - i % 3 for i in range(12)]
    assert list(data.ragged("values").lengths) == lengths
    np.testing.assert_allclose(
        data.ragged("values")[1][:, 0], 1 + np.arange(0, 63, 7) % 10 / 10, rtol=1e-6
    )


def test_a_wide_table_needs_no_label_and_takes_other_texts_as_groups(table, take):
    header = ",".join(["label", *(f"t{t}" for t in range(10)), "who"])
    path = table(csv([[*row, f"p{i // 4}"] for i, row in enumerate(broad())], header))
    data, _ = take(path, kind="sequences", group="who")
    assert data.group("who")[5] == "p1"
    bare = table(csv([row[1:] for row in broad()], header[6:-4]), "bare.csv")
    data, _ = take(bare, kind="sequences", columns={"label": ""})
    assert data.labels is None
    with pytest.raises(BadInput, match="no column looks like its label") as problem:
        take(bare, kind="sequences")
    assert problem.value.field == "columns"


def test_a_hole_in_a_wide_row_is_found(table, take):
    cells = broad()
    cells[4][3] = ""
    path = table(csv(cells, ",".join(["label", *(f"t{t}" for t in range(10))])))
    with pytest.raises(BadInput, match=r"row 6, column “t2”: it is empty, .* 1 of 12 sequences"):
        take(path)
    assert any("1 of 12 sequences have an empty cell" in n for n in inspect([path]).notes)
    assert len(take(path, skip_broken=True)[0]) == 11


def test_a_refusal_tells_how_many_sequences_would_be_left_out(table, take, arrays):
    cells = rows(120)
    for i in (7, 8, 100, 200):
        cells[i][2] = ""
    gone = len({cells[i][0] for i in (7, 8, 100, 200)})
    path = table(csv(cells))
    with pytest.raises(BadInput, match=f"That would be {gone} of 120 sequences") as problem:
        take(path)
    assert problem.value.field == "skip_broken"
    assert any(f"{gone} of 120 sequences have an empty" in n for n in inspect([path]).notes)
    with pytest.raises(BadInput, match="That would be 1 of 12 sequences"):
        take(arrays(x=holed(3, 1, 2), y=Y))
    lines = cases()
    lines[3] = "1,2:up"
    with pytest.raises(BadInput, match="That would be 1 of 12 sequences"):
        take(table(ts(lines), "Moves.ts"))


# --- NPZ ------------------------------------------------------------------------------------

X = np.arange(12 * 5 * 3, dtype=np.float32).reshape(12, 5, 3)
Y = np.arange(12) % 2


def sequence(data, name: str) -> np.ndarray:
    return data.ragged("values")[data.names.index(name)]


@pytest.mark.parametrize("x", [X, X.astype(np.int16), np.asfortranarray(X), X.astype(">f8")])
def test_a_block_of_equal_sequences_arrives(arrays, take, x):
    data, _ = take(arrays(x=x, y=Y))
    assert data.shape == (3,)
    assert data.classes == ("0", "1")
    for i in range(12):
        np.testing.assert_array_equal(sequence(data, str(i)), X[i])
        assert data.labels[data.names.index(str(i))] == i % 2


def test_ragged_and_padded_arrays_give_the_same(arrays, take):
    lengths = np.arange(12) % 4 + 2
    ragged = np.concatenate([x[:n] for x, n in zip(X, lengths, strict=True)])
    first, _ = take(arrays(x=ragged, lengths=lengths, y=Y))
    second, _ = take(arrays(x=X, lengths=lengths, y=Y))
    one, other = first.ragged("values"), second.ragged("values")
    np.testing.assert_array_equal(one.flat, other.flat)
    np.testing.assert_array_equal(one.offsets, other.offsets)
    np.testing.assert_array_equal(sequence(first, "3"), X[3, :5])


def test_one_feature_needs_no_axis(arrays, take):
    data, _ = take(arrays(x=X[:, :, 0], y=Y))
    np.testing.assert_array_equal(sequence(data, "7"), X[7, :, :1])
    data, _ = take(arrays(x=X[:, :, 0].ravel(), lengths=[5] * 12, y=Y))
    np.testing.assert_array_equal(sequence(data, "7"), X[7, :, :1])


@pytest.mark.parametrize(
    "y", [np.array(["up", "down"] * 6), np.array([b"up", b"down"] * 6), np.array([2.0, 10.0] * 6),
          np.array([True, False] * 6), Y.reshape(-1, 1)],
)  # fmt: skip
def test_labels_are_texts_or_whole_numbers(arrays, take, y):
    data, _ = take(arrays(x=X, y=y))
    first, second = (data.labels[data.names.index(str(i))] for i in (0, 1))
    assert first != second
    assert {data.classes[first], data.classes[second]} in (
        {"up", "down"}, {"2", "10"}, {"True", "False"}, {"0", "1"}
    )  # fmt: skip


def holed(*at: int) -> np.ndarray:
    x = X.copy()
    x[at] = np.nan
    return x


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"x": holed(3, 1, 2), "y": Y}, r"x\[3, 1, 2\] isn't a finite number"),
        ({"x": np.asfortranarray(holed(3, 1, 2)), "y": Y}, r"x\[3, 1, 2\] isn't a finite number"),
        ({"x": X, "y": Y[:-1]}, "12 sequences in x and 11 labels in y"),
        ({"x": X, "labels": Y}, r"\(y missing\)"),
        ({"inputs": X}, r"holds “inputs” .*\(x and y missing\)"),
        ({"x": X[0, 0], "y": Y}, r"x has shape \(3,\) and must be"),
        ({"x": X[:, :0], "y": Y}, "which is empty"),
        ({"x": X, "y": Y + 0.5}, r"y\[0\] is 0.5: labels are whole numbers"),
        ({"x": X, "y": np.array(["a", ""] * 6)}, r"y\[1\] is empty"),
        ({"x": X, "y": X}, "must be \\(N,\\)"),
        ({"x": X.astype(complex), "y": Y}, "x holds complex"),
        ({"x": np.ones((101, 2)), "y": np.arange(101)}, "101 different labels for 101 items"),
        ({"x": X, "lengths": [9] * 12, "y": Y}, "lengths goes up to 9, and x has 5"),
        ({"x": X[0], "lengths": [2, 2], "y": [0, 1]}, "lengths adds up to 4, and x has 5"),
        ({"x": X[0], "lengths": np.uint64([2**63, 5]), "y": [0, 1]}, "which no sequence has"),
        ({"x": X[0], "lengths": [2**62] * 4 + [5], "y": [0, 1] * 2 + [0]}, "lengths adds up to 18"),
        ({"x": X, "y": np.full(12, 1e300)}, r"y\[0\] is 1e\+300"),
        ({"x": X[0], "lengths": [5, 0], "y": [0, 1]}, "lengths must be whole numbers above 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_arrays_is_found(arrays, take, content, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(arrays(**content))


def test_sequences_with_holes_in_arrays_can_be_left_out(arrays, take):
    data, said = take(arrays(x=holed(3, 1, 2), y=Y), skip_broken=True)
    assert data.names == tuple(str(i) for i in range(12) if i != 3)
    np.testing.assert_array_equal(sequence(data, "4"), X[4])
    assert any("“3”" in warning and "x[3, 1, 2]" in warning for warning in said.warnings)


def test_padding_may_hold_anything(arrays, take):
    data, _ = take(arrays(x=holed(3, 4), y=Y, lengths=[5, 5, 5, 4] + [5] * 8))
    np.testing.assert_array_equal(sequence(data, "3"), X[3, :4])
    with pytest.raises(BadInput, match="padded with NaN, add an array lengths"):
        take(arrays(x=holed(3, 4), y=Y))


def test_other_arrays_are_groups(arrays, take):
    data, _ = take(arrays(x=X, y=Y, patient=np.arange(12) // 3), group="patient")
    assert data.group("patient")[4] == "1"


def test_groups_of_bytes_are_texts_and_what_is_no_group_is_told(arrays, take):
    who = np.array([b"p0", b"p1", b"p2"] * 4)
    data, said = take(arrays(x=X, y=Y, patient=who, x_test=X), group="patient")
    assert data.group("patient")[4] == "p1"
    assert any("“x_test”" in warning for warning in said.warnings)


def test_fortrans_order_is_read_in_parts(arrays, take, monkeypatch):
    monkeypatch.setattr("engine.data.step_arrays.BLOCK", 200)
    data, _ = take(arrays(x=np.asfortranarray(X), y=Y))
    np.testing.assert_array_equal(data.ragged("values").flat, X.reshape(-1, 3))


class Trap:
    sprung = False

    def __reduce__(self):
        return setattr, (Trap, "sprung", True)


def test_objects_are_never_unpickled_and_the_other_way_to_save_is_told(arrays, take):
    ragged = np.empty(12, object)
    ragged[:] = [Trap()] * 12
    for content in ({"x": ragged, "y": Y}, {"x": X, "y": ragged}):
        with pytest.raises(BadInput, match=r"np\.savez\(path, x=np\.concatenate"):
            take(arrays(**content))
    assert not Trap.sprung


def test_an_array_shorter_than_its_header_says_is_refused(tmp_path, take):
    for claimed in ((12, 5, 3), (10**9, 5, 3)):
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f4", "fortran_order": False, "shape": claimed}
        )
        y = io.BytesIO()
        np.save(y, Y)
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as out:
            out.writestr("x.npy", head.getvalue() + bytes(100))
            out.writestr("y.npy", y.getvalue())
        with pytest.raises(BadInput, match=r"shorter than it says|1,000,000,000 sequences in x"):
            take(tmp_path / "x.npz")


def npy(header: bytes, version: int = 1, claimed: int | None = None) -> bytes:
    size = len(header) if claimed is None else claimed
    length = size.to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header


def headed(descr: str, shape: str) -> bytes:
    return f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (npy(b"{}", 2, 2**31), "claims a header of 2,147,483,648 bytes"),
        (npy(b"{}", 3, 2**31), "isn't an array as np.savez"),
        (npy(b"((((("), "isn't an array as np.savez"),
        (npy(b"(" * 9000), "isn't an array as np.savez"),
        (npy(b"-" * 9000 + b"1"), "isn't an array as np.savez"),
        (npy(b"{1: 2, 'a': 3}"), "isn't an array as np.savez"),
        (npy(headed("|S0", "(12,)")), r"y holds \|S0, texts of no length"),
        (npy(headed("<f4", f"({2**70},)")), "claims the shape"),
        (npy(headed("<f4", f"({2**40}, {2**40})")), "claims the shape"),
        (npy(headed("<f4", f"(0, {2**70})")), "claims the shape"),
        (npy(headed("<f4", "(-12,)")), "claims the shape"),
        (npy(headed("<i8", str((1,) * 40))), "claims the shape"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, take, content, sentence):
    x = io.BytesIO()
    np.save(x, X)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as out:
        out.writestr("x.npy", x.getvalue())
        out.writestr("y.npy", content + bytes(100))
    with pytest.raises(BadInput, match=sentence):
        take(tmp_path / "x.npz", kind="sequences")


def test_a_damaged_npz_is_refused(arrays, take):
    path = arrays(x=X, y=Y)
    raw = bytearray(path.read_bytes())
    raw[600] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(BadInput, match="damaged"):
        take(path)


# --- .ts ------------------------------------------------------------------------------------

HEAD = """# A comment: with colons, and commas
@problemName Moves
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
"""


def cases(count: int = 12) -> list[str]:
    """Cases of 2, 3, 4, … steps in two dimensions."""
    return [
        ",".join(str(i + t / 10) for t in range(2 + i % 3))
        + ":" + ",".join(str(-t) for t in range(2 + i % 3)) + (":up" if i % 2 else ":down")
        for i in range(count)
    ]  # fmt: skip


def ts(lines: list[str], head: str = HEAD) -> str:
    return head + "\n".join(lines) + "\n"


def test_a_ts_file_arrives_whole(table, take):
    data, said = take(table(ts(cases()), "Moves.ts"))
    assert (said.card, said.provides) == ("ImportedSequences", ("sequence", "label"))
    assert data.shape == (2,)
    assert data.classes == ("down", "up")
    for i, values in enumerate(data.ragged("values")[n] for n in range(12)):
        expected = [[i + t / 10, -t] for t in range(2 + i % 3)]
        np.testing.assert_array_equal(values, np.float32(expected))
        assert data.labels[i] == i % 2


def test_train_and_test_files_are_one_dataset_with_splits(table, take):
    train = table(ts(cases(12)), "Moves_TRAIN.ts")
    test = table(ts(cases(4)), "Moves_TEST.ts")
    data, _ = take([train, test])
    counts = {split: len(data.rows(split)) for split in ("train", "validation", "test")}
    assert counts == {"train": 10, "validation": 2, "test": 4}
    other = table(ts(cases(4)), "Others.ts")
    with pytest.raises(BadInput, match="not all of their names say train"):
        take([train, other])


def test_a_zip_of_ts_files_is_read(pack, take):
    path = pack({"a/M_TRAIN.ts": ts(cases()).encode(), "a/M_TEST.ts": ts(cases(3)).encode(),
                 "a/M.txt": b"about it"}, "Moves.zip")  # fmt: skip
    data, _ = take(path, kind="sequences")
    assert len(data) == 15
    assert len(data.rows("test")) == 3


def test_one_dimension_time_stamps_and_no_labels_are_read(table, take):
    head = "@problemName a\n@univariate true\n@classLabel true 1 2\n@data\n"
    data, _ = take(table(ts([f"{i},{i}:{1 + i % 2}" for i in range(8)], head), "a.ts"))
    assert data.shape == (1,)
    head = "@timestamps true\n@classLabel true a b\n@data\n"
    line = "(1 Jan 00:00,1.5),(2 Jan 00:00,2):(1 Jan 00:00,3),(2 Jan 00:00,4):"
    data, said = take(table(ts([line + "ab"[i % 2] for i in range(8)], head), "b.ts"))
    np.testing.assert_array_equal(data.ragged("values")[3], [[1.5, 3], [2, 4]])
    assert any("time stamps were left out" in warning for warning in said.warnings)
    head = "@univariate true\n@classLabel false\n@data\n"
    data, _ = take(table(ts(["1,2,3"] * 8, head), "c.ts"))
    assert data.labels is None


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("1,2:3,4:5,6:up", "line 13: it has 3 dimensions, and there must be 2"),
        ("1,2:up", "line 13: it has 1 dimension, and there must be 2"),
        ("1,2,3:4,5:up", r"line 13: its dimensions have unequal lengths \(2 to 3 steps\)"),
        ("1,2:3,?:up", "line 13: dimension 2, value 2: “[?]” is missing"),
        ("1,NaN:3,4:up", "line 13: dimension 1, value 2: “NaN” isn't a finite number"),
        ("1,2:3,1e39:up", "line 13: dimension 2, value 2: “1e39” isn't a finite number"),
        ("1,x:3,4:up", "line 13: dimension 1, value 2: “x” isn't a number"),
        ("1,2:3,4", "line 13: it has no label"),
        ("1,2:3,4:", "line 13: it has no label"),
        ("1,2::up", "line 13: dimension 2 is empty"),
        ("1,2:3,4:left", "line 13: its label “left” isn't one of those"),
    ],
)
def test_a_case_that_is_wrong_is_found_and_can_be_left_out(table, take, case, sentence):
    lines = cases()
    lines[3] = case
    path = table(ts(lines), "Moves.ts")
    with pytest.raises(BadInput, match=sentence) as problem:
        take(path)
    assert problem.value.field == "skip_broken"
    data, said = take(path, skip_broken=True)
    assert data.names == tuple(str(i + 1) for i in range(12) if i != 3)
    assert any("line 13" in warning for warning in said.warnings)


@pytest.mark.parametrize(
    "case", ["(0,1),2,(2,3)", "(0,1,5),(1,2)", "(0,1),(2,3", "(0,1)(1,2)", "(0,1),,(1,2)", "1,2"]
)
def test_anything_but_pairs_of_time_and_value_is_refused(table, take, case):
    head = "@timestamps true\n@univariate true\n@classLabel true a b\n@data\n"
    lines = [f"(0,{i}),(1,{i}):{'ab'[i % 2]}" for i in range(8)]
    lines[2] = case + ":a"
    with pytest.raises(BadInput, match=r"line 7: dimension 1: .* is no pair of a time") as problem:
        take(table(ts(lines, head), "a.ts"))
    assert problem.value.field == "skip_broken"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD, "has no case after the line @data"),
        (HEAD.replace("@data\n", ""), "has no line @data"),
        ("@problemName a\n1,2:3:up\n", "line 2: “1,2:3:up” comes before the line @data"),
        (HEAD.replace("@classLabel true up down", "@targetLabel true"), "not a class"),
        (HEAD.replace("@dimensions 2", "@dimensions two"), "line 6: @dimensions must be a whole"),
        ("export const x = 1;\n", "is no .ts file of sequences"),
    ],
)
def test_a_ts_file_that_is_none_is_refused(table, take, text, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(table(text, "Moves.ts"), kind="sequences")
