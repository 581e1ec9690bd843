"""Windows of series, and the task that learns from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import session
from engine.catalog import BadInput, Catalog
from engine.data.arrays import Ragged, Stored
from engine.data.batches import Data, Feed
from engine.data.horizons import Windows, windows
from engine.data.imports import bring_in
from engine.data.items import Sequences
from engine.data.options import ImportOptions
from engine.data.splits import SPLITS, Rows, Rule, Split
from engine.data.versions import Divide, change
from engine.datasets.imported import ImportedSequences
from engine.events import Event, Finished, Sample
from engine.home import Home
from engine.models.tcn import TCN
from engine.predict import Predictor
from engine.recipe import compose
from engine.tasks.forecasting import Forecasting

CPU = torch.device("cpu")


def series(lengths: list[int], splits: dict[Split, list[int]], of: list[int] | None = None) -> Data:
    """Sequences of one feature whose values are their place among all steps."""
    offsets = np.cumsum([0, *lengths])
    values = np.arange(offsets[-1], dtype=np.float32)[:, None]
    rows: dict[Split, Rows] = {split: np.array(splits[split], np.int64) for split in SPLITS}
    return Data(
        items=Sequences(Ragged(values, offsets), None if of is None else np.array(of)),
        labels=None, classes=(), splits=rows, fingerprint="",
    )  # fmt: skip


def cut(data: Data, split: Split) -> list[tuple[list[float], list[float]]]:
    """The windows of a split: what is read, and what comes next."""
    items = data.items
    assert isinstance(items, Windows)
    found = []
    for row in data.splits[split]:
        one = np.array([row])
        read = items.past(one)[0, : items.read[row], 0]
        found.append((read.tolist(), items.future(one)[0, :, 0].tolist()))
    return found


THIRDS: dict[Split, list[int]] = {"train": [0], "validation": [1], "test": [2]}


def test_windows_are_cut_at_every_place_where_both_parts_fit() -> None:
    data = windows(series([7, 6, 6], THIRDS), context=3, horizon=2)
    assert cut(data, "train") == [
        ([0, 1, 2], [3, 4]), ([1, 2, 3], [4, 5]), ([2, 3, 4], [5, 6]),
    ]  # fmt: skip
    assert cut(data, "validation") == [([7, 8, 9], [10, 11]), ([8, 9, 10], [11, 12])]
    rarer = windows(series([7, 6, 6], THIRDS), context=3, horizon=2, every=2)
    assert cut(rarer, "train") == [([0, 1, 2], [3, 4]), ([2, 3, 4], [5, 6])]


def test_the_pieces_of_a_series_are_joined_and_what_is_told_stays_in_its_split() -> None:
    splits: dict[Split, list[int]] = {"train": [0, 1, 2], "validation": [3], "test": [4]}
    data = windows(series([3] * 5, splits, [0] * 5), context=4, horizon=2)
    assert cut(data, "train") == [
        ([0, 1, 2, 3], [4, 5]), ([1, 2, 3, 4], [5, 6]), ([2, 3, 4, 5], [6, 7]),
        ([3, 4, 5, 6], [7, 8]),
    ]  # fmt: skip
    assert cut(data, "validation") == [([5, 6, 7, 8], [9, 10]), ([6, 7, 8, 9], [10, 11])]
    assert cut(data, "test") == [([8, 9, 10, 11], [12, 13]), ([9, 10, 11, 12], [13, 14])]


def test_training_touches_no_step_of_the_other_splits_however_they_lie() -> None:
    splits: dict[Split, list[int]] = {"train": [0, 2, 3, 6], "validation": [1, 5], "test": [4]}
    data = windows(series([5] * 7, splits, [0] * 7), context=3, horizon=2)
    held = {float(step) for piece in (1, 4, 5) for step in range(5 * piece, 5 * piece + 5)}
    for read, told in cut(data, "train"):
        assert not held & {*read, *told}
        assert [*read, *told] == list(range(int(read[0]), int(read[0]) + 5))
    for split in SPLITS:
        own = {float(s) for piece in splits[split] for s in range(5 * piece, 5 * piece + 5)}
        assert all(set(told) <= own for _, told in cut(data, split))


def test_no_window_reaches_over_the_end_of_a_series_or_over_what_was_left_out() -> None:
    splits: dict[Split, list[int]] = {"train": [0, 1, 5], "validation": [3, 6], "test": [4, 7]}
    data = windows(series([4] * 8, splits, [0] * 5 + [1] * 3), context=3, horizon=2)
    for split in SPLITS:
        for read, told in cut(data, split):
            touched = {*read, *told}
            assert not touched & {8, 9, 10, 11}  # piece 2 is in no split
            assert max(touched) < 20 or min(touched) >= 20
    assert ([12, 13, 14], [15, 16]) not in cut(data, "test")
    assert cut(data, "validation")[0] == ([12, 13], [14, 15])


def test_a_short_sequence_gives_one_window_with_all_it_has() -> None:
    data = windows(series([5, 3, 4], THIRDS), context=10, horizon=2)
    assert cut(data, "train") == [([0, 1, 2], [3, 4])]
    assert cut(data, "validation") == [([5], [6, 7])]
    feed = Feed(data, "train", batch_size=4, device=CPU)
    (batch,) = feed.batches()
    assert batch.inputs["lengths"].tolist() == [3]
    assert batch.wanted["future"].shape == (1, 2, 1)


def test_a_split_without_room_for_a_window_is_told_with_the_mend() -> None:
    with pytest.raises(
        BadInput, match=r"validation split .* 3 steps.*Lower the horizon"
    ) as problem:
        windows(series([9, 3, 9], THIRDS), context=2, horizon=3)
    assert problem.value.field == "task.horizon"


def test_the_scale_is_that_of_the_steps_that_training_touches_each_once() -> None:
    data = windows(series([9, 100, 100], THIRDS), context=3, horizon=2)
    mean, std = data.fed.statistics(data.splits["train"])
    np.testing.assert_allclose((mean, std), ([4], [np.arange(9).std()]), rtol=1e-6)


# --- the task -------------------------------------------------------------------------------


def waves(steps: int = 600, features: int = 2) -> Data:
    time = np.arange(steps)
    values = np.stack([np.sin(time / (3 + k)) * 10**k for k in range(features)], 1)
    splits: dict[Split, Rows] = {
        "train": np.arange(14), "validation": np.arange(14, 17), "test": np.arange(17, 20),
    }  # fmt: skip
    offsets = np.linspace(0, steps, 21).astype(np.int64)
    items = Sequences(Ragged(values.astype(np.float32), offsets), np.zeros(20, np.int64))
    return Data(items=items, labels=None, classes=(), splits=splits, fingerprint="waves")


class Still(torch.nn.Module):
    """Says that nothing changes."""

    def __init__(self, outputs: int, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.outputs = outputs
        self.standardize = torch.nn.Module()
        self.standardize.mean, self.standardize.std = torch.tensor(mean), torch.tensor(std)

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(values), self.outputs)


def test_a_model_that_tells_no_change_scores_as_the_last_value() -> None:
    task = Forecasting(context=20, horizon=5)
    data = task.view(waves())
    assert task.outputs(data) == 10
    model = Still(10, *data.fed.statistics(data.splits["train"]))
    meter = task.meter(model, data, final=True)
    for batch in Feed(data, "test", batch_size=7, device=CPU).batches():
        meter.update(task.step(model, batch), batch)
    scores, baselines = meter.compute(), task.baselines(data)
    assert scores["mae"] == pytest.approx(baselines["the last value"]["mae"], rel=1e-4)
    assert scores["rmse"] == pytest.approx(baselines["the last value"]["rmse"], rel=1e-4)
    steps = [row["mae"] for row in scores["by_step"]]
    assert np.mean(steps) == pytest.approx(scores["mae"], rel=1e-5)
    assert steps[0] < steps[-1]
    columns = {row["feature"]: row["mae"] for row in scores["by_feature"]}
    assert list(columns) == ["feature 1", "feature 2"]
    assert np.mean(list(columns.values())) == pytest.approx(scores["mae"], rel=1e-5)
    # A sine is a linear recurrence.
    assert baselines["linear regression"]["mae"] < 0.01 * scores["mae"]


@pytest.mark.parametrize("relative", [True, False])
def test_a_forecast_moves_with_the_level_where_it_is_relative(relative: bool) -> None:
    torch.manual_seed(0)
    task = Forecasting(context=12, horizon=3, relative=relative)
    data = task.view(waves())
    model = TCN(data.shape, task.outputs(data), channels=[4, 4]).eval()
    model.fit_inputs(*data.fed.statistics(data.splits["train"]))
    batch = Feed(data, "test", batch_size=4, device=CPU).some(4)
    before = task.show(model, batch, data)
    batch.inputs["values"] += 3
    after = task.show(model, batch, data)
    moved = np.array([r["forecast"] for r in after]) - [r["forecast"] for r in before]
    assert np.allclose(moved, 3, atol=1e-3) == relative


def test_new_input_is_read_from_its_end_and_longer_input_changes_nothing() -> None:
    task = Forecasting(context=6, horizon=3)
    data = task.view(waves(features=1))
    model = TCN(data.shape, 3, channels=[4, 4]).eval()
    values = torch.randn(1, 6, 1)
    longer = torch.cat([torch.randn(1, 9, 1), values], 1)
    from engine.data.batches import Batch

    told = [
        task.show(model, Batch({"values": v, "lengths": torch.tensor([v.shape[1]])}), data)[0]
        for v in (values, longer)
    ]
    assert told[0] == told[1]
    assert len(told[0]["forecast"]) == 3
    assert told[0]["context"] == values[0].tolist()


# --- from a file to a forecast --------------------------------------------------------------


def taken(path: Path, into: Path, **options: Any) -> Stored:
    *_, _last = bring_in(path, into, options=ImportOptions(**options))
    return Stored(into)


def daily(count: int = 200, *, columns: int = 1, header: bool = True, dates: bool = True) -> str:
    head = ["date", *(f"x{k}" for k in range(columns))][not dates :]
    lines = [
        [f"2021-{1 + day // 28 % 12:02}-{1 + day % 28:02} {day // 336:02}:00:00",
         *(f"{math.sin(day / 2 + k) + 5:.4f}" for k in range(columns))][not dates :]
        for day in range(count)
    ]  # fmt: skip
    return "\n".join(map(",".join, [head] * header + lines)) + "\n"


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("dates", [True, False])
def test_a_table_of_figures_is_one_series_cut_along_time(
    tmp_path: Path, columns: int, header: bool, dates: bool
) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(daily(columns=columns, header=header, dates=dates), "utf-8")
    stored = taken(path, tmp_path / "data")
    assert stored.manifest.running
    assert (stored.shape, stored.provides) == ((columns,), ("sequence",))
    values = stored.ragged("values")
    expected = [math.sin(day / 2) + 5 for day in range(200)]
    np.testing.assert_allclose(values.flat[:, 0], expected, atol=1e-4)
    order = np.concatenate([stored.rows(split) for split in SPLITS])
    assert order.tolist() == list(range(len(stored)))


def test_a_series_is_split_along_time_again_and_never_at_random(tmp_path: Path) -> None:
    path, folder = tmp_path / "sales.csv", tmp_path / "data"
    path.write_text(daily(), "utf-8")
    assert taken(path, folder, split="random").version.rule.how == "ordered"
    divided = Divide(rule=Rule(validation=0.2, test=0.3))
    stored = Stored(folder, change(folder, divided, parent=1).number)
    sizes = [len(stored.rows(split)) for split in SPLITS]
    order = np.concatenate([stored.rows(split) for split in SPLITS])
    assert order.tolist() == list(range(len(stored)))
    assert sizes == [round(len(stored) * share) for share in (0.5, 0.2, 0.3)]
    assert stored.version.rule.how == "ordered"


@pytest.mark.parametrize(
    ("head", "step", "features"),
    [
        ("Month,Passengers", lambda n: f"{1949 + n // 12}-{n % 12 + 1:02}", ("Passengers",)),
        ("Year,Sunspots", lambda n: str(1700 + n), ("Sunspots",)),
        ("date,target", lambda n: f"2024-01-01 {n // 60:02}:{n % 60:02}:00", ("target",)),
        ("counted", None, ("counted",)),
    ],
)  # fmt: skip
def test_what_puts_the_rows_in_order_is_no_feature(
    tmp_path: Path, head: str, step: Callable[[int], str] | None, features: tuple[str, ...]
) -> None:
    path = tmp_path / "series.csv"
    lines = [(f"{step(n)}," if step else "") + str(7 * n) for n in range(60)]
    path.write_text("\n".join([head, *lines]), "utf-8")
    assert taken(path, tmp_path / "data").manifest.features == features


def test_rows_are_put_in_the_order_of_their_dates(tmp_path: Path) -> None:
    head, *lines = daily().splitlines()
    newest_first, oldest_first = tmp_path / "down.csv", tmp_path / "up.csv"
    newest_first.write_text("\n".join([head, *reversed(lines)]), "utf-8")
    oldest_first.write_text("\n".join([head, *lines]), "utf-8")
    one, other = (
        taken(path, tmp_path / path.stem).ragged("values").flat
        for path in (newest_first, oldest_first)
    )
    np.testing.assert_array_equal(one, other)


def test_a_hole_in_a_series_is_named_and_closed_on_wish(tmp_path: Path) -> None:
    lines = daily().splitlines()
    lines[51] = lines[51].partition(",")[0] + ","
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(BadInput, match=r"row 52, column “x0”: it is empty.*leaves such rows out"):
        taken(path, tmp_path / "data")
    stored = taken(path, tmp_path / "data", skip_broken=True)
    assert len(stored.ragged("values").flat) == 199
    assert any("closes over" in warning for warning in stored.manifest.warnings)


def test_a_few_series_without_labels_are_each_cut_along_time(tmp_path: Path, home: Home) -> None:
    path = tmp_path / "shops.csv"
    lines = [f"{shop},{day},{day * shop}" for shop in (1, 2) for day in range(100)]
    path.write_text("\n".join(["series,step,sold", *lines]), "utf-8")
    stored = taken(path, home.dataset(1))
    assert set(stored.group("series")) == {"1", "2"}
    data = windows(ImportedSequences(id=1).open(home), context=5, horizon=3)
    for split in SPLITS:
        for read, told in cut(data, split):
            steps = {round(b - a) for a, b in zip(read, [*read[1:], told[0]], strict=True)}
            assert steps in ({1}, {2})  # of one shop, without a gap


def test_a_scrap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(daily(12), "utf-8")
    with pytest.raises(BadInput, match="one series of 12 steps: give at least 30"):
        taken(path, tmp_path / "data")


def test_rows_of_figures_with_a_class_each_are_no_series(tmp_path: Path) -> None:
    path = tmp_path / "flowers.csv"
    rows = [f"{i % 7}.5,{i % 5}.25,{'red' if i % 2 else 'blue'}" for i in range(60)]
    path.write_text("\n".join(["width,height,kind", *rows]), "utf-8")
    with pytest.raises(BadInput):
        *_, _last = bring_in(path, tmp_path / "data", kind="sequences")


@pytest.fixture
def sales(tmp_path: Path, home: Home) -> Path:
    path = tmp_path / "sales.csv"
    path.write_text(daily(240), "utf-8")
    taken(path, home.dataset(1))
    return path


def test_an_uploaded_series_is_learned_shown_and_forecast(
    catalog: Catalog, home: Home, sales: Path, events: Callable[..., list[Event]]
) -> None:
    recipe = compose(
        catalog,
        names={"task": "Forecasting", "data": "ImportedSequences", "model": "TCN"},
        settings={
            "data.id": 1, "task.context": 16, "task.horizon": 4, "model.channels": [16, 16, 16],
            "method.epochs": 15, "method.threads": 1, "method.precision": "fp32",
            "method.learning_rate": 0.01,
        },
    )  # fmt: skip
    *seen, last = events(recipe)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    assert last.metrics["test/mae"] < 0.5 * last.metrics["baselines"]["the last value"]["mae"]
    assert [row["step"] for row in last.metrics["by_step"]] == [1, 2, 3, 4]
    drawn = [event for event in seen if isinstance(event, Sample)][-1]
    assert drawn.kind == "lines"
    for plot in drawn.data["plots"]:
        assert {line["label"] for line in plot["lines"]} == {"read", "truth", "forecast"}
        assert all(len(line["x"]) == len(line["y"]) for line in plot["lines"])
    # What was brought in can be pasted as it is, dates and all.
    predictor = Predictor(home, 1)
    results = predictor.answer([{"path": sales}, {"text": "\n".join(["5.1"] * 20)}])["results"]
    assert [len(result["forecast"]) for result in results] == [4, 4]
    assert [result["features"] for result in results] == [["x0"], ["x0"]]
    last_read = math.sin(239 / 2) + 5
    assert results[0]["context"][-1] == [pytest.approx(last_read, abs=1e-3)]
    expected = [math.sin(day / 2) + 5 for day in range(240, 244)]
    assert np.abs(np.ravel(results[0]["forecast"]) - expected).mean() < 0.3


def test_a_series_without_labels_is_refused_where_labels_are_needed(
    catalog: Catalog, home: Home, sales: Path
) -> None:
    recipe = compose(
        catalog, names={"task": "Classification", "data": "ImportedSequences", "model": "GRU"},
        settings={"data.id": 1},
    )  # fmt: skip
    with pytest.raises(BadInput, match="needs labels, and this dataset has none"):
        session.make(recipe, home)
