# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups of the database are kept: so many days, weeks and months. Nothing here runs a command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aigo_backup.settings import Retention

_DAYS_OF_A_MONTH = 31


@dataclass(frozen=True)
class Backup:
    """One backup in a repository; `needs` are the labels that it can't be restored without."""

    label: str
    kind: str
    stop: datetime
    needs: tuple[str, ...] = ()
    name: str | None = None
    error: bool = False

    @property
    def full(self) -> bool:
        """Whether it stands on its own."""
        return self.kind == "full"


def _newest_of(backups: Iterable[Backup], period: Callable[[datetime], object], count: int) -> set[str]:
    newest: dict[object, str] = {}
    for backup in sorted(backups, key=lambda item: item.stop, reverse=True):
        if len(newest) == count and period(backup.stop) not in newest:
            break
        newest.setdefault(period(backup.stop), backup.label)
    return set(newest.values())


def keep(backups: Sequence[Backup], policy: Retention, now: datetime) -> set[str]:
    """Labels to keep.

    The newest of each of the latest days; the newest full one of each of the latest weeks and months; what a
    person named, as long as the months reach back; the newest of all; and everything that one of these needs.
    """
    fulls = [backup for backup in backups if backup.full]
    kept = _newest_of(backups, lambda at: at.date(), max(policy.daily, 1))
    kept |= _newest_of(fulls, lambda at: at.isocalendar()[:2], policy.weekly)
    kept |= _newest_of(fulls, lambda at: (at.year, at.month), policy.monthly)
    reach = now - timedelta(days=policy.monthly * _DAYS_OF_A_MONTH)
    kept |= {backup.label for backup in backups if backup.name and backup.stop >= reach}
    needs = {backup.label: backup.needs for backup in backups}
    return kept | {needed for label in kept for needed in needs[label]}


def expired(backups: Sequence[Backup], policy: Retention, now: datetime) -> list[str]:
    """Labels to remove, dependants before what they depend on."""
    kept = keep(backups, policy, now)
    return [
        backup.label for backup in sorted(backups, key=lambda item: item.stop, reverse=True) if backup.label not in kept
    ]


def fulls_with_log(backups: Sequence[Backup], policy: Retention, now: datetime) -> int:
    """How many of the newest full backups keep the log that follows them: those of the weeks, and the one before.

    A fixed number would let a few extra full backups on one day cut the weeks off.
    """
    since = now - timedelta(weeks=policy.weekly)
    return sum(backup.full and backup.stop >= since for backup in backups) + 1


def due(backups: Sequence[Backup], now: datetime) -> str:
    """The kind of the next scheduled backup: a full one each week, what differs from it on the other days."""
    newest = max((backup.stop for backup in backups if backup.full and not backup.error), default=None)
    return "full" if newest is None or now - newest > timedelta(days=6, hours=12) else "diff"
