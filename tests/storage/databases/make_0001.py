"""How ``0001.db`` was made: the tables of the first version, with what they could hold.

python -m tests.storage.databases.make_0001
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine

from storage import migrations

PATH = Path(__file__).with_name("0001.db")


def make(path: Path = PATH) -> None:
    path.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA page_size = 512")
        migrations.upgrade(connection, "0001")
        runs = [
            (1, "Größe 32", '{"seed": 3}', "finished", "All epochs done", 100.5, 101.0, 230.25,
             '{"test/accuracy": 0.97}'),
            (2, "second try", "{}", "failed", "The loss became NaN", 300.0, 301.0, 302.0, "{}"),
            (5, "waits", "{}", "queued", "", 400.0, None, None, "{}"),
        ]  # fmt: skip
        fill(connection, "runs", runs)
        points = [
            *((1, "train/loss", n, n / 100, n / 8, 1 / (n + 1)) for n in range(300)),
            *((1, "validation/loss", n, n / 100, n / 8, 2.0) for n in (100, 200)),
            (2, "train/loss", 0, 0.0, 0.0, 0.5),
            (2, "train/loss", 1, 0.01, 0.125, None),
        ]
        fill(connection, "measurements", points)
    engine.dispose()
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("VACUUM")
    connection.close()


def fill(connection: Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * len(rows[0]))
    connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({marks})", rows)


if __name__ == "__main__":
    make()
