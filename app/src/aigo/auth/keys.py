"""Keys for programs in the database."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from aigo.auth.permissions import Permission
from aigo.auth.sealing import Sealer
from aigo.auth.tokens import new_key, split_key
from aigo.db import Database, Row

_SHOWN = (
    "k.id, k.name, k.scopes, k.signing_secret IS NOT NULL AS signing, k.created_at, k.expires_at,"
    " k.revoked_at IS NOT NULL AS revoked"
)


class Keys:
    """Creates, finds, lists and revokes keys."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self,
        user_id: UUID,
        name: str,
        expires_at: datetime | None,
        scopes: list[Permission] | None = None,
        sealer: Sealer | None = None,
    ) -> tuple[Row, str]:
        """Create a key; return it and its full text, which is nowhere else.

        With a sealer it is a signing key: its secret never travels, so the service keeps it, sealed.
        """
        key_id, text, secret_hash = new_key()
        parts = split_key(text)
        assert parts is not None
        rows = await self._db.write(
            "INSERT INTO api_keys AS k (id, user_id, name, secret_hash, expires_at, scopes, signing_secret)"
            f" VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING {_SHOWN}",
            (
                key_id,
                user_id,
                name,
                secret_hash,
                expires_at,
                None if scopes is None else sorted({str(scope) for scope in scopes}),
                sealer.seal(parts[1].encode(), key_id) if sealer else None,
            ),
        )
        return rows[0], text

    async def person(self, key_id: str) -> Row | None:
        """Return the user of a key that is still good, the hash of its secret, its scopes and its sealed secret."""
        return await self._db.one(
            "SELECT u.id, u.name, u.display_name, u.role, u.source, u.totp_confirmed_at IS NOT NULL AS enrolled,"
            " k.secret_hash, k.scopes, k.signing_secret FROM api_keys k JOIN users u ON u.id = k.user_id"
            " WHERE k.id = %s AND k.revoked_at IS NULL AND u.disabled_at IS NULL"
            " AND (k.expires_at IS NULL OR k.expires_at > now())",
            (key_id,),
        )

    async def all(self, user_id: UUID | None = None) -> list[Row]:
        """Return keys without secrets: one user's, or everybody's."""
        return await self._db.all(
            f"SELECT {_SHOWN}, u.name AS user FROM api_keys k JOIN users u ON u.id = k.user_id"
            " WHERE %(user)s::uuid IS NULL OR k.user_id = %(user)s ORDER BY k.created_at",
            {"user": user_id},
        )

    async def revoke(self, key_id: str, user_id: UUID | None = None) -> bool | None:
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

    async def use_nonce(self, key_id: str, nonce: str, seconds: int) -> bool:
        """Note a nonce; False when it has been seen before."""
        rows = await self._db.write(
            "INSERT INTO request_nonces VALUES (%s, %s, now() + make_interval(secs => %s))"
            " ON CONFLICT DO NOTHING RETURNING nonce",
            (key_id, nonce, seconds),
        )
        return bool(rows)
