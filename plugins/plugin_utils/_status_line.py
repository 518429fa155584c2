# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line at the bottom of a terminal that tells what is going on and for how long."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable

_CLEAR = "\r\x1b[K"


class StatusLine:
    """Redraws one line every second while something runs.

    It writes past Python's buffers: a lock of theirs, held while Ansible forks, would be held for ever in the child.
    """

    def __init__(self, text: Callable[[], str], descriptor: int | None = None) -> None:
        self._text = text
        self._descriptor = descriptor if descriptor is not None else sys.stdout.fileno()
        self._shown = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._pid = os.getpid()

    def start(self) -> None:
        """Begin to redraw."""
        self._thread.start()

    def show(self) -> None:
        """Draw the line now."""
        with self._lock:
            self._write(f"{_CLEAR}{self._text()[: shutil.get_terminal_size().columns - 1]}\r")
            self._shown = True

    def hide(self) -> None:
        """Take the line away, before something else is printed."""
        with self._lock:
            if self._shown:
                self._write(_CLEAR)
                self._shown = False

    def stop(self) -> None:
        """Take the line away for good."""
        self._stop.set()
        self.hide()

    def _write(self, text: str) -> None:
        sys.stdout.flush()
        os.write(self._descriptor, text.encode())

    def _tick(self) -> None:
        while not self._stop.wait(1.0):
            with self._lock:
                if self._shown and os.getpid() == self._pid:
                    line = f"{_CLEAR}{self._text()[: shutil.get_terminal_size().columns - 1]}\r"
                    os.write(self._descriptor, line.encode())
