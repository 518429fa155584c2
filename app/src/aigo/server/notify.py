"""Messages to systemd; without systemd they go nowhere."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


class Notifier:
    """Speaks sd_notify's protocol."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        usec = os.environ.pop("WATCHDOG_USEC", "0")
        pid = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
        # Twice as often as it has to be.
        self._watchdog_seconds = int(usec) / 2_000_000 if usec.isdigit() and pid == str(os.getpid()) else 0.0
        self._pinged = 0.0

    def send(self, *lines: str) -> None:
        """Send lines such as ``READY=1``."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            # A manager that doesn't listen must not stop the service that reports to it.
            sock.settimeout(1)
            sock.sendto("\n".join(lines).encode(), self._address)

    def watchdog(self) -> None:
        """Send a sign of life, if one is wanted and due."""
        now = time.monotonic()
        if self._watchdog_seconds and now - self._pinged >= self._watchdog_seconds:
            self._pinged = now
            self.send("WATCHDOG=1")
