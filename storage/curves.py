"""The curves of a run, in the transaction of whoever asks."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from storage import packing
from storage.schema import CurveTable, PointTable
from storage.values import Curve

BLOCK = (PointTable.steps, PointTable.epochs, PointTable.seconds, PointTable.values)
BEFORE_ALL = -1


def heads(connection: Connection, run: int, names: Iterable[str] | None = None) -> list[Row[Any]]:
    """Where the run's curves stand, without their points, in the order of their first ones."""
    query = select(CurveTable).where(CurveTable.run == run).order_by(CurveTable.id)
    if names is not None:
        query = query.where(CurveTable.name.in_(list(names)))
    return list(connection.execute(query))


def read(connection: Connection, curve: int, since: int = BEFORE_ALL) -> Curve:
    """The points that come after step `since`."""
    blocks = connection.execute(
        select(*BLOCK)
        .where(PointTable.curve == curve, PointTable.last > since)
        .order_by(PointTable.last)
    )
    return packing.after(packing.join(blocks), since)


def extend(connection: Connection, run: int, new: Mapping[str, Curve]) -> None:
    """Add points to curves; a step that a curve has already gets the new value.

    However many curves there are, this is a handful of statements: the last block of each, which
    may have room, is taken out, filled, and put back. Only where steps are repeated is the whole
    curve written anew.
    """
    known = {head.name: head for head in heads(connection, run, new)}
    if fresh := [name for name in new if name not in known]:
        empty = {"run": run, "length": 0, "last": BEFORE_ALL, "latest": b"", "spark": b""}
        connection.execute(insert(CurveTable), [empty | {"name": name} for name in fresh])
        known = {head.name: head for head in heads(connection, run, new)}
    old = _last_blocks(connection, [head.id for head in known.values()])
    changed = []
    for name, points in new.items():
        head = known[name]
        assert points.steps[0] > BEFORE_ALL, "steps count from 0"
        if points.steps[0] > head.last:
            kept = packing.thin(packing.floats(head.spark), head.length, points.values)
            part = packing.merge(old[head.id], points)
            changed.append(_Change(head.id, head.last, part, head.length + len(points), kept))
        else:
            changed.append(_anew(head.id, packing.merge(read(connection, head.id), points)))
    _write(connection, changed)


def cut(connection: Connection, run: int, step: int) -> None:
    """Forget the points after `step`."""
    ahead = [head.id for head in heads(connection, run) if head.last > step]
    kept = {curve: packing.until(read(connection, curve), step) for curve in ahead}
    _write(connection, [_anew(curve, points) for curve, points in kept.items() if len(points)])
    if gone := [curve for curve, points in kept.items() if not len(points)]:
        connection.execute(delete(CurveTable).where(CurveTable.id.in_(gone)))


def sparks(
    connection: Connection, runs: Iterable[int], prefer: Sequence[str]
) -> dict[int, list[float]]:
    """The small picture of each run's curve: of the first name in `prefer` that it has."""
    rows = connection.execute(
        select(CurveTable).where(CurveTable.run.in_(list(runs)), CurveTable.name.in_(prefer))
    ).all()
    best: dict[int, Row[Any]] = {}
    for row in sorted(rows, key=lambda row: prefer.index(row.name)):
        best.setdefault(row.run, row)
    return {run: packing.picture(row.spark, row.length, row.latest) for run, row in best.items()}


def _last_blocks(connection: Connection, curves: Sequence[int]) -> dict[int, Curve]:
    blocks: dict[int, list[Sequence[bytes]]] = {curve: [] for curve in curves}
    for curve, *block in connection.execute(
        select(PointTable.curve, *BLOCK)
        .join(CurveTable, CurveTable.id == PointTable.curve)
        .where(CurveTable.id.in_(curves), PointTable.last >= CurveTable.last)
    ):
        blocks[curve].append(block)
    return {curve: packing.join(found) for curve, found in blocks.items()}


class _Change(NamedTuple):
    curve: int
    start: int
    """Blocks that end at this step or later are replaced …"""
    points: Curve
    """… by these."""
    length: int
    """Points of the whole curve."""
    spark: array[float]


def _anew(curve: int, points: Curve) -> _Change:
    kept = packing.thin(array("d"), 0, points.values)
    return _Change(curve, BEFORE_ALL, points, len(points), kept)


def _write(connection: Connection, changes: Sequence[_Change]) -> None:
    if not changes:
        return
    connection.execute(
        delete(PointTable).where(
            PointTable.curve == bindparam("of"), PointTable.last >= bindparam("start")
        ),
        [{"of": change.curve, "start": change.start} for change in changes],
    )
    connection.execute(
        insert(PointTable),
        [
            {"curve": change.curve} | block
            for change in changes
            for block in packing.split(change.points)
        ],
    )
    connection.execute(
        update(CurveTable)
        .where(CurveTable.id == bindparam("of"))
        .values({name: bindparam(name) for name in ("length", "last", "latest", "spark")}),
        [
            {
                "of": change.curve,
                "length": change.length,
                "last": change.points.steps[-1],
                "latest": packing.to_bytes(change.points.values[-1:]),
                "spark": packing.to_bytes(change.spark),
            }
            for change in changes
        ],
    )
