"""The host heals itself: killed services, a reboot; and a converged host isn't disturbed by the next run."""

from __future__ import annotations

import subprocess
import time

import pytest

SERVICES = [
    "aigo-api@main.service",
    "aigo-model.service",
    "aigo-worker.service",
    "etcd.service",
    "nginx.service",
    "patroni.service",
    "prometheus-node-exporter.service",
    "redis-server.service",
]


def wait_for(question, wanted, seconds: int):
    """Ask until the answer is the wanted one; return the last answer."""
    for _ in range(seconds * 2):
        answer = question()
        if answer == wanted:
            return answer
        time.sleep(0.5)
    return question()


def state(inside, service: str) -> str:
    return inside(f"systemctl is-active {service} || true").strip()


def main_pid(inside, service: str) -> str:
    return inside(f"systemctl show --value --property=MainPID {service}").strip()


def test_the_second_run_left_every_process_alone(inside):
    before = dict(line.split("=") for line in inside("cat /run/main-pids").split())
    now = {service: main_pid(inside, service) for service in SERVICES}
    assert now == before


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back_by_itself(inside, service):
    killed = main_pid(inside, service)
    inside(f"kill -9 {killed}")
    assert wait_for(
        lambda: state(inside, service) == "active" and main_pid(inside, service) not in ("0", killed), True, 60
    )


def test_after_a_reboot_the_platform_answers_again(inside, playbook, container):
    subprocess.run(["docker", "restart", container], check=True, capture_output=True)
    for service in SERVICES:
        assert wait_for(lambda service=service: state(inside, service), "active", 90) == "active", service
    done = playbook("verify")
    assert done.returncode == 0, done.stdout[-3000:]
