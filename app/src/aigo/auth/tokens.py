"""Short-lived JSON web tokens, the tokens that renew them, and the secrets of API keys."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

KEY_PREFIX = "aigo_"


@dataclass(frozen=True)
class Claims:
    """What a token says once its signature and its expiry have been checked."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True)
class Refresh:
    """What a refresh token says: each is good for one use, counted by its generation."""

    session_id: UUID
    generation: int


class TokenSigner:
    """Signs and reads tokens with one symmetric key."""

    def __init__(self, secret: str, minutes: int) -> None:
        self._key = OctKey.import_key(secret)
        self.seconds = minutes * 60

    def issue(self, claims: Claims) -> str:
        """Return a token that expires after the configured minutes."""
        body = {"sub": str(claims.user_id), "sid": str(claims.session_id), "use": "access"}
        return self._sign(body, int(time.time()) + self.seconds)

    def issue_refresh(self, refresh: Refresh, until: datetime) -> str:
        """Return a refresh token that is good until its session ends."""
        body = {"sid": str(refresh.session_id), "gen": refresh.generation, "use": "refresh"}
        return self._sign(body, int(until.timestamp()))

    def read(self, token: str) -> Claims | None:
        """Return the claims, or None for a token that is forged, malformed, expired or meant for something else."""
        claims = self._verified(token, "access")
        try:
            return Claims(UUID(claims["sub"]), UUID(claims["sid"])) if claims else None
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def read_refresh(self, token: str) -> Refresh | None:
        """As :meth:`read`, for a refresh token."""
        claims = self._verified(token, "refresh")
        try:
            return Refresh(UUID(claims["sid"]), int(claims["gen"])) if claims else None
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def _sign(self, body: dict[str, Any], expiry: int) -> str:
        return jwt.encode({"alg": "HS256"}, {**body, "iat": int(time.time()), "exp": expiry}, self._key)

    def _verified(self, token: str, use: str) -> dict[str, Any] | None:
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
            good = isinstance(claims["exp"], int) and claims["exp"] > time.time()
        except (JoseError, KeyError, TypeError, ValueError, AttributeError):
            return None
        # Tokens of the release before this one don't say what they are for.
        return claims if good and claims.get("use", "access") == use else None


def new_key() -> tuple[str, str, bytes]:
    """Return a key's id, its full text (shown once) and the hash that is stored."""
    identifier, secret = secrets.token_hex(6), secrets.token_hex(32)
    return identifier, f"{KEY_PREFIX}{identifier}_{secret}", hash_secret(secret)


def split_key(text: str) -> tuple[str, str] | None:
    """Return id and secret of a key's text, or None when it doesn't have the form of one."""
    parts = text.removeprefix(KEY_PREFIX).split("_")
    formed = text.startswith(KEY_PREFIX) and text.isascii() and len(parts) == 2 and all(map(str.isalnum, parts))
    return (parts[0], parts[1]) if formed else None


def hash_secret(secret: str) -> bytes:
    """Hash a key's secret. It has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).digest()
