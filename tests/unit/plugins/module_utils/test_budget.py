"""Budgets: no megabyte is promised twice, on any hardware."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _capacity
from ansible_collections.aigo.onprem.plugins.module_utils._budget import host_budget

CORES = (1, 2, 3, 8, 96)
MEMORY = (512, 1024, 2048, 8192, 16384, 24105, 1048576)


def layouts(tier: str) -> list[tuple[str, ...]]:
    """Every kind of host of the tier, and one with all groups."""
    return [kind.groups for kind in _capacity.TIERS[tier].hosts] + [_capacity.GROUPS, ()]


HARDWARE = [
    (tier, groups, cores, memory)
    for tier in _capacity.TIERS
    for groups, cores, memory in itertools.product(layouts(tier), CORES, MEMORY)
]


def test_memory_is_never_promised_twice() -> None:
    for tier, groups, cores, memory in HARDWARE:
        budget = host_budget({"cores": cores, "memory_mb": memory}, groups, tier)
        promised = budget["reserve_mb"] + sum(service["memory_mb"] for service in budget["services"].values())
        assert promised + budget["unallocated_mb"] == memory, (tier, groups, cores, memory)
        assert budget["unallocated_mb"] >= 0, (tier, groups, cores, memory)


def test_every_service_gets_something_usable_on_any_hardware() -> None:
    for tier, groups, cores, memory in HARDWARE:
        for name, service in host_budget({"cores": cores, "memory_mb": memory}, groups, tier)["services"].items():
            case = (tier, groups, cores, memory, name)
            assert service["memory_mb"] >= 5, case
            assert 1 <= service["cpu_quota_percent"] <= cores * 100, case
            assert all(value >= 1 for value in service.values()), case


def test_settings_stay_within_the_memory_of_their_service() -> None:
    for tier, groups, cores, memory in HARDWARE:
        budget = host_budget({"cores": cores, "memory_mb": memory}, groups, tier)
        if not budget["sufficient"]:
            continue
        postgres, redis = budget["services"].get("postgres"), budget["services"].get("redis")
        if postgres:
            used = postgres["shared_buffers_mb"] + postgres["maintenance_work_mem_mb"]
            used += postgres["max_connections"] * postgres["work_mem_mb"]
            assert used <= postgres["memory_mb"], (tier, groups, cores, memory)
            assert postgres["effective_cache_size_mb"] <= postgres["memory_mb"]
        if redis:
            assert redis["maxmemory_mb"] < redis["memory_mb"]


def test_pools_of_all_hosts_fit_into_the_connections_of_the_database() -> None:
    for tier in _capacity.TIERS.values():
        for cores in CORES:
            connections = 0
            for kind in tier.hosts:
                services = host_budget({"cores": cores, "memory_mb": 32768}, kind.groups, tier.name)["services"]
                for name, generations in (("app", 2), ("worker", 1)):
                    service = services.get(name, {"processes": 0, "pool_max": 0})
                    connections += kind.count * generations * service["processes"] * service["pool_max"]
            if cores < 96:
                assert connections <= tier.max_connections - 20, (tier.name, cores)


def test_the_lab_host_is_enough_for_the_single_tier() -> None:
    budget = host_budget({"cores": 2, "memory_mb": 2048}, _capacity.GROUPS, "single")
    assert budget["sufficient"], budget["notes"]
    assert budget["services"]["app"]["processes"] == 2
    assert budget["services"]["worker"]["processes"] == 1


def test_a_host_without_memory_for_its_services_says_so() -> None:
    budget = host_budget({"cores": 1, "memory_mb": 1024}, _capacity.GROUPS, "single")
    assert not budget["sufficient"]
    assert "1024 MB are" in budget["notes"][0] and "take groups from it" in budget["notes"][0]


def test_facts_of_ansible_are_understood() -> None:
    facts = {"processor_nproc": 4, "processor_vcpus": 8, "memtotal_mb": 16000}
    assert host_budget(facts, ["redis"], "small")["total"] == {"cores": 4, "memory_mb": 16000}


def test_more_hosts_than_the_tier_expects_share_the_same_connections() -> None:
    facts = {"cores": 4, "memory_mb": 16384}
    few = host_budget(facts, ["app"], "medium", {"app": 3})["services"]["app"]["pool_max"]
    many = host_budget(facts, ["app"], "medium", {"app": 12})["services"]["app"]["pool_max"]
    assert many * 3 <= few


@pytest.mark.parametrize(
    ("facts", "tier", "message"),
    [
        ({"memory_mb": 1024}, "single", "number of cores is not known"),
        ({"cores": 1}, "single", "memory is not known"),
        ({"cores": "many", "memory_mb": 1}, "single", "cores is 'many'"),
        ({"cores": 1, "memory_mb": 1}, "tiny", "'tiny' is not a tier"),
    ],
)
def test_unknown_hardware_and_tiers_are_refused(facts: dict[str, object], tier: str, message: str) -> None:
    with pytest.raises(_capacity.CapacityError, match=message):
        host_budget(facts, ["app"], tier)
