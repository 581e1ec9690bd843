"""A database of an earlier version is brought up to date, and nothing is lost on the way."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, MetaData, create_engine

from storage import migrations
from storage.history import History
from storage.schema import REVISION, Base
from storage.values import NewerDatabase, UnusableDatabase
from tests.storage.makers import line, start

DATABASES = Path(__file__).parent / "databases"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of a database that the first version wrote."""
    return Path(shutil.copy(DATABASES / "0001.db", tmp_path / "anneal.db"))


@pytest.fixture
def upgraded(old: Path) -> Iterator[History]:
    with History(old) as history:
        yield history


def query(path: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


# --- the tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize("start_from", ["nothing", *sorted(DATABASES.glob("*.db"))])
def test_migrations_end_in_the_schema(start_from: Path | str, tmp_path: Path) -> None:
    path = tmp_path / "anneal.db"
    if isinstance(start_from, Path):
        shutil.copy(start_from, path)
    History(path).close()
    assert differences(URL.create("sqlite", database=str(path))) == []
    # What a comparison doesn't see: numbers that are never given again, rules of deletion.
    made = dict(query(path, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    assert {name for name, sql in made.items() if "AUTOINCREMENT" in sql} == {
        "runs", "datasets", "comparisons",
    }  # fmt: skip
    rules = "SELECT DISTINCT m.name, f.'from', f.'table', on_delete FROM sqlite_master m, " \
            "pragma_foreign_key_list(m.name) f"  # fmt: skip
    assert set(query(path, rules)) == {
        (table.name, key.parent.name, key.column.table.name, key.ondelete)
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
    }


def test_migrations_end_in_the_schema_on_every_kind_of_database(
    fresh_history: History, address: Path | str
) -> None:
    url = address if isinstance(address, str) else URL.create("sqlite", database=str(address))
    assert differences(url) == []


def differences(url: str | URL) -> list[object]:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, Base.metadata)
    engine.dispose()
    return found


def test_the_revision_of_the_schema_is_that_of_the_last_migration() -> None:
    from alembic.script import ScriptDirectory

    [head] = ScriptDirectory(str(Path(migrations.__file__).parent)).get_heads()
    assert head == REVISION
    assert REVISION in migrations.revisions()


def test_a_database_of_each_earlier_version_is_kept_for_these_tests() -> None:
    assert {path.stem for path in DATABASES.glob("*.db")} == migrations.revisions() - {REVISION}


# --- an upgrade ---------------------------------------------------------------------------------


def test_an_upgrade_keeps_runs(upgraded: History) -> None:
    first, second, waits = (upgraded.run(id) for id in (1, 2, 5))
    assert (first.name, first.recipe, first.state) == ("Größe 32", '{"seed": 3}', "finished")
    assert (first.created, first.started, first.finished) == (100.5, 101.0, 230.25)
    assert first.metrics == {"test/accuracy": 0.97}
    assert (second.state, second.reason) == ("failed", "The loss became NaN")
    assert upgraded.queue() == [waits]
    assert upgraded.runs(search="GRÖSSE")[0] == [first]
    assert upgraded.runs(sort="metrics.test/accuracy")[0][0] == first


def test_an_upgrade_keeps_every_point(upgraded: History) -> None:
    curves = upgraded.curves(1)
    assert curves.keys() == {"train/loss", "validation/loss"}
    assert list(curves["train/loss"].steps) == list(range(300))
    assert list(curves["train/loss"].epochs) == [n / 100 for n in range(300)]
    assert list(curves["train/loss"].seconds) == [n / 8 for n in range(300)]
    assert list(curves["train/loss"].values) == [1 / (n + 1) for n in range(300)]
    assert upgraded.last_points(1) == {"train/loss": 1 / 300, "validation/loss": 2.0}
    assert upgraded.sparks([1], prefer=["train/loss"])[1][0::37] == [1.0, 1 / 297]
    assert math.isnan(upgraded.curves(2)["train/loss"].values[1])


def test_what_was_upgraded_goes_on_as_if_new(upgraded: History) -> None:
    upgraded.dequeue(5)
    assert upgraded.requeue(2).id == 2
    assert upgraded.claim(2, device="cpu", pid=1, pid_started=1.0)
    upgraded.record(2, points=line("train/loss", range(2, 200)))
    assert len(upgraded.curves(2)["train/loss"]) == 200
    upgraded.delete_run(1)
    assert start(upgraded, device="cuda:0").id > 5


def test_an_upgrade_from_the_second_version_keeps_runs_and_takes_comparisons(
    tmp_path: Path,
) -> None:
    with History(Path(shutil.copy(DATABASES / "0002.db", tmp_path / "anneal.db"))) as history:
        first, child, waits = (history.run(id) for id in (1, 3, 4))
        assert (first.tags, first.notes, first.metrics) == (
            ("good",), "a note", {"test/accuracy": 0.97},
        )  # fmt: skip
        assert (child.parent, child.state, child.comparison) == (1, "paused", None)
        assert history.queue() == [waits]
        made = history.add_comparison("{}", name="proof")
        assert start(history, comparison=made.id).id > 4
        assert history.runs(comparison=False)[1] == 3


def test_an_upgrade_from_the_third_version_keeps_comparisons_and_their_runs(
    tmp_path: Path,
) -> None:
    with History(Path(shutil.copy(DATABASES / "0003.db", tmp_path / "anneal.db"))) as history:
        [one] = history.comparisons()
        assert (one.id, one.name, one.created, one.open) == (2, "proof", 90.5, False)
        assert [run.name for run in history.runs_of(2)] == ["first"]
        assert history.add_comparison("{}", name="search", open=True).id > 2


def test_an_upgrade_leaves_a_copy_of_what_was(old: Path, upgraded: History) -> None:
    copy = old.with_name(f"anneal.db.before-{REVISION}")
    everything = "SELECT * FROM runs", "SELECT * FROM measurements"
    for rows in everything:
        assert query(copy, rows) == query(DATABASES / "0001.db", rows)
    assert query(copy, "PRAGMA integrity_check") == [("ok",)]
    assert {path.name.removesuffix("-wal").removesuffix("-shm") for path in old.parent.iterdir()} \
        == {old.name, copy.name}  # fmt: skip


def test_no_copy_is_made_when_nothing_changes(tmp_path: Path) -> None:
    for _ in range(2):
        History(tmp_path / "anneal.db").close()
    assert [path.name for path in tmp_path.iterdir()] == ["anneal.db"]


def test_an_upgrade_that_fails_changes_nothing(old: Path, monkeypatch) -> None:
    def fail(connection, revision="head") -> None:
        upgrade(connection, revision)
        raise ZeroDivisionError

    upgrade = migrations.upgrade
    monkeypatch.setattr(migrations, "upgrade", fail)
    with pytest.raises(ZeroDivisionError):
        History(old)
    assert query(old, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert query(old, "SELECT count(*) FROM measurements") == [(304,)]
    monkeypatch.undo()
    with History(old) as history:
        assert len(history.curves(1)["train/loss"]) == 300


# --- what can't be opened -----------------------------------------------------------------------


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "anneal.db"
    History(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(NewerDatabase, match=r"newer version of Anneal.*9999.*update Anneal"):
        History(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*before*"))


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE runs (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(UnusableDatabase, match="belongs to another program"):
        History(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Not a database, and long enough to be looked at." * 30)
    with pytest.raises(UnusableDatabase, match=r"notes\.txt can't be opened.*not a database"):
        History(path)
    assert path.read_text().startswith("Not a database")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true"])
def test_a_database_that_processes_cannot_share_is_refused(url: str) -> None:
    with pytest.raises(UnusableDatabase, match="several processes share the history"):
        History(url)


def test_an_older_database_is_not_upgraded_for_a_reader(old: Path) -> None:
    before = old.read_bytes()
    with pytest.raises(UnusableDatabase, match="open it for writing once"):
        History(old, readonly=True)
    assert old.read_bytes() == before


def test_metadata_can_be_made_without_migrations_too() -> None:
    """Constraints have names by rule: without, a later migration couldn't speak of them."""
    made: MetaData = Base.metadata
    for table in made.tables.values():
        assert all(constraint.name for constraint in table.constraints)
