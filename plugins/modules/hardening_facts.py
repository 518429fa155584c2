#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hardening_facts: what hardening has to know of a host before it changes anything."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hardening_facts
short_description: Read what hardening must not break, and what the host cannot take
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Tells who signed in, where sshd listens, and what the kernel allows. It changes nothing and needs no package.
options: {}
attributes:
  check_mode:
    description: It only reads.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
"""

EXAMPLES = r"""
- name: Know the host
  aigo.onprem.hardening_facts:
  register: host
"""

RETURN = r"""
user:
  description: The account that signed in.
  returned: success
  type: str
  sample: admin
controller:
  description: The address that the session comes from; empty without SSH.
  returned: success
  type: str
  sample: 192.0.2.7
ssh:
  description: Where sshd listens. C(addresses) is empty where it listens everywhere.
  returned: success
  type: dict
  sample: {ports: [22], addresses: []}
audit:
  description: C(open) where audit rules can be loaded, C(locked) until the next boot, C(none) where the kernel refuses.
  returned: success
  type: str
  sample: open
apparmor:
  description: Whether the kernel has AppArmor switched on.
  returned: success
  type: bool
runtimes:
  description: Container and virtual machine runtimes on the host; they need forwarding.
  returned: success
  type: list
  elements: str
forwards:
  description: Whether the host is configured to forward packets, or has a runtime that needs it to.
  returned: success
  type: bool
advertised_routes:
  description: Whether the host has routes that an IPv6 router advertised.
  returned: success
  type: bool
grub:
  description: Whether GRUB starts the host.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._hardening_facts import collect


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        module.exit_json(changed=False, **collect())
    except OSError as error:
        module.fail_json(msg=f"hardening_facts: {error}")


if __name__ == "__main__":
    main()
