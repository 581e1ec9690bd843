"""Imports as processes of their own: tried again, recognised, ended, killed, two at once."""

from __future__ import annotations

import os
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from waiting import until

from engine.catalog import BadInput
from engine.data.options import ImportOptions
from engine.home import Home
from engine.intake import Intake, Order, revise, take_in
from engine.jobs import bury
from storage.history import History
from storage.values import DatasetRow, NoSuchDataset

APP = Path(__file__).parents[2] / "app.py"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


@pytest.fixture
def intake(home: Home, history: History) -> Iterator[Intake]:
    command = [sys.executable, "-u", str(APP), "bring-in", "--home", str(home.root)]
    made = Intake(history, home, command)
    yield made
    for process in made.processes:
        process.wait(60)


@pytest.fixture
def uploaded(home: Home) -> Callable[..., Path]:
    """``uploaded(text, name)``: a file where the page puts what it receives."""

    def uploaded(text: str | bytes, name: str = "reviews.csv") -> Path:
        folder = home.tmp / "uploads" / "0123456789abcdef0123456789abcdef"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder / name

    return uploaded


def table(*, blank: bool = False) -> str:
    rows = [f"a sentence that is number {i},{'good' if i % 2 else 'bad'}" for i in range(30)]
    if blank:
        rows[7] = "a sentence without an opinion,"
    return "\n".join(["text,label", *rows]) + "\n"


def take(history: History, home: Home, path: Path, **options: object) -> DatasetRow:
    """Carry an import out here."""
    row = history.add_dataset(name=path.stem, kind="", source=path.name)
    take_in(history, home, row.id, Order((path,), options=ImportOptions.of(options)))
    return history.dataset(row.id)


def test_a_process_brings_a_file_in_and_the_upload_is_gone(intake, history, home, uploaded):
    path = uploaded(table())
    number = intake.start([path], name="Reviews")
    until(lambda: history.dataset(number).state != "importing")
    row = history.dataset(number)
    assert (row.state, row.card, row.kind) == ("ready", "ImportedText", "")
    assert row.meta["version"] == 1
    assert row.meta["classes"] == ["bad", "good"]
    assert not path.parent.exists()


def test_what_failed_for_a_reason_with_a_mend_can_be_tried_again(intake, history, home, uploaded):
    path = uploaded(table(blank=True))
    row = take(history, home, path)
    assert row.state == "failed"
    assert "row 9" in row.reason
    assert row.meta["retry"]["field"] == "skip_broken"
    assert path.exists()
    number = intake.retry(row.id, {"skip_broken": True})
    until(lambda: history.dataset(number).state != "importing")
    again = history.dataset(number)
    assert again.state == "ready", again.reason
    assert sum(map(sum, again.meta["counts"].values())) == 29
    assert "row 9" in again.meta["warnings"][0]
    assert not path.exists()
    with pytest.raises(NoSuchDataset):
        history.dataset(row.id)


def test_what_has_no_mend_leaves_nothing(history, home, uploaded, intake):
    path = uploaded(b"%PDF-1.7 and so on")
    row = take(history, home, path)
    assert row.state == "failed"
    assert "PDF" in row.reason
    assert not path.exists()
    assert not list(home.datasets.iterdir())
    with pytest.raises(BadInput, match="can't be tried again"):
        intake.retry(row.id, {})


def test_dismissing_a_failed_import_removes_its_upload(history, home, uploaded, intake):
    path = uploaded(table(blank=True))
    row = take(history, home, path)
    intake.remove(row.id)
    assert not path.exists()
    with pytest.raises(NoSuchDataset):
        history.dataset(row.id)


def test_the_same_content_twice_is_recognised(history, home, uploaded):
    first = take(history, home, uploaded(table(), "first.csv"))
    again = take(history, home, uploaded(table(), "second.csv"))
    assert (first.state, again.state) == ("ready", "failed")
    assert f"dataset {first.id} already, “first”" in again.reason
    assert [folder.name for folder in home.datasets.iterdir()] == [str(first.id)]
    other = take(history, home, uploaded(table(), "third.csv"), seed=5)
    assert other.state == "ready"  # another split is another dataset


def test_a_file_that_isnt_an_upload_stays(history, home, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(table())
    assert take(history, home, path).state == "ready"
    assert path.exists()


def large(path: Path) -> Path:
    """A zip that takes seconds to read and little room: many large pictures of a few squares."""
    import io

    import numpy as np
    from PIL import Image

    squares = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(squares.repeat(128, 0).repeat(128, 1)).save(out, "PNG")
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a", "b"):
            for i in range(1500):
                archive.writestr(f"{name}/{i}.png", out.getvalue())
    return path


@pytest.fixture(scope="module")
def slow_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large(tmp_path_factory.mktemp("slow") / "noise.zip")


def under_way(history: History, number: int) -> bool:
    row = history.dataset(number)
    assert row.state == "importing", row.reason
    return row.pid is not None and row.done > 0


def kill(history: History, home: Home, number: int) -> None:
    """Kill the process of an import, and wait until that is noticed."""
    os.kill(history.dataset(number).pid, signal.SIGKILL)

    def buried() -> bool:
        bury(history, home)
        return history.dataset(number).state == "failed"

    until(buried, within=20)


def left(home: Home) -> list[str]:
    return sorted(folder.name for folder in home.datasets.iterdir())


def test_removing_an_import_under_way_ends_its_processes(intake, history, home, slow_zip):
    number = intake.start([slow_zip], name="noise")
    until(lambda: under_way(history, number))
    process = psutil.Process(history.dataset(number).pid)
    family = [process, *process.children(recursive=True)]
    intake.remove(number)
    until(lambda: not any(p.is_running() and p.status() != "zombie" for p in family), within=20)
    assert left(home) == []
    assert slow_zip.exists()


def test_an_import_that_is_killed_is_told_and_leaves_nothing(intake, history, home, slow_zip):
    number = intake.start([slow_zip], name="noise")
    until(lambda: under_way(history, number))
    assert left(home) == [f"{number}.partial"]
    kill(history, home, number)
    assert "ended from outside" in history.dataset(number).reason
    assert left(home) == []


def test_two_imports_at_once_both_come_in(intake, history, home, tmp_path):
    paths = []
    for name in ("one", "two"):
        paths.append(tmp_path / f"{name}.csv")
        paths[-1].write_text(table().replace("sentence", name))
    numbers = [intake.start([path], name=path.stem) for path in paths]
    until(lambda: all(history.dataset(n).state != "importing" for n in numbers))
    assert [history.dataset(n).state for n in numbers] == ["ready", "ready"]
    assert left(home) == sorted(map(str, numbers))


def test_a_full_disk_is_said_and_leaves_nothing(history, home, tmp_path, monkeypatch):
    path = tmp_path / "mine.csv"
    path.write_text(table())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.data.imports.write_items", full)
    row = take(history, home, path)
    assert row.state == "failed"
    assert "disk is full" in row.reason
    assert left(home) == []


def test_a_change_makes_a_version_and_the_one_before_stays(history, home, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(table())
    row = take(history, home, path)
    made = revise(home, row.id, 1, {"do": "merge", "classes": ["bad"], "into": "poor"})
    assert made["version"] == 2
    assert made["meta"]["classes"] == ["good", "poor"]
    assert [v["number"] for v in made["meta"]["versions"]] == [1, 2]
    history.dataset_changed(row.id, meta=made["meta"])
    assert history.dataset(row.id).meta["version"] == 2
    with pytest.raises(BadInput, match="no class"):
        revise(home, row.id, 2, {"do": "merge", "classes": ["bad"], "into": "x"})
    with pytest.raises(BadInput, match="no change of a dataset"):
        revise(home, row.id, 2, {"do": "explode"})


def test_a_killed_import_can_be_tried_again_and_dismissed_without_a_trace(
    intake, history, home, slow_zip, uploaded
):
    path = uploaded(slow_zip.read_bytes(), "noise.zip")
    number = intake.start([path], name="noise")
    until(lambda: under_way(history, number))
    kill(history, home, number)
    assert "try it again" in history.dataset(number).reason
    assert path.exists()
    again = intake.retry(number, {})
    until(lambda: under_way(history, again))
    intake.remove(again)  # cancelled
    assert not path.parent.exists()
    assert left(home) == []


def test_an_order_may_be_longer_than_a_command_line(intake, history, home, uploaded):
    paths = [uploaded(f"a text of class {i % 2}, number {i}\n" * 3, f"{'长' * 60}-{i}.txt")
             for i in range(900)]  # fmt: skip
    number = intake.start(paths, name="many")
    until(lambda: history.dataset(number).state != "importing")
    assert "Argument list" not in history.dataset(number).reason
    until(lambda: not paths[0].parent.exists(), within=20)


def test_what_cant_be_started_leaves_no_row(history, home, uploaded):
    broken = Intake(history, home, ["/nowhere/python"])
    with pytest.raises(OSError, match="nowhere"):
        broken.start([uploaded(table())], name="x")
    assert history.datasets() == []
