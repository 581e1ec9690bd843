"""Comparisons: plans of many runs, and which runs carry them out."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "comparisons",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_comparisons"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("runs", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("comparison", sa.Integer))
        batch.create_foreign_key(
            "fk_runs_comparison", "comparisons", ["comparison"], ["id"], ondelete="SET NULL"
        )
        batch.create_index("ix_runs_comparison", ["comparison"])
