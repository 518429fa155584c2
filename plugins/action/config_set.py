# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action config_set: render a whole set on the controller and send it in one module execution."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ansible_collections.aigo.onprem.plugins.module_utils._config_set_spec import ARGUMENT_SPEC, pack

_MANAGED = "Managed by aigo.onprem: changes made here are overwritten."


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """Renders as ansible.builtin.template does: same search path, same trim_blocks, all variables of the task."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Render, send, return what the module says."""
        super().run(tmp, task_vars)
        variables = dict(task_vars or {})
        for option in ("files", "once", "directories", "units"):
            if isinstance(self._task.args.get(option), list):
                self._task.args[option] = _flat(self._task.args[option])
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        rendered = {
            "name": args["name"],
            "files": self._files(args, variables),
            "directories": [_owned(item, args, "0755") for item in args["directories"]],
            "purge": args["purge"],
            "watch": args["watch"],
            "validate": args["validate"],
            "units": args["units"],
        }
        try:
            result: dict[str, Any] = self._execute_module(
                module_name="aigo.onprem.config_set",
                module_args={"name": args["name"], "payload": pack(_plain(rendered))},
                task_vars=task_vars,
            )
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _files(self, args: dict[str, Any], variables: dict[str, Any]) -> list[dict[str, Any]]:
        sources = self._tree(args["templates"]) if args["templates"] else {}
        files = []
        listed = [(item, False) for item in args["files"]] + [(item, True) for item in args["once"]]
        for item, once in listed:
            if item.get("state") == "absent":
                sources.pop(item["path"], None)
                content = None
            else:
                content = self._content(item, sources.pop(item["path"], None), args["name"], variables)
            sensitive = item.get("sensitive")
            files.append({**_owned(item, args, args["mode"]), "content": content, "sensitive": sensitive, "once": once})
        for path, source in sources.items():
            content = self._render(source, path, variables)
            files.append({**_owned({"path": path}, args, args["mode"]), "content": content})
        return files

    def _tree(self, directory: str) -> dict[str, Path]:
        """Absolute path on the host → source, for every file below templates/DIRECTORY."""
        root = self._needle(directory)
        if not root.is_dir():
            raise AnsibleActionFail(f"config_set: templates: {root} is not a directory")
        base = PurePosixPath("/", directory)
        found = {}
        for source in sorted(path for path in root.rglob("*") if path.is_file()):
            path = base / source.relative_to(root)
            found[str(path.with_suffix("") if path.suffix == ".j2" else path)] = source
        return found

    def _needle(self, name: str) -> Path:
        try:
            return Path(self._find_needle("templates", name))
        except AnsibleError as error:
            raise AnsibleActionFail(f"config_set: there is no template {name!r}: {error}") from error

    def _content(self, item: dict[str, Any], source: Path | None, name: str, variables: dict[str, Any]) -> str:
        path = item["path"]
        if item.get("template") and item.get("content") is not None:
            raise AnsibleActionFail(f"config_set {name}: {path}: give `template` or `content`, not both")
        if item.get("content") is not None:
            return str(item["content"])
        if item.get("template"):
            source = self._needle(item["template"])
        if source is None:
            raise AnsibleActionFail(
                f"config_set {name}: {path} has neither `template` nor `content`, and `templates` has no file for it"
            )
        return self._render(source, path, variables)

    def _render(self, source: Path, path: str, variables: dict[str, Any]) -> str:
        text = self._loader.get_text_file_contents(str(source))
        if source.suffix != ".j2":
            return str(text)
        search = [*variables.get("ansible_search_path", []), self._loader.get_basedir(), str(source.parent)]
        templar = self._templar.copy_with_new_env(
            searchpath=[folder for place in search for folder in (f"{place}/templates", place)],
            available_variables={
                **variables,
                "ansible_managed": variables.get("ansible_managed", _MANAGED),
                "template_path": str(source),
                "template_destpath": path,
            },
        )
        try:
            rendered = templar.template(
                trust_as_template(text), escape_backslashes=False, overrides={"trim_blocks": True}
            )
        except AnsibleError as error:
            raise AnsibleActionFail(f"config_set: {source.name} for {path} cannot be rendered: {error}") from error
        return "" if rendered is None else str(rendered)


def _owned(item: dict[str, Any], args: dict[str, Any], mode: str) -> dict[str, Any]:
    return {
        "path": item["path"],
        "owner": item.get("owner") or args["owner"],
        "group": item.get("group") or args["group"],
        "mode": item.get("mode") or mode,
    }


def _flat(items: list[Any]) -> list[Any]:
    """A list variable may stand among the items of a list."""
    return [inner for item in items for inner in (item if isinstance(item, list) else [item])]


def _plain(value: Any) -> Any:
    """The value without the tags that Ansible puts on strings."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
