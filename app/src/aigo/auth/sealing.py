"""Secrets that the service must be able to read again are stored sealed: AES-256-GCM, bound to whom they belong."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_FORM = b"\x01"
_NONCE = 12


class Sealer:
    """Seals and opens with a key that is derived from one secret."""

    def __init__(self, secret: str) -> None:
        key = HKDF(SHA256(), 32, salt=None, info=b"aigo sealed values").derive(secret.encode())
        self._cipher = AESGCM(key)

    def seal(self, value: bytes, owner: str) -> bytes:
        """Return the sealed value, which opens for the same owner only."""
        nonce = os.urandom(_NONCE)
        return _FORM + nonce + self._cipher.encrypt(nonce, value, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes | None:
        """Return the value, or None when it was sealed by another secret or for another owner."""
        sealed = bytes(sealed)
        if sealed[:1] != _FORM:
            return None
        try:
            return self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], owner.encode())
        except InvalidTag:
            return None
