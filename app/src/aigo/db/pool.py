"""The connection pool, and the few forms in which the application asks questions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg import AsyncConnection, OperationalError
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from aigo.config.load import reveal
from aigo.config.schema import Database as DatabaseSettings
from aigo.config.schema import split_endpoint

Row = DictRow
Parameters = Sequence[Any] | Mapping[str, Any]
SCHEMA = "aigo"


def connection_string(settings: DatabaseSettings, *, migration: bool = False) -> str:
    """Return libpq's connection string for the service, or for the role that owns the schema.

    All hosts are named; libpq takes the first that accepts writes, so a promotion needs no new configuration.
    Short timeouts and keepalives make a dead primary known within seconds.
    """
    user, password = settings.user, settings.password
    if migration and settings.migration_user:
        user, password = settings.migration_user, settings.migration_password
    endpoints = [split_endpoint(host) for host in settings.hosts]
    return make_conninfo(
        host=",".join(host for host, _ in endpoints),
        port=",".join(str(port) for _, port in endpoints),
        dbname=settings.name,
        user=user,
        password=reveal(password),
        sslmode=settings.sslmode,
        sslrootcert=settings.sslrootcert,
        application_name="aigo",
        options=f"-c search_path={SCHEMA}",
        target_session_attrs="read-write",
        connect_timeout=2,
        tcp_user_timeout=3000,
        keepalives_idle=2,
        keepalives_interval=1,
        keepalives_count=3,
    )


class Database:
    """A pool of autocommitting connections that return rows as dictionaries."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self.conninfo = connection_string(settings)
        self.pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            self.conninfo,
            connection_class=AsyncConnection[Row],
            min_size=settings.pool_min,
            max_size=settings.pool_max,
            open=False,
            timeout=2,
            reconnect_timeout=2,
            max_lifetime=1800,
            configure=_autocommit,
            kwargs={"row_factory": dict_row},
        )

    async def open(self) -> None:
        """Start the pool; it fills in the background, so that an absent database doesn't stop a start."""
        await self.pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close(timeout=2)

    async def all(self, query: LiteralString, parameters: Parameters = ()) -> list[Row]:
        """Run a read and return its rows. It is repeated once when the connection turns out to be dead."""
        try:
            return await self._all(query, parameters)
        except OperationalError:
            return await self._all(query, parameters)

    async def one(self, query: LiteralString, parameters: Parameters = ()) -> Row | None:
        """Run a read and return its first row, or None."""
        rows = await self.all(query, parameters)
        return rows[0] if rows else None

    async def write(self, query: LiteralString, parameters: Parameters = ()) -> list[Row]:
        """Run one writing statement, exactly once, and return what its RETURNING gives."""
        return await self._all(query, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[Row]]:
        """Lend a connection inside a transaction."""
        async with self.pool.connection() as connection, connection.transaction():
            yield connection

    async def _all(self, query: LiteralString, parameters: Parameters) -> list[Row]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(query, parameters)
            return await cursor.fetchall() if cursor.description else []


async def _autocommit(connection: AsyncConnection[Row]) -> None:
    # Not among the pool's arguments: the queue opens a connection of its own with those and adds this itself.
    await connection.set_autocommit(True)
