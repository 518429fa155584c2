"""Controls are judged on what is in force; exceptions end; a control that is written wrongly is an error."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.aigo.onprem.plugins.module_utils._compliance import ComplianceError, judge
from ansible_collections.aigo.onprem.plugins.module_utils._compliance_host import LocalHost
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Completed
from ansible_collections.aigo.onprem.plugins.plugin_utils._compliance_report import (
    ExceptionError,
    checked_exceptions,
    drift,
    evidence,
)

ROOT = Path(__file__).parents[4]
CONTROLS = yaml.safe_load((ROOT / "roles/hardening/files/controls.yml").read_text())
NOW = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)


def answer(argv: Sequence[str]) -> Completed:
    if argv[0] == "sshd":
        return Completed(0, "permitrootlogin no\nport 22\nport 2222\nmaxauthtries 3\n", "")
    if argv[0] == "dpkg-query":
        return Completed(0, "ii  sudo\nrc  telnet\n", "")
    unit = argv[-1]
    if unit == "ssh.service":
        return Completed(0, "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n", "")
    return Completed(0, "LoadState=not-found\n", "")


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    for path, text in {
        "proc/sys/kernel/randomize_va_space": "2\n",
        "proc/self/mounts": "tmpfs /tmp tmpfs rw,nosuid,nodev 0 0\n",
        "proc/modules": "sctp 1 0 - Live\n",
        "etc/modprobe.d/a.conf": "install sctp /bin/false\ninstall usb-storage /bin/false\nblacklist dccp\n",
        "etc/login.defs": "# UMASK 077\nUMASK\t027\nPASS_MAX_DAYS 365\n",
        "etc/pam.d/su": "# auth required pam_wheel.so\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "etc/pam.d/su").chmod(0o664)
    return LocalHost(answer, tmp_path)


@pytest.mark.parametrize(
    ("control", "status", "found"),
    [
        ({"sysctl": "kernel.randomize_va_space", "equals": 2}, "pass", "2"),
        ({"sysctl": "kernel.randomize_va_space", "equals": 1}, "fail", "2"),
        ({"sysctl": "kernel.not_there", "equals": 1}, "not_applicable", "absent"),
        ({"sshd": "PermitRootLogin", "equals": "no"}, "pass", "no"),
        ({"sshd": "Port", "has": "2222"}, "pass", "22 2222"),
        ({"sshd": "MaxAuthTries", "at_most": 2}, "fail", "3"),
        ({"sshd": "Unknown", "equals": "no"}, "fail", "absent"),
        ({"setting": ["/etc/login.defs", "UMASK"], "any_of": ["027", "077"]}, "pass", "027"),
        ({"setting": ["/etc/login.defs", "PASS_MAX_DAYS"], "at_most": 90}, "fail", "365"),
        ({"setting": ["/etc/none", "X"], "equals": 1}, "fail", "absent"),
        ({"line": "/etc/pam.d/su", "has": "pam_wheel"}, "fail", "absent"),
        ({"line": "/etc/pam.d/su", "lacks": "nullok"}, "pass", "absent"),
        ({"unit": "ssh.service"}, "pass", "active, enabled"),
        ({"unit": "telnet.service", "equals": "inactive"}, "pass", "absent"),
        ({"unit": "auditd.service"}, "fail", "absent"),
        ({"package": "sudo"}, "pass", "installed"),
        ({"package": "telnet", "equals": "absent"}, "pass", "absent"),
        ({"module": "usb-storage"}, "pass", "refused"),
        ({"module": "sctp"}, "fail", "can be loaded"),
        ({"module": "dccp"}, "fail", "can be loaded"),
        ({"mount": "/tmp", "options": ["nosuid", "noexec"]}, "fail", "rw,nosuid,nodev"),
        ({"mount": "/home", "options": ["nosuid"]}, "not_applicable", "no file system of its own"),
    ],
)
def test_a_control_is_judged_on_what_is_in_force(
    host: LocalHost, control: dict[str, Any], status: str, found: str
) -> None:
    finding = judge({"id": "x", **control}, host)
    assert (finding.status, finding.found) == (status, found)


def test_a_mode_may_be_stricter_but_not_wider(host: LocalHost) -> None:
    owner = host.mode("/etc/pam.d/su")
    assert owner is not None
    control = {"id": "x", "mode": "/etc/pam.d/su", "owner": owner[1]}
    assert judge({**control, "at_most": "0666"}, host).status == "pass"
    assert judge({**control, "at_most": "0644"}, host).status == "fail"
    assert judge({**control, "at_most": "0666", "owner": "nobody-else"}, host).status == "fail"


@pytest.mark.parametrize("control", [{}, {"sysctl": "a", "sshd": "b"}, {"sysctl": "kernel.randomize_va_space"}])
def test_a_control_that_is_written_wrongly_is_an_error(host: LocalHost, control: dict[str, Any]) -> None:
    with pytest.raises(ComplianceError, match="control x"):
        judge({"id": "x", **control}, host)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control["id"])
def test_every_control_of_the_catalogue_can_be_judged_and_says_where_it_comes_from(
    host: LocalHost, control: dict[str, Any]
) -> None:
    assert judge(control, host).wanted
    assert control["title"]
    assert control["cis"] or control["anssi"]


def test_identifiers_are_unique() -> None:
    names = [control["id"] for control in CONTROLS]
    assert len(names) == len(set(names))


CONTROL = [{"id": "a", "title": "A", "cis": "1.1", "anssi": None}]
FAILED = [{"wanted": "1", "found": "0", "status": "fail"}]


def made(**changes: Any) -> dict[str, Any]:
    return {"control": "a", "reason": "needed", "owner": "operations", "expires": "2026-12-31", **changes}


def test_an_exception_covers_a_failure_until_its_last_day() -> None:
    exceptions = checked_exceptions([made(expires="2026-11-20")], ["a"], "h1", [])
    document = evidence("h1", CONTROL, FAILED, exceptions, NOW)
    assert document["summary"] == {"pass": 0, "fail": 0, "excepted": 1, "not_applicable": 0, "score": 0.0}
    assert document["controls"][0]["exception"]["owner"] == "operations"
    assert drift(document) == []


def test_an_exception_that_has_ended_is_drift_and_says_so() -> None:
    exceptions = checked_exceptions([made(expires="2026-11-19")], ["a"], "h1", [])
    document = evidence("h1", CONTROL, FAILED, exceptions, NOW)
    assert document["summary"]["fail"] == 1
    assert drift(document) == ["a: wanted 1, found 0; the exception of operations has ended"]


def test_an_exception_counts_for_its_hosts_and_groups_only() -> None:
    assert checked_exceptions([made(hosts=["h2"])], ["a"], "h1", ["edge"]) == {}
    assert "a" in checked_exceptions([made(hosts=["edge"])], ["a"], "h1", ["edge"])


def test_every_mistake_in_the_exceptions_is_named() -> None:
    wrong = [made(owner=""), made(control="b"), made(expires="soon")]
    with pytest.raises(ExceptionError) as error:
        checked_exceptions(wrong, ["a"], "h1", [])
    for part in ("owner is missing", "no such control", "'soon' is not a day"):
        assert part in str(error.value)
