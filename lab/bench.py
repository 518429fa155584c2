"""Measure a deployment against a floor in the same run: the same packages and wheels, by hand on a fresh host.

    make bench

Seconds differ from machine to machine, ratios hardly do. The run without changes tells its tasks and module executions
as well. Every figure is printed beside what it has to reach.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab

BIN = Path(sys.executable).parent
LOCK = lab.ROOT / "app" / "locks" / "py313.txt"
LAB, FLOOR = "bench", "bench-floor"
LIST_PACKAGES = ["dpkg-query", "--show", "--showformat=${Package}\\n"]


@dataclass(frozen=True)
class Run:
    """One run of site.yml: wall seconds, and the progress callback's summary."""

    seconds: float
    summary: dict[str, Any]

    def role(self, name: str) -> float:
        """Seconds that a role, or a play of that name, took."""
        return float(sum(row["seconds"] for row in self.summary["roles"] if row["role"] == name))


def deploy(inventory: Path) -> Run:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "summary.json"
        environment = {**os.environ, "ANSIBLE_CONFIG": "ansible.cfg", "AIGO_PROGRESS_JSON": str(report)}
        command = [str(BIN / "ansible-playbook"), "playbooks/site.yml", "-i", str(inventory)]
        start = time.monotonic()
        subprocess.run(command, cwd=lab.ROOT, env=environment, check=True)
        return Run(time.monotonic() - start, json.loads(report.read_text()))


def main_pids(container: str) -> str:
    """The main process of every running service, to see that none was restarted."""
    units = "systemctl list-units --type=service --state=running --plain --no-legend | cut -d' ' -f1"
    return lab.docker("exec", container, "sh", "-c", f"systemctl show --property=Id,MainPID $({units}) | grep -v '@0'")


def floor(packages: list[str], wheels: Path) -> tuple[float, float]:
    """Install packages and wheels by hand on a fresh host. Returns the seconds of each."""
    host = "floor"
    lab.up(FLOOR, None, [host])
    container = lab.container(FLOOR, host)
    lab.docker("cp", str(wheels), f"{container}:/opt/wheels")
    lab.docker("cp", str(LOCK), f"{container}:/opt/lock.txt")
    # Services must not start: starting them is the deployment's work, not the installation's.
    lab.docker(
        "exec",
        container,
        "sh",
        "-c",
        "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d",
    )
    start = time.monotonic()
    lab.docker("exec", container, "apt-get", "--quiet", "update")
    install = ["apt-get", "--quiet", "--yes", "--no-install-recommends", "install", *packages, "python3-venv"]
    lab.docker("exec", "--env=DEBIAN_FRONTEND=noninteractive", container, *install)
    middle = time.monotonic()
    venv = "python3 -m venv /opt/floor && /opt/floor/bin/pip install --quiet --no-index --find-links=/opt/wheels"
    lab.docker("exec", container, "sh", "-c", f"{venv} --require-hashes --requirement=/opt/lock.txt")
    return middle - start, time.monotonic() - middle


def measure(wheels: Path) -> list[tuple[str, str, str]]:
    """Deploy, deploy again, install the floor. Returns rows: what, figure, what it has to reach."""
    hosts = lab.layout_hosts("single")
    inventory = lab.up(LAB, "single", hosts)
    container = lab.container(LAB, hosts[0])
    before = set(lab.docker("exec", container, *LIST_PACKAGES).split())
    first = deploy(inventory)
    pids = main_pids(container)
    second = deploy(inventory)
    undisturbed = main_pids(container) == pids
    packages = sorted(set(lab.docker("exec", container, *LIST_PACKAGES).split()) - before)
    apt, pip = floor(packages, wheels)
    verification = first.role("verify")
    host = second.summary["hosts"][hosts[0]]
    return [
        (f"floor: {len(packages)} packages and the wheels by hand", f"{apt:.1f} + {pip:.1f} s", ""),
        ("first deployment, verification aside", f"{first.seconds - verification:.1f} s", ""),
        ("  its verification", f"{verification:.1f} s", ""),
        ("  ratio to the floor", f"{(first.seconds - verification) / (apt + pip):.2f}", "≤ 1.6"),
        ("run without changes", f"{second.seconds:.1f} s", ""),
        ("  tasks", str(second.summary["tasks"]), ""),
        ("  module executions a host", str(host["module_executions"]), "≤ 70"),
        ("  changed", str(host.get("changed", 0)), "0"),
        ("  the same processes", "yes" if undisturbed else "no", "yes"),
    ]


def main() -> int:
    wheels = Path.home() / ".cache" / "aigo.onprem" / "wheels"
    try:
        rows = measure(wheels)
    finally:
        for name in (LAB, FLOOR):
            lab.down(name)
    print(f"\n{'':<52}{'measured':>14}  to reach")
    for what, figure, goal in rows:
        print(f"{what:<52}{figure:>14}  {goal}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
