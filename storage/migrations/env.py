"""Run by Alembic: it applies the migrations on the connection that `upgrade` was given."""

from alembic import context

from storage.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite can undo DDL; Alembic assumes that it can't, because of how Python's driver once
    # began its transactions. Ours are begun by hand.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
