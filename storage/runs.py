"""The rows of runs, in the transaction of whoever asks."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from storage import packing
from storage.schema import MetricTable, RunTable, TagTable
from storage.values import ACTIVE, BadState, LostRun, NoSuchRun, Run

COLUMNS = [RunTable.__table__.c[field.name] for field in fields(Run) if field.name != "tags"]
SORTABLE = {column.name: column for column in COLUMNS if column.name not in ("recipe", "metrics")}


def get(connection: Connection, id: int) -> Run:
    """NoSuchRun when there is none."""
    found = where(connection, RunTable.id == id)
    if not found:
        raise no_such_run(id)
    return found[0]


def where(
    connection: Connection, condition: ColumnElement[bool], *order: ColumnElement[Any]
) -> list[Run]:
    """The runs of which the condition is true."""
    rows = connection.execute(select(*COLUMNS).where(condition).order_by(*order)).all()
    tags: dict[int, list[str]] = {row.id: [] for row in rows}
    if tags:
        for run, tag in connection.execute(
            select(TagTable.run, TagTable.tag)
            .where(TagTable.run.in_(tags))
            .order_by(TagTable.position)
        ):
            tags[run].append(tag)
    return [
        Run(**row._asdict() | {
            "tags": tuple(tags[row.id]), "metrics": packing.from_json(row.metrics)
        })
        for row in rows
    ]  # fmt: skip


def matching(
    search: str, states: Sequence[str], tags: Sequence[str], comparison: int | bool | None
) -> list[ColumnElement[bool]]:
    """The conditions of `History.runs`."""
    wanted = [RunTable.words.contains(word, autoescape=True) for word in search.casefold().split()]
    if states:
        wanted.append(RunTable.state.in_(states))
    wanted += [RunTable.id.in_(select(TagTable.run).where(TagTable.tag == tag)) for tag in tags]
    part_of = RunTable.__table__.c.comparison
    if isinstance(comparison, bool):
        wanted.append(part_of.is_not(None) if comparison else part_of.is_(None))
    elif comparison is not None:
        wanted.append(part_of == comparison)
    return wanted


def sorted_ids(sort: str, *, descending: bool) -> Select[int]:
    """The ids of the runs in that order; what has no value to sort by comes last either way."""
    ids = select(RunTable.id)
    key: ColumnElement[Any]
    if sort.startswith("metrics."):
        name = sort.removeprefix("metrics.")
        ids = ids.outerjoin(
            MetricTable, and_(MetricTable.run == RunTable.id, MetricTable.name == name)
        )
        key = MetricTable.__table__.c.value
    elif sort in SORTABLE:
        column = SORTABLE[sort]
        key = func.lower(column) if column.type.python_type is str else column
    else:
        raise ValueError(f"Runs can't be sorted by {sort!r}")
    return ids.order_by(
        case((key.is_(None), 1), else_=0),
        key.desc() if descending else key.asc(),
        RunTable.id.desc() if descending else RunTable.id.asc(),
    )


def change(connection: Connection, id: int, *where: ColumnElement[bool], **values: Any) -> bool:
    """Compare and set: False if there is no such run, or it isn't as `where` says."""
    statement = update(RunTable).where(RunTable.id == id, *where).values(values)
    return connection.execute(statement).rowcount > 0


def state_of(connection: Connection, id: int) -> str:
    """NoSuchRun when there is none."""
    state = connection.execute(select(RunTable.state).where(RunTable.id == id)).scalar()
    if state is None:
        raise no_such_run(id)
    return state


def held(pid: int | None) -> ColumnElement[bool]:
    """The run is active, and that process's where one is named."""
    active = RunTable.state.in_(ACTIVE)
    return active if pid is None else and_(active, RunTable.pid == pid)


def no_such_run(id: int) -> NoSuchRun:
    return NoSuchRun(f"There is no run {id}")


def lost(connection: Connection, id: int) -> LostRun:
    """Why the run isn't held. NoSuchRun when that is because it was deleted."""
    row = connection.execute(
        select(RunTable.state, RunTable.pid).where(RunTable.id == id)
    ).one_or_none()
    if row is None:
        raise no_such_run(id)
    holder = f" in process {row.pid}" if row.pid is not None else ""
    return LostRun(f"Run {id} is {row.state}{holder}: another process can't speak for it")


def end(connection: Connection, id: int, held: ColumnElement[bool], state: str, why: str) -> bool:
    """From a state in which somebody waits for it or works on it to one in which nobody does."""
    finished = None if state == "paused" else time.time()
    return change(
        connection, id, held, state=state, reason=why, finished=finished, position=None,
        wish=None, pid=None, pid_started=None, remaining=None,
    )  # fmt: skip


def dequeue(connection: Connection, id: int) -> None:
    """BadState if it isn't queued."""
    if not end(connection, id, RunTable.state == "queued", "stopped", "Removed from the queue"):
        raise BadState(f"Run {id} is {state_of(connection, id)}, not queued")


def queue(connection: Connection) -> list[int]:
    """The ids of the queued runs, next one first; nobody else moves them meanwhile."""
    return list(
        connection.execute(
            select(RunTable.id)
            .where(RunTable.state == "queued")
            .order_by(RunTable.position, RunTable.id)
            .with_for_update()
        ).scalars()
    )


def place(connection: Connection, *, first: bool) -> int:
    """A position before or behind all that are queued."""
    ends = select(func.min(RunTable.position), func.max(RunTable.position))
    lowest, highest = connection.execute(ends).one()
    if lowest is None or highest is None:
        return 1
    return lowest - 1 if first else highest + 1


def index_words(connection: Connection, id: int) -> None:
    """Bring what a search looks through up to date with the run."""
    run = get(connection, id)
    words = "\n".join((run.name, run.notes, *run.tags, run.model, run.data, run.task))
    change(connection, id, words=words.casefold())


def measure(connection: Connection, id: int, metrics: Mapping[str, Any]) -> None:
    """Replace the run's metrics, and with them the numbers to sort by."""
    change(connection, id, metrics=packing.to_json(dict(metrics)))
    connection.execute(delete(MetricTable).where(MetricTable.run == id))
    numbers = [
        {"run": id, "name": name, "value": _order(value)}
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    if numbers:
        connection.execute(insert(MetricTable), numbers)


def _order(value: float) -> float | None:
    """Where a number stands among others, said without those that some databases don't know."""
    if math.isnan(value):
        return None
    return max(-sys.float_info.max, min(sys.float_info.max, value))
