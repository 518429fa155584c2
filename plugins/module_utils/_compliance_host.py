# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers of a real host to the questions of controls. Reads only; each tool is asked once."""

from __future__ import annotations

import grp
import pwd
import re
import stat
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from ansible_collections.aigo.onprem.plugins.module_utils._hardening_mounts import parse_mounts
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Runner, Systemd, run_command


class LocalHost:
    """The host that this runs on."""

    def __init__(self, runner: Runner = run_command, root: Path = Path("/")) -> None:
        self._run = runner
        self._root = root
        self._units: dict[str, tuple[str, str] | None] = {}

    def _path(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def sysctl(self, key: str) -> str | None:
        """The kernel's own value, with single blanks."""
        try:
            return " ".join(self._path(f"/proc/sys/{key.replace('.', '/')}").read_text().split())
        except OSError:
            return None

    @cached_property
    def _sshd(self) -> dict[str, str]:
        values: dict[str, str] = {}
        for line in self._run(["sshd", "-T"]).out.splitlines():
            key, _blank, value = line.partition(" ")
            values[key] = f"{values[key]} {value}" if key in values else value
        return values

    def sshd(self, key: str) -> str | None:
        """What sshd would use, drop-ins and defaults included."""
        return self._sshd.get(key.lower())

    def setting(self, path: str, key: str) -> str | None:
        """The last value of a key in a file of C(key value) or C(key = value) lines."""
        found = None
        for line in self.lines(path) or ():
            if match := re.match(rf"\s*{re.escape(key)}(?:\s*=\s*|\s+)(.*)$", line):
                found = match[1].strip()
        return found

    def lines(self, path: str) -> Sequence[str] | None:
        """The lines of a file that are no remarks."""
        try:
            text = self._path(path).read_text(errors="replace")
        except OSError:
            return None
        return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    def mode(self, path: str) -> tuple[int, str, str] | None:
        """Mode, user and group."""
        try:
            about = self._path(path).stat()
        except OSError:
            return None
        return stat.S_IMODE(about.st_mode), _user(about.st_uid), _group(about.st_gid)

    def unit(self, name: str) -> tuple[str, str] | None:
        """Active and enabled state."""
        if name not in self._units:
            state = Systemd(self._run).show([name])[name]
            self._units[name] = (state.active, state.file) if state.exists else None
        return self._units[name]

    @cached_property
    def _packages(self) -> frozenset[str]:
        done = self._run(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package}\n"])
        return frozenset(line.split()[1] for line in done.out.splitlines() if line.startswith("ii "))

    def package(self, name: str) -> bool:
        """Whether a package is installed."""
        return name in self._packages

    @cached_property
    def _refused(self) -> frozenset[str]:
        text = "\n".join(
            path.read_text(errors="replace")
            for directory in ("/etc/modprobe.d", "/usr/lib/modprobe.d", "/run/modprobe.d")
            for path in sorted(self._path(directory).glob("*.conf"))
        )
        names = re.findall(r"^\s*install\s+(\S+)\s+(?:/usr)?/bin/(?:false|true)\b", text, re.MULTILINE)
        return frozenset(name.replace("-", "_") for name in names)

    @cached_property
    def _loaded(self) -> frozenset[str]:
        return frozenset(line.split()[0] for line in self.lines("/proc/modules") or ())

    def refuses_module(self, name: str) -> bool:
        """Whether a module is neither loaded nor can be."""
        plain = name.replace("-", "_")
        return plain in self._refused and plain not in self._loaded

    def mount_options(self, path: str) -> Sequence[str] | None:
        """Options of a file system; None where the path is no mount point."""
        mounts = parse_mounts(self._path("/proc/self/mounts").read_text())
        return mounts[path][1] if path in mounts else None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
