"""Finding out who a credential belongs to, and what it allows."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aigo.auth.keys import Keys
from aigo.auth.permissions import Permission, effective
from aigo.auth.sealing import Sealer
from aigo.auth.sessions import Sessions
from aigo.auth.signing import SKEW_SECONDS, Signature
from aigo.auth.store import User, Users
from aigo.auth.tokens import Claims, TokenSigner, hash_secret, split_key
from aigo.auth.totp import SecondFactors
from aigo.cache import Cache
from aigo.config.identity import Auth as AuthSettings
from aigo.config.load import reveal
from aigo.db import Database
from aigo.problems import Problem

# How long a disabled user, a changed role or a revoked key may still be let in by the cache.
CACHE_SECONDS = 5
_FIELDS = ("id", "name", "display_name", "role", "source", "enrolled", "strong", "scopes")
_HIDDEN = ("secret_hash", "signing_secret")


def unauthenticated(
    detail: str = "Sign in first: send a token or a key as a bearer credential.", code: str = "unauthenticated"
) -> Problem:
    """Return the 401 problem."""
    return Problem(401, code, detail, {"WWW-Authenticate": "Bearer"})


def require(user: User, permission: Permission) -> None:
    """:raises Problem: 403 when the user, or the key that was used, may not do that."""
    if permission in user.permissions:
        return
    if user.permissions <= {Permission.ACCOUNT} and not user.key_id:
        message = "Your role needs a second factor: set one up, or show it, at /api/v1/auth/mfa."
        raise Problem(403, "second_factor_needed", message)
    raise Problem(403, "forbidden", f"This needs the permission {permission}, which you or your key don't have.")


@dataclass(frozen=True)
class Signed:
    """A signed request: what its header says, and what was signed."""

    signature: Signature
    method: str
    target: str
    body: bytes


class Auth:
    """Tokens, keys and signatures in, users out; and the stores behind them."""

    def __init__(self, db: Database, cache: Cache, settings: AuthSettings) -> None:
        secret = reveal(settings.token_secret)
        assert secret is not None
        self.users, self.sessions, self.keys = Users(db), Sessions(db), Keys(db)
        self.sealer = Sealer(reveal(settings.mfa.secret) or secret)
        self.factors = SecondFactors(db, self.sealer)
        self.signer = TokenSigner(secret, settings.token_minutes)
        self._db, self._cache, self._required = db, cache, frozenset(settings.mfa.required_roles)

    async def user_of(self, credential: str | Signed) -> User:
        """Return whose token, key or signature this is; :raises Problem: 401."""
        if isinstance(credential, Signed):
            user = await self._by_signature(credential)
        elif (key := split_key(credential)) is not None:
            user = await self._by_key(*key)
        elif (claims := self.signer.read(credential)) is not None:
            user = await self._by_session(claims)
        else:
            user = None
        if user is None:
            raise unauthenticated("The token, key or signature isn't valid, or not any more.")
        return user

    async def still(self, user: User) -> User:
        """Return the user as things are now; :raises Problem: 401 when the session or the key has ended."""
        row = None
        if user.session_id:
            row = await self._cached(f"s:{user.session_id}", lambda: self.sessions.person(user.session_id))
        elif user.key_id:
            row = await self._cached(f"k:{user.key_id}", lambda: self.keys.person(user.key_id))
        if row is None:
            raise unauthenticated("The session or key has ended: sign in again.")
        return self._user(row, session_id=user.session_id, key_id=user.key_id)

    async def forget(self, user_id: UUID) -> None:
        """Make a change to a user count at once, wherever Redis is there."""
        rows = await self._db.all(
            "SELECT 's:' || id AS name FROM sessions WHERE user_id = %(user)s AND expires_at > now()"
            " UNION ALL SELECT 'k:' || id FROM api_keys WHERE user_id = %(user)s",
            {"user": user_id},
        )
        if rows:
            await self._cache.drop(*(_name(row["name"]) for row in rows))

    async def forget_session(self, *session_ids: UUID) -> None:
        """As :meth:`forget`, for sessions."""
        if session_ids:
            await self._cache.drop(*(_name(f"s:{session_id}") for session_id in session_ids))

    async def forget_key(self, key_id: str) -> None:
        """As :meth:`forget`, for a key."""
        await self._cache.drop(_name(f"k:{key_id}"))

    async def _by_session(self, claims: Claims) -> User | None:
        session_id = claims.session_id
        row = await self._cached(f"s:{session_id}", lambda: self.sessions.person(session_id))
        return self._user(row, session_id=session_id) if row and str(row["id"]) == str(claims.user_id) else None

    async def _by_key(self, key_id: str, secret: str) -> User | None:
        row = await self._cached(f"k:{key_id}", lambda: self.keys.person(key_id))
        # A key for signing is worth nothing as it stands: it may have been seen.
        if row is None or row["signing_secret"] is not None:
            return None
        stored = bytes.fromhex(row["secret_hash"])
        return self._user(row, key_id=key_id) if hmac.compare_digest(stored, hash_secret(secret)) else None

    async def _by_signature(self, signed: Signed) -> User | None:
        signature = signed.signature
        row = await self._cached(f"k:{signature.key_id}", lambda: self.keys.person(signature.key_id))
        if row is None or row["signing_secret"] is None or not signature.timely:
            return None
        secret = self.sealer.open(bytes.fromhex(row["signing_secret"]), signature.key_id)
        if secret is None or not signature.matches(secret, signed.method, signed.target, signed.body):
            return None
        if not await self.keys.use_nonce(signature.key_id, signature.nonce, 2 * SKEW_SECONDS):
            return None
        return self._user(row, key_id=signature.key_id)

    async def _cached(self, name: str, read: Any) -> dict[str, Any] | None:
        cached: dict[str, Any] | None = await self._cache.get(_name(name))
        if cached is not None:
            return cached
        row = await read()
        if row is None:
            return None
        plain = {field: row.get(field) for field in _FIELDS} | {"id": str(row["id"])}
        for field in _HIDDEN:
            value = row.get(field)
            plain[field] = None if value is None else bytes(value).hex()
        await self._cache.put(_name(name), plain, CACHE_SECONDS)
        return plain

    def _user(self, row: dict[str, Any], *, session_id: UUID | None = None, key_id: str | None = None) -> User:
        # A program can't show a second factor: its key is good when its owner has one.
        shown = row["strong"] if session_id else row["enrolled"]
        return User(
            id=row["id"],
            name=row["name"],
            display_name=row["display_name"],
            role=row["role"],
            source=row["source"],
            enrolled=row["enrolled"],
            permissions=effective(row["role"], row["scopes"], row["role"] not in self._required or shown),
            session_id=session_id,
            key_id=key_id,
        )


def _name(name: str) -> str:
    return f"aigo:who:{name}"
