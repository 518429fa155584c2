"""Run by alembic for each command; the connection comes from :mod:`aigo.db.migrate`."""

from alembic import context

from aigo.db.pool import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=SCHEMA,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
