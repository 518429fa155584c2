"""Users, sessions and keys in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from aigo.auth.tokens import new_key
from aigo.db import Database, Row
from aigo.ids import new_id

Role = Literal["user", "auditor", "admin"]
LOCK_AFTER = 5
LOCK_MINUTES = 15


class User(BaseModel):
    """Someone who is signed in."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    display_name: str
    role: Role


class Users:
    """Questions and changes about users, their sessions and their keys."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, name: str, display_name: str, role: Role, password_hash: str) -> Row | None:
        """Create a user and return it; None when the name is taken."""
        rows = await self._db.write(
            "INSERT INTO users (id, name, display_name, role, password_hash) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (lower(name)) DO NOTHING RETURNING id, name, display_name, role",
            (new_id(), name, display_name, role, password_hash),
        )
        return rows[0] if rows else None

    async def by_name(self, name: str) -> Row | None:
        """Return a user with hash and lock, or None."""
        return await self._db.one(
            "SELECT *, locked_until > now() AS locked FROM users WHERE lower(name) = lower(%s)", (name,)
        )

    async def all(self) -> list[Row]:
        """Return every user, oldest first, without hashes."""
        return await self._db.all(
            "SELECT id, name, display_name, role, disabled_at IS NOT NULL AS disabled,"
            " coalesce(locked_until > now(), false) AS locked, created_at FROM users ORDER BY id"
        )

    async def set_password(self, name: str, password_hash: str) -> bool:
        """Replace a password, unlock the account and end its sessions; False when there is no such user."""
        async with self._db.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE users SET password_hash = %s, failed_logins = 0, locked_until = NULL"
                " WHERE lower(name) = lower(%s) RETURNING id",
                (password_hash, name),
            )
            row = await cursor.fetchone()
            if row:
                await connection.execute(
                    "UPDATE sessions SET revoked_at = now() WHERE user_id = %s AND revoked_at IS NULL", (row["id"],)
                )
            return row is not None

    async def disable(self, name: str) -> bool | None:
        """Disable a user; False when that was so already, None when there is no such user."""
        rows = await self._db.write(
            "WITH wanted AS (SELECT id, disabled_at FROM users WHERE lower(name) = lower(%s)),"
            " done AS (UPDATE users u SET disabled_at = now() FROM wanted w"
            " WHERE u.id = w.id AND w.disabled_at IS NULL)"
            " SELECT disabled_at IS NULL AS changed FROM wanted",
            (name,),
        )
        return bool(rows[0]["changed"]) if rows else None

    async def login_failed(self, user_id: UUID) -> None:
        """Count a failure; the fifth in a row locks the account for a quarter of an hour."""
        await self._db.write(
            "UPDATE users SET failed_logins = failed_logins + 1, locked_until = CASE WHEN failed_logins + 1 >= %s"
            " THEN now() + make_interval(mins => %s) ELSE locked_until END WHERE id = %s",
            (LOCK_AFTER, LOCK_MINUTES, user_id),
        )

    async def open_session(self, user_id: UUID, seconds: int) -> UUID:
        """Forget earlier failures, open a session and return its id."""
        session_id = new_id()
        await self._db.write(
            "WITH clean AS (UPDATE users SET failed_logins = 0, locked_until = NULL WHERE id = %s)"
            " INSERT INTO sessions (id, user_id, expires_at) VALUES (%s, %s, now() + make_interval(secs => %s))",
            (user_id, session_id, user_id, seconds),
        )
        return session_id

    async def close_session(self, session_id: UUID) -> None:
        """End a session."""
        await self._db.write("UPDATE sessions SET revoked_at = now() WHERE id = %s", (session_id,))

    async def by_session(self, session_id: UUID) -> Row | None:
        """Return the user of a session that is still good."""
        return await self._db.one(
            "SELECT u.id, u.name, u.display_name, u.role FROM sessions s JOIN users u ON u.id = s.user_id"
            " WHERE s.id = %s AND s.revoked_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL",
            (session_id,),
        )

    async def by_key(self, key_id: str) -> Row | None:
        """Return the user of a key that is still good, and the hash of its secret."""
        return await self._db.one(
            "SELECT u.id, u.name, u.display_name, u.role, k.secret_hash FROM api_keys k JOIN users u"
            " ON u.id = k.user_id WHERE k.id = %s AND k.revoked_at IS NULL AND u.disabled_at IS NULL"
            " AND (k.expires_at IS NULL OR k.expires_at > now())",
            (key_id,),
        )

    async def create_key(self, user_id: UUID, name: str, expires_at: datetime | None) -> tuple[Row, str]:
        """Create a key; return it and its full text, which is nowhere else."""
        key_id, text, secret_hash = new_key()
        rows = await self._db.write(
            "INSERT INTO api_keys (id, user_id, name, secret_hash, expires_at) VALUES (%s, %s, %s, %s, %s)"
            " RETURNING id, name, created_at, expires_at",
            (key_id, user_id, name, secret_hash, expires_at),
        )
        return rows[0], text

    async def keys(self, user_id: UUID | None = None) -> list[Row]:
        """Return keys without secrets: one user's, or everybody's."""
        return await self._db.all(
            "SELECT k.id, k.name, u.name AS user, k.created_at, k.expires_at, k.revoked_at IS NOT NULL AS revoked"
            " FROM api_keys k JOIN users u ON u.id = k.user_id WHERE %(user)s::uuid IS NULL OR k.user_id = %(user)s"
            " ORDER BY k.created_at",
            {"user": user_id},
        )

    async def revoke_key(self, key_id: str, user_id: UUID | None = None) -> bool | None:
        """Revoke a key; False when that was so already, None when there is no such key (of that user)."""
        rows = await self._db.write(
            "WITH wanted AS (SELECT id, revoked_at FROM api_keys WHERE id = %(key)s"
            " AND (%(user)s::uuid IS NULL OR user_id = %(user)s)),"
            " done AS (UPDATE api_keys k SET revoked_at = now() FROM wanted w"
            " WHERE k.id = w.id AND w.revoked_at IS NULL)"
            " SELECT revoked_at IS NULL AS changed FROM wanted",
            {"key": key_id, "user": user_id},
        )
        return bool(rows[0]["changed"]) if rows else None
