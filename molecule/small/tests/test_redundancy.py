"""Three nodes are one site: one leader of each kind, one holder of the address, and no node is needed for ever."""

from __future__ import annotations

import re
from typing import Any

ROWS = re.compile(r"(node\d)\s+(edge|app|postgres|etcd|redis)\s+(\w+)")
PATRONI_PID = "systemctl show --value --property=MainPID patroni"


def test_status_shows_one_leader_of_each_kind_and_everybody_in_place(site: Any) -> None:
    done = site.playbook("status")
    assert done.returncode == 0, done.stdout[-3000:]
    found: dict[str, list[str]] = {}
    for _unused, service, place in ROWS.findall(done.stdout):
        found.setdefault(service, []).append(place)
    assert {service: sorted(places) for service, places in found.items()} == {
        "edge": ["member", "member", "primary"],
        "app": ["member"] * 3,
        "postgres": ["primary", "replica", "replica"],
        "etcd": ["member"] * 3,
        "redis": ["primary", "replica", "replica"],
    }


def test_after_a_switchover_others_lead_and_the_next_run_changes_nothing(site: Any) -> None:
    former = site.leader()
    done = site.playbook("switchover")
    assert done.returncode == 0, done.stdout[-3000:]
    assert site.leader() != former
    assert site.healthy(60)
    again = site.playbook("site")
    assert again.returncode == 0, again.stdout[-3000:]
    assert "  changed: " not in again.stdout


def test_the_address_leaves_an_edge_that_does_not_serve_and_stays_where_it_went(site: Any) -> None:
    (former,) = site.holders()
    site.on(former, "systemctl stop nginx")
    try:
        assert site.wait(lambda: [former] != site.holders() and len(site.holders()) == 1, 15)
        moved = site.holders()
    finally:
        site.on(former, "systemctl start nginx")
    assert site.wait(lambda: "fit" in site.on(former, "/etc/keepalived/edge-check && echo fit || echo not"), 15)
    assert site.holders() == moved


def test_a_node_of_three_can_not_be_removed(site: Any) -> None:
    done = site.playbook("remove_host", "-e", "remove_host=node3", "-e", "remove_host_confirm=node3")
    assert done.returncode != 0
    assert "two Sentinels have no majority" in " ".join(done.stdout.split())
    assert site.healthy()


def test_a_member_that_fails_stops_the_run_and_leaves_the_others_alone(site: Any) -> None:
    follower = next(name for name, state in site.database().items() if not state.startswith("Leader"))
    others = [node for node in site.nodes if node != follower]
    before = [site.on(node, f"{PATRONI_PID}; cat /etc/patroni/config.yml") for node in others]
    broken = "/run/systemd/system/patroni.service.d/zz-broken.conf"
    site.on(
        follower, f"mkdir -p $(dirname {broken}); printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > {broken}"
    )
    site.on(follower, "systemctl daemon-reload && systemctl stop patroni")
    try:
        done = site.playbook("data", "--tags", "postgres", "-e", '{"postgres_settings": {"work_mem": "5MB"}}')
    finally:
        site.on(follower, f"rm {broken} && systemctl daemon-reload && systemctl restart patroni")
    assert done.returncode != 0
    assert [site.on(node, f"{PATRONI_PID}; cat /etc/patroni/config.yml") for node in others] == before
    assert site.healthy(120)
