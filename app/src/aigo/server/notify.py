"""Messages to systemd; without systemd they go nowhere."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Speaks sd_notify's protocol."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        usec = os.environ.pop("WATCHDOG_USEC", "0")
        pid = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
        # Twice as often as it has to be.
        self.watchdog_seconds = int(usec) / 2_000_000 if usec.isdigit() and pid == str(os.getpid()) else 0.0

    def send(self, *lines: str) -> None:
        """Send lines such as ``READY=1``."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(lines).encode(), self._address)
