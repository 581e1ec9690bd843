"""The tables. Whoever changes them adds a migration and moves `REVISION`; a test compares."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

REVISION = "0004"
"""The migration that leads to these tables. Known here so that a database which is up to date
opens without loading Alembic."""


class Base(DeclarativeBase):
    """Constraints get names by rule, so that a migration can speak of them on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy's own way of saying it)
        float: Double,  # MySQL's FLOAT has 24 bits
        str: Text,
    }


# AUTOINCREMENT, because SQLite would otherwise give the last run's number to the next one once
# it is deleted, and an open page or a folder of the old run would show the new one.
NEVER_REUSE_IDS = {"sqlite_autoincrement": True}


class RunTable(Base):
    __tablename__ = "runs"
    __table_args__ = (
        Index(None, "state", "position"),
        Index(None, "created"),
        Index(None, "comparison"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    recipe: Mapped[str]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str]
    wish: Mapped[str | None] = mapped_column(String(16))
    position: Mapped[int | None]
    device: Mapped[str | None]
    pid: Mapped[int | None]
    pid_started: Mapped[float | None]
    heartbeat: Mapped[float | None]
    created: Mapped[float]
    started: Mapped[float | None]
    finished: Mapped[float | None]
    parent: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"))
    dataset: Mapped[int | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    comparison: Mapped[int | None] = mapped_column(
        ForeignKey("comparisons.id", ondelete="SET NULL")
    )
    task: Mapped[str]
    model: Mapped[str]
    data: Mapped[str]
    method: Mapped[str]
    notes: Mapped[str]
    step: Mapped[int] = mapped_column(BigInteger)
    steps: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[float]
    epochs: Mapped[int]
    seconds: Mapped[float]
    remaining: Mapped[float | None]
    rate: Mapped[float | None]
    learning_rate: Mapped[float | None]
    memory: Mapped[int] = mapped_column(BigInteger)
    saved_step: Mapped[int | None] = mapped_column(BigInteger)
    best_step: Mapped[int | None] = mapped_column(BigInteger)
    metrics: Mapped[str]
    """JSON, in which a number that isn't finite is an object (`packing.to_json`)."""
    words: Mapped[str]
    """What a search looks through, case-folded: databases fold ASCII alone, or nothing."""


class ComparisonTable(Base):
    __tablename__ = "comparisons"
    __table_args__ = (NEVER_REUSE_IDS,)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    plan: Mapped[str]
    """JSON."""
    created: Mapped[float]
    open: Mapped[bool]
    """Runs are still to be added to it."""


class TagTable(Base):
    __tablename__ = "tags"

    run: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(100), primary_key=True)
    position: Mapped[int]


class MetricTable(Base):
    """A run's flat numbers once more, to sort by: `value` orders, `runs.metrics` is the truth.

    NaN is NULL, and an infinity is the largest number there is.
    """

    __tablename__ = "metrics"

    run: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    value: Mapped[float | None]


class CurveTable(Base):
    """A curve of a run: its name, where it stands, and its small picture for a table of runs."""

    __tablename__ = "curves"
    __table_args__ = (UniqueConstraint("run", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    length: Mapped[int] = mapped_column(BigInteger)
    last: Mapped[int] = mapped_column(BigInteger)
    """The last step that has a point."""
    latest: Mapped[bytes] = mapped_column(LargeBinary)
    """The value there: one float64."""
    spark: Mapped[bytes] = mapped_column(LargeBinary)
    """Evenly chosen values, float64 (`packing.thin`)."""


class PointTable(Base):
    """Neighbouring points of a curve, at most `packing.BLOCK`, in the order of their steps.

    Little-endian int64 `steps`, float64 the rest. A row for each point costs 0.4 µs to read
    whatever is done with it; a block costs the same and holds hundreds. NaN and the infinities
    are bytes like any other number, on databases that have no word for them too.
    """

    __tablename__ = "points"

    curve: Mapped[int] = mapped_column(
        ForeignKey("curves.id", ondelete="CASCADE"), primary_key=True
    )
    last: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """The last step in the block: what came after a step is then a range of the key."""
    steps: Mapped[bytes] = mapped_column(LargeBinary)
    epochs: Mapped[bytes] = mapped_column(LargeBinary)
    seconds: Mapped[bytes] = mapped_column(LargeBinary)
    values: Mapped[bytes] = mapped_column(LargeBinary)


class SampleTable(Base):
    __tablename__ = "samples"
    __table_args__ = (UniqueConstraint("run", "name", "step"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(50))
    step: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[float]
    data: Mapped[str]


class NoticeTable(Base):
    __tablename__ = "notices"
    __table_args__ = (Index(None, "run", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    time: Mapped[float]
    level: Mapped[str] = mapped_column(String(16))
    text: Mapped[str]


class DatasetTable(Base):
    __tablename__ = "datasets"
    __table_args__ = (NEVER_REUSE_IDS,)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(String(50))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str]
    done: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(BigInteger)
    text: Mapped[str]
    created: Mapped[float]
    card: Mapped[str | None]
    provides: Mapped[str]
    """JSON list."""
    meta: Mapped[str]
    """JSON."""
    bytes: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[str]
    pid: Mapped[int | None]
    pid_started: Mapped[float | None]
    source: Mapped[str]
