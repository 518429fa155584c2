"""Preflight of hosts: what is judged from what the hosts have told."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._capacity import GROUPS
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight import Host, Problem, Role, Site
from ansible_collections.aigo.onprem.plugins.plugin_utils._preflight_hosts import check_hosts

GOOD: dict[str, Any] = {
    "os": {"id": "debian", "version": "13", "name": "Debian GNU/Linux 13 (trixie)"},
    "architecture": "x86_64",
    "python": [3, 13, 5],
    "cores": 2,
    "memory_mb": 7800,
    "disks": [
        {"path": "/", "device": "1", "total_mb": 20000, "free_mb": 15000},
        {"path": "/var", "device": "1", "total_mb": 20000, "free_mb": 15000},
    ],
    "init": "systemd",
    "systemd": True,
    "uid": 0,
    "user": "root",
    "machine_id": "a" * 32,
    "managed": False,
    "listening": [{"address": "0.0.0.0", "port": 22, "process": "sshd", "unit": "ssh.service"}],
    "package_sources": [{"uri": "mirror trixie", "reachable": True, "error": ""}],
    "routes": [],
    "clock": "2030-01-01 00:00:00 UTC",
    "clock_offset": 0.2,
    "clock_uncertainty": 0.5,
}


def site(**variables: Any) -> Site:
    """Two hosts that do everything."""
    values = {"aigo_tier": "single", **variables}
    groups = [group for group in GROUPS if group not in ("model", "ops", "backup")]
    role = Role("nginx", {"nginx_status_port": {"type": "int"}}, {"nginx_status_port": 8081})
    return Site(
        hosts=[Host(name, tuple(groups), values) for name in ("one", "two")],
        groups={group: ["one", "two"] for group in groups},
        roles={"nginx": role},
        variables={},
        ports=[("https", ("edge",), 443), ("postgresql", ("postgres",), 5432), ("local model", ("model",), 8090)],
    )


def judge(*changes: dict[str, Any], **variables: Any) -> list[Problem]:
    """Findings about hosts that differ from a good one by ``changes``."""
    reports = {name: {**GOOD, **change} for name, change in zip(("one", "two"), changes, strict=False)}
    return list(check_hosts(site(**variables), reports, 5.0))


def listener(port: int, process: str = "thing", unit: str = "") -> dict[str, Any]:
    return {"listening": [{"address": "::", "port": port, "process": process, "unit": unit}]}


def test_a_good_host_has_no_findings() -> None:
    assert judge({}) == []


@pytest.mark.parametrize(
    ("change", "variable", "wrong", "mend"),
    [
        ({"os": {"id": "debian", "version": "12", "name": "Debian 12"}}, "operating system", "tested on", "Debian 13"),
        ({"os": {"id": "ubuntu", "version": "24.04", "name": "Ubuntu"}}, "operating system", "tested on", "Debian 13"),
        ({"architecture": "aarch64"}, "architecture", "locked for x86_64", "x86_64 processor"),
        ({"python": [3, 9, 2]}, "Python", "older than 3.11", "ansible_python_interpreter"),
        ({"systemd": False, "init": "sh"}, "process 1", "systemd does not run", "boots systemd"),
        ({"uid": 1000, "user": "admin"}, "ansible_user", "do not run as root", "ansible_become_password"),
        ({"cores": 1}, "cores", "needs 2 cores", "aigo_allow_undersized"),
        ({"memory_mb": 4096}, "memory", "needs 8192 MB", "aigo_allow_undersized"),
        (
            listener(443, "apache2", "apache2.service"),
            "port 443",
            "something else listens where https",
            "systemctl disable --now apache2.service",
        ),
        (listener(5432), "port 5432", "where postgresql is to listen", "stop and disable it"),
        (listener(8081, "java"), "port 8081", "where nginx_status_port is to listen", "stop and disable it"),
        ({"package_sources": []}, "package source", "has no package source", "baseline_apt_sources"),
        (
            {"package_sources": [{"uri": "m", "reachable": False, "error": "timed out"}]},
            "package source",
            "timed out",
            "baseline_apt_proxy",
        ),
        (
            {"routes": [{"address": "10.0.0.2", "port": 5432, "reachable": False, "error": "no route"}]},
            "route",
            "no route",
            "aigo_address",
        ),
        ({"clock_offset": 90.0}, "clock", "90 s ahead of the control node", "timedatectl"),
        ({"clock_offset": -30.0}, "clock", "30 s behind", "timedatectl"),
        (
            {"problem": "connection", "wrong": "no answer", "mend": "check the key"},
            "connection",
            "no answer",
            "check the key",
        ),
    ],
)
def test_each_shortcoming_is_told_with_its_mend(change: dict[str, Any], variable: str, wrong: str, mend: str) -> None:
    (problem,) = judge(change)
    assert (problem.host, problem.variable, problem.warning) == ("one", variable, False)
    assert wrong in problem.wrong
    assert mend in problem.mend


def test_an_unsupported_system_is_a_warning_where_the_site_allows_it() -> None:
    change = {"os": {"id": "debian", "version": "12", "name": "Debian 12"}}
    assert [problem.warning for problem in judge(change, aigo_allow_unsupported_os=True)] == [True]


def test_a_host_too_small_is_a_warning_where_the_site_allows_it() -> None:
    problems = judge({"cores": 1, "memory_mb": 1024}, aigo_allow_undersized=True)
    assert {problem.variable for problem in problems} == {"cores", "memory"}
    assert all(problem.warning for problem in problems)


def test_a_disk_too_small_and_a_disk_too_full_are_told() -> None:
    small = [{"path": "/", "device": "1", "total_mb": 9000, "free_mb": 8000}]
    assert [problem.variable for problem in judge({"disks": small})] == ["disk"]
    full = [{**disk, "free_mb": 900} for disk in GOOD["disks"]]
    (problem,) = judge({"disks": full})
    assert (problem.variable, problem.value) == ("disk / and /var", "900 MB free")


def test_a_deployed_host_may_have_less_free_space() -> None:
    full = [{**disk, "free_mb": 900} for disk in GOOD["disks"]]
    assert judge({"disks": full, "managed": True}) == []


def test_own_services_may_listen_on_a_host_that_is_deployed() -> None:
    change = listener(443, "nginx", "nginx.service")
    assert judge({**change, "managed": True}) == []
    assert [problem.variable for problem in judge(change)] == ["port 443"]


def test_a_listener_on_both_families_is_told_once() -> None:
    both = listener(443)["listening"] + [{"address": "0.0.0.0", "port": 443, "process": "thing", "unit": ""}]
    assert len(judge({"listening": both})) == 1


def test_ports_that_nobody_wants_are_no_concern() -> None:
    assert judge(listener(8090)) == []


def test_a_slow_answer_is_not_a_wrong_clock() -> None:
    assert judge({"clock_offset": 8.0, "clock_uncertainty": 9.0}) == []


def test_clocks_of_hosts_are_compared_with_each_other() -> None:
    problems = judge({"clock_offset": 4.0}, {"clock_offset": -4.0, "machine_id": "b" * 32})
    assert [(problem.host, problem.value) for problem in problems] == [("one, two", "8 s apart")]


def test_two_names_for_one_machine_are_told() -> None:
    (problem,) = judge({}, {})
    assert (problem.host, problem.variable) == ("one, two", "machine-id")


def test_findings_of_all_hosts_come_together() -> None:
    problems = judge({"cores": 1}, {"architecture": "aarch64", "machine_id": "b" * 32})
    assert [(problem.host, problem.variable) for problem in problems] == [("one", "cores"), ("two", "architecture")]
