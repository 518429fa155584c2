# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Budgets: shares one host's memory and processors among the services on it, so that no megabyte is promised twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._capacity import (
    GROUPS,
    CapacityError,
    Tier,
    tier_named,
)

# Which services a group brings; node_exporter is everywhere.
SERVICES: Mapping[str, tuple[str, ...]] = {
    "edge": ("nginx",),
    "app": ("app",),
    "worker": ("worker",),
    "model": ("model",),
    "postgres": ("postgres",),
    "etcd": ("etcd",),
    "redis": ("redis",),
    "ops": ("monitoring", "logs"),
    "backup": ("backup",),
}

# Least memory of a prefork service and of each of its processes, from measurements of the idle application.
_PREFORK_BASE_MB = 130
_PREFORK_PROCESS_MB = 40
# Connections of a database that its administrators, replicas and monitoring keep for themselves.
_RESERVED_CONNECTIONS = 20
_MEMORY_MB_PER_PROCESS = 512


@dataclass(frozen=True)
class _Claim:
    """What a service asks of the host: a floor, a weight for the rest, and a cap beyond which more is wasted."""

    floor_mb: int
    weight: int
    cap_mb: int | None


def _number(facts: Mapping[str, Any], names: Sequence[str], what: str) -> int:
    for name in names:
        if name in facts:
            try:
                return max(1, int(facts[name]))
            except (TypeError, ValueError):
                raise CapacityError(f"{name} is {facts[name]!r}; give a whole number") from None
    raise CapacityError(f"the host's {what} is not known: none of {', '.join(names)} is given; gather facts first")


def _members(tier: Tier, members: Mapping[str, int] | None, group: str) -> int:
    return max(1, int((members or {}).get(group) or tier.hosts_in(group) or 1))


def _processes(tier: Tier, group: str, hosts: int, cores: int, memory_mb: int) -> int:
    """Processes of a prefork service: the tier's share of this host at least, more on a larger machine."""
    if group == "app":
        wanted = max(2, math.ceil(tier.api.processes * tier.api.cores / hosts), cores // 2)
    else:
        wanted = max(1, math.ceil(tier.worker.processes / hosts), cores // 4)
    return max(1, min(wanted, cores * 2, memory_mb // _MEMORY_MB_PER_PROCESS))


def _claims(tier: Tier, services: Sequence[str], processes: Mapping[str, int]) -> dict[str, _Claim]:
    api_mb = int(tier.api.memory_mb / tier.api.cores)
    claims = {
        "postgres": _Claim(256, 30, None),
        "redis": _Claim(64, 10, tier.redis_memory_mb * 2),
        "etcd": _Claim(96, 4, 2048),
        "model": _Claim(384, 30, None),
        "nginx": _Claim(48, 3, 1024),
        "node_exporter": _Claim(32, 0, 32),
        "monitoring": _Claim(256, 15, 8192),
        "logs": _Claim(64, 4, 1024),
        "backup": _Claim(128, 6, 4096),
    }
    for name, per_process, weight in (("app", api_mb, 25), ("worker", tier.worker.memory_mb, 12)):
        count = processes.get(name, 0)
        claims[name] = _Claim(_PREFORK_BASE_MB + _PREFORK_PROCESS_MB * count, weight, max(512, per_process * count))
    return {name: claims[name] for name in services}


def _share(pool_mb: int, claims: Mapping[str, _Claim]) -> dict[str, int]:
    """Share memory: floors first, then by weight up to the caps. The sum never exceeds ``pool_mb``."""
    floors = sum(claim.floor_mb for claim in claims.values())
    if floors > pool_mb:
        return {name: claim.floor_mb * pool_mb // floors for name, claim in claims.items()}
    shares = {name: claim.floor_mb for name, claim in claims.items()}
    left = pool_mb - floors
    open_names = {name for name, claim in claims.items() if claim.weight}
    while left > 0 and open_names:
        weights = sum(claims[name].weight for name in open_names)
        given = 0
        for name in sorted(open_names):
            claim = claims[name]
            more = left * claim.weight // weights
            if claim.cap_mb is not None:
                more = min(more, max(0, claim.cap_mb - shares[name]))
                if shares[name] + more >= claim.cap_mb:
                    open_names.discard(name)
            shares[name] += more
            given += more
        if not given:
            break
        left -= given
    return shares


def _postgres(tier: Tier, memory_mb: int) -> dict[str, int]:
    shared = max(16, memory_mb * 3 // 10)
    maintenance = max(8, min(1024, memory_mb // 16))
    connections = max(20, min(tier.max_connections, (memory_mb - shared - maintenance) // 2))
    # Half of the connections at work at once, the rest idle at some two megabytes each.
    work = max(1, min(64, (memory_mb - shared - maintenance - connections) // connections))
    return {
        "shared_buffers_mb": shared,
        "effective_cache_size_mb": shared + max(0, memory_mb - shared - maintenance) // 2,
        "work_mem_mb": work,
        "maintenance_work_mem_mb": maintenance,
        "max_connections": connections,
    }


def _pool(tier: Tier, group: str, hosts: int, processes: int, limit: int) -> dict[str, int]:
    """Pool of one process, so that all processes of the group together stay within their part of the connections."""
    # Three quarters for the API, a quarter for the workers; two generations overlap while one hands over.
    part = (limit - _RESERVED_CONNECTIONS) * (3 if group == "app" else 1) // 4
    most = max(1, min(20, part // (hosts * processes * (2 if group == "app" else 1))))
    return {"pool_min": 1, "pool_max": most}


def host_budget(
    facts: Mapping[str, Any],
    groups: Sequence[str],
    tier: str,
    members: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Budget of one host.

    :param facts: ``cores`` and ``memory_mb``, or Ansible's facts.
    :param groups: the host's groups; those of the site's own are left aside.
    :param tier: name of the site's tier.
    :param members: how many hosts each group has; the tier's own numbers where it is left out.
    :return: ``total``, ``reserve_mb`` for the system, ``services``, ``unallocated_mb``, ``sufficient``, ``notes``.
    :raises CapacityError: for an unknown tier or a host whose size is not known.
    """
    chosen = tier_named(tier)
    cores = _number(facts, ("processor_nproc", "processor_vcpus", "cores"), "number of cores")
    memory = _number(facts, ("memtotal_mb", "memory_mb"), "memory")
    mine = [group for group in GROUPS if group in groups]
    names = [service for group in mine for service in SERVICES[group]] + ["node_exporter"]
    processes: dict[str, int] = {
        group: _processes(chosen, group, _members(chosen, members, group), cores, memory)
        for group in ("app", "worker")
        if group in mine
    }
    claims = _claims(chosen, names, processes)
    reserve = max(min(192, memory // 4), min(memory // 10, 4096))
    shares = _share(memory - reserve, claims)
    missing = sum(claim.floor_mb for claim in claims.values()) - (memory - reserve)

    services: dict[str, dict[str, int]] = {name: {"memory_mb": share} for name, share in shares.items()}
    limit = chosen.max_connections
    if "postgres" in services:
        settings = _postgres(chosen, shares["postgres"])
        services["postgres"].update(settings)
        limit = min(limit, settings["max_connections"])
    if "redis" in services:
        # The rest is for buffers and for the copies that a fork makes while it saves.
        services["redis"]["maxmemory_mb"] = max(8, shares["redis"] * 6 // 10)
    for group, count in processes.items():
        hosts = _members(chosen, members, group)
        services[group].update(processes=count, **_pool(chosen, group, hosts, count, limit))
    if "worker" in services:
        services["worker"]["concurrency"] = 4
    if "model" in services:
        services["model"]["threads"] = cores if mine == ["model"] else max(1, cores // 2)
    if "nginx" in services:
        services["nginx"].update(worker_processes=min(cores, 8), worker_connections=4096 if memory > 2048 else 1024)
    for name, service in services.items():
        service["cpu_quota_percent"] = _quota(chosen, name, cores, service)
    notes = []
    if missing > 0:
        notes.append(
            f"{memory} MB are {missing} MB too few for {', '.join(names)}: their memory was cut in proportion; "
            "give the host more memory or take groups from it"
        )
    return {
        "tier": chosen.name,
        "total": {"cores": cores, "memory_mb": memory},
        "reserve_mb": reserve,
        "services": services,
        "unallocated_mb": memory - reserve - sum(shares.values()),
        "sufficient": missing <= 0,
        "notes": notes,
    }


def _quota(tier: Tier, name: str, cores: int, service: Mapping[str, int]) -> int:
    """``CPUQuota`` in percent of one core: a ceiling for what may run wild, all cores for what everything waits for."""
    whole = cores * 100
    if name in ("app", "worker"):
        # Not below one core, else a start, which is mostly imports, takes many times longer.
        per_process = tier.worker.cores if name == "worker" else 1.0
        return min(whole, max(100, math.ceil(service["processes"] * per_process * 100)))
    if name == "model":
        return min(whole, service["threads"] * 100)
    if name in ("node_exporter", "logs"):
        return min(whole, 50)
    return whole
