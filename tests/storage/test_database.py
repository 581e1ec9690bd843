"""Many threads and processes, one database: writers take turns, readers never wait."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from storage import database
from storage.history import History
from storage.schema import REVISION
from storage.values import LostRun, ReadOnly, Unavailable, UnusableDatabase
from tests.storage.makers import PID, add, finish, line, start
from tests.storage.test_migrations import DATABASES

PROCESSES = 3


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Real processes, begun once."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        list(pool.map(time.sleep, [0.05] * PROCESSES))
        yield pool


def together(pool: ProcessPoolExecutor, work, *arguments) -> list:
    """What each process returned, having begun at the same moment."""
    moment = time.time() + 0.1
    return [
        future.result()
        for future in [pool.submit(work, moment, n, *arguments) for n in range(PROCESSES)]
    ]


def wait_until(moment: float) -> None:
    while time.time() < moment:
        pass


# --- claims -------------------------------------------------------------------------------------


def claim_all(moment: float, number: int, address: Path | str, ids: list[int]) -> list[int]:
    with History(address) as history:
        wait_until(moment)
        device, pid = f"cuda:{number}", number + 1
        return [id for id in ids if history.claim(id, device=device, pid=pid, pid_started=1.0)]


def claim_device(moment: float, number: int, address: Path | str, ids: list[int]) -> list[int]:
    with History(address) as history:
        wait_until(moment)
        own = ids[number::PROCESSES]
        return [id for id in own if history.claim(id, device="cpu", pid=number, pid_started=1.0)]


def test_two_claimers_one_winner(
    fresh_history: History, address: Path | str, processes: ProcessPoolExecutor
) -> None:
    """Every process wants the first run; whoever gets it has no device left for the next."""
    ids = [add(fresh_history).id for _ in range(PROCESSES)]
    claimed = together(processes, claim_all, address, ids)
    assert sorted(id for got in claimed for id in got) == ids
    assert [len(got) for got in claimed] == [1] * PROCESSES
    holders = {run.id: run.pid for run in fresh_history.active()}
    assert holders == {id: n + 1 for n, got in enumerate(claimed) for id in got}


def test_two_runs_never_hold_one_device(
    fresh_history: History, address: Path | str, processes: ProcessPoolExecutor
) -> None:
    ids = [add(fresh_history).id for _ in range(5 * PROCESSES)]
    claimed = together(processes, claim_device, address, ids)
    assert sum(len(got) for got in claimed) == 1
    assert len(fresh_history.active()) == 1


# --- opening ------------------------------------------------------------------------------------


def open_and_add(moment: float, number: int, address: Path | str) -> int:
    wait_until(moment)
    with History(address) as history:
        return add(history, f"of process {number}").id


@pytest.mark.parametrize("version", ["nothing", "0001"])
def test_a_database_is_made_or_upgraded_once(
    version: str, tmp_path: Path, processes: ProcessPoolExecutor
) -> None:
    path = tmp_path / "anneal.db"
    if version != "nothing":
        path.write_bytes((DATABASES / f"{version}.db").read_bytes())
    ids = together(processes, open_and_add, path)
    assert len(set(ids)) == PROCESSES
    with History(path) as history:
        assert {run.id for run in history.runs()[0]} >= set(ids)
    copies = [] if version == "nothing" else [f"anneal.db.before-{REVISION}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anneal.db", *copies]


def test_processes_open_one_history_at_once(
    address: Path | str, processes: ProcessPoolExecutor
) -> None:
    assert len(set(together(processes, open_and_add, address))) == PROCESSES


def test_a_database_is_opened_beside_whoever_changes_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself doesn't wait when it begins the log of a file that is being written to."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(History, file)
            time.sleep(0.2)
            assert not waiting.done()
            other.execute("COMMIT")
            waiting.result().close()
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(database, "PATIENCE", 0.05)
        with pytest.raises(UnusableDatabase, match="is locked"):
            History(file)


# --- writers and readers ------------------------------------------------------------------------


def record_many(moment: float, number: int, address: Path | str, ids: list[int]) -> None:
    with History(address) as history:
        wait_until(moment)
        for n in range(40):
            history.record(ids[number], points=line("train/loss", range(n * 10, n * 10 + 10)))
            history.beat(ids[number], pid=PID)


def test_processes_write_at_once_and_nothing_is_lost(
    fresh_history: History, address: Path | str, processes: ProcessPoolExecutor
) -> None:
    ids = [start(fresh_history, device=f"cuda:{n}").id for n in range(PROCESSES)]
    together(processes, record_many, address, ids)
    for id in ids:
        assert list(fresh_history.curves(id)["train/loss"].steps) == list(range(400))


def test_threads_share_a_history(fresh_history: History) -> None:
    runs = [start(fresh_history, device=f"cuda:{n}") for n in range(20)]

    def use(id: int) -> int:
        for n in range(10):
            fresh_history.record(id, points=line("a", range(n, n + 1)))
            fresh_history.runs()
        return len(fresh_history.curves(id)["a"])

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(use, [run.id for run in runs])) == [10] * 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "anneal.db"


@pytest.fixture
def history(file: Path) -> Iterator[History]:
    with History(file) as history:
        yield history


def test_a_writer_waits_instead_of_failing(history: History, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, other.rollback)
        release.start()
        before = time.perf_counter()
        add(history)
        assert time.perf_counter() - before > 0.2
        release.join()


def test_a_reader_never_waits_for_a_writer(history: History, file: Path) -> None:
    run = start(history)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE runs SET name = 'changed'")
        before = time.perf_counter()
        assert history.run(run.id) == run
        assert time.perf_counter() - before < 1
        other.execute("COMMIT")
    assert history.run(run.id).name == "changed"


def test_a_writer_that_waits_in_vain_says_so(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    with History(file) as history, closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match=r"anneal\.db failed: database is locked$") as caught:
            add(history)
        assert isinstance(caught.value, OSError)
        assert history.runs() == ([], 0)
        other.rollback()
        add(history)


def test_a_refusal_leaves_nothing_half_done(history: History) -> None:
    run = start(history)
    with pytest.raises(LostRun):
        history.record(run.id, pid=PID + 1, points=line("a", range(5)))
    add(history)
    assert history.curves(run.id) == {}


def test_a_file_has_the_settings_it_needs(history: History) -> None:
    def settings(names: list[str]) -> dict[str, object]:
        with history._reading() as connection:
            return {n: connection.exec_driver_sql(f"PRAGMA {n}").scalar() for n in names}

    asked = ["journal_mode", "foreign_keys", "synchronous", "busy_timeout", "query_only"]
    expected = ("wal", 1, 1, 30_000, 0)
    assert settings(asked) == dict(zip(asked, expected, strict=True))


# --- the log ------------------------------------------------------------------------------------


def test_the_log_stays_small(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(database, "LOG_LIMIT", 100_000)
    log = file.with_name("anneal.db-wal")
    with History(file) as history:
        run, sizes = start(history), []
        for n in range(200):
            history.record(run.id, points=line("a", range(n * 100, n * 100 + 100)))
            sizes.append(log.stat().st_size)
        assert max(sizes) < 300_000
        assert len(history.curves(run.id)["a"]) == 20_000
    assert not log.exists(), "the last one out carries it over"


def test_a_long_reader_delays_the_log_and_harms_nothing(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(database, "LOG_LIMIT", 50_000)
    log = file.with_name("anneal.db-wal")
    with History(file) as history, History(file) as reader:
        run = start(history)
        with reader._reading() as connection:
            count = "SELECT count(*) FROM curves"
            assert connection.exec_driver_sql(count).scalar() == 0
            for n in range(40):
                history.record(run.id, points=line("a", range(n * 100, n * 100 + 100)))
            assert connection.exec_driver_sql(count).scalar() == 0, "one consistent view"
        assert log.stat().st_size > 100_000
        for n in range(40, 43):
            history.record(run.id, points=line("a", range(n * 100, n * 100 + 100)))
        assert log.stat().st_size < 100_000
        assert len(reader.curves(run.id)["a"]) == 4300


def record_for_ever(address: Path, id: int) -> None:
    with History(address) as history:
        for n in range(1_000_000):
            batch = line("a", range(n * 50, n * 50 + 50)) + line("b", range(n, n + 1))
            history.record(id, points=batch)


def test_a_killed_writer_leaves_whole_batches(history: History, file: Path) -> None:
    run = start(history)
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=record_for_ever, args=(file, run.id))
    writer.start()
    deadline = time.time() + 20
    while len(history.curves(run.id).get("b", ())) < 30:
        assert time.time() < deadline
        time.sleep(0.005)
    writer.kill()
    writer.join()
    writer.close()
    found = history.curves(run.id)
    assert len(found["a"]) == 50 * len(found["b"])
    assert list(found["a"].steps) == list(range(len(found["a"])))
    history.record(run.id, points=line("c", range(1)))
    with history._reading() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


# --- read-only ----------------------------------------------------------------------------------


def test_a_read_only_history_follows_and_changes_nothing(history: History, file: Path) -> None:
    run = finish(history)
    with History(file, readonly=True) as reader:
        assert reader.run(run.id) == run
        for change in (
            lambda: add(reader),
            lambda: reader.rename(run.id, "x"),
            lambda: reader.delete_run(run.id),
        ):
            with pytest.raises(ReadOnly, match="opened read-only"):
                change()
        history.rename(run.id, "new name")
        assert reader.run(run.id).name == "new name"


def test_a_reader_makes_no_database(file: Path) -> None:
    with pytest.raises(UnusableDatabase, match="There is no database"):
        History(file, readonly=True)
    assert not file.exists()


def test_a_path_and_its_url_are_one_database(tmp_path: Path) -> None:
    path = tmp_path / "50% größer" / "anneal.db"
    url = f"sqlite:///{path.as_posix().replace('%', '%25')}"
    with History(path) as history, History(url) as same, History(str(path)) as too:
        run = add(history)
        assert same.run(run.id) == too.run(run.id) == run
    assert [found.name for found in path.parent.iterdir()] == ["anneal.db"]


def test_the_folder_of_a_new_database_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "anneal.db"
    History(path).close()
    assert path.exists()


def test_rows_of_many_kinds_are_left_by_nobody(history: History) -> None:
    """Foreign keys are on: what belongs to a run goes with it, in every table."""
    run = start(history)
    history.record(run.id, points=line("a", range(500)))
    history.tag(run.id, ["x"])
    history.end(run.id, state="failed", reason="x", metrics={"a": 1.0})
    history.delete_run(run.id)
    tables = ("runs", "curves", "points", "tags", "metrics", "samples", "notices")
    with history._reading() as connection:
        counts = Counter({
            name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar()
            for name in tables
        })  # fmt: skip
    assert counts.total() == 0


def test_a_closed_history_leaves_one_file(file: Path) -> None:
    with History(file) as history:
        finish(history)
    assert os.listdir(file.parent) == ["anneal.db"]  # noqa: PTH208
