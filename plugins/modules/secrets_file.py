#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action plugin of the same name; nothing runs on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets_file
short_description: Make a site's missing secrets in a vault-encrypted file
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Keeps a vault-encrypted YAML file on the controller, one name and one value a line.
  - Makes the secrets that are missing and never overwrites one, unless O(rotate) names it.
  - Refuses supplied secrets that are too short or well known, and names all of them at once.
  - Values never appear in the result or in the diff; read them with the lookup P(aigo.onprem.secret#lookup).
options:
  path:
    description:
      - The file on the controller. Its directory is made with mode 0700, the file with 0600.
    type: path
    required: true
  secrets:
    description:
      - The secrets that have to exist, by name. The value is empty or a mapping of C(kind), C(length) and C(minimum).
      - C(kind) is C(password) (letters and digits, the default), C(hex), or C(base64key) (32 random bytes).
      - C(length) is the number of characters that are generated (default 32; C(base64key) ignores it).
      - C(minimum) is how short a supplied value may be (default 16).
    type: dict
    required: true
  rotate:
    description:
      - Names of secrets to replace. The former value stays as C(<name>_previous).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Names what would be made and changes nothing.
    support: full
  diff_mode:
    description: Shows names, never values.
    support: full
notes:
  - The file is encrypted with the vault secret of the run (C(--vault-id), C(--vault-password-file), C(ansible.cfg)).
    Where there is none, a password is made in C(vault_password) beside the file (mode 0600), and the result says so.
  - Hosts and runs that arrive at the same time wait for each other.
seealso:
  - plugin: aigo.onprem.secret
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Make the site's secrets
  aigo.onprem.secrets_file:
    path: "{{ inventory_dir }}/.state/secrets.yml"
    secrets:
      postgres_superuser_password:
      ca_passphrase: {length: 40}
      app_encryption_key: {kind: base64key}

- name: Replace one secret
  aigo.onprem.secrets_file:
    path: "{{ inventory_dir }}/.state/secrets.yml"
    secrets: {redis_password: {}}
    rotate: [redis_password]
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
created:
  description: Names that were made, or would be.
  returned: success
  type: list
  elements: str
rotated:
  description: Names whose value was replaced, or would be.
  returned: success
  type: list
  elements: str
names:
  description: All names that the file holds afterwards.
  returned: success
  type: list
  elements: str
msg:
  description: What happened, in a sentence; also where a vault password was made.
  returned: success
  type: str
"""
