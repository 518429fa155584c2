# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the tools that do the work, and telling in their own words why they did not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from aigo_backup.errors import BackupError

_KEPT_LINES = 12


def tail(text: str, lines: int = _KEPT_LINES) -> str:
    """The last lines that say something."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])


def run(
    argv: Sequence[str],
    *,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    accept: Sequence[int] = (0,),
    what: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a command, as `user` where one is given, from a directory that everybody may enter.

    Secrets travel by `env`, `stdin` or files, never by `argv`.
    :raises BackupError: with the tool's last words, unless its exit code is accepted.
    """
    command = ["runuser", "-u", user, "--", *argv] if user and os.geteuid() == 0 else list(argv)
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        )
    except OSError as error:
        raise BackupError(f"{argv[0]} can't be run: {error.strerror}; run site.yml with --tags backups") from error
    if done.returncode not in accept:
        told = tail(done.stderr) or tail(done.stdout) or "it said nothing"
        raise BackupError(f"{what or argv[0]} failed (exit code {done.returncode}):\n{told}", done.stderr + done.stdout)
    return done
