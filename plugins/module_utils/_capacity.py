# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capacity: from users and concurrency to a tier, its hosts and their sizes.

Pure arithmetic on rules of thumb. They are first estimates for a new site; its metrics replace them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Rules of thumb: what one unit of load asks for, as (least, most).
CORES_PER_10_CONVERSATIONS = (0.5, 1.0)
CONVERSATION_MEMORY_MB = (100, 200)
BASE_MEMORY_MB = (4096, 8192)
CONVERSATION_DISK_MB = (1, 5)
INDEX_FACTOR = 3
USER_BANDWIDTH_KB_S = (1, 10)

# Assumptions where a site does not know its own figures yet.
CONCURRENT_SHARE = 0.1
CONVERSATIONS_PER_USER = 50
SYSTEM_DISK_GB = 10

_CORE_STEPS = (2, 4, 8, 16, 32, 64, 96, 128)
_MEMORY_STEPS_GB = (4, 8, 16, 32, 64, 128, 256, 512)

GROUPS = ("edge", "app", "worker", "model", "postgres", "etcd", "redis", "ops", "backup")
"""Groups of hosts that the collection knows."""

OPTIONAL_GROUPS = frozenset({"model", "ops", "backup"})
"""Groups without which a site works: its model, metrics and backups may live elsewhere."""

# Groups whose hosts carry the load; the others need little even in the largest tier.
_HEAVY = frozenset({"app", "worker", "model", "postgres"})


class CapacityError(ValueError):
    """A question to the planner that has no answer; the message names the value and the mend."""


@dataclass(frozen=True)
class Pool:
    """Processes of one kind: how many of them, and the cores and memory that each may use."""

    processes: int
    cores: float
    memory_mb: int


@dataclass(frozen=True)
class HostKind:
    """``count`` equal hosts that are members of the same groups."""

    count: int
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Size:
    """The size of one host."""

    cores: int
    memory_mb: int
    disk_gb: int


@dataclass(frozen=True)
class Tier:
    """What one tier is made for and made of."""

    name: str
    max_users: int | None
    heavy: Size
    light: Size
    hosts: tuple[HostKind, ...]
    api: Pool
    worker: Pool
    max_connections: int
    redis_memory_mb: int

    def required_groups(self) -> tuple[str, ...]:
        """Groups that an inventory of this tier has to fill, in the collection's order."""
        return tuple(group for group in GROUPS if group not in OPTIONAL_GROUPS and self.hosts_in(group))

    def hosts_in(self, group: str) -> int:
        """How many hosts of the example inventory are in ``group``."""
        return sum(kind.count for kind in self.hosts if group in kind.groups)

    def minimum(self, groups: tuple[str, ...] | list[str]) -> Size:
        """The least size of a host with these groups: light hosts carry no application and no database."""
        return self.heavy if _HEAVY.intersection(groups) else self.light

    def conversations(self) -> int:
        """Concurrent conversations that the tier's processes carry at the cautious end of the rule."""
        cores = self.api.processes * self.api.cores + self.worker.processes * self.worker.cores
        return math.floor(cores / CORES_PER_10_CONVERSATIONS[1] * 10)


_DATA = ("postgres", "etcd", "redis")
_MEDIUM_HOSTS = (
    HostKind(2, ("edge",)),
    HostKind(3, ("app", "worker")),
    HostKind(3, _DATA),
    HostKind(1, ("ops", "backup")),
)
_MEDIUM_API = Pool(4, 1.5, 3072)
_MEDIUM_WORKER = Pool(8, 0.75, 1536)

TIERS: Mapping[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier(
            name="single",
            max_users=10,
            heavy=Size(2, 8192, 20),
            light=Size(2, 8192, 20),
            hosts=(HostKind(1, ("edge", "app", "worker", *_DATA, "ops", "backup")),),
            api=Pool(1, 1.0, 2048),
            worker=Pool(1, 0.5, 1024),
            max_connections=80,
            redis_memory_mb=512,
        ),
        Tier(
            name="small",
            max_users=50,
            heavy=Size(4, 16384, 50),
            light=Size(2, 4096, 50),
            hosts=(HostKind(3, ("edge", "app", "worker", *_DATA)), HostKind(1, ("ops", "backup"))),
            api=Pool(2, 1.0, 2048),
            worker=Pool(3, 0.5, 1024),
            max_connections=150,
            redis_memory_mb=1024,
        ),
        Tier(
            name="medium",
            max_users=500,
            heavy=Size(4, 16384, 50),
            light=Size(2, 4096, 20),
            hosts=_MEDIUM_HOSTS,
            api=_MEDIUM_API,
            worker=_MEDIUM_WORKER,
            max_connections=300,
            redis_memory_mb=2048,
        ),
        Tier(
            name="enterprise",
            max_users=None,
            heavy=Size(8, 32768, 100),
            light=Size(2, 4096, 50),
            hosts=(
                HostKind(2, ("edge",)),
                HostKind(6, ("app",)),
                HostKind(4, ("worker",)),
                HostKind(3, ("postgres",)),
                HostKind(3, ("etcd", "redis")),
                HostKind(2, ("ops", "backup")),
            ),
            api=Pool(6, 2.0, 4096),
            worker=Pool(12, 1.0, 2048),
            max_connections=500,
            redis_memory_mb=4096,
        ),
        Tier(
            name="two_site",
            max_users=500,
            heavy=Size(4, 16384, 50),
            light=Size(2, 4096, 20),
            hosts=tuple(HostKind(kind.count * 2, kind.groups) for kind in _MEDIUM_HOSTS),
            api=_MEDIUM_API,
            worker=_MEDIUM_WORKER,
            max_connections=300,
            redis_memory_mb=2048,
        ),
    )
}


def tier_named(name: Any) -> Tier:
    """Look a tier up by its name.

    :raises CapacityError: for anything that is not the name of a tier.
    """
    tier = TIERS.get(name) if isinstance(name, str) else None
    if tier is None:
        raise CapacityError(f"{name!r} is not a tier; choose one of {', '.join(TIERS)}")
    return tier


def choose_tier(users: int, concurrency: int) -> Tier:
    """The smallest tier for so many users and concurrent conversations; ``two_site`` is only ever asked for."""
    for tier in TIERS.values():
        if tier.max_users is None:
            return tier
        if users <= tier.max_users and concurrency <= tier.conversations():
            return tier
    raise CapacityError("no tier is open-ended")


def _whole(name: str, value: Any, least: int) -> int:
    try:
        number = int(str(value).strip())
    except ValueError:
        raise CapacityError(f"{name} is {value!r}; give a whole number of {least} or more") from None
    if number < least:
        raise CapacityError(f"{name} is {value!r}; give a whole number of {least} or more")
    return number


def _step(value: float, steps: tuple[int, ...]) -> int:
    return next((step for step in steps if step >= value), math.ceil(value))


@dataclass(frozen=True)
class _Load:
    """The load in figures, each rule's (least, most)."""

    users: int
    concurrency: int
    retained: int

    @property
    def cores(self) -> tuple[float, float]:
        low, high = CORES_PER_10_CONVERSATIONS
        return self.concurrency / 10 * low, self.concurrency / 10 * high

    @property
    def memory_mb(self) -> tuple[int, int]:
        (base_low, base_high), (low, high) = BASE_MEMORY_MB, CONVERSATION_MEMORY_MB
        return base_low + self.concurrency * low, base_high + self.concurrency * high

    @property
    def disk_gb(self) -> tuple[int, int]:
        low, high = CONVERSATION_DISK_MB
        threads = self.users * self.retained * INDEX_FACTOR
        return math.ceil(threads * low / 1024), math.ceil(threads * high / 1024)

    @property
    def bandwidth_kb_s(self) -> tuple[int, int]:
        low, high = USER_BANDWIDTH_KB_S
        return self.concurrency * low, self.concurrency * high


def _scaled(pool: Pool, factor: float) -> Pool:
    return Pool(max(pool.processes, math.ceil(pool.processes * factor)), pool.cores, pool.memory_mb)


def _size(tier: Tier, kind: HostKind, load: _Load, api: Pool, worker: Pool) -> Size:
    """Size of one host of a kind: what its share of the load needs, never less than the tier's minimum."""
    least = tier.minimum(kind.groups)
    cores, memory, disk = 0.0, 0, SYSTEM_DISK_GB
    data_gb = math.ceil(sum(load.disk_gb) / 2)
    for group, pool in (("app", api), ("worker", worker)):
        if group in kind.groups:
            share = pool.processes / tier.hosts_in(group)
            cores += share * pool.cores
            memory += math.ceil(share * pool.memory_mb)
    if "app" in kind.groups:
        # The rule by processes and the rule by conversations speak of the same memory: the larger one counts.
        memory = max(memory, math.ceil(sum(load.memory_mb) / 2 / tier.hosts_in("app")))
    if "postgres" in kind.groups:
        disk += data_gb
    if "backup" in kind.groups:
        # Compressed copies of several weeks come to about the size of the data.
        disk += data_gb
    return Size(
        cores=max(least.cores, _step(cores, _CORE_STEPS)),
        memory_mb=max(least.memory_mb, _step((memory + 1024) / 1024, _MEMORY_STEPS_GB) * 1024),
        disk_gb=max(least.disk_gb, math.ceil(disk / 10) * 10),
    )


def capacity_plan(
    users: Any,
    concurrency: Any = None,
    tier: str | None = None,
    conversations_per_user: Any = CONVERSATIONS_PER_USER,
) -> dict[str, Any]:
    """Plan a site.

    :param users: people who may use the site.
    :param concurrency: conversations in progress at the busiest time; a tenth of the users when it is not known.
    :param tier: plan for this tier instead of the smallest that fits.
    :param conversations_per_user: conversations kept for each user, for the disk.
    :return: tier, hosts, services, resources and the arithmetic in words.
    :raises CapacityError: for numbers that are none, or an unknown tier.
    """
    count = _whole("users", users, 1)
    assumed = concurrency in (None, "")
    busy = max(1, math.ceil(count * CONCURRENT_SHARE)) if assumed else _whole("concurrency", concurrency, 1)
    retained = _whole("conversations_per_user", conversations_per_user, 1)
    chosen = tier_named(tier) if tier else choose_tier(count, busy)
    load = _Load(count, busy, retained)

    factor = max(1.0, busy / chosen.conversations())
    api, worker = _scaled(chosen.api, factor), _scaled(chosen.worker, factor)
    sized = [(kind, _size(chosen, kind, load, api, worker)) for kind in chosen.hosts]
    arithmetic = _arithmetic(chosen, load, api, worker, assumed, bool(tier))
    return {
        "tier": chosen.name,
        "users": count,
        "concurrency": busy,
        "host_count": sum(kind.count for kind in chosen.hosts),
        "hosts": [
            {
                "count": kind.count,
                "groups": list(kind.groups),
                "cores": size.cores,
                "memory_mb": size.memory_mb,
                "disk_gb": size.disk_gb,
            }
            for kind, size in sized
        ],
        "services": {
            "api": {"processes": api.processes, "cores": api.cores, "memory_mb": api.memory_mb},
            "worker": {"processes": worker.processes, "cores": worker.cores, "memory_mb": worker.memory_mb},
            **{group: {"members": chosen.hosts_in(group)} for group in ("edge", "postgres", "etcd", "redis")},
        },
        "cores": {"low": load.cores[0], "high": load.cores[1]},
        "memory_mb": {"low": load.memory_mb[0], "high": load.memory_mb[1]},
        "disk_gb": {"low": load.disk_gb[0], "high": load.disk_gb[1]},
        "bandwidth_kb_s": {"low": load.bandwidth_kb_s[0], "high": load.bandwidth_kb_s[1]},
        "arithmetic": arithmetic,
        "report": [*_hosts_in_words(chosen, load, sized), "", *arithmetic],
    }


def _hosts_in_words(tier: Tier, load: _Load, sized: list[tuple[HostKind, Size]]) -> list[str]:
    count = sum(kind.count for kind in tier.hosts)
    heading = f"{tier.name}: {count} host{'s' if count > 1 else ''} for {load.users} users"
    lines = [f"{heading}, {load.concurrency} conversations at once"]
    for kind, size in sized:
        memory = f"{size.memory_mb // 1024} GB memory"
        lines.append(f"  {kind.count} x {size.cores} cores, {memory}, {size.disk_gb} GB disk: {', '.join(kind.groups)}")
    return lines


def _arithmetic(tier: Tier, load: _Load, api: Pool, worker: Pool, assumed: bool, asked: bool) -> list[str]:
    users, busy = load.users, load.concurrency
    low, high = CORES_PER_10_CONVERSATIONS
    lines = []
    if assumed:
        lines.append(f"concurrency: {users} users x {CONCURRENT_SHARE:.0%} busy at once (assumed) = {busy}")
    bound = f"up to {tier.max_users} users" if tier.max_users else "any number of users"
    why = "asked for" if asked else "the smallest that fits"
    lines.append(f"tier: {tier.name} ({why}): {bound}, {tier.conversations()} conversations before it scales out")
    if tier.max_users is not None and users > tier.max_users:
        lines.append(f"beware: {users} users are more than the {tier.max_users} that the tier {tier.name} is made for")
    lines += [
        f"cores for conversations: {busy} / 10 x {low:g}..{high:g} = {load.cores[0]:.1f}..{load.cores[1]:.1f}",
        f"memory: {BASE_MEMORY_MB[0]}..{BASE_MEMORY_MB[1]} MB + {busy} x {CONVERSATION_MEMORY_MB[0]}.."
        f"{CONVERSATION_MEMORY_MB[1]} MB = {load.memory_mb[0]}..{load.memory_mb[1]} MB",
        f"disk: {users} users x {load.retained} conversations x "
        f"{CONVERSATION_DISK_MB[0]}..{CONVERSATION_DISK_MB[1]} MB x {INDEX_FACTOR} for indexes "
        f"= {load.disk_gb[0]}..{load.disk_gb[1]} GB",
        f"bandwidth: {busy} active x {USER_BANDWIDTH_KB_S[0]}..{USER_BANDWIDTH_KB_S[1]} KB/s = "
        f"{load.bandwidth_kb_s[0]}..{load.bandwidth_kb_s[1]} KB/s, and bursts for files",
        f"API: {api.processes} x ({api.cores:g} cores, {api.memory_mb} MB) = {api.processes * api.cores:g} cores, "
        f"{api.processes * api.memory_mb} MB",
        f"workers: {worker.processes} x ({worker.cores:g} cores, {worker.memory_mb} MB) = "
        f"{worker.processes * worker.cores:g} cores, {worker.processes * worker.memory_mb} MB",
    ]
    return lines
