"""Keeps pgvector and an index for the configured embedder, where the server has the extension.

The index can't be a part of a revision: it depends on the embedder's dimensions, and on what the server offers.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

from aigo.db.pool import SCHEMA

_EXTENSION = "vector-extension"


def pending(connection: Connection[Any], dimensions: int) -> list[str]:
    """Name what is missing and can be made: the extension, the index."""
    schema = _installed(connection)
    names = [] if schema or not _creatable(connection) else [_EXTENSION]
    if (schema or names) and not _valid(connection, dimensions):
        names.append(_index(dimensions))
    return names


def apply(connection: Connection[Any], names: list[str], dimensions: int) -> None:
    """Make what :func:`pending` named; the index is built without keeping writers out."""
    if _EXTENSION in names:
        connection.execute(sql.SQL("CREATE EXTENSION vector SCHEMA {}").format(sql.Identifier(SCHEMA)))
    index = _index(dimensions)
    if index in names:
        schema = _installed(connection)
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


def _creatable(connection: Connection[Any]) -> bool:
    row = connection.execute(
        "SELECT bool_or((v.trusted AND has_database_privilege(current_database(), 'CREATE'))"
        " OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))"
        " FROM pg_available_extensions a JOIN pg_available_extension_versions v"
        " ON v.name = a.name AND v.version = a.default_version WHERE a.name = 'vector'"
    ).fetchone()
    return bool(row and row[0])


def _valid(connection: Connection[Any], dimensions: int) -> bool:
    row = connection.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [f"{SCHEMA}.{_index(dimensions)}"]
    ).fetchone()
    return bool(row and row[0])
