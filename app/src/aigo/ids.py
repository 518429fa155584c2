"""Identifiers that sort by the time at which they were made."""

import os
import secrets
import socket
import time
from uuid import UUID


def new_id() -> UUID:
    """Return a UUID version 7 (RFC 9562): 48 bits of milliseconds, then randomness."""
    stamp = (time.time_ns() // 1_000_000) & ((1 << 48) - 1)
    rest = secrets.randbits(74)
    return UUID(int=(stamp << 80) | (0x7 << 76) | ((rest >> 62) << 64) | (0b10 << 62) | (rest & ((1 << 62) - 1)))


def instance_name() -> str:
    """Return what this process is called in logs, metrics and the database: ``$AIGO_INSTANCE`` or the host's name."""
    return os.environ.get("AIGO_INSTANCE") or socket.gethostname()
