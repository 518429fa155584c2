#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module compliance: judge controls on a host, and keep the evidence on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: compliance
short_description: Judge controls on a host, and keep the evidence
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Reads what is in force on the host, judges every control, and writes the evidence to a file on the control node.
  - The host is never changed.
options:
  controls:
    description:
      - The controls. Each has C(id), C(title), C(cis) and C(anssi), one of C(sysctl), C(sshd), C(setting), C(line),
        C(mode), C(unit), C(package), C(module) and C(mount), and what is expected of it.
    type: list
    elements: dict
    required: true
  exceptions:
    description: Controls that need not be met for a while.
    type: list
    elements: dict
    default: []
    suboptions:
      control:
        description: Identifier of the control.
        type: str
      reason:
        description: Why it is not met.
        type: str
      owner:
        description: Who answers for it.
        type: str
      expires:
        description: The last day on which it counts, such as V(2027-06-30).
        type: str
      hosts:
        description: Hosts and groups for which it counts; all where it is left out.
        type: list
        elements: str
  dest:
    description: File on the control node for the evidence. Nothing is written where it is left out.
    type: path
attributes:
  check_mode:
    description: It only reads; the evidence is not written in check mode.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
"""

EXAMPLES = r"""
- name: Judge the host
  aigo.onprem.compliance:
    controls: "{{ lookup('ansible.builtin.file', 'controls.yml') | from_yaml }}"
    dest: evidence/{{ inventory_hostname }}.json
"""

RETURN = r"""
findings:
  description: For each control what was wanted and found, in the order of the controls.
  returned: success
  type: list
  elements: dict
summary:
  description: How many controls were met, not met, excepted and not applicable, and the share that was met in percent.
  returned: success
  type: dict
  sample: {pass: 98, fail: 2, excepted: 1, not_applicable: 5, score: 97.0}
drift:
  description: One line for each control that is not met and not excepted.
  returned: success
  type: list
  elements: str
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._compliance import ComplianceError, judge
from ansible_collections.aigo.onprem.plugins.module_utils._compliance_host import LocalHost

ARGUMENT_SPEC: dict[str, Any] = {
    "controls": {"type": "list", "elements": "dict", "required": True},
    "exceptions": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "control": {"type": "str"},
            "reason": {"type": "str"},
            "owner": {"type": "str"},
            "expires": {"type": "str"},
            "hosts": {"type": "list", "elements": "str"},
        },
    },
    "dest": {"type": "path"},
}


def main() -> None:
    """Entry point. The invocation is not returned: it would be all controls once more."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    host = LocalHost()
    try:
        findings = [asdict(judge(control, host)) for control in module.params["controls"]]
    except (ComplianceError, OSError) as error:
        module.fail_json(msg=f"compliance: {error}", invocation={})
    module.exit_json(changed=False, findings=findings, invocation={})


if __name__ == "__main__":
    main()
