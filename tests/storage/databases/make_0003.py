"""How ``0003.db`` was made: the tables of the third version, with a comparison and its run.

python -m tests.storage.databases.make_0003
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import create_engine

from storage import migrations
from tests.storage.databases.make_0002 import COLUMNS

PATH = Path(__file__).with_name("0003.db")


def make(path: Path = PATH) -> None:
    path.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    cards = ("Classification", "ConvNet", "Digits8x8", "Training")
    run = (1, "first", '{"seed": 3}', "finished", "Trained 20 steps", None, 100.5, 101.0, 230.25,
           None, *cards, "", 20, 20, 2.0, 2, 9.5, 1000, '{"test/accuracy": 0.97}', "first",
           2)  # fmt: skip
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA page_size = 512")
        migrations.upgrade(connection, "0003")
        connection.exec_driver_sql("INSERT INTO comparisons VALUES (2, 'proof', '{}', 90.5)")
        columns = (*COLUMNS, "comparison")
        marks = ", ".join("?" * len(columns))
        said = f"INSERT INTO runs ({', '.join(columns)}) VALUES ({marks})"
        connection.exec_driver_sql(said, run)
    engine.dispose()
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("VACUUM")
    connection.close()


if __name__ == "__main__":
    make()
