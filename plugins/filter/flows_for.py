# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``flows_for``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.aigo.onprem.plugins.module_utils import _capacity, _flows

DOCUMENTATION = r"""
name: flows_for
short_description: Derive a host's permitted traffic from the flow table
version_added: 0.1.0
author:
  - aigo.onprem maintainers (@aigo-onprem)
description:
  - Reads the site's flow table and returns what may reach one host and what that host may reach.
  - Rows for the same protocol and port are merged, own addresses are left out, and the order never depends on
    that of the inventory.
positional: _input, host, groups, addresses, networks
options:
  _input:
    description:
      - Rows with C(name), C(from), C(to), C(port), C(protocol) (C(tcp), C(udp) or C(vrrp)), C(purpose) and
        C(encryption).
      - C(from) and C(to) are a name or a list of names, each a group, a key of O(networks), C(all) for every host, or
        C(any) for anybody.
    type: list
    elements: dict
    required: true
  host:
    description: The host's name in the inventory.
    type: str
    required: true
  groups:
    description: Hosts of each group, as in Ansible's variable C(groups).
    type: dict
    required: true
  addresses:
    description: Address, or list of addresses, of each host.
    type: dict
    required: true
  networks:
    description: Networks behind names such as C(clients); an empty list stands for anybody.
    type: dict
"""

EXAMPLES = r"""
- name: Show what may reach this host
  ansible.builtin.debug:
    msg: "{{ (site_flows | aigo.onprem.flows_for(inventory_hostname, groups, site_addresses, networks)).inbound }}"
  vars:
    networks:
      clients: []
      admins: [192.0.2.0/24]
"""

RETURN = r"""
_value:
  description: >-
    C(inbound), a list of C(name), C(protocol), C(port), C(sources) and C(purpose), and C(outbound), the same
    with C(destinations). Sources and destinations are the word C(any) or a sorted list of addresses and networks.
  type: dict
"""


def flows_for(
    flows: Sequence[Mapping[str, Any]],
    host: str,
    groups: Mapping[str, Sequence[str]],
    addresses: Mapping[str, Any],
    networks: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """See :func:`_flows.flows_for`."""
    try:
        return _flows.flows_for(flows, host, groups, addresses, networks, _capacity.GROUPS)
    except _flows.FlowError as error:
        raise AnsibleFilterError(f"flows_for: {error}") from error


class FilterModule:
    """The filter's registration."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"flows_for": flows_for}
