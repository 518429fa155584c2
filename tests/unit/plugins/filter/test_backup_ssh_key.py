"""The filter backup_ssh_key, judged by OpenSSH itself."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.aigo.onprem.plugins.filter.backup_ssh_key import backup_ssh_key

SEED = base64.b64encode(bytes(range(32))).decode()


def test_openssh_reads_the_private_key_and_finds_the_same_public_key(tmp_path: Path) -> None:
    key = backup_ssh_key(SEED, "host@site")
    path = tmp_path / "key"
    path.write_text(key["private"])
    path.chmod(0o600)
    told = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True).stdout
    assert told.strip() == key["public"]


def test_the_same_seed_gives_the_same_key_every_time() -> None:
    assert backup_ssh_key(SEED) == backup_ssh_key(SEED)
    assert backup_ssh_key(SEED) != backup_ssh_key(base64.b64encode(bytes(32)).decode())


@pytest.mark.parametrize("seed", ["", "no base64!", base64.b64encode(b"short").decode()])
def test_a_seed_of_another_form_is_refused_without_being_shown(seed: str) -> None:
    with pytest.raises(AnsibleFilterError, match="not the base64 form of 32 bytes") as caught:
        backup_ssh_key(seed)
    assert not seed or seed not in str(caught.value)
