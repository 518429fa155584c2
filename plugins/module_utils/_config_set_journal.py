# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a configuration set remembers on the host: its state, its lock, and the journal of a change under way.

The journal is complete on disk before the first file is touched, and is gone only when the units run with the new
files. Whoever finds one finds a run that was killed, and puts everything back from it: the same way as after a failure.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._config_set import Change, ConfigSetError, is_unit_file
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_units import Step, undo_steps
from ansible_collections.aigo.onprem.plugins.module_utils._files import (
    Entry,
    put_entry,
    temporary_name,
    write_private,
)
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Systemd, UnitState

STATE_DIRECTORY = Path("/var/lib/aigo/config_set")


@dataclass(frozen=True)
class Outcome:
    """What became of putting everything back."""

    restored: list[str]
    files_failed: list[str]
    units_failed: list[str]

    def describe(self) -> str:
        """For the message of a failed run."""
        if self.files_failed:
            return f"These paths could NOT be put back: {'; '.join(self.files_failed)}"
        if self.units_failed:
            return f"All files are as they were, but units did not come back with them: {'; '.join(self.units_failed)}"
        return "All files are as they were, and the units run with them as before."


class Memory:
    """The files of one set below the state directory."""

    def __init__(self, name: str, directory: Path = STATE_DIRECTORY) -> None:
        self._directory = directory
        self._name = name
        self._state = directory / f"{name}.json"
        self._journal = directory / f"{name}.journal"
        self._record: dict[str, Any] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs of this set out. Raises ConfigSetError when one is at work."""
        self._directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        with (self._directory / f"{self._name}.lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigSetError(
                    f"config_set {self._name}: another run is at work on this set; wait for it and run again"
                ) from None
            yield

    @property
    def digest(self) -> str | None:
        """The digest last activated successfully."""
        try:
            digest = json.loads(self._state.read_text()).get("digest")
        except (FileNotFoundError, ValueError):
            return None
        return digest if isinstance(digest, str) and not self.interrupted else None

    @property
    def interrupted(self) -> bool:
        """True where an earlier run was killed between its first write and its end."""
        return (self._journal / "journal.json").exists()

    def forget_digest(self) -> None:
        """Make the next run activate the units."""
        if self._state.exists():
            state = json.loads(self._state.read_text())
            self._store({**state, "digest": None})

    def succeed(self, digest: str, managed: Sequence[str]) -> None:
        """The units run with the new files: remember that, and drop the journal."""
        self._store({"name": self._name, "digest": digest, "managed": list(managed)})
        self._drop_journal()

    def _store(self, state: Mapping[str, Any]) -> None:
        write_private(self._state, (json.dumps(state, indent=1) + "\n").encode())

    def _drop_journal(self) -> None:
        (self._journal / "journal.json").unlink(missing_ok=True)
        shutil.rmtree(self._journal, ignore_errors=True)

    def begin(self, changes: Sequence[Change], units: Mapping[str, UnitState]) -> None:
        """Write down how everything is, before anything is touched."""
        self._drop_journal()
        self._journal.mkdir(mode=0o700)
        entries = []
        for number, change in enumerate(changes):
            before = asdict(change.before)
            if change.before.kind == "file":
                write_private(self._journal / str(number), change.before.content)
            entries.append({**before, "content": "", "path": change.path})
        self._record = {"entries": entries, "units": {n: asdict(s) for n, s in units.items()}, "steps": []}
        self._write_journal()

    def touch(self, step: Step) -> None:
        """Write down that this unit's step comes next."""
        self._record["steps"].append(asdict(step))
        self._write_journal()

    def _write_journal(self) -> None:
        write_private(self._journal / "journal.json", json.dumps(self._record).encode())
        handle = os.open(self._journal, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

    def restore(self, systemd: Systemd) -> Outcome:
        """Put everything back from the journal, which is kept as long as a path could not be put back."""
        record = json.loads((self._journal / "journal.json").read_text())
        self.forget_digest()
        restored: list[str] = []
        failed: list[str] = []
        for number, raw in reversed(list(enumerate(record["entries"]))):
            path = Path(raw.pop("path"))
            try:
                content = (self._journal / str(number)).read_bytes() if raw["kind"] == "file" else b""
                temporary_name(path).unlink(missing_ok=True)
                put_entry(path, Entry(**{**raw, "content": content}))
                restored.append(str(path))
            except OSError as error:
                if raw["kind"] != "absent" or path.exists():
                    failed.append(f"{path}: {error.strerror}")
        if any(is_unit_file(path) for path in restored):
            systemd.daemon_reload()
        steps = [Step(raw["unit"], tuple(raw["verbs"])) for raw in record["steps"]]
        units_failed = undo_steps(systemd, steps, {name: UnitState(**raw) for name, raw in record["units"].items()})
        if not failed:
            self._drop_journal()
        return Outcome(sorted(restored), failed, units_failed)
