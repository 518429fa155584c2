# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's rules as they are rendered from its lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

TEMPLATES = Path(__file__).parents[3] / "roles" / "firewall" / "templates"
SSH = {"name": "ssh", "port": 22, "protocol": "tcp", "sources": "any", "purpose": 'For "admins"'}


def render(inbound: list[dict[str, Any]], outbound: list[dict[str, Any]] | None = None, policy: str = "accept") -> str:
    """The text that is loaded."""
    variables = {
        "firewall_inbound": inbound,
        "firewall_outbound": outbound or [],
        "firewall_outbound_policy": policy,
        "firewall_log_rate": "10/minute",
    }
    templar = Templar(DataLoader()).copy_with_new_env(searchpath=[str(TEMPLATES)], available_variables=variables)
    source = trust_as_template((TEMPLATES / "aigo.nft.j2").read_text())
    text = str(templar.template(source, overrides={"trim_blocks": True}))
    assert "None" not in text, "an empty macro must leave nothing behind"
    return text


def accepted(text: str) -> list[str]:
    """The rules made from the lists: those with a comment, except the role's own."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if "comment" in line and "DHCP" not in line]


def test_what_is_not_listed_is_dropped() -> None:
    text = render([])
    assert accepted(text) == []
    assert "type filter hook input priority filter; policy drop;" in text
    assert text.index("ct state vmap") < text.index("counter drop")


def test_anybody_needs_no_set() -> None:
    text = render([SSH])
    assert accepted(text) == ['tcp dport 22 accept comment "For admins"']
    assert "set " not in text


@pytest.mark.parametrize("sources", ["192.0.2.1", ["192.0.2.1"]])
def test_one_address_is_never_taken_for_anybody(sources: str | list[str]) -> None:
    text = render([{**SSH, "sources": sources}])
    assert accepted(text) == ['tcp dport 22 ip saddr @ssh_sources_v4 accept comment "For admins"']
    assert "elements = { 192.0.2.1 }" in text


def test_both_families_get_a_set_and_a_rule_each() -> None:
    text = render([{**SSH, "name": "node-exporter", "sources": ["192.0.2.0/24", "2001:db8::/64"]}])
    assert [line.split(" accept")[0] for line in accepted(text)] == [
        "tcp dport 22 ip saddr @node_exporter_sources_v4",
        "tcp dport 22 ip6 saddr @node_exporter_sources_v6",
    ]
    assert "set node_exporter_sources_v4 {\n\t\ttype ipv4_addr" in text
    assert "set node_exporter_sources_v6 {\n\t\ttype ipv6_addr" in text


def test_a_rule_without_sources_lets_nobody_in() -> None:
    assert accepted(render([{**SSH, "sources": []}])) == []


def test_vrrp_is_matched_by_number_as_hosts_may_lack_its_name() -> None:
    text = render([{"name": "vrrp", "protocol": "vrrp", "sources": ["192.0.2.1"]}])
    assert accepted(text) == ['meta l4proto 112 ip saddr @vrrp_sources_v4 accept comment "vrrp"']


def test_outbound_rules_appear_only_where_the_policy_is_to_drop() -> None:
    outbound = [{"name": "db", "port": 5432, "protocol": "tcp", "destinations": ["192.0.2.9"], "purpose": "Queries"}]
    assert "hook output" not in render([SSH], outbound)
    text = render([SSH], outbound, "drop")
    assert "type filter hook output priority filter; policy drop;" in text
    assert 'tcp dport 5432 ip daddr @db_destinations_v4 accept comment "Queries"' in text
