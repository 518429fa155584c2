#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module nftables_ruleset: firewall rules that cannot lock the controller out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nftables_ruleset
short_description: Load nftables rules and keep them only when the controller can still connect
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Replaces whole tables of nftables in one transaction. Tables that are not listed are never touched.
  - Before the rules are loaded a timer on the host is set that takes them back. The controller then opens a new
    connection, through the new rules, and stops the timer. If it cannot, the host restores its former rules by itself
    and the task fails.
  - Only confirmed rules are written to the file that is loaded at boot.
  - The rules in force are compared with those last confirmed, so that rules that were flushed or changed by hand are
    loaded again, and a run with nothing to do changes nothing.
options:
  ruleset:
    description: The rules, each table in full. It may hold nothing but the listed tables and C(define) lines.
    type: str
    required: true
  table_family:
    description: Family of the tables.
    type: str
    choices: [inet, ip, ip6, arp, bridge, netdev]
    default: inet
  tables:
    description: Names of the tables that are managed.
    type: list
    elements: str
    default: [aigo]
  path:
    description: The file for the boot. Enabling what loads it is left to others.
    type: str
    default: /etc/nftables.d/aigo.nft
  confirm_timeout:
    description: Seconds, 20 to 60, after which the host takes its former rules back.
    type: int
    default: 30
  phase:
    description: Used by the action plugin. Never write it yourself.
    type: str
    choices: [load, confirm]
    default: load
  token:
    description: Used by the action plugin. Never write it yourself.
    type: str
attributes:
  check_mode:
    description: Checks the rules where C(nft) is installed, and predicts.
    support: full
  diff_mode:
    description: Shows the file for the boot before and after.
    support: full
notes:
  - Where the controller manages itself (C(ansible_connection=local)) no packet passes the new rules, so they are
    confirmed without a proof.
  - Rules for established connections are the ruleset's own matter. The tables are replaced without a gap, and what the
    kernel tracks stays.
"""

EXAMPLES = r"""
- name: Let in SSH and HTTPS only
  aigo.onprem.nftables_ruleset:
    path: /etc/nftables.d/aigo.nft
    ruleset: |
      table inet aigo {
        chain input {
          type filter hook input priority filter; policy drop;
          ct state established,related accept
          iif lo accept
          tcp dport { 22, 443 } accept
        }
      }
"""

RETURN = r"""
loaded:
  description: Whether rules were loaded, and with that confirmed.
  returned: success
  type: bool
  sample: true
written:
  description: Whether the file for the boot was written.
  returned: success
  type: bool
  sample: true
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._nftables import NftablesError, Ruleset
from ansible_collections.aigo.onprem.plugins.module_utils._nftables_apply import STATE_DIRECTORY, Firewall, Loaded

ARGUMENT_SPEC: dict[str, Any] = {
    "ruleset": {"type": "str", "required": True},
    "table_family": {
        "type": "str",
        "choices": ["inet", "ip", "ip6", "arp", "bridge", "netdev"],
        "default": "inet",
    },
    "tables": {"type": "list", "elements": "str", "default": ["aigo"]},
    "path": {"type": "str", "default": "/etc/nftables.d/aigo.nft"},
    "confirm_timeout": {"type": "int", "default": 30},
    "phase": {"type": "str", "choices": ["load", "confirm"], "default": "load"},
    "token": {"type": "str", "no_log": False},
}


def run(module: AnsibleModule, state_directory: Path = STATE_DIRECTORY) -> dict[str, Any]:
    """One of the two phases. Raises NftablesError."""
    params = module.params
    if not 20 <= params["confirm_timeout"] <= 60:
        raise NftablesError(f"nftables_ruleset: confirm_timeout {params['confirm_timeout']} is not between 20 and 60")
    wanted = Ruleset(params["table_family"], tuple(params["tables"]), params["ruleset"])
    firewall = Firewall(wanted, Path(params["path"]), state_directory=state_directory)
    if params["phase"] == "confirm":
        firewall.confirm(params["token"] or "")
        return {"changed": True}
    loaded = firewall.predict() if module.check_mode else firewall.load(params["confirm_timeout"])
    return _result(loaded, wanted, module)


def _result(loaded: Loaded, wanted: Ruleset, module: AnsibleModule) -> dict[str, Any]:
    result: dict[str, Any] = {
        "changed": loaded.plan.changed,
        "loaded": loaded.plan.load,
        "written": loaded.plan.persist,
        "token": loaded.token,
    }
    if module._diff and loaded.plan.changed:
        path = module.params["path"]
        result["diff"] = {
            "before_header": path,
            "after_header": path,
            "before": loaded.before,
            "after": wanted.document,
        }
    return result


def main() -> None:
    """Entry point. The invocation is not returned: the rules are in the diff."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        module.exit_json(invocation={}, **run(module))
    except NftablesError as error:
        module.fail_json(msg=str(error), invocation={}, **error.details)
    except OSError as error:
        module.fail_json(msg=f"nftables_ruleset: {error}", invocation={})


if __name__ == "__main__":
    main()
