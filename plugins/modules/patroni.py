#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for a Patroni member, keep its cluster's dynamic configuration, and tell its role."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni
short_description: Keep the dynamic configuration of a Patroni cluster and tell a member's role
version_added: 0.1.0
description:
  - Waits until PostgreSQL runs on this member and the cluster has a leader.
  - Patches the dynamic configuration to hold what O(dynamic_configuration) says, and nothing when it does already.
  - Restarts PostgreSQL on this member where a setting that changed asks for it.
  - Reads address, credentials and certificates from Patroni's own configuration file, so that it is given no password.
author:
  - aigo.onprem maintainers (@aigo-onprem)
requirements:
  - PyYAML on the host (Patroni needs it as well)
options:
  config:
    description: Patroni's configuration file on the host.
    type: path
    default: /etc/patroni/config.yml
  dynamic_configuration:
    description: What the dynamic configuration is to hold. Keys that are not named are left alone; a null removes one.
    type: dict
    default: {}
  exact:
    description: Dotted paths below which keys that O(dynamic_configuration) does not name are removed.
    type: list
    elements: str
    default: []
  reloaded:
    description:
      - Say V(true) when Patroni was told to reload just before.
      - It takes up a new configuration at its next round, which is then waited for.
    type: bool
    default: false
  restart_pending:
    description: Whether to restart PostgreSQL on this member when a setting waits for it.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait for PostgreSQL and a leader. The copy of a large database onto a new member takes its time.
    type: int
    default: 300
attributes:
  check_mode:
    description: Reads only. Where Patroni does not answer yet, everything is predicted, and this member as the leader.
    support: full
  diff_mode:
    description: Shows the dynamic configuration before and after.
    support: full
"""

EXAMPLES = r"""
- name: Keep the cluster's settings
  aigo.onprem.patroni:
    dynamic_configuration:
      ttl: 20
      postgresql:
        parameters:
          max_connections: 100
    exact: [postgresql.parameters]
  register: __cluster
"""

RETURN = r"""
is_leader:
  description: Whether this member takes writes.
  returned: always
  type: bool
leader:
  description: Name of the leader.
  returned: when Patroni answers
  type: str
  sample: node1
role:
  description: Patroni's word for this member's role.
  returned: when Patroni answers
  type: str
  sample: primary
state:
  description: State of PostgreSQL on this member.
  returned: when Patroni answers
  type: str
  sample: running
timeline:
  description: The timeline that PostgreSQL writes or follows.
  returned: when Patroni answers
  type: int
pending_restart:
  description: Whether a setting waits for a restart of PostgreSQL on this member.
  returned: when Patroni answers
  type: bool
restarted:
  description: Whether PostgreSQL was restarted on this member.
  returned: always
  type: bool
"""

import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.aigo.onprem.plugins.module_utils import _patroni as patroni

try:
    import yaml
except ImportError:
    yaml = None  # type: ignore[assignment]

_CONFLICT = 409
_RESTART_SECONDS = 120


def _rest(path: str) -> patroni.Rest:
    if yaml is None:
        raise patroni.Unreachable(missing_required_lib("PyYAML"))
    try:
        return patroni.Rest(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise patroni.Unreachable(f"{path} is not there: install and configure Patroni first") from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise patroni.PatroniError(f"{path} lacks {error}: it is no configuration of Patroni") from error


def _serving(rest: patroni.Rest) -> bool:
    """Whether PostgreSQL runs already; one that starts now takes up its settings as it does."""
    try:
        return rest.member().settled
    except patroni.PatroniError:
        return False


def _patch(rest: patroni.Rest, wanted: dict[str, Any], exact: list[str], check_mode: bool) -> patroni.Plan:
    """Patch once more when another member was quicker."""
    for last in (False, False, True):
        plan = patroni.plan(rest.configuration(), wanted, exact)
        if not plan.changed or check_mode:
            break
        try:
            rest.call("PATCH", "/config", plan.patch)
            break
        except patroni.Refused as error:
            if error.status != _CONFLICT or last:
                raise
    return plan


def _restart(rest: patroni.Rest, timeout: float, rounds: float) -> patroni.Member:
    """Restart and wait. A replica goes on waiting for a value that must be lowered on the primary first."""
    rest.call("POST", "/restart", {"restart_pending": True}, timeout=_RESTART_SECONDS)
    settled = patroni.wait(rest, lambda m: m.settled, timeout)
    try:
        return patroni.wait(rest, lambda m: m.settled and not m.pending_restart, rounds)
    except patroni.PatroniError:
        if settled.is_leader:
            raise
        return rest.member()


def run(module: AnsibleModule) -> dict[str, Any]:
    """Wait, patch, restart where needed, and tell the state."""
    p = module.params
    try:
        rest = _rest(p["config"])
        serving = _serving(rest)
        member = rest.member() if module.check_mode else patroni.wait(rest, lambda m: m.settled, p["timeout"])
        plan = _patch(rest, p["dynamic_configuration"], p["exact"], module.check_mode)
    except patroni.Unreachable:
        if not module.check_mode:
            raise
        after = _pretty(p["dynamic_configuration"])
        return {"changed": True, "is_leader": True, "restarted": False, "diff": {"before": "", "after": after}}
    if not module.check_mode and (plan.changed or (p["reloaded"] and serving)):
        # Patroni reads both kinds of configuration once a round, and says only then what waits for a restart.
        time.sleep(plan.after.get("loop_wait", 10) + 2)
        member = rest.member()
    restart = member.pending_restart and p["restart_pending"]
    if restart and not module.check_mode:
        member = _restart(rest, p["timeout"], 3 * plan.after.get("loop_wait", 10))
    return {
        "changed": plan.changed or restart,
        "is_leader": member.is_leader,
        "leader": member.leader,
        "role": member.role,
        "state": member.state,
        "timeline": member.timeline,
        "pending_restart": member.pending_restart,
        "restarted": restart,
        "diff": {"before": _pretty(plan.before), "after": _pretty(plan.after)},
    }


def _pretty(configuration: dict[str, Any]) -> str:
    return json.dumps(configuration, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "path", "default": "/etc/patroni/config.yml"},
            "dynamic_configuration": {"type": "dict", "default": {}},
            "exact": {"type": "list", "elements": "str", "default": []},
            "reloaded": {"type": "bool", "default": False},
            "restart_pending": {"type": "bool", "default": True},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except patroni.PatroniError as error:
        module.fail_json(msg=str(error), unit="patroni.service")


if __name__ == "__main__":
    main()
