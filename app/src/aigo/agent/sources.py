"""Databases that the agent may read: an account of its own, one SELECT at a time, bounded in time and size."""

from __future__ import annotations

import asyncio

from psycopg import AsyncConnection, Error
from psycopg.conninfo import make_conninfo
from psycopg.errors import QueryCanceled

from aigo.agent.context import Refused
from aigo.config.load import reveal
from aigo.config.schema import Source as SourceSettings
from aigo.config.schema import split_endpoint

_CONNECT_SECONDS = 5
_ROW = 4_000
_SHOWN = 12_000


class PostgresSource:
    """One configured source."""

    def __init__(self, settings: SourceSettings) -> None:
        self.name, self.description = settings.name, settings.description
        self._roles = set(settings.roles)
        self._users = {name.casefold() for name in settings.users}
        self._seconds, self._rows = settings.statement_seconds, settings.max_rows
        endpoints = [split_endpoint(host) for host in settings.hosts]
        self._conninfo = make_conninfo(
            host=",".join(host for host, _ in endpoints),
            port=",".join(str(port) for _, port in endpoints),
            dbname=settings.database,
            user=settings.user,
            password=reveal(settings.password),
            sslmode=settings.sslmode,
            sslrootcert=settings.sslrootcert,
            application_name="aigo-agent",
            connect_timeout=_CONNECT_SECONDS,
            options=f"-c default_transaction_read_only=on -c statement_timeout={int(self._seconds * 1000)}",
        )

    def granted(self, name: str, role: str) -> bool:
        """Whether somebody may ask this database."""
        return role in self._roles or name.casefold() in self._users

    async def query(self, statement: str) -> str:
        """Return rows as JSON lines; :raises Refused: when the statement may not or can't be run."""
        try:
            async with asyncio.timeout(self._seconds + _CONNECT_SECONDS):
                rows = await self._rows_of(statement.strip().rstrip(";").rstrip())
        except (QueryCanceled, TimeoutError):
            raise Refused(f"the statement took longer than {self._seconds:g} s") from None
        except Error as error:
            raise Refused(error.diag.message_primary or "the database can't be reached") from None
        if not rows:
            return "There are no rows."
        more = len(rows) > self._rows
        text = "\n".join(rows[: self._rows])
        return text[:_SHOWN] + ("\n… (there is more)" if more or len(text) > _SHOWN else "")

    async def _rows_of(self, statement: str) -> list[str]:
        async with await AsyncConnection.connect(self._conninfo) as connection:
            await connection.set_read_only(True)
            # binary=True has the server take exactly one statement. A cursor takes a SELECT only, and once the
            # statement has stood by itself it can't break out of the parentheses below.
            await connection.execute(f"DECLARE alone NO SCROLL CURSOR FOR {statement}".encode(), binary=True)
            bounded = f"SELECT left(row_to_json(q)::text, {_ROW}) FROM (\n{statement}\n) q LIMIT {self._rows + 1}"
            await connection.execute(f"DECLARE bounded NO SCROLL CURSOR FOR {bounded}".encode(), binary=True)
            cursor = await connection.execute("FETCH ALL FROM bounded")
            return [row[0] for row in await cursor.fetchall()]
