"""Documents in the database. Every question names the user, so nobody sees somebody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from aigo.db import Database, Row
from aigo.problems import Problem

_FIELDS = "id, name, media_type, size, sha256, status, error, embedder, passages, created_at, indexed_at"


@dataclass(frozen=True)
class Piece:
    """A passage with its vector."""

    page: int | None
    text: str
    embedding: list[float]


class DocumentStore:
    """Questions and changes about documents."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self, user_id: UUID, document_id: UUID, name: str, media_type: str, size: int, sha256: str, quota: int
    ) -> Row:
        """Write down a document whose file is stored; :raises Problem: 413 past the user's quota."""
        async with self._db.transaction() as connection:
            # Two uploads at once must see each other's size.
            await connection.execute("SELECT 1 FROM users WHERE id = %s FOR NO KEY UPDATE", (user_id,))
            cursor = await connection.execute(
                "SELECT coalesce(sum(size), 0)::bigint AS used FROM documents WHERE user_id = %s", (user_id,)
            )
            row = await cursor.fetchone()
            assert row is not None
            if row["used"] + size > quota:
                raise over_quota(quota)
            cursor = await connection.execute(
                "INSERT INTO documents (id, user_id, name, media_type, size, sha256)"
                f" VALUES (%s, %s, %s, %s, %s, %s) RETURNING {_FIELDS}",
                (document_id, user_id, name, media_type, size, sha256),
            )
            row = await cursor.fetchone()
            assert row is not None
            return row

    async def page(self, user_id: UUID, limit: int, before: UUID | None) -> list[Row]:
        """Return a page of a user's documents, newest first."""
        return await self._db.all(
            f"SELECT {_FIELDS} FROM documents WHERE user_id = %(user)s"
            " AND (%(before)s::uuid IS NULL OR id < %(before)s) ORDER BY id DESC LIMIT %(limit)s",
            {"user": user_id, "before": before, "limit": limit},
        )

    async def get(self, user_id: UUID, document_id: UUID) -> Row:
        """Return a document; :raises Problem: 404."""
        row = await self._db.one(
            f"SELECT {_FIELDS} FROM documents WHERE id = %s AND user_id = %s",
            (document_id, user_id),
        )
        if row is None:
            raise _missing()
        return row

    async def used(self, user_id: UUID) -> int:
        """Return how many bytes a user's documents have."""
        row = await self._db.one(
            "SELECT coalesce(sum(size), 0)::bigint AS used FROM documents WHERE user_id = %s", (user_id,)
        )
        return int(row["used"]) if row else 0

    async def delete(self, user_id: UUID, document_id: UUID) -> None:
        """Remove a document and its passages; :raises Problem: 404."""
        rows = await self._db.write(
            "DELETE FROM documents WHERE id = %s AND user_id = %s RETURNING id", (document_id, user_id)
        )
        if not rows:
            raise _missing()

    async def claim(self, document_id: UUID) -> Row | None:
        """Begin to index a document; None when it is gone or done."""
        rows = await self._db.write(
            "UPDATE documents SET status = 'indexing' WHERE id = %s AND status IN ('queued', 'indexing')"
            " RETURNING id, user_id, media_type",
            (document_id,),
        )
        return rows[0] if rows else None

    async def indexed(self, document: Row, embedder: str, pieces: Sequence[Piece]) -> None:
        """Store a document's passages in place of those that it had; nothing if it is gone."""
        async with self._db.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE documents SET status = 'ready', error = NULL, embedder = %s, passages = %s,"
                " indexed_at = now() WHERE id = %s RETURNING id",
                (embedder, len(pieces), document["id"]),
            )
            if await cursor.fetchone() is None:
                return
            await connection.execute("DELETE FROM passages WHERE document_id = %s", (document["id"],))
            async with connection.cursor() as many:
                await many.executemany(
                    "INSERT INTO passages (document_id, ordinal, user_id, page, text, embedder, embedding)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s::real[])",
                    [
                        (document["id"], number, document["user_id"], piece.page, piece.text, embedder, piece.embedding)
                        for number, piece in enumerate(pieces, 1)
                    ],
                )

    async def failed(self, document_id: UUID, reason: str) -> None:
        """Write down that a document can't be searched."""
        await self._db.write(
            "UPDATE documents SET status = 'failed', error = %s WHERE id = %s AND status IN ('queued', 'indexing')",
            (reason, document_id),
        )

    async def forgotten(self, seconds: int) -> list[UUID]:
        """Return documents that wait to be indexed although the queue doesn't know them."""
        rows = await self._db.all(
            "SELECT id FROM documents d WHERE status IN ('queued', 'indexing')"
            " AND created_at < now() - make_interval(secs => %s)"
            " AND NOT EXISTS (SELECT FROM procrastinate_jobs p WHERE p.queueing_lock = 'document-' || d.id"
            " AND p.status IN ('todo', 'doing')) LIMIT 500",
            (seconds,),
        )
        return [row["id"] for row in rows]

    async def outdated(self, embedder: str, limit: int) -> list[UUID]:
        """Queue some documents that another embedder has indexed, and return them."""
        rows = await self._db.write(
            "UPDATE documents SET status = 'queued' WHERE id IN (SELECT id FROM documents WHERE status = 'ready'"
            " AND embedder IS DISTINCT FROM %s LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id",
            (embedder, limit),
        )
        return [row["id"] for row in rows]

    async def known(self, names: Sequence[UUID]) -> set[UUID]:
        """Return those of the names that are documents."""
        rows = await self._db.all("SELECT id FROM documents WHERE id = ANY(%s)", (list(names),))
        return {row["id"] for row in rows}


def over_quota(quota: int) -> Problem:
    """Return the problem that says: delete something first."""
    return Problem(413, "quota", f"All documents of a user may have {quota} bytes: delete some first.")


def _missing() -> Problem:
    return Problem(404, "not_found", "There is no such document.")
