"""Where a request comes from, for limits, sessions and the audit log."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """A client's address and what it calls itself; both are None for commands on the host."""

    address: str | None = None
    client: str | None = None

    @property
    def network(self) -> str:
        """What counts as one client: an IPv4 address, or the /64 that an IPv6 client moves about in."""
        try:
            address = ipaddress.ip_address(self.address or "")
        except ValueError:
            return "unknown"
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped:
                return str(address.ipv4_mapped)
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)
