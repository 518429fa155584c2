# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action nftables_ruleset: load on one connection, confirm on a new one."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

_MODULE = "aigo.onprem.nftables_ruleset"
_RETRY_AFTER = 2
# How long after the host took its rules back it must answer again.
_GRACE = 60


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """Proves that a connection made after the rules were loaded gets through them."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Load; when something was loaded, connect anew and confirm."""
        super().run(tmp, task_vars)
        args = {key: value for key, value in self._task.args.items() if key not in ("phase", "token")}
        start = time.monotonic()
        result: dict[str, Any] = self._execute_module(module_name=_MODULE, module_args=args, task_vars=task_vars)
        token = result.pop("token", None)
        if token is None or result.get("failed"):
            return result
        deadline = start + int(args.get("confirm_timeout", 30))
        confirmed = self._confirm({**args, "phase": "confirm", "token": token}, deadline, task_vars)
        return confirmed if confirmed.get("failed") else result

    def _confirm(self, args: dict[str, Any], deadline: float, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Try until well after the deadline: past it, the host says that it took its former rules back."""
        while True:
            try:
                self._reconnect()
                return dict(self._execute_module(module_name=_MODULE, module_args=args, task_vars=task_vars))
            except AnsibleConnectionFailure as error:
                if time.monotonic() > deadline + _GRACE:
                    raise AnsibleActionFail(
                        "nftables_ruleset: the new rules kept the controller out, and the host does not answer "
                        "although its timer has restored the former rules by now. Look at it from its console. "
                        f"Last error: {error}"
                    ) from error
            time.sleep(_RETRY_AFTER)

    def _reconnect(self) -> None:
        """End the shared SSH connection: the next command opens a new one, which the new rules must let in."""
        self._connection.reset()
        self._connection._shell.tmpdir = None
