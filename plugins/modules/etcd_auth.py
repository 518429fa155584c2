#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, roles and authentication of an etcd cluster, in one execution."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_auth
short_description: Turn on etcd's authentication and keep its users
version_added: 0.1.0
description:
  - Makes the user C(root) and one user with a role of its own for each entry of O(users), and enables authentication.
  - Speaks to etcd's JSON gateway over TLS with a client certificate. The certificate must have no common name, since
    etcd refuses requests through its gateway otherwise. Passwords never appear on a command line.
  - Every member may run it at the same time. Users that are not listed are left alone.
author:
  - aigo.onprem maintainers (@aigo-onprem)
options:
  endpoint:
    description: Address of a member, for example V(https://10.0.0.5:2379).
    type: str
    required: true
  ca_path:
    description: Certificates that etcd's own certificate is verified with.
    type: path
    required: true
  client_cert:
    description: The client certificate, in PEM.
    type: path
    required: true
  client_key:
    description: The private key of O(client_cert).
    type: path
    required: true
  root_password:
    description: Password of the user C(root), who may do anything.
    type: str
    required: true
  users:
    description: The other users. A password that differs from etcd's is set.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user and of its role.
        type: str
        required: true
      password:
        description: The password.
        type: str
        required: true
      prefix:
        description: Keys that start with it may be read and written.
        type: str
        required: true
  timeout:
    description: Seconds to wait for etcd to answer and for its members to agree.
    type: int
    default: 30
attributes:
  check_mode:
    description: Reads only. Where etcd does not answer yet, everything is predicted to be made.
    support: full
  diff_mode:
    description: Lists the steps, without secrets.
    support: full
"""

EXAMPLES = r"""
- name: Let Patroni write below /service/
  aigo.onprem.etcd_auth:
    endpoint: https://10.0.0.5:2379
    ca_path: /etc/aigo/pki/etcd/ca.pem
    client_cert: /etc/aigo/pki/etcd/cert.pem
    client_key: /etc/aigo/pki/etcd/key.pem
    root_password: "{{ etcd_root_password }}"
    users:
      - name: patroni
        password: "{{ etcd_patroni_password }}"
        prefix: /service/
"""

RETURN = r"""
steps:
  description: What was done, or would be done in check mode, one line each.
  returned: always
  type: list
  elements: str
  sample: [add user patroni, enable authentication]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils import _etcd_auth as etcd


def run(module: AnsibleModule) -> dict[str, Any]:
    """Bring etcd's users to what the parameters say; in check mode only say how."""
    p = module.params
    users = [etcd.User(**u) for u in p["users"]]
    try:
        gateway = etcd.Gateway(p["endpoint"], p["ca_path"], p["client_cert"], p["client_key"])
        if module.check_mode:
            steps = etcd.plan(gateway.read(p["root_password"], users), p["root_password"], users).summary
        else:
            steps = etcd.converge(gateway, p["root_password"], users, timeout=p["timeout"])
    except etcd.Unreachable:
        if not module.check_mode:
            raise
        steps = etcd.plan(etcd.State(), p["root_password"], users).summary
    return {
        "changed": bool(steps),
        "steps": steps,
        "diff": {"before": "", "after": "".join(f"{step}\n" for step in steps)},
    }


def main() -> None:
    """Entry point."""
    user = {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
        "prefix": {"type": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "ca_path": {"type": "path", "required": True},
            "client_cert": {"type": "path", "required": True},
            "client_key": {"type": "path", "required": True, "no_log": False},
            "root_password": {"type": "str", "required": True, "no_log": True},
            "users": {"type": "list", "elements": "dict", "default": [], "options": user},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except etcd.EtcdError as error:
        module.fail_json(msg=f"etcd at {module.params['endpoint']}: {error}")


if __name__ == "__main__":
    main()
