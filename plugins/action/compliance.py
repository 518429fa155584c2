# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action compliance: judge on the host, join with the site's exceptions, write the evidence here."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aigo.onprem.plugins.plugin_utils._compliance_report import (
    ExceptionError,
    checked_exceptions,
    drift,
    evidence,
)
from ansible_collections.aigo.onprem.plugins.plugin_utils._private_files import locked_directory, write_private


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """One round trip to the host."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Judge, join, write, return what drifted."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        args = dict(self._task.args)
        controls = list(args.get("controls") or [])
        host = str(variables.get("inventory_hostname", "host"))
        try:
            exceptions = checked_exceptions(
                args.pop("exceptions", None) or [],
                [str(control.get("id")) for control in controls],
                host,
                variables.get("group_names", []),
            )
        except ExceptionError as error:
            raise AnsibleActionFail(f"compliance: aigo_compliance_exceptions: {error}") from error
        dest = args.pop("dest", None)
        result: dict[str, Any] = self._execute_module(
            module_name="aigo.onprem.compliance", module_args=args, task_vars=task_vars
        )
        if result.get("failed"):
            return result
        now = datetime.datetime.now(datetime.UTC)
        document = evidence(host, controls, result["findings"], exceptions, now)
        if dest and not self._task.check_mode:
            path = Path(self._loader.path_dwim(str(dest)))
            with locked_directory(path.parent):
                write_private(path, (json.dumps(document, indent=1) + "\n").encode())
        return {**result, "summary": document["summary"], "drift": drift(document)}
