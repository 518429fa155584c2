"""Reading pgBackRest's answers, figures, memory, and refusals of the backup tool."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from aigo_backup import restore, shell
from aigo_backup.database import PgBackRest, read
from aigo_backup.drill import markdown
from aigo_backup.errors import BackupError
from aigo_backup.files import Restic
from aigo_backup.metrics import dropped, render, waiting
from aigo_backup.settings import Database, Files, Settings, parse
from aigo_backup.state import Memory, alone


def settings(tmp_path: Path) -> Settings:
    document: dict[str, Any] = {
        "database": {
            "member": True, "keeper": True, "stanza": "aigo", "data_directory": str(tmp_path / "data/aigo"),
            "binaries": str(tmp_path / "bin"), "socket": "/nowhere", "repositories": [1],
            "repository_path": str(tmp_path),
        },
        "files": {
            "repository": str(tmp_path / "restic"), "password_file": str(tmp_path / "password"), "paths": ["/etc"],
            "options": [], "offsite": {}, "redis": {},
        },
        "retention": {"daily": 7, "weekly": 4, "monthly": 6},
        "promised_loss_seconds": 60, "state_directory": str(tmp_path / "state"),
        "metrics_file": str(tmp_path / "m.prom"),
    }  # fmt: skip
    return parse(document)


def backup(label: str, key: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "label": label, "type": "full", "timestamp": {"start": 100, "stop": 160}, "database": {"repo-key": key},
        "info": {"size": 5000, "repository": {"delta": 700}}, **more,
    }  # fmt: skip


def test_one_repository_is_read_out_of_the_answer_for_all() -> None:
    document = [
        {
            "name": "aigo",
            "status": {"code": 0},
            "repo": [{"key": 1, "status": {"code": 0}}, {"key": 2, "status": {"code": 3}}],
            "backup": [backup("A", annotation={"name": "n"}), backup("B", 2), backup("C", reference=["A"], error=True)],
            "archive": [{"database": {"repo-key": 1}, "max": "000000010000000000000007"}],
        }
    ]
    found = read(document, "aigo", 1)
    assert found.ready
    assert [(item.label, item.name, item.needs, item.error) for item in found.backups] == [
        ("A", "n", (), False),
        ("C", None, ("A",), True),
    ]
    assert found.sizes["A"] == {"bytes": 5000, "stored": 700, "seconds": 60}
    assert found.newest_segment == "000000010000000000000007"
    assert not read(document, "aigo", 2).ready
    assert not read([], "aigo", 1).ready


def test_missing_settings_name_the_key_and_the_mend() -> None:
    with pytest.raises(BackupError, match=r"lacks 'database'.*--tags backups"):
        parse({})


def test_a_failing_command_is_told_in_its_own_words() -> None:
    with pytest.raises(BackupError, match="the test failed \\(exit code 3\\):\nbad luck"):
        shell.run(["sh", "-c", "echo bad luck >&2; exit 3"], what="the test")


def test_a_backup_without_room_is_refused_with_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = '[{"name": "aigo", "status": {"code": 0}, "backup": [], "archive": []}]'
    monkeypatch.setattr(PgBackRest, "call", lambda *_args, **_more: answer)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(100 << 20, 90 << 20, 10 << 20))
    with pytest.raises(BackupError, match="has 10 MiB free, the next backup may take 64 MiB"):
        PgBackRest(settings(tmp_path).database).room(1)


def test_a_wrong_passphrase_is_named_and_unreadable_bytes_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise BackupError("the end: \x01\x02", "unable to load info file: key/value found outside of section: \x01\x02")

    monkeypatch.setattr("aigo_backup.database.run", fail)
    with pytest.raises(BackupError, match="backup_database_passphrase") as caught:
        PgBackRest(settings(tmp_path).database).call("info")
    assert "\x01" not in str(caught.value)


def test_waiting_segments_are_counted_and_the_oldest_is_aged(tmp_path: Path) -> None:
    status = tmp_path / "pg_wal/archive_status"
    status.mkdir(parents=True)
    for name, age in (("a.ready", 30), ("b.ready", 90), ("c.done", 500)):
        (status / name).touch()
        os.utime(status / name, (1000 - age, 1000 - age))
    assert waiting(tmp_path, 1000) == (2, 90)
    assert waiting(tmp_path / "nowhere", 1000) == (0, 0)


def test_a_segment_that_was_given_up_is_noticed(tmp_path: Path) -> None:
    assert not dropped(tmp_path)
    (tmp_path / "000000010000000000000001.ok").write_text("0\ndropped WAL file '1' because archive queue exceeded 4GB")
    assert dropped(tmp_path)


def test_figures_are_grouped_with_one_heading_each() -> None:
    text = render([("ok", '{kind="files"}', 1), ("ok", '{kind="drill"}', 0)])
    assert text.count("# TYPE aigo_backup_ok gauge") == 1
    assert text.endswith('aigo_backup_ok{kind="files"} 1\naigo_backup_ok{kind="drill"} 0\n')


def test_a_failure_is_remembered_and_the_last_success_stays(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    with memory.attempt("files") as facts:
        facts["bytes"] = 7
    succeeded = memory.all()["files"]["succeeded"]
    with pytest.raises(BackupError), memory.attempt("files"):
        raise BackupError("no room")
    after = memory.all()["files"]
    assert (after["ok"], after["error"], after["succeeded"], after["bytes"]) == (False, "no room", succeeded, 7)


def test_two_never_work_at_once(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with alone(path=lock), pytest.raises(BackupError, match="another backup or restore"), alone(0, lock):
        raise AssertionError("both got in")
    with alone(0, lock):
        assert lock.exists()


def database_with_server(tmp_path: Path, running: bool) -> Database:
    """pg_ctl answers as for a server that runs or does not."""
    database = settings(tmp_path).database
    database.binaries.mkdir(exist_ok=True)
    tool = database.binaries / "pg_ctl"
    tool.write_text(f"#!/bin/sh\nexit {0 if running else 3}\n")
    tool.chmod(0o755)
    database.data_directory.mkdir(parents=True)
    (database.data_directory / "PG_VERSION").write_text("17")
    return database


@pytest.fixture
def as_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.mark.usefixtures("as_ourselves")
def test_nothing_is_swapped_while_the_database_runs(tmp_path: Path) -> None:
    database = database_with_server(tmp_path, running=True)
    with pytest.raises(BackupError, match="still runs"):
        restore.swap(database)
    assert (database.data_directory / "PG_VERSION").exists()


@pytest.mark.usefixtures("as_ourselves")
def test_nothing_is_swapped_without_a_proven_copy(tmp_path: Path) -> None:
    database = database_with_server(tmp_path, running=False)
    database.scratch.mkdir()
    with pytest.raises(BackupError, match="no copy has been prepared and proven; nothing was changed"):
        restore.swap(database)
    assert (database.data_directory / "PG_VERSION").exists()


@pytest.mark.usefixtures("as_ourselves")
def test_a_swap_that_was_interrupted_between_its_renames_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = database_with_server(tmp_path, running=False)
    (database.data_directory / "patroni.dynamic.json").write_text("{}")
    database.data_directory.rename(database.replaced)
    database.scratch.mkdir()
    database.scratch.with_name("aigo.restore.json").write_text('{"rows": 3}')
    told: list[str] = []
    real = shell.run

    def fake(argv: list[str], **more: Any) -> Any:
        if argv[0] == "patronictl":
            told.append(more["stdin"])
            return None
        return real(argv, **more)

    monkeypatch.setattr(restore, "run", fake)
    assert restore.swap(database) == {"rows": 3}
    assert (database.data_directory / "patroni.dynamic.json").read_text() == "{}"
    assert told == ["aigo\nYes I am aware\n"]
    assert not database.scratch.exists()


@pytest.mark.parametrize(("target", "chosen"), [("latest", "c"), ("label=n", "b"), ("time=2026-01-02T00:00:00", "a")])
def test_the_snapshot_that_answers_to_the_target_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, chosen: str
) -> None:
    known = [
        {"short_id": "a", "time": "2026-01-01T00:00:00.123456789Z"},
        {"short_id": "b", "time": "2026-01-02T01:00:00Z", "tags": ["named", "n"]},
        {"short_id": "c", "time": "2026-01-03T00:00:00Z"},
    ]
    monkeypatch.setattr(Restic, "snapshots", lambda *_args: known)
    files: Files = settings(tmp_path).files
    assert Restic(files, tmp_path).choose(target)["short_id"] == chosen
    with pytest.raises(BackupError, match="no snapshot of files answers to label=x"):
        Restic(files, tmp_path).choose("label=x")


def test_a_failed_restore_of_files_leaves_the_live_ones_and_no_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = tmp_path / "files"
    live.mkdir()
    (live / "kept").write_text("live")
    snapshot = {"id": "1", "short_id": "1", "time": "2026-01-01T00:00:00Z", "paths": [str(live)]}
    monkeypatch.setattr(Restic, "snapshots", lambda *_args: [snapshot])

    def fail(*_args: object, **_more: object) -> str:
        (tmp_path / "files.restore").mkdir()
        raise BackupError("damaged")

    monkeypatch.setattr(Restic, "call", fail)
    with pytest.raises(BackupError, match="damaged"):
        Restic(settings(tmp_path).files, tmp_path).restore([str(live)], "latest")
    assert (live / "kept").read_text() == "live"
    assert not (tmp_path / "files.restore").exists()


def test_the_report_says_time_and_loss() -> None:
    text = markdown(
        {
            "at": "2026-01-01T00:00:00+00:00", "backup": "F", "repository": 1, "bytes": 1 << 20, "fetch_seconds": 1,
            "recovery_seconds": 2, "check_seconds": 3, "restore_seconds": 3, "loss_seconds": 12.5,
            "loss_limit_seconds": 60,
            "databases": 2, "tables": 3, "rows": 4, "checksums": "every page",
        }
    )  # fmt: skip
    assert "| Time to restore (RTO) | 3 s" in text
    assert "| Loss (RPO) | 12.5 s, at most 60 s promised |" in text
