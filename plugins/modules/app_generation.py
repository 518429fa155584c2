#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the present generation of the application, and replace the former one without a lost request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_generation
short_description: Replace running services without a lost request when what they were started with has changed
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Compares what a service was last started with (its release, configuration, certificates) with what is there now, and
    replaces the running generation when the two differ. A replacement that a failed run lost happens in the next one.
  - A socket-activated template unit is replaced in three steps. The instance C(bridge) starts on the same sockets with
    the new generation, the instance C(main) is restarted, the bridge is stopped.
  - When the bridge does not start, C(main) goes on untouched and the module fails with the bridge's journal. When
    C(main) does not start, the bridge goes on serving.
  - A bridge that an interrupted run left is taken into account.
  - Only a changed or stopped socket unit costs an interruption, because its port has to be bound anew.
  - Plain services are restarted.
options:
  units:
    description: The services, in the order in which they are cared for.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A template such as V(aigo-api@.service), or a plain service such as V(aigo-worker.service).
        type: str
        required: true
      sockets:
        description: Socket units that the service accepts from; enabled and started before it.
        type: list
        elements: str
        default: []
      watch:
        description: Paths that count for this service, beyond the common ones.
        type: list
        elements: path
        default: []
  watch:
    description:
      - Paths that count for every service. Files count by content, directories by all that is below them, symbolic
        links by their target.
    type: list
    elements: path
    default: []
  record:
    description: File on the host that remembers what each service was started with.
    type: path
    default: /var/lib/aigo/app_generation.json
attributes:
  check_mode:
    description: Says what would happen; also where the units don't exist yet.
    support: full
  diff_mode:
    description: Shows what is due for each service.
    support: full
notes:
  - The services have to share their sockets well. Both instances accept from the same listening socket, and a stopping
    instance finishes what it has accepted (C(Type=notify) with a graceful drain).
seealso:
  - module: aigo.onprem.app_release
"""

EXAMPLES = r"""
- name: Run the current release
  aigo.onprem.app_generation:
    watch: [/opt/aigo/current, /etc/aigo/config.json, /etc/aigo/environments, /etc/aigo/secrets]
    units:
      - name: aigo-api@.service
        sockets: [aigo-api.socket, aigo-ws.socket]
        watch: [/etc/aigo/pki/app, /etc/systemd/system/aigo-api@.service]
      - name: aigo-worker.service
        watch: [/etc/systemd/system/aigo-worker.service]
"""

RETURN = r"""
units:
  description: What happened to each service, or would.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The service as given.
      type: str
    action:
      description: One of C(none), C(start), C(restart), C(hand_over) and C(rebind).
      type: str
    reason:
      description: Why, empty when nothing was due.
      type: str
    changed:
      description: Whether anything happened, the enabling of units included.
      type: bool
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._app_generation import (
    GenerationError,
    Generations,
    Plan,
    Service,
    plan,
)
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Systemd

ARGUMENT_SPEC: dict[str, Any] = {
    "units": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "sockets": {"type": "list", "elements": "str", "default": []},
            "watch": {"type": "list", "elements": "path", "default": []},
        },
    },
    "watch": {"type": "list", "elements": "path", "default": []},
    "record": {"type": "path", "default": "/var/lib/aigo/app_generation.json"},
}


def run(module: AnsibleModule, systemd: Systemd) -> dict[str, Any]:
    """Plan for all services, then carry the plans out one by one."""
    params = module.params
    services = [
        Service(unit["name"], tuple(unit["sockets"]), (*params["watch"], *unit["watch"])) for unit in params["units"]
    ]
    wrong = [service.name for service in services if not service.name.endswith(".service")]
    if wrong:
        raise GenerationError(f"units: {', '.join(wrong)} must end with .service")
    generations = Generations(systemd, Path(params["record"]))
    states, recorded = generations.states(services), generations.recorded()
    digests = {service.name: service.digests() for service in services}
    plans = {
        service.name: plan(service, states, recorded.get(service.name), digests[service.name]) for service in services
    }
    changed = any(due.changed for due in plans.values())
    if changed and not module.check_mode:
        generations.reload_if_needed(states)
        for service in services:
            if plans[service.name].changed:
                generations.apply(service, plans[service.name], digests[service.name])
    return {
        "changed": changed,
        "units": [
            {"name": name, "action": due.action, "reason": due.reason, "changed": due.changed}
            for name, due in plans.items()
        ],
        "diff": {"before": "", "after": "".join(_line(name, due) for name, due in plans.items() if due.changed)},
    }


def _line(name: str, due: Plan) -> str:
    parts = [due.action] if due.action != "none" else []
    parts += [f"enable {unit}" for unit in due.enable] + [f"bind {unit}" for unit in due.bind]
    parts += ["stop the bridge"] if due.stop_bridge else []
    return f"{name}: {', '.join(parts)}" + (f" ({due.reason})\n" if due.reason else "\n")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module, Systemd())
    except GenerationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
