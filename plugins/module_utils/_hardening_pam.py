# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile of pam-auth-update: what it says, and whether the stacks in C(/etc/pam.d) have it."""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path

from ansible_collections.aigo.onprem.plugins.module_utils._files import Entry, put_entry, read_entry
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Runner, run_command

_STACKS = {
    "Auth": "common-auth",
    "Account": "common-account",
    "Password": "common-password",
    "Session": "common-session",
}
_HEADING = re.compile(r"^(?P<type>[A-Za-z]+)(?P<initial>-Initial)?:\s*(?P<rest>.*)$")
_MODULE = re.compile(r"pam_\w+\.so.*$")


class PamError(Exception):
    """The stacks cannot be had; the message says what to do."""


def wanted_modules(profile: str) -> dict[str, list[set[str]]]:
    """Per stack, the modules with their arguments that the profile adds, each as the set of its forms.

    pam-auth-update takes the C(-Initial) form of a section where the profile comes first in its stack.
    """
    sections: dict[tuple[str, bool], list[str]] = {}
    current: tuple[str, bool] | None = None
    for line in profile.splitlines():
        heading = _HEADING.match(line)
        if heading:
            stack = _STACKS.get(heading["type"])
            current = (stack, bool(heading["initial"])) if stack else None
        elif current and (module := _MODULE.search(line)):
            sections.setdefault(current, []).append(" ".join(module[0].split()))
    found: dict[str, list[set[str]]] = {}
    for stack in _STACKS.values():
        later, first = sections.get((stack, False), []), sections.get((stack, True), [])
        found[stack] = [{*forms} - {""} for forms in zip_longest(later, first, fillvalue="")]
    return found


def missing_modules(profile: str, stacks: dict[str, str]) -> list[str]:
    """Modules of the profile that a stack does not have, as C(stack: module)."""
    missing = []
    for stack, modules in wanted_modules(profile).items():
        lines = {
            " ".join(module[0].split())
            for line in stacks.get(stack, "").splitlines()
            if not line.startswith("#") and (module := _MODULE.search(line))
        }
        missing += [f"{stack}: {min(forms)}" for forms in modules if not forms & lines]
    return missing


class PamProfile:
    """One profile on the host. Directories and runner are injected for tests."""

    def __init__(
        self,
        name: str,
        content: str,
        replaces: list[str],
        runner: Runner = run_command,
        root: Path = Path("/"),
    ) -> None:
        self._name = name
        self._content = content
        self._replaces = replaces
        self._run = runner
        self._path = root / "usr/share/pam-configs" / name
        self._pam = root / "etc/pam.d"

    def before(self) -> str:
        """The profile as the host has it; empty where it has none."""
        entry = read_entry(self._path)
        return entry.content.decode("utf-8", "replace") if entry.kind == "file" else ""

    def missing(self) -> list[str]:
        """What the stacks lack of the profile."""
        stacks = {}
        for name in _STACKS.values():
            entry = read_entry(self._pam / name, follow=True)
            stacks[name] = entry.content.decode("utf-8", "replace") if entry.kind == "file" else ""
        return missing_modules(self._content, stacks)

    def due(self) -> bool:
        """Whether there is anything to do."""
        return self.before() != self._content or bool(self.missing())

    def apply(self) -> None:
        """Write the profile and have the stacks made from it. Raises PamError when they do not come to have it."""
        put_entry(self._path, Entry("file", self._content.encode(), 0o644, 0, 0))
        # Each has to be a run of its own: it takes one of the two options only.
        for command in (["--disable", *self._replaces], ["--enable", self._name]):
            if len(command) > 1:
                done = self._run(["env", "DEBIAN_FRONTEND=noninteractive", "pam-auth-update", *command])
                if done.rc:
                    raise PamError(f"hardening_pam: `pam-auth-update {' '.join(command)}` failed: {done.err.strip()}")
        missing = self.missing()
        if missing:
            raise PamError(
                "hardening_pam: pam-auth-update left the stacks as they are, as it does when a file below /etc/pam.d "
                f"was changed by hand; missing: {'; '.join(missing)}. Mend: save your changes, run "
                "`pam-auth-update --force` on the host, put what you need into a profile below "
                "/usr/share/pam-configs, and run again"
            )
