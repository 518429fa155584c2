# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``local_models``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.aigo.onprem.plugins.filter.endpoints import endpoints

DOCUMENTATION = r"""
name: local_models
short_description: Describe the site's own model servers to the application
version_added: 0.1.0
author:
  - aigo.onprem maintainers (@aigo-onprem)
description:
  - Returns one endpoint, in the form of the application's configuration, for each host of the group C(model).
positional: _input
options:
  _input:
    description: The hosts, each with C(name) and C(address).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the endpoints
  ansible.builtin.debug:
    msg: "{{ [{'name': 'gpu1', 'address': '192.0.2.30'}] | aigo.onprem.local_models }}"
"""

RETURN = r"""
_value:
  description: Endpoints with C(name), C(kind), C(base_url) and C(model), in the order of the input.
  type: list
  elements: dict
  sample: [{name: local-gpu1, kind: openai, base_url: "https://192.0.2.30:8090/v1", model: local}]
"""

PORT = 8090


def local_models(members: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the application's endpoint for each model server."""
    return [
        {
            "name": "local-" + re.sub(r"[^a-z0-9_-]", "-", member["name"].lower()),
            "kind": "openai",
            "base_url": f"https://{endpoints([member['address']], PORT)[0]}/v1",
            "model": "local",
        }
        for member in members
    ]


class FilterModule:
    """Offer the filter to Ansible."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"local_models": local_models}
