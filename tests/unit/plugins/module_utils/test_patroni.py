"""The smallest patch, by Patroni's own rule of merging."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _patroni as patroni

CURRENT: dict[str, Any] = {
    "ttl": 20,
    "failsafe_mode": True,
    "postgresql": {"use_slots": True, "parameters": {"jit": "off", "work_mem": "4MB"}},
}


@pytest.mark.parametrize(
    ("wanted", "exact", "patch"),
    [
        ({}, [], {}),
        ({"ttl": 20, "postgresql": {"parameters": {"jit": "off"}}}, [], {}),
        ({"ttl": 30}, [], {"ttl": 30}),
        ({"ttl": None}, [], {"ttl": None}),
        ({"pause": None}, [], {}),
        ({"postgresql": {"parameters": {"jit": "on"}}}, [], {"postgresql": {"parameters": {"jit": "on"}}}),
        (
            {"postgresql": {"parameters": {"jit": "off"}}},
            ["postgresql.parameters"],
            {"postgresql": {"parameters": {"work_mem": None}}},
        ),
        ({"failsafe_mode": 1}, [], {"failsafe_mode": 1}),
        ({"slots": {}}, [], {"slots": {}}),
        ({"postgresql": {"pg_hba": ["local all all peer"]}}, [], {"postgresql": {"pg_hba": ["local all all peer"]}}),
    ],
)
def test_the_patch_holds_only_what_differs(wanted: dict[str, Any], exact: list[str], patch: dict[str, Any]) -> None:
    assert patroni.plan(CURRENT, wanted, exact).patch == patch


def test_after_a_patch_nothing_is_left_to_patch() -> None:
    wanted = {"ttl": 25, "postgresql": {"parameters": {"max_connections": 50}}}
    plan = patroni.plan(CURRENT, wanted, ["postgresql.parameters"])
    assert plan.after["postgresql"]["parameters"] == {"max_connections": 50}
    assert plan.after["failsafe_mode"] is True
    assert not patroni.plan(plan.after, wanted, ["postgresql.parameters"]).changed


def test_a_running_member_without_a_leader_is_not_settled() -> None:
    own = {"state": "running", "role": "replica", "patroni": {"name": "b"}}
    cluster: dict[str, Any] = {"members": [{"name": "b", "role": "replica"}]}
    assert not patroni.member(own, cluster).settled
    cluster["members"].append({"name": "a", "role": "leader"})
    seen = patroni.member(own, cluster)
    assert seen.settled and seen.leader == "a" and not seen.is_leader


def test_a_wait_that_fails_says_what_it_saw() -> None:
    class Starting:
        def member(self) -> patroni.Member:
            return patroni.Member("a", "replica", "creating replica", None, False, None)

    rest: Any = Starting()
    with pytest.raises(patroni.PatroniError, match=r"state creating replica, leader none.*journalctl -u patroni"):
        patroni.wait(rest, lambda m: m.settled, 0, sleep=lambda _seconds: None)


def test_the_synchronous_standby_is_the_first_candidate_then_who_lags_least() -> None:
    members: list[dict[str, Any]] = [
        {"name": "a", "role": "leader", "state": "running"},
        {"name": "b", "role": "replica", "state": "streaming", "lag": 5},
        {"name": "c", "role": "replica", "state": "streaming", "lag": 0},
        {"name": "d", "role": "replica", "state": "starting", "lag": "unknown"},
    ]
    assert patroni.candidate(members) == "c"
    assert patroni.candidate(members, "b") == "b"
    members[1]["role"] = "sync_standby"
    assert patroni.candidate(members) == "b"
    with pytest.raises(patroni.PatroniError, match="no replica d can take the lead"):
        patroni.candidate(members, "d")
    with pytest.raises(patroni.PatroniError, match="a is leader, running"):
        patroni.candidate(members[:1])
