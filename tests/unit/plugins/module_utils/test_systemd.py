"""Units are read by one command, and what they log does not give passwords away."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._systemd import (
    Completed,
    Systemd,
    mask_keyed_secrets,
    run_command,
    unit_name,
)

SHOW = """Id=a.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
NeedDaemonReload=yes
Type=notify
RemainAfterExit=no
Result=success
MainPID=42
NRestarts=3

LoadState=not-found
ActiveState=inactive
UnitFileState=

LoadState=masked
ActiveState=inactive
UnitFileState=masked
"""


def test_all_units_are_read_by_one_command_in_the_order_asked_for() -> None:
    calls: list[Sequence[str]] = []

    def runner(argv: Sequence[str]) -> Completed:
        calls.append(argv)
        return Completed(0, SHOW, "")

    states = Systemd(runner).show(["a.service", "b.service", "c.service"])
    assert len(calls) == 1
    a, b, c = (states[name] for name in ("a.service", "b.service", "c.service"))
    assert (a.running, a.enabled, a.need_reload, a.main_pid, a.restarts) == (True, True, True, 42, 3)
    assert (b.exists, b.running, b.enabled) == (False, False, False)
    assert (c.exists, c.masked) == (True, True)


def test_no_unit_needs_no_command() -> None:
    def runner(_argv: Sequence[str]) -> Completed:
        raise AssertionError("nothing to ask")

    assert Systemd(runner).show([]) == {}


def test_an_unreachable_systemd_reads_as_units_that_are_not_found() -> None:
    states = Systemd(lambda _argv: Completed(1, "", "no bus")).show(["a.service"])
    assert not states["a.service"].exists


@pytest.mark.parametrize(
    ("name", "full"),
    [("nginx", "nginx.service"), ("a@b", "a@b.service"), ("x.socket", "x.socket"), ("a.b", "a.b.service")],
)
def test_a_unit_without_a_type_is_a_service(name: str, full: str) -> None:
    assert unit_name(name) == full


@pytest.mark.parametrize(
    "line",
    ["password=hunter2x", 'Password: "hunter2x"', "secret: hunter2x", "requirepass hunter2x", "token = hunter2x"],
)
def test_what_follows_a_word_for_a_secret_is_masked(line: str) -> None:
    assert "hunter2x" not in mask_keyed_secrets(line)


def test_plain_messages_stay_readable() -> None:
    line = "FATAL: password authentication failed for user aigo; unexpected token at line 3"
    assert mask_keyed_secrets(line) == line


def test_a_missing_program_and_a_slow_one_are_told_apart() -> None:
    assert run_command(["no-such-program-here"]).rc == 127
    assert run_command(["sleep", "5"], timeout=0.05).rc == 124
