# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures that monitoring reads, as a text file of node_exporter."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aigo_backup.settings import Settings
from aigo_backup.state import Memory, write

_HELP = {
    "last_attempt_timestamp_seconds": "When this kind of work was last begun.",
    "last_success_timestamp_seconds": "When this kind of work last succeeded.",
    "ok": "Whether the last attempt succeeded.",
    "duration_seconds": "How long the last success took.",
    "size_bytes": "Data that the last success covers.",
    "stored_bytes": "What the last success added to the repository.",
    "archive_waiting_segments": "Segments of the log that wait for the archive.",
    "archive_oldest_waiting_seconds": "Age of the oldest segment that waits for the archive.",
    "archive_dropped_timestamp_seconds": "When segments were last given up because too many waited; 0 is never.",
    "repository_free_bytes": "Room left where the repository lives.",
    "repository_total_bytes": "Size of the file system where the repository lives.",
    "restore_seconds": "How long the last proven restore took.",
    "restore_loss_seconds": "How much the last proven restore would have lost.",
    "metrics_timestamp_seconds": "When these figures were written.",
}


def waiting(data_directory: Path, now: float) -> tuple[int, float]:
    """How many segments wait for the archive, and the age of the oldest."""
    ready = []
    for path in (data_directory / "pg_wal/archive_status").glob("*.ready"):
        try:
            ready.append(path.stat().st_mtime)
        except FileNotFoundError:
            continue  # archived meanwhile
    return len(ready), max((now - at for at in ready), default=0.0)


def dropped(status: Path) -> bool:
    """Whether the asynchronous archiver has given up segments; it leaves a note beside its acknowledgement."""
    for path in status.glob("*.ok"):
        try:
            if "dropped" in path.read_text(encoding="utf-8", errors="replace"):
                return True
        except FileNotFoundError:
            continue
    return False


def _work(memory: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, float]]:
    for kind, facts in sorted(memory.items()):
        if "attempted" not in facts:
            continue
        label = f'{{kind="{kind}"}}'
        yield "last_attempt_timestamp_seconds", label, facts.get("attempted", 0)
        yield "last_success_timestamp_seconds", label, facts.get("succeeded", 0)
        yield "ok", label, int(bool(facts.get("ok")))
        for metric, key in (("duration_seconds", "seconds"), ("size_bytes", "bytes"), ("stored_bytes", "stored")):
            if key in facts:
                yield metric, label, facts[key]
        for metric, key in (("restore_seconds", "restore_seconds"), ("restore_loss_seconds", "loss_seconds")):
            if key in facts:
                yield metric, "", facts[key]


def render(samples: Iterator[tuple[str, str, float]] | list[tuple[str, str, float]]) -> str:
    """Samples of (name, labels, value) as the text that Prometheus reads."""
    lines: dict[str, list[str]] = {}
    for name, labels, value in samples:
        full = f"aigo_backup_{name}"
        lines.setdefault(name, [f"# HELP {full} {_HELP[name]}", f"# TYPE {full} gauge"]).append(
            f"{full}{labels} {value:.10g}"
        )
    return "".join(f"{line}\n" for name in sorted(lines) for line in lines[name])


def update(settings: Settings) -> None:
    """Write the file anew."""
    now = time.time()
    memory = Memory(settings.state)
    samples = list(_work(memory.all()))
    if settings.database.member:
        count, oldest = waiting(settings.database.data_directory, now)
        samples += [("archive_waiting_segments", "", count), ("archive_oldest_waiting_seconds", "", oldest)]
        spool = Path("/var/spool/pgbackrest/archive", settings.database.stanza, "out")
        if dropped(spool):
            memory.note("archive", dropped=now)
        samples.append(("archive_dropped_timestamp_seconds", "", memory.all().get("archive", {}).get("dropped", 0)))
    places = [str(settings.database.repository_path)] if settings.database.keeper else []
    places += [settings.files.repository] if settings.files.repository.startswith("/") else []
    for place in places:
        there = next(path for path in (Path(place), *Path(place).parents) if path.exists())
        usage = shutil.disk_usage(there)
        label = f'{{path="{place}"}}'
        samples += [("repository_free_bytes", label, usage.free), ("repository_total_bytes", label, usage.total)]
    samples.append(("metrics_timestamp_seconds", "", now))
    write(settings.metrics, render(samples), 0o644)
