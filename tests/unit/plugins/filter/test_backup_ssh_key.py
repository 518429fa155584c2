"""The filter backup_ssh_key, judged by OpenSSH itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.aigo.onprem.plugins.filter.backup_ssh_key import backup_ssh_key

SEED = "a secret text of the site, long enough"


def test_openssh_reads_the_private_key_and_finds_the_same_public_key(tmp_path: Path) -> None:
    key = backup_ssh_key(SEED, "host@site")
    path = tmp_path / "key"
    path.write_text(key["private"])
    path.chmod(0o600)
    told = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True).stdout
    assert told.strip() == key["public"]


def test_the_same_seed_gives_the_same_key_every_time() -> None:
    assert backup_ssh_key(SEED) == backup_ssh_key(SEED)
    assert backup_ssh_key(SEED) != backup_ssh_key(SEED + ".")


@pytest.mark.parametrize("seed", ["", "short secret"])
def test_a_short_secret_is_refused_without_being_shown(seed: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"has {len(seed)} characters, 32 are needed") as caught:
        backup_ssh_key(seed)
    assert not seed or seed not in str(caught.value)
