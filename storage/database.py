"""The database behind the history: how it is opened, begun, brought up to date and backed up.

What one kind of database needs and the others don't is here and nowhere else.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    column,
    create_engine,
    event,
    func,
    inspect,
    select,
    table,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.pool import ConnectionPoolEntry

from storage.schema import REVISION
from storage.values import NewerDatabase, ReadOnly, Unavailable, UnusableDatabase

PATIENCE = 30.0
"""Seconds that a writer waits for another one."""

AGAIN = 0.02
"""Seconds between two tries of what SQLite itself doesn't wait for."""

LOG_LIMIT = 4 << 20
"""Bytes that SQLite's write-ahead log may have before it is carried over into the file."""

UPGRADE_LOCK = 0x616E6E65616C
"""A number of our own for PostgreSQL's advisory locks."""

READER, WRITER = {"sqlite_begin": "BEGIN"}, {"sqlite_begin": "BEGIN IMMEDIATE"}


class Database:
    """An engine whose transactions begin as readers or as writers, on today's tables."""

    def __init__(self, url: str | Path | URL, *, readonly: bool = False) -> None:
        """Open, and where need be create or upgrade. UnusableDatabase says why it can't be."""
        self.url = _url(url)
        self.readonly = readonly
        self.file = _file(self.url)
        if readonly and self.file and not self.file.exists():
            raise UnusableDatabase(f"There is no database at {self.file} to read from")
        if self.file:
            # A connection is an open file: as many as there are threads that ask.
            self.engine = create_engine(self.url, max_overflow=-1)
            _tune_sqlite(self.engine, readonly=readonly)
        else:
            self.engine = create_engine(self.url, pool_pre_ping=True)
        self._readers = self.engine.execution_options(**READER)
        self._writers = self.engine.execution_options(**WRITER)
        try:
            self._open()
        except (DBAPIError, sqlite3.Error, Unavailable) as problem:
            self.close()
            raise UnusableDatabase(
                f"The database at {self} can't be opened: {_why(problem)}"
            ) from problem
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view, which no writer waits for."""
        with self._available(), self._readers.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """All or nothing; waits its turn behind other writers, of other processes too."""
        if self.readonly:
            raise ReadOnly("This history was opened read-only: another Anneal writes to it")
        with self._available(), self._writers.begin() as connection:
            yield connection
        if self._log_size() > LOG_LIMIT:
            # What was written is written: a checkpoint that fails is tried after the next write.
            with suppress(OperationalError, sqlite3.OperationalError):
                self.checkpoint()

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _available(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, NoConnectionFree) as problem:
            raise Unavailable(f"The database at {self} failed: {_why(problem)}") from problem

    # --- versions of the tables -----------------------------------------------------------------

    def _open(self) -> None:
        if self.file and not self.readonly:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.reading() as connection:
            revision = self._revision(connection)
        if self.readonly:
            if revision != REVISION:
                raise UnusableDatabase(
                    f"The database at {self} has other tables than this version of Anneal needs: "
                    "open it for writing once, so that it is brought up to date"
                )
            return
        if self.file:
            self._write_ahead()
        if revision != REVISION:
            self._upgrade()

    def _upgrade(self) -> None:
        from storage import migrations  # a quarter of a second that most starts don't need

        with self._writers.connect() as connection:
            if self.file:
                # A table that is rebuilt is dropped first, and would take its children along.
                # The switch has no effect inside a transaction, so it is thrown below SQLAlchemy;
                # the connection is closed afterwards, not reused.
                connection.detach()
                _driver(connection).execute("PRAGMA foreign_keys = OFF")
            with connection.begin():
                if self.engine.dialect.name == "postgresql":
                    # Its transactions don't wait for each other by themselves.
                    connection.execute(select(func.pg_advisory_xact_lock(UPGRADE_LOCK)))
                revision = self._revision(connection)  # again: another process may have been here
                if revision == REVISION:
                    return
                if revision is not None and self.file:
                    self.backup(self.file.with_name(f"{self.file.name}.before-{REVISION}"))
                migrations.upgrade(connection)

    def _revision(self, connection: Connection) -> str | None:
        """The version of the tables; None where there are none yet.

        NewerDatabase or UnusableDatabase when they aren't ours to touch.
        """
        tables = inspect(connection).get_table_names()
        if "alembic_version" not in tables:
            if tables:
                raise UnusableDatabase(
                    f"The database at {self} belongs to another program: choose another file"
                )
            return None
        versions = table("alembic_version", column("version_num"))
        revision: str | None = connection.execute(select(versions.c.version_num)).scalar()
        if revision == REVISION:
            return revision
        from storage import migrations

        if revision not in migrations.revisions():
            raise NewerDatabase(
                f"The database at {self} was written by a newer version of Anneal (its tables "
                f"are at {revision}, this version knows {REVISION}): update Anneal, or start it "
                "with another home folder"
            )
        return revision

    def __str__(self) -> str:
        return str(self.file or self.url.render_as_string(hide_password=True))

    # --- SQLite alone ---------------------------------------------------------------------------

    def _write_ahead(self) -> None:
        """Keep what is written in a log beside the file, which the file remembers.

        Readers then don't wait for a writer, nor it for them.
        """
        end = time.monotonic() + PATIENCE
        with self.engine.connect() as connection:
            while True:
                try:
                    _driver(connection).execute("PRAGMA journal_mode = WAL").close()
                    return
                except sqlite3.OperationalError as problem:
                    # A switch that meets a writer, another's switch among them, fails at once,
                    # whatever the timeout: a transaction that became a writer halfway might wait
                    # for one that waits for it.
                    busy = problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                    if not busy or time.monotonic() > end:
                        raise
                time.sleep(AGAIN)

    def backup(self, target: Path) -> None:
        """Copy a SQLite file while others write to it; `target` is whole or not there at all."""
        assert self.file, "only a file can be copied"
        part = target.with_name(f"{target.name}.part")
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.file)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        part.replace(target)

    def checkpoint(self) -> None:
        """Carry SQLite's write-ahead log over into the file, as far as no reader needs it.

        Nobody may write meanwhile, hence the transaction. SQLite's own checkpoints, switched off
        in `_tune_sqlite`, don't see to that, and before 3.51.3 a commit that begins the log anew
        just as another connection's checkpoint starts could lose pages for good
        (https://sqlite.org/wal.html#walresetbug).
        """
        with self._writers.begin(), self.engine.connect() as connection:
            _driver(connection).execute("PRAGMA wal_checkpoint(PASSIVE)").close()

    def _log_size(self) -> int:
        if not self.file:
            return 0
        try:
            return self.file.with_name(f"{self.file.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0


def _url(url: str | Path | URL) -> URL:
    if isinstance(url, URL):
        return url
    if isinstance(url, str) and "://" in url:
        return make_url(url)
    return URL.create("sqlite", database=str(url))


def _file(url: URL) -> Path | None:
    """The file of a SQLite database; None for one on a server."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:" or url.query:
        raise UnusableDatabase(
            f"{url.render_as_string()} isn't a plain file: several processes share the history, "
            "so give it as sqlite:///folder/anneal.db"
        )
    return Path(url.database)


def _tune_sqlite(engine: Engine, *, readonly: bool) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # Python's driver begins a transaction when it thinks that one is due, and never before
        # a read; `begun` does it instead.
        connection.isolation_level = None
        for setting in (
            f"busy_timeout = {PATIENCE * 1000:.0f}",
            "foreign_keys = ON",
            "synchronous = NORMAL",  # in WAL a power cut may undo the last commits, never more
            "wal_autocheckpoint = 0",  # see Database.checkpoint
            f"journal_size_limit = {LOG_LIMIT}",  # so that the log's size says what is in it
            f"query_only = {'ON' if readonly else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {setting}").close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # A deferred transaction that turns into a writer fails at once when another one writes,
        # whatever the timeout: a writer says so when it begins.
        begin = connection.get_execution_options().get("sqlite_begin", "BEGIN")
        connection.exec_driver_sql(begin)


def _why(problem: Exception) -> str:
    """The driver's own words, without the statement that SQLAlchemy puts under them."""
    words = str(problem.orig if isinstance(problem, DBAPIError) else problem)
    # SQLite says no more than this when there is no room for its log.
    return f"{words} (is the disk full?)" if words == "disk I/O error" else words


def _driver(connection: Connection) -> Any:
    """The driver's own connection, on which nothing begins a transaction."""
    return connection.connection.dbapi_connection
