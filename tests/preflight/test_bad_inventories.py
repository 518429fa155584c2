"""Every bad inventory of the table is refused with its mistakes told, before any host is touched."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TABLE = yaml.safe_load((HERE / "bad_inventories.yml").read_text())
CASES: list[dict[str, Any]] = TABLE["cases"]
GOOD = ("single", "small", "foreign")
VAULT_PASSWORD = "the password of this site"


def base(name: str) -> dict[str, Any]:
    """A good inventory in the table's form."""
    if name == "small":
        small: dict[str, Any] = TABLE["small"]
        return small
    inventory = yaml.safe_load((ROOT / "inventories/single/hosts.yml").read_text())["all"]
    return {
        "all": yaml.safe_load((ROOT / "inventories/single/group_vars/all.yml").read_text()),
        "hosts": inventory["hosts"],
        "groups": {group: list(body.get("hosts") or {}) for group, body in inventory["children"].items()},
    }


def merged(case: dict[str, Any]) -> dict[str, Any]:
    """The case's changes laid over its base; what is null there is removed."""
    start = base(case.get("base", "single"))
    groups = {**start["groups"], **case.get("groups", {})}
    hosts = {name: dict(variables or {}) for name, variables in start["hosts"].items()}
    for name, variables in case.get("hosts", {}).items():
        hosts.setdefault(name, {}).update(variables)
    fixed = {"ansible_connection": "recorder", "aigo_state_dir": "{{ inventory_dir }}/.state"}
    everyone = {**start["all"], **case.get("all", {}), **fixed}
    return {
        "all": {name: value for name, value in everyone.items() if value is not None},
        "hosts": hosts,
        "groups": {name: members for name, members in groups.items() if members is not None},
    }


def write(directory: Path, case: dict[str, Any], certificates: Path) -> None:
    """Write the inventory of a case."""
    wanted = merged(case)
    groups: dict[str, Any] = {
        group: {"hosts": {name: {} for name in members}} for group, members in wanted["groups"].items()
    }
    inventory = {"all": {"hosts": wanted["hosts"], "vars": wanted["all"], "children": groups}}
    directory.mkdir()
    text = yaml.safe_dump(inventory).replace("CERTIFICATES", str(certificates))
    (directory / "hosts.yml").write_text(text)
    for path, content in case.get("files", {}).items():
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_text(content)
    if "secrets" in case:
        state = directory / ".state"
        state.mkdir(mode=0o700)
        secret = VaultSecret(VAULT_PASSWORD.encode())
        encrypted = VaultLib([("default", secret)]).encrypt(yaml.safe_dump(case["secrets"]), secret)
        (state / "secrets.yml").write_bytes(encrypted)
        (state / "vault_password").write_text(case.get("vault_password", VAULT_PASSWORD))


def make_certificates(directory: Path) -> None:
    """A good pair, another key, the key encrypted, and an expired certificate."""
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    for file, ends in (("good.pem", 90), ("expired.pem", -1)):
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=ends))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("agent.example.com")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        (directory / file).write_bytes(certificate.public_bytes(Encoding.PEM))
    plain, sealed = NoEncryption(), BestAvailableEncryption(b"secret")
    for file, private, encryption in (
        ("good.key", key, plain),
        ("other.key", other, plain),
        ("encrypted.key", key, sealed),
    ):
        (directory / file).write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What preflight said of every inventory: all of them in one process."""
    scratch = tmp_path_factory.mktemp("inventories")
    certificates = tmp_path_factory.mktemp("certificates")
    make_certificates(certificates)
    good: list[dict[str, Any]] = [
        {"name": "single"},
        {"name": "small", "base": "small"},
        {
            "name": "foreign",
            "all": {
                "aigo_foreign_variables": ["app_own_*"],
                "aigo_foreign_groups": ["berlin"],
                "app_own_colour": "red",
            },
            "groups": {"berlin": ["aigo1"]},
        },
    ]
    batch = []
    for number, case in enumerate([*good, *CASES]):
        directory = scratch / f"{number}"
        write(directory, case, certificates)
        batch.append({"name": case["name"], "inventory": str(directory)})
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


def mistakes(result: dict[str, Any]) -> list[dict[str, str]]:
    """The mistakes of a run, those that differ by the host alone once."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for failure in result["failures"]:
        for mistake in failure["mistakes"] or []:
            found[tuple(str(mistake[key]) for key in ("host", "variable", "value", "wrong"))] = mistake
    return list(found.values())


def test_the_table_is_large_enough_and_its_names_differ() -> None:
    names = [case["name"] for case in CASES]
    assert len(names) >= 40
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_inventory_passes_and_the_hosts_are_asked(results: dict[str, Any], name: str) -> None:
    (failure,) = results[name]["failures"]
    assert all(mistake["variable"] == "connection" for mistake in failure["mistakes"]), failure["msg"]
    assert results[name]["contacted"], "the recorder saw nothing: no case below would notice a contact"


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_bad_inventory_is_refused_before_any_contact(results: dict[str, Any], case: dict[str, Any]) -> None:
    result = results[case["name"]]
    found = mistakes(result)
    told = "\n".join(failure["msg"] for failure in result["failures"])
    for expected in case["expect"]:
        assert any(
            all(part in found_one[key] if part else not found_one[key] for key, part in expected.items())
            for found_one in found
        ), f"not told: {expected}\n{told}"
    assert len(found) == len(case["expect"]), told
    assert result["contacted"] == []


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_every_mistake_is_told_in_words_and_none_tells_a_secret(results: dict[str, Any], case: dict[str, Any]) -> None:
    told = "\n".join(failure["msg"] for failure in results[case["name"]]["failures"])
    for mistake in mistakes(results[case["name"]]):
        assert mistake["variable"].split(",")[0] in told
        assert mistake["mend"]
    assert "CHANGEME" not in told
    for secret in case.get("secrets", {}).values():
        assert secret not in told
