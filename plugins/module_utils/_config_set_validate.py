# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a set of changed files to a program at their real paths, while everybody else still sees the old ones.

The program runs in a mount namespace of its own with the staged files bound over the real ones. A file that is new or
to be removed changes a directory, so a stand-in of that directory is bound: every other entry of it is a bind mount of
the original, so that nothing is copied whatever the directory holds.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.aigo.onprem.plugins.module_utils._config_set import Change, ConfigSetError
from ansible_collections.aigo.onprem.plugins.module_utils._files import put_entry, read_entry
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Completed, host_environment

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_NAMESPACE_FAILED = 125
_TIMEOUT = 120


@dataclass
class Stage:
    """The staged copies below C(directory), and the binds (source, target) that put them in place, in order."""

    directory: Path
    binds: list[tuple[str, str]] = field(default_factory=list)
    _stand_ins: int = 0

    def add(self, changes: Sequence[Change]) -> None:
        """Stage all changes."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        rebuilt: dict[Path, list[Change]] = {}
        replaced: list[Change] = []
        vanishing = {Path(c.path) for c in changes if c.before.kind == "directory" and c.after.kind == "absent"}
        for change in changes:
            if change.before.kind == change.after.kind == "file":
                replaced.append(change)
            elif change.before.kind != "directory" or change.after.kind != "directory":
                ancestor = _existing_ancestor(Path(change.path))
                if ancestor not in vanishing:
                    rebuilt.setdefault(ancestor, []).append(change)
        for directory in sorted(rebuilt, key=lambda path: len(path.parts)):
            self._stand_in(directory, rebuilt[directory])
        for number, change in enumerate(replaced):
            staged = self.directory / f"file-{number}"
            put_entry(staged, change.after)
            self.binds.append((str(staged), change.path))

    def _stand_in(self, directory: Path, changes: Sequence[Change]) -> None:
        root = self.directory / f"directory-{self._stand_ins}"
        self._stand_ins += 1
        put_entry(root, read_entry(directory, follow=True))
        touched = {change.path for change in changes}
        for path in sorted(directory.iterdir()):
            if str(path) not in touched:
                self._keep(path, root / path.name)
        for change in changes:
            if change.after.kind != "absent":
                put_entry(root / Path(change.path).relative_to(directory), change.after)
        self.binds.append((str(root), str(directory)))

    def _keep(self, original: Path, placeholder: Path) -> None:
        if original.is_symlink():
            placeholder.symlink_to(original.readlink())
            return
        if original.is_dir():
            placeholder.mkdir()
        else:
            placeholder.touch()
        self.binds.append((str(original), str(placeholder)))


def _existing_ancestor(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.is_dir())


def _enter(binds: Sequence[tuple[str, str]]) -> Callable[[], None]:
    """What the child does between fork and exec; it reports its own failure, as an exception would lose the reason."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()

    def fail(step: str) -> None:
        os.write(2, f"{step}: {os.strerror(ctypes.get_errno())}".encode())
        os._exit(_NAMESPACE_FAILED)

    def enter() -> None:
        if libc.unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if user else 0)):
            fail("unshare")
        if user:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        if libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
            fail("make the mounts private")
        for source, target in binds:
            if libc.mount(os.fsencode(source), os.fsencode(target), None, _MS_BIND | _MS_REC, None):
                fail(f"bind over {target}")

    return enter


def run_staged(command: str, binds: Sequence[tuple[str, str]]) -> Completed:
    """Run one command with the binds in force. Raises ConfigSetError where the kernel refuses the namespace."""
    argv = shlex.split(command)
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=host_environment(),
            timeout=_TIMEOUT,
            preexec_fn=_enter(binds),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Completed(124, "", f"no end after {_TIMEOUT} s")
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    if done.returncode == _NAMESPACE_FAILED:
        raise ConfigSetError(
            f"`{command}` could not be shown the new files: the kernel refuses a private mount namespace "
            f"({err.strip()}). Nothing was changed. Mend: run as root on a host that allows CAP_SYS_ADMIN, "
            "or leave `validate` empty",
            step="validate",
        )
    return Completed(done.returncode, out, err)


def missing_program(command: str) -> str | None:
    """The name of the validator's program where the host does not have it."""
    argv = shlex.split(command)
    return None if argv and shutil.which(argv[0], path=host_environment()["PATH"]) else (argv or [command])[0]
