# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hardening_guard: confirm on a session that was opened after the changes."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

_MODULE = "aigo.onprem.hardening_guard"
_RETRY_AFTER = 2
# How long after the host took its files back it must answer again.
_GRACE = 60


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """Proves that one can still sign in by SSH and become root."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the step; where something has changed, prove it on a new session."""
        super().run(tmp, task_vars)
        args = {key: value for key, value in self._task.args.items() if key != "proven"}
        try:
            result = self._call(args, task_vars)
        except AnsibleError as error:
            if args.get("state") != "confirmed":
                raise
            result = {"failed": True, "msg": str(error)}
        # A failure that the module did not make: root cannot even be had on the session from before the changes.
        no_root = bool(result.get("failed")) and "sign_in_guard" not in result
        if args.get("state") == "confirmed" and (no_root or result.get("proof_needed")):
            return self._prove({**args, "proven": True}, task_vars)
        return result

    def _prove(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Try until well after the timer: past it, the host says itself that it took its former files back."""
        deadline = time.monotonic() + int(args.get("timeout", 90)) + _GRACE
        while True:
            try:
                self._connection.reset()
                self._connection._shell.tmpdir = None
                result = self._call(args, task_vars)
                if not result.get("failed") or "sign_in_guard" in result:
                    return result
                reason = str(result.get("module_stderr") or result.get("msg"))
            except AnsibleError as error:  # no connection, or a password that sudo suddenly wants
                reason = str(error)
            if time.monotonic() > deadline:
                raise AnsibleActionFail(
                    "hardening_guard: the changes kept the controller out, and the host does not answer although its "
                    f"timer has restored the former files by now. Look at it from its console. Last error: {reason}"
                )
            time.sleep(_RETRY_AFTER)

    def _call(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return dict(self._execute_module(module_name=_MODULE, module_args=args, task_vars=task_vars))
