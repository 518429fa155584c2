"""What systemd is told: readiness, stopping, and a watchdog that speaks only while the model server answers."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path


def notify(*assignments: str) -> None:
    """Send a state to the service manager; nothing happens when none started us."""
    target = os.environ.get("NOTIFY_SOCKET")
    if not target:
        return
    address = "\0" + target[1:] if target.startswith("@") else target
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.sendall("\n".join(assignments).encode())


def watchdog_seconds() -> float | None:
    """Half the watchdog's limit in seconds, or None when the unit sets none."""
    limit = os.environ.get("WATCHDOG_USEC")
    return int(limit) / 2e6 if limit else None


async def answers(backend: Path, timeout: float = 5.0) -> bool:
    """Whether the server behind the Unix socket answers its health check."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(str(backend))
            try:
                writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status


async def keep_alive(backend: Path) -> None:
    """Feed the watchdog for as long as the server answers; returns at once where no watchdog is set."""
    pause = watchdog_seconds()
    while pause:
        if await answers(backend):
            notify("WATCHDOG=1")
        await asyncio.sleep(pause)
