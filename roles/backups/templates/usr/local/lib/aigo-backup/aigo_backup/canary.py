# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A row that tells how old a restored database is."""

from __future__ import annotations

import time

from aigo_backup.errors import BackupError
from aigo_backup.scratch import psql
from aigo_backup.settings import Database

_TABLE = """
set client_min_messages = warning;
create table if not exists public.aigo_backup_canary
  (one boolean primary key default true check (one), at timestamptz not null);
"""
_WRITE = "insert into public.aigo_backup_canary (at) values (now()) on conflict (one) do update set at = excluded.at;"


def leads(database: Database) -> bool:
    """Whether PostgreSQL runs here and takes writes."""
    try:
        return psql("select pg_is_in_recovery()", database.socket) == "f"
    except BackupError:
        return False


def sing(database: Database, seconds: float) -> None:
    """Write the time now, then each second for so long. :raises BackupError:"""
    psql(_TABLE + _WRITE, database.socket)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(1)
        psql(_WRITE, database.socket)
