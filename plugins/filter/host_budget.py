# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``host_budget``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.aigo.onprem.plugins.module_utils import _budget, _capacity

DOCUMENTATION = r"""
name: host_budget
short_description: Share a host's memory and processors among its services
version_added: 0.1.0
author:
  - aigo.onprem maintainers (@aigo-onprem)
description:
  - Gives every service of a host its memory, its CPU quota and the settings that follow from them.
  - The memory of all services and of the reserve for the system is never more than the host has.
positional: _input, groups, tier
options:
  _input:
    description: The host's C(cores) and C(memory_mb), or its C(ansible_facts) (C(processor_nproc) and C(memtotal_mb)).
    type: dict
    required: true
  groups:
    description: Groups of the host; those that the collection does not know are left aside.
    type: list
    elements: str
    required: true
  tier:
    description: The site's tier.
    type: str
    required: true
    choices: [single, small, medium, enterprise, two_site]
  members:
    description: Number of hosts in each group, for the pools; the tier's own numbers where it is left out.
    type: dict
"""

EXAMPLES = r"""
- name: Show what PostgreSQL may use on this host
  ansible.builtin.debug:
    msg: "{{ (ansible_facts | aigo.onprem.host_budget(group_names, 'small')).services.postgres }}"
"""

RETURN = r"""
_value:
  description: >-
    C(total) (cores, memory_mb), C(reserve_mb), C(unallocated_mb), C(sufficient), C(notes) and C(services): a dictionary
    by service name with C(memory_mb) and C(cpu_quota_percent), and for C(postgres) C(shared_buffers_mb),
    C(effective_cache_size_mb), C(work_mem_mb), C(maintenance_work_mem_mb) and C(max_connections), for C(redis)
    C(maxmemory_mb), for C(app) and C(worker) C(processes), C(pool_min) and C(pool_max), for C(worker) C(concurrency),
    for C(model) C(threads), for C(nginx) C(worker_processes) and C(worker_connections).
  type: dict
"""


def host_budget(
    facts: Mapping[str, Any], groups: Sequence[str], tier: str, members: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """See :func:`_budget.host_budget`."""
    try:
        return _budget.host_budget(facts, groups, tier, members)
    except _capacity.CapacityError as error:
        raise AnsibleFilterError(f"host_budget: {error}") from error


class FilterModule:
    """The filter's registration."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"host_budget": host_budget}
