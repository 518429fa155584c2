# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `aigo-backup`. Every answer is one JSON document; every failure is one text and exit code 1."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

from aigo_backup import canary, drill, metrics, restore
from aigo_backup.database import PgBackRest
from aigo_backup.errors import BackupError
from aigo_backup.files import Restic
from aigo_backup.settings import Settings, load
from aigo_backup.state import Memory, alone

# One canary a minute, one segment of the log a minute, and what both take on their way.
_ALLOWANCE = 90


def _setup(settings: Settings, _args: argparse.Namespace) -> dict[str, Any]:
    done: list[str] = []
    with alone():
        tool, restic = PgBackRest(settings.database), Restic(settings.files, settings.state)
        if settings.database.keeper:
            done += tool.setup()
            if tool.empty():
                _take_database(settings, "full", None)
                done.append("took the first full backup of the database")
        present = restic.exists()
        if present is None:
            restic.init()
            done.append("made the repository of files")
        if not present:
            _take_files(settings, None)
            done.append("took the first snapshot of files")
    return {"changed": bool(done), "done": done}


def _take_database(settings: Settings, kind: str, name: str | None) -> dict[str, Any]:
    tool = PgBackRest(settings.database)
    with Memory(settings.state).attempt("database") as facts:
        taken = [tool.backup(key, kind, name, settings.retention) for key in settings.database.repositories]
        facts.update(taken[0])
    return {"backups": taken}


def _take_files(settings: Settings, name: str | None) -> dict[str, Any]:
    with Memory(settings.state).attempt("files") as facts:
        facts.update(Restic(settings.files, settings.state).backup(name, settings.retention))
    return dict(facts)


def _database(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    if not settings.database.keeper:
        raise BackupError("this host keeps no backups of the database: run it on the first host of the group backup")
    with alone():
        return _take_database(settings, args.type, args.name)


def _files(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    with alone():
        return _take_files(settings, args.name)


def _list(settings: Settings, _args: argparse.Namespace) -> dict[str, Any]:
    tool = PgBackRest(settings.database)
    known = settings.database.repositories if settings.database.keeper or settings.database.member else ()
    return {
        "database": {
            key: [
                {"label": item.label, "kind": item.kind, "stop": item.stop.isoformat(), "name": item.name}
                for item in tool.repository(key).backups
            ]
            for key in known
        },
        "files": [
            {"snapshot": item["short_id"], "time": item["time"], "tags": item.get("tags", [])}
            for item in Restic(settings.files, settings.state).snapshots()
        ],
    }


def _verify(settings: Settings, _args: argparse.Namespace) -> dict[str, Any]:
    with alone(), Memory(settings.state).attempt("verify"):
        if settings.database.keeper:
            for key in settings.database.repositories:
                PgBackRest(settings.database).verify(key)
        Restic(settings.files, settings.state).verify(everything=True)
    return {"verified": True}


def _metrics(settings: Settings, _args: argparse.Namespace) -> dict[str, Any]:
    if settings.database.member and canary.leads(settings.database):
        canary.sing(settings.database, 0)
    return {}


def _canary(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    canary.sing(settings.database, args.seconds)
    return {"seconds": args.seconds}


def _drill(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    limit = args.loss_limit or settings.promised_loss + _ALLOWANCE
    with alone(), Memory(settings.state).attempt("drill") as facts:
        report = drill.prove(settings.database, limit, args.repository, settings.state / "drills")
        facts.update({key: report[key] for key in ("restore_seconds", "loss_seconds", "bytes", "backup")})
    return report


def _prepare(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    with alone():
        return restore.prepare(settings.database, args.target, args.repository)


def _table(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    with alone():
        return restore.table(settings.database, args.target, args.repository, args.database, args.table, args.into)


def _restore_files(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    with alone():
        return Restic(settings.files, settings.state).restore(args.paths, args.target)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aigo-backup", description="Backups of this host and of the site's database.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[Settings, argparse.Namespace], dict[str, Any]], text: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    def add_target(command: argparse.ArgumentParser) -> None:
        command.add_argument("--target", default="latest", help="latest, time=2026-01-31T12:00:00+00:00 or label=NAME")
        command.add_argument("--repository", type=int, default=1, help="1, or 2 for the copy off site")

    add("setup", _setup, "make the repositories and the first backups where there are none")
    taken = add("database", _database, "take a backup of the database and check it")
    taken.add_argument("--type", choices=["auto", "full", "diff", "incr"], default="auto")
    taken.add_argument("--name", help="name it, to find it again")
    add("files", _files, "take a snapshot of files and check it").add_argument(
        "--name", help="name it, to find it again"
    )
    add("list", _list, "show what there is to restore")
    add("verify", _verify, "read back everything that the repositories hold")
    add("metrics", _metrics, "write the canary and the metrics")
    add("canary", _canary, "write the canary each second").add_argument("--seconds", type=float, required=True)
    proven = add("drill", _drill, "restore the newest state on a scratch instance and measure it")
    proven.add_argument("--loss-limit", type=float, help="seconds that may be lost")
    proven.add_argument("--repository", type=int, default=1)
    add_target(add("restore-prepare", _prepare, "build and prove a copy; the running database is not touched"))
    add("restore-swap", lambda settings, _: restore.swap(settings.database), "put the copy in place of the database")
    add("restore-clear", lambda settings, _: restore.clear(settings.database), "empty a replica")
    add("restore-finish", lambda settings, _: restore.finish(settings.database), "remove what a restore replaced")
    one = add("restore-table", _table, "bring one table into a database of its own")
    add_target(one)
    for option in ("--database", "--table", "--into"):
        one.add_argument(option, required=True)
    files = add("restore-files", _restore_files, "put directories back as they were")
    files.add_argument("--target", default="latest", help="latest, time=2026-01-31T12:00:00+00:00 or label=NAME")
    files.add_argument("paths", nargs="+")
    return parser


def main() -> int:
    """Entry point."""
    args = _parser().parse_args()
    try:
        settings = load()
        try:
            answer = args.run(settings, args)
        finally:
            with contextlib.suppress(OSError):
                metrics.update(settings)
    except BackupError as error:
        sys.stderr.write(f"aigo-backup: {error}\n")
        return 1
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
