# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of the inventory: groups, names, addresses, networks, quorum, domain, ports."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.aigo.onprem.plugins.module_utils._capacity import GROUPS, TIERS, Tier
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight import Host, Problem, Site, did_you_mean, show
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight_variables import roles_of

SITES = ("site_a", "site_b")
_BUILT_IN = frozenset({"all", "ungrouped"})
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
# Members that a tier with redundancy needs to survive the loss of one host.
_REDUNDANT = {"edge": 2, "app": 2, "worker": 1, "postgres": 2, "etcd": 3, "redis": 3}


def _tier(site: Site) -> Tier | None:
    name = site.value("aigo_tier")
    return TIERS.get(name) if isinstance(name, str) else None


def check_groups(site: Site) -> Iterator[Problem]:
    """Groups that nobody knows, groups that the tier needs, hosts without a task, files for nobody."""
    if not site.hosts:
        yield Problem("", "", "", "the inventory has no hosts", "give an inventory with -i, such as inventories/single")
        return
    foreign = site.value("aigo_foreign_groups", [])
    known = {*GROUPS, *SITES, *_BUILT_IN, *(foreign if isinstance(foreign, list) else [])}
    for group in sorted(set(site.groups) - known):
        yield Problem(
            "",
            f"group {group}",
            show(list(site.groups[group])),
            "is no group of the collection",
            f"rename it to one of {', '.join(GROUPS)}, or list it in aigo_foreign_groups if it is your own"
            f"{did_you_mean(group, [*GROUPS, *SITES])}",
        )
    for host in site.hosts:
        if not set(host.groups) & set(GROUPS):
            yield Problem(
                host.name,
                "groups",
                show(list(host.groups)),
                "the host is in no group that gives it a task",
                f"put it into one or more of {', '.join(GROUPS)}, or remove it",
            )
    tier = _tier(site)
    for group in tier.required_groups() if tier else ():
        if not site.groups.get(group):
            yield Problem(
                "",
                f"group {group}",
                "(empty)" if group in site.groups else "(missing)",
                f"the tier {tier.name if tier else ''} needs hosts in this group",
                f"put at least one host into the group {group}",
            )
    names = {"host": [host.name for host in site.hosts], "group": [*site.groups, "all"]}
    for kind, name, path in site.variable_files:
        if name not in names[kind] and name not in (GROUPS if kind == "group" else ()):
            yield Problem(
                "",
                path,
                "",
                f"the file is for a {kind} {name} that the inventory does not have, so that nothing reads it",
                f"rename it after a {kind} of the inventory, or remove it{did_you_mean(name, names[kind])}",
            )


def check_names_of_hosts(site: Site) -> Iterator[Problem]:
    """Names must be usable as host names, in certificates too, and differ by more than their case."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for host in site.hosts:
        by_name[host.name.lower()].append(host.name)
        if not _HOST_NAME.fullmatch(host.name) and not _is_address(host.name):
            yield Problem(
                host.name,
                "inventory_hostname",
                show(host.name),
                "is not a valid host name, which certificates and cluster members need",
                "use letters, digits, hyphens and dots only, and set ansible_host to reach it",
            )
    for names in by_name.values():
        if len(names) > 1:
            yield Problem(
                ", ".join(names),
                "inventory_hostname",
                show(names),
                "these names differ only by their case, and would be the same member of a cluster",
                "keep one of them, or rename the other",
            )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_addresses(site: Site) -> Iterator[Problem]:
    """``aigo_address`` must be an address that other hosts can reach, and no two hosts may share one."""
    owners: dict[tuple[str, Any], list[Host]] = defaultdict(list)
    for host in site.hosts:
        own = host.get("aigo_address")
        if own:
            if wrong := _wrong_address(own):
                yield Problem(
                    host.name,
                    "aigo_address",
                    show(own),
                    wrong,
                    "give the IPv4 or IPv6 address at which the other hosts reach it",
                )
                continue
            owners[str(ipaddress.ip_address(own)), None].append(host)
        else:
            # Several hosts behind one address are told apart by the SSH port.
            reached = str(host.get("ansible_host") or host.name)
            if not _loopback(reached):
                owners[reached.lower(), host.get("ansible_port")].append(host)
    for (address, port), hosts in owners.items():
        if len(hosts) > 1:
            variable = "aigo_address" if hosts[0].get("aigo_address") else "ansible_host"
            names = ", ".join(host.name for host in hosts)
            yield Problem(
                names,
                variable,
                show(address if port is None else f"{address}:{port}"),
                "several hosts have this address",
                f"give each host its own {variable}",
            )


def _wrong_address(value: Any) -> str:
    try:
        address = ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        return "is not an IP address"
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local:
        return "is an address that other hosts can't reach"
    return ""


def _loopback(text: str) -> bool:
    return text == "localhost" or (_is_address(text) and ipaddress.ip_address(text).is_loopback)


def check_networks(site: Site) -> Iterator[Problem]:
    """Lists of networks must hold networks."""
    names = [name for name, spec in site.variables.items() if spec.get("format") == "networks"]
    for host in site.hosts:
        for name in names:
            networks = host.get(name, [])
            for network in networks if isinstance(networks, list) else []:
                try:
                    ipaddress.ip_network(str(network))
                except ValueError:
                    yield _bad_network(host, name, network)


def _bad_network(host: Host, name: str, network: Any) -> Problem:
    try:
        near = ipaddress.ip_network(str(network), strict=False)
    except ValueError:
        wrong, mend = "is not a network", "write it as address/length, such as 192.0.2.0/24 or 2001:db8::/32"
    else:
        wrong, mend = "is an address within a network, not the network itself", f"write {near}"
    return Problem(host.name, name, show(network), wrong, mend)


def check_domain(site: Site) -> Iterator[Problem]:
    """The domain must be a full name in lower case, as certificates carry it."""
    for host in site.hosts:
        value = host.get("aigo_domain")
        if value in (None, "") or not isinstance(value, str):
            continue
        wrong = ""
        if "://" in value or "/" in value or ":" in value:
            wrong = "is a URL or has a port; only the name belongs here"
        elif _is_address(value):
            wrong = "is an address; users need a name, which the certificate carries"
        elif len(value) > 253 or not all(_LABEL.fullmatch(label) for label in value.split(".")):
            wrong = "is not a valid domain name"
        elif "." not in value:
            wrong = "is not a full domain name: it has no dot"
        elif value.rsplit(".", 1)[1].isdigit():
            wrong = "ends with a number, which no domain does"
        if wrong:
            mend = "give a full name in lower-case letters, digits and hyphens, such as chat.example.org"
            yield Problem(host.name, "aigo_domain", show(value), wrong, mend)


def check_public_url(site: Site) -> Iterator[Problem]:
    """Where users reach the site must be an https URL without a path."""
    for host in site.hosts:
        value = host.get("aigo_public_url")
        if not value or not isinstance(value, str):
            continue
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/") or parts.query:
            mend = "write https://, the name and, where it is not 443, the port: https://chat.example.org:8443"
            yield Problem(host.name, "aigo_public_url", show(value), "is not an https URL of a host alone", mend)


def check_quorum(site: Site) -> Iterator[Problem]:
    """Clusters need an odd number of voters; a redundant tier needs enough members to lose one."""
    tier = _tier(site)
    parts: list[tuple[str, set[str] | None]] = [("", None)]
    if tier and tier.name == "two_site":
        parts = [(name, set(site.groups.get(name, ()))) for name in SITES]
        yield from _check_sites(site)
    for part, members in parts:
        where = f" of {part}" if part else ""
        for group in ("etcd", "redis", "postgres", "edge", "app", "worker"):
            hosts = [name for name in site.groups.get(group, ()) if members is None or name in members]
            count = len(hosts)
            if not count:
                continue
            least = _REDUNDANT[group] if tier and tier.name != "single" else 1
            wrong = ""
            if group == "etcd" and (count % 2 == 0 or count > 7):
                wrong = f"has {count} members{where}, which is no good quorum"
                mend = "use 1, 3 or 5 members: an even number survives no more losses than one fewer"
            elif group == "redis" and count == 2:
                wrong = f"has 2 members{where}: Sentinel has no majority when one is lost"
                mend = "use 1 member, or 3 and more"
            elif count < least:
                wrong = f"has {count} of the {least} members{where} that the tier {tier.name if tier else ''} needs"
                mend = f"put {least} hosts into the group {group}, or choose a smaller tier"
            if wrong:
                yield Problem("", f"group {group}", show(hosts), wrong, mend)


def _check_sites(site: Site) -> Iterator[Problem]:
    for name in SITES:
        if not site.groups.get(name):
            yield Problem(
                "", f"group {name}", "(missing)", "the tier two_site needs it", f"put the hosts of one site into {name}"
            )
    for host in site.hosts:
        count = sum(name in host.groups for name in SITES)
        if count != 1:
            wrong = "the host is in both sites" if count else "the host is in neither site"
            yield Problem(
                host.name, "groups", show(list(host.groups)), wrong, "put it into exactly one of site_a and site_b"
            )


def check_size(site: Site) -> Iterator[Problem]:
    """The number of users must fit the tier."""
    tier, users = _tier(site), site.value("aigo_users")
    if not tier or tier.max_users is None or not isinstance(users, int) or users <= tier.max_users:
        return
    allowed = bool(site.value("aigo_allow_undersized", False))
    yield Problem(
        "",
        "aigo_users",
        show(users),
        f"the tier {tier.name} is made for up to {tier.max_users} users",
        "choose a larger tier (playbook plan shows which), or set aigo_allow_undersized: true",
        warning=allowed,
    )


def _default_ports(host: Host, site: Site) -> set[Any]:
    return {role.defaults.get(name) for role in roles_of(host, site) for name in role.options if name.endswith("_port")}


def check_ports(site: Site) -> Iterator[Problem]:
    """No two services of a host may be given the same port, and ports of the flow table stay what they are."""
    fixed = {port: flow for flow, _targets, port in site.ports}
    for host in site.hosts:
        owners: dict[int, list[str]] = defaultdict(list)
        for role in roles_of(host, site):
            for name, spec in role.options.items():
                if not name.endswith("_port") or name.endswith("_ssh_port"):
                    continue
                default = role.defaults.get(name, spec.get("default"))
                value = host.get(name, default)
                if isinstance(value, int) and value:
                    owners[value].append(name)
                if default in fixed and value != default:
                    wrong = f"the other hosts and the firewall expect {fixed[default]} at {default}"
                    yield Problem(host.name, name, show(value), wrong, f"remove {name}: this port is fixed")
        for flow, targets, port in site.ports:
            # A port that is the default of a variable has been counted with it.
            if set(targets) & {*host.groups, "all"} and port not in _default_ports(host, site):
                owners[port].append(f"{flow} (fixed)")
        ssh = host.get("ansible_port", 22)
        if isinstance(ssh, int):
            owners[ssh].append("ansible_port")
        for port, names in owners.items():
            if len(names) > 1 and any(name in host.variables for name in names):
                yield Problem(
                    host.name,
                    ", ".join(names),
                    show(port),
                    "several services of this host would listen on the same port",
                    "give each of them a port of its own",
                )
