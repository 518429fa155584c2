#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hand the lead of a Patroni cluster to another member."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_switchover
short_description: Hand the lead of a Patroni cluster to another member
version_added: 0.1.0
description:
  - Asks Patroni for a switchover and waits until another member leads and the former leader follows it.
  - Run it on any member that is up. Nothing is lost; clients see a pause of one or two seconds.
author:
  - aigo.onprem maintainers (@aigo-onprem)
requirements:
  - PyYAML on the host (Patroni needs it as well)
options:
  config:
    description: Patroni's configuration file on the host.
    type: path
    default: /etc/patroni/config.yml
  from_member:
    description: Do it only when this member leads. Without it, do it in any case.
    type: str
  candidate:
    description: The member that is to lead; Patroni chooses where it is left out.
    type: str
    default: ""
  timeout:
    description: Seconds to wait until the former leader follows.
    type: int
    default: 120
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Shows the leader before and after.
    support: full
"""

EXAMPLES = r"""
- name: Let another member lead
  aigo.onprem.patroni_switchover:
  run_once: true
"""

RETURN = r"""
former:
  description: Name of the member that led before.
  returned: always
  type: str
leader:
  description: Name of the leader now; in check mode the one that Patroni would take, where it is known.
  returned: always
  type: str
seconds:
  description: How long Patroni took, from the question until another member led.
  returned: always
  type: float
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.aigo.onprem.plugins.module_utils import _patroni as patroni

try:
    import yaml
except ImportError:
    yaml = None  # type: ignore[assignment]

_SWITCH_SECONDS = 60


def _settled(rest: patroni.Rest, former: str) -> str | None:
    """The new leader once it leads and the former one runs as its replica."""
    members = {m["name"]: m for m in rest.call("GET", "/cluster").get("members", [])}
    leader = next((name for name, m in members.items() if m.get("role") in patroni.LEADERS), None)
    follows = members.get(former, {}).get("state") in patroni.RUNNING
    return leader if leader and leader != former and follows else None


def run(module: AnsibleModule) -> dict[str, Any]:
    """Read who leads, ask for another, wait for both."""
    p = module.params
    if yaml is None:
        raise patroni.PatroniError(missing_required_lib("PyYAML"))
    try:
        rest = patroni.Rest(yaml.safe_load(Path(p["config"]).read_text(encoding="utf-8")))
    except OSError as error:
        raise patroni.PatroniError(f"{p['config']} can't be read ({error}): this host is no member") from error
    members = rest.call("GET", "/cluster").get("members", [])
    former = next((m["name"] for m in members if m.get("role") in patroni.LEADERS), "")
    if p["from_member"] not in (None, former):
        return {"changed": False, "former": former, "leader": former, "seconds": 0.0}
    if p["candidate"] == former:
        raise patroni.PatroniError(f"{former} leads already: name another candidate, or none")
    candidate = patroni.candidate(members, p["candidate"])
    leader, seconds = candidate, 0.0
    if not module.check_mode:
        start = time.monotonic()
        rest.call("POST", "/switchover", {"leader": former, "candidate": candidate}, timeout=_SWITCH_SECONDS)
        seconds = round(time.monotonic() - start, 2)
        leader = patroni.until(lambda: _settled(rest, former), p["timeout"], f"{former} does not follow yet")
    diff = {"before": f"leader {former}\n", "after": f"leader {leader}\n"}
    return {"changed": True, "former": former, "leader": leader, "seconds": seconds, "diff": diff}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "path", "default": "/etc/patroni/config.yml"},
            "from_member": {"type": "str"},
            "candidate": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except patroni.PatroniError as error:
        module.fail_json(msg=f"Patroni: {error}")


if __name__ == "__main__":
    main()
