# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read secrets of a site by name."""

# ruff: noqa: E402 (Ansible wants the documentation above the imports)

from __future__ import annotations

DOCUMENTATION = r"""
name: secret
short_description: Read secrets from a site's secrets file
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Returns values of the vault-encrypted file that M(aigo.onprem.secrets_file) keeps.
  - The file is decrypted once in each process, and again when it has changed.
options:
  _terms:
    description: Names of the secrets.
    type: list
    elements: str
    required: true
  file:
    description: Path of the secrets file on the controller.
    type: path
    required: true
  placeholder:
    description:
      - Return a well-formed stand-in for a secret that does not exist yet, instead of failing.
      - Meant for check mode on a site that has never been deployed; pass C(ansible_check_mode).
    type: bool
    default: false
  kind:
    description: The form that a stand-in has to have.
    type: str
    choices: [password, hex, base64key]
    default: password
notes:
  - The vault password is that of the run, or the content of C(vault_password) beside the file.
seealso:
  - module: aigo.onprem.secrets_file
"""

EXAMPLES = r"""
- name: Give the role its password
  ansible.builtin.include_role:
    name: aigo.onprem.redis
  vars:
    redis_password: >-
      {{ lookup('aigo.onprem.secret', 'redis_password',
                file=inventory_dir ~ '/.state/secrets.yml', placeholder=ansible_check_mode) }}
"""

RETURN = r"""
_raw:
  description: The values, in the order of the names.
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.aigo.onprem.plugins.module_utils._secrets import SecretsError, placeholder
from ansible_collections.aigo.onprem.plugins.plugin_utils._secrets_store import SecretsStore


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible ships no types
    """The lookup ``aigo.onprem.secret``."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return one value for each name."""
        self.set_options(var_options=variables, direct=kwargs)
        store = SecretsStore(Path(self.get_option("file")), self._loader._vault.secrets)
        try:
            values = store.cached()
        except SecretsError as error:
            raise AnsibleLookupError(str(error)) from error
        missing = [name for name in terms if name not in values]
        if missing and not self.get_option("placeholder"):
            state = "has no secret" if store.path.exists() else "does not exist, so it has no secret"
            raise AnsibleLookupError(
                f"{store.path} {state} named {', '.join(missing)}: run the playbook that makes the site's secrets "
                f"first, or add it with ansible-vault edit {store.path}"
            )
        kind = self.get_option("kind")
        return [values[name] if name in values else placeholder(name, kind) for name in terms]
