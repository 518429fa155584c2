"""The built collection: what it carries, what it leaves behind, and that it works where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection, built from this checkout."""
    output = tmp_path_factory.mktemp("artefact")
    command = [BIN / "ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(output)]
    subprocess.run(command, check=True, capture_output=True)
    return next(output.glob("aigo-onprem-*.tar.gz"))


@pytest.fixture(scope="module")
def elsewhere(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nothing but the installed collection."""
    place = tmp_path_factory.mktemp("elsewhere")
    command = [
        BIN / "ansible-galaxy",
        "collection",
        "install",
        str(artefact),
        "--no-deps",
        "-p",
        str(place / "collections"),
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=place)
    return place


def run(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE")}
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(place / "collections")
    program = str(BIN / command[0])
    return subprocess.run(
        [program, *command[1:]], cwd=place, env=environment, capture_output=True, text=True, check=False
    )


def test_it_carries_what_a_deployment_needs_and_nothing_of_the_workshop(artefact: Path) -> None:
    with tarfile.open(artefact) as tar:
        names = set(tar.getnames())
    for needed in (
        "app/pyproject.toml",
        "app/locks/py313.txt",
        "app/src/aigo/__init__.py",
        "inventories/single/hosts.yml",
        "playbooks/site.yml",
        "playbooks/group_vars/all/flows.yml",
        "LICENSE",
    ):
        assert needed in names
    top = {name.split("/")[0] for name in names}
    assert not {name for name in top if name.startswith(".")}
    assert not top & {"lab", "molecule", "tests", "requirements", "Makefile"}
    assert not {name for name in names if "__pycache__" in name or ".state" in name}


def test_every_playbook_parses_by_its_full_name(elsewhere: Path) -> None:
    for playbook in sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml")):
        inventory = str(ROOT / "inventories" / "single")
        done = run(elsewhere, "ansible-playbook", f"aigo.onprem.{playbook}", "--syntax-check", "-i", inventory)
        assert done.returncode == 0, f"{playbook}: {done.stderr}"


def test_preflight_judges_an_inventory_by_its_full_name(elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {one: {}}, vars: {aigo_tier: tiny, aigo_domain: example.com}}")
    done = run(elsewhere, "ansible-playbook", "aigo.onprem.preflight", "-i", str(tmp_path / "hosts.yml"))
    assert done.returncode != 0
    assert "aigo_tier" in done.stdout + done.stderr
    assert "tiny" in done.stdout + done.stderr
