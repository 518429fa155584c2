# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of variables: names that nobody reads, values of the wrong type, weak secrets."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.aigo.onprem.plugins.module_utils._capacity import GROUPS
from ansible_collections.aigo.onprem.plugins.module_utils._secrets import SecretSpec, weakness
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight import (
    HIDDEN,
    Host,
    Problem,
    Role,
    Site,
    Unresolved,
    did_you_mean,
    nearest,
    show,
)

# Which group brings which roles; the others run on every host.
ROLES_OF_GROUP: Mapping[str, tuple[str, ...]] = {
    "edge": ("nginx", "virtual_ip"),
    "app": ("app",),
    "worker": ("app",),
    "model": ("model",),
    "postgres": ("postgres",),
    "etcd": ("etcd",),
    "redis": ("redis",),
    "ops": ("monitoring", "logs"),
    "backup": ("backups",),
}
_GROUP_ROLES = frozenset(role for roles in ROLES_OF_GROUP.values() for role in roles)

# Numbers whose name tells their range; argument specifications have no word for it.
_RANGES = (("_port", 1, 65535), ("_percent", 0, 100))
_AT_LEAST_ONE = ("_processes", "_threads", "_seconds", "_days", "_mb", "_gb", "_timeout", "_connections")

# How much like a name of ours a variable without our prefix must be to be taken for a slip of the pen.
_ALIKE = 0.88

_EXPECTED = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "path": "a path",
    "str": "text",
}

_KEYS_KEPT = ("type", "elements", "choices", "options", "required", "aliases", "no_log", "default")


def roles_of(host: Host, site: Site) -> list[Role]:
    """The roles that run on a host."""
    mine = {role for group in GROUPS if group in host.groups for role in ROLES_OF_GROUP[group]}
    return [role for name, role in sorted(site.roles.items()) if name in mine or name not in _GROUP_ROLES]


def _foreign(site: Site) -> list[str]:
    value = site.value("aigo_foreign_variables", [])
    return [str(pattern) for pattern in value] if isinstance(value, list) else []


def check_names(site: Site) -> Iterator[Problem]:
    """Variables that look like ours but that nobody reads, and those that the playbooks overrule."""
    options = {name for role in site.roles.values() for name in role.options}
    known = options | set(site.variables) | site.wiring
    prefixes = (*(f"{role}_" for role in site.roles), "aigo_")
    foreign = _foreign(site)
    for host in site.hosts:
        for name in sorted(host.variables):
            if name in known:
                if name in site.computed and name not in site.overridden and name not in site.wiring:
                    yield Problem(
                        host.name,
                        name,
                        "",
                        "the playbooks compute this variable, so that the inventory's value has no effect",
                        f"remove {name} from the inventory",
                    )
                continue
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in foreign):
                continue
            if name.startswith(prefixes):
                near = did_you_mean(name, known)
            elif name.startswith("ansible_"):
                close = nearest(name, site.connection_variables, _ALIKE)
                near = f"; did you mean {close}?" if close and name not in site.connection_variables else ""
            else:
                close = nearest(name, known, _ALIKE)
                near = f"; did you mean {close}?" if close else ""
            if near or name.startswith(prefixes):
                yield Problem(
                    host.name,
                    name,
                    "",
                    "nothing reads a variable of this name",
                    f"correct or remove it, or list it in aigo_foreign_variables if it is your own{near}",
                )


def check_values(site: Site) -> Iterator[Problem]:
    """Type, choices, range and strength of every variable of ours that the inventory sets."""
    for host in site.hosts:
        specs: dict[str, Mapping[str, Any]] = dict(site.variables)
        for role in roles_of(host, site):
            specs.update(role.options)
        for name, spec in specs.items():
            if name not in host.variables:
                continue
            value = host.variables[name]
            if isinstance(value, Unresolved):
                yield Problem(
                    host.name,
                    name,
                    show(value),
                    f"its value can't be evaluated: {value.reason}",
                    "define what it refers to, or correct the expression",
                )
            elif wrong := wrong_value(name, value, spec):
                shown = HIDDEN if spec.get("no_log") or _holds_secrets(spec) else show(value)
                yield Problem(host.name, name, shown, wrong, _mend(name, value, spec))


def check_required(site: Site) -> Iterator[Problem]:
    """What a role can't do without, and neither the playbooks nor the inventory give."""
    for host in site.hosts:
        for role in roles_of(host, site):
            # A role to which the playbooks pass nothing is not theirs to check.
            if not any(name in site.computed for name in role.options):
                continue
            for name, spec in role.options.items():
                if spec.get("required") and name not in site.computed and host.variables.get(name) in (None, ""):
                    wrong, mend = (
                        f"the role {role.name} needs it",
                        f"set {name} for the hosts of the role, in group_vars",
                    )
                    yield Problem(host.name, name, "(not set)", wrong, mend)


def check_site_wide(site: Site) -> Iterator[Problem]:
    """Variables of the site must be the same on all hosts, and those that are required must be there."""
    for name, spec in site.variables.items():
        if spec.get("scope", "site") != "site":
            continue
        holders = [host for host in site.hosts if name in host.variables]
        if spec.get("required"):
            for host in site.hosts:
                value = host.variables.get(name)
                if value is None or value == "":
                    choices = f": one of {', '.join(spec['choices'])}" if spec.get("choices") else ""
                    yield Problem(
                        host.name, name, "(not set)", "every site must set it", f"set it in group_vars/all.yml{choices}"
                    )
        values = {show(host.variables[name]) for host in holders}
        if len(values) > 1:
            detail = "; ".join(f"{host.name}: {show(host.variables[name])}" for host in holders)
            yield Problem("", name, detail, "differs between hosts of one site", "set it once, in group_vars/all.yml")


def _holds_secrets(spec: Mapping[str, Any]) -> bool:
    options: Mapping[str, Mapping[str, Any]] = spec.get("options") or {}
    return any(option.get("no_log") or _holds_secrets(option) for option in options.values())


def _mend(name: str, value: Any, spec: Mapping[str, Any]) -> str:
    if spec.get("choices"):
        choices = [str(choice) for choice in spec["choices"]]
        return f"choose one of {', '.join(choices)}{did_you_mean(str(value), choices)}"
    if spec.get("no_log"):
        return "replace it by a long random value, or remove it so that one is made"
    if "example" in spec:
        return f"write it like this: {spec['example']}"
    kind = spec.get("type", "str")
    low, high = _limits(name, spec)
    if kind in ("int", "float") and (low is not None or high is not None):
        return f"give {_EXPECTED[kind]} {_bounds(low, high)}"
    return f"give {_EXPECTED.get(kind, 'a value')} as the role's argument specification says"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"from {low} to {high}"
    return f"of {low} or more" if low is not None else f"of {high} or less"


def _limits(name: str, spec: Mapping[str, Any]) -> tuple[float | None, float | None]:
    for suffix, low, high in _RANGES:
        if name.endswith(suffix):
            return low, high
    least = 1 if name.endswith(_AT_LEAST_ONE) and spec.get("default") != 0 else None
    return spec.get("minimum", least), spec.get("maximum")


def wrong_value(name: str, value: Any, spec: Mapping[str, Any]) -> str:
    """What is wrong with a value by its specification; empty when nothing is."""
    kind = spec.get("type", "str")
    if value is None:
        return "" if not spec.get("required") else "it is empty"
    # Ansible's own check turns a text into a list and a mapping into text: the role would then get neither.
    if kind in ("str", "path") and isinstance(value, (dict, list)):
        return f"it is {_EXPECTED['dict' if isinstance(value, dict) else 'list']}, not {_EXPECTED[kind]}"
    if kind in ("list", "dict") and not isinstance(value, list if kind == "list" else dict):
        return f"it is not {_EXPECTED[kind]}"
    if spec.get("choices") and kind != "list" and value not in spec["choices"]:
        return f"it is not one of {', '.join(str(choice) for choice in spec['choices'])}"
    wrong = _validate(name, value, spec)
    if wrong:
        return wrong
    if kind in ("int", "float"):
        low, high = _limits(name, spec)
        number = float(value)
        if (low is not None and number < low) or (high is not None and number > high):
            return f"it is not {_bounds(low, high)}"
    if spec.get("no_log") and kind == "str" and value:
        reason = weakness(str(value), SecretSpec(minimum=int(spec.get("minimum_length", 16))))
        return f"the secret {reason}" if reason else ""
    return ""


def _plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    """An option as Ansible's validator takes it: documentation and keys of our own left out."""
    plain = {key: spec[key] for key in _KEYS_KEPT if key in spec}
    if plain.get("options"):
        plain["options"] = {name: _plain(option) for name, option in plain["options"].items()}
    if plain.get("required"):
        plain.pop("default", None)
    return plain


def _validate(name: str, value: Any, spec: Mapping[str, Any]) -> str:
    plain = _plain(spec)
    plain.update(required=False)
    plain.pop("default", None)
    errors = ArgumentSpecValidator({name: plain}).validate({name: value}).error_messages
    # Suboptions may hold secrets, which Ansible's messages would quote.
    if errors and (spec.get("no_log") or _holds_secrets(spec)):
        return "; ".join(error.split(", got:")[0] for error in errors if "unable to convert" not in error) or (
            f"it or a part of it is not {_EXPECTED.get(spec.get('type', 'str'), 'of the right type')}"
        )
    return "; ".join(errors)
