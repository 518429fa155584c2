"""Finds passages by nearness: with pgvector and its index, or exactly, a little slower, where that is missing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import sql

from aigo.agent.context import Passage, Refused
from aigo.db import Database, Row
from aigo.documents.embedder import Embedder, EmbedderAway

_COLUMNS = "p.document_id, d.name, p.ordinal, p.page, p.text"
_FROM = (
    " FROM passages p JOIN documents d ON d.id = p.document_id WHERE p.user_id = %(user)s AND p.embedder = %(embedder)s"
)


class Search:
    """The search over everybody's documents, one user's at a time."""

    def __init__(self, db: Database, embedder: Embedder) -> None:
        self._db, self._embedder = db, embedder
        self._extension: Row | None = None

    async def find(self, user_id: UUID, query: str, limit: int) -> list[Passage]:
        """Return the nearest passages, the nearest first; :raises EmbedderAway: when the query has no vector."""
        vector = (await self._embedder.embed([query]))[0]
        values = {"user": user_id, "embedder": self._embedder.name, "limit": limit}
        extension = await self._installed()
        rows = await (self._near(extension, vector, values) if extension else self._exact(vector, values))
        found = [Passage(**{**row, "score": round(row["score"], 4)}) for row in rows]
        return [passage for passage in found if passage.score > 0]

    async def has_any(self, user_id: UUID) -> bool:
        """Whether there is anything to search."""
        row = await self._db.one(
            "SELECT EXISTS (SELECT FROM passages WHERE user_id = %s AND embedder = %s) AS some",
            (user_id, self._embedder.name),
        )
        return bool(row and row["some"])

    async def _installed(self) -> Row | None:
        # Asked again until it is there: an extension may be added while the service runs, and isn't taken away.
        if self._extension is None:
            self._extension = await self._db.one(
                "SELECT n.nspname AS schema, string_to_array(e.extversion, '.')::integer[] >= '{0,8}' AS iterative"
                " FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
            )
        return self._extension

    async def _near(self, extension: Row, vector: list[float], values: dict[str, Any]) -> list[Row]:
        # The expression and the condition are those of the index that the migration makes.
        distance = sql.SQL("p.embedding::{0}.vector({1}) OPERATOR({0}.<=>) %(vector)s::{0}.vector({1})").format(
            sql.Identifier(extension["schema"]), sql.Literal(self._embedder.dimensions)
        )
        query = sql.SQL(
            f"SELECT {_COLUMNS}, 1 - ({{0}}) AS score{_FROM} AND cardinality(p.embedding) = {{1}}"
            " ORDER BY {0} LIMIT %(limit)s"
        ).format(distance, sql.Literal(self._embedder.dimensions))
        async with self._db.transaction() as connection:
            if extension["iterative"]:
                # Other users' passages may be nearer: the index goes on until there are enough of this user's.
                await connection.execute("SET LOCAL hnsw.iterative_scan = 'strict_order'")
            cursor = await connection.execute(query, values | {"vector": str(vector)})
            return await cursor.fetchall()

    async def _exact(self, vector: list[float], values: dict[str, Any]) -> list[Row]:
        # Vectors have the length of one, so that their product is the cosine of the angle between them.
        return await self._db.all(
            f"SELECT {_COLUMNS}, (SELECT sum(a * b)::float8"
            f" FROM unnest(p.embedding, %(vector)s::real[]) AS pair(a, b)) AS score{_FROM}"
            " AND cardinality(p.embedding) = %(size)s ORDER BY score DESC LIMIT %(limit)s",
            values | {"vector": vector, "size": len(vector)},
        )


class OwnLibrary:
    """One user's documents, as the agent's tool sees them."""

    def __init__(self, search: Search, user_id: UUID) -> None:
        self._search, self._user_id = search, user_id

    async def search(self, query: str, limit: int) -> list[Passage]:
        """Return the nearest passages; :raises Refused: when the search is away."""
        try:
            return await self._search.find(self._user_id, query, limit)
        except EmbedderAway:
            raise Refused("the search in documents is not available at the moment") from None
