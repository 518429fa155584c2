#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hardening_guard: changes to SSH, PAM and sudo that cannot lock the controller out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hardening_guard
short_description: Keep changes to SSH, PAM and sudo only when a new session can be had
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - V(armed) archives the files that decide about signing in, and starts a timer that puts them back.
  - V(confirmed) ends the connection, signs in anew, becomes root, and only then stops the timer. If that does not
    succeed in time the host takes its former files back by itself, and the task fails.
  - Where nothing about signing in has changed since V(armed), V(confirmed) stops the timer at once.
  - A run that fails between the two leaves the timer running, so its half-made changes are taken back too.
options:
  state:
    description: Which of the two steps.
    type: str
    choices: [armed, confirmed]
    required: true
  timeout:
    description: Seconds, 30 to 600, after which the former files are put back.
    type: int
    default: 90
  paths:
    description: Files and directories that decide about signing in.
    type: list
    elements: str
    default:
      - /etc/ssh
      - /etc/pam.d
      - /etc/security
      - /etc/sudoers
      - /etc/sudoers.d
      - /etc/login.defs
      - /usr/share/pam-configs
      - /var/lib/pam
  units:
    description: Units that read those files, restarted with them, also where the change has ended them.
    type: list
    elements: str
    default: [ssh.service]
  proven:
    description: Used by the action plugin. Never write it yourself.
    type: bool
    default: false
attributes:
  check_mode:
    description: Does nothing, as nothing is changed.
    support: full
  diff_mode:
    description: The tasks between the two show their own differences.
    support: none
notes:
  - Where the controller manages itself (C(ansible_connection=local)) no session is opened, so nothing is proven.
  - Only one play at a time may guard a host.
"""

EXAMPLES = r"""
- name: Be ready to go back
  aigo.onprem.hardening_guard:
    state: armed

- name: Configure sshd
  aigo.onprem.config_set:
    name: sshd
    templates: etc
    validate: ["sshd -t"]
    units:
      - {name: ssh.service, on_change: reload}

- name: Sign in anew, and keep the changes
  aigo.onprem.hardening_guard:
    state: confirmed
"""

RETURN = r"""
proof_needed:
  description: Whether something about signing in has changed, so that a new session had to be opened.
  returned: success
  type: bool
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._hardening_guard import STATE_DIRECTORY, Guard, GuardError

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["armed", "confirmed"], "required": True},
    "timeout": {"type": "int", "default": 90},
    "paths": {
        "type": "list",
        "elements": "str",
        "default": [
            "/etc/ssh",
            "/etc/pam.d",
            "/etc/security",
            "/etc/sudoers",
            "/etc/sudoers.d",
            "/etc/login.defs",
            "/usr/share/pam-configs",
            "/var/lib/pam",
        ],
    },
    "units": {"type": "list", "elements": "str", "default": ["ssh.service"]},
    "proven": {"type": "bool", "default": False},
}


def run(module: AnsibleModule, state_directory: Path = STATE_DIRECTORY) -> dict[str, Any]:
    """One of the steps. Raises GuardError."""
    params = module.params
    if not 30 <= params["timeout"] <= 600:
        raise GuardError(f"hardening_guard: timeout {params['timeout']} is not between 30 and 600")
    if module.check_mode:
        return {"changed": False, "proof_needed": False}
    guard = Guard(params["paths"], params["units"], state_directory=state_directory)
    if params["state"] == "armed":
        guard.arm(params["timeout"])
        return {"changed": False, "proof_needed": False}
    changed = guard.changed()
    if params["proven"] or not changed:
        guard.confirm()
    return {"changed": False, "proof_needed": changed}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except GuardError as error:
        module.fail_json(msg=str(error), sign_in_guard=True)
    except OSError as error:
        module.fail_json(msg=f"hardening_guard: {error}", sign_in_guard=True)


if __name__ == "__main__":
    main()
