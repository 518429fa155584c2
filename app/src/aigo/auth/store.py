"""Users in the database."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from psycopg.errors import UniqueViolation
from pydantic import BaseModel, ConfigDict, Field, field_serializer

from aigo.auth.permissions import Permission, Role
from aigo.db import Database, Row
from aigo.ids import new_id
from aigo.problems import Problem

Source = Literal["local", "ldap", "oidc"]
_LISTED = (
    "id, name, display_name, role, source, disabled_at IS NOT NULL AS disabled,"
    " coalesce(locked_until > now(), false) AS locked, totp_confirmed_at IS NOT NULL AS enrolled, created_at"
)


class User(BaseModel):
    """Someone who is signed in, and what that allows."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    display_name: str
    role: Role
    source: Source = "local"
    enrolled: bool = Field(default=False, description="Whether a second factor is set up.")
    permissions: frozenset[Permission] = frozenset()
    session_id: UUID | None = Field(default=None, exclude=True)
    key_id: str | None = Field(default=None, exclude=True)

    @field_serializer("permissions")
    def _in_order(self, value: frozenset[Permission]) -> list[str]:
        return sorted(value)


class Users:
    """Questions and changes about users."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, name: str, display_name: str, role: Role, password_hash: str) -> Row | None:
        """Create a user and return it; None when the name is taken."""
        rows = await self._db.write(
            "INSERT INTO users (id, name, display_name, role, password_hash) VALUES (%s, %s, %s, %s, %s)"
            f" ON CONFLICT (lower(name)) DO NOTHING RETURNING {_LISTED}",
            (new_id(), name, display_name, role, password_hash),
        )
        return rows[0] if rows else None

    async def adopt(self, source: Source, external_id: str, name: str, display_name: str, role: Role) -> Row:
        """Create or update someone whom a directory vouches for; :raises Problem: 409 when the name is another's."""
        try:
            rows = await self._db.write(
                "INSERT INTO users AS u (id, name, display_name, role, source, external_id)"
                " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (source, external_id) WHERE external_id IS NOT NULL"
                " DO UPDATE SET name = excluded.name, display_name = excluded.display_name, role = excluded.role"
                " RETURNING *, coalesce(locked_until > now(), false) AS locked",
                (new_id(), name, display_name, role, source, external_id),
            )
        except UniqueViolation:
            message = f"The name {name!r} belongs to somebody else here; an administrator can mend that."
            raise Problem(409, "name_taken", message) from None
        return rows[0]

    async def by_name(self, name: str) -> Row | None:
        """Return a user with hash and lock, or None."""
        return await self._db.one(
            "SELECT *, coalesce(locked_until > now(), false) AS locked FROM users WHERE lower(name) = lower(%s)",
            (name,),
        )

    async def by_id(self, user_id: UUID) -> Row | None:
        """As :meth:`by_name`."""
        return await self._db.one(
            "SELECT *, coalesce(locked_until > now(), false) AS locked FROM users WHERE id = %s", (user_id,)
        )

    async def all(self) -> list[Row]:
        """Return every user, oldest first, without hashes."""
        return await self._db.all(f"SELECT {_LISTED} FROM users ORDER BY id")

    async def page(self, limit: int, after: UUID | None) -> list[Row]:
        """Return users after an id, oldest first, without hashes."""
        return await self._db.all(
            f"SELECT {_LISTED} FROM users WHERE %(after)s::uuid IS NULL OR id > %(after)s ORDER BY id LIMIT %(limit)s",
            {"after": after, "limit": limit},
        )

    async def listed(self, user_id: UUID) -> Row:
        """Return one user without hashes; :raises Problem: 404."""
        row = await self._db.one(f"SELECT {_LISTED} FROM users WHERE id = %s", (user_id,))
        if row is None:
            raise Problem(404, "not_found", "There is no such user.")
        return row

    async def set_password(self, name: str, password_hash: str) -> bool:
        """Replace a password, unlock the account and end its sessions; False when there is no such local user."""
        async with self._db.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE users SET password_hash = %s, failed_logins = 0, locked_until = NULL"
                " WHERE lower(name) = lower(%s) AND source = 'local' RETURNING id",
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

    async def change(
        self, user_id: UUID, *, role: Role | None, disabled: bool | None, display_name: str | None, unlock: bool
    ) -> None:
        """Change a user; :raises Problem: 409 when nobody would be left to administer the service."""
        async with self._db.transaction() as connection:
            # Whoever takes an administrator away looks at all of them, so two can't take the last two at once.
            cursor = await connection.execute(
                "SELECT id FROM users WHERE role = 'admin' AND disabled_at IS NULL ORDER BY id FOR UPDATE"
            )
            admins = {row["id"] for row in await cursor.fetchall()}
            if admins == {user_id} and (disabled or (role or "admin") != "admin"):
                raise Problem(409, "last_admin", "This is the only administrator: make another one first.")
            await connection.execute(
                "UPDATE users SET role = coalesce(%(role)s, role), display_name = coalesce(%(shown)s, display_name),"
                " disabled_at = CASE WHEN %(disabled)s::boolean IS NULL THEN disabled_at"
                " WHEN %(disabled)s THEN coalesce(disabled_at, now()) END,"
                " failed_logins = CASE WHEN %(unlock)s THEN 0 ELSE failed_logins END,"
                " locked_until = CASE WHEN %(unlock)s THEN NULL ELSE locked_until END WHERE id = %(id)s",
                {"id": user_id, "role": role, "shown": display_name, "disabled": disabled, "unlock": unlock},
            )

    async def remove_factor(self, name: str) -> bool | None:
        """Remove a second factor; False when there is none, None when there is no such user."""
        async with self._db.transaction() as connection:
            cursor = await connection.execute(
                "SELECT id, totp_secret IS NOT NULL AS present FROM users WHERE lower(name) = lower(%s) FOR UPDATE",
                (name,),
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            await connection.execute(
                "UPDATE users SET totp_secret = NULL, totp_confirmed_at = NULL WHERE id = %s", (row["id"],)
            )
            await connection.execute("DELETE FROM recovery_codes WHERE user_id = %s", (row["id"],))
            return bool(row["present"])

    async def login_failed(self, user_id: UUID, attempts: int, minutes: int) -> None:
        """Count a failure; so many in a row lock the account for so long."""
        await self._db.write(
            "WITH count AS (SELECT id, CASE WHEN locked_until < now() THEN 1 ELSE failed_logins + 1 END AS failed"
            " FROM users WHERE id = %(id)s FOR UPDATE)"
            " UPDATE users u SET failed_logins = c.failed, locked_until = CASE WHEN c.failed >= %(attempts)s"
            " THEN now() + make_interval(mins => %(minutes)s) END FROM count c WHERE u.id = c.id",
            {"id": user_id, "attempts": attempts, "minutes": minutes},
        )
