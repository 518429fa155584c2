"""What the tests of the single host share: the lab's host, the site's secrets, and ways to run things against them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
LAB = "molecule-single"
HOST = "aigo1"
CONTAINER = f"aigo-{LAB}-{HOST}"
INVENTORY = ROOT / ".lab" / LAB / "inventory"


@pytest.fixture(scope="session")
def container() -> str:
    """The name of the container that is the host."""
    return CONTAINER


@pytest.fixture(scope="session")
def authority() -> Path:
    """The site's own authority, as a PEM file."""
    return INVENTORY / ".state" / "ca" / "ca.pem"


@pytest.fixture(scope="session")
def neighbour() -> Callable[[str, str], str]:
    """Run a script of molecule/resources in a fresh container beside the host, and return what it printed."""

    def run(script: str, *arguments: str) -> str:
        inspect = ["docker", "inspect", "--format={{.Config.Image}}", CONTAINER]
        image = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()
        command = [
            "docker",
            "run",
            "--rm",
            "-i",
            f"--network=aigo-{LAB}",
            "--entrypoint=python3",
            image,
            "-",
            *arguments,
        ]
        with (ROOT / "molecule" / "resources" / script).open() as source:
            return subprocess.run(command, stdin=source, capture_output=True, text=True, check=True).stdout

    return run


@pytest.fixture(scope="session")
def logs() -> Callable[[], str]:
    """Read all logs of the runs so far."""

    def read() -> str:
        places = [ROOT / ".aigo" / "log", Path.cwd() / ".aigo" / "log"]
        return "".join(path.read_text(errors="replace") for place in places for path in place.glob("*.log"))

    return read


@pytest.fixture(scope="session")
def address() -> str:
    """The host's address in the lab's network."""
    return yaml.safe_load((INVENTORY / "lab.yml").read_text())["all"]["hosts"][HOST]["ansible_host"]


@pytest.fixture(scope="session")
def secrets() -> dict[str, str]:
    """The site's secrets by name, in the clear."""
    state = INVENTORY / ".state"
    password = (state / "vault_password").read_bytes().strip()
    vault = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(password))])
    return yaml.safe_load(vault.decrypt((state / "secrets.yml").read_bytes()))


@pytest.fixture(scope="session")
def playbook() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one of the collection's playbooks against the host and return what it said."""

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            Path(sys.executable).parent / "ansible-playbook",
            f"playbooks/{name}.yml",
            "-i",
            INVENTORY,
            *arguments,
        ]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def inside() -> Callable[[str], str]:
    """Run a shell line on the host as root and return what it printed."""

    def run(line: str) -> str:
        done = subprocess.run(
            ["docker", "exec", CONTAINER, "sh", "-c", line], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line!r} failed: {done.stderr or done.stdout}"
        return done.stdout

    return run
