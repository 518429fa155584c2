"""The action secrets_file and the lookup secret, run in process against real files."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader

from ansible_collections.aigo.onprem.plugins.action.secrets_file import ActionModule
from ansible_collections.aigo.onprem.plugins.lookup.secret import DOCUMENTATION, LookupModule

DECLARED: dict[str, Any] = {"redis_password": None, "app_key": {"kind": "base64key"}}


def _loader(password: bytes | None = None) -> DataLoader:
    loader = DataLoader()
    loader.set_vault_secrets([("default", VaultSecret(password))] if password else [])
    return loader


def _run(path: Path, *, check: bool = False, loader: DataLoader | None = None, **options: Any) -> dict[str, Any]:
    task = Task.load({"action": "aigo.onprem.secrets_file", "check_mode": check, "diff": True})
    task.args = {"path": str(path), "secrets": DECLARED, **options}
    connection = connection_loader.get("local", PlayContext())
    action = ActionModule(task, connection, PlayContext(), loader or _loader(), None, None)
    return action.run(task_vars={})


def _read(path: Path, *names: str, loader: DataLoader | None = None, **options: Any) -> list[str]:
    lookup = LookupModule(loader=loader or _loader())
    lookup._load_name = "aigo.onprem.secret"
    described = yaml.safe_load(DOCUMENTATION)["options"]
    C.config.initialize_plugin_configuration_definitions("lookup", lookup._load_name, described)
    result: list[str] = lookup.run(list(names), {}, file=str(path), **options)
    return result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "secrets.yml"


def test_first_run_makes_all_and_the_second_changes_nothing(path: Path) -> None:
    first = _run(path)
    assert first["changed"]
    assert first["created"] == ["redis_password", "app_key"]
    content = path.read_bytes()
    second = _run(path)
    assert not second["changed"]
    assert path.read_bytes() == content


def test_files_and_directory_are_private_and_encrypted(path: Path) -> None:
    _run(path)
    (value,) = _read(path, "redis_password")
    assert path.read_text().startswith("$ANSIBLE_VAULT;")
    assert value not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((path.parent / "vault_password").stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["secrets.yml", "vault_password"]


def test_result_holds_names_and_no_value(path: Path) -> None:
    result = _run(path)
    assert all(value not in repr(result) for value in _read(path, *DECLARED))


def test_made_vault_password_is_told_once(path: Path) -> None:
    assert "state/vault_password" in _run(path)["msg"]
    assert "state/vault_password" not in _run(path, rotate=["app_key"])["msg"]


def test_vault_secret_of_the_run_is_used_and_none_is_made(path: Path) -> None:
    loader = _loader(b"of the run")
    _run(path, loader=loader)
    assert not (path.parent / "vault_password").exists()
    assert len(_read(path, "redis_password", loader=loader)[0]) == 32


def test_wrong_vault_password_is_a_clear_error(path: Path) -> None:
    _run(path, loader=_loader(b"right"))
    with pytest.raises(AnsibleError, match=r"secrets\.yml can't be decrypted with the vault password"):
        _run(path, loader=_loader(b"wrong"))


def test_missing_vault_password_is_a_clear_error(path: Path) -> None:
    _run(path, loader=_loader(b"right"))
    with pytest.raises(AnsibleError, match="the run has no vault password"):
        _run(path)


def test_check_mode_names_what_it_would_make_and_writes_nothing(path: Path) -> None:
    result = _run(path, check=True)
    assert result["changed"]
    assert result["created"] == ["redis_password", "app_key"]
    assert not path.parent.exists()


def test_rotation_replaces_one_value(path: Path) -> None:
    _run(path)
    before = _read(path, *DECLARED)
    result = _run(path, rotate=["redis_password"])
    after = _read(path, *DECLARED)
    assert result["rotated"] == ["redis_password"]
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert _read(path, "redis_password_previous") == before[:1]


def test_hosts_in_parallel_make_each_secret_once(path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: _run(path), range(4)))
    assert sorted(result["changed"] for result in results) == [False, False, False, True]


def test_plain_file_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("redis_password: Zk3vQ9mT1xWb7LpR\n")
    with pytest.raises(AnsibleError, match="is not encrypted: run ansible-vault encrypt"):
        _run(path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "dice"}, r"secrets\.a\.kind is 'dice'; it must be one of password, hex, base64key"),
        ({"lenght": 3}, r"secrets\.a: unknown lenght; known: length, kind, minimum"),
        ({"length": "x"}, r"secrets\.a: length and minimum must be whole numbers"),
        ("text", r"secrets\.a must be a mapping"),
    ],
)
def test_bad_specification_is_an_error_that_names_it(path: Path, spec: Any, message: str) -> None:
    with pytest.raises(AnsibleError, match=message):
        _run(path, secrets={"a": spec})


def test_lookup_of_a_missing_secret_names_secret_file_and_mend(path: Path) -> None:
    _run(path)
    with pytest.raises(AnsibleError, match=r"secrets\.yml has no secret named smtp_password.*ansible-vault edit"):
        _read(path, "redis_password", "smtp_password")


def test_lookup_on_a_pristine_site_fails_unless_a_placeholder_is_allowed(path: Path) -> None:
    with pytest.raises(AnsibleError, match="does not exist"):
        _read(path, "redis_password")
    assert len(_read(path, "redis_password", placeholder=True)[0]) == 32
    assert len(_read(path, "app_key", placeholder=True, kind="base64key")[0]) == 44


def test_placeholder_never_hides_a_real_value(path: Path) -> None:
    _run(path)
    assert _read(path, "redis_password", placeholder=True) == _read(path, "redis_password")


def test_lookup_sees_a_rotation_made_by_the_same_process(path: Path) -> None:
    _run(path)
    before = _read(path, "app_key")
    _run(path, rotate=["app_key"])
    assert _read(path, "app_key") != before
