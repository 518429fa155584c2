"""Argon2id in a pool of its own: a hash takes 64 MiB and a good part of a second, so few run at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from aigo.problems import unavailable

MINIMUM_LENGTH = 10
_PARALLEL = 2
_WAITING = 32


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


# Verifying against this for a name that doesn't exist takes as long as for one that does: same costs, no owner.
ABSENT = "$argon2id$v=19$m=65536,t=3,p=4$zy268C58dvYvaYHwZ8PAjQ$QKY0QKYUdvjFFp6/YhCWVod1BgsIJHdbs1v0WAxSl8Q"


def hash_password(password: str) -> str:
    """Hash a password; :raises ValueError: when it is too short or absurdly long."""
    if not MINIMUM_LENGTH <= len(password) <= 1024:
        raise ValueError(f"a password needs at least {MINIMUM_LENGTH} characters (and at most 1024)")
    return _hasher().hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed; takes its time even when there is no hash."""
    try:
        return _hasher().verify(password_hash or ABSENT, password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


class PasswordPool:
    """Runs :func:`matches` off the event loop, with a bounded queue."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="argon2")
        self._waiting = 0

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """As :func:`matches`; refuses with 503 when too many are waiting already."""
        if self._waiting >= _WAITING:
            raise unavailable("Too many people are signing in at once.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, matches, password_hash, password)
        finally:
            self._waiting -= 1

    async def hash(self, password: str) -> str:
        """As :func:`hash_password`, in the same threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, hash_password, password)

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
