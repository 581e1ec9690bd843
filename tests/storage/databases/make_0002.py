"""How ``0002.db`` was made: the tables of the second version, with a run of each kind of state.

python -m tests.storage.databases.make_0002
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from storage import migrations

PATH = Path(__file__).with_name("0002.db")
COLUMNS = (
    "id", "name", "recipe", "state", "reason", "position", "created", "started", "finished",
    "parent", "task", "model", "data", "method", "notes", "step", "steps", "epoch", "epochs",
    "seconds", "memory", "metrics", "words",
)  # fmt: skip


def make(path: Path = PATH) -> None:
    path.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    cards = ("Classification", "ConvNet", "Digits8x8", "Training")
    rows: list[tuple[Any, ...]] = [
        (1, "first", '{"seed": 3}', "finished", "Trained 20 steps", None, 100.5, 101.0, 230.25,
         None, *cards, "a note", 20, 20, 2.0, 2, 9.5, 1000, '{"test/accuracy": 0.97}', "first"),
        (3, "from it", "{}", "paused", "Paused at step 7", None, 300.0, 301.0, None,
         1, *cards, "", 7, 20, 0.7, 2, 3.5, 1000, "{}", "from it"),
        (4, "waits", "{}", "queued", "", 1, 400.0, None, None,
         None, *cards, "", 0, 0, 0.0, 0, 0.0, 0, "{}", "waits"),
    ]  # fmt: skip
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA page_size = 512")
        migrations.upgrade(connection, "0002")
        marks = ", ".join("?" * len(COLUMNS))
        said = f"INSERT INTO runs ({', '.join(COLUMNS)}) VALUES ({marks})"
        connection.exec_driver_sql(said, rows)
        connection.exec_driver_sql("INSERT INTO tags VALUES (?, ?, ?)", [(1, "good", 0)])
    engine.dispose()
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("VACUUM")
    connection.close()


if __name__ == "__main__":
    make()
