"""Brings the schema up to date, one migrator at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import Connection, sql
from sqlalchemy import create_engine, pool

from aigo.config.schema import Database
from aigo.db import queue_schema, vector_index
from aigo.db.pool import SCHEMA, connection_string

# Any number will do as long as every migrator uses the same one.
_LOCK = 4_242_001
_LOCK_SECONDS = 300


@dataclass(frozen=True)
class Pending:
    """What a database lacks: the application's revisions, the queue's scripts, the schema, its grants, the index."""

    schema: bool
    revisions: list[str]
    queue: list[str]
    vectors: list[str]

    def __bool__(self) -> bool:
        return self.schema or bool(self.revisions or self.queue or self.vectors)

    @property
    def names(self) -> list[str]:
        """The names of all that is pending, in the order in which it is applied."""
        return (["schema"] if self.schema else []) + self.revisions + self.queue + self.vectors


def head_revision() -> str | None:
    """Return the newest revision that this release knows."""
    return ScriptDirectory.from_config(_alembic(None)).get_current_head()


def check(settings: Database, dimensions: int | None = None) -> Pending:
    """Say what is pending, changing nothing. ``dimensions`` are those of the embedder whose index is to be there."""
    with psycopg.connect(connection_string(settings, migration=True), autocommit=True) as connection:
        return _pending(connection, settings, dimensions)


def migrate(settings: Database, dimensions: int | None = None) -> Pending:
    """Apply all that is pending and return what it was. A second migrator waits for the first."""
    with psycopg.connect(connection_string(settings, migration=True), autocommit=True) as connection:
        _lock(connection)
        try:
            pending = _pending(connection, settings, dimensions)
            if pending.schema:
                _prepare_schema(connection, settings)
            if pending.revisions:
                _upgrade(connection)
            queue_schema.apply(connection, pending.queue)
            if dimensions and pending.vectors:
                vector_index.apply(connection, dimensions)
            return pending
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _lock(connection: Connection[Any]) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    # Polling keeps no transaction open, so the migrator ahead can build indexes concurrently.
    while not _scalar(connection, "SELECT pg_try_advisory_lock(%s)", [_LOCK]):
        if time.monotonic() > deadline:
            raise TimeoutError(f"another migrator has held the lock for {_LOCK_SECONDS} s: look for it in pg_locks")
        time.sleep(0.5)
    # A migration that can't get its lock must fail rather than queue every reader up behind itself.
    connection.execute("SET lock_timeout = '10s'")


def _pending(connection: Connection[Any], settings: Database, dimensions: int | None) -> Pending:
    exists = _scalar(connection, "SELECT to_regnamespace(%s) IS NOT NULL", [SCHEMA])
    scripts = ScriptDirectory.from_config(_alembic(None))
    ordered = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    vectors = vector_index.pending(connection, dimensions) if dimensions else []
    if not exists:
        return Pending(True, ordered, ["queue-schema"], vectors)
    has_table = _scalar(connection, "SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA}.alembic_version"])
    current = _scalar(connection, "SELECT max(version_num) FROM alembic_version") if has_table else None
    if current is not None and current not in ordered:
        raise RuntimeError(f"the database is at revision {current}, unknown to this release: deploy a newer one")
    revisions = ordered[ordered.index(current) + 1 :] if current else ordered
    return Pending(not _granted(connection, settings), revisions, queue_schema.pending(connection), vectors)


def _granted(connection: Connection[Any], settings: Database) -> bool:
    if settings.migration_user in (None, settings.user):
        return True
    query = (
        "SELECT has_schema_privilege(%s, %s, 'USAGE') AND EXISTS (SELECT FROM pg_default_acl"
        " WHERE defaclnamespace = %s::regnamespace AND defaclobjtype = 'r'"
        " AND defaclacl::text LIKE '%%' || quote_ident(%s) || '=arwd%%')"
    )
    return bool(_scalar(connection, query, [settings.user, SCHEMA, SCHEMA, settings.user]))


def _prepare_schema(connection: Connection[Any], settings: Database) -> None:
    if not _scalar(connection, "SELECT to_regnamespace(%s) IS NOT NULL", [SCHEMA]):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
    if settings.migration_user in (None, settings.user):
        return
    names = {"schema": sql.Identifier(SCHEMA), "app": sql.Identifier(settings.user)}
    for statement in (
        "GRANT USAGE ON SCHEMA {schema} TO {app}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {app}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {app}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {app}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {app}",
    ):
        connection.execute(sql.SQL(statement).format(**names))


def _upgrade(connection: Connection[Any]) -> None:
    conninfo = connection.info.dsn
    password = connection.info.password
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo, password=password),
        poolclass=pool.NullPool,
    )
    with engine.connect() as bound:
        MigrationContext.configure(bound)
        command.upgrade(_alembic(bound), "head")


def _alembic(connection: Any) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _scalar(connection: Connection[Any], query: str, parameters: list[Any] | None = None) -> Any:
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None
