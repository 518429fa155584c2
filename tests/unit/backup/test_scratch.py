"""Where a restore goes to, and whether it got there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from aigo_backup.errors import BackupError
from aigo_backup.retention import Backup
from aigo_backup.scratch import Target, stopped_short

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
BACKUPS = (
    Backup("F1", "full", NOW - timedelta(days=3)),
    Backup("D2", "diff", NOW - timedelta(days=2), ("F1",), "before-upgrade"),
    Backup("D3", "diff", NOW - timedelta(days=1), ("F1",)),
)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("latest", "D3"),
        ("label=before-upgrade", "D2"),
        ("label=F1", "F1"),
        ("time=2026-04-30T11:00:00+00:00", "D2"),
        ("time=2026-04-29T14:00:01+02:00", "D2"),
        ("time=2026-04-29T12:00:00", "F1"),
    ],
)
def test_the_backup_that_reaches_the_target_is_chosen(text: str, chosen: str) -> None:
    assert Target.parse(text, NOW).choose(BACKUPS).label == chosen


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time=2026-05-01T12:00:01+00:00", "lies ahead"),
        ("time=2026-04-28T11:00:00+00:00", "before the end of the first backup"),
        ("time=noon", "is no time"),
        ("label=nobody", "there are: F1, before-upgrade, D3"),
        ("yesterday", "give latest, time="),
        ("label=", "give latest, time="),
    ],
)
def test_a_target_that_can_not_be_reached_is_refused_before_anything_is_done(text: str, says: str) -> None:
    with pytest.raises(BackupError, match=says):
        Target.parse(text, NOW).choose(BACKUPS)


def test_a_backup_with_damaged_pages_is_never_chosen() -> None:
    damaged = Backup("F4", "full", NOW - timedelta(hours=1), error=True)
    assert Target.parse("latest", NOW).choose((*BACKUPS, damaged)).label == "D3"
    with pytest.raises(BackupError, match="holds no backup"):
        Target.parse("latest", NOW).choose((damaged,))


def test_a_time_is_told_to_pgbackrest_in_utc_with_its_fraction() -> None:
    target = Target.parse("time=2026-04-30T14:00:00.25+02:00", NOW)
    assert "--target=2026-04-30 12:00:00.250000+00" in target.options(BACKUPS[0])


@pytest.mark.parametrize(
    ("history", "newest", "short"),
    [
        ("1\t0/5000060\tno recovery target specified\n", "000000010000000000000005", None),
        ("1\t0/6000000\tno recovery target specified\n", "000000010000000000000005", None),
        ("1\t0/4FFFFF8\tno recovery target specified\n", "000000010000000000000005", "0/4FFFFF8"),
        ("1\t0/3000000\tx\n\n2\t1/2000060\tx\n", "000000020000000100000002", None),
        ("1\t0/9000000\tx\n", "000000020000000000000003", "0/9000000"),
        ("1\t0/9000000\tx\n", None, None),
    ],
)
def test_recovery_that_ends_before_the_archive_does_is_noticed(
    history: str, newest: str | None, short: str | None
) -> None:
    assert stopped_short(history, newest) == short
