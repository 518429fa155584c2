# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: E402 (Ansible wants the documentation above the imports)
"""Callback ``progress``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: Show people what is going on, and keep the full output in a log file
version_added: 0.1.0
author:
  - aigo.onprem maintainers (@aigo-onprem)
description:
  - On a terminal one line at the bottom tells the role, the task, how many of how many tasks have started, and the
    time.
  - Above it, and alone where there is no terminal, stand a line for every role that is done, the tasks that changed
    something, differences (C(--diff)), warnings and failures. A failure shows host, task, place, message, and the
    journal of the unit and the mend where the result carries C(journal), C(unit) and C(mend).
  - At the end come a recap for each host and the time of every role.
  - The full output, in the form of P(ansible.builtin.default#callback), goes to a log file with mode 0600.
  - Module executions are results of tasks and of loop items that were neither skipped nor unreachable, whose action
    needs a connection. Each counts for the host on which it ran.
extends_documentation_fragment:
  - result_format_callback
options:
  log_path:
    description: The log file; C(./.aigo/log/<playbook>-<time>.log) where it is left out.
    type: path
    env:
      - name: AIGO_LOG
    ini:
      - section: callback_progress
        key: log_path
  json_path:
    description: A file for the counts and times of the run; none where it is left out.
    type: path
    env:
      - name: AIGO_PROGRESS_JSON
    ini:
      - section: callback_progress
        key: json_path
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import action_loader, callback_loader

from ansible_collections.aigo.onprem.plugins.plugin_utils._progress import (
    LogDisplay,
    Section,
    Tally,
    count_tasks,
    duration,
    failure_lines,
    open_log,
    recap,
    summary,
)
from ansible_collections.aigo.onprem.plugins.plugin_utils._status_line import StatusLine


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The callback ``aigo.onprem.progress``."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "aigo.onprem.progress"

    def __init__(self) -> None:
        super().__init__()
        self._tally = Tally()
        self._default: Any = None
        self._log_path = Path()
        self._playbook = ""
        self._play: Any = None
        self._plays_started: set[str] = set()
        self._task_name = ""
        self._changed_on: list[str] = []
        self._status: StatusLine | None = None
        self._local_actions: dict[str, bool] = {}

    # Writing

    def _say(self, text: str = "", color: str | None = None) -> None:
        if self._status:
            self._status.hide()
        self._display.display(text, color=color)
        if self._status:
            self._status.show()

    def _status_text(self) -> str:
        tally = self._tally
        done = f"[{tally.started_tasks}/{tally.expected_tasks}]"
        return f"{done} {tally.current.name}: {self._task_name} · {duration(tally.elapsed)}"

    def _forward(self, event: str, *arguments: Any) -> None:
        """Let Ansible's default callback write the event to the log. It takes results apart, so it comes last."""
        for result in arguments:
            # The error of a censored task would still quote the task, and what it was given.
            if "censored" in getattr(result, "result", {}):
                result.result.pop("exception", None)
        if self._default is not None:
            self._default._current_task_result = self._current_task_result
            getattr(self._default, event)(*arguments)

    def _open_log(self) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        wanted = self.get_option("log_path")
        path = Path(wanted) if wanted else Path.cwd() / ".aigo" / "log" / f"{self._playbook}-{stamp}.log"
        try:
            stream = open_log(path)
        except OSError as error:
            self._display.warning(
                f"no log is written: {path}: {error.strerror}; set AIGO_LOG to a file that can be written"
            )
            return
        self._log_path = path
        self._default = callback_loader.get("ansible.builtin.default")
        self._default.set_options()
        self._default._display = LogDisplay(stream)

    # The run

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Open the log and count the tasks."""
        self._tally.begin()
        self._playbook = Path(playbook._file_name).stem
        self._open_log()
        self._tally.expected_tasks = sum(count_tasks(play.compile()) for play in playbook.get_plays())
        if sys.stdout.isatty():
            self._status = StatusLine(self._status_text)
            self._status.start()
        self._forward("v2_playbook_on_start", playbook)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play starts, or its next batch of hosts."""
        self._flush_changed()
        if play._uuid in self._plays_started:
            self._tally.expected_tasks += count_tasks(play.compile())
        self._plays_started.add(play._uuid)
        self._play = play
        self._forward("v2_playbook_on_play_start", play)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """The play's tasks do not run."""
        self._tally.expected_tasks -= count_tasks(self._play.compile())
        self._forward("v2_playbook_on_no_hosts_matched")

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """All hosts have failed."""
        self._forward("v2_playbook_on_no_hosts_remaining")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """A task starts."""
        self._start(task)
        self._forward("v2_playbook_on_task_start", task, is_conditional)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """A handler starts."""
        self._start(task)
        self._forward("v2_playbook_on_handler_task_start", task)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Tasks come from a file that was not known before."""
        self._forward("v2_playbook_on_include", included_file)

    def _start(self, task: Any) -> None:
        self._flush_changed()
        role = task._role.get_name().rpartition(".")[2] if task._role else self._play.get_name().strip()
        ended = self._tally.start_task(role)
        self._task_name = task.name or task.action
        if ended:
            self._say_section(ended)
        elif self._status:
            self._status.show()

    def _say_section(self, section: Section) -> None:
        counts = f"ok {section.ok:<4} changed {section.changed:<4}"
        counts += f" failed {section.failed}" if section.failed else ""
        color = C.COLOR_ERROR if section.failed else C.COLOR_CHANGED if section.changed else C.COLOR_OK
        self._say(f"{section.name:<32.32} {duration(section.seconds):>8}  {counts}".rstrip(), color)

    def _flush_changed(self) -> None:
        if not self._changed_on:
            return
        hosts, name, role = self._changed_on, self._task_name, self._tally.current.name
        self._changed_on = []
        self._tally.changed_tasks.append({"role": role, "task": name, "hosts": hosts})
        verb = "would change" if context.CLIARGS.get("check") else "changed"
        self._say(f"  {verb}: {role}: {name} [{', '.join(hosts)}]", C.COLOR_CHANGED)

    # Results

    def _is_local(self, task: Any) -> bool:
        """Whether an action does its work on the control node, without a connection."""
        name = task.resolved_action or task.action
        if name not in self._local_actions:
            plugin = action_loader.get(name, class_only=True, collection_list=task.collections)
            self._local_actions[name] = plugin is not None and not plugin._requires_connection
        return self._local_actions[name]

    def _count(self, result: Any) -> None:
        if not isinstance(result.task, TaskInclude) and not self._is_local(result.task):
            self._tally.executed(result.task.delegate_to or result.host.get_name())

    def _count_unless_loop(self, result: Any) -> None:
        # The items of a loop have been counted one by one.
        if not (result.task.loop and "results" in result.result):
            self._count(result)

    def _show_warnings(self, result: Any) -> None:
        if result.result.get("warnings"):
            for warning in result.result["warnings"]:
                self._say(f"  warning: {warning}", C.COLOR_WARN)

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task is done on a host."""
        if not isinstance(result.task, TaskInclude):
            self._count_unless_loop(result)
            self._tally.current.ok += 1
            if result.result.get("changed"):
                self._tally.current.changed += 1
                self._changed_on.append(self.host_label(result))
            self._show_warnings(result)
            if self._wants_result(result) and not result.task.loop:
                self._show_result(result, self.host_label(result))
        self._forward("v2_runner_on_ok", result)

    def _wants_result(self, result: Any) -> bool:
        """Whether a good result is news: what debug was told to say, and everything with -v."""
        return self._display.verbosity > 0 or result.task.action in C._ACTION_DEBUG

    def _show_result(self, result: Any, label: str) -> None:
        message = result.result.get("msg")
        if result.task.action in C._ACTION_DEBUG and isinstance(message, (str, list)):
            lines = message.splitlines() if isinstance(message, str) else [str(line) for line in message]
            self._say("\n".join(f"  {line}" for line in lines))
        else:
            self._say(f"  {label}: {self._dump_results(result.result)}")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task was skipped on a host."""
        self._forward("v2_runner_on_skipped", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task has failed on a host."""
        self._count_unless_loop(result)
        if ignore_errors:
            self._say(f"  ignored: {self._task_name} [{self.host_label(result)}]", C.COLOR_SKIP)
        else:
            self._tally.current.failed += 1
            self._show_warnings(result)
            if not (result.task.loop and "results" in result.result):
                self._show_failure(result, "FAILED")
        self._forward("v2_runner_on_failed", result, ignore_errors)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host can't be reached."""
        self._tally.current.failed += 1
        self._show_failure(result, "UNREACHABLE")
        self._forward("v2_runner_on_unreachable", result)

    def _show_failure(self, result: Any, what: str) -> None:
        task = result.task
        place = str(task.get_path() or "")
        here = f"{Path.cwd()}/"
        lines = [
            f"{what} on {self.host_label(result)}: {self._tally.current.name}: {task.name or task.action}",
            f"  at {place.removeprefix(here)}",
            *(f"  {line}" for line in failure_lines(result.result)),
        ]
        self._say("\n".join(lines), C.COLOR_ERROR)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """An item of a loop is done."""
        self._count(result)
        if self._wants_result(result):
            self._show_result(result, f"{self.host_label(result)} ({self._get_item_label(result.result)})")
        self._forward("v2_runner_item_on_ok", result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """An item of a loop has failed."""
        self._count(result)
        if not result.task.ignore_errors:
            self._show_failure(result, f"FAILED for {self._get_item_label(result.result)}")
        self._forward("v2_runner_item_on_failed", result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """An item of a loop was skipped."""
        self._forward("v2_runner_item_on_skipped", result)

    def v2_runner_retry(self, result: Any) -> None:
        """A task is tried again."""
        self._count(result)
        self._forward("v2_runner_retry", result)

    def v2_runner_on_async_poll(self, result: Any) -> None:
        """A task in the background is asked for its state."""
        self._forward("v2_runner_on_async_poll", result)

    def v2_runner_on_async_ok(self, result: Any) -> None:
        """A task in the background is done."""
        self._forward("v2_runner_on_async_ok", result)

    def v2_runner_on_async_failed(self, result: Any) -> None:
        """A task in the background has failed."""
        self._forward("v2_runner_on_async_failed", result)

    def v2_on_file_diff(self, result: Any) -> None:
        """Show what a task has changed, or would."""
        results = result.result.get("results") if result.task.loop else [result.result]
        for item in results or []:
            if item.get("diff") and item.get("changed"):
                # The text is made from a copy: making it changes the difference itself.
                text = self._get_diff(json.loads(json.dumps(item["diff"], default=str)))
                if text:
                    self._say(text.rstrip("\n"))
        self._forward("v2_on_file_diff", result)

    # The end

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Show the recap, and write the counts where they are asked for."""
        self._flush_changed()
        if self._status:
            self._status.stop()
            self._status = None
        ended = self._tally.end()
        if ended:
            self._say_section(ended)
        hosts = {host: dict(stats.summarize(host)) for host in sorted(stats.processed)}
        self._say()
        for line in recap(self._tally, hosts):
            self._say(line)
        log = f", full output in {self._log_path}" if self._default is not None else ""
        self._say(f"\n{self._playbook}: {duration(self._tally.elapsed)}{log}")
        self._write_json(hosts)
        self._forward("v2_playbook_on_stats", stats)

    def _write_json(self, hosts: dict[str, dict[str, int]]) -> None:
        path = self.get_option("json_path")
        if path:
            answer = summary(self._tally, hosts, self._playbook, bool(context.CLIARGS.get("check")))
            Path(path).write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
