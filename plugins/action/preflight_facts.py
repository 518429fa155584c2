# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ``preflight_facts`` on a host; turn a host that can't be looked at into a finding among the others."""

from __future__ import annotations

import datetime
import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

_UNREACHABLE = "check ansible_host, ansible_port, ansible_user and the key: ssh must reach the host without a question"
_NO_MODULE = "install python3 on the host, and let ansible_user use sudo (ansible_become_password if it asks for one)"


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action ``aigo.onprem.preflight_facts``."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look at the host, and compare its clock with the control node's."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            # The connection is made first, so that its time is not taken for the clock's.
            self._connection._connect()
            before = time.time()
            facts: dict[str, Any] = self._execute_module(
                module_name="aigo.onprem.preflight_facts", module_args=self._task.args, task_vars=task_vars
            )
            after = time.time()
        except AnsibleConnectionFailure as error:
            return result | _finding("connection", str(error), _UNREACHABLE)
        if facts.get("unreachable"):
            return result | _finding("connection", str(facts.get("msg", "")), _UNREACHABLE)
        if facts.get("failed") or "time" not in facts:
            detail = facts.get("module_stderr") or facts.get("msg") or "no answer"
            return result | _finding("sudo or Python", str(detail), _NO_MODULE)
        facts["clock_offset"], facts["clock_uncertainty"] = clock_offset(facts["time"], before, after)
        facts["clock"] = f"{datetime.datetime.fromtimestamp(facts['time'], datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
        return result | facts


def clock_offset(time_there: float, before: float, after: float) -> tuple[float, float]:
    """Offset of the host's clock, and how far it may be from that: the host looked at some moment between the two."""
    return time_there - (before + after) / 2, (after - before) / 2


def _finding(problem: str, wrong: str, mend: str) -> dict[str, Any]:
    return {"changed": False, "problem": problem, "wrong": " ".join(wrong.split())[:300], "mend": mend}
