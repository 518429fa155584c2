"""Brings the job queue's own tables up to the version of the library that is installed.

The library ships a full schema and, for each later change, a numbered script. A fresh database gets the schema and
remembers every script as done; an older one gets the scripts that it lacks, in order.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from psycopg import Connection

_TABLE = "queue_migrations"


def pending(connection: Connection[Any]) -> list[str]:
    """Name the scripts that this database lacks (``queue-schema`` when it has no queue at all)."""
    row = connection.execute("SELECT to_regclass('procrastinate_jobs') IS NOT NULL").fetchone()
    if not (row and row[0]):
        return ["queue-schema"]
    done = {name for (name,) in connection.execute(f"SELECT name FROM {_TABLE}")}
    return [name for name in _scripts() if name not in done]


def apply(connection: Connection[Any], names: list[str]) -> None:
    """Apply what :func:`pending` named, each in a transaction of its own."""
    scripts = _scripts()
    for name in names:
        with connection.transaction():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} (name text PRIMARY KEY)")
            fresh = name == "queue-schema"
            text = resources.files("procrastinate.sql").joinpath("schema.sql").read_text() if fresh else scripts[name]
            connection.execute(text)
            for done in scripts if fresh else [name]:
                connection.execute(f"INSERT INTO {_TABLE} VALUES (%s)", [done])


def _scripts() -> dict[str, str]:
    folder = resources.files("procrastinate.sql").joinpath("migrations")
    entries = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name)
    return {entry.name: entry.read_text() for entry in entries}
