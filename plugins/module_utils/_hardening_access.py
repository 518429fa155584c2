# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may come in: a group for SSH that never loses the account that is signed in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Runner, run_command

_NO_SHELL = ("nologin", "false", "sync")
_FIRST_PERSON = 1000
_NOBODY = 65534


class AccessError(Exception):
    """Groups that cannot be had; the message says why."""


@dataclass(frozen=True)
class Account:
    """A line of passwd, and whether the account has keys for SSH."""

    name: str
    uid: int
    shell: str
    has_keys: bool

    @property
    def signs_in(self) -> bool:
        """An account that somebody may be using by SSH today."""
        person = self.uid == 0 or _FIRST_PERSON <= self.uid < _NOBODY
        return person and self.has_keys and not self.shell.endswith(_NO_SHELL)


@dataclass(frozen=True)
class Plan:
    """Groups to make, and accounts to put into the group for SSH."""

    groups: tuple[str, ...]
    members: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.groups or self.members)


def plan(
    group: str,
    empty_groups: Sequence[str],
    wanted: Sequence[str],
    accounts: Sequence[Account],
    members_of: Callable[[str], Collection[str] | None],
) -> Plan:
    """Compare. When the group for SSH is made, who signs in by key today is put into it: nobody loses the way in.

    C(members_of) gives None for a group that does not exist.
    """
    known = {account.name for account in accounts}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise AccessError(
            f"hardening_ssh_users: the host has no account {', '.join(unknown)}. "
            "Mend: make it first, or take it out of the list"
        )
    made = [name for name in (group, *empty_groups) if members_of(name) is None]
    present = members_of(group)
    first = [account.name for account in accounts if account.signs_in] if present is None else []
    missing = [name for name in dict.fromkeys([*wanted, *first]) if name not in (present or ())]
    return Plan(tuple(made), tuple(missing))


def apply(planned: Plan, group: str, runner: Runner = run_command) -> None:
    """Make it so. Raises AccessError with what the tool said."""
    commands = [["groupadd", "--system", name] for name in planned.groups]
    commands += [["usermod", "--append", "--groups", group, name] for name in planned.members]
    for command in commands:
        done = runner(command)
        if done.rc:
            raise AccessError(f"hardening_access: `{' '.join(command)}` failed: {done.err.strip()}")


def has_keys(home: str) -> bool:
    """Whether a home directory has keys that open a session."""
    for name in (".ssh/authorized_keys", ".ssh/authorized_keys2"):
        path = Path(home, name)
        try:
            if path.is_file() and path.stat().st_size:
                return True
        except OSError:
            continue
    return False
