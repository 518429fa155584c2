#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prove that a site serves its users."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_site
short_description: Prove that a site serves its users
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Does through one edge what a user does. The certificate verifies, plain HTTP leads to HTTPS, the page is there, an
    account signs in, a question is answered over HTTPS and over a WebSocket by way of a tool, a broken stream is taken
    up again, and a worker exports the conversation.
  - Leaves nothing behind. The conversation is deleted, with its runs, and the session is ended.
  - All steps are tried before it fails, so that one run shows everything that is wrong.
  - Runs where a user could be, usually on the controller by delegation.
options:
  address:
    description: Address of the edge. The name server is not asked.
    type: str
    required: true
  domain:
    description: The site's domain; the certificate must be for it.
    type: str
    required: true
  public_url:
    description: Where users reach the site, where it is not C(https://) and O(domain); the origin that browsers name.
    type: str
  port:
    description: Port of HTTPS.
    type: int
    default: 443
  http_port:
    description: Port of plain HTTP.
    type: int
    default: 80
  ca_path:
    description: The authorities to trust, as a PEM file. Without it, those of the machine.
    type: path
  username:
    description: An account of the application.
    type: str
    required: true
  password:
    description: Its password.
    type: str
    required: true
  prompt:
    description: What is asked.
    type: str
    default: Use the calculator to work out 6*7 and tell me the result.
  tool:
    description: The tool that the model must call. Empty where the site's model can't use tools.
    type: str
    default: calculator
  min_days:
    description: How many days the certificate must be valid for.
    type: int
    default: 7
  timeout:
    description: Seconds that an answer, a job or a connection may take.
    type: int
    default: 60
attributes:
  check_mode:
    description: Says that nothing was proven, and succeeds; a pristine site has nothing to prove.
    support: full
  diff_mode:
    description: Nothing changes, so there is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Prove that the site serves
  aigo.onprem.verify_site:
    address: 192.0.2.10
    domain: agent.example.com
    ca_path: "{{ inventory_dir }}/.state/ca/ca.pem"
    username: admin
    password: "{{ lookup('aigo.onprem.secret', 'app_admin_password', file=inventory_dir ~ '/.state/secrets.yml') }}"
  delegate_to: localhost
  become: false
"""

RETURN = r"""
steps:
  description: What was tried, in order.
  returned: always, except in check mode
  type: list
  elements: dict
  contains:
    name: {description: What it was., type: str}
    ok: {description: Whether it held; null where it could not be tried., type: bool}
    detail: {description: What was seen., type: str}
    seconds: {description: How long it took., type: float}
table:
  description: The same as aligned lines.
  returned: always, except in check mode
  type: list
  elements: str
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._site_client import Edge, SiteClient
from ansible_collections.aigo.onprem.plugins.module_utils._verify_site import Journey, Wish, table

ARGUMENT_SPEC: dict[str, Any] = {
    "address": {"type": "str", "required": True},
    "domain": {"type": "str", "required": True},
    "public_url": {"type": "str"},
    "port": {"type": "int", "default": 443},
    "http_port": {"type": "int", "default": 80},
    "ca_path": {"type": "path"},
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "prompt": {"type": "str", "default": "Use the calculator to work out 6*7 and tell me the result."},
    "tool": {"type": "str", "default": "calculator"},
    "min_days": {"type": "int", "default": 7},
    "timeout": {"type": "int", "default": 60},
}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Walk the whole way and report on every step."""
    if module.check_mode:
        return {"changed": False, "skipped": True, "msg": "nothing is proven in check mode"}
    options = module.params
    edge = Edge(
        address=options["address"],
        domain=options["domain"],
        port=options["port"],
        http_port=options["http_port"],
        ca_path=options["ca_path"],
        timeout=options["timeout"],
        public_url=options["public_url"],
    )
    wish = Wish(
        username=options["username"],
        password=options["password"],
        prompt=options["prompt"],
        tool=options["tool"],
        min_days=options["min_days"],
        timeout=options["timeout"],
    )
    steps = Journey(SiteClient(edge), wish).walk()
    failed = [step for step in steps if step.ok is False]
    result: dict[str, Any] = {"changed": False, "steps": [asdict(step) for step in steps], "table": table(steps)}
    if failed:
        result["failed"] = True
        lines = "".join(f"\n- {step.name}: {step.detail}" for step in failed)
        result["msg"] = f"{edge.domain} at {edge.address} does not serve as it should:{lines}"
    return result


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module)
    except OSError as error:
        module.fail_json(msg=f"ca_path: {module.params['ca_path']}: {error}")
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
