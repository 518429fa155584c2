"""The planner: rules of thumb, tiers, and what it refuses."""

from __future__ import annotations

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _capacity


@pytest.mark.parametrize(
    ("users", "concurrency", "tier"),
    [
        (1, None, "single"),
        (10, None, "single"),
        (11, None, "small"),
        (50, None, "small"),
        (51, None, "medium"),
        (500, None, "medium"),
        (501, None, "enterprise"),
        (20000, None, "enterprise"),
        (10, 16, "small"),
        (50, 36, "medium"),
        (500, 121, "enterprise"),
    ],
)
def test_the_smallest_tier_that_carries_users_and_conversations_is_chosen(
    users: int, concurrency: int | None, tier: str
) -> None:
    assert _capacity.capacity_plan(users, concurrency)["tier"] == tier


def test_resources_follow_the_rules_of_thumb() -> None:
    plan = _capacity.capacity_plan(300, 40)
    assert plan["cores"] == {"low": 2.0, "high": 4.0}
    assert plan["memory_mb"] == {"low": 4096 + 40 * 100, "high": 8192 + 40 * 200}
    assert plan["disk_gb"] == {"low": 44, "high": 220}
    assert plan["bandwidth_kb_s"] == {"low": 40, "high": 400}


@pytest.mark.parametrize(
    ("tier", "api", "worker"),
    [
        ("small", (2, 1.0, 2048), (3, 0.5, 1024)),
        ("enterprise", (6, 2.0, 4096), (12, 1.0, 2048)),
    ],
)
def test_processes_of_the_tiers_are_those_of_the_design(
    tier: str, api: tuple[int, float, int], worker: tuple[int, float, int]
) -> None:
    services = _capacity.capacity_plan(10, 1, tier=tier)["services"]
    assert services["api"] == dict(zip(("processes", "cores", "memory_mb"), api, strict=True))
    assert services["worker"] == dict(zip(("processes", "cores", "memory_mb"), worker, strict=True))


def test_ten_users_fit_on_the_smallest_host_of_the_single_tier() -> None:
    plan = _capacity.capacity_plan(10)
    assert plan["host_count"] == 1
    assert {key: plan["hosts"][0][key] for key in ("cores", "memory_mb", "disk_gb")} == {
        "cores": 2,
        "memory_mb": 8192,
        "disk_gb": 20,
    }


@pytest.mark.parametrize("tier", _capacity.TIERS)
def test_no_host_of_a_plan_is_smaller_than_the_tier_allows(tier: str) -> None:
    for concurrency in (1, 50, 3000):
        for host in _capacity.capacity_plan(400, concurrency, tier=tier)["hosts"]:
            least = _capacity.TIERS[tier].minimum(host["groups"])
            assert host["cores"] >= least.cores
            assert host["memory_mb"] >= least.memory_mb
            assert host["disk_gb"] >= least.disk_gb


def test_processes_grow_with_conversations_beyond_the_largest_tier() -> None:
    few, many = (_capacity.capacity_plan(2000, busy)["services"]["api"]["processes"] for busy in (100, 960))
    assert many == 4 * few


def test_every_result_is_explained() -> None:
    text = "\n".join(_capacity.capacity_plan(300)["arithmetic"])
    assert "300 users x 10% busy at once (assumed) = 30" in text
    assert "30 / 10 x 0.5..1 = 1.5..3.0" in text
    assert "tier: medium" in text


def test_the_report_names_the_hosts_to_order() -> None:
    report = _capacity.capacity_plan(300, 40)["report"]
    assert report[0] == "medium: 9 hosts for 300 users, 40 conversations at once"
    assert "  3 x 4 cores, 16 GB memory, 150 GB disk: postgres, etcd, redis" in report


def test_a_tier_that_is_too_small_for_the_users_is_named() -> None:
    assert any(
        "300 users are more than the 50" in line for line in _capacity.capacity_plan(300, tier="small")["arithmetic"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x",), "users is 'x'; give a whole number of 1 or more"),
        ((0,), "users is 0; give a whole number of 1 or more"),
        ((10, -1), "concurrency is -1; give a whole number"),
        ((10, None, "huge"), "'huge' is not a tier; choose one of single, small, medium, enterprise, two_site"),
    ],
)
def test_impossible_questions_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(_capacity.CapacityError, match=message):
        _capacity.capacity_plan(*arguments)  # type: ignore[arg-type]


def test_every_tier_demands_the_groups_without_which_nobody_is_served() -> None:
    for tier in _capacity.TIERS.values():
        assert tier.required_groups() == ("edge", "app", "worker", "postgres", "etcd", "redis")
