# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host remembers of its backups, and one at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aigo_backup.errors import BackupError

LOCK = Path("/run/lock/aigo-backup.lock")


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file as a whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    fresh.replace(path)


class Memory:
    """The last attempt and the last success of each kind of work, in one file."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "state.json"

    def all(self) -> dict[str, dict[str, Any]]:
        """Everything; empty before the first attempt."""
        try:
            found: dict[str, dict[str, Any]] = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def note(self, kind: str, /, **facts: Any) -> None:
        """Remember facts about a kind of work."""
        known = self.all()
        known[kind] = {**known.get(kind, {}), **facts}
        write(self.path, json.dumps(known, indent=1, sort_keys=True))

    @contextlib.contextmanager
    def attempt(self, kind: str) -> Iterator[dict[str, Any]]:
        """Note how the work within went. What it puts into the mapping is remembered with a success."""
        facts: dict[str, Any] = {}
        started = time.time()
        self.note(kind, attempted=started)
        try:
            yield facts
        except BaseException as error:
            self.note(kind, ok=False, error=str(error))
            raise
        seconds = round(time.time() - started, 1)
        self.note(kind, **{"seconds": seconds, **facts, "ok": True, "error": "", "succeeded": time.time()})


@contextlib.contextmanager
def alone(wait: float = 7200, path: Path = LOCK) -> Iterator[None]:
    """Hold the host's one place for heavy work. :raises BackupError: when another holds it too long."""
    with path.open("a", encoding="utf-8") as handle:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BackupError(
                        f"another backup or restore has held {path} for {wait:.0f} s: "
                        "see systemctl list-units 'aigo-backup*'"
                    ) from None
                time.sleep(0.5)
        yield
