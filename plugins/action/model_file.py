# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask the host whether it has the model file, and bring it where it has not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aigo.onprem.plugins.module_utils._model_file import ModelFileError, checked_digest, verify

_MODULE = "aigo.onprem.model_file"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """The action ``aigo.onprem.model_file``."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """One round trip when the file is there, three when it has to be brought."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args.copy()
        found = self._execute_module(_MODULE, module_args=args, task_vars=task_vars)
        if found.get("failed") or not found.pop("upload", False):
            return {**result, **found}
        source = self._source(str(args["src"]), str(args["sha256"]))
        found["size_mb"] = -(-source.stat().st_size // (1 << 20))
        if self._task.check_mode:
            return {**result, **found}
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        remote = shell.join_path(shell.tmpdir, "model.gguf")
        try:
            self._transfer_file(str(source), remote)
            self._fixup_perms2((shell.tmpdir, remote))
            done = self._execute_module(_MODULE, module_args={**args, "uploaded": remote}, task_vars=task_vars)
        finally:
            self._remove_tmp_path(shell.tmpdir)
        done.pop("upload", None)
        return {**result, **done}

    def _source(self, src: str, digest: str) -> Path:
        path = Path(self._loader.path_dwim(src))
        try:
            verify(path, checked_digest(digest))
        except ModelFileError as error:
            raise AnsibleActionFail(f"{error} (on the controller)") from error
        return path
