"""The queue, progress, curves in blocks, samples, notices, tags and imported datasets."""

import json
import math
import sys
from array import array
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Kept as they were when this migration was written, whatever becomes of `storage.packing`.
BLOCK = 128
SPARK = 40


def upgrade() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("card", sa.Text),
        sa.Column("provides", sa.Text, nullable=False),
        sa.Column("meta", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer),
        sa.Column("pid_started", sa.Double),
        sa.Column("source", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sqlite_autoincrement=True,
    )
    _extend_runs()
    op.create_table(
        "tags",
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("tag", sa.String(100), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("run", "tag", name="pk_tags"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_tags_run", ondelete="CASCADE"),
    )
    metrics = op.create_table(
        "metrics",
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("value", sa.Double),
        sa.PrimaryKeyConstraint("run", "name", name="pk_metrics"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_metrics_run", ondelete="CASCADE"),
    )
    _index_metrics(metrics)
    curves = op.create_table(
        "curves",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("latest", sa.LargeBinary, nullable=False),
        sa.Column("spark", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_curves"),
        sa.UniqueConstraint("run", "name", name="uq_curves_run_name"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_curves_run", ondelete="CASCADE"),
    )
    points = op.create_table(
        "points",
        sa.Column("curve", sa.Integer, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("steps", sa.LargeBinary, nullable=False),
        sa.Column("epochs", sa.LargeBinary, nullable=False),
        sa.Column("seconds", sa.LargeBinary, nullable=False),
        sa.Column("values", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("curve", "last", name="pk_points"),
        sa.ForeignKeyConstraint(
            ["curve"], ["curves.id"], name="fk_points_curve", ondelete="CASCADE"
        ),
    )
    _pack_measurements(curves, points)
    op.create_table(
        "samples",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Double, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_samples"),
        sa.UniqueConstraint("run", "name", "step", name="uq_samples_run_name_step"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_samples_run", ondelete="CASCADE"),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_notices_run", ondelete="CASCADE"),
    )
    op.create_index("ix_notices_run_id", "notices", ["run", "id"])


def _extend_runs() -> None:
    """Columns are added empty, filled, and then closed to NULL: no default stays behind."""
    filled: dict[str, tuple[sa.types.TypeEngine[Any], Any]] = {
        "task": (sa.Text(), ""),
        "model": (sa.Text(), ""),
        "data": (sa.Text(), ""),
        "method": (sa.Text(), ""),
        "notes": (sa.Text(), ""),
        "step": (sa.BigInteger(), 0),
        "steps": (sa.BigInteger(), 0),
        "epoch": (sa.Double(), 0.0),
        "epochs": (sa.Integer(), 0),
        "seconds": (sa.Double(), 0.0),
        "memory": (sa.BigInteger(), 0),
        "words": (sa.Text(), ""),
    }
    empty: dict[str, sa.types.TypeEngine[Any]] = {
        "wish": sa.String(16),
        "position": sa.Integer(),
        "device": sa.Text(),
        "pid": sa.Integer(),
        "pid_started": sa.Double(),
        "heartbeat": sa.Double(),
        "parent": sa.Integer(),
        "dataset": sa.Integer(),
        "remaining": sa.Double(),
        "rate": sa.Double(),
        "learning_rate": sa.Double(),
        "saved_step": sa.BigInteger(),
        "best_step": sa.BigInteger(),
    }
    with op.batch_alter_table("runs") as batch:
        for name, kind in empty.items():
            batch.add_column(sa.Column(name, kind))
        for name, (kind, _) in filled.items():
            batch.add_column(sa.Column(name, kind))
    names = ("id", "name", "state", "position", *filled)
    runs = sa.table("runs", *(sa.column(name) for name in names))
    connection = op.get_bind()
    connection.execute(sa.update(runs).values({name: start for name, (_, start) in filled.items()}))
    connection.execute(sa.update(runs).where(runs.c.state == "queued").values(position=runs.c.id))
    for run in connection.execute(sa.select(runs.c.id, runs.c.name)).all():
        connection.execute(
            sa.update(runs).where(runs.c.id == run.id).values(words=run.name.casefold())
        )
    with op.batch_alter_table("runs", table_kwargs={"sqlite_autoincrement": True}) as batch:
        for name, (kind, _) in filled.items():
            batch.alter_column(name, existing_type=kind, nullable=False)
        batch.create_foreign_key("fk_runs_parent", "runs", ["parent"], ["id"], ondelete="SET NULL")
        batch.create_foreign_key(
            "fk_runs_dataset", "datasets", ["dataset"], ["id"], ondelete="SET NULL"
        )
        batch.create_index("ix_runs_state_position", ["state", "position"])
        batch.create_index("ix_runs_created", ["created"])


def _index_metrics(metrics: sa.Table) -> None:
    connection = op.get_bind()
    for run, text in connection.execute(sa.text("SELECT id, metrics FROM runs")).all():
        for name, value in json.loads(text).items():
            if isinstance(value, int | float) and math.isfinite(value):
                connection.execute(metrics.insert().values(run=run, name=name, value=value))


def _pack_measurements(curves: sa.Table, points: sa.Table) -> None:
    """A row for each point becomes a block for each 128; NULL was NaN and is now written out."""
    connection = op.get_bind()
    keys = connection.execute(
        sa.text("SELECT DISTINCT run, series FROM measurements ORDER BY run, series")
    ).all()
    for run, series in keys:
        rows = connection.execute(
            sa.text(
                "SELECT step, epoch, seconds, value FROM measurements "
                "WHERE run = :run AND series = :series ORDER BY step"
            ),
            {"run": run, "series": series},
        ).all()
        values = [float("nan") if row.value is None else row.value for row in rows]
        stride = 1 << ((len(rows) - 1) // (SPARK - 1)).bit_length()
        made = connection.execute(
            curves.insert().values(
                run=run,
                name=series,
                length=len(rows),
                last=rows[-1].step,
                latest=_bytes("d", values[-1:]),
                spark=_bytes("d", values[::stride]),
            )
        ).inserted_primary_key
        assert made is not None
        connection.execute(points.insert(), list(_blocks(made[0], rows, values)))
    op.drop_table("measurements")


def _blocks(curve: int, rows: Any, values: list[float]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        yield {
            "curve": curve,
            "last": part[-1].step,
            "steps": _bytes("q", [row.step for row in part]),
            "epochs": _bytes("d", [row.epoch for row in part]),
            "seconds": _bytes("d", [row.seconds for row in part]),
            "values": _bytes("d", values[start : start + BLOCK]),
        }


def _bytes(code: str, numbers: list[Any]) -> bytes:
    packed = array(code, numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
