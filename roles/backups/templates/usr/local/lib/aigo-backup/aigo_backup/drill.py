# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that proves the backups, and the report about it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aigo_backup.database import PgBackRest
from aigo_backup.errors import BackupError
from aigo_backup.scratch import Scratch, Target
from aigo_backup.settings import Database
from aigo_backup.state import write


def prove(database: Database, limit: float, repository: int, directory: Path) -> dict[str, Any]:
    """Restore the newest state from the repository alone, start it, check it, measure it, remove it.

    :param limit: seconds; a canary older than this at the begin of the drill is more loss than was promised.
    :raises BackupError: when anything of that fails.
    """
    begun = time.time()
    tool = PgBackRest(database)
    scratch = Scratch(tool)
    try:
        backup = scratch.restore(Target("latest"), repository)
        fetched = time.time()
        scratch.start()
        ready = time.time()
        found = scratch.inspect()
        scratch.stop()
        scratch.checksums()
        checked = time.time()
        size = sum(path.stat().st_size for path in scratch.directory.rglob("*") if path.is_file())
    finally:
        scratch.remove()
    if found["canary"] is None:
        raise BackupError("the restored database holds no canary: is aigo-backup-metrics.timer active on the primary?")
    loss = round(max(begun - found["canary"], 0.0), 1)
    if loss > limit:
        raise BackupError(
            f"the newest restored row is {loss} s old, promised are {limit:.0f} s: look at "
            "archive_oldest_waiting_seconds in the metrics, and at journalctl -u patroni.service for archive-push"
        )
    report = {
        "at": datetime.fromtimestamp(begun, UTC).isoformat(timespec="seconds"),
        "backup": backup.label,
        "repository": repository,
        "bytes": size,
        "fetch_seconds": round(fetched - begun, 1),
        "recovery_seconds": round(ready - fetched, 1),
        "check_seconds": round(checked - ready, 1),
        "restore_seconds": round(ready - begun, 1),
        "loss_seconds": loss,
        "loss_limit_seconds": limit,
        "databases": found["databases"],
        "tables": found["tables"],
        "rows": found["rows"],
        "checksums": "every page",
    }
    name = datetime.fromtimestamp(begun, UTC).strftime("restore-%Y%m%dT%H%M%SZ")
    report["markdown"] = markdown(report)
    write(
        directory / f"{name}.json",
        json.dumps({key: report[key] for key in report if key != "markdown"}, indent=1) + "\n",
    )
    write(directory / f"{name}.md", report["markdown"])
    return {**report, "name": name}


def markdown(report: Mapping[str, Any]) -> str:
    """The report for people."""
    rows = (
        (
            "Time to restore (RTO)",
            f"{report['restore_seconds']} s: fetch {report['fetch_seconds']} s, "
            f"recovery {report['recovery_seconds']} s",
        ),
        ("Loss (RPO)", f"{report['loss_seconds']} s, at most {report['loss_limit_seconds']:.0f} s promised"),
        ("Backup", f"{report['backup']} from repository {report['repository']}"),
        ("Size", f"{report['bytes'] / 1048576:.0f} MiB"),
        ("Found", f"{report['databases']} databases, {report['tables']} tables, {report['rows']} rows"),
        ("Page checksums", f"{report['checksums']} checked in {report['check_seconds']} s"),
    )
    table = "".join(f"| {name} | {value} |\n" for name, value in rows)
    return (
        f"# Restore drill of {report['at']}\n\n"
        f"The newest backup was restored on a scratch instance, started and read.\n\n| | |\n|---|---|\n{table}"
    )
