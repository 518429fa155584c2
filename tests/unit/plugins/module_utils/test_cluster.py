"""In which order members are changed, who may leave, and what the table shows."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.filter import cluster as filters
from ansible_collections.aigo.onprem.plugins.module_utils import _cluster as cluster

NODES = ["node1", "node2", "node3"]
ALL = dict.fromkeys(("etcd", "postgres", "redis", "edge", "app", "worker"), NODES)


def seen(kind: str, *places: str) -> dict[str, Any]:
    return {host: {kind: {"place": place}} for host, place in zip(NODES, places, strict=False)}


def site(place: str = "member") -> dict[str, Any]:
    return {host: {kind: {"place": place} for kind in ALL} for host in NODES}


@pytest.mark.parametrize(
    ("kind", "places", "wanted"),
    [
        ("postgres", ("primary", "replica", "replica"), ["node2", "node3", "node1"]),
        ("postgres", ("primary", "none", "none"), ["node1", "node2", "node3"]),
        ("postgres", ("replica", "down", "primary"), ["node2", "node1", "node3"]),
        ("redis", ("primary", "none", "none"), ["node2", "node3", "node1"]),
        ("redis", ("primary", "replica", "down"), ["node3", "node2", "node1"]),
        ("etcd", ("none", "member", "down"), ["node3", "node2", "node1"]),
        ("etcd", ("none", "none", "none"), NODES),
    ],
)
def test_the_broken_are_mended_first_and_the_primary_is_touched_last(
    kind: str, places: tuple[str, ...], wanted: list[str]
) -> None:
    assert cluster.order(NODES, seen(kind, *places), kind) == wanted


def test_who_serves_is_named_primary_first() -> None:
    assert cluster.running(NODES, seen("redis", "replica", "down", "primary"), "redis") == ["node3", "node1"]


def test_a_host_that_was_not_asked_serves_nothing() -> None:
    assert cluster.running(NODES, {}, "etcd") == []


def test_a_group_is_fresh_only_when_all_were_seen_and_none_has_the_service() -> None:
    assert cluster.fresh(NODES, seen("app", "none", "none", "none"), "app")
    assert not cluster.fresh(NODES, seen("app", "none", "none"), "app")
    assert not cluster.fresh(NODES, seen("app", "none", "down", "none"), "app")


def test_a_node_of_three_may_not_leave_without_a_replacement() -> None:
    reasons = cluster.check_removal("node3", ALL, site())
    assert [reason.split(":")[0] for reason in reasons] == ["etcd", "redis"]
    assert "node1, node2" in reasons[0] and "replacement" in reasons[0]


def test_a_node_that_was_replaced_in_the_inventory_may_leave() -> None:
    groups = {kind: ["node1", "node2", "node4"] for kind in ALL}
    assert cluster.check_removal("node3", groups, site()) == []


def test_nobody_may_leave_while_the_others_are_too_few() -> None:
    groups = {kind: ["node1", "node2", "node4"] for kind in ALL}
    state = site()
    state["node1"]["etcd"]["place"] = "down"
    assert cluster.check_removal("node3", groups, state) == [
        "etcd: only 1 of node1, node2, node4 serve, and 2 must; mend them first"
    ]


def test_the_last_one_may_not_leave() -> None:
    reasons = cluster.check_removal("node1", {"app": ["node1"]}, {"node1": {"app": {"place": "member"}}})
    assert reasons == ["app: node1 is the last one; put another host into the group app first"]


def test_a_host_without_a_service_of_a_group_is_not_asked_about_it() -> None:
    assert cluster.check_removal("ops1", ALL, {"ops1": {kind: {"place": "none"} for kind in ALL}}) == []


def test_the_table_names_hosts_that_do_not_answer_and_leaves_out_what_is_not_there() -> None:
    state = {"node1": {"postgres": {"place": "primary", "version": "17.6"}, "redis": {"place": "none"}}}
    lines = cluster.table(["node1", "node2"], state)
    assert lines[0].split() == ["host", "service", "place", "follows", "lag", "version", "note"]
    assert lines[1].split() == ["node1", "postgres", "primary", "17.6"]
    assert "does not answer" in lines[2]
    assert len(lines) == 3


def test_the_filters_read_what_was_registered() -> None:
    services = site("replica")
    services["node1"]["postgres"]["place"] = "primary"
    hostvars: dict[str, Any] = {host: {filters.FACT: {"services": services[host]}} for host in NODES}
    hostvars["node2"] = {filters.FACT: {"unreachable": True}}
    assert filters.cluster_order(NODES, hostvars, "postgres") == ["node3", "node1", "node2"]
    assert filters.cluster_running(NODES, hostvars, "postgres") == ["node1", "node3"]
    assert len(filters.cluster_removal("node1", hostvars, ALL | {"all": NODES})) == 2
    assert any("node2" in line and "does not answer" in line for line in filters.cluster_table(NODES, hostvars))
