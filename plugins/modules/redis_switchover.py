#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a Redis replica primary, on purpose and without a loss."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_switchover
short_description: Make a Redis replica primary, on purpose and without a loss
version_added: 0.1.0
description:
  - Pauses writes at the primary, lets Sentinel promote a replica, and sends the primary's clients to it.
  - No acknowledged write is lost; clients see a pause of one or two seconds. Run it on a host of the group C(redis).
author:
  - aigo.onprem maintainers (@aigo-onprem)
options:
  sentinel:
    description: Address of a Sentinel.
    type: str
    required: true
  from_address:
    description: Do it only when this is the primary's address. Without it, do it in any case.
    type: str
  service:
    description: Name that Sentinel knows the primary by.
    type: str
    default: aigo
  user:
    description: User with all rights, at Redis and at Sentinel.
    type: str
    default: admin
  password:
    description: Its password.
    type: str
    required: true
  ca_path:
    description: Certificates that the servers are verified with.
    type: path
    default: /etc/aigo/pki/redis/ca.pem
  timeout:
    description: Seconds after which the former primary goes on.
    type: int
    default: 12
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Shows the primary before and after.
    support: full
"""

EXAMPLES = r"""
- name: Make another member primary
  aigo.onprem.redis_switchover:
    sentinel: 10.0.0.5
    password: "{{ redis_admin_password }}"
  run_once: true
"""

RETURN = r"""
former:
  description: Address of the member that was primary before.
  returned: always
  type: str
primary:
  description: Address of the primary now. In check mode nobody can say who it will be, and it is the former one.
  returned: always
  type: str
seconds:
  description: How long writes waited.
  returned: always
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils import _redis as redis


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look who is primary, and switch where it is asked for."""
    p = module.params
    access = redis.Access(p["user"], p["password"], p["ca_path"])
    with redis.Connection(p["sentinel"], redis.SENTINEL_PORT, access) as sentinel:
        former = redis.primary_address(sentinel, p["service"])
    due = p["from_address"] in (None, former)
    done = redis.Switch(former, former, 0.0)
    if due and not module.check_mode:
        done = redis.switch(p["sentinel"], p["service"], access, p["timeout"])
    return {
        "changed": due,
        "former": done.former,
        "primary": done.primary,
        "seconds": done.seconds,
        "diff": {"before": f"primary {done.former}\n", "after": f"primary {done.primary}\n"},
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "sentinel": {"type": "str", "required": True},
            "from_address": {"type": "str"},
            "service": {"type": "str", "default": "aigo"},
            "user": {"type": "str", "default": "admin"},
            "password": {"type": "str", "required": True, "no_log": True},
            "ca_path": {"type": "path", "default": "/etc/aigo/pki/redis/ca.pem"},
            "timeout": {"type": "int", "default": 12},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except redis.RedisError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
