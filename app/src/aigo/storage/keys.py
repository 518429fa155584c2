"""Encryption of a stream by AES-256-GCM, piece by piece, so that no whole file has to be in memory.

A file begins with a header: magic, the name of its key, and a salt from which (with the key) the file's own key is
derived. Then come pieces of 64 KiB, each sealed with its position and whether it is the last: pieces can't be changed,
exchanged, left out or cut off, and a file can't be passed off as another one, because its name is sealed in too.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_MAGIC = b"AIGO\x01"
_SALT = 32
_PIECE = 65_536
_TAG = 16


class Unreadable(Exception):
    """A stored file was changed, cut off, or encrypted with a key that isn't there."""


class KeyRing:
    """Named keys; new files are sealed with the active one, old ones are opened with theirs."""

    def __init__(self, keys: Mapping[str, str], active: str | None = None) -> None:
        self._keys = {name: _decoded(name, text) for name, text in keys.items()}
        self.active = active or (next(iter(keys)) if len(keys) == 1 else None)

    async def seal(self, name: str, plain: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Encrypt a stream that will be stored under a name."""
        assert self.active is not None
        salt = os.urandom(_SALT)
        key_id = self.active.encode()
        header = _MAGIC + bytes([len(key_id)]) + key_id + salt
        yield header
        cipher, number, waiting = self._cipher(self.active, salt), 0, bytearray()
        async for data in plain:
            waiting += data
            # One piece is always held back: only at the end it is known to be the last.
            while len(waiting) > _PIECE:
                yield cipher.encrypt(_nonce(number, last=False), bytes(waiting[:_PIECE]), header + name.encode())
                del waiting[:_PIECE]
                number += 1
        yield cipher.encrypt(_nonce(number, last=True), bytes(waiting), header + name.encode())

    def open(self, name: str, sealed: Iterable[bytes]) -> Iterator[bytes]:
        """Decrypt what is stored under a name; :raises Unreadable: before any byte that isn't the original's."""
        pieces = _Reader(sealed)
        start = pieces.take(len(_MAGIC) + 1)
        if start[:-1] != _MAGIC:
            raise Unreadable(f"{name} is not a file of this storage")
        key_id = pieces.take(start[-1])
        salt = pieces.take(_SALT)
        header = start + key_id + salt
        cipher, number, last = self._cipher(key_id.decode(errors="replace"), salt), 0, False
        while not last:
            piece = pieces.take(_PIECE + _TAG, exact=False)
            last = pieces.at_end
            try:
                yield cipher.decrypt(_nonce(number, last), piece, header + name.encode())
            except InvalidTag:
                raise Unreadable(f"{name} was changed or cut off, or its key is another one") from None
            number += 1

    def _cipher(self, key_id: str, salt: bytes) -> AESGCM:
        if key_id not in self._keys:
            raise Unreadable(f"the key {key_id!r} is missing: put it in secrets/storage.keys.{key_id}")
        return AESGCM(HKDF(SHA256(), 32, salt, b"aigo file").derive(self._keys[key_id]))


class _Reader:
    """Hands out so many bytes at a time, and knows when there are none left."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._waiting, self.at_end = iter(chunks), bytearray(), False

    def take(self, size: int, exact: bool = True) -> bytes:
        while len(self._waiting) <= size and not self.at_end:
            chunk = next(self._chunks, b"")
            self.at_end = not chunk
            self._waiting += chunk
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        self.at_end = self.at_end and not self._waiting
        if exact and len(taken) < size:
            raise Unreadable("the file ends within its header")
        return taken


def decoded_key(text: str) -> bytes:
    """Return the 32 bytes of a key in Base64; :raises ValueError: with the mend."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("is not 32 bytes in Base64: make one with `openssl rand -base64 32`")
    return key


def _decoded(name: str, text: str) -> bytes:
    try:
        return decoded_key(text)
    except ValueError as error:
        raise ValueError(f"storage.keys.{name} {error}") from None


def _nonce(number: int, last: bool) -> bytes:
    return b"\x00" * 6 + bytes([last]) + number.to_bytes(5, "big")
