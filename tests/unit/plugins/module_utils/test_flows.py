"""The flow table and what it means for one host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.aigo.onprem.plugins.module_utils import _capacity
from ansible_collections.aigo.onprem.plugins.module_utils._flows import FlowError, flows_for

ROOT = Path(__file__).parents[4]
GROUPS = {"edge": ["e1", "e2"], "app": ["a1", "a2"], "postgres": ["d1", "d2"], "ops": ["o1"]}
ADDRESSES = {
    "e1": "10.0.0.11",
    "e2": "10.0.0.12",
    "a1": "10.0.0.9",
    "a2": "10.0.0.10",
    "d1": "10.0.0.31",
    "d2": "10.0.0.32",
    "o1": "10.0.0.41",
}


def row(**values: Any) -> dict[str, Any]:
    return {"name": "x", "from": "any", "to": "all", "port": 1, "purpose": "p", "encryption": "e"} | values


def ask(rows: list[dict[str, Any]], host: str, networks: dict[str, Any] | None = None) -> dict[str, Any]:
    return flows_for(rows, host, GROUPS, ADDRESSES, networks, _capacity.GROUPS)


def test_only_members_of_the_target_group_are_reachable() -> None:
    rows = [row(name="api", to="app", port=8000, **{"from": "edge"})]
    assert ask(rows, "a1")["inbound"] == [
        {"name": "api", "protocol": "tcp", "port": 8000, "sources": ["10.0.0.11", "10.0.0.12"], "purpose": "p"}
    ]
    assert ask(rows, "d1") == {"inbound": [], "outbound": []}
    assert ask(rows, "e1")["outbound"][0]["destinations"] == ["10.0.0.9", "10.0.0.10"]


def test_members_of_a_group_see_each_other_but_not_themselves() -> None:
    rows = [row(to="postgres", **{"from": "postgres"})]
    assert ask(rows, "d1")["inbound"][0]["sources"] == ["10.0.0.32"]
    assert ask(rows, "d1")["outbound"][0]["destinations"] == ["10.0.0.32"]


def test_a_host_alone_in_its_groups_needs_no_rule() -> None:
    rows = [row(to="ops", **{"from": "ops"})]
    assert ask(rows, "o1") == {"inbound": [], "outbound": []}


def test_rows_for_the_same_port_become_one_rule() -> None:
    rows = [
        row(name="queries", to="postgres", port=5432, purpose="Queries", **{"from": "app"}),
        row(name="replication", to="postgres", port=5432, purpose="Replication", **{"from": "postgres"}),
    ]
    (rule,) = ask(rows, "d1")["inbound"]
    assert rule["name"] == "queries"
    assert rule["sources"] == ["10.0.0.9", "10.0.0.10", "10.0.0.32"]
    assert rule["purpose"] == "Queries; Replication"


def test_anybody_swallows_single_sources() -> None:
    rows = [row(to="edge", **{"from": "app"}), row(to="edge", **{"from": "any"})]
    assert ask(rows, "e1")["inbound"][0]["sources"] == "any"


@pytest.mark.parametrize(
    ("network", "sources"),
    [
        ([], "any"),
        ("any", "any"),
        (["any", "10.1.0.0/16"], "any"),
        (["10.9.0.0/16", "10.1.0.0/16"], ["10.1.0.0/16", "10.9.0.0/16"]),
    ],
)
def test_networks_by_name(network: Any, sources: Any) -> None:
    rows = [row(name="https", to="edge", port=443, **{"from": "clients"})]
    assert ask(rows, "e1", {"clients": network})["inbound"][0]["sources"] == sources
    assert ask(rows, "a1", {"clients": network})["outbound"] == []


def test_the_order_does_not_depend_on_the_inventory() -> None:
    rows = [
        row(port=9, **{"from": "app"}),
        row(port=3, protocol="udp", **{"from": "edge"}),
        row(port=5, **{"from": "app"}),
    ]
    mixed = {name: list(reversed(hosts)) for name, hosts in reversed(GROUPS.items())}
    first = flows_for(rows, "d1", GROUPS, ADDRESSES)
    second = flows_for(list(reversed(rows)), "d1", mixed, dict(reversed(ADDRESSES.items())))
    assert first == second
    assert [rule["port"] for rule in first["inbound"]] == [5, 9, 3]


def test_a_protocol_without_ports_has_none() -> None:
    (rule,) = ask([row(protocol="vrrp", to="edge", **{"from": "edge"})], "e1")["inbound"]
    assert "port" not in rule and rule["protocol"] == "vrrp"


def test_groups_that_the_inventory_leaves_out_are_empty() -> None:
    assert ask([row(to="model", **{"from": "app"})], "a1") == {"inbound": [], "outbound": []}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(port=0), "flow x: port is 0; give a number from 1 to 65535"),
        (row(port="ssh"), "flow x: port is 'ssh'"),
        (row(protocol="icmp"), "flow x: protocol is 'icmp'; choose one of tcp, udp, vrrp"),
        (row(to="apps"), "flow x: 'apps' is no group and no network; choose of"),
        (row(purpose=""), "flow x: 'purpose' is missing"),
    ],
)
def test_rows_without_sense_are_refused(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(FlowError, match=message):
        ask([bad], "a1")


def test_a_name_in_place_of_an_address_is_refused() -> None:
    with pytest.raises(FlowError, match="give addresses and networks, not names"):
        flows_for([row(to="edge", **{"from": "app"})], "e1", GROUPS, {**ADDRESSES, "a1": "a1.example.org"})


def shipped_flows() -> list[dict[str, Any]]:
    """The collection's own table, with the SSH port, a template there, filled in."""
    rows: list[dict[str, Any]] = yaml.safe_load((ROOT / "playbooks/group_vars/all/flows.yml").read_text())["site_flows"]
    return [{**item, "port": 22 if isinstance(item.get("port"), str) else item.get("port")} for item in rows]


def test_a_single_host_shows_the_world_ssh_http_and_https_only() -> None:
    groups = {group: ["one"] for group in _capacity.GROUPS}
    rules = flows_for(shipped_flows(), "one", groups, {"one": "10.0.0.1"}, {"clients": [], "admins": []})
    assert [(rule["protocol"], rule["port"], rule["sources"]) for rule in rules["inbound"]] == [
        ("tcp", 22, "any"),
        ("tcp", 80, "any"),
        ("tcp", 443, "any"),
    ]
    assert rules["outbound"] == []


def test_data_hosts_are_closed_to_edges_and_clients() -> None:
    groups = {**GROUPS, "worker": ["a1"], "etcd": ["d1", "d2"], "redis": ["d1", "d2"], "backup": ["o1"], "model": []}
    rules = flows_for(shipped_flows(), "d1", groups, ADDRESSES, {"clients": [], "admins": ["192.0.2.0/24"]})["inbound"]
    open_to = {rule["port"]: rule["sources"] for rule in rules}
    assert open_to[22] == ["192.0.2.0/24"]
    assert not {80, 443, 8000, 8001} & set(open_to)
    assert "10.0.0.11" not in {source for sources in open_to.values() for source in sources}
    assert open_to[2380] == ["10.0.0.32"]
