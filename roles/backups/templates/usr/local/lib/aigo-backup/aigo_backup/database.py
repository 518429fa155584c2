# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's backups by pgBackRest: taken, checked, kept as promised."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aigo_backup import retention
from aigo_backup.errors import BackupError
from aigo_backup.retention import Backup
from aigo_backup.settings import Database, Retention
from aigo_backup.shell import run

_NO_STANZA = (1, 3)
_NAME = "name"


@dataclass(frozen=True)
class Repository:
    """What pgBackRest tells about one repository."""

    ready: bool
    backups: tuple[Backup, ...]
    sizes: Mapping[str, Mapping[str, int]]
    newest_segment: str | None = None


def read(document: Sequence[Mapping[str, Any]], stanza: str, key: int) -> Repository:
    """One repository out of the answer of `pgbackrest info`."""
    found = next((item for item in document if item["name"] == stanza), None)
    if found is None:
        return Repository(False, (), {})
    state = next(
        (repo["status"]["code"] for repo in found.get("repo", []) if repo["key"] == key), found["status"]["code"]
    )
    mine = [item for item in found["backup"] if item["database"]["repo-key"] == key]
    backups = tuple(
        Backup(
            label=item["label"],
            kind=item["type"],
            stop=datetime.fromtimestamp(item["timestamp"]["stop"], UTC),
            needs=tuple(item.get("reference") or ()),
            name=(item.get("annotation") or {}).get(_NAME),
            error=bool(item.get("error")),
        )
        for item in mine
    )
    sizes = {
        item["label"]: {
            "bytes": item["info"]["size"],
            "stored": item["info"]["repository"].get("delta", 0),
            "seconds": item["timestamp"]["stop"] - item["timestamp"]["start"],
        }
        for item in mine
    }
    segments = [item["max"] for item in found.get("archive", []) if item["database"]["repo-key"] == key and item["max"]]
    return Repository(state not in _NO_STANZA, backups, sizes, max(segments, default=None))


class PgBackRest:
    """The stanza of this site."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def call(self, command: str, *options: str, what: str = "", env: Mapping[str, str] | None = None) -> str:
        """One command, as the user who owns repository and data."""
        argv = ["pgbackrest", f"--stanza={self.database.stanza}", command, *options]
        try:
            return run(argv, user="postgres", env=env, what=what or f"pgbackrest {command}").stdout
        except BackupError as error:
            # pgBackRest shows what it took for text, when it has the wrong key.
            if "unable to load info file" in error.told:
                raise BackupError(
                    f"{what or command} failed: the repository can't be read. Either its passphrase is not the "
                    "one that it was made with (the site's secret backup_database_passphrase), or its info files "
                    "are damaged"
                ) from None
            raise

    def repository(self, key: int) -> Repository:
        """What a repository holds."""
        answer = self.call("info", "--output=json", f"--repo={key}", what=f"reading repository {key}")
        return read(json.loads(answer), self.database.stanza, key)

    def setup(self) -> list[str]:
        """Make the stanza where there is none, and see that the archive works."""
        if all(self.repository(key).ready for key in self.database.repositories):
            return []
        self.call("stanza-create", what="making the stanza")
        self.call("check", what="checking that the archive takes what PostgreSQL writes")
        return ["made the stanza"]

    def empty(self) -> bool:
        """Whether a repository holds no backup yet."""
        return any(not self.repository(key).backups for key in self.database.repositories)

    def room(self, key: int) -> None:
        """Refuse a backup that the disk has no room for. :raises BackupError:"""
        if key != 1:
            return
        known = self.repository(key)
        largest = max((known.sizes[item.label]["stored"] for item in known.backups if item.full), default=0)
        needed = largest * 6 // 5 + 64 * 1024 * 1024
        free = shutil.disk_usage(self.database.repository_path).free
        if free < needed:
            raise BackupError(
                f"{self.database.repository_path} has {free >> 20} MiB free, the next backup may take "
                f"{needed >> 20} MiB: give the file system more room, or lower backups_retention; "
                "PostgreSQL goes on serving meanwhile"
            )

    def backup(self, key: int, kind: str, name: str | None, policy: Retention) -> dict[str, Any]:
        """Take one backup, check it, and remove what is no longer promised."""
        self.room(key)
        before = {item.label for item in self.repository(key).backups}
        chosen = retention.due(self.repository(key).backups, datetime.now(UTC)) if kind == "auto" else kind
        annotation = [f"--annotation={_NAME}={name}"] if name else []
        started = time.time()
        self.call("backup", f"--repo={key}", f"--type={chosen}", "--no-expire-auto", *annotation, what="the backup")
        known = self.repository(key)
        fresh = [item for item in known.backups if item.label not in before]
        if not fresh:
            raise BackupError(
                f"pgBackRest reports success, but repository {key} lists no new backup: run pgbackrest info"
            )
        label = fresh[-1].label
        if fresh[-1].error:
            raise BackupError(
                f"backup {label} holds pages with wrong checksums: look at the disk, read pgbackrest info --set={label}"
            )
        self.verify(key, label)
        self.expire(key, policy)
        size = known.sizes[label]
        return {"label": label, "kind": fresh[-1].kind, "repository": key, "name": name, "bytes": size["bytes"],
                "stored": size["stored"], "seconds": round(time.time() - started, 1)}  # fmt: skip

    def verify(self, key: int, label: str | None = None) -> None:
        """Read everything back, or one backup and its log. :raises BackupError: with the files that are damaged."""
        chosen = [f"--set={label}"] if label else []
        told = self.call("verify", f"--repo={key}", "--output=text", *chosen, what=f"verifying repository {key}")
        if "status: error" in told:
            raise BackupError(
                f"repository {key} is damaged:\n{told.strip()}\n"
                "Take a full backup now (aigo-backup database --type full), and look at the disk"
            )

    def expire(self, key: int, policy: Retention) -> list[str]:
        """Remove backups and log that are no longer promised; the log reaches back as far as the latest weeks."""
        now = datetime.now(UTC)
        backups = self.repository(key).backups
        gone = retention.expired(backups, policy, now)
        left = [item for item in backups if item.label not in gone]
        log = f"--repo{key}-retention-archive={retention.fulls_with_log(left, policy, now)}"
        for label in gone:
            self.call("expire", f"--repo={key}", f"--set={label}", log, what=f"removing backup {label}")
        self.call("expire", f"--repo={key}", log, what="removing log that no backup needs")
        return gone
