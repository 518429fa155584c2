# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database put back in place: prepared while the present one serves, then swapped in by two renames."""

from __future__ import annotations

import json
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aigo_backup.canary import leads
from aigo_backup.database import PgBackRest
from aigo_backup.errors import BackupError
from aigo_backup.scratch import SOCKET, Scratch, Target, psql
from aigo_backup.settings import Database
from aigo_backup.shell import run
from aigo_backup.state import write

# Names go into SQL as they are.
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PATRONI = "/etc/patroni/config.yml"


def _marker(database: Database) -> Path:
    """Written when the copy has been proven; without it nothing is swapped."""
    return database.scratch.with_name(f"{database.scratch.name}.json")


def flush(tool: PgBackRest) -> bool:
    """Have the archive take what PostgreSQL has written up to now, if it runs here."""
    if not leads(tool.database):
        return False
    tool.call("check", what="archiving what the database has written up to now")
    return True


def prepare(database: Database, text: str, repository: int) -> dict[str, Any]:
    """Build and prove the copy. The running database is not touched, whatever happens. :raises BackupError:"""
    started = time.time()
    target = Target.parse(text, datetime.now(UTC))
    tool = PgBackRest(database)
    scratch = Scratch(tool)
    _marker(database).unlink(missing_ok=True)
    flushed = target.kind != "label" and flush(tool)
    with scratch.removed_on_failure():
        backup = scratch.restore(target, repository)
        scratch.start()
        found = scratch.inspect()
        scratch.forget_recovery()
        scratch.stop()
        scratch.checksums()
        scratch.log.unlink()
    found |= {"backup": backup.label, "target": text, "flushed": flushed, "seconds": round(time.time() - started, 1)}
    write(_marker(database), json.dumps(found))
    return found


def _stopped(directory: Path, database: Database) -> None:
    argv = [str(database.binaries / "pg_ctl"), "-D", str(directory), "status"]
    if directory.exists() and run(argv, user="postgres", accept=(0, 3, 4)).returncode == 0:
        raise BackupError(f"PostgreSQL still runs on {directory}: stop patroni.service on every member first")


def swap(database: Database) -> dict[str, Any]:
    """Put the proven copy in place, and have Patroni forget what it knew of the former data. Can be repeated."""
    marker = _marker(database)
    _stopped(database.data_directory, database)
    if not marker.exists():
        raise BackupError(f"{marker} does not exist: no copy has been prepared and proven; nothing was changed")
    if database.scratch.exists():
        if database.data_directory.exists():
            if database.replaced.exists():
                shutil.rmtree(database.replaced)
            database.data_directory.rename(database.replaced)
        # Patroni takes the cluster's settings from here when it finds none in etcd.
        settings = database.replaced / "patroni.dynamic.json"
        if settings.exists():
            run(["cp", "-a", str(settings), str(database.scratch)], what="keeping the cluster's settings")
        database.scratch.rename(database.data_directory)
    answers = f"{database.stanza}\nYes I am aware\n"
    run(
        ["patronictl", "-c", _PATRONI, "remove", database.stanza],
        stdin=answers,
        what="removing the former state of the cluster",
    )
    found: dict[str, Any] = json.loads(marker.read_text(encoding="utf-8"))
    marker.unlink()
    return found


def clear(database: Database) -> dict[str, Any]:
    """Empty a replica, which then copies the restored primary."""
    _stopped(database.data_directory, database)
    if database.data_directory.exists():
        shutil.rmtree(database.data_directory)
    return {"removed": str(database.data_directory)}


def finish(database: Database) -> dict[str, Any]:
    """Remove what the restore replaced."""
    existed = database.replaced.exists()
    if existed:
        shutil.rmtree(database.replaced)
    return {"removed": str(database.replaced) if existed else None}


def table(database: Database, text: str, repository: int, source: str, name: str, into: str) -> dict[str, Any]:
    """Bring one table as of the target into a database of its own on the running server. :raises BackupError:"""
    if not leads(database):
        raise BackupError("this member is not the primary: run it where patronictl list shows the leader")
    for word in (source, into, *name.split(".")):
        if not _NAME.fullmatch(word):
            raise BackupError(
                f"{word!r} is no plain name: give small letters, digits and underscores, as in aigo.users"
            )
    if psql(f"select count(*) from pg_database where datname = '{into}'", database.socket) != "0":  # noqa: S608
        raise BackupError(f"the database {into} exists already: drop it, or name another; nothing was changed")
    target = Target.parse(text, datetime.now(UTC))
    tool = PgBackRest(database)
    scratch = Scratch(tool)
    if target.kind != "label":
        flush(tool)
    try:
        backup = scratch.restore(target, repository)
        scratch.start()
        argv = ["pg_dump", "-h", str(SOCKET), "-d", source, "--table", name, "--no-owner", "--no-privileges"]
        dump = run(argv, user="postgres", what=f"reading {name} of {source}").stdout
        needed = scratch.query(
            "select format('create schema if not exists %I; create extension if not exists %I schema %I;',"
            " n.nspname, extname, n.nspname) from pg_extension join pg_namespace n on n.oid = extnamespace"
            " where extname <> 'plpgsql'",
            source,
        )
    finally:
        scratch.remove()
    schema = name.rpartition(".")[0]
    psql(f'create database "{into}"', database.socket)
    try:
        psql(f"set client_min_messages = warning; {needed}", database.socket, into)
        if schema:
            psql(f"set client_min_messages = warning; create schema if not exists {schema}", database.socket, into)
        psql(dump, database.socket, into)
        rows = int(psql(f"select count(*) from {name}", database.socket, into))  # noqa: S608
    except BackupError:
        psql(f'drop database "{into}"', database.socket)
        raise
    return {"database": into, "table": name, "rows": rows, "backup": backup.label, "target": text}
