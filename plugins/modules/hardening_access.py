#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hardening_access: the group of those who may sign in by SSH."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hardening_access
short_description: Keep the group of those who may sign in by SSH
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Makes the group for C(AllowGroups), and puts the account that is signed in and the given ones into it.
  - When the group is made, every account that signs in by key today is put into it, so that nobody is locked out by
    surprise. Take out who is to lose access; later runs put only the given ones back.
options:
  group:
    description: The group for SSH.
    type: str
    required: true
  users:
    description: Accounts that must be in it, beside the one that is signed in.
    type: list
    elements: str
    default: []
  empty_groups:
    description: Groups to make without members.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Predicts.
    support: full
  diff_mode:
    description: Shows groups and members that are added.
    support: full
"""

EXAMPLES = r"""
- name: Keep the way in
  aigo.onprem.hardening_access:
    group: aigo-ssh
    users: [operator]
"""

RETURN = r"""
groups:
  description: Groups that were made.
  returned: success
  type: list
  elements: str
members:
  description: Accounts that were put into the group for SSH.
  returned: success
  type: list
  elements: str
"""

import grp
import pwd
from collections.abc import Collection
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._hardening_access import (
    AccessError,
    Account,
    apply,
    has_keys,
    plan,
)
from ansible_collections.aigo.onprem.plugins.module_utils._hardening_facts import connecting_user

ARGUMENT_SPEC: dict[str, Any] = {
    "group": {"type": "str", "required": True},
    "users": {"type": "list", "elements": "str", "default": []},
    "empty_groups": {"type": "list", "elements": "str", "default": []},
}


def _members_of(name: str) -> Collection[str] | None:
    try:
        group = grp.getgrnam(name)
    except KeyError:
        return None
    return {*group.gr_mem, *(user.pw_name for user in pwd.getpwall() if user.pw_gid == group.gr_gid)}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Plan, apply unless in check mode. Raises AccessError."""
    params = module.params
    accounts = [Account(user.pw_name, user.pw_uid, user.pw_shell, has_keys(user.pw_dir)) for user in pwd.getpwall()]
    wanted = list(dict.fromkeys([connecting_user(), *params["users"]]))
    planned = plan(params["group"], params["empty_groups"], wanted, accounts, _members_of)
    if planned.changed and not module.check_mode:
        apply(planned, params["group"])
    result: dict[str, Any] = {
        "changed": planned.changed,
        "groups": list(planned.groups),
        "members": list(planned.members),
    }
    if module._diff and planned.changed:
        lines = [*(f"group {name}" for name in planned.groups), *(f"{params['group']}: {n}" for n in planned.members)]
        result["diff"] = {"before": "", "after": "".join(f"{line}\n" for line in lines)}
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except AccessError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
