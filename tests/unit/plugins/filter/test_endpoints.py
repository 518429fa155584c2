"""How an address and a port are written together."""

from __future__ import annotations

from ansible_collections.aigo.onprem.plugins.filter.endpoints import endpoints


def test_addresses_get_their_port_and_ipv6_its_brackets() -> None:
    assert endpoints(["192.0.2.1", "2001:db8::1"], 2379) == ["192.0.2.1:2379", "[2001:db8::1]:2379"]
