#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hardening_pam: a profile of pam-auth-update that is really in force."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hardening_pam
short_description: Install a profile of pam-auth-update and see that the PAM stacks have it
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Writes the profile, lets C(pam-auth-update) make C(/etc/pam.d/common-*) from it, and reads them again.
  - Profiles of other packages stay, and packages that are installed later can add theirs, which edits by hand prevent.
options:
  name:
    description: Name of the profile below C(/usr/share/pam-configs).
    type: str
    required: true
  content:
    description: The profile.
    type: str
    required: true
  replaces:
    description: Profiles that are switched off because this one does their work.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Predicts.
    support: full
  diff_mode:
    description: Shows the profile before and after.
    support: full
"""

EXAMPLES = r"""
- name: Lock accounts after failures
  aigo.onprem.hardening_pam:
    name: aigo
    content: "{{ lookup('ansible.builtin.template', 'aigo.j2') }}"
    replaces: [unix]
"""

RETURN = r"""
missing:
  description: What the stacks lacked.
  returned: success
  type: list
  elements: str
  sample: ["common-auth: pam_faillock.so preauth"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._hardening_pam import PamError, PamProfile

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "content": {"type": "str", "required": True},
    "replaces": {"type": "list", "elements": "str", "default": []},
}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare, apply unless in check mode. Raises PamError."""
    params = module.params
    profile = PamProfile(params["name"], params["content"], params["replaces"])
    before, missing, due = profile.before(), profile.missing(), profile.due()
    if due and not module.check_mode:
        profile.apply()
    result: dict[str, Any] = {"changed": due, "missing": missing}
    if module._diff and due:
        path = f"/usr/share/pam-configs/{params['name']}"
        result["diff"] = {"before_header": path, "after_header": path, "before": before, "after": params["content"]}
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except PamError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"hardening_pam: {error}")


if __name__ == "__main__":
    main()
