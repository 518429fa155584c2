# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where preflight reads what it judges: the collection's own files and the inventory that Ansible has loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.utils.vars import load_options_vars
from yaml import load

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight import Host, Role, Site, Unresolved

COLLECTION = Path(__file__).parents[2]
_VARIABLE_FILES = frozenset({"", ".yml", ".yaml", ".json"})
# Variables that Ansible's connection, become and shell plugins read, beside those in its own table.
_CONNECTION_PLUGINS = (("connection", "ssh"), ("connection", "local"), ("become", "sudo"))
_MORE_CONNECTION_VARIABLES = frozenset({"ansible_python_interpreter", "ansible_remote_tmp", "ansible_become_timeout"})
# Expressions that can't be known before the hosts have been asked.
_LATER = ("ansible_facts", "hostvars", "site_")
_NEEDED = frozenset({"ansible_host", "ansible_port", "ansible_connection"})


def _load(path: Path) -> Any:
    return load(path.read_text(encoding="utf-8"), Loader=SafeLoader) if path.is_file() else None


def read_roles(root: Path = COLLECTION) -> dict[str, Role]:
    """The contract of every role, all its entry points together."""
    roles = {}
    for specs in sorted(root.glob("roles/*/meta/argument_specs.yml")):
        directory = specs.parents[1]
        options: dict[str, Any] = {}
        for entry in ((_load(specs) or {}).get("argument_specs") or {}).values():
            options.update(entry.get("options") or {})
        roles[directory.name] = Role(directory.name, options, _load(directory / "defaults/main.yml") or {})
    return roles


def read_site_variables(root: Path = COLLECTION) -> dict[str, Any]:
    """Specifications of the variables that belong to the site and to no role."""
    variables: dict[str, Any] = _load(root / "roles/preflight/meta/site_variables.yml")["site_variables"]
    return variables


def read_wiring(root: Path = COLLECTION) -> frozenset[str]:
    """Names that the playbooks' own group variables define."""
    files = root.glob("playbooks/group_vars/**/*.yml")
    return frozenset(name for path in files for name in (_load(path) or {}))


def read_computed(root: Path = COLLECTION) -> frozenset[str]:
    """Role variables that the playbooks pass to roles."""
    return frozenset(
        name
        for path in root.glob("playbooks/**/*.yml")
        if "group_vars" not in path.parts
        for name in _passed(_load(path))
    )


def _passed(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _passed(item)
    elif isinstance(node, dict):
        names = ("role", "ansible.builtin.import_role", "ansible.builtin.include_role")
        if any(name in node for name in names):
            yield from node.get("vars") or {}
        for value in node.values():
            yield from _passed(value)


def read_ports(root: Path = COLLECTION) -> list[tuple[str, tuple[str, ...], int]]:
    """Ports of the flow table that are fixed: name, groups that listen, port."""
    flows = (_load(root / "playbooks/group_vars/all/flows.yml") or {}).get("site_flows") or []
    ports = []
    for flow in flows:
        targets = flow["to"] if isinstance(flow["to"], list) else [flow["to"]]
        if isinstance(flow.get("port"), int) and flow.get("protocol", "tcp") == "tcp":
            ports.append((str(flow["name"]), tuple(targets), int(flow["port"])))
    return ports


def connection_variables() -> frozenset[str]:
    """Names of the ``ansible_*`` variables that say how to reach a host, and of those that Ansible sets itself."""
    names = {name for variables in C.MAGIC_VARIABLE_MAPPING.values() for name in variables}
    for kind, plugin in _CONNECTION_PLUGINS:
        for option in C.config.get_configuration_definitions(kind, plugin).values():
            names.update(variable["name"] for variable in option.get("vars", []))
    return frozenset(names | _MORE_CONNECTION_VARIABLES | C.INTERNAL_STATIC_VARS | set(load_options_vars("")))


def read_variable_files(directories: Iterable[Path]) -> list[tuple[str, str, str]]:
    """Files and directories of group and host variables beside the inventory: kind, name, path to show."""
    found = []
    for directory in sorted(directories):
        for kind in ("group", "host"):
            for path in sorted((directory / f"{kind}_vars").glob("*")):
                suffix = path.suffix if path.suffix in _VARIABLE_FILES else ""
                if path.name.startswith(".") or path.name.endswith("~"):
                    continue
                name = path.name if path.is_dir() else path.name.removesuffix(suffix)
                found.append((kind, name, f"{kind}_vars/{path.name}"))
    return found


def plain(value: Any) -> Any:
    """A value with every template in it evaluated and every encrypted text opened."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)


def _evaluate(variables: Mapping[str, Any], name: str, raw: Any) -> Any:
    try:
        return plain(variables[name])
    except Exception as error:  # an expression of the user may fail in any way; each is a finding
        if any(word in str(raw) for word in _LATER):
            return None
        return Unresolved(" ".join(str(error).split()))


def read_hosts(hostvars: Any, groups: Mapping[str, Sequence[str]], evaluated: frozenset[str]) -> list[Host]:
    """Every host of the inventory; variables in ``evaluated`` with their values, the others by name alone."""
    hosts = []
    for name in groups.get("all", ()):
        raw, variables = hostvars.raw_get(name), hostvars[name]
        mine: dict[str, Any] = {}
        for key in raw:
            value = _evaluate(variables, key, raw[key]) if key in evaluated else None
            if key not in evaluated or value is not None:
                mine[key] = value
        member_of = tuple(sorted(group for group, members in groups.items() if name in members))
        hosts.append(Host(name, member_of, mine))
    return hosts


def read_site(hostvars: Any, groups: Mapping[str, Sequence[str]]) -> Site:
    """Everything that the static checks judge.

    :param hostvars: Ansible's own object, whose raw values tell what is set from what it evaluates to.
    :param groups: hosts of each group.
    """
    roles, variables = read_roles(), read_site_variables()
    directories = {hostvars.raw_get(host).get("inventory_dir") for host in groups.get("all", ())}
    evaluated = {name for role in roles.values() for name in role.options} | set(variables) | _NEEDED
    return Site(
        hosts=read_hosts(hostvars, groups, frozenset(evaluated)),
        groups={name: list(members) for name, members in groups.items()},
        roles=roles,
        variables=variables,
        wiring=read_wiring(),
        computed=read_computed(),
        overridden=frozenset(hostvars._variable_manager.extra_vars),
        connection_variables=connection_variables(),
        variable_files=read_variable_files(Path(path) for path in directories if path),
        ports=read_ports(),
    )
