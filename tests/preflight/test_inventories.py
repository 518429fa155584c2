"""Every inventory of the collection is valid as it is: preflight finds no mistake before it turns to the hosts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.aigo.onprem.plugins.module_utils._capacity import GROUPS, TIERS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INVENTORIES = sorted(path.parent for path in ROOT.glob("inventories/*/hosts.yml"))
TIER_INVENTORIES = [path for path in INVENTORIES if path.name in TIERS]
UNREACHED = {"ansible_connection": "recorder", "aigo_state_dir": "{{ inventory_dir }}/.state"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What preflight said of each, with nobody behind the addresses."""
    scratch = tmp_path_factory.mktemp("inventories")
    batch = []
    for source in INVENTORIES:
        copy = scratch / source.name
        shutil.copytree(source, copy, ignore=lambda *_: [".state"])
        (copy / "unreached.yml").write_text(yaml.safe_dump({"all": {"vars": UNREACHED}}))
        batch.append({"name": source.name, "inventory": str(copy)})
    cases = scratch / "cases.json"
    cases.write_text(json.dumps(batch))
    run = subprocess.run(
        [sys.executable, str(HERE / "harness.py"), str(cases)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_LOCAL_TEMP": str(scratch / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def test_every_tier_has_an_inventory() -> None:
    assert {path.name for path in TIER_INVENTORIES} == set(TIERS)


@pytest.mark.parametrize("name", [path.name for path in INVENTORIES])
def test_it_passes_all_that_can_be_judged_without_the_hosts(results: dict[str, Any], name: str) -> None:
    (failure,) = results[name]["failures"]
    assert all(mistake["variable"] == "connection" for mistake in failure["mistakes"]), failure["msg"]
    assert results[name]["contacted"]


@pytest.mark.parametrize("inventory", TIER_INVENTORIES, ids=lambda path: path.name)
def test_it_has_the_hosts_that_its_tier_is_planned_with(inventory: Path) -> None:
    children = yaml.safe_load((inventory / "hosts.yml").read_text())["all"]["children"]
    tier = TIERS[inventory.name]
    optional = {"model"} | ({"ops", "backup"} if inventory.name == "single" else set())
    found = {group: len((children.get(group) or {}).get("hosts") or {}) for group in GROUPS if group not in optional}
    assert found == {group: tier.hosts_in(group) for group in found}
