#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module health_gate: go on only when an endpoint is healthy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: health_gate
short_description: Wait for good answers in a row from an endpoint
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Asks an HTTP endpoint or a TCP port from the host until it has given O(successes) good answers in a row.
  - Fails when that does not happen within O(timeout), and says what was seen last, what was wanted, and what the unit
    behind it logged.
options:
  url:
    description: The endpoint, asked with GET on a new connection each time. TLS is always verified.
    type: str
  connect_to:
    description: Connect to this address, while the certificate and the C(Host) header are those of O(url).
    type: str
  ca_path:
    description: File with the authorities that may have signed the certificate. Default is the host's own list.
    type: path
  client_cert:
    description: File with the client certificate to show.
    type: path
  client_key:
    description: File with its key, where that is not in O(client_cert).
    type: path
  headers:
    description: Further headers. They are not logged.
    type: dict
  status:
    description: Status codes of a good answer.
    type: list
    elements: int
    default: [200]
  json:
    description: What the JSON object of a good answer has at least. Objects may have more members at any depth.
    type: dict
  host:
    description: Instead of O(url), a TCP connection to this host and O(port).
    type: str
  port:
    description: The TCP port.
    type: int
  successes:
    description: Number of good answers in a row.
    type: int
    default: 2
  timeout:
    description: Seconds for all of it.
    type: float
    default: 60.0
  interval:
    description: Seconds between two questions.
    type: float
    default: 0.5
  attempt_timeout:
    description: Seconds for one question.
    type: float
    default: 5.0
  unit:
    description: The unit behind the endpoint. Its last journal lines become part of a failure.
    type: str
attributes:
  check_mode:
    description: Asks once and never fails, as the service may not be there yet.
    support: full
  diff_mode:
    description: It changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Wait until the application is ready
  aigo.onprem.health_gate:
    url: https://127.0.0.1:8000/ready
    ca_path: /etc/aigo/pki/app/ca.pem
    json: {status: ready, checks: {database: ok}}
    successes: 3
    unit: aigo-api@main.service

- name: Wait until Redis takes connections
  aigo.onprem.health_gate:
    host: 127.0.0.1
    port: 6379
    unit: redis-server.service
"""

RETURN = r"""
healthy:
  description: Whether the endpoint gave the good answers. Only in check mode this can be false without a failure.
  returned: always
  type: bool
  sample: true
attempts:
  description: How many questions were asked.
  returned: always
  type: int
  sample: 3
elapsed:
  description: Seconds until the last answer.
  returned: always
  type: float
  sample: 1.04
last:
  description: The last answer.
  returned: always
  type: str
  sample: 'HTTP 200: {"status": "ready"}'
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._health import (
    HealthError,
    HttpQuestion,
    Outcome,
    TcpQuestion,
    gate,
)
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Systemd, mask_keyed_secrets, unit_name

ARGUMENT_SPEC: dict[str, Any] = {
    "url": {"type": "str"},
    "connect_to": {"type": "str"},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "headers": {"type": "dict", "no_log": True},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "json": {"type": "dict"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "successes": {"type": "int", "default": 2},
    "timeout": {"type": "float", "default": 60.0},
    "interval": {"type": "float", "default": 0.5},
    "attempt_timeout": {"type": "float", "default": 5.0},
    "unit": {"type": "str"},
}


def question(params: dict[str, Any]) -> HttpQuestion | TcpQuestion:
    """The question that the options ask."""
    if not params["url"]:
        return TcpQuestion(params["host"], params["port"], params["attempt_timeout"])
    if not params["url"].startswith(("http://", "https://")):
        raise HealthError(f"health_gate: url {params['url']!r} does not begin with http:// or https://")
    return HttpQuestion(
        url=params["url"],
        connect_to=params["connect_to"],
        ca_path=params["ca_path"],
        client_cert=params["client_cert"],
        client_key=params["client_key"],
        headers={str(name): str(value) for name, value in (params["headers"] or {}).items()},
        statuses=params["status"],
        json_subset=params["json"],
        timeout=params["attempt_timeout"],
    )


def run(module: AnsibleModule) -> dict[str, Any]:
    """Ask; in check mode once. Raises HealthError."""
    params = module.params
    asked = question(params)
    if module.check_mode:
        outcome = gate(asked.ask, 1, 0, params["interval"])
        return {"changed": False, **_facts(outcome)}
    outcome = gate(asked.ask, params["successes"], params["timeout"], params["interval"])
    if not outcome.healthy:
        raise _failure(params, outcome)
    return {"changed": False, **_facts(outcome)}


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "healthy": outcome.healthy,
        "attempts": outcome.attempts,
        "elapsed": outcome.elapsed,
        "last": mask_keyed_secrets(outcome.last.shown),
    }


def _failure(params: dict[str, Any], outcome: Outcome) -> HealthError:
    place = params["url"] or f"{params['host']} port {params['port']}"
    facts = _facts(outcome)
    lines = [
        f"{place} was not healthy within {params['timeout']:g} s: asked {outcome.attempts} times, {outcome.row} good "
        f"answers in a row at the end, {params['successes']} wanted.",
        f"Last answer: {facts['last']}",
    ]
    if outcome.last.fault and outcome.last.fault not in facts["last"]:
        lines.append(f"Its fault: {outcome.last.fault}")
    if params["unit"]:
        unit = unit_name(params["unit"])
        lines.append(f"The last lines of {unit}:\n{Systemd().journal(unit) or '(nothing logged)'}")
        lines.append(f"Mend: `systemctl status {unit}` and `journalctl -u {unit}` on the host say why; then run again.")
    else:
        lines.append("Mend: look at the service behind it on the host; then run again.")
    return HealthError("\n".join(lines), **facts)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("url", "host")],
        required_one_of=[("url", "host")],
        required_together=[("host", "port")],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except HealthError as error:
        module.fail_json(msg=str(error), **error.details)


if __name__ == "__main__":
    main()
