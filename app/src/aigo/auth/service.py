"""Signing in, and finding out who a credential belongs to."""

from __future__ import annotations

import hmac
from typing import Any

from aigo.auth.passwords import PasswordPool
from aigo.auth.store import User, Users
from aigo.auth.tokens import Claims, TokenSigner, hash_secret, split_key
from aigo.cache import Cache
from aigo.problems import Problem

# How long a disabled user or a revoked key may still be let in by the cache.
CACHE_SECONDS = 5
_FIELDS = ("id", "name", "display_name", "role")


def unauthenticated(detail: str = "Sign in first: send a token or a key as a bearer credential.") -> Problem:
    """Return the 401 problem."""
    return Problem(401, "unauthenticated", detail, {"WWW-Authenticate": "Bearer"})


class Auth:
    """Passwords in, tokens out; tokens and keys in, users out."""

    def __init__(self, users: Users, cache: Cache, signer: TokenSigner) -> None:
        self.users, self._cache, self._signer = users, cache, signer
        self._passwords = PasswordPool()

    async def login(self, name: str, password: str) -> tuple[User, str, int]:
        """Return the user, a token and its seconds to live; :raises Problem: 401, the same for every reason."""
        row = await self.users.by_name(name)
        good = await self._passwords.matches(row["password_hash"] if row else None, password)
        if row is None or row["disabled_at"] or row["locked"] or not good:
            if row is not None and not row["locked"]:
                await self.users.login_failed(row["id"])
            raise unauthenticated("The name or the password is wrong, or the account is locked for a while.")
        user = _user(row)
        session_id = await self.users.open_session(user.id, self._signer.seconds)
        return user, self._signer.issue(Claims(user.id, session_id)), self._signer.seconds

    async def logout(self, credential: str) -> None:
        """End the session of a token."""
        if claims := self._signer.read(credential):
            await self.users.close_session(claims.session_id)
            await self._cache.drop(f"aigo:session:{claims.session_id}")

    async def user_of(self, credential: str) -> User:
        """Return whose token or key this is; :raises Problem: 401."""
        if (key := split_key(credential)) is not None:
            user = await self._by_key(*key)
        elif (claims := self._signer.read(credential)) is not None:
            user = await self._by_session(claims)
        else:
            user = None
        if user is None:
            raise unauthenticated("The token or key isn't valid, or not any more.")
        return user

    def close(self) -> None:
        """Stop the password threads."""
        self._passwords.close()

    async def _by_session(self, claims: Claims) -> User | None:
        name = f"aigo:session:{claims.session_id}"
        cached = await self._cache.get(name)
        row = cached or await self.users.by_session(claims.session_id)
        if row and not cached:
            await self._cache.put(name, _plain(row), CACHE_SECONDS)
        return _user(row) if row and str(row["id"]) == str(claims.user_id) else None

    async def _by_key(self, key_id: str, secret: str) -> User | None:
        name = f"aigo:key:{key_id}"
        cached = await self._cache.get(name)
        row = cached or await self.users.by_key(key_id)
        if not row:
            return None
        stored = bytes.fromhex(row["secret_hash"]) if cached else bytes(row["secret_hash"])
        if not hmac.compare_digest(stored, hash_secret(secret)):
            return None
        if not cached:
            await self._cache.put(name, _plain(row) | {"secret_hash": stored.hex()}, CACHE_SECONDS)
        return _user(row)


def _user(row: Any) -> User:
    return User(**{field: row[field] for field in _FIELDS})


def _plain(row: Any) -> dict[str, str]:
    return {field: str(row[field]) for field in _FIELDS}
