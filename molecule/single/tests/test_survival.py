"""The host heals itself: from killed services and from a reboot."""

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
    for _unused in range(seconds * 2):
        answer = question()
        if answer == wanted:
            return answer
        time.sleep(0.5)
    return question()


def state(inside, service: str) -> str:
    return inside(f"systemctl is-active {service} || true").strip()


def main_pid(inside, service: str) -> str:
    return inside(f"systemctl show --value --property=MainPID {service}").strip()


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
