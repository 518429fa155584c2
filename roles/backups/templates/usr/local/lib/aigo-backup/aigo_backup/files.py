# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration, certificates, uploads and Redis, kept by restic."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aigo_backup.errors import BackupError
from aigo_backup.settings import Files, Retention
from aigo_backup.shell import run

_NO_REPOSITORY = 10
_SCHEDULED = "scheduled"
_NAMED = "named"
_MONTH = 31


class Restic:
    """This host's repository."""

    def __init__(self, files: Files, work: Path) -> None:
        self.files = files
        self.work = work
        self._env = {
            "RESTIC_PASSWORD_FILE": str(files.password_file),
            "RESTIC_CACHE_DIR": "/var/cache/aigo-backup",
            "RESTIC_PROGRESS_FPS": "0",
        }

    def call(self, *arguments: str, what: str, accept: tuple[int, ...] = (0,)) -> str:
        """One command on the repository."""
        argv = ["restic", "--repo", self.files.repository, "--retry-lock", "5m", *self.files.options, *arguments]
        return run(argv, env=self._env, what=what, accept=accept).stdout

    def exists(self) -> bool | None:
        """Whether there is a snapshot; None where there is no repository. One call: each derives the key anew."""
        argv = ["restic", "--repo", self.files.repository, *self.files.options, "snapshots", "--json", "--no-lock"]
        done = run(argv, env=self._env, accept=(0, _NO_REPOSITORY), what="opening the repository of files")
        return None if done.returncode else bool(json.loads(done.stdout))

    def init(self) -> None:
        """Make the repository."""
        self.call("init", what="making the repository of files")

    def snapshots(self, *filters: str) -> list[dict[str, Any]]:
        """All snapshots, the oldest first."""
        found: list[dict[str, Any]] = json.loads(self.call("snapshots", "--json", *filters, what="listing snapshots"))
        return sorted(found, key=lambda item: str(item["time"]))

    def dump_redis(self) -> Path | None:
        """Have Redis send its snapshot; None where this host has no Redis."""
        redis = self.files.redis
        if not redis:
            return None
        target = self.work / "redis.rdb"
        target.unlink(missing_ok=True)
        argv = [
            "redis-cli",
            "--tls",
            "--cacert",
            redis["ca"],
            "-h",
            redis["address"],
            "--user",
            redis["user"],
            "--no-auth-warning",
        ]
        password = Path(redis["password_file"]).read_text(encoding="utf-8").strip()
        run([*argv, "--rdb", str(target)], env={"REDISCLI_AUTH": password}, what="taking the snapshot of Redis")
        run(["redis-check-rdb", str(target)], what="checking the snapshot of Redis")
        return target

    def backup(self, name: str | None, retention: Retention) -> dict[str, Any]:
        """Take a snapshot, check it, and remove what is no longer promised."""
        started = time.time()
        redis = self.dump_redis()
        paths = [path for path in (*self.files.paths, str(redis or "")) if path and Path(path).exists()]
        tags = ["--tag", f"{_NAMED},{name}"] if name else ["--tag", _SCHEDULED]
        told = self.call("backup", "--json", "--one-file-system", *tags, *paths, what="the snapshot of files")
        summary = json.loads(told.splitlines()[-1])
        self.verify()
        for tag, rule in (
            (_SCHEDULED, ["--keep-daily", str(retention.daily), "--keep-weekly", str(retention.weekly),
                          "--keep-monthly", str(retention.monthly)]),
            (_NAMED, ["--keep-within", f"{retention.monthly * _MONTH}d"]),
        ):  # fmt: skip
            self.call("forget", "--tag", tag, "--group-by", "host", "--prune", *rule, what="removing old snapshots")
        if self.files.offsite:
            self.copy()
        return {"snapshot": summary["snapshot_id"], "name": name, "bytes": summary["total_bytes_processed"],
                "stored": summary["data_added_packed"], "seconds": round(time.time() - started, 1)}  # fmt: skip

    def verify(self, *, everything: bool = False) -> None:
        """Check the structure, and read back a tenth of the data, or all."""
        amount = ["--read-data"] if everything else ["--read-data-subset", "10%"]
        self.call("check", *amount, what="checking the repository of files: it is damaged, or a key is wrong")

    def copy(self) -> None:
        """Copy new snapshots to the second repository, off site; nothing is removed there from here."""
        second = self.files.offsite
        env = {
            **{key: value for key, value in second.items() if key != "repository"},
            "RESTIC_FROM_PASSWORD_FILE": str(self.files.password_file),
            **self._env,
        }
        base = ["restic", "--repo", second["repository"]]
        if run(
            [*base, "cat", "config"], env=env, accept=(0, _NO_REPOSITORY), what="opening the copy off site"
        ).returncode:
            again = ["--from-repo", self.files.repository, "--copy-chunker-params"]
            run([*base, "init", *again], env=env, what="making the copy off site")
        run([*base, "copy", "--from-repo", self.files.repository], env=env, what="copying snapshots off site")

    def choose(self, target: str) -> dict[str, Any]:
        """The snapshot for `latest`, `label=NAME` or `time=ISO` (the last one before). :raises BackupError:"""
        kind, _unused, value = target.partition("=")
        found = self.snapshots()
        if kind == "label":
            found = [item for item in found if value in (item.get("tags") or [])]
        elif kind == "time":
            at = datetime.fromisoformat(value)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            found = [item for item in found if datetime.fromisoformat(item["time"]) <= at]
        if not found:
            raise BackupError(f"no snapshot of files answers to {target}: aigo-backup list shows what there is")
        return found[-1]

    def restore(self, paths: list[str], target: str) -> dict[str, Any]:
        """Put paths back as they were. They are restored and checked beside them first: a failure changes nothing."""
        snapshot = self.choose(target)
        held = [path for path in paths if any(Path(path).is_relative_to(kept) for kept in snapshot["paths"])]
        if not held:
            raise BackupError(f"snapshot {snapshot['short_id']} of {snapshot['time']} does not hold {', '.join(paths)}")
        for path in held:
            staged = Path(f"{path}.restore")
            shutil.rmtree(staged, ignore_errors=True)
            try:
                self.call(
                    "restore", f"{snapshot['id']}:{path}", "--target", str(staged), "--verify", what=f"restoring {path}"
                )
            except BackupError:
                shutil.rmtree(staged, ignore_errors=True)
                raise
        for path in held:
            self._swap(Path(path), Path(f"{path}.restore"))
        return {"snapshot": snapshot["short_id"], "taken": snapshot["time"], "paths": held}

    @staticmethod
    def _swap(live: Path, staged: Path) -> None:
        former = Path(f"{live}.before-restore")
        shutil.rmtree(former, ignore_errors=True)
        if live.exists():
            status = live.stat()
            staged.chmod(status.st_mode & 0o7777)
            os.chown(staged, status.st_uid, status.st_gid)
            live.rename(former)
        staged.rename(live)
        shutil.rmtree(former, ignore_errors=True)
