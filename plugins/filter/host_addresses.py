# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``host_addresses``: the one address at which each host is reached by the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from ansible.errors import AnsibleFilterError


def _usable(value: object) -> str | None:
    """Return the value when it is an address that another host can reach."""
    try:
        address = ip_address(str(value))
    except ValueError:
        return None
    return None if address.is_loopback or address.is_unspecified else str(address)


def host_address(host: str, variables: Mapping[str, Any]) -> str:
    """Return a host's address: ``aigo_address``, else ``ansible_host``, else the default route's own address.

    Raises AnsibleFilterError when none of them is an address; the message names the host and the mend.
    """
    if variables.get("aigo_address"):
        if address := _usable(variables["aigo_address"]):
            return address
        raise AnsibleFilterError(
            f"{host}: aigo_address is {variables['aigo_address']!r}, which other hosts can't reach;"
            " give it an IPv4 or IPv6 address of the host"
        )
    if address := _usable(variables.get("ansible_host", host)):
        return address
    facts = variables.get("ansible_facts") or {}
    for family in ("default_ipv4", "default_ipv6"):
        if address := _usable((facts.get(family) or {}).get("address")):
            return address
    raise AnsibleFilterError(
        f"{host}: no address is known (ansible_host is {variables.get('ansible_host', host)!r}, without facts);"
        " set aigo_address for it in the inventory"
    )


def host_addresses(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return {host: address} for the hosts, in their order."""
    return {host: host_address(host, hostvars[host]) for host in hosts}


class FilterModule:
    """Offer the filter to Ansible."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"host_addresses": host_addresses}
