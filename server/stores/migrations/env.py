"""The start of every migration, where Alembic looks for it: in the transaction that is open already."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
