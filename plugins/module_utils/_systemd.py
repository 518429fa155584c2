# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and driving systemd units by C(systemctl): one C(show) for any number of units."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_SUFFIXES = (".service", ".socket", ".timer", ".path", ".target", ".mount", ".automount", ".swap", ".slice", ".scope")
_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,Type,RemainAfterExit,Result,ConditionResult,"
    "MainPID,NRestarts"
)
# What `systemctl enable` cannot or need not change.
_ENABLED = frozenset({"enabled", "static", "indirect", "generated", "alias", "transient"})
_KEYED_SECRET = re.compile(
    r"(?i)((?:pass(?:word|wd|phrase)?|secret|token)[\"']?\s*[:=]\s*[\"']?|(?:requirepass|masterauth|bearer)\s+)"
    r"([^\s\"',;]{3,})"
)


def mask_keyed_secrets(text: str) -> str:
    """Blot out what follows a word like C(password=) in a program's output."""
    return _KEYED_SECRET.sub(r"\1********", text)


@dataclass(frozen=True)
class Completed:
    """How a command ended."""

    rc: int
    out: str
    err: str


Runner = Callable[[Sequence[str]], Completed]


def host_environment() -> dict[str, str]:
    """The environment for administrative commands: C locale, and the system directories on PATH."""
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {**os.environ, "LC_ALL": "C", "PATH": f"{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"}


def run_command(argv: Sequence[str], timeout: float = 600) -> Completed:
    """Run a command without a terminal and without input. A missing program is rc 127, a timeout rc 124."""
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=host_environment(),
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        return Completed(127, "", f"{argv[0]}: command not found")
    except subprocess.TimeoutExpired:
        return Completed(124, "", f"{' '.join(argv)}: no end after {timeout:.0f} s")
    return Completed(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


@dataclass(frozen=True)
class UnitState:
    """What systemd knows of a unit."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    file: str = ""
    need_reload: bool = False
    type: str = ""
    remain_after_exit: bool = False
    result: str = "success"
    condition: bool = True
    main_pid: int = 0
    restarts: int = 0

    @property
    def exists(self) -> bool:
        return self.load != "not-found"

    @property
    def masked(self) -> bool:
        return self.load == "masked" or self.file.startswith("masked")

    @property
    def enabled(self) -> bool:
        """True where C(systemctl enable) would have nothing to do."""
        return self.file in _ENABLED

    @property
    def running(self) -> bool:
        return self.active in ("active", "reloading", "refreshing")

    @property
    def runs_once(self) -> bool:
        """A oneshot service that is inactive again when it has done its work."""
        return self.type == "oneshot" and not self.remain_after_exit

    def describe(self) -> str:
        """A few words for a diff or a message."""
        if not self.exists:
            return "not found"
        enabled = self.file or "no unit file"
        return f"{self.active} ({self.sub}), {enabled}"


def unit_name(name: str) -> str:
    """The full name of a unit: C(.service) is added where no type is given."""
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


def parse_show(text: str, names: Sequence[str]) -> dict[str, UnitState]:
    """Read the blocks of C(systemctl show), which come in the order of the names asked for."""
    blocks = [_block(part) for part in text.strip().split("\n\n")] if text.strip() else []
    states: dict[str, UnitState] = {}
    for position, name in enumerate(names):
        states[name] = _state(name, blocks[position]) if position < len(blocks) else UnitState(name)
    return states


def _block(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _state(name: str, values: Mapping[str, str]) -> UnitState:
    return UnitState(
        name=name,
        load=values.get("LoadState", "not-found"),
        active=values.get("ActiveState", "inactive"),
        sub=values.get("SubState", "dead"),
        file=values.get("UnitFileState", ""),
        need_reload=values.get("NeedDaemonReload") == "yes",
        type=values.get("Type", ""),
        remain_after_exit=values.get("RemainAfterExit") == "yes",
        result=values.get("Result", "success"),
        condition=values.get("ConditionResult", "yes") != "no",
        main_pid=int(values.get("MainPID") or 0),
        restarts=int(values.get("NRestarts") or 0),
    )


class Systemd:
    """The host's systemd. The runner is injected, so that tests see the exact commands."""

    def __init__(self, runner: Runner = run_command) -> None:
        self._run = runner

    def show(self, names: Sequence[str]) -> dict[str, UnitState]:
        """The state of the units, one process for all. An unreachable systemd reads as units that are not found."""
        if not names:
            return {}
        done = self._run(["systemctl", "show", f"--property={_PROPERTIES}", "--", *names])
        return parse_show(done.out, names)

    def act(self, verb: str, *names: str) -> Completed:
        """C(systemctl VERB NAMES); verbs that start something wait until systemd calls it done."""
        return self._run(["systemctl", verb, "--", *names] if names else ["systemctl", verb])

    def daemon_reload(self) -> Completed:
        """Read all unit files again."""
        return self.act("daemon-reload")

    def journal(self, name: str, since: float | None = None, lines: int = 20) -> str:
        """The last journal lines of a unit, oldest first, passwords masked; empty where there is no journal."""
        argv = ["journalctl", "--no-pager", "--quiet", "--output=short-iso", f"--lines={lines}", f"--unit={name}"]
        if since is not None:
            argv.append(f"--since=@{int(since)}")
        return mask_keyed_secrets(self._run(argv).out.strip())
