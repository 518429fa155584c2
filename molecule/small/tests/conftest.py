"""How the tests reach the scenario's hosts and the collection's playbooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = ROOT / ".lab/molecule-small/inventory"


class Site:
    """The scenario's site: three nodes, and the playbooks that act on them."""

    nodes = ("node1", "node2", "node3")

    def __init__(self) -> None:
        hosts = yaml.safe_load((INVENTORY / "lab.yml").read_text())["all"]["hosts"]
        self.virtual_address: str = hosts["node1"]["aigo_virtual_address"]

    def on(self, host: str, line: str) -> str:
        """Run a shell line on a host as root and return what it printed."""
        command = ["docker", "exec", f"aigo-molecule-small-{host}", "sh", "-c", line]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{host}: {line!r} failed: {done.stderr or done.stdout}"
        return done.stdout

    def database(self) -> dict[str, str]:
        """Patroni's members with their roles and states."""
        members = json.loads(self.on("node1", "patronictl -c /etc/patroni/config.yml list --format json"))
        return {member["Member"]: f"{member['Role']} {member['State']}" for member in members}

    def leader(self) -> str:
        """Name of the database's leader."""
        return next(name for name, state in self.database().items() if state.startswith("Leader"))

    def healthy(self, seconds: int = 1) -> bool:
        """Whether the database has a leader, a synchronous standby and a replica, now or within some seconds."""
        wanted = ["Leader running", "Replica streaming", "Sync Standby streaming"]
        return self.wait(lambda: sorted(self.database().values()) == wanted, seconds)

    def holders(self) -> list[str]:
        """Nodes that have the virtual address."""
        return [node for node in self.nodes if self.virtual_address in self.on(node, "ip -brief address")]

    def wait(self, question: Callable[[], bool], seconds: int) -> bool:
        """Ask until it is so, or the time is over."""
        for _unused in range(seconds * 2):
            if question():
                return True
            time.sleep(0.5)
        return question()

    def playbook(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the collection's playbooks against the site."""
        tool = Path(sys.executable).parent / "ansible-playbook"
        command: list[Any] = [tool, f"playbooks/{name}.yml", "-i", INVENTORY, *arguments]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def site() -> Site:
    """The scenario's site."""
    return Site()
