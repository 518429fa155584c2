"""A converged host isn't disturbed by the next run. First in the order of files: later tests kill and restart."""

from __future__ import annotations


def test_the_second_run_left_every_process_alone(inside):
    before = dict(line.split("=") for line in inside("cat /run/main-pids").split())
    now = {unit: inside(f"systemctl show --value --property=MainPID {unit}").strip() for unit in before}
    assert "aigo-api@main.service" in before
    assert now == before
