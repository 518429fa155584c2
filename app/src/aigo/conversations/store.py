"""Conversations in the database. Every question names the user, so nobody sees somebody else's."""

from __future__ import annotations

from uuid import UUID

from aigo.db import Database, Row
from aigo.ids import new_id
from aigo.problems import Problem


def _missing() -> Problem:
    return Problem(404, "not_found", "There is no such conversation.")


class Conversations:
    """Questions and changes about conversations."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, user_id: UUID, title: str) -> Row:
        """Create an empty conversation."""
        rows = await self._db.write(
            "INSERT INTO conversations (id, user_id, title) VALUES (%s, %s, %s)"
            " RETURNING id, title, created_at, updated_at",
            (new_id(), user_id, title),
        )
        return rows[0]

    async def page(self, user_id: UUID, limit: int, before: UUID | None) -> list[Row]:
        """Return a page of a user's conversations, newest first."""
        return await self._db.all(
            "SELECT id, title, created_at, updated_at FROM conversations WHERE user_id = %(user)s"
            " AND deleted_at IS NULL AND (%(before)s::uuid IS NULL OR id < %(before)s)"
            " ORDER BY id DESC LIMIT %(limit)s",
            {"user": user_id, "before": before, "limit": limit},
        )

    async def get(self, user_id: UUID, conversation_id: UUID) -> Row:
        """Return a conversation; :raises Problem: 404."""
        row = await self._db.one(
            "SELECT id, title, created_at, updated_at FROM conversations"
            " WHERE id = %s AND user_id = %s AND deleted_at IS NULL",
            (conversation_id, user_id),
        )
        if row is None:
            raise _missing()
        return row

    async def messages(self, conversation_id: UUID, limit: int, before: UUID | None = None) -> list[Row]:
        """Return a page of messages, the last ones, oldest first, each with what became of its run."""
        rows = await self._db.all(
            "SELECT m.id, m.run_id, m.role, m.content, m.created_at, CASE WHEN r.id IS NOT NULL THEN"
            " jsonb_build_object('status', r.status, 'error', r.error, 'model', r.model,"
            " 'tool_calls', (r.usage->>'tool_calls')::integer, 'sources', r.sources) END AS run"
            " FROM messages m LEFT JOIN runs r ON r.id = m.run_id WHERE m.conversation_id = %(conversation)s"
            " AND (%(before)s::uuid IS NULL OR m.id < %(before)s) ORDER BY m.id DESC LIMIT %(limit)s",
            {"conversation": conversation_id, "before": before, "limit": limit},
        )
        return rows[::-1]

    async def rename(self, user_id: UUID, conversation_id: UUID, title: str) -> Row:
        """Give a conversation another title; :raises Problem: 404."""
        rows = await self._db.write(
            "UPDATE conversations SET title = %s, updated_at = now() WHERE id = %s AND user_id = %s"
            " AND deleted_at IS NULL RETURNING id, title, created_at, updated_at",
            (title, conversation_id, user_id),
        )
        if not rows:
            raise _missing()
        return rows[0]

    async def delete(self, user_id: UUID, conversation_id: UUID) -> None:
        """Hide a conversation, to be removed for good later; :raises Problem: 404."""
        rows = await self._db.write(
            "UPDATE conversations SET deleted_at = now() WHERE id = %s AND user_id = %s AND deleted_at IS NULL"
            " RETURNING id",
            (conversation_id, user_id),
        )
        if not rows:
            raise _missing()
