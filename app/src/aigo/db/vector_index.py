"""Keeps an index for the configured embedder, where the database has the extension pgvector.

It can't be a part of a revision: it depends on the embedder's dimensions and on what the database's administrator,
who alone may add extensions, has installed.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

from aigo.db.pool import SCHEMA


def pending(connection: Connection[Any], dimensions: int) -> list[str]:
    """Name the index if it is missing and can be made."""
    return [_index(dimensions)] if _installed(connection) and not _valid(connection, dimensions) else []


def apply(connection: Connection[Any], dimensions: int) -> None:
    """Make the index, without keeping writers out."""
    index, schema = _index(dimensions), _installed(connection)
    assert schema is not None
    # An attempt that was interrupted leaves an index behind that nobody uses.
    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(SCHEMA, index)))
    connection.execute(
        sql.SQL(
            "CREATE INDEX CONCURRENTLY {0} ON passages USING hnsw"
            " ((embedding::{1}.vector({2})) {1}.vector_cosine_ops) WHERE cardinality(embedding) = {2}"
        ).format(sql.Identifier(index), sql.Identifier(schema), sql.Literal(dimensions))
    )


def _index(dimensions: int) -> str:
    return f"passages_vector_{dimensions}"


def _installed(connection: Connection[Any]) -> str | None:
    row = connection.execute(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    ).fetchone()
    return row[0] if row else None


def _valid(connection: Connection[Any], dimensions: int) -> bool:
    row = connection.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [f"{SCHEMA}.{_index(dimensions)}"]
    ).fetchone()
    return bool(row and row[0])
