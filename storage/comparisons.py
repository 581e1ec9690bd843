"""The rows of comparisons, in the transaction of whoever asks."""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import ColumnElement, Connection, select

from storage.schema import ComparisonTable
from storage.values import Comparison, NoSuchComparison

COLUMNS = [ComparisonTable.__table__.c[field.name] for field in fields(Comparison)]


def get(connection: Connection, id: int) -> Comparison:
    """NoSuchComparison when there is none."""
    row = connection.execute(select(*COLUMNS).where(ComparisonTable.id == id)).one_or_none()
    if row is None:
        raise NoSuchComparison(f"There is no comparison {id}")
    return Comparison(**row._asdict())


def where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Comparison]:
    """Those of which the conditions are true, newest first."""
    query = select(*COLUMNS).where(*conditions).order_by(ComparisonTable.id.desc())
    rows = connection.execute(query)
    return [Comparison(**row._asdict()) for row in rows]
