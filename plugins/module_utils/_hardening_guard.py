# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to how people sign in that undo themselves unless somebody signs in anew.

Arming takes an archive of the files that decide about signing in, and starts a timer that puts it back. The timer and
the confirming session both try to rename the archive, and a rename has one winner.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.aigo.onprem.plugins.module_utils._files import sha256, write_private
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Runner, run_command

STATE_DIRECTORY = Path("/var/lib/aigo/hardening")
_UNIT = "aigo-sign-in-rollback"
# Arguments: the archive, its name once taken, then the units that have to read the files again. Directories are emptied
# before they are unpacked, so that files that came with the change go.
_ROLLBACK = (
    'mv -- "$1" "$2" && tar --extract --preserve-permissions --recursive-unlink --directory=/ --file="$2" '
    # A daemon that the change has killed is not running any more, so it is started and not only restarted.
    '&& shift 2 && { systemctl reset-failed -- "$@"; systemctl restart -- "$@"; }'
)


class GuardError(Exception):
    """Signing in cannot be guarded, or was taken back; the message says which."""


class Guard:
    """The guard of one host."""

    def __init__(
        self,
        paths: Sequence[str],
        units: Sequence[str],
        runner: Runner = run_command,
        state_directory: Path = STATE_DIRECTORY,
    ) -> None:
        self._paths = [Path(path) for path in paths]
        self._units = list(units)
        self._run = runner
        self._directory = state_directory
        self._pending = state_directory / "sign-in.pending"
        self._restored = state_directory / "sign-in.restored"
        self._memory = state_directory / "sign-in.json"

    def arm(self, timeout: int) -> None:
        """Take the archive and start the timer. Files that an earlier run left unconfirmed are put back first."""
        self._directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if self._pending.exists():
            self._run(["systemctl", "stop", f"{_UNIT}.timer"])
            self._run(["sh", "-c", _ROLLBACK, "sh", str(self._pending), str(self._restored), *self._units])
        self._archive()
        write_private(self._memory, json.dumps({"digest": self._digest()}).encode())
        self._run(["systemctl", "reset-failed", f"{_UNIT}.service", f"{_UNIT}.timer"])
        armed = self._run(
            [
                *("systemd-run", "--quiet", "--collect", f"--unit={_UNIT}", f"--on-active={timeout}"),
                *("--timer-property=AccuracySec=200ms", "--", "/bin/sh", "-c", _ROLLBACK, "sh"),
                *(str(self._pending), str(self._restored), *self._units),
            ]
        )
        if armed.rc:
            self._pending.unlink()
            raise GuardError(
                "hardening_guard: the timer that would take a lock-out back cannot be started, so nothing was changed: "
                f"{armed.err.strip()}. Mend: the host must run systemd, and `systemd-run` must work there"
            )

    def changed(self) -> bool:
        """Whether anything about signing in differs from when the guard was armed."""
        try:
            return bool(json.loads(self._memory.read_text())["digest"] != self._digest())
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise GuardError(
                "hardening_guard: it was not armed. Mend: a task with `state: armed` must come before the changes"
            ) from error

    def confirm(self) -> None:
        """Keep the changes. Raises GuardError where the timer was faster."""
        try:
            self._pending.rename(self._pending.with_suffix(".confirmed"))
        except FileNotFoundError as error:
            raise GuardError(
                "hardening_guard: nobody could sign in anew in time (SSH, PAM or sudo), so the host has taken its "
                "former files back; those are in force. Mend: see `journalctl -u ssh` there for why it was refused, or "
                "raise hardening_confirm_timeout if the host is slow"
            ) from error
        self._pending.with_suffix(".confirmed").unlink()
        self._run(["systemctl", "stop", f"{_UNIT}.timer"])

    def _archive(self) -> None:
        present = [str(path).lstrip("/") for path in self._paths if path.exists()]
        write_private(self._pending, b"")
        done = self._run(["tar", "--create", "--numeric-owner", "--directory=/", f"--file={self._pending}", *present])
        if done.rc:
            self._pending.unlink()
            raise GuardError(f"hardening_guard: the files cannot be archived, nothing was changed: {done.err.strip()}")

    def _digest(self) -> str:
        return sha256(json.dumps([self._seen(path) for path in self._files()]).encode())

    def _files(self) -> list[Path]:
        found: list[Path] = []
        for path in self._paths:
            found += [path] if path.is_file() else sorted(child for child in path.rglob("*") if child.is_file())
        return found

    @staticmethod
    def _seen(path: Path) -> list[str | int]:
        about = path.stat()
        return [str(path), about.st_mode, about.st_uid, about.st_gid, sha256(path.read_bytes())]
