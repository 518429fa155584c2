"""Counting, wording and the status line of the callback ``progress``."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.plugin_utils._progress import (
    JOURNAL_LINES,
    LogDisplay,
    Tally,
    count_tasks,
    duration,
    failure_lines,
    open_log,
    table,
)
from ansible_collections.aigo.onprem.plugins.plugin_utils._status_line import StatusLine


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0.0s"), (4.24, "4.2s"), (59.9, "59.9s"), (67, "1:07"), (3723.5, "1:02:03")]
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_time_goes_to_the_role_whose_task_runs() -> None:
    clock = Clock()
    tally = Tally(clock)
    tally.begin()
    assert tally.start_task("baseline") is None
    clock.now += 2
    assert tally.start_task("baseline") is None
    clock.now += 3
    ended = tally.start_task("redis")
    assert ended is not None and (ended.name, ended.seconds, ended.tasks) == ("baseline", 5, 2)
    clock.now += 1
    # The same role in a later play goes on counting.
    tally.start_task("baseline")
    clock.now += 4
    last = tally.end()
    assert last is not None and last.seconds == 9
    assert tally.sections["redis"].seconds == 1
    assert tally.elapsed == 10


def test_more_tasks_than_expected_raise_the_expectation() -> None:
    tally = Tally(Clock())
    tally.expected_tasks = 1
    tally.start_task("a")
    tally.start_task("a")
    assert tally.expected_tasks == 2


def test_columns_are_aligned() -> None:
    assert table(("host", "ok"), [("a", 10), ("longer", 1)]) == ["host    ok", "a       10", "longer   1"]


def test_a_failure_without_words_says_so() -> None:
    assert failure_lines({}) == ["the task failed and gave no reason"]
    assert failure_lines({"censored": "hidden"}) == ["hidden"]


def test_only_the_end_of_a_long_journal_is_shown() -> None:
    lines = failure_lines(
        {"msg": "no", "journal": "\n".join(str(number) for number in range(100)), "unit": "x.service"}
    )
    assert lines[1] == "journal of x.service:"
    assert len(lines) == 2 + JOURNAL_LINES
    assert lines[-1] == "  99"


def test_output_that_the_message_has_already_is_not_repeated() -> None:
    assert failure_lines({"msg": "it says: broken", "stderr": "broken", "mend": "broken"}) == ["it says: broken"]


def task(action: str = "command", implicit: bool = False) -> Any:
    return SimpleNamespace(action=action, implicit=implicit)


def test_tasks_of_blocks_are_counted_but_not_those_of_ansible_itself() -> None:
    inner = SimpleNamespace(block=[task(), task()], always=[task()], rescue=[task()])
    assert count_tasks([SimpleNamespace(block=[inner, task("meta", True), task("meta")], always=[])]) == 3


def test_the_log_keeps_no_colours_and_no_doubles(tmp_path: Path) -> None:
    with open_log(tmp_path / "deep" / "run.log") as stream:
        display = LogDisplay(stream)
        display.display("\x1b[0;31mred\x1b[0m")
        display.display("for the screen", screen_only=True)
    path = tmp_path / "deep" / "run.log"
    assert path.read_text() == "red\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_status_line_takes_itself_away() -> None:
    reader, writer = os.pipe()
    line = StatusLine(lambda: "working", writer)
    line.show()
    line.hide()
    line.hide()
    os.close(writer)
    assert os.read(reader, 1000) == b"\r\x1b[Kworking\r\r\x1b[K"
    os.close(reader)
