# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible wrote down about this host's part in the backups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigo_backup.errors import BackupError

PATH = Path("/etc/aigo/backup/settings.json")


@dataclass(frozen=True)
class Database:
    """The database cluster. A `member` runs PostgreSQL; the `keeper` runs the backups into `repositories`."""

    member: bool
    keeper: bool
    stanza: str
    data_directory: Path
    binaries: Path
    socket: Path
    repositories: tuple[int, ...]
    repository_path: Path

    @property
    def scratch(self) -> Path:
        """Where a restore is built and proven; on the file system of the data, so that a rename puts it in place."""
        return self.data_directory.with_name(f"{self.data_directory.name}.restore")

    @property
    def replaced(self) -> Path:
        """Where a restore in place puts what was there, until the next full backup is taken."""
        return self.data_directory.with_name(f"{self.data_directory.name}.before-restore")


@dataclass(frozen=True)
class Files:
    """What restic keeps of this host, and where."""

    repository: str
    password_file: Path
    paths: tuple[str, ...]
    options: tuple[str, ...]
    offsite: Mapping[str, str]
    redis: Mapping[str, str]


@dataclass(frozen=True)
class Retention:
    """How many days, weeks and months are kept."""

    daily: int
    weekly: int
    monthly: int


@dataclass(frozen=True)
class Settings:
    """All of it."""

    database: Database
    files: Files
    retention: Retention
    promised_loss: int
    state: Path
    metrics: Path


def parse(data: Mapping[str, Any]) -> Settings:
    """Read the document. :raises BackupError: when a key is missing."""
    try:
        database, files = data["database"], data["files"]
        return Settings(
            database=Database(
                member=database["member"],
                keeper=database["keeper"],
                stanza=database["stanza"],
                data_directory=Path(database["data_directory"]),
                binaries=Path(database["binaries"]),
                socket=Path(database["socket"]),
                repositories=tuple(database["repositories"]),
                repository_path=Path(database["repository_path"]),
            ),
            files=Files(
                repository=files["repository"],
                password_file=Path(files["password_file"]),
                paths=tuple(files["paths"]),
                options=tuple(files["options"]),
                offsite=files["offsite"],
                redis=files["redis"],
            ),
            retention=Retention(**data["retention"]),
            promised_loss=int(data["promised_loss_seconds"]),
            state=Path(data["state_directory"]),
            metrics=Path(data["metrics_file"]),
        )
    except (KeyError, TypeError) as error:
        raise BackupError(f"{PATH} lacks {error}: run site.yml with --tags backups") from error


def load(path: Path = PATH) -> Settings:
    """Read the file. :raises BackupError:"""
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BackupError(f"{path} can't be read ({error}): run site.yml with --tags backups, as root") from error
