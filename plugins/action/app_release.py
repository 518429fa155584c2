# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Identify the release, and send a host the wheels that it lacks."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aigo.onprem.plugins.module_utils._app_release import ReleaseError
from ansible_collections.aigo.onprem.plugins.module_utils._app_release_spec import argument_spec
from ansible_collections.aigo.onprem.plugins.plugin_utils._private_files import locked_directory
from ansible_collections.aigo.onprem.plugins.plugin_utils._release_source import INSTALLER_LOCK, Source
from ansible_collections.aigo.onprem.plugins.plugin_utils._wheelhouse import (
    Target,
    Wheel,
    Wheelhouse,
    parse_lock,
)


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """The action ``aigo.onprem.app_release``."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the host what is due; collect and send what it needs for that."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec())
        try:
            result.update(self._release(args, task_vars))
        except ReleaseError as error:
            raise AnsibleActionFail(str(error)) from error
        except OSError as error:
            raise AnsibleActionFail(f"on the controller: {error}") from error
        return result

    def _release(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        options: dict[str, Any] = {name: args[name] for name in ("state", "activate", "keep", "directory", "python")}
        if args["state"] == "rolled_back":
            return self._ask(options, task_vars)
        if not args["source"]:
            raise ReleaseError("source is missing: it names the application's project on the controller")
        if args["keep"] < 1:
            raise ReleaseError(f"keep is {args['keep']}; at least one release stays")
        source = Source.open(Path(args["source"]))
        locks = source.locks()
        options["payload"] = {"candidates": {version: source.release(lock) for version, lock in locks.items()}}
        answer = self._ask(options, task_vars)
        needs = answer.pop("needs", None)
        if needs is None:
            return answer
        target = Target(needs["python_version"], needs["machine"])
        wheels, uv = _collect(args, source, target, locks[target.python_version], needs["release"])
        lacking = [wheel for wheel in (*wheels, uv) if needs["stored"].get(wheel.path.name) != wheel.sha256]
        options["payload"]["package"] = {
            "archive": self._send(lacking),
            "wheels": {wheel.path.name: wheel.sha256 for wheel in (*wheels, uv)},
            "requirements": "".join(f"{wheel.line()}\n" for wheel in wheels),
            "uv": uv.path.name,
        }
        return self._ask(options, task_vars)

    def _send(self, wheels: list[Wheel]) -> str:
        """Transfer one archive of the wheels and return its path on the host; empty when there is nothing to send."""
        if not wheels:
            return ""
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        remote: str = self._connection._shell.join_path(self._connection._shell.tmpdir, "wheels.tar")
        with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
            with tarfile.open(fileobj=archive, mode="w") as members:
                for wheel in wheels:
                    members.add(wheel.path, wheel.path.name)
            archive.flush()
            self._transfer_file(archive.name, remote)
        return remote

    def _ask(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="aigo.onprem.app_release", module_args=options, task_vars=task_vars
        )
        return answer


def _collect(
    args: dict[str, Any], source: Source, target: Target, lock: str, release: str
) -> tuple[list[Wheel], Wheel]:
    """Return the release's wheels, the application's own among them, and the one that carries uv."""
    cache = Path(args["cache"]).expanduser()
    house = Wheelhouse(cache / "wheels", Path(args["wheelhouse"]) if args["wheelhouse"] else None)
    pins = parse_lock(lock, target, f"the lock for Python {target.python_version}")
    tools = [pin for pin in parse_lock(source.installer_lock(), target, INSTALLER_LOCK) if pin.name == "uv"]
    if not tools:
        raise ReleaseError(f"source: {INSTALLER_LOCK} does not pin uv")
    with locked_directory(cache):
        *wheels, uv = house.collect([*pins, *tools], target)
        built = source.build(cache / "releases" / release)
    return [*wheels, Wheel.of(built, source.name, source.version)], uv
