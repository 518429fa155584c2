# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore beside the running database: built, recovered to its target and checked before anybody depends on it."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aigo_backup.database import PgBackRest
from aigo_backup.errors import BackupError
from aigo_backup.retention import Backup
from aigo_backup.shell import run, tail

SOCKET = Path("/run/aigo-backup-scratch")
_SPOOL = Path("/var/spool/pgbackrest/scratch")
_TIMEOUT = 6 * 3600
# Left by the restore in postgresql.auto.conf; a later standby would stop at the same target again.
_RECOVERY = (
    "recovery_target",
    "recovery_target_time",
    "recovery_target_action",
    "recovery_target_timeline",
    "restore_command",
)
_COUNT = """
select coalesce(sum((xpath('/row/n/text()', query_to_xml(
  format('select count(*) as n from %I.%I', schemaname, tablename), false, true, '')))[1]::text::bigint), 0), count(*)
  from pg_tables where schemaname not in ('pg_catalog', 'information_schema')
"""


_SEGMENT = 16 * 1024 * 1024


def stopped_short(history: str, newest_segment: str | None) -> str | None:
    """Where recovery ended, if that is before the newest archived segment; None when it replayed everything.

    PostgreSQL takes a segment that can't be fetched for the end of the log, and goes on without what comes after it.

    :param history: the file that the promotion wrote; its last line names the timeline that was left, and where.
    """
    if newest_segment is None:
        return None
    lines = [line.split("\t") for line in history.splitlines() if line.strip() and not line.startswith("#")]
    timeline, (high, low) = int(lines[-1][0]), lines[-1][1].split("/")
    reached = (timeline, ((int(high, 16) << 32) | int(low, 16)) // _SEGMENT)
    wanted = (int(newest_segment[:8], 16), (int(newest_segment[8:16], 16) << 8) | int(newest_segment[16:], 16))
    return lines[-1][1] if reached < wanted else None


@dataclass(frozen=True)
class Target:
    """Where to: the newest state, a moment, or the state of a named backup."""

    kind: str
    value: str = ""
    at: datetime | None = None

    @classmethod
    def parse(cls, text: str, now: datetime) -> Target:
        """Read `latest`, `time=ISO` or `label=NAME`. :raises BackupError: for what is none of these, or lies ahead."""
        kind, _unused, value = text.partition("=")
        if text == "latest":
            return cls("latest")
        if kind == "label" and value:
            return cls("label", value)
        if kind != "time":
            raise BackupError(f"target {text!r}: give latest, time=2026-01-31T12:00:00+00:00, or label=NAME")
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            raise BackupError(f"target time {value!r} is no time: write it as 2026-01-31T12:00:00+00:00") from None
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        if at > now:
            raise BackupError(f"target time {at.isoformat()} lies ahead; it is {now.isoformat(timespec='seconds')}")
        return cls("time", value, at)

    def choose(self, backups: tuple[Backup, ...]) -> Backup:
        """The backup to start from. :raises BackupError: when none reaches the target."""
        sound = sorted((item for item in backups if not item.error), key=lambda item: item.stop)
        if not sound:
            raise BackupError("the repository holds no backup: take one with aigo-backup database")
        if self.kind == "label":
            named = [item for item in sound if self.value in (item.name, item.label)]
            if not named:
                names = ", ".join(item.name or item.label for item in sound)
                raise BackupError(f"no backup is named {self.value!r}; there are: {names}")
            return named[-1]
        if self.at is None:
            return sound[-1]
        before = [item for item in sound if item.stop < self.at]
        if not before:
            raise BackupError(
                f"target time {self.at.isoformat()} is before the end of the first backup, "
                f"{sound[0].stop.isoformat()}: nothing older can be restored"
            )
        return before[-1]

    def options(self, backup: Backup) -> list[str]:
        """What pgBackRest is told."""
        common = [f"--set={backup.label}", "--target-action=promote"]
        if self.kind == "label":
            return [*common, "--type=immediate"]
        if self.at is not None:
            return [*common, "--type=time", f"--target={self.at:%Y-%m-%d %H:%M:%S.%f}+00"]
        return [f"--set={backup.label}"]


class Scratch:
    """One restored copy, on its own socket, without network and without an archive."""

    def __init__(self, tool: PgBackRest) -> None:
        self.tool = tool
        self.database = tool.database
        self.directory = tool.database.scratch
        self.log = self.directory.with_name(f"{self.directory.name}.log")
        self._newest_segment: str | None = None

    def restore(self, target: Target, repository: int) -> Backup:
        """Fetch the files. What an interrupted restore left is removed first."""
        self.remove()
        known = self.tool.repository(repository)
        backup = target.choose(known.backups)
        needed = known.sizes[backup.label]["bytes"] * 11 // 10
        free = shutil.disk_usage(self.directory.parent).free
        if free < needed:
            raise BackupError(
                f"{self.directory.parent} has {free >> 20} MiB free, the restore of {backup.label} takes "
                f"{needed >> 20} MiB: make room; nothing was changed"
            )
        self._newest_segment = known.newest_segment if target.kind == "latest" else None
        self.tool.call(
            "restore", f"--repo={repository}", f"--pg1-path={self.directory}", *target.options(backup),
            what=f"restoring backup {backup.label} from repository {repository}",
            # A restore empties its spool: the common one holds the acknowledgements that archiving waits for. By the
            # environment, since pgBackRest writes what it is told by argument into the command that recovery uses.
            env={"PGBACKREST_SPOOL_PATH": str(_SPOOL)},
        )  # fmt: skip
        return backup

    def start(self) -> None:
        """Start PostgreSQL on the copy and wait until it has reached the target. :raises BackupError: with its log."""
        run(["install", "-d", "-o", "postgres", "-g", "postgres", "-m", "0700", str(SOCKET)])
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(SOCKET),
            "hba_file": str(self.directory / "pg_hba.conf"),
            "ident_file": str(self.directory / "pg_ident.conf"),
            "ssl": "off",
            "primary_conninfo": "",
            "primary_slot_name": "",
            "synchronous_standby_names": "",
            "cluster_name": "aigo-restore",
            "shared_buffers": "64MB",
            "archive_mode": "on",
            # What the copy writes is kept for the archive, and goes there only if the copy becomes the database.
            "archive_command": "/bin/false",
            "logging_collector": "off",
        }
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._control(
            "start",
            "-w",
            "-t",
            str(_TIMEOUT),
            "-l",
            str(self.log),
            "-o",
            options,
            what="starting the restored database",
        )
        deadline = time.monotonic() + _TIMEOUT
        while True:
            try:
                if self.query("select pg_is_in_recovery()") == "f":
                    break
            except BackupError:
                if not self.running():
                    raise BackupError(f"the restored database did not reach its target:\n{self._told()}") from None
            if time.monotonic() > deadline:
                raise BackupError(f"the restored database is not ready after {_TIMEOUT} s:\n{self._told()}")
            time.sleep(0.3)
        newest = max((self.directory / "pg_wal").glob("*.history"))
        if at := stopped_short(newest.read_text(encoding="utf-8"), self._newest_segment):
            raise BackupError(
                f"recovery ended at {at}, but the archive goes on to {self._newest_segment}: a segment in between is "
                "damaged or missing. Run aigo-backup verify; a target time before that point can still be restored\n"
                f"{self._told()}"
            )

    def _control(self, *arguments: str, what: str) -> None:
        argv = [str(self.database.binaries / "pg_ctl"), "-D", str(self.directory), *arguments]
        try:
            run(argv, user="postgres", what=what)
        except BackupError as error:
            raise BackupError(f"{error}\n{self._told()}") from None

    def _told(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        bad = [line for line in text.splitlines() if any(word in line for word in ("FATAL:", "PANIC:", "ERROR:"))]
        return tail("\n".join(bad) or text, 6)

    def running(self) -> bool:
        """Whether PostgreSQL runs on the copy."""
        argv = [str(self.database.binaries / "pg_ctl"), "-D", str(self.directory), "status"]
        return run(argv, user="postgres", accept=(0, 3, 4)).returncode == 0

    def query(self, sql: str, name: str = "postgres") -> str:
        """The answer to a query, as text without headings."""
        return psql(sql, SOCKET, name)

    def stop(self) -> None:
        """Stop it cleanly, with a checkpoint."""
        self._control("stop", "-w", "-t", "600", "-m", "fast", what="stopping the restored database")

    def inspect(self) -> dict[str, Any]:
        """Count what is there: databases, tables, rows, the canary, the last commit."""
        names = json.loads(self.query("select json_agg(datname) from pg_database where not datistemplate"))
        rows = tables = 0
        for name in names:
            some, more = self.query(_COUNT, name).split("|")
            rows, tables = rows + int(some), tables + int(more)
        canary = ""
        if self.query("select to_regclass('public.aigo_backup_canary') is not null") == "t":
            canary = self.query("select extract(epoch from max(at)) from public.aigo_backup_canary")
        return {"databases": len(names), "tables": tables, "rows": rows, "canary": float(canary) if canary else None}

    def forget_recovery(self) -> None:
        """Take the target out of the configuration that the copy carries along."""
        for name in _RECOVERY:
            self.query(f"alter system reset {name}")

    def checksums(self) -> None:
        """Read every page of the stopped copy. :raises BackupError: when one does not match its checksum."""
        argv = [str(self.database.binaries / "pg_checksums"), "--check", "-D", str(self.directory)]
        run(argv, user="postgres", what="checking the pages of the restored database")

    def remove(self) -> None:
        """Leave nothing behind."""
        if (self.directory / "postmaster.pid").exists() and self.running():
            self._control("stop", "-w", "-m", "immediate", what="stopping what an interrupted restore left")
        if self.directory.exists():
            shutil.rmtree(self.directory)
        self.log.unlink(missing_ok=True)

    @contextlib.contextmanager
    def removed_on_failure(self) -> Iterator[None]:
        """Remove the copy when the work on it fails."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(BackupError):
                self.remove()
            raise


def psql(sql: str, socket: Path, name: str = "postgres") -> str:
    """Run SQL by a local socket as the superuser."""
    argv = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(socket), "-d", name]
    return run(argv, user="postgres", stdin=sql, what="the query").stdout.strip()
