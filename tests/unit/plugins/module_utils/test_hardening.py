"""What hardening decides: who keeps the way in, which values change, what may be mounted how, and what PAM has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._hardening_access import AccessError, Account, apply, plan
from ansible_collections.aigo.onprem.plugins.module_utils._hardening_facts import (
    connecting_user,
    controller,
    learns_routes,
    parse_sshd,
    routes_on_purpose,
)
from ansible_collections.aigo.onprem.plugins.module_utils._hardening_mounts import WantedMount
from ansible_collections.aigo.onprem.plugins.module_utils._hardening_mounts import plan as plan_mounts
from ansible_collections.aigo.onprem.plugins.module_utils._hardening_pam import PamError, PamProfile, missing_modules
from ansible_collections.aigo.onprem.plugins.module_utils._hardening_settings import add_lines, set_values
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Completed

ACCOUNTS = [
    Account("root", 0, "/bin/bash", False),
    Account("admin", 1000, "/bin/bash", True),
    Account("operator", 1001, "/bin/zsh", True),
    Account("keyless", 1002, "/bin/bash", False),
    Account("locked", 1003, "/usr/sbin/nologin", True),
    Account("daemon", 2, "/bin/sh", True),
]


def groups(**members: Sequence[str]):  # type: ignore[no-untyped-def]
    return lambda name: members.get(name.replace("-", "_"))


def test_the_account_that_is_signed_in_is_the_one_that_called_sudo() -> None:
    assert connecting_user({"SUDO_USER": "admin"}) == "admin"
    assert connecting_user({}) != ""


def test_the_controllers_address_is_found_above_sudo(tmp_path: Path) -> None:
    for pid, parent, environment in ((9, 8, b"PATH=/bin"), (8, 1, b"A=b\0SSH_CONNECTION=192.0.2.7 4000 10.0.0.1 22")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a (b) c) S {parent} 0")
        (tmp_path / str(pid) / "environ").write_bytes(environment)
    assert controller(tmp_path, 9) == "192.0.2.7"
    assert controller(tmp_path, 7) == ""


def test_sshd_keeps_its_ports_and_only_explicit_addresses() -> None:
    everywhere = "port 22\nport 2222\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:22\n"
    assert parse_sshd(everywhere) == {"ports": [22, 2222], "addresses": []}
    one = "port 22\nlistenaddress 192.0.2.1:22\n"
    assert parse_sshd(one) == {"ports": [22], "addresses": ["192.0.2.1:22"]}
    assert parse_sshd("") == {"ports": [22], "addresses": []}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net.ipv4.ip_forward=1\n", True),
        ("net/ipv6/conf/all/forwarding = 1\n", True),
        ("#net.ipv4.ip_forward=1\n", False),
        ("net.ipv4.ip_forward = 0\n", False),
        ("net.ipv4.ip_forward = 10\n", False),
    ],
)
def test_only_a_written_setting_makes_a_host_a_router(text: str, expected: bool) -> None:
    assert routes_on_purpose([text]) is expected


def test_advertised_routes_are_seen() -> None:
    assert learns_routes("default via fe80::1 dev eth0 proto ra metric 100\n")
    assert not learns_routes("default via fe80::1 dev eth0 proto static\n")


def test_a_new_group_takes_everybody_who_signs_in_by_key_today() -> None:
    planned = plan("aigo-ssh", ["sugroup"], ["admin"], ACCOUNTS, groups())
    assert planned.groups == ("aigo-ssh", "sugroup")
    assert planned.members == ("admin", "operator")


def test_a_group_that_exists_takes_only_who_is_wanted_so_that_access_can_be_taken_away() -> None:
    assert plan("aigo-ssh", [], ["admin"], ACCOUNTS, groups(aigo_ssh=["admin"])).changed is False
    assert plan("aigo-ssh", [], ["admin", "keyless"], ACCOUNTS, groups(aigo_ssh=["admin"])).members == ("keyless",)


def test_an_unknown_account_is_named() -> None:
    with pytest.raises(AccessError, match=r"hardening_ssh_users.*nobody-here"):
        plan("aigo-ssh", [], ["admin", "nobody-here"], ACCOUNTS, groups())


def test_a_tool_that_fails_is_quoted() -> None:
    planned = plan("aigo-ssh", [], ["admin"], ACCOUNTS, groups())
    with pytest.raises(AccessError, match=r"groupadd --system aigo-ssh.*no space"):
        apply(planned, "aigo-ssh", lambda argv: Completed(1, "", "no space"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("PASS_MAX_DAYS\t99999\n", "PASS_MAX_DAYS 365\n"),
        ("# PASS_MAX_DAYS 99\nUMASK 022\n", "PASS_MAX_DAYS 365\nUMASK 022\n"),
        ("UMASK 022\n", "UMASK 022\nPASS_MAX_DAYS 365\n"),
        ("PASS_MAX_DAYS 1\nPASS_MAX_DAYS 2\n", "PASS_MAX_DAYS 365\n"),
        ("PASS_MAX_DAYS\t\t365\n", "PASS_MAX_DAYS\t\t365\n"),
        ("# About PASS_MAX_DAYS: days.\n", "# About PASS_MAX_DAYS: days.\nPASS_MAX_DAYS 365\n"),
    ],
)
def test_a_value_stands_exactly_once(before: str, after: str) -> None:
    assert set_values(before, {"PASS_MAX_DAYS": "365"}, " ") == after
    assert set_values(after, {"PASS_MAX_DAYS": "365"}, " ") == after


def test_lines_are_added_once() -> None:
    once = add_lines("a\n", ["umask 027"])
    assert once == "a\numask 027\n"
    assert add_lines(once, ["umask 027"]) == once


def test_mounts_get_what_they_lack_and_directories_are_reported() -> None:
    wanted = [
        WantedMount("/dev/shm", ("nosuid", "nodev", "noexec")),
        WantedMount("/tmp", ("nosuid", "nodev", "noexec"), ("mode=1777",)),
        WantedMount("/home", ("nosuid", "nodev")),
        WantedMount("/var", ("nosuid", "nodev")),
    ]
    mounts = (
        "tmpfs /dev/shm tmpfs rw,nosuid,nodev,noexec 0 0\ntmpfs /tmp tmpfs rw,nosuid 0 0\n/dev/sdb1 /home ext4 rw 0 0\n"
    )
    fstab = "# a remark\n/dev/sdb1 /home ext4 defaults,suid 0 2\n"
    planned = plan_mounts(wanted, fstab, mounts)
    assert planned.remount == {"/tmp": ("nodev", "noexec"), "/home": ("nosuid", "nodev")}
    assert planned.absent == ("/var",)
    assert planned.fstab == (
        "# a remark\n/dev/sdb1 /home ext4 defaults,nosuid,nodev 0 2\n"
        "tmpfs /dev/shm tmpfs nosuid,nodev,noexec 0 0\ntmpfs /tmp tmpfs mode=1777,nosuid,nodev,noexec 0 0\n"
    )
    assert plan_mounts(wanted, planned.fstab, mounts).fstab == planned.fstab


PROFILE = """Name: x
Auth-Type: Primary
Auth:
\trequired\tpam_faillock.so preauth
\t[success=end default=ignore]\tpam_unix.so try_first_pass
Auth-Initial:
\trequired\tpam_faillock.so preauth
\t[success=end default=ignore]\tpam_unix.so
Account-Type: Primary
Account:
\trequired\tpam_faillock.so
"""
GOOD = {
    "common-auth": "auth required pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so \n",
    "common-account": "account\trequired\tpam_faillock.so \n",
}


def test_a_profile_that_comes_first_is_found_in_its_initial_form() -> None:
    assert missing_modules(PROFILE, GOOD) == []


def test_a_commented_or_changed_module_is_missing() -> None:
    stacks = {**GOOD, "common-account": "# account required pam_faillock.so\n"}
    assert missing_modules(PROFILE, stacks) == ["common-account: pam_faillock.so"]
    weak = {**GOOD, "common-auth": GOOD["common-auth"].replace("pam_unix.so", "pam_unix.so nullok")}
    assert missing_modules(PROFILE, weak) == ["common-auth: pam_unix.so"]


def profile(root: Path, stacks: dict[str, str], after: dict[str, str]) -> tuple[PamProfile, list[Sequence[str]]]:
    (root / "etc/pam.d").mkdir(parents=True)
    (root / "usr/share/pam-configs").mkdir(parents=True)
    calls: list[Sequence[str]] = []

    def write(content: dict[str, str]) -> None:
        for name, text in content.items():
            (root / "etc/pam.d" / name).write_text(text)

    def runner(argv: Sequence[str]) -> Completed:
        calls.append(argv)
        write(after)
        return Completed(0, "", "")

    write(stacks)
    return PamProfile("aigo", PROFILE, ["unix"], runner, root), calls


def test_the_profile_is_enabled_in_place_of_another_and_then_nothing_is_due(tmp_path: Path) -> None:
    pam, calls = profile(tmp_path, {"common-auth": "", "common-account": ""}, GOOD)
    assert pam.due()
    pam.apply()
    assert [call[2:] for call in calls] == [
        ["pam-auth-update", "--disable", "unix"],
        ["pam-auth-update", "--enable", "aigo"],
    ]
    assert not pam.due()


def test_stacks_that_pam_auth_update_leaves_alone_are_an_error(tmp_path: Path) -> None:
    by_hand = {"common-auth": "auth required pam_permit.so\n", "common-account": ""}
    pam, _calls = profile(tmp_path, by_hand, by_hand)
    with pytest.raises(PamError, match=r"changed by hand.*pam_faillock\.so preauth.*--force"):
        pam.apply()
