# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``capacity_plan``."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.aigo.onprem.plugins.module_utils import _capacity

DOCUMENTATION = r"""
name: capacity_plan
short_description: Plan tier, hosts and resources for a number of users
version_added: 0.1.0
author:
  - aigo.onprem maintainers (@aigo-onprem)
description:
  - Turns a number of users, and of conversations in progress at the busiest time, into a tier with its hosts,
    the processes of each service, disk and bandwidth, and shows the arithmetic.
  - The rules of thumb are first estimates; the metrics of the running site replace them.
positional: _input, concurrency
options:
  _input:
    description: People who may use the site.
    type: int
    required: true
  concurrency:
    description: Conversations in progress at the busiest time; a tenth of the users when it is left out.
    type: int
  tier:
    description: Plan for this tier instead of the smallest that fits.
    type: str
    choices: [single, small, medium, enterprise, two_site]
  conversations_per_user:
    description: Conversations kept for each user, for the disk.
    type: int
    default: 50
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ (300 | aigo.onprem.capacity_plan(40)).arithmetic }}"
"""

RETURN = r"""
_value:
  description: >-
    The plan: C(tier), C(users), C(concurrency), C(host_count), C(hosts) (count, groups, cores, memory_mb, disk_gb),
    C(services), C(cores), C(memory_mb), C(disk_gb) and C(bandwidth_kb_s) (each low and high),
    C(arithmetic), a list of lines, and C(report), the hosts and the arithmetic in words.
  type: dict
"""


def capacity_plan(
    users: Any, concurrency: Any = None, tier: str | None = None, conversations_per_user: Any = 50
) -> dict[str, Any]:
    """See :func:`_capacity.capacity_plan`."""
    try:
        return _capacity.capacity_plan(users, concurrency, tier, conversations_per_user)
    except _capacity.CapacityError as error:
        raise AnsibleFilterError(f"capacity_plan: {error}") from error


class FilterModule:
    """The filter's registration."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"capacity_plan": capacity_plan}
