#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a member join an etcd cluster, or forget one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Let a member join an etcd cluster, or forget one
version_added: 0.1.0
description:
  - Run it on a member that is up. V(present) announces a host that has no data yet, and returns whom it must list.
  - A member of the same name whose data are gone is forgotten first, so that a host made anew can come back.
  - etcd refuses changes that would cost its quorum, and the module then fails with what etcd says.
author:
  - aigo.onprem maintainers (@aigo-onprem)
options:
  name:
    description: Name of the member.
    type: str
    required: true
  peer_url:
    description: Where the other members reach it, for example V(https://10.0.0.7:2380). Needed with O(state=present).
    type: str
  state:
    description: V(present) announces the member, V(absent) forgets it.
    type: str
    choices: [present, absent]
    default: present
  endpoint:
    description: Address of the member that is asked.
    type: str
    default: https://127.0.0.1:2379
  ca_path:
    description: Certificates that etcd's own certificate is verified with.
    type: path
    default: /etc/aigo/pki/etcd/ca.pem
  client_cert:
    description: The client certificate, in PEM.
    type: path
    default: /etc/aigo/pki/etcd/cert.pem
  client_key:
    description: The private key of O(client_cert).
    type: path
    default: /etc/aigo/pki/etcd/key.pem
  root_password:
    description: Password of the user C(root).
    type: str
    required: true
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Lists the members before and after.
    support: full
"""

EXAMPLES = r"""
- name: Announce node3
  aigo.onprem.etcd_member:
    name: node3
    peer_url: https://10.0.0.7:2380
    root_password: "{{ etcd_root_password }}"
  delegate_to: node1
"""

RETURN = r"""
members:
  description: Members after the change, each with C(name) and C(address).
  returned: always
  type: list
  elements: dict
  sample: [{name: node1, address: 10.0.0.5}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils import _etcd_auth as auth
from ansible_collections.aigo.onprem.plugins.module_utils import _etcd_members as etcd


def run(module: AnsibleModule) -> dict[str, Any]:
    """Read, plan, apply unless in check mode."""
    p = module.params
    gateway = auth.Gateway(p["endpoint"], p["ca_path"], p["client_cert"], p["client_key"])
    gateway.log_in(p["root_password"])
    members = etcd.read(gateway)
    if p["state"] == "present":
        plan = etcd.plan_join(members, p["name"], p["peer_url"])
        after = etcd.after(members, plan, p["name"], p["peer_url"])
    else:
        plan = etcd.plan_leave(members, p["name"])
        after = etcd.after(members, plan)
    if not module.check_mode:
        etcd.apply(gateway, plan, p["peer_url"])
    return {
        "changed": plan.changed,
        "members": after,
        "diff": {
            "before": "".join(f"{m['name']} {m['address']}\n" for m in etcd.after(members, etcd.Plan((), False))),
            "after": "".join(f"{m['name']} {m['address']}\n" for m in after),
        },
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "peer_url": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "endpoint": {"type": "str", "default": "https://127.0.0.1:2379"},
            "ca_path": {"type": "path", "default": "/etc/aigo/pki/etcd/ca.pem"},
            "client_cert": {"type": "path", "default": "/etc/aigo/pki/etcd/cert.pem"},
            "client_key": {"type": "path", "default": "/etc/aigo/pki/etcd/key.pem", "no_log": False},
            "root_password": {"type": "str", "required": True, "no_log": True},
        },
        required_if=[("state", "present", ["peer_url"])],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except auth.EtcdError as error:
        module.fail_json(msg=f"etcd at {module.params['endpoint']}: {error}")


if __name__ == "__main__":
    main()
