# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load rules that undo themselves unless somebody comes back to confirm them.

Between loading and confirming there is one file, C(NAME.pending): the document that restores the former rules. A timer
on the host and the confirming connection both try to rename it, and a rename has one winner, so rules are never
confirmed and taken back at once.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.aigo.onprem.plugins.module_utils._files import (
    Entry,
    put_entry,
    read_entry,
    sha256,
    write_private,
)
from ansible_collections.aigo.onprem.plugins.module_utils._nftables import (
    Memory,
    NftablesError,
    Plan,
    Ruleset,
    check,
    normalise,
    plan,
    restore_document,
)
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Completed, Runner, run_command

STATE_DIRECTORY = Path("/var/lib/aigo/nftables")
# The unit's shell gets the two names as arguments, never as text.
_ROLLBACK = 'mv -- "$1" "$2" && exec nft -f "$2"'


@dataclass(frozen=True)
class Loaded:
    """What C(load) did. C(token) is set where the rules await their confirmation."""

    plan: Plan
    before: str
    token: str | None = None


class Firewall:
    """The host's nftables, for one ruleset with one file for the boot."""

    def __init__(
        self, wanted: Ruleset, path: Path, runner: Runner = run_command, state_directory: Path = STATE_DIRECTORY
    ) -> None:
        check(wanted)
        if not path.is_absolute() or not re.fullmatch(r"[A-Za-z0-9_-]+", path.stem):
            raise NftablesError(
                f"nftables_ruleset: path {str(path)!r} is not absolute with a plain name such as aigo.nft"
            )
        self._wanted = wanted
        self._path = path
        self._run = runner
        self._directory = state_directory
        self._memory_file = state_directory / f"{path.stem}.json"
        self._pending = state_directory / f"{path.stem}.pending"
        self._taken_back = state_directory / f"{path.stem}.restored"
        self._unit = f"aigo-nftables-rollback-{path.stem}"

    def predict(self) -> Loaded:
        """Check mode: what would happen; the rules are checked where C(nft) is there to do it."""
        if self._run(["nft", "--version"]).rc:
            return Loaded(Plan(load=True, persist=True), "")
        planned = self._plan()
        if planned.load:
            with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
                file.write(self._wanted.document)
                file.flush()
                self._refuse(self._run(["nft", "--check", "--file", file.name]))
        return Loaded(planned, self._boot_file() or "")

    def load(self, timeout: int) -> Loaded:
        """Load the rules if they are not in force, to be taken back after C(timeout) seconds without C(confirm)."""
        self._prepare()
        before = self._boot_file() or ""
        planned = self._plan()
        if not planned.load:
            if planned.persist:
                self._persist()
            return Loaded(planned, before)
        new = self._directory / f"{self._path.stem}.new"
        write_private(new, self._wanted.document.encode())
        self._refuse(self._run(["nft", "--check", "--file", str(new)]))
        self._arm(timeout)
        loaded = self._run(["nft", "--file", str(new)])
        if loaded.rc:
            self._disarm()
            raise NftablesError(
                f"nftables_ruleset: the kernel refused the rules, nothing was changed: {loaded.err.strip()}"
            )
        new.unlink()
        return Loaded(planned, before, self._wanted.digest)

    def confirm(self, token: str) -> None:
        """Keep the loaded rules, now and at boot. Raises NftablesError when they are no longer those of the token."""
        if token != self._wanted.digest or not self._disarm():
            raise NftablesError(
                "nftables_ruleset: the controller could not connect through the new rules in time, so the host has "
                "taken its former rules back; those are in force. Mend: let the controller in on the port of SSH, or "
                "raise confirm_timeout if the network is slow"
            )
        memory = {"document": self._wanted.digest, "listing": sha256(normalise(self._listing()).encode())}
        write_private(self._memory_file, (json.dumps(memory) + "\n").encode())
        self._persist()

    def _prepare(self) -> None:
        if self._run(["nft", "--version"]).rc:
            raise NftablesError("nftables_ruleset: the host has no `nft`. Mend: install the package nftables first")
        self._directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if self._pending.exists():  # an earlier run ended between loading and confirming: nobody vouched for its rules
            self._run(["systemctl", "stop", f"{self._unit}.timer"])
            self._run(["sh", "-c", _ROLLBACK, "sh", str(self._pending), str(self._taken_back)])

    def _plan(self) -> Plan:
        return plan(self._wanted, self._memory(), self._listing(), self._boot_file())

    def _memory(self) -> Memory:
        try:
            raw = json.loads(self._memory_file.read_text())
            return Memory(str(raw["document"]), str(raw["listing"]))
        except (FileNotFoundError, ValueError, KeyError):
            return Memory()

    def _boot_file(self) -> str | None:
        entry = read_entry(self._path)
        return entry.content.decode("utf-8", "replace") if entry.kind == "file" else None

    def _listing(self) -> str:
        """The kernel's tables without counters; a table that does not exist lists as nothing."""
        return "".join(self._list(table, "--stateless") for table in self._wanted.tables)

    def _list(self, table: str, *options: str) -> str:
        done = self._run(["nft", *options, "list", "table", self._wanted.family, table])
        if done.rc and "No such file" not in done.err:
            raise NftablesError(f"nftables_ruleset: `nft list table` fails, nothing was changed: {done.err.strip()}")
        return "" if done.rc else done.out

    def _arm(self, timeout: int) -> None:
        listings = [self._list(table) for table in self._wanted.tables]
        document = restore_document(self._wanted.family, self._wanted.tables, listings)
        write_private(self._pending, document.encode())
        self._run(["systemctl", "reset-failed", f"{self._unit}.service", f"{self._unit}.timer"])
        armed = self._run(
            [
                *("systemd-run", "--quiet", "--collect", f"--unit={self._unit}", f"--on-active={timeout}"),
                *("--timer-property=AccuracySec=200ms", "--", "/bin/sh", "-c", _ROLLBACK, "sh"),
                *(str(self._pending), str(self._taken_back)),
            ]
        )
        if armed.rc:
            self._pending.unlink()
            raise NftablesError(
                "nftables_ruleset: the timer that would take bad rules back cannot be started, so nothing was changed: "
                f"{armed.err.strip()}. Mend: the host must run systemd, and `systemd-run` must work there"
            )

    def _disarm(self) -> bool:
        """Win the rename against the timer. False where the former rules are in force again."""
        try:
            self._pending.rename(self._pending.with_suffix(".confirmed"))
        except FileNotFoundError:
            return False
        self._pending.with_suffix(".confirmed").unlink()
        self._run(["systemctl", "stop", f"{self._unit}.timer"])
        return True

    def _persist(self) -> None:
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        put_entry(self._path, Entry("file", self._wanted.document.encode(), 0o640))

    def _refuse(self, checked: Completed) -> None:
        if checked.rc:
            raise NftablesError(
                f"nftables_ruleset: `nft --check` refuses the rules, nothing was changed:\n{checked.err.strip()}\n"
                "Mend: correct the rules that the lines above speak of"
            )
