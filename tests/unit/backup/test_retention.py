"""Which backups are kept: simulated over 200 days, and by rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aigo_backup.retention import Backup, due, expired, fulls_with_log, keep
from aigo_backup.settings import Retention

POLICY = Retention(daily=7, weekly=4, monthly=6)
START = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)


def simulate(days: int) -> list[Backup]:
    """A backup a day by the schedule, each followed by its expiry."""
    there: list[Backup] = []
    for day in range(days):
        now = START + timedelta(days=day)
        kind = due(there, now)
        full = next((item.label for item in reversed(there) if item.full), "")
        label = f"{now:%Y%m%d}{kind[0].upper()}"
        there.append(Backup(label, kind, now + timedelta(minutes=5), () if kind == "full" else (full,)))
        gone = expired(there, POLICY, now)
        for item in there:
            if item.label not in gone:
                assert not set(item.needs) & set(gone), f"{item.label} has lost what it needs on day {day}"
        there = [item for item in there if item.label not in gone]
    return there


def test_after_200_days_exactly_the_promised_days_weeks_and_months_are_there() -> None:
    kept = simulate(200)
    last = START + timedelta(days=199)
    days = {item.stop.date() for item in kept if last.date() - item.stop.date() < timedelta(days=7)}
    assert len(days) == POLICY.daily
    fulls = [item for item in kept if item.full]
    assert (
        len({item.stop.isocalendar()[:2] for item in fulls if last - item.stop < timedelta(weeks=4)}) == POLICY.weekly
    )
    assert {(item.stop.year, item.stop.month) for item in fulls} == {(2026, month) for month in range(2, 8)}
    old = [item for item in kept if last - item.stop >= timedelta(days=7)]
    assert all(item.full for item in old), "differences older than the days are gone"
    assert len(fulls) <= POLICY.weekly + POLICY.monthly


def test_a_full_backup_is_due_each_week_and_differences_on_the_other_days() -> None:
    kinds = []
    there: list[Backup] = []
    for day in range(15):
        now = START + timedelta(days=day)
        kinds.append(due(there, now))
        there.append(Backup(str(day), kinds[-1], now))
    assert [day for day, kind in enumerate(kinds) if kind == "full"] == [0, 7, 14]


def test_a_full_backup_with_damaged_pages_does_not_count_as_one() -> None:
    assert due([Backup("bad", "full", START, error=True)], START + timedelta(days=1)) == "full"


def test_what_is_kept_keeps_what_it_needs() -> None:
    chain = [
        Backup("F", "full", START),
        Backup("D", "diff", START + timedelta(days=60), ("F",)),
        Backup("I", "incr", START + timedelta(days=61), ("F", "D")),
    ]
    one = Retention(daily=1, weekly=0, monthly=0)
    assert keep(chain, one, START + timedelta(days=61)) == {"F", "D", "I"}
    assert expired(chain, one, START + timedelta(days=61)) == []


def test_named_backups_stay_as_long_as_the_months_reach() -> None:
    named = Backup("N", "incr", START, (), "before-upgrade")
    later = [Backup(str(day), "full", START + timedelta(days=day)) for day in range(170, 188)]
    assert "N" in keep([named, *later], POLICY, START + timedelta(days=186))
    assert "N" not in keep([named, *later], POLICY, START + timedelta(days=187))


def test_dependants_are_removed_before_what_they_depend_on() -> None:
    chain = [Backup("F", "full", START), Backup("D", "diff", START + timedelta(days=1), ("F",))]
    newer = [Backup(str(day), "full", START + timedelta(days=300 + day)) for day in range(8)]
    assert expired([*chain, *newer], Retention(1, 1, 1), START + timedelta(days=308))[-2:] == ["D", "F"]


def test_the_log_reaches_back_over_the_weeks_however_many_full_backups_a_day_has_seen() -> None:
    weekly = [Backup(str(week), "full", START + timedelta(weeks=week)) for week in range(12)]
    now = START + timedelta(weeks=11, days=1)
    extra = [Backup(f"extra{hour}", "full", now - timedelta(hours=hour)) for hour in range(1, 6)]
    for fulls in (weekly, weekly + extra):
        ordered = sorted(fulls, key=lambda item: item.stop)
        oldest = ordered[-fulls_with_log(fulls, POLICY, now)]
        assert oldest.stop <= now - timedelta(weeks=POLICY.weekly) < oldest.stop + timedelta(weeks=1)
