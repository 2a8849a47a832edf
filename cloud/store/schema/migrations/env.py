"""Run by Alembic; the connection is handed in by `cloud.store.schema.migrate`, in a transaction of its own."""

from __future__ import annotations

from alembic import context

from cloud.store.schema.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    transactional_ddl=True,
)
context.run_migrations()
