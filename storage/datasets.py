"""The rows of imported datasets, in the transaction of whoever asks."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from storage import packing
from storage.schema import DatasetTable
from storage.values import BadState, DatasetRow, NoSuchDataset

COLUMNS = [DatasetTable.__table__.c[field.name] for field in fields(DatasetRow)]


def get(connection: Connection, id: int) -> DatasetRow:
    """NoSuchDataset when there is none."""
    found = where(connection, DatasetTable.id == id)
    if not found:
        raise NoSuchDataset(f"There is no dataset {id}")
    return found[0]


def where(connection: Connection, *conditions: ColumnElement[bool]) -> list[DatasetRow]:
    """Newest first."""
    rows = connection.execute(
        select(*COLUMNS).where(*conditions).order_by(DatasetTable.id.desc())
    ).all()
    return [
        DatasetRow(**row._asdict() | {
            "provides": tuple(packing.from_json(row.provides)),
            "meta": packing.from_json(row.meta),
        })
        for row in rows
    ]  # fmt: skip


def importing(connection: Connection, id: int, **values: Any) -> None:
    """Change it while its import goes on; NoSuchDataset or BadState when it doesn't."""
    condition = DatasetTable.id == id, DatasetTable.state == "importing"
    if not connection.execute(update(DatasetTable).where(*condition).values(values)).rowcount:
        state = get(connection, id).state
        raise BadState(f"Dataset {id} is {state}: its import is over")


def changed(connection: Connection, id: int, **values: Any) -> None:
    """Change a dataset that is ready; NoSuchDataset or BadState when there is none."""
    condition = DatasetTable.id == id, DatasetTable.state == "ready"
    if not connection.execute(update(DatasetTable).where(*condition).values(values)).rowcount:
        state = get(connection, id).state
        raise BadState(f"Dataset {id} is {state}: it can't be changed")
