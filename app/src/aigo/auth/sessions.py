"""Sessions in the database: one for each sign-in, renewed by refresh tokens that are good once."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from aigo.auth.origin import Origin
from aigo.db import Database, Row
from aigo.ids import new_id

# An answer may be lost on its way: for so long the token before the newest still renews.
GRACE_SECONDS = 10
_ALIVE = "s.revoked_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL"
_PERSON = "u.id, u.name, u.display_name, u.role, u.source, u.totp_confirmed_at IS NOT NULL AS enrolled"


class Session(BaseModel):
    """A sign-in that is still good."""

    id: UUID
    method: Literal["password", "ldap", "oidc"]
    strong: bool
    address: str | None
    client: str | None
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    current: bool = False


class Sessions:
    """Opens, renews, lists and ends sessions."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def open(
        self, user_id: UUID, hours: float, origin: Origin, *, method: str, strong: bool, generation: int
    ) -> Row:
        """Forget earlier failures, open a session and return its id, generation and end."""
        rows = await self._db.write(
            "WITH clean AS (UPDATE users SET failed_logins = 0, locked_until = NULL WHERE id = %(user)s)"
            " INSERT INTO sessions (id, user_id, expires_at, method, strong, generation, address, client)"
            " VALUES (%(id)s, %(user)s, now() + make_interval(secs => %(seconds)s), %(method)s, %(strong)s,"
            " %(generation)s, %(address)s, %(client)s) RETURNING id, generation, expires_at",
            {
                "id": new_id(),
                "user": user_id,
                "seconds": hours * 3600,
                "method": method,
                "strong": strong,
                "generation": generation,
                "address": origin.address,
                "client": origin.client,
            },
        )
        return rows[0]

    async def person(self, session_id: UUID) -> Row | None:
        """Return the user of a session that is still good."""
        return await self._db.one(
            f"SELECT {_PERSON}, s.strong FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = %s AND {_ALIVE}",
            (session_id,),
        )

    async def renew(self, session_id: UUID, generation: int, origin: Origin) -> Row | None:
        """Use up a generation; return the person, the new generation and the end, or None when it isn't the newest."""
        rows = await self._db.write(
            "UPDATE sessions s SET generation = s.generation + 1, refreshed_at = now(), address = %s, client = %s"
            f" FROM users u WHERE s.id = %s AND s.generation = %s AND u.id = s.user_id AND {_ALIVE}"
            f" RETURNING {_PERSON}, s.strong, s.generation, s.expires_at",
            (origin.address, origin.client, session_id, generation),
        )
        return rows[0] if rows else None

    async def standing(self, session_id: UUID) -> Row | None:
        """Return the person, the generation and whether it is brand-new, for a session that is still good."""
        return await self._db.one(
            f"SELECT {_PERSON}, s.strong, s.generation, s.expires_at,"
            " s.refreshed_at > now() - make_interval(secs => %s) AS recent"
            f" FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = %s AND {_ALIVE}",
            (GRACE_SECONDS, session_id),
        )

    async def strengthen(self, session_id: UUID) -> None:
        """Note that the second factor was shown."""
        await self._db.write("UPDATE sessions SET strong = true WHERE id = %s", (session_id,))

    async def of_user(self, user_id: UUID) -> list[Session]:
        """Return a user's sessions that are still good, newest first."""
        rows = await self._db.all(
            "SELECT id, method, strong, address, client, created_at, refreshed_at, expires_at FROM sessions"
            " WHERE user_id = %s AND revoked_at IS NULL AND expires_at > now() ORDER BY id DESC LIMIT 500",
            (user_id,),
        )
        return [Session(**row) for row in rows]

    async def end(self, user_id: UUID, session_id: UUID | None = None, *, keep: UUID | None = None) -> list[UUID]:
        """End one session of a user, or all of them but one; return the ids of those that were still good."""
        rows = await self._db.write(
            "UPDATE sessions SET revoked_at = now() WHERE user_id = %(user)s AND revoked_at IS NULL"
            " AND (%(one)s::uuid IS NULL OR id = %(one)s) AND (%(keep)s::uuid IS NULL OR id <> %(keep)s) RETURNING id",
            {"user": user_id, "one": session_id, "keep": keep},
        )
        return [row["id"] for row in rows]
