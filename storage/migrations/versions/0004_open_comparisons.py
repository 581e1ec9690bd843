"""Comparisons to which runs are added as earlier ones end."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    open_ = sa.Column("open", sa.Boolean, nullable=False, server_default=sa.false())
    with op.batch_alter_table("comparisons", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(open_)
    with op.batch_alter_table("comparisons", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.alter_column("open", existing_type=sa.Boolean, server_default=None)
