# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make what is missing in a site's secrets file; the whole of it happens on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aigo.onprem.plugins.module_utils._secrets import (
    KINDS,
    SecretsError,
    SecretSpec,
    SecretsPlan,
    plan,
)
from ansible_collections.aigo.onprem.plugins.plugin_utils._secrets_store import SecretsStore

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "secrets": {"type": "dict", "required": True},
    "rotate": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """The action ``aigo.onprem.secrets_file``."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read, plan, and write unless in check mode."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(ARGUMENT_SPEC)
        store = SecretsStore(Path(args["path"]), self._loader._vault.secrets)
        try:
            specs = parse_specs(args["secrets"])
            if self._task.check_mode:
                todo, made = plan(store.load().values, specs, args["rotate"]), False
            else:
                todo, made = _apply(store, specs, args["rotate"])
        except SecretsError as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(
            changed=todo.changed,
            path=str(store.path),
            created=list(todo.created),
            rotated=list(todo.rotated),
            names=sorted(todo.after),
            msg=_message(store, todo, made),
        )
        if self._task.diff:
            result["diff"] = {
                "before": _names(todo.before),
                "after": _names(todo.after),
                "before_header": str(store.path),
            }
        return result


def parse_specs(raw: dict[str, Any]) -> dict[str, SecretSpec]:
    """Turn the option ``secrets`` into specifications; an empty value means the defaults."""
    specs = {}
    for name, options in raw.items():
        options = options or {}
        if not isinstance(options, dict):
            raise SecretsError(f"secrets.{name} must be a mapping of length, kind and minimum, or empty")
        unknown = set(options) - {"length", "kind", "minimum"}
        if unknown:
            raise SecretsError(f"secrets.{name}: unknown {', '.join(sorted(unknown))}; known: length, kind, minimum")
        kind = str(options.get("kind", "password"))
        if kind not in KINDS:
            raise SecretsError(f"secrets.{name}.kind is {kind!r}; it must be one of {', '.join(KINDS)}")
        try:
            # str() strips the marks that Ansible puts on values, which YAML can't write.
            specs[str(name)] = SecretSpec(int(options.get("length", 32)), kind, int(options.get("minimum", 16)))
        except (TypeError, ValueError):
            raise SecretsError(f"secrets.{name}: length and minimum must be whole numbers") from None
    return specs


def _apply(store: SecretsStore, specs: dict[str, SecretSpec], rotate: list[str]) -> tuple[SecretsPlan, bool]:
    made = False
    with store.locked():
        loaded = store.load()
        todo = plan(loaded.values, specs, rotate)
        if todo.changed:
            made = store.save(todo.after, loaded.vault_secret)
    return todo, made


def _message(store: SecretsStore, todo: SecretsPlan, made: bool) -> str:
    parts = [f"{len(todo.after)} secrets in {store.path}"]
    if todo.created:
        parts.append(f"made: {', '.join(todo.created)}")
    if todo.rotated:
        parts.append(f"rotated: {', '.join(todo.rotated)}")
    if made:
        parts.append(
            f"the run has no vault password of its own, so one was made in {store.password_file}: "
            "back it up apart from the secrets"
        )
    return "; ".join(parts)


def _names(values: Any) -> str:
    return "".join(f"{name}: (hidden)\n" for name in sorted(values))
