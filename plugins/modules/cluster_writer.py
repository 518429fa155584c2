#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write through a site while something fails, and count what came of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_writer
short_description: Write through a site while something fails, and count what came of it
version_added: 0.1.0
description:
  - Signs in and makes numbered conversations through the edge until O(stop_file) is there, then looks which of those
    that were acknowledged the site still has, and deletes them all.
  - Run it on the control node, in the background, by C(async).
author:
  - aigo.onprem maintainers (@aigo-onprem)
options:
  address:
    description: Address of the edge.
    type: str
    required: true
  domain:
    description: The site's domain, which its certificate must carry.
    type: str
    required: true
  ca_path:
    description: Authority of the certificate; the machine's own authorities where it is left out.
    type: path
  username:
    description: Who signs in.
    type: str
    required: true
  password:
    description: The password.
    type: str
    required: true
  stop_file:
    description: The writer ends when this file is there.
    type: path
    required: true
  interval:
    description: Seconds between two writes.
    type: float
    default: 0.25
  seconds:
    description: The writer ends after this time in any case.
    type: int
    default: 300
attributes:
  check_mode:
    description: Not supported; it writes.
    support: none
"""

EXAMPLES = r"""
- name: Write until told to stop
  aigo.onprem.cluster_writer:
    address: 192.0.2.10
    domain: agent.example.com
    username: admin
    password: "{{ app_admin_password }}"
    stop_file: /tmp/drill/stop
  async: 330
  poll: 0
"""

RETURN = r"""
writes:
  description: Writes that were tried.
  returned: always
  type: int
refused:
  description: Writes that were not acknowledged.
  returned: always
  type: int
outage:
  description: The longest time without an acknowledged write, in seconds.
  returned: always
  type: float
lost:
  description: Writes that were acknowledged and are not there.
  returned: always
  type: int
faults:
  description: What the refused writes said, each once.
  returned: always
  type: list
  elements: str
"""

import secrets
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils import _cluster_drill as drill
from ansible_collections.aigo.onprem.plugins.module_utils._site_client import Edge, SiteClient, SiteError

_ANSWER_SECONDS = 5
_PATIENCE = 60


def _patiently(action: Any, *arguments: Any) -> Any:
    """Ask again for a while: the site may still be on its way back."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return action(*arguments)
        except SiteError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Sign in, write until stopped, compare, tidy up."""
    p = module.params
    client = SiteClient(Edge(p["address"], p["domain"], ca_path=p["ca_path"], timeout=_ANSWER_SECONDS))
    body = {"name": p["username"], "password": p["password"]}
    client.authorise(_patiently(client.request, "POST", "/api/v1/auth/login", body).json()["access_token"])
    label, stop, end = f"Drill {secrets.token_hex(4)}", Path(p["stop_file"]), time.monotonic() + p["seconds"]
    written = drill.write_until(client, label, p["interval"], lambda: stop.exists() or time.monotonic() > end)
    found = _patiently(drill.find, client, label)
    acknowledged = {write.id for write in written if write.id}
    _patiently(drill.tidy, client, sorted(found))
    return {
        "changed": True,
        "writes": len(written),
        "refused": len(written) - len(acknowledged),
        "outage": drill.outage(written, p["interval"]),
        "lost": len(acknowledged - found),
        "faults": list(dict.fromkeys(write.fault for write in written if write.fault))[:5],
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "domain": {"type": "str", "required": True},
            "ca_path": {"type": "path"},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "stop_file": {"type": "path", "required": True},
            "interval": {"type": "float", "default": 0.25},
            "seconds": {"type": "int", "default": 300},
        },
    )
    try:
        module.exit_json(**run(module))
    except SiteError as error:
        module.fail_json(msg=f"The drill's writer: {error}")


if __name__ == "__main__":
    main()
