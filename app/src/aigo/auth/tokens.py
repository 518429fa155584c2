"""Short-lived JSON web tokens and the secrets of API keys."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
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


class TokenSigner:
    """Signs and reads tokens with one symmetric key."""

    def __init__(self, secret: str, minutes: int) -> None:
        self._key = OctKey.import_key(secret)
        self.seconds = minutes * 60

    def issue(self, claims: Claims) -> str:
        """Return a token that expires after the configured minutes."""
        now = int(time.time())
        body = {"sub": str(claims.user_id), "sid": str(claims.session_id), "iat": now, "exp": now + self.seconds}
        return jwt.encode({"alg": "HS256"}, body, self._key)

    def read(self, token: str) -> Claims | None:
        """Return the claims, or None for a token that is forged, malformed or expired."""
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
            if not isinstance(claims["exp"], int) or claims["exp"] <= time.time():
                return None
            return Claims(UUID(claims["sub"]), UUID(claims["sid"]))
        except (JoseError, KeyError, TypeError, ValueError, AttributeError):
            return None


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
