"""What the wiring takes for the address of a host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.aigo.onprem.plugins.filter.host_addresses import host_addresses

FACTS = {"ansible_facts": {"default_ipv4": {"address": "198.51.100.7"}}}


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"ansible_host": "192.0.2.1"}, "192.0.2.1"),
        ({"ansible_host": "2001:db8::1"}, "2001:db8::1"),
        ({"aigo_address": "192.0.2.2", "ansible_host": "192.0.2.1"}, "192.0.2.2"),
        ({"ansible_host": "node.example.com", **FACTS}, "198.51.100.7"),
        ({"ansible_host": "127.0.0.1", **FACTS}, "198.51.100.7"),
        (FACTS, "198.51.100.7"),
        ({"ansible_facts": {"default_ipv6": {"address": "2001:db8::2"}}}, "2001:db8::2"),
    ],
)
def test_the_address_others_can_reach_is_found(variables: dict[str, Any], address: str) -> None:
    assert host_addresses(["node"], {"node": variables}) == {"node": address}


def test_a_name_that_is_an_address_will_do() -> None:
    assert host_addresses(["192.0.2.3"], {"192.0.2.3": {}}) == {"192.0.2.3": "192.0.2.3"}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"aigo_address": "10.0.0"}, ["node", "aigo_address", "'10.0.0'"]),
        ({"aigo_address": "127.0.0.1"}, ["node", "aigo_address", "127.0.0.1"]),
        ({"ansible_host": "node.example.com"}, ["node", "node.example.com", "set aigo_address"]),
        ({}, ["node", "set aigo_address"]),
    ],
)
def test_an_address_that_cannot_be_used_is_named_with_its_mend(variables: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        host_addresses(["node"], {"node": variables})
    assert all(word in str(caught.value) for word in words)
