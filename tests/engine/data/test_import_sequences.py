"""Tables and arrays become sequences, and what is wrong in them is found to the cell."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.catalog import BadInput
from engine.data import sequences


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
        values = data.inputs[data.offsets[item] : data.offsets[item + 1]]
        expected = [[i + step / 10, -step] for step in range(2 + i % 3)]
        np.testing.assert_array_equal(values, np.float32(expected))
        assert data.labels[item] == i % 2


def test_a_part_counts_its_offsets_from_its_own_first_step(table, take):
    data, _ = take(table(csv(rows())))
    items = 0
    for split in ("train", "validation", "test"):
        part = data.part(split)
        assert part.offsets[0] == 0
        assert part.offsets[-1] == len(part.inputs)
        assert len(part.offsets) == len(part.labels) + 1
        for i in range(len(part.labels)):
            at = data.offsets[items]
            np.testing.assert_array_equal(part.inputs[part.offsets[i]], data.inputs[at])
            items += 1
    assert items == 12


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
        a = first.inputs[first.offsets[item] : first.offsets[item + 1]]
        b = second.inputs[second.offsets[other] : second.offsets[other + 1]]
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
    item = data.names.index("s2")
    np.testing.assert_allclose(data.inputs[data.offsets[item] : data.offsets[item + 1], 0],
                               [2, 2.1, 2.2, 2.3])  # fmt: skip


def test_mean_deviation_and_lengths_are_measured(table, take):
    data, _ = take(table(csv(rows())))
    train = data.part("train").inputs.astype(np.float64)
    np.testing.assert_allclose(data.mean, train.mean(axis=0))
    np.testing.assert_allclose(data.std, train.std(axis=0))
    lengths = data.manifest.lengths
    assert (lengths.shortest, lengths.median, lengths.mean, lengths.longest) == (2, 3, 3, 4)


def test_a_feature_that_never_changes_is_worth_a_word(table, take):
    cells = [[s, step, x, "0.1", c] for s, step, x, _, c in rows()]
    data, said = take(table(csv(cells)))
    assert said.warnings == ("Always the same in training, so nothing can be learnt from it: “y”",)
    assert data.std[1] == 1


def test_pieces_of_a_large_table_join(table, take, monkeypatch):
    whole, _ = take(table(csv(rows(60))))
    monkeypatch.setattr(sequences, "CHUNK", 7)
    pieces, _ = take(table(csv(rows(60))))
    np.testing.assert_array_equal(whole.inputs, pieces.inputs)
    np.testing.assert_allclose(whole.std, pieces.std)


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
        (csv(rows(classes=1)), "only one class, “class 0”"),
        (csv(rows(12, classes=5)), "5 different labels for 12 sequences"),
        (csv([*rows(13)[:-2], ["t", "0", "1", "1", "rare"]]), "“rare” has 1 sequence,"),
        (csv([]), "a header and no rows"),
        ("\n", "must name the columns"),
        (csv(rows(), "1,2,3,4,5"), "sequence, step, label is missing; there is “1”, “2”"),
        (csv(rows(), "sequence,step,x,y,class"), "label is missing"),
        (csv(rows(), "sequence,step,x,X,label"), "two columns are named “X”"),
        (csv(rows(), "sequence,step,x,,label"), "column 4 has no name"),
        (csv([[r[0], r[1], r[4]] for r in rows()], "sequence,step,label"), "has no feature"),
        (changed(4, 4, '"open'), "row 4: .*quotation mark"),
        (csv(rows()).encode("utf-16"), "UTF-16: save it as"),
        (csv(rows()).replace("class", "clé").encode("latin-1"), "isn't encoded as UTF-8"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_table_is_found(table, take, text, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(table(text))


def test_a_quote_left_open_over_a_long_table_is_found(table, take):
    with pytest.raises(BadInput, match="quotation mark that isn't closed"):
        take(table(changed(2, 4, '"open') + csv(rows(20_000))))


def test_a_wrong_cell_far_down_is_found(table, take):
    cells = rows(30_000)
    cells[50_000][3] = "oops"
    with pytest.raises(BadInput, match="row 50002, column “y”: “oops”"):
        take(table(csv(cells)))


# --- NPZ ------------------------------------------------------------------------------------

X = np.arange(12 * 5 * 3, dtype=np.float32).reshape(12, 5, 3)
Y = np.arange(12) % 2


def sequence(data, name: str) -> np.ndarray:
    item = data.names.index(name)
    return data.inputs[data.offsets[item] : data.offsets[item + 1]]


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
    np.testing.assert_array_equal(first.inputs, second.inputs)
    np.testing.assert_array_equal(first.offsets, second.offsets)
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
        ({"x": X, "y": Y * 0}, "only one class"),
        ({"x": X, "y": np.arange(12)}, "12 different labels for 12 sequences"),
        ({"x": X, "lengths": [9] * 12, "y": Y}, "lengths goes up to 9, and x has 5"),
        ({"x": X[0], "lengths": [2, 2], "y": [0, 1]}, "lengths adds up to 4, and x has 5"),
        ({"x": X[0], "lengths": [5, 0], "y": [0, 1]}, "lengths must be whole numbers above 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_arrays_is_found(arrays, take, content, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(arrays(**content))


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
        with pytest.raises(BadInput, match=r"shorter than it says|more on the disk"):
            take(tmp_path / "x.npz")


def test_a_damaged_npz_is_refused(arrays, take):
    path = arrays(x=X, y=Y)
    raw = bytearray(path.read_bytes())
    raw[600] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(BadInput, match="damaged"):
        take(path)
