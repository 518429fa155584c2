# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vault-encrypted YAML file that holds a site's secrets; used on the controller only."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret, match_encrypt_secret

from ansible_collections.aigo.onprem.plugins.module_utils._secrets import SecretsError
from ansible_collections.aigo.onprem.plugins.plugin_utils._private_files import locked_directory, write_private

PASSWORD_FILE = "vault_password"  # noqa: S105 (a file name)
_HEADER = "# Managed by aigo.onprem.secrets_file: missing names are added, present ones are never overwritten.\n"

_cache: dict[tuple[str, int, int], dict[str, str]] = {}


@dataclass(frozen=True)
class Loaded:
    """The values of the file and the vault secret (id, secret) that opened it; None while there is no file."""

    values: dict[str, str]
    vault_secret: tuple[str, Any] | None


class SecretsStore:
    """Reads and writes one secrets file.

    ``vault_secrets`` are those of the run (``--vault-id`` and the like). Where there are none, the password in
    ``vault_password`` beside the file serves, and is made with the first write.
    """

    def __init__(self, path: Path, vault_secrets: list[tuple[str, Any]] | None) -> None:
        self.path = path
        self.password_file = path.parent / PASSWORD_FILE
        self._configured = list(vault_secrets or [])

    def locked(self) -> AbstractContextManager[None]:
        """Hold the directory's lock, so that parallel hosts or runs never make a secret twice."""
        return locked_directory(self.path.parent)

    def load(self) -> Loaded:
        """Decrypt the file. A missing one holds nothing; an unreadable one raises SecretsError."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return Loaded({}, None)
        except OSError as error:
            raise SecretsError(f"{self.path} can't be read: {error.strerror}") from error
        if not VaultLib.is_encrypted(content):
            raise SecretsError(
                f"{self.path} is not encrypted: run ansible-vault encrypt on it, with this site's password"
            )
        candidates = self._configured + self._beside()
        if not candidates:
            raise SecretsError(
                f"{self.path} is encrypted, and the run has no vault password: give --vault-password-file or "
                f"--vault-id, or put the password into {self.password_file} (mode 0600)"
            )
        try:
            plain, vault_id, secret = VaultLib(candidates).decrypt_and_get_vault_id(content)
        except AnsibleError as error:
            raise SecretsError(
                f"{self.path} can't be decrypted with the vault password of this run: give the one that it was "
                f"encrypted with (--vault-password-file, --vault-id or {self.password_file})"
            ) from error
        return Loaded(self._parse(plain), (vault_id, secret))

    def cached(self) -> dict[str, str]:
        """Return the values, decrypted only when the file has changed since this process last looked."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return {}
        key = (str(self.path), status.st_mtime_ns, status.st_ino)
        if key not in _cache:
            _cache[key] = self.load().values
        return _cache[key]

    def save(self, values: Mapping[str, str], vault_secret: tuple[str, Any] | None) -> bool:
        """Encrypt and replace the file atomically; return whether a vault password had to be made for it."""
        made = False
        if vault_secret is None:
            vault_secret, made = self._secret_for_new_file()
        vault_id, secret = vault_secret
        text = _HEADER + yaml.safe_dump(dict(sorted(values.items())), default_flow_style=False, width=4096)
        encrypted = VaultLib([vault_secret]).encrypt(text, secret, vault_id=None if vault_id == "default" else vault_id)
        write_private(self.path, encrypted)
        return made

    def _secret_for_new_file(self) -> tuple[tuple[str, Any], bool]:
        if self._configured:
            wanted_id = C.config.get_config_value("DEFAULT_VAULT_ENCRYPT_IDENTITY")
            try:
                return match_encrypt_secret(self._configured, encrypt_vault_id=wanted_id), False
            except AnsibleError as error:
                raise SecretsError(f"{self.path}: {error}") from error
        beside = self._beside()
        if beside:
            return beside[0], False
        write_private(self.password_file, (secrets.token_urlsafe(32) + "\n").encode())
        return self._beside()[0], True

    def _beside(self) -> list[tuple[str, Any]]:
        try:
            password = self.password_file.read_bytes().strip()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SecretsError(f"{self.password_file} can't be read: {error.strerror}") from error
        if not password:
            raise SecretsError(f"{self.password_file} is empty: put the vault password into it, or remove it")
        return [("default", VaultSecret(password))]

    def _parse(self, plain: bytes) -> dict[str, str]:
        mend = f"edit it with ansible-vault edit {self.path}"
        try:
            values = yaml.safe_load(plain)
        except yaml.YAMLError as error:
            # The problem's text could quote a secret: only its place is told.
            mark = getattr(error, "problem_mark", None)
            where = f" at line {mark.line + 1}" if mark else ""
            raise SecretsError(f"{self.path} is not valid YAML{where}: {mend}") from None
        if values is None:
            return {}
        if not isinstance(values, dict):
            raise SecretsError(f"{self.path} must hold one mapping of names to texts: {mend}")
        wrong = [str(name) for name, value in values.items() if not isinstance(value, str) or not value]
        if wrong:
            raise SecretsError(f"{self.path}: {', '.join(wrong)} must be non-empty text, in quotes: {mend}")
        return {str(name): value for name, value in values.items()}
