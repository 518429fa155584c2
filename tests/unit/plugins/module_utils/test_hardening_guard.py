"""The guard of signing in: what it archives, who wins, and what a failed run leaves behind."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._hardening_guard import Guard, GuardError
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Completed


class Host:
    """A directory to guard. tar is real; systemd only remembers what it was asked."""

    def __init__(self, root: Path) -> None:
        self.guarded = root / "etc"
        self.guarded.mkdir()
        (self.guarded / "sshd_config").write_text("old\n")
        self.state = root / "state"
        self.asked: list[list[str]] = []
        self.timer_rc = 0
        self.guard = Guard([str(self.guarded), str(root / "missing")], ["ssh.service"], self.run, self.state)

    def run(self, argv: Sequence[str]) -> Completed:
        command = list(argv)
        self.asked.append(command)
        if command[0] == "systemd-run":
            return Completed(self.timer_rc, "", "no bus" if self.timer_rc else "")
        if command[0] == "systemctl":
            return Completed(0, "", "")
        # The rollback ends in a call of systemctl, which must not reach this machine.
        command = [part.replace("systemctl", "true") for part in command]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def fire(self) -> Completed:
        """What the timer does."""
        command = next(command for command in reversed(self.asked) if command[0] == "systemd-run")
        return self.run(command[command.index("/bin/sh") :])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_nothing_changed_needs_no_proof_and_stops_the_timer(host: Host) -> None:
    host.guard.arm(60)
    assert host.guard.changed() is False
    host.guard.confirm()
    assert host.asked[-1] == ["systemctl", "stop", "aigo-sign-in-rollback.timer"]
    assert not (host.state / "sign-in.pending").exists()


def test_a_changed_or_a_new_file_needs_a_proof(host: Host) -> None:
    host.guard.arm(60)
    (host.guarded / "sshd_config").write_text("new\n")
    assert host.guard.changed()
    host.guard.confirm()
    host.guard.arm(60)
    (host.guarded / "drop-in.conf").write_text("x\n")
    assert host.guard.changed()


def test_the_timer_puts_back_what_was_and_removes_what_came(host: Host) -> None:
    host.guard.arm(60)
    (host.guarded / "sshd_config").write_text("new\n")
    (host.guarded / "drop-in.conf").write_text("x\n")
    assert host.fire().rc == 0
    assert [path.name for path in host.guarded.iterdir()] == ["sshd_config"]
    assert (host.guarded / "sshd_config").read_text() == "old\n"
    with pytest.raises(GuardError, match=r"former.*files back.*hardening_confirm_timeout"):
        host.guard.confirm()


def test_a_confirmed_change_cannot_be_taken_back(host: Host) -> None:
    host.guard.arm(60)
    (host.guarded / "sshd_config").write_text("new\n")
    host.guard.confirm()
    assert host.fire().rc != 0
    assert (host.guarded / "sshd_config").read_text() == "new\n"


def test_what_an_earlier_run_left_unconfirmed_goes_first(host: Host) -> None:
    host.guard.arm(60)
    (host.guarded / "sshd_config").write_text("nobody vouched for this\n")
    host.guard.arm(60)
    assert (host.guarded / "sshd_config").read_text() == "old\n"


def test_without_a_timer_nothing_may_change(host: Host) -> None:
    host.timer_rc = 1
    with pytest.raises(GuardError, match=r"timer.*no bus"):
        host.guard.arm(60)
    assert not (host.state / "sign-in.pending").exists()


def test_the_archive_is_for_root_alone(host: Host) -> None:
    host.guard.arm(60)
    assert (host.state / "sign-in.pending").stat().st_mode & 0o777 == 0o600
    assert host.state.stat().st_mode & 0o777 == 0o700


def test_confirming_without_arming_is_an_error(host: Host) -> None:
    with pytest.raises(GuardError, match="not armed"):
        host.guard.changed()
