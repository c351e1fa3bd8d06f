"""Alembic's environment: migrations run on the connection, and in the transaction, they are given."""

from alembic import context

from tidegate.adapters.sql_record.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
