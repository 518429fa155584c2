# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback ``progress`` counts, how it words it, and where the full output goes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
JOURNAL_LINES = 25


def duration(seconds: float) -> str:
    """Seconds as people read them: ``4.2s``, ``1:07``, ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass
class Section:
    """A role, or the tasks of a play outside roles: its time and what became of its tasks."""

    name: str
    seconds: float = 0.0
    tasks: int = 0
    ok: int = 0
    changed: int = 0
    failed: int = 0


@dataclass
class Tally:
    """Everything that is counted in one run.

    ``executions`` counts, by the host on which they ran, module executions: results of tasks and of loop items that
    were neither skipped nor unreachable, and whose action needs a connection (not debug, set_fact, assert and so on).
    """

    clock: Callable[[], float] = time.monotonic
    sections: dict[str, Section] = field(default_factory=dict)
    executions: dict[str, int] = field(default_factory=dict)
    changed_tasks: list[dict[str, Any]] = field(default_factory=list)
    started_tasks: int = 0
    expected_tasks: int = 0
    _current: Section | None = None
    _since: float = 0.0
    _begun: float = 0.0

    def begin(self) -> None:
        """Start the clock."""
        self._begun = self.clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._begun

    @property
    def current(self) -> Section:
        """The section to which results belong now."""
        return self._current or Section("")

    def start_task(self, section: str) -> Section | None:
        """A task of a section starts; returns the section that it ends, if it ends one."""
        ended = self._book()
        self.started_tasks += 1
        self.expected_tasks = max(self.expected_tasks, self.started_tasks)
        self._current = self.sections.setdefault(section, Section(section))
        self._current.tasks += 1
        return ended if ended is not None and ended is not self._current else None

    def end(self) -> Section | None:
        """The run ends; returns the last section."""
        ended = self._book()
        self._current = None
        return ended

    def _book(self) -> Section | None:
        now, section = self.clock(), self._current
        if section is not None:
            section.seconds += now - self._since
        self._since = now
        return section

    def executed(self, host: str) -> None:
        """A module has run on a host."""
        self.executions[host] = self.executions.get(host, 0) + 1


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Aligned lines: the first column to the left, the others, numbers, to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]


def recap(tally: Tally, stats: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The tables at the end: hosts, then the time of every role."""
    hosts = [
        (
            host,
            stat["ok"],
            stat["changed"],
            stat["failures"],
            stat["unreachable"],
            stat["skipped"],
            tally.executions.get(host, 0),
        )
        for host, stat in stats.items()
    ]
    sections = [(item.name, duration(item.seconds), item.tasks, item.changed) for item in tally.sections.values()]
    lines = table(("host", "ok", "changed", "failed", "unreachable", "skipped", "modules"), hosts)
    return [*lines, "", *table(("role", "time", "tasks", "changed"), sections)] if sections else lines


def summary(tally: Tally, stats: Mapping[str, Mapping[str, int]], playbook: str, check: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "playbook": playbook,
        "check_mode": check,
        "elapsed_seconds": round(tally.elapsed, 3),
        "tasks": tally.started_tasks,
        "hosts": {
            host: {**stat, "module_executions": tally.executions.get(host, 0)}
            for host, stat in {**{name: {} for name in tally.executions}, **stats}.items()
        },
        "roles": [
            {"role": item.name, "seconds": round(item.seconds, 3), "tasks": item.tasks, "changed": item.changed}
            for item in tally.sections.values()
        ],
        "changed_tasks": tally.changed_tasks,
    }


def failure_lines(result: Mapping[str, Any]) -> list[str]:
    """What people need of a failed result: the message, what the program said, the unit's journal, the mend."""
    lines = (
        str(result.get("msg") or result.get("censored") or "the task failed and gave no reason").strip().splitlines()
    )
    for key in ("module_stderr", "stderr", "stdout"):
        text = str(result.get(key) or "").strip()
        if text and text not in lines and text not in str(result.get("msg", "")):
            lines += [f"{key.removeprefix('module_')}:", *(f"  {line}" for line in text.splitlines()[-JOURNAL_LINES:])]
    journal = result.get("journal")
    if journal:
        unit = result.get("unit") or "the service"
        entries = journal.splitlines() if isinstance(journal, str) else [str(line) for line in journal]
        lines += [f"journal of {unit}:", *(f"  {line}" for line in entries[-JOURNAL_LINES:])]
    mend = result.get("mend")
    if mend and str(mend) not in "\n".join(lines):
        lines.append(f"mend: {mend}")
    return lines


def count_tasks(blocks: Iterable[Any]) -> int:
    """Tasks that a play is going to start, as far as that can be known before: no rescue, nothing included later."""
    count = 0
    for item in blocks:
        if hasattr(item, "block"):
            count += count_tasks(item.block) + count_tasks(item.always)
        elif not item.implicit and item.action not in ("meta", "ansible.builtin.meta"):
            count += 1
    return count


def open_log(path: Path) -> TextIO:
    """Open a new log file that nobody else can read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)


def _summary_text(summary: Any) -> str:
    """The words of one of Ansible's warnings or errors, with what caused it and the traceback where there is one."""
    event = getattr(summary, "event", None)
    parts: list[str] = []
    while event is not None:
        parts += [str(part) for part in (event.msg, event.formatted_source_context, event.help_text) if part]
        if event.formatted_traceback:
            parts.append(str(event.formatted_traceback))
        event = event.chain.event if event.chain else None
    return "\n".join(parts) or str(summary)


class LogDisplay:
    """Stands in for Ansible's display, so that its default callback writes to a file."""

    verbosity = 0
    columns = 100

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def display(self, msg: Any, *_arguments: Any, screen_only: bool = False, **_options: Any) -> None:
        """Write one message; what is meant for the screen alone is a coloured double."""
        if not screen_only:
            self._stream.write(f"{_ANSI.sub('', str(msg))}\n")

    def banner(self, msg: Any, *_arguments: Any, **_options: Any) -> None:
        """Write a heading."""
        self.display(f"\n{msg} ".ljust(self.columns, "*"))

    def warning(self, msg: Any, *_arguments: Any, **_options: Any) -> None:
        """Write a warning."""
        self.display(f"[WARNING]: {msg}")

    def _warning(self, summary: Any, **_options: Any) -> None:
        self.display(f"[WARNING]: {_summary_text(summary)}")

    def _deprecated(self, summary: Any, **_options: Any) -> None:
        self.display(f"[DEPRECATION WARNING]: {_summary_text(summary)}")

    def _error(self, summary: Any, **_options: Any) -> None:
        self.display(f"[ERROR]: {_summary_text(summary)}")
