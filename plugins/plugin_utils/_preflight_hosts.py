# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of hosts: judges what ``preflight_facts`` has seen on all of them, together."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._budget import host_budget
from ansible_collections.aigo.onprem.plugins.module_utils._capacity import TIERS, Tier
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight import Host, Problem, Site, show
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight_variables import roles_of

Report = Mapping[str, Any]
Reports = Mapping[str, Report]

SUPPORTED = (("debian", "13"),)
ARCHITECTURES = ("x86_64",)
LEAST_PYTHON = (3, 11)
# A machine that is sold with so much memory or disk shows a little less.
_TOLERANCE = 0.9
# Free space for packages, releases and the first data; and on a host that has them already.
_FREE_MB_TO_INSTALL = {"/": 1024, "/var": 3072, "/opt": 1536}
_FREE_MB_TO_RUN = 512
# Units through which the collection's own services listen.
_OUR_UNITS = (
    "aigo-",
    "etcd.service",
    "nginx.service",
    "patroni.service",
    "prometheus-node-exporter.service",
    "redis-sentinel.service",
    "redis-server.service",
)


def check_hosts(site: Site, reports: Reports, clock_tolerance: float) -> Iterator[Problem]:
    """All findings about all hosts that have told something."""
    tier = TIERS.get(str(site.value("aigo_tier")))
    for name, report in reports.items():
        if report.get("problem"):
            yield Problem(name, str(report["problem"]), "", str(report["wrong"]), str(report["mend"]))
            continue
        host = site.host(name)
        yield from _check_system(host, report)
        yield from _check_ports(site, host, report)
        yield from _check_packages(host, report)
        yield from _check_routes(host, report)
        if tier:
            yield from _check_size(site, host, report, tier)
    told = {name: report for name, report in reports.items() if not report.get("problem")}
    yield from _check_clocks(told, clock_tolerance)
    yield from _check_twins(told)


def _check_system(host: Host, report: Report) -> Iterator[Problem]:
    system = report["os"]
    if (system["id"], system["version"]) not in SUPPORTED:
        allowed = bool(host.get("aigo_allow_unsupported_os", False))
        wrong = "is not an operating system that the collection is tested on"
        mend = "install Debian 13, or set aigo_allow_unsupported_os: true and expect surprises"
        yield Problem(host.name, "operating system", show(system["name"]), wrong, mend, warning=allowed)
    if report["architecture"] not in ARCHITECTURES:
        wrong, mend = "the application's packages are locked for x86_64", "use a host with an x86_64 processor"
        yield Problem(host.name, "architecture", show(report["architecture"]), wrong, mend)
    if tuple(report["python"][:2]) < LEAST_PYTHON:
        version = ".".join(str(part) for part in report["python"])
        wrong = "is older than 3.11, which the collection's modules need"
        yield Problem(host.name, "Python", version, wrong, "set ansible_python_interpreter to a Python 3.11 or newer")
    if not report["systemd"]:
        wrong, mend = "systemd does not run the host", "use a host, or a container image, that boots systemd"
        yield Problem(host.name, "process 1", show(report["init"]), wrong, mend)
    if report["uid"] != 0:
        wrong = "the tasks do not run as root"
        mend = "let ansible_user use sudo for everything, and set ansible_become_password if it asks for one"
        yield Problem(host.name, "ansible_user", show(report["user"]), wrong, mend)


def _check_size(site: Site, host: Host, report: Report, tier: Tier) -> Iterator[Problem]:
    least = tier.minimum(host.groups)
    allowed = bool(site.value("aigo_allow_undersized", False))
    mend = "give the host more, choose a smaller tier, or set aigo_allow_undersized: true"
    if report["cores"] < least.cores:
        wrong = f"the tier {tier.name} needs {least.cores} cores"
        yield Problem(host.name, "cores", show(report["cores"]), wrong, mend, warning=allowed)
    if report["memory_mb"] < least.memory_mb * _TOLERANCE:
        wrong = f"the tier {tier.name} needs {least.memory_mb} MB of memory"
        yield Problem(host.name, "memory", f"{report['memory_mb']} MB", wrong, mend, warning=allowed)
    disk_gb = sum({disk["device"]: disk["total_mb"] for disk in report["disks"]}.values()) / 1024
    if disk_gb < least.disk_gb * _TOLERANCE:
        wrong = f"the tier {tier.name} needs {least.disk_gb} GB of disk"
        yield Problem(host.name, "disk", f"{disk_gb:.0f} GB", wrong, mend, warning=allowed)
    yield from _check_free(host, report)
    facts = {"cores": report["cores"], "memory_mb": report["memory_mb"]}
    for note in host_budget(facts, host.groups, tier.name)["notes"]:
        yield Problem(host.name, "memory", f"{report['memory_mb']} MB", note, mend, warning=allowed)


def _check_free(host: Host, report: Report) -> Iterator[Problem]:
    """Free space where the collection writes; directories on the same file system share it."""
    disks: dict[str, list[Report]] = defaultdict(list)
    for disk in report["disks"]:
        disks[disk["device"]].append(disk)
    for shared in disks.values():
        paths = " and ".join(disk["path"] for disk in shared)
        needed = (
            _FREE_MB_TO_RUN if report["managed"] else sum(_FREE_MB_TO_INSTALL.get(disk["path"], 0) for disk in shared)
        )
        free = shared[0]["free_mb"]
        if free < needed:
            wrong = f"{paths} needs {needed} MB free to install and run"
            yield Problem(host.name, f"disk {paths}", f"{free} MB free", wrong, "free space there, or enlarge it")


def _wanted_ports(site: Site, host: Host) -> dict[int, str]:
    """TCP ports on which services of the collection listen on this host, and what for."""
    wanted = {port: flow for flow, targets, port in site.ports if set(targets) & {*host.groups, "all"}}
    for role in roles_of(host, site):
        for name in role.options:
            if name.endswith("_port") and not name.endswith("_ssh_port"):
                value = host.get(name, role.defaults.get(name))
                if isinstance(value, int) and value:
                    wanted.setdefault(value, name)
    return wanted


def _check_ports(site: Site, host: Host, report: Report) -> Iterator[Problem]:
    wanted = _wanted_ports(site, host)
    seen = set()
    for socket in report["listening"]:
        port, unit, process = socket["port"], socket["unit"], socket["process"]
        if port not in wanted or (port, unit) in seen:
            continue
        seen.add((port, unit))
        if report["managed"] and unit.startswith(_OUR_UNITS):
            continue
        owner = f"{process or 'an unknown process'}{f' ({unit})' if unit else ''}"
        yield Problem(
            host.name,
            f"port {port}",
            owner,
            f"something else listens where {wanted[port]} is to listen",
            f"stop and disable it{f' (systemctl disable --now {unit})' if unit else ''}, or use another host",
        )


def _check_packages(host: Host, report: Report) -> Iterator[Problem]:
    sources = report["package_sources"]
    if not sources:
        wrong = "the host has no package source"
        mend = "configure apt on the host, or set baseline_apt_sources to your mirror"
        yield Problem(host.name, "package source", "(none)", wrong, mend)
    for source in sources:
        if not source["reachable"]:
            wrong = f"the package source does not answer: {source['error']}"
            mend = "mend the network, set baseline_apt_proxy, or set baseline_apt_sources to a mirror that it can reach"
            yield Problem(host.name, "package source", source["uri"], wrong, mend)


def _check_routes(host: Host, report: Report) -> Iterator[Problem]:
    for route in report["routes"]:
        if not route["reachable"]:
            wrong = f"can't be reached from this host: {route['error']}"
            mend = "open the way in the network between the two, or correct aigo_address"
            yield Problem(host.name, "route", f"{route['address']}:{route['port']}", wrong, mend)


def _check_clocks(reports: Reports, tolerance: float) -> Iterator[Problem]:
    mend = "synchronise the clocks (timedatectl set-ntp true, or set the time once), on the control node too"
    for name, report in reports.items():
        if abs(report["clock_offset"]) - report["clock_uncertainty"] > tolerance:
            wrong = f"the host's clock is {_off(report['clock_offset'])} the control node's"
            yield Problem(name, "clock", report["clock"], wrong, mend)
    for (one, first), (two, second) in itertools.combinations(reports.items(), 2):
        apart = abs(first["clock_offset"] - second["clock_offset"])
        if apart - first["clock_uncertainty"] - second["clock_uncertainty"] > tolerance:
            yield Problem(f"{one}, {two}", "clock", f"{apart:.0f} s apart", "the hosts' clocks differ", mend)


def _off(offset: float) -> str:
    return f"{abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'}"


def _check_twins(reports: Reports) -> Iterator[Problem]:
    owners: dict[str, list[str]] = defaultdict(list)
    for name, report in reports.items():
        if report["machine_id"]:
            owners[report["machine_id"]].append(name)
    for names in owners.values():
        if len(names) > 1:
            wrong = "these names lead to the same machine, or to clones with the same machine-id"
            mend = "correct ansible_host; on clones: rm /etc/machine-id && systemd-machine-id-setup, then reboot"
            yield Problem(", ".join(names), "machine-id", "", wrong, mend)
