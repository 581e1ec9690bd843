"""The same tests on a file and on a server's database, where there is one.

``ANNEAL_TEST_DATABASE_URL`` names it; it is emptied before each test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine

from storage.history import History

SERVER = os.environ.get("ANNEAL_TEST_DATABASE_URL")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: a copy costs less than the migrations."""
    path = tmp_path_factory.mktemp("empty") / "anneal.db"
    History(path).close()
    return path


@pytest.fixture(params=["file", *(["server"] if SERVER else [])])
def address(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path) -> Path | str:
    """Where an empty history is."""
    if request.param == "file":
        return Path(shutil.copy(empty_database, tmp_path / "anneal.db"))
    assert SERVER
    _empty(SERVER)
    return SERVER


@pytest.fixture
def fresh_history(address: Path | str) -> Iterator[History]:
    with History(address) as history:
        yield history


def _empty(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        tables = MetaData()
        tables.reflect(connection)
        tables.drop_all(connection)
    engine.dispose()
