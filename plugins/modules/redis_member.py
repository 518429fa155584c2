#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a Redis member within its cluster: wait until it follows, or let the Sentinels forget those that left."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_member
short_description: Wait until a Redis member has its place, and let Sentinel forget those that left
version_added: 0.1.0
description:
  - Waits until the member takes writes, or follows a primary by a link that is up.
  - With O(forget), the Sentinel at O(address) then forgets members that do not answer any more.
author:
  - aigo.onprem maintainers (@aigo-onprem)
options:
  address:
    description: Address of the member.
    type: str
    required: true
  user:
    description: User who may read figures, or, with O(forget), one with all rights at Sentinel.
    type: str
    default: monitor
  password:
    description: Its password.
    type: str
    required: true
  ca_path:
    description: Certificates that the servers are verified with.
    type: path
    default: /etc/aigo/pki/redis/ca.pem
  service:
    description: Name that Sentinel knows the primary by.
    type: str
    default: aigo
  members:
    description: With O(forget), the addresses of all members that stay.
    type: list
    elements: str
    default: []
  forget:
    description: Make the Sentinel here forget replicas and Sentinels that are not in O(members).
    type: bool
    default: false
  timeout:
    description: Seconds to wait. A large data set takes its time to copy.
    type: int
    default: 120
attributes:
  check_mode:
    description: Looks once, and takes a member that is not there yet for one that will be.
    support: full
"""

EXAMPLES = r"""
- name: Wait until the member follows
  aigo.onprem.redis_member:
    address: 10.0.0.5
    password: "{{ redis_monitor_password }}"
"""

RETURN = r"""
primary:
  description: Whether the member takes writes.
  returned: when it answers
  type: bool
forgotten:
  description: Addresses that Sentinel knew and forgot.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils import _redis as redis


def _forget(module: AnsibleModule, access: redis.Access) -> list[str]:
    p = module.params
    with redis.Connection(p["address"], redis.SENTINEL_PORT, access) as sentinel:
        known = {
            entry[entry.index("ip") + 1]
            for kind in ("REPLICAS", "SENTINELS")
            for entry in sentinel.call("SENTINEL", kind, p["service"])
        }
        gone = sorted(known - set(p["members"]))
        if gone and not module.check_mode:
            # It finds those that are there again within seconds.
            sentinel.call("SENTINEL", "RESET", p["service"])
    return gone


def run(module: AnsibleModule) -> dict[str, Any]:
    """Wait, and forget where it is asked for."""
    p = module.params
    access = redis.Access(p["user"], p["password"], p["ca_path"])
    try:
        seen = redis.wait(p["address"], access, lambda m: m.settled, 0 if module.check_mode else p["timeout"])
    except redis.RedisError:
        if not module.check_mode:
            raise
        return {"changed": False, "forgotten": []}
    gone = _forget(module, access) if p["forget"] else []
    return {"changed": bool(gone), "primary": seen.primary, "forgotten": gone}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "user": {"type": "str", "default": "monitor"},
            "password": {"type": "str", "required": True, "no_log": True},
            "ca_path": {"type": "path", "default": "/etc/aigo/pki/redis/ca.pem"},
            "service": {"type": "str", "default": "aigo"},
            "members": {"type": "list", "elements": "str", "default": []},
            "forget": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except redis.RedisError as error:
        module.fail_json(msg=f"{error}. Read journalctl -u redis-server.service there")


if __name__ == "__main__":
    main()
