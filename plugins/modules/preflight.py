#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name; nothing runs on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Report all mistakes of an inventory, or of its hosts, at once
version_added: 0.1.0
author:
  - aigo.onprem maintainers (@aigo-onprem)
description:
  - Runs on the control node, once for all hosts, and contacts none of them.
  - Collects every mistake, each with host, variable, value, what is wrong and how to mend it, and fails with all
    of them together.
  - What needs not be mended is told as a warning.
options:
  stage:
    description:
      - V(inventory) judges groups, names, addresses, quorum and every variable of the collection against its
        specification.
      - V(hosts) judges what M(aigo.onprem.preflight_facts) has registered on all hosts of the play.
    type: str
    required: true
    choices: [inventory, hosts]
  facts:
    description: Name under which the hosts' facts are registered.
    type: str
    default: __preflight_facts
  clock_tolerance:
    description: Seconds that a clock may be off.
    type: float
    default: 5.0
attributes:
  check_mode:
    description: Can run in check mode and judge the same.
    support: full
  diff_mode:
    description: Nothing changes, so there is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Judge the inventory
  aigo.onprem.preflight:
    stage: inventory
"""

RETURN = r"""
mistakes:
  description: Every mistake with C(host), C(variable), C(value), C(wrong) and C(mend).
  type: list
  elements: dict
  returned: always
msg:
  description: The same as text.
  type: str
  returned: always
"""
